//! Which calls announced which endpoint, and which flows touch it.

use smallvec::SmallVec;

use super::crowd::Crowd;
use super::flows::{Claim, Owners};
use super::formats::{Formats, Lists};
use super::sieve::Sieve;
use crate::flow::{Endpoint, Index, PairHasher};
use crate::near::fetch;
use crate::sip::sdp::{Format, MediaKind, Srtp};
use crate::slots::Slots;

/// A call, as media knows it: its slot, and which of the slot's tenants it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CallRef {
    /// Slot of the call in the tracker.
    pub slot: u32,
    /// Generation of that slot.
    pub generation: u32,
}

impl CallRef {
    /// No call.
    pub(crate) const NONE: Self = Self { slot: u32::MAX, generation: u32::MAX };
}

/// An announced endpoint in the table: valid until its call's claim is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointId(pub(super) u32);

/// Calls of an endpoint that are looked at one by one; two legs of a call whose media bypasses the B2BUA share theirs.
const FEW: usize = 8;

/// Flows in the list of an endpoint from which on those are left out that the list of their other end has: to go through it
/// is what a call at the endpoint costs.
const ENOUGH: usize = 16;

/// Flows in the list of an endpoint, by the calls there: an attacker who sends to one port from everywhere gets no more.
const FLOWS: std::ops::RangeInclusive<usize> = 64..=256;

/// What is known of the calls that announced something, by slot. Whether a call is over is asked where its endpoints
/// are looked at, so that its end need not visit each of them.
#[derive(Debug, Default)]
pub(crate) struct Calls(Vec<Mark>);

/// The generation of a slot, as far as there is room for it, and bits of its tenant: four bytes, for all of them are to
/// stay in the cache.
#[derive(Clone, Copy, Debug, Default)]
struct Mark(u32);

impl Mark {
    const ENDED: u32 = 1;
    /// Another call has announced an endpoint of this one too.
    const SHARES: u32 = 2;
    /// Its caller has described a session, and who was called has.
    const SIDES: [u32; 2] = [4, 8];
    /// So many bits are not of the generation.
    const BITS: u32 = 4;

    const fn of(generation: u32) -> Self {
        Self(generation << Self::BITS)
    }

    const fn is_of(self, generation: u32) -> bool {
        self.0 >> Self::BITS == Self::of(generation).0 >> Self::BITS
    }

    const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }
}

impl Calls {
    fn mark(&mut self, call: CallRef) -> Option<&mut Mark> {
        if self.0.len() <= call.slot as usize {
            self.0.resize(call.slot as usize + 1, Mark::default());
        }
        let mark = self.0.get_mut(call.slot as usize)?;
        if !mark.is_of(call.generation) {
            *mark = Mark::of(call.generation);
        }
        Some(mark)
    }

    /// Fetches the mark of the call in that slot.
    pub(crate) fn touch(&self, slot: u32) {
        self.0.get(slot as usize).into_iter().for_each(fetch);
    }

    fn has(&self, call: CallRef, bit: u32) -> bool {
        self.0.get(call.slot as usize).is_some_and(|mark| mark.has(bit) && mark.is_of(call.generation))
    }

    /// Whether the call is over, as far as it was told here.
    pub(crate) fn has_ended(&self, call: CallRef) -> bool {
        self.has(call, Mark::ENDED)
    }

    /// One side of a call has described a session.
    pub(crate) fn describe(&mut self, call: CallRef, is_caller: bool) {
        let [caller, called] = Mark::SIDES;
        let bit = if is_caller { caller } else { called };
        self.mark(call).into_iter().for_each(|mark| mark.0 |= bit);
    }

    /// Whether both sides of a call have.
    pub(crate) fn is_agreed(&self, call: CallRef) -> bool {
        Mark::SIDES.into_iter().all(|bit| self.has(call, bit))
    }

    /// Whether another call has announced an endpoint of this one too.
    pub(crate) fn shares(&self, call: CallRef) -> bool {
        self.has(call, Mark::SHARES)
    }

    /// The call is over; true when that may concern another.
    pub(crate) fn end(&mut self, call: CallRef) -> bool {
        self.mark(call).is_some_and(|mark| {
            mark.0 |= Mark::ENDED;
            mark.has(Mark::SHARES)
        })
    }
}

/// One endpoint. What is asked for where nothing flows is one cache line.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Entry {
    pub(crate) endpoint: Endpoint,
    /// What RTP is to carry there.
    pub(crate) kinds: Kinds,
    /// Whether RTP there is SRTP, as the latest announcement says.
    pub(crate) srtp: Srtp,
    /// One of them announced T.38 (UDPTL).
    pub(crate) fax: bool,
    /// The calls that announced it, the latest few, in order.
    owners: SmallVec<[CallRef; 2]>,
    /// The formats announced by those who own it.
    formats: Formats,
    /// Flows that are in the list of their other end alone.
    pub(crate) unlisted: u32,
    /// Flows that it is an end of, but for these.
    pub(crate) flows: SmallVec<[u32; 4]>,
    /// The calls that announced it before; there are none while `owners` has room.
    crowd: Option<Box<Crowd>>,
}

const _: () = assert!(std::mem::offset_of!(Entry, flows) < 64 && size_of::<Entry>() == 128);

/// Which kinds of media share an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kinds {
    #[default]
    None,
    Only(MediaKind),
    /// As with BUNDLE (RFC 8843).
    Several,
}

impl Kinds {
    /// The kind, when there is one alone.
    pub(crate) const fn only(self) -> Option<MediaKind> {
        if let Self::Only(kind) = self { Some(kind) } else { None }
    }

    fn add(&mut self, kind: MediaKind) {
        *self = match *self {
            Self::None => Self::Only(kind),
            Self::Only(known) if known == kind => *self,
            _ => Self::Several,
        };
    }
}

impl Entry {
    /// Whether some call has announced it.
    pub(crate) fn is_announced(&self) -> bool {
        !self.owners.is_empty()
    }

    /// How many calls have announced it.
    pub(crate) fn count(&self) -> usize {
        self.owners.len() + self.crowd.as_ref().map_or(0, |crowd| crowd.len())
    }

    /// Whether that call has announced it.
    pub(crate) fn has(&self, call: CallRef) -> bool {
        self.owners.contains(&call)
            || (self.is_crowded() && self.crowd.as_ref().is_some_and(|crowd| crowd.has(call)))
    }

    /// Whether more calls than are looked at one by one may have announced it.
    pub(crate) fn is_crowded(&self) -> bool {
        self.owners.len() >= FEW
    }

    /// Whether its list is to have no more flows that that of their other end has.
    pub(crate) fn has_enough(&self) -> bool {
        self.flows.len() >= ENOUGH
    }

    /// Whether its list has no room for one more flow.
    pub(crate) fn is_full(&self) -> bool {
        self.flows.len() >= (2 * self.count()).clamp(*FLOWS.start(), *FLOWS.end())
    }

    /// The first calls that announced it, and the latest ones, in order.
    fn known(&self) -> impl Iterator<Item = CallRef> {
        let crowd = self.crowd.iter().flat_map(|crowd| crowd.iter().take(FEW));
        crowd.chain(self.owners.iter().copied())
    }

    /// The latest calls that announced it, in order.
    pub(crate) fn latest(&self) -> impl DoubleEndedIterator<Item = CallRef> {
        self.owners.iter().copied()
    }

    /// The calls that a packet of this endpoint belongs to now, when nothing else tells: the latest that are up, else the
    /// latest to end.
    pub(crate) fn calls(&self, calls: &Calls) -> Owners {
        let owners = || self.owners.iter().rev().copied();
        let up = Owners::new(owners().filter(|&owner| !calls.has_ended(owner)));
        if up.is_empty() { Owners::new(owners().take(1)) } else { up }
    }

    /// The calls that announced the other end too, in order: those that are up, else the latest to end. Attack: INVITEs that
    /// name both ends of somebody's call, which has an answer. They count where there is none.
    pub(crate) fn calls_with(&self, other: &Self, calls: &Calls) -> SmallVec<[CallRef; FEW]> {
        let (few, many) = if self.count() <= other.count() { (self, other) } else { (other, self) };
        let mut both: SmallVec<[CallRef; FEW]> = few.known().filter(|&owner| many.has(owner)).collect();
        let last = both.last().copied();
        both.retain(|owner| !calls.has_ended(*owner));
        if both.iter().any(|&owner| calls.is_agreed(owner)) {
            both.retain(|owner| calls.is_agreed(*owner));
        }
        if both.is_empty() { last.into_iter().collect() } else { both }
    }

    /// Whether those who announced it are other calls, and over.
    pub(crate) fn is_left_to(&self, call: CallRef, calls: &Calls) -> bool {
        self.crowd.is_none() && self.owners.iter().all(|&owner| owner != call && calls.has_ended(owner))
    }

    /// Whoever owned it is gone, and what they announced.
    fn forget(&mut self, lists: &mut Lists) {
        lists.release(&mut self.formats);
        (self.srtp, self.kinds, self.fax) = (Srtp::Never, Kinds::None, false);
    }

    /// Adds or renews a call's claim.
    fn claim(&mut self, call: CallRef, claim: &Claim<'_>, calls: &mut Calls, lists: &mut Lists) {
        if self.is_left_to(call, calls) {
            self.forget(lists);
        }
        // Where T.38 follows speech, as it does at the same port, speech it was.
        match claim.kind {
            MediaKind::Image => self.fax = true,
            kind => {
                self.kinds.add(kind);
                self.srtp = claim.srtp;
            }
        }
        calls.mark(call).into_iter().for_each(|mark| mark.0 &= !Mark::ENDED);
        lists.add(&mut self.formats, claim.formats);
        if self.has(call) {
            return;
        }
        if self.is_crowded() {
            // One that is over goes first.
            let over = self.owners.iter().position(|&owner| calls.has_ended(owner));
            let owner = self.owners.remove(over.unwrap_or_default());
            self.crowd.get_or_insert_default().push(owner);
        }
        self.owners.push(call);
        if self.owners.len() > 1 {
            self.owners.iter().for_each(|&owner| {
                calls.mark(owner).into_iter().for_each(|mark| mark.0 |= Mark::SHARES);
            });
        }
    }

    /// The call's claim is closed.
    pub(crate) fn remove(&mut self, call: CallRef) {
        let is_crowded = self.is_crowded();
        self.owners.retain(|owner| *owner != call);
        if !is_crowded {
            return;
        }
        let Some(crowd) = &mut self.crowd else { return };
        if self.owners.len() == FEW {
            crowd.remove(call);
        } else if let Some(owner) = crowd.pop() {
            self.owners.insert(0, owner);
        }
        self.crowd.take_if(|crowd| crowd.len() == 0);
    }
}

/// The table of endpoints.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    index: Index,
    entries: Slots<Entry>,
    free: Vec<u32>,
    lists: Lists,
    hasher: PairHasher,
    sieve: Sieve,
}

impl Endpoints {
    #[inline]
    fn hash(&self, endpoint: Endpoint) -> u64 {
        self.hasher.hash_one(endpoint)
    }

    /// Whether an endpoint with that hash may be in the table. Cheaper than to look it up, and never wrongly `false`.
    #[inline]
    pub(crate) fn may_know(&self, hash: u64) -> bool {
        self.sieve.may_have(hash)
    }

    #[inline]
    pub(crate) fn find(&self, endpoint: Endpoint) -> Option<u32> {
        let hash = self.hash(endpoint);
        if !self.sieve.may_have(hash) {
            return None;
        }
        self.find_hashed(hash, endpoint)
    }

    #[inline]
    fn find_hashed(&self, hash: u64, endpoint: Endpoint) -> Option<u32> {
        self.index.find(hash, |slot| self.get(slot).is_some_and(|entry| entry.endpoint == endpoint))
    }

    /// Fetches what [`Self::find_or_insert`] and [`Self::claim`] will need for each of `announced`. Nothing waits for what
    /// was found the moment before.
    pub(crate) fn touch(&self, announced: impl Iterator<Item = Endpoint>) {
        let hashes: SmallVec<[u64; 64]> = announced.map(|endpoint| self.hash(endpoint)).collect();
        for &hash in &hashes {
            self.sieve.touch(hash);
            self.index.fetch(hash);
        }
        let mut free = self.free.iter().rev().copied();
        let likely = hashes.iter().map(|&hash| self.index.find(hash, |_| true).or_else(|| free.next()));
        let entries = likely.filter_map(|slot| self.get(slot?));
        entries.for_each(fetch);
    }

    /// Fetches what [`Self::release`] will need for each of `announced`.
    pub(crate) fn touch_announced(&self, announced: impl Iterator<Item = (EndpointId, Endpoint)>) {
        for (id, endpoint) in announced {
            self.index.fetch(self.hash(endpoint));
            let Some(entry) = self.get(id.0) else { continue };
            fetch(entry);
            fetch(&entry.formats);
            fetch(&entry.flows);
        }
    }

    /// Adds or renews a call's claim.
    pub(crate) fn claim(&mut self, slot: u32, call: CallRef, claim: &Claim<'_>, calls: &mut Calls) {
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.claim(call, claim, calls, &mut self.lists);
        }
    }

    /// The formats announced at an endpoint.
    pub(crate) fn formats(&self, entry: &Entry) -> &[Format] {
        self.lists.of(&entry.formats)
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(slot as usize)
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.entries.get_mut(slot as usize)
    }

    /// The entry found at `endpoint`, if some call announced it.
    pub(crate) fn claimed(&self, endpoint: Endpoint) -> Option<&Entry> {
        self.find(endpoint).and_then(|slot| self.get(slot)).filter(|entry| entry.is_announced())
    }

    pub(crate) fn find_or_insert(&mut self, endpoint: Endpoint) -> u32 {
        let hash = self.hash(endpoint);
        if let Some(slot) = self.find_hashed(hash, endpoint) {
            return slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| self.entries.push(Entry::default()));
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.endpoint = endpoint;
            entry.forget(&mut self.lists);
        }
        self.index.insert(hash, slot);
        if !self.sieve.mark(hash) {
            let entries = self.index.slots().filter_map(|slot| self.get(slot));
            self.sieve = Sieve::of(self.index.len(), entries.map(|entry| self.hash(entry.endpoint)));
        }
        slot
    }

    /// Forgets the entry when nobody owns or touches it any more.
    pub(crate) fn release(&mut self, slot: u32) {
        let Some(entry) = self.get(slot) else { return };
        if entry.is_announced() || entry.unlisted > 0 || !entry.flows.is_empty() {
            return;
        }
        let hash = self.hash(entry.endpoint);
        if self.index.remove(hash, slot) {
            self.free.push(slot);
        }
    }
}

/// Where RTCP goes when nothing else is said: the next port (RFC 3550 11).
pub(crate) fn next_port(endpoint: Endpoint) -> Option<Endpoint> {
    Some(Endpoint { port: endpoint.port.checked_add(1)?, ..endpoint })
}

/// The endpoint whose next port this is.
pub(crate) fn port_before(endpoint: Endpoint) -> Option<Endpoint> {
    Some(Endpoint { port: endpoint.port.checked_sub(1)?, ..endpoint })
}
