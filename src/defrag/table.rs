//! The datagrams being collected: found by key, kept in order of age, their buffers used again.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::pending::{Key, Pending};
use crate::time::Timestamp;

/// One entry: a datagram, its neighbours in age, and the next copy of the same datagram.
#[derive(Debug, Default)]
struct Slot {
    pending: Pending,
    older: Option<u32>,
    newer: Option<u32>,
    copy: Option<u32>,
    /// Bytes of its buffers, as they stand in the sum.
    counted: usize,
}

/// Pending datagrams. The key leads to the first of a chain of copies; a copy is younger than what it copies.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashTable<u32>,
    /// Seeded at random: nobody outside can aim at one bucket.
    hasher: RandomState,
    oldest: Option<u32>,
    newest: Option<u32>,
    /// The youngest that was [`Table::seen`]; all older ones were.
    seen: Option<u32>,
    /// Bytes of all buffers.
    allocated: usize,
    /// Those of unused slots among them.
    idle: usize,
}

impl Table {
    pub(super) fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Datagrams being collected.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Bytes allocated for buffers, unused ones too.
    pub(super) const fn allocated(&self) -> usize {
        self.allocated
    }

    pub(super) const fn oldest(&self) -> Option<u32> {
        self.oldest
    }

    /// The oldest that was not seen.
    pub(super) fn oldest_unseen(&self) -> Option<u32> {
        match self.seen.and_then(|seen| self.slots.get(seen as usize)) {
            Some(seen) => seen.newer,
            None => self.oldest,
        }
    }

    /// The newest that was not seen.
    pub(super) const fn newest_unseen(&self) -> Option<u32> {
        match (self.newest, self.seen) {
            (Some(newest), Some(seen)) if newest == seen => None,
            (newest, _) => newest,
        }
    }

    /// The one before it, if that was not seen either.
    pub(super) fn unseen_before(&self, slot: u32) -> Option<u32> {
        self.slots.get(slot as usize)?.older.filter(|&older| self.seen != Some(older))
    }

    /// It was, and all that are older.
    pub(super) const fn see(&mut self, slot: u32) {
        self.seen = Some(slot);
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Pending> {
        self.slots.get(slot as usize).map(|slot| &slot.pending)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Pending> {
        self.slots.get_mut(slot as usize).map(|slot| &mut slot.pending)
    }

    /// The first of the chain of copies under `key`.
    pub(super) fn find(&self, hash: u64, key: &Key) -> Option<u32> {
        self.index.find(hash, |&slot| self.get(slot).is_some_and(|pending| pending.key == *key)).copied()
    }

    /// The copy after `slot`.
    pub(super) fn copy_of(&self, slot: u32) -> Option<u32> {
        self.slots.get(slot as usize)?.copy
    }

    /// Datagrams in the chain of which `slot` is a part.
    pub(super) fn chain_length(&self, slot: u32) -> usize {
        let head = self.get(slot).and_then(|pending| self.find(pending.hash, &pending.key));
        std::iter::successors(head, |&slot| self.copy_of(slot)).count()
    }

    /// A new datagram under a key that the table does not hold.
    pub(super) fn insert(&mut self, key: Key, hash: u64, now: Timestamp, copy: bool) -> u32 {
        let slot = self.take(key, hash, now, copy);
        let Self { index, slots, .. } = self;
        let hash_of = |&slot: &u32| slots.get(slot as usize).map_or(0, |slot| slot.pending.hash);
        index.insert_unique(hash, slot, hash_of);
        slot
    }

    /// A new datagram in the chain, behind `slot`.
    pub(super) fn insert_copy(&mut self, slot: u32, now: Timestamp) -> Option<u32> {
        let original = self.get(slot)?;
        let copy = self.take(original.key, original.hash, now, true);
        self.slots.get_mut(slot as usize)?.copy = Some(copy);
        Some(copy)
    }

    /// Takes a datagram out. Its bytes may be read until the next one is inserted.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some((key, hash)) = self.get(slot).map(|pending| (pending.key, pending.hash)) else { return };
        let next = self.copy_of(slot);
        if let Some(head) = self.find(hash, &key) {
            if head == slot { self.replace_head(slot, hash, next) } else { self.unchain(head, slot, next) }
        }
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        let (older, newer) = (entry.older.take(), entry.newer.take());
        entry.copy = None;
        self.idle = self.idle.saturating_add(entry.counted);
        if self.seen == Some(slot) {
            self.seen = older;
        }
        match older.and_then(|older| self.slots.get_mut(older as usize)) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match newer.and_then(|newer| self.slots.get_mut(newer as usize)) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        self.free.push(slot);
    }

    /// Brings the sum of allocated bytes up to date after `slot` took a fragment.
    #[inline]
    pub(super) fn recount(&mut self, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        let now = entry.pending.allocated();
        self.allocated = self.allocated.saturating_sub(entry.counted).saturating_add(now);
        entry.counted = now;
    }

    /// Gives the buffers of unused slots back. Slots without buffers lie below those with, so that none is
    /// looked at in vain.
    pub(super) fn trim(&mut self) {
        for &slot in self.free.iter().rev() {
            let Some(entry) = self.slots.get_mut(slot as usize).filter(|_| self.idle > 0) else { return };
            entry.pending.shrink();
            self.idle = self.idle.saturating_sub(entry.counted);
            self.allocated = self.allocated.saturating_sub(entry.counted);
            entry.counted = 0;
        }
    }

    /// An unused slot, or a new one, as the newest datagram.
    fn take(&mut self, key: Key, hash: u64, now: Timestamp, copy: bool) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let older = self.newest.replace(slot);
        match older.and_then(|older| self.slots.get_mut(older as usize)) {
            Some(older) => older.newer = Some(slot),
            None => self.oldest = Some(slot),
        }
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            entry.older = older;
            self.idle = self.idle.saturating_sub(entry.counted);
            entry.pending.reset(key, hash, now, copy);
        }
        slot
    }

    fn replace_head(&mut self, head: u32, hash: u64, next: Option<u32>) {
        let Ok(mut entry) = self.index.find_entry(hash, |&slot| slot == head) else { return };
        match next {
            Some(next) => *entry.get_mut() = next,
            None => {
                entry.remove();
            }
        }
    }

    /// Takes `slot` out of the chain that begins with `head`.
    fn unchain(&mut self, head: u32, slot: u32, next: Option<u32>) {
        let mut at = head;
        while let Some(entry) = self.slots.get_mut(at as usize) {
            match entry.copy {
                Some(copy) if copy == slot => {
                    entry.copy = next;
                    return;
                }
                Some(copy) => at = copy,
                None => return,
            }
        }
    }
}
