//! How long requests wait for their first answer.

use std::time::Duration;

use smallvec::SmallVec;

use crate::call::dialog::Look;
use crate::near::fetch;
use crate::sip::Method;
use crate::time::Timestamp;

/// Requests of one dialog that may wait at a time: those of a proxy's two hops, and one of each side.
const WAITING: usize = 4;

/// Of an INVITE that a proxy sends to several ends, and of its CANCEL, so many. Attack: one that is sent to everybody.
const FORKED: usize = 32;

/// Methods of one dialog whose times are kept. Attack: a dialog of every method; the run's own times are not bounded by it.
const MAX_METHODS: usize = 8;

/// Nanoseconds of the unit of time here: 32 bits are 11.9 hours.
const TICK: u64 = 10_000;

/// Time in ticks, as far as 32 bits go.
pub(super) fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_nanos() / u128::from(TICK)).unwrap_or(u32::MAX)
}

/// The time of so many ticks.
pub(super) const fn duration(ticks: u32) -> Duration {
    Duration::from_nanos(ticks as u64 * TICK)
}

/// What an answer has in common with its request: the topmost branch, which a CANCEL has of its INVITE (RFC 3261 17.1.3); none without
/// a branch.
#[inline]
fn transaction(look: &Look<'_>) -> Option<u32> {
    let branch = look.head.keys.branch as u32;
    match look.about() {
        _ if branch == 0 => None,
        Method::Cancel => Some(!branch),
        _ => Some(branch),
    }
}

/// The requests that wait, and the longest waits so far.
#[derive(Debug, Default)]
#[repr(C)]
pub(in crate::call) struct Pace {
    /// Transaction, and ticks since the dialog began, in the order in which they came.
    waiting: SmallVec<[(u32, u32); WAITING]>,
    longest: SmallVec<[(Method, u32); 2]>,
}

impl Pace {
    /// Takes a message that is seen for the first time in a dialog that began at `start`; tells how long its request
    /// waited if it is the first answer to it.
    #[inline]
    pub(in crate::call) fn observe(&mut self, look: &Look<'_>, start: Timestamp) -> Option<Duration> {
        let (transaction, at) = (transaction(look)?, ticks(look.message.timestamp.since(start)));
        match look.method() {
            // Nobody answers an ACK.
            Some(Method::Ack) => None,
            Some(method) => {
                let may_fork = matches!(method, Method::Invite | Method::Cancel) && look.is_initial();
                if self.waiting.len() >= if may_fork { FORKED } else { WAITING } {
                    self.waiting.remove(0);
                }
                self.waiting.push((transaction, at));
                None
            }
            None => self.answered(transaction, at, look.head.cseq_method),
        }
    }

    #[inline]
    fn answered(&mut self, transaction: u32, at: u32, method: Method) -> Option<Duration> {
        let place = self.waiting.iter().position(|(waiting, _)| *waiting == transaction)?;
        let (_, asked) = self.waiting.remove(place);
        let waited = at.saturating_sub(asked);
        if let Some((_, longest)) = self.longest.iter_mut().find(|(known, _)| *known == method) {
            *longest = (*longest).max(waited);
        } else if self.longest.len() < MAX_METHODS {
            self.longest.push((method, waited));
        }
        Some(duration(waited))
    }

    /// Fetches it.
    #[inline]
    pub(super) fn touch(&self) {
        fetch(&self.waiting);
        fetch(&self.longest);
    }

    /// The longest wait of each method.
    pub(super) fn longest(&self) -> impl Iterator<Item = (Method, Duration)> {
        self.longest.iter().map(|&(method, waited)| (method, duration(waited)))
    }
}
