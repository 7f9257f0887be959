//! Which calls announced which endpoint, and which flows touch it.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::flow::Endpoint;
use crate::sip::sdp::Format;

/// A call, as media knows it: its slot, and which of the slot's tenants it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallRef {
    /// Slot of the call in the tracker.
    pub slot: u32,
    /// Generation of that slot.
    pub generation: u32,
}

/// Calls that may hold one endpoint at a time; two legs of a call whose media bypasses the B2BUA share theirs.
const MAX_OWNERS: usize = 8;

/// A call's claim on an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) call: CallRef,
    pub(crate) ended: bool,
    pub(crate) formats: SmallVec<[Format; 4]>,
}

/// One endpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    endpoint: Endpoint,
    pub(crate) owners: SmallVec<[Owner; 1]>,
    pub(crate) flows: SmallVec<[u32; 2]>,
}

impl Entry {
    /// The calls that a packet of this endpoint belongs to now: those that are up, else the latest to end.
    pub(crate) fn calls(&self) -> SmallVec<[CallRef; 2]> {
        let up: SmallVec<[CallRef; 2]> =
            self.owners.iter().rev().filter(|owner| !owner.ended).map(|owner| owner.call).take(2).collect();
        if up.is_empty() { self.owners.last().map(|owner| owner.call).into_iter().collect() } else { up }
    }

    /// Adds or renews a call's claim.
    pub(crate) fn claim(&mut self, call: CallRef, formats: &[Format]) {
        if let Some(owner) = self.owners.iter_mut().find(|owner| owner.call == call) {
            owner.ended = false;
            for format in formats {
                owner.formats.retain(|known| known.payload_type != format.payload_type);
                owner.formats.push(*format);
            }
            // An attacker may name other formats in every offer; RTP has 128 payload types.
            owner.formats.truncate(128);
            return;
        }
        if self.owners.len() >= MAX_OWNERS {
            self.owners.remove(0);
        }
        self.owners.push(Owner { call, ended: false, formats: formats.into() });
    }
}

/// The table of endpoints.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    index: HashTable<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    hasher: RandomState,
}

impl Endpoints {
    fn hash(&self, endpoint: Endpoint) -> u64 {
        self.hasher.hash_one(endpoint)
    }

    #[inline]
    pub(crate) fn find(&self, endpoint: Endpoint) -> Option<u32> {
        if self.index.is_empty() {
            return None;
        }
        let is_it = |&slot: &u32| self.get(slot).is_some_and(|entry| entry.endpoint == endpoint);
        self.index.find(self.hash(endpoint), is_it).copied()
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(slot as usize)
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.entries.get_mut(slot as usize)
    }

    /// The entry found at `endpoint`, if some call announced it.
    pub(crate) fn claimed(&self, endpoint: Endpoint) -> Option<&Entry> {
        self.find(endpoint).and_then(|slot| self.get(slot)).filter(|entry| !entry.owners.is_empty())
    }

    pub(crate) fn find_or_insert(&mut self, endpoint: Endpoint) -> u32 {
        if let Some(slot) = self.find(endpoint) {
            return slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.entries.len() as u32 - 1
        });
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.endpoint = endpoint;
        }
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash_of =
            |&slot: &u32| entries.get(slot as usize).map_or(0, |entry| hasher.hash_one(entry.endpoint));
        self.index.insert_unique(hasher.hash_one(endpoint), slot, hash_of);
        slot
    }

    /// Forgets the entry when nobody owns or touches it any more.
    pub(crate) fn release(&mut self, slot: u32) {
        let Some(entry) = self.get(slot) else { return };
        if !entry.owners.is_empty() || !entry.flows.is_empty() {
            return;
        }
        let hash = self.hash(entry.endpoint);
        if let Ok(found) = self.index.find_entry(hash, |&other| other == slot) {
            found.remove();
            self.free.push(slot);
        }
    }
}
