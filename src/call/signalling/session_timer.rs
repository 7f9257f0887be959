//! Session timers (RFC 4028): who has to say in time that the session still is there.

use std::time::Duration;

use super::What;
use super::record::{SessionTimerRecord, Side};
use crate::call::dialog::{Dialog, Look};
use crate::sip::Rare;
use crate::sip::header::{Name, digits, parameter, values};
use crate::time::Timestamp;

/// The most that a BYE comes before the session expires (RFC 4028 10).
const EARLIEST: Duration = Duration::from_secs(32);

/// How exact a timer is taken to be.
const SLACK: Duration = Duration::from_secs(2);

/// What was agreed on, and when it was last refreshed.
#[derive(Debug, Default)]
pub(super) struct SessionTimer {
    /// Seconds; 0 is no timer.
    interval: u32,
    /// Seconds of the latest Min-SE; 0 is none.
    min: u32,
    refreshed: Timestamp,
    refreshes: u32,
    refresher: Side,
    /// The transaction that refreshed it, so that its other hops do not count again.
    transaction: u64,
}

/// How a session stood when it ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Overdue {
    /// It ended when the missing refresh made it end.
    Ended,
    /// It went on without.
    WentOn,
}

impl SessionTimer {
    /// How it stood at `end`, and how long that was after the latest refresh; none when it was in time.
    pub(super) fn overdue(&self, end: Timestamp) -> Option<(Overdue, Duration)> {
        let interval = Duration::from_secs(u64::from(self.interval));
        let since = end.since(self.refreshed);
        // "The minimum of 32 seconds and one third of the session interval" before it expires.
        let earliest = interval.saturating_sub(EARLIEST.min(interval / 3));
        if interval.is_zero() || since + Duration::from_secs(1) < earliest {
            return None;
        }
        Some((if since <= interval + SLACK { Overdue::Ended } else { Overdue::WentOn }, since))
    }

    /// Seconds that were agreed on.
    pub(super) const fn interval(&self) -> u32 {
        self.interval
    }

    /// Who was to refresh.
    pub(super) const fn refresher(&self) -> Side {
        self.refresher
    }

    pub(super) fn record(&self) -> Option<SessionTimerRecord> {
        let given = |seconds: u32| (seconds > 0).then_some(seconds);
        (self.interval > 0 || self.min > 0).then(|| SessionTimerRecord {
            interval_seconds: given(self.interval),
            refresher: given(self.interval).map(|_| self.refresher),
            refreshes: self.refreshes,
            min_seconds: given(self.min),
        })
    }
}

impl Dialog {
    /// A 2xx to INVITE or UPDATE: it says whether there is a timer, and begins it anew.
    pub(super) fn session(&mut self, look: &Look<'_>) {
        let head = look.head;
        let is_on = self.signalling.timer.as_ref().is_some_and(|timer| timer.interval > 0);
        if !is_on && !head.rare.has(Rare::SESSION_EXPIRES) {
            return;
        }
        let requester = self.requester(look);
        let transaction = transaction(look, requester);
        let timer = self.signalling.timer.get_or_insert_default();
        let is_other = timer.transaction != transaction;
        let field = head.rare.has(Rare::SESSION_EXPIRES).then_some(Name::SessionExpires);
        let Some(value) = field.and_then(|name| values(look.bytes, name).next()) else {
            // "If the 2xx response did not contain a Session-Expires header field, there is no session expiration."
            if is_other {
                timer.interval = 0;
            }
            return;
        };
        let seconds = digits(value).0.and_then(|seconds| u32::try_from(seconds).ok());
        let Some(seconds) = seconds.filter(|seconds| *seconds > 0) else { return };
        let is_uas = parameter(value, b"refresher").is_some_and(|by| by.eq_ignore_ascii_case(b"uas"));
        if is_other && timer.interval > 0 {
            timer.refreshes += 1;
        }
        timer.transaction = transaction;
        timer.interval = seconds;
        timer.refreshed = look.message.timestamp;
        timer.refresher = if is_uas { requester.other() } else { requester };
    }

    /// A re-INVITE or an UPDATE: its 2xx refreshes the session. Where nothing of who answers is captured, it does so itself.
    pub(super) fn refreshes(&mut self, look: &Look<'_>) {
        let requester = self.requester(look);
        let transaction = transaction(look, requester);
        let is_answer_captured = self.has_heard(requester.other());
        let Some(timer) = &mut self.signalling.timer else { return };
        if timer.interval > 0 && timer.transaction != transaction && !is_answer_captured {
            timer.refreshes += 1;
            (timer.transaction, timer.refreshed) = (transaction, look.message.timestamp);
        }
    }

    /// 422: the interval that an INVITE or an UPDATE asked for is too small for somebody, who says how long it has to be.
    pub(super) fn interval_refused(&mut self, look: &Look<'_>) {
        let min = values(look.bytes, Name::MinSe).next().and_then(|value| digits(value).0);
        let seconds = min.and_then(|seconds| u32::try_from(seconds).ok());
        let timer = self.signalling.timer.get_or_insert_default();
        timer.min = seconds.unwrap_or(timer.min);
        self.note(What::IntervalTooSmall, look);
    }
}

/// The transaction of an INVITE or an UPDATE that a message is, or answers.
fn transaction(look: &Look<'_>, requester: Side) -> u64 {
    let method = look.about() as u8;
    u64::from(look.head.cseq) << 8 | u64::from(method) << 2 | ((requester as u64) << 1) | 1
}
