//! How long requests wait for their first answer.

use std::time::Duration;

use smallvec::SmallVec;

use crate::call::dialog::Look;
use crate::near::fetch;
use crate::sip::Method;
use crate::time::Timestamp;

/// Requests of one dialog that may wait at a time: those of a proxy's two hops, and one of each side.
const WAITING: usize = 4;

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

/// The requests that wait, and the longest waits so far.
#[derive(Debug, Default)]
#[repr(C)]
pub(in crate::call) struct Pace {
    /// Topmost branch, and ticks since the dialog began. 0 and 0 is none.
    waiting: [(u32, u32); WAITING],
    next: u8,
    longest: SmallVec<[(Method, u32); 2]>,
}

impl Pace {
    /// Takes a message that is seen for the first time in a dialog that began at `start`; tells how long its request
    /// waited if it is the first answer to it.
    #[inline]
    pub(in crate::call) fn observe(&mut self, look: &Look<'_>, start: Timestamp) -> Option<Duration> {
        let (branch, at) = (look.head.keys.branch as u32, ticks(look.message.timestamp.since(start)));
        match look.method() {
            // Nobody answers an ACK; a CANCEL has the branch of its INVITE.
            Some(Method::Ack | Method::Cancel) => None,
            Some(_) => {
                let slot = self.waiting.get_mut(usize::from(self.next) % WAITING);
                slot.into_iter().for_each(|slot| *slot = (branch, at));
                self.next = self.next.wrapping_add(1);
                None
            }
            None => self.answered(branch, at, look.head.cseq_method),
        }
    }

    #[inline]
    fn answered(&mut self, branch: u32, at: u32, method: Method) -> Option<Duration> {
        let slot = self.waiting.iter_mut().find(|(waiting, _)| *waiting == branch)?;
        if method == Method::Cancel || branch == 0 {
            return None;
        }
        let (_, asked) = std::mem::take(slot);
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
