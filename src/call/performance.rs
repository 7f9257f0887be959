//! How well calls and registrations are set up, over all of a run: the figures of RFC 6076, and ASR and NER.
//!
//! Counted when a dialog is decided or over, never per message but for the time of first answers. An attempt is an INVITE
//! that began a call here, with its repetitions after a challenge (401, 407) or a 422.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dialog::Dialog;
use super::record::{CallKind, CallResult, CallState};
use super::signalling::Challenge;
use crate::sip::Method;
use crate::time::Timestamp;

/// Methods: those of the registry, and one for all others.
const METHODS: usize = Method::REGISTERED.len() + 1;

/// How long something took, over all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// How often.
    pub count: u64,
    total: Duration,
    longest: Duration,
}

impl Delay {
    fn observe(&mut self, took: Duration) {
        self.count += 1;
        self.total += took;
        self.longest = self.longest.max(took);
    }

    /// The mean, in seconds; none when there was nothing.
    #[must_use]
    pub fn mean_seconds(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total.as_secs_f64() / self.count as f64)
    }

    /// The longest, in seconds; none when there was nothing.
    #[must_use]
    pub fn max_seconds(&self) -> Option<f64> {
        (self.count > 0).then_some(self.longest.as_secs_f64())
    }
}

/// The counts that figures are made of.
#[derive(Clone, Debug, Default)]
pub struct Performance {
    /// Attempts that were answered, or ended without.
    pub attempts: u64,
    /// With 2xx.
    pub answered: u64,
    /// With 3xx.
    pub redirected: u64,
    /// With 480, 486, 600 or 603: the user's doing (RFC 6076 4.7).
    pub declined: u64,
    /// With 408, 500, 503 or 504, or not answered in time, which counts as a 408 (RFC 6076 4.8, RFC 3261 8.1.3.1).
    pub ineffective: u64,
    /// The network did what it had to: answered, busy, refused by the user, given up while it rang, or rang until the
    /// time was up (E.425 4.3).
    pub delivered: u64,
    /// Attempts that are over, answered ones too.
    pub over: u64,
    /// Answered, and ended by a BYE that was answered (RFC 6076 4.9).
    pub completed: u64,
    /// SRD of answered attempts (RFC 6076 4.3.1).
    pub request_delay: Delay,
    /// SRD of attempts that failed (4.3.2).
    pub failed_request_delay: Delay,
    /// SDD (4.4.1).
    pub disconnect_delay: Delay,
    /// SDT of sessions that a BYE ended (4.5.1).
    pub duration: Delay,
    /// REGISTERs that are over: accepted, refused, challenged, or not answered.
    pub registrations: u64,
    /// Of these, refused, with their credentials too, or not answered (4.2); a challenge alone is no refusal.
    pub ineffective_registrations: u64,
    /// RRD (4.1).
    pub registration_delay: Delay,
    /// REGISTERs that failed, by status code; 0: nothing answered.
    pub registration_failures: BTreeMap<u16, u64>,
    /// From a request to its first answer, by method.
    responses: [Delay; METHODS],
}

/// Whether the network carried a call that was not answered to the called party: user busy, terminal rejects and ring
/// no answer (E.425 4.3; the codes are those that RFC 3398 8.2.6.1 maps to causes 17 to 21). `status` is the final
/// code, 0 without one; who gave up, or had to wait too long, before it rang had no use of the network.
#[must_use]
pub const fn is_delivered(status: u16, has_rung: bool) -> bool {
    match status {
        480 | 486 | 600 | 603 => true,
        0 | 408 | 487 => has_rung,
        _ => false,
    }
}

/// Whether a status code asks for something, and is no failure (RFC 6076 4.2, 4.3.2).
const fn is_challenge(status: u16) -> bool {
    matches!(status, 401 | 402 | 407)
}

/// A share in per cent; none of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

impl Performance {
    /// ASR (E.411, E.425 4.1): answered attempts of all, in per cent.
    #[must_use]
    pub fn asr(&self) -> Option<f64> {
        percent(self.answered, self.attempts)
    }

    /// NER (E.425 4.3): attempts that the network delivered of all, in per cent.
    #[must_use]
    pub fn ner(&self) -> Option<f64> {
        percent(self.delivered, self.attempts)
    }

    /// SER (RFC 6076 4.6), in per cent.
    #[must_use]
    pub fn ser(&self) -> Option<f64> {
        percent(self.answered, self.attempts - self.redirected)
    }

    /// SEER (RFC 6076 4.7), in per cent.
    #[must_use]
    pub fn seer(&self) -> Option<f64> {
        percent(self.answered + self.declined, self.attempts - self.redirected)
    }

    /// ISA (RFC 6076 4.8), in per cent.
    #[must_use]
    pub fn isa(&self) -> Option<f64> {
        percent(self.ineffective, self.attempts)
    }

    /// SCR (RFC 6076 4.9), in per cent: of the attempts that are over.
    #[must_use]
    pub fn scr(&self) -> Option<f64> {
        percent(self.completed, self.over)
    }

    /// IRA (RFC 6076 4.2), in per cent.
    #[must_use]
    pub fn ira(&self) -> Option<f64> {
        percent(self.ineffective_registrations, self.registrations)
    }

    /// From a request to its first answer, by method, those that were seen.
    pub fn responses(&self) -> impl Iterator<Item = (Method, &Delay)> {
        let methods = Method::REGISTERED.into_iter().chain([Method::Other]);
        methods.zip(&self.responses).filter(|(_, delay)| delay.count > 0)
    }

    /// A request got its first answer.
    #[inline]
    pub(super) fn response(&mut self, method: Method, took: Duration) {
        self.responses.get_mut(method as usize).into_iter().for_each(|delay| delay.observe(took));
    }

    /// A call was answered.
    pub(super) fn answered(&mut self, dialog: &Dialog) {
        let Some(answered) = dialog.answered.filter(|_| dialog.is_attempt()) else { return };
        self.attempts += 1;
        self.answered += 1;
        self.delivered += 1;
        let status = dialog.ringing.map_or(answered, |ringing| ringing.min(answered));
        self.request_delay.observe(status.since(dialog.attempted));
    }

    /// A dialog ended. What a call came to is certain only when it is closed: another branch may answer it.
    pub(super) fn ended(&mut self, dialog: &Dialog) {
        if dialog.kind == Some(CallKind::Registration) {
            self.registered(dialog);
        }
    }

    fn failed(&mut self, dialog: &Dialog) {
        let (status, result) = (dialog.status, dialog.result);
        let is_late = result == Some(CallResult::Timeout);
        let has_rung = dialog.ringing.is_some();
        self.attempts += 1;
        self.redirected += u64::from((300..400).contains(&status));
        self.declined += u64::from(matches!(status, 480 | 486 | 600 | 603));
        self.ineffective += u64::from(is_late || matches!(status, 408 | 500 | 503 | 504));
        self.delivered += u64::from(is_delivered(status, has_rung));
        let refusal = dialog.end.filter(|_| status >= 400 && !is_challenge(status));
        if let Some(status) = dialog.ringing.or(refusal) {
            self.failed_request_delay.observe(status.since(dialog.attempted));
        }
    }

    fn registered(&mut self, dialog: &Dialog) {
        self.registrations += 1;
        if dialog.result == Some(CallResult::Success) {
            let end = dialog.end.unwrap_or(dialog.last);
            self.registration_delay.observe(end.since(dialog.attempted));
        } else if !is_challenge(dialog.status) || dialog.challenge == Challenge::Refused {
            self.ineffective_registrations += 1;
            *self.registration_failures.entry(dialog.status).or_default() += 1;
        }
    }

    /// A dialog is closed, `end` being when its call ended.
    pub(super) fn closed(&mut self, dialog: &Dialog) {
        if !dialog.is_attempt() || dialog.state != Some(CallState::Ended) {
            return;
        }
        self.over += 1;
        if dialog.answered.is_none() {
            self.failed(dialog);
        }
        let session: Option<(Timestamp, Timestamp)> = dialog.answered.zip(dialog.end);
        let Some((answered, end)) = session.filter(|_| dialog.is_released()) else { return };
        self.duration.observe(end.since(answered));
        if let Some(took) = dialog.signalling.disconnected() {
            self.completed += 1;
            self.disconnect_delay.observe(took);
        }
    }
}
