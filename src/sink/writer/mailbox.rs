//! Where one thread leaves work for another: a block that fills on one side while the other side empties its twin.
//!
//! The two change places when the taker is ready, so bytes are copied in once and memory is used again. How much may
//! lie in it is the putter's to keep to.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What lies in a mailbox.
pub(super) trait Block: Default {
    /// Bytes of memory that it stands for.
    fn weight(&self) -> usize;

    /// Whether nothing is in it.
    fn is_empty(&self) -> bool;

    /// Empties it and keeps its memory, unless that is far more than usual.
    fn clear(&mut self);
}

/// How long a taker waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Until there is something.
    ForWork,
    /// Until there is something, or that time is over.
    AtMost(Duration),
    /// Until that time is over, or there is much: what is little may as well come later.
    Doze(Duration),
}

/// What a look into the mailbox brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Something.
    Work,
    /// Nothing in that time.
    Nothing,
    /// Nothing, and nothing will come.
    Closed,
}

#[derive(Debug, Default)]
struct State<B> {
    block: B,
    /// The taker waits, for anything or (`dozing`) for much.
    waiting: bool,
    dozing: bool,
    /// The putter waits for room.
    crowded: bool,
    closed: bool,
    /// The taker is gone.
    abandoned: bool,
}

/// A block on its way from one thread to another.
#[derive(Debug, Default)]
pub(super) struct Mailbox<B> {
    state: Mutex<State<B>>,
    filled: Condvar,
    emptied: Condvar,
}

/// How often a putter who waits looks for room unasked.
const LOOK: Duration = Duration::from_millis(200);

/// A block of that weight wakes a taker who dozes.
const HEAVY: usize = 256 << 10;

impl<B: Block> Mailbox<B> {
    /// A panic on the other side leaves counts and bytes as they were: each is whole by itself.
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in.
    pub(super) fn put<R>(&self, put: impl FnOnce(&mut B) -> R) -> R {
        put(&mut self.lock().block)
    }

    /// Puts something in once there is room, which `has_room` tells, now or at a later look; none when nobody will make any.
    pub(super) fn put_when<R>(
        &self,
        has_room: impl Fn(&B) -> bool,
        put: impl FnOnce(&mut B) -> R,
    ) -> Option<R> {
        let mut state = self.lock();
        while !has_room(&state.block) {
            if state.abandoned {
                return None;
            }
            state.crowded = true;
            self.filled.notify_one();
            let waited = self.emptied.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(put(&mut state.block))
    }

    /// Wakes the taker when there is something for it and it does not look by itself soon.
    pub(super) fn ring(&self) {
        let state = self.lock();
        let is_due = if state.dozing { state.block.weight() >= HEAVY } else { !state.block.is_empty() };
        if state.waiting && is_due {
            self.filled.notify_one();
        }
    }

    /// Changes places with the block, once something is in it.
    pub(super) fn take(&self, empty: &mut B, wait: Wait) -> Taken {
        empty.clear();
        let mut state = self.lock();
        let dozing = matches!(wait, Wait::Doze(_));
        let is_little = |block: &B| block.is_empty() || (dozing && block.weight() < HEAVY);
        if is_little(&state.block) && !state.closed {
            state.waiting = true;
            state.dozing = dozing;
            let still = |state: &mut State<B>| is_little(&state.block) && !state.closed && !state.crowded;
            state = match wait {
                Wait::ForWork => self.filled.wait_while(state, still).unwrap_or_else(PoisonError::into_inner),
                Wait::AtMost(time) | Wait::Doze(time) => {
                    let waited = self.filled.wait_timeout_while(state, time, still);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.waiting = false;
            state.dozing = false;
        }
        if state.block.is_empty() {
            return if state.closed { Taken::Closed } else { Taken::Nothing };
        }
        std::mem::swap(&mut state.block, empty);
        if std::mem::take(&mut state.crowded) {
            self.emptied.notify_all();
        }
        Taken::Work
    }

    /// Nothing more will be put in.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Nothing more will be taken out: whoever waits for room need not.
    pub(super) fn abandon(&self) {
        self.lock().abandoned = true;
        self.emptied.notify_all();
    }
}

/// Abandons a mailbox when its taker ends, however it ends.
pub(super) struct Taker<'a, B: Block>(pub(super) &'a Mailbox<B>);

impl<B: Block> Drop for Taker<'_, B> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Block for Vec<u32> {
        fn weight(&self) -> usize {
            self.len()
        }

        fn is_empty(&self) -> bool {
            Vec::is_empty(self)
        }

        fn clear(&mut self) {
            Vec::clear(self);
        }
    }

    #[test]
    fn all_comes_through_in_order_and_room_is_waited_for() {
        let mailbox = Mailbox::<Vec<u32>>::default();
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..10_000 {
                    let put = mailbox.put_when(|block| block.len() < 7, |block| block.push(number));
                    assert_eq!(put, Some(()));
                    mailbox.ring();
                }
                mailbox.close();
            });
            let mut block = Vec::new();
            for turn in 0.. {
                let time = Duration::from_micros(50);
                let wait = [Wait::ForWork, Wait::AtMost(time), Wait::Doze(time)][turn % 3];
                match mailbox.take(&mut block, wait) {
                    Taken::Work => {
                        assert!(block.len() <= 7);
                        seen.append(&mut block);
                    }
                    Taken::Nothing => {}
                    Taken::Closed => break,
                }
            }
        });
        assert!(seen.into_iter().eq(0..10_000));
    }

    #[test]
    fn a_taker_that_is_gone_is_not_waited_for() {
        let mailbox = Mailbox::<Vec<u32>>::default();
        drop(Taker(&mailbox));
        assert_eq!(mailbox.put_when(|_| false, |_| ()), None);
    }
}
