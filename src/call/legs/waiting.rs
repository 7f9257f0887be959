//! The calls that wait for their other leg, by what that would have in common with them.
//!
//! A leg is looked for within seconds, so there are two tables, a young one and an old one, and nothing is ever removed
//! from either: every few seconds the old one is emptied and becomes the young one.

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::score::WINDOW;
use crate::time::{Timestamp, WILD_JUMP};

/// Calls kept under one key. More than so many within seconds are a load test, or a number that everybody calls.
const RECENT: usize = 4;

/// The calls under one key: a cache line.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    /// When a call came that another took the place of.
    hidden: Timestamp,
    came: [Timestamp; RECENT],
    legs: [u32; RECENT],
}

/// Calls by key.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    young: HashTable<Entry>,
    old: HashTable<Entry>,
    /// When the young table began.
    since: Timestamp,
    /// When a call found no room.
    full: Timestamp,
}

/// What waits under some keys.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Places of legs, each once.
    pub(super) legs: SmallVec<[u32; 8]>,
}

impl Waiting {
    /// Puts a call under a key; false when there is no room, which only a flood takes. At most `room` keys are in a table.
    pub(super) fn put(&mut self, key: u64, leg: u32, now: Timestamp, room: usize) -> bool {
        if now.since(self.since) > WINDOW || self.since.since(now) > WILD_JUMP {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.since = now;
        }
        let Some(entry) = self.young.find_mut(key, |entry| entry.key == key) else {
            if self.young.len() >= room {
                self.full = now;
                return false;
            }
            let (mut came, mut legs) = ([Timestamp::default(); RECENT], [0; RECENT]);
            (came[0], legs[0]) = (now, leg);
            let entry = Entry { key, hidden: Timestamp::default(), came, legs };
            self.young.insert_unique(key, entry, |entry| entry.key);
            return true;
        };
        // Several hops of one call.
        if entry.legs[0] == leg && entry.came[0] != Timestamp::default() {
            entry.came[0] = now;
            return true;
        }
        entry.hidden = entry.hidden.max(entry.came[RECENT - 1]);
        entry.came.copy_within(..RECENT - 1, 1);
        entry.legs.copy_within(..RECENT - 1, 1);
        (entry.came[0], entry.legs[0]) = (now, leg);
        true
    }

    /// Adds the calls under a key to those found; true when there may be more that are not known any more.
    pub(super) fn find(&self, key: u64, now: Timestamp, found: &mut Found) -> bool {
        // A stamp far in the future is wild, or from before stamps went back.
        let is_near = |came: Timestamp| now.since(came) <= WINDOW && came.since(now) <= WILD_JUMP;
        let is_fresh = |came: Timestamp| came != Timestamp::default() && is_near(came);
        let mut is_crowded = is_fresh(self.full);
        for table in [&self.young, &self.old] {
            let Some(entry) = table.find(key, |entry| entry.key == key) else { continue };
            is_crowded |= is_fresh(entry.hidden);
            for (&leg, &came) in entry.legs.iter().zip(&entry.came) {
                if is_fresh(came) && !found.legs.contains(&leg) {
                    found.legs.push(leg);
                }
            }
        }
        is_crowded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::new(1_000, 0).after(std::time::Duration::from_millis(milliseconds))
    }

    fn found(waiting: &Waiting, key: u64, now: Timestamp) -> (Vec<u32>, bool) {
        let mut found = Found::default();
        let crowded = waiting.find(key, now, &mut found);
        (found.legs.to_vec(), crowded)
    }

    #[test]
    fn calls_are_found_for_as_long_as_they_wait() {
        let mut waiting = Waiting::default();
        for (key, leg, time) in [(7, 1, 0), (7, 2, 3_000), (8, 3, 5_000), (7, 4, 5_100)] {
            assert!(waiting.put(key, leg, at(time), 10));
        }
        assert_eq!(found(&waiting, 7, at(5_200)), (vec![4, 2], false));
        assert_eq!(found(&waiting, 7, at(7_001)), (vec![4], false));
        assert_eq!(found(&waiting, 8, at(5_000)), (vec![3], false));
        assert_eq!(found(&waiting, 9, at(5_000)), (vec![], false));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let mut waiting = Waiting::default();
        (0..6).for_each(|leg| assert!(waiting.put(7, leg, at(u64::from(leg) * 100), 10)));
        assert_eq!(found(&waiting, 7, at(600)), (vec![5, 4, 3, 2], true));
        assert_eq!(
            found(&waiting, 7, at(4_200)),
            (vec![5, 4, 3, 2], false),
            "who was first does not wait any more"
        );
        (0..20).for_each(|key| {
            waiting.put(key, 9, at(4_000), 10);
        });
        assert_eq!(found(&waiting, 19, at(4_100)), (vec![], true), "no room");
    }

    #[test]
    fn a_call_of_the_future_leaves_room() {
        let mut waiting = Waiting::default();
        let wild = Timestamp::new(4_102_444_800, 0);
        assert!(waiting.put(1, 1, wild, 1) && !waiting.put(2, 2, wild, 1));
        assert!(waiting.put(3, 3, at(0), 1), "its table is over");
        assert_eq!(found(&waiting, 3, at(0)), (vec![3], false));
        assert_eq!(found(&waiting, 1, at(0)), (vec![], false), "it was of another time");
    }
}
