//! How likely it is that one call is the other leg of another: what speaks for it and against, each with its weight.

use std::time::Duration;

use super::leg::{Hop, Leg};
use super::number::Number;
use crate::call::dialog::Dialog;
use crate::call::record::{CallKind, CallResult};
use crate::time::Timestamp;

/// How long after its incoming leg the outgoing one begins, at most.
pub(super) const WINDOW: Duration = Duration::from_secs(4);

/// Points from which two calls are legs of one session: both numbers, the address and at once; or one of the numbers and
/// two steps that go through.
pub(super) const ENOUGH: i16 = 70;

/// Points from which they are where others had as much in common: all steps go through.
pub(super) const CERTAIN: i16 = 95;

/// How many points a pair must be ahead of every other that it could be instead.
pub(super) const AHEAD: i16 = 15;

/// Below this no step that goes through makes it [`ENOUGH`].
pub(super) const WORTH_WATCHING: i16 = 30;

/// An INVITE that says so much is probably a leg, whatever becomes of it.
pub(super) const LIKELY: i16 = 50;

/// At once, soon.
const AT_ONCE: Duration = Duration::from_millis(200);
const SOON: Duration = Duration::from_secs(1);

/// What a B2BUA passes on of the callee's answers is there within this time; the end of a call, with a re-INVITE before it,
/// within the other.
const PASSED_ON: Duration = Duration::from_millis(100);
const END_PASSED_ON: Duration = Duration::from_millis(250);

/// Steps of which one is this long after the other, or there is none, have nothing to do with each other.
pub(super) const APART: Duration = Duration::from_secs(1);

/// Parts of a score, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence(u16);

/// Each part: its bit, what it weighs, and the word in records.
const PARTS: [(Evidence, i16, &str); 16] = [
    (Evidence::ADDRESS, 15, "address"),
    (Evidence::CALLED, 20, "called number"),
    (Evidence::CALLING, 20, "calling number"),
    (Evidence::DIVERTED, 25, "diversion"),
    (Evidence::MEDIA, 35, "media"),
    (Evidence::ORIGIN, 25, "sdp origin"),
    (Evidence::AT_ONCE, 15, "time"),
    (Evidence::SOON, 10, "time"),
    (Evidence::IN_TIME, 5, "time"),
    (Evidence::RINGING, 10, "ringing"),
    (Evidence::ANSWER, 15, "answer"),
    (Evidence::END, 15, "end"),
    (Evidence::RANG_APART, -15, "rang apart"),
    (Evidence::ANSWERED_APART, -40, "answered apart"),
    (Evidence::ENDED_APART, -30, "ended apart"),
    (Evidence::ENDED_ALONE, -40, "ended alone"),
];

impl Evidence {
    /// The second leg leaves the address that the first arrived at.
    pub(super) const ADDRESS: Self = Self(1);
    pub(super) const CALLED: Self = Self(1 << 1);
    pub(super) const CALLING: Self = Self(1 << 2);
    /// Diversion or History-Info of the second names whom the first is for.
    pub(super) const DIVERTED: Self = Self(1 << 3);
    /// The same address and port for media: it goes past the B2BUA.
    pub(super) const MEDIA: Self = Self(1 << 4);
    /// The same `o=` but for its version (RFC 8866 5.2).
    pub(super) const ORIGIN: Self = Self(1 << 5);
    const AT_ONCE: Self = Self(1 << 6);
    const SOON: Self = Self(1 << 7);
    const IN_TIME: Self = Self(1 << 8);
    const RINGING: Self = Self(1 << 9);
    const ANSWER: Self = Self(1 << 10);
    const END: Self = Self(1 << 11);
    const ANSWERED_APART: Self = Self(1 << 12);
    const ENDED_APART: Self = Self(1 << 13);
    /// The second was refused or cancelled, and the first went on.
    pub(super) const ENDED_ALONE: Self = Self(1 << 14);
    const RANG_APART: Self = Self(1 << 15);

    pub(super) const fn has(self, part: Self) -> bool {
        self.0 & part.0 != 0
    }

    #[must_use]
    pub(super) const fn with(self, part: Self) -> Self {
        Self(self.0 | part.0)
    }

    #[must_use]
    pub(super) const fn without(self, part: Self) -> Self {
        Self(self.0 & !part.0)
    }

    #[must_use]
    pub(super) fn with_if(self, holds: bool, part: Self) -> Self {
        if holds { self.with(part) } else { self }
    }

    /// The sum of its parts; more than 100 when there is more than enough.
    pub(super) fn points(self) -> i16 {
        PARTS.iter().filter(|(part, ..)| self.has(*part)).map(|(_, points, _)| points).sum()
    }

    /// What the INVITEs of a call say at most that is known to share no more than these parts, if any.
    pub(super) fn at_most(self) -> i16 {
        if self == Self::default() { 0 } else { self.with(Self::ADDRESS).with(Self::AT_ONCE).points() }
    }

    /// Its parts in words.
    pub(super) fn words(self) -> impl Iterator<Item = &'static str> {
        PARTS.into_iter().filter(move |(part, ..)| self.has(*part)).map(|(.., word)| word)
    }
}

/// What the two INVITEs say: `first` arrived where `second` leaves, maybe; `diverted` are the numbers that `second` was
/// for before. Nothing when it cannot be.
pub(super) fn invites(first: &Leg, second: &Leg, diverted: &[Number]) -> Evidence {
    let none = Evidence::default();
    let gap = second.began.since(first.invited);
    let is_in_time = first.invited <= second.began && gap <= WINDOW;
    let Some(hop) = second.hops.first().filter(|_| is_in_time) else { return none };
    // A call from the same host to the same place is another call of the same kind, whatever it has in common.
    let is_alike =
        |known: &Hop| known.destination == hop.destination && known.source.address == hop.source.address;
    if first.hops.iter().any(is_alike) {
        return none;
    }
    // On one host, ports tell who is who.
    let is_there = |known: &Hop| {
        known.destination.address == hop.source.address
            && (known.source.address != known.destination.address
                || known.destination.port == hop.source.port)
    };
    let called = first.parties.is_same_called(&second.parties);
    let diverted = !called && diverted.iter().any(|number| first.parties.is_for(*number));
    let media = second.media.port != 0 && first.media == second.media;
    let evidence = none
        .with_if(first.hops.iter().any(is_there), Evidence::ADDRESS)
        .with_if(called, Evidence::CALLED)
        .with_if(first.parties.is_same_calling(&second.parties), Evidence::CALLING)
        .with_if(diverted, Evidence::DIVERTED)
        .with_if(media, Evidence::MEDIA)
        .with_if(first.origin != 0 && first.origin == second.origin, Evidence::ORIGIN);
    // Somewhere else than where it arrived, only media that goes past says that it is the same.
    if !evidence.has(Evidence::ADDRESS) && !media {
        return none;
    }
    let time = match gap {
        _ if gap <= AT_ONCE => Evidence::AT_ONCE,
        _ if gap <= SOON => Evidence::SOON,
        _ => Evidence::IN_TIME,
    };
    evidence.with(time)
}

/// What the steps of both calls add to it by `now`: they go through from one to the other, or they do not.
pub(super) fn steps(invites: Evidence, first: &Dialog, second: &Dialog, now: Timestamp) -> Evidence {
    let none = Evidence::default();
    let ringing = match (first.ringing, second.ringing) {
        (Some(caller), Some(callee)) if is_passed_on(callee, caller) => Evidence::RINGING,
        (Some(_), Some(_)) => Evidence::RANG_APART,
        _ => none,
    };
    let is_past = |time: Timestamp| now.since(time) > APART;
    let end = match (first.end, second.end) {
        (Some(caller), Some(callee)) => distance(caller, callee) <= END_PASSED_ON,
        (Some(end), None) | (None, Some(end)) => !is_past(end),
        (None, None) => true,
    };
    let both_ended = first.end.is_some() && second.end.is_some();
    let rest = match (first.answered, second.answered) {
        (Some(caller), Some(callee)) => {
            let answer =
                if is_passed_on(callee, caller) { Evidence::ANSWER } else { Evidence::ANSWERED_APART };
            answer.with_if(!end, Evidence::ENDED_APART).with_if(end && both_ended, Evidence::END)
        }
        // Another leg was answered, and this one was given up for it or before it.
        (Some(answered), None) => match second.end {
            Some(end) if end <= answered.after(APART) => Evidence::ENDED_ALONE,
            Some(_) => Evidence::ANSWERED_APART,
            None => none.with_if(is_past(answered), Evidence::ANSWERED_APART),
        },
        // The caller may have given up at that moment.
        (None, Some(answered)) => {
            let is_race = first.end.is_some_and(|end| distance(end, answered) <= END_PASSED_ON);
            let is_open = first.end.is_none() && !is_past(answered);
            none.with_if(!is_race && !is_open, Evidence::ANSWERED_APART).with_if(!end, Evidence::ENDED_APART)
        }
        (None, None) => refusals(first, second, end),
    };
    invites.with(ringing).with(rest)
}

/// Whether an answer of the callee became one to the caller.
fn is_passed_on(callee: Timestamp, caller: Timestamp) -> bool {
    caller >= callee && caller.since(callee) <= PASSED_ON
}

/// Neither was answered: a refusal is passed on to the caller, a CANCEL to the callee.
fn refusals(first: &Dialog, second: &Dialog, together: bool) -> Evidence {
    let none = Evidence::default();
    let is_either = matches!(first.result, Some(CallResult::Cancelled | CallResult::Timeout));
    let is_refusal = second.end.zip(first.end).is_some_and(|(callee, caller)| is_passed_on(callee, caller));
    match (first.end, second.end) {
        (Some(_), Some(_)) if together && (is_either || is_refusal) && first.result == second.result => {
            Evidence::END
        }
        (Some(caller), Some(callee)) if callee < caller => Evidence::ENDED_ALONE,
        (Some(_), Some(_)) => Evidence::ENDED_APART,
        (None, Some(_)) => none.with_if(!together, Evidence::ENDED_ALONE),
        _ => none.with_if(!together, Evidence::ENDED_APART),
    }
}

/// Whether a call may still get another leg: it is not answered, and not over.
pub(super) fn is_waiting(first: &Dialog) -> bool {
    first.kind == Some(CallKind::Call) && first.answered.is_none() && first.end.is_none()
}

fn distance(a: Timestamp, b: Timestamp) -> Duration {
    a.since(b).max(b.since(a))
}
