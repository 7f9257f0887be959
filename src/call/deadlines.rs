//! When to look at a call, or at the bindings of an address, again: a wheel of one-second slots over packet time.
//!
//! Setting a deadline is a store into the call; an entry is added to the wheel only when none stands early
//! enough. An entry that fires too early for its call is simply armed again.

use crate::time::Timestamp;

/// Slots of the wheel; a deadline further away fires early and is armed again.
const SLOTS: u64 = 256;

/// Entries that may be left over beside one for each call: those whose call was given an earlier one, or is gone.
const MAX_LEFT_OVER: usize = 32_768;

/// A call's place in the wheel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Armed {
    /// When the call is due.
    pub(crate) due: Timestamp,
    /// That of the earliest entry that the wheel holds for it; 0 when there is none.
    second: u64,
}

/// One entry of the wheel: which call it is for, and when it fires. It is left over when the generation is another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    second: u64,
}

/// What the wheel keeps of an entry, slot and generation: its place says when it fires.
type Kept = (u32, u32);

/// What to do with a call whose entry fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fired {
    /// It is due.
    Due,
    /// Not yet: it was armed again, or the entry was left over.
    Not,
}

/// The wheel.
#[derive(Debug)]
pub(crate) struct Deadlines {
    wheel: Vec<Vec<Kept>>,
    /// The memory of slots that fired, for those that fill next: without it, each slot would keep its own.
    spare: Vec<Vec<Kept>>,
    /// Entries in the wheel.
    held: usize,
    /// The next second to fire.
    next: u64,
}

impl Deadlines {
    pub(crate) fn new() -> Self {
        Self { wheel: (0..SLOTS).map(|_| Vec::new()).collect(), spare: Vec::new(), held: 0, next: 0 }
    }

    /// Makes a call due at `due`, wherever it was due before.
    pub(crate) fn set(&mut self, slot: u32, generation: u32, armed: &mut Armed, due: Timestamp) {
        armed.due = due;
        // Rounded up: an entry never fires before its call is due, except when the deadline is beyond the wheel.
        let second = due.seconds().saturating_add(1).clamp(self.next, self.next.saturating_add(SLOTS - 1));
        if armed.second != 0 && armed.second <= second {
            return;
        }
        armed.second = second;
        self.push(Entry { slot, generation, second });
    }

    /// Tells the wheel where packet time begins. To be called before anything is set.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        self.next = now.seconds();
    }

    /// Takes the entries due up to `now`, in the order of their seconds and then of their making.
    pub(crate) fn expire(&mut self, now: Timestamp, fired: &mut Vec<Entry>) {
        let end = now.seconds();
        if end < self.next {
            return;
        }
        // Every entry lies within one turn of the wheel from `next`, so one turn takes them all.
        let turn = (end - self.next).saturating_add(1).min(SLOTS);
        let before = fired.len();
        for second in self.next..self.next.saturating_add(turn) {
            if let Some(slot) = self.wheel.get_mut((second % SLOTS) as usize) {
                fired.extend(slot.drain(..).map(|kept| entry(kept, second)));
                if slot.capacity() > 0 {
                    self.spare.push(std::mem::take(slot));
                }
            }
        }
        self.held = self.held.saturating_sub(fired.len() - before);
        self.next = end.saturating_add(1);
    }

    /// Throws out what is left over, if that is more than there are calls and some: an attacker makes much of it. `armed`
    /// is what the call of an entry has; none when it is gone.
    pub(crate) fn tidy(&mut self, calls: usize, armed: impl Fn(&Entry) -> Option<Armed>) {
        if self.held <= 2 * calls + MAX_LEFT_OVER {
            return;
        }
        for second in self.next..self.next.saturating_add(SLOTS) {
            let Some(slot) = self.wheel.get_mut((second % SLOTS) as usize) else { continue };
            slot.retain(|&kept| armed(&entry(kept, second)).is_some_and(|armed| armed.second == second));
        }
        self.held = self.wheel.iter().map(Vec::len).sum();
    }

    /// Decides about an entry that fired for a live call.
    pub(crate) fn fired(&mut self, entry: Entry, armed: &mut Armed, now: Timestamp) -> Fired {
        if armed.second != entry.second {
            return Fired::Not;
        }
        armed.second = 0;
        if armed.due <= now {
            return Fired::Due;
        }
        let due = armed.due;
        self.set(entry.slot, entry.generation, armed, due);
        Fired::Not
    }

    fn push(&mut self, entry: Entry) {
        if let Some(slot) = self.wheel.get_mut((entry.second % SLOTS) as usize) {
            if slot.capacity() == 0 {
                *slot = self.spare.pop().unwrap_or_default();
            }
            slot.push((entry.slot, entry.generation));
            self.held += 1;
        }
    }
}

const fn entry((slot, generation): Kept, second: u64) -> Entry {
    Entry { slot, generation, second }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fire(wheel: &mut Deadlines, armed: &mut Armed, now: u64) -> bool {
        let mut fired = Vec::new();
        let now = Timestamp::new(now, 0);
        wheel.expire(now, &mut fired);
        fired.into_iter().any(|entry| wheel.fired(entry, armed, now) == Fired::Due)
    }

    fn wheel() -> (Deadlines, Armed) {
        let mut wheel = Deadlines::new();
        wheel.begin(Timestamp::new(1_000_000, 0));
        (wheel, Armed::default())
    }

    #[test]
    fn fires_once_and_not_early() {
        let (mut wheel, mut armed) = wheel();
        wheel.set(1, 0, &mut armed, Timestamp::new(1_000_032, 1));
        assert!(!fire(&mut wheel, &mut armed, 1_000_032));
        assert!(fire(&mut wheel, &mut armed, 1_000_033));
        assert!(!fire(&mut wheel, &mut armed, 1_000_100));
    }

    #[test]
    fn memory_does_not_grow_with_time() {
        let (mut wheel, _) = wheel();
        for second in 0..5_000 {
            let now = Timestamp::new(1_000_000 + second, 0);
            for slot in 0..100 {
                wheel.set(slot, 0, &mut Armed::default(), now.after(std::time::Duration::from_secs(32)));
            }
            wheel.expire(now, &mut Vec::new());
        }
        let held: usize = wheel.wheel.iter().chain(&wheel.spare).map(Vec::capacity).sum();
        assert!(held <= 40 * 128, "{held} entries are held for the 3,300 that are set");
    }

    #[test]
    fn what_is_left_over_is_bounded() {
        let (mut wheel, mut armed) = wheel();
        for round in 0..1_000_000u32 {
            // One call, gone and back again, or given an earlier deadline.
            if round % 200 == 0 {
                armed = Armed::default();
            }
            let due = Timestamp::new(1_000_200 - u64::from(round % 200), 0);
            wheel.set(1, round / 200, &mut armed, due);
            wheel.tidy(1, |entry| (entry.generation == round / 200).then_some(armed));
            assert!(wheel.held <= MAX_LEFT_OVER + 2, "{}", wheel.held);
        }
        let entries = wheel.wheel.iter().map(Vec::len).sum::<usize>();
        assert_eq!(entries, wheel.held);
        assert!(fire(&mut wheel, &mut armed, 1_000_002), "the one that counts is still there");
    }

    #[test]
    fn a_deadline_can_move_both_ways_and_beyond_the_wheel() {
        let (mut wheel, mut armed) = wheel();
        wheel.set(1, 0, &mut armed, Timestamp::new(1_100_000, 0));
        wheel.set(1, 0, &mut armed, Timestamp::new(1_000_010, 0));
        wheel.set(1, 0, &mut armed, Timestamp::new(1_090_000, 0));
        assert!(!fire(&mut wheel, &mut armed, 1_000_020));
        assert!(!fire(&mut wheel, &mut armed, 1_080_000));
        assert!(fire(&mut wheel, &mut armed, 1_090_001));
    }
}
