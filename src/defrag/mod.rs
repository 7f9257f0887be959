//! IPv4 and IPv6 fragments become datagrams (RFC 791 3.2, RFC 8200 4.5).
//!
//! In: fragments in any order. Out: each datagram's payload once, when its last missing piece arrives. Of one whose rest does not
//! come, what there is from its first byte on can be asked for before ([`Defragmenter::beginning`]): a filter for ports lets
//! nothing but first fragments through, and a first fragment that the capture cut never becomes whole.
//!
//! Where fragments overlap the bytes that came first win, in both families. Fragments that cannot be are dropped
//! and counted by reason; each fragment is counted in the end as one of `joined`, `duplicates`, `conflicts`,
//! `bad_length`, `inconsistent`, `cut`, `oversize` or `stranded`.
//!
//! A capture on both sides of a router sees every fragment twice, and the second set is a second datagram. A
//! fragment whose bytes are all there, the same, therefore begins or goes on with a copy behind the first, up to
//! [`MAX_COPIES`]. A copy, or a fragment that comes within [`COPY_WINDOW`] after its datagram was completed, is no
//! failure if it stays alone: it ends as a duplicate. Identifications come round (RFC 4963), so a copy that is older than
//! that, or a copy or a beginning that was given out with which a fragment disagrees, gives way to a new datagram.
//!
//! Memory is bounded by the number of datagrams, by the bytes allocated for all of them (which one more fragment
//! may exceed) and for each; at a bound the oldest datagram goes. Nothing is allocated in the steady state.
//! Absent on purpose: any look at the payload, and checksums.

mod completed;
mod pending;
mod pieces;
mod table;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::capture::{LinkType, Packet};
use crate::decode::Fragment;
use crate::time::Timestamp;
use completed::Completed;
pub use pending::Carrier;
use pending::{Arrival, Beginning, Kept, Key, Outcome, Pending};
use table::Table;

/// How many copies of one datagram are collected at a time: a packet that crosses a host's bridges shows on a few
/// interfaces.
pub const MAX_COPIES: usize = 4;

/// How long after a datagram its copies may come.
pub const COPY_WINDOW: Duration = Duration::from_secs(1);

/// How long the beginning of a datagram waits for its rest: longer than taps are off by. The fragments of a datagram are sent in
/// one go.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// So many datagrams are looked at for those of one call, the latest. Attack: first fragments only, which none of a call's
/// messages should cost much.
const LOOKED_AT: usize = 128;

/// The longest datagram (RFC 791 3.1, RFC 8200 3).
const MAX_LENGTH: u32 = 65_535;

/// What a [`Defragmenter`] may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Datagrams collected at a time.
    pub max_datagrams: usize,
    /// Bytes allocated for all of them.
    pub max_bytes: usize,
    /// Packet time after which an incomplete datagram is given up (30 s in RFC 791 and most systems).
    pub timeout: Duration,
    /// Keep the captured frames, so that they can be written with the call.
    pub keep_frames: bool,
}

/// What became of fragments and datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Fragments handed in.
    pub fragments: u64,
    /// Datagrams completed.
    pub reassembled: u64,
    /// Fragments that completed datagrams were made of.
    pub joined: u64,
    /// Fragments that were there already, or belonged to a copy that never was completed.
    pub duplicates: u64,
    /// Fragments all of whose bytes were there already, with other values.
    pub conflicts: u64,
    /// Fragments that joined, but overlapped earlier ones.
    pub overlaps: u64,
    /// Fragments that are empty, reach beyond 65,535 bytes or are not the last and no multiple of eight bytes.
    pub bad_length: u64,
    /// Fragments that contradict where their datagram ends.
    pub inconsistent: u64,
    /// Fragments, not the last of their datagram, that the capture cut short.
    pub cut: u64,
    /// Fragments for which their datagram had no room: too many pieces, or too many bytes around them.
    pub oversize: u64,
    /// Fragments in datagrams that failed.
    pub stranded: u64,
    /// Datagrams that failed because their time was up.
    pub expired: u64,
    /// Datagrams that failed because others needed the room.
    pub evicted: u64,
    /// Datagrams that failed because the capture ended.
    pub unfinished: u64,
}

impl Counters {
    /// Datagrams that failed.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.expired + self.evicted + self.unfinished
    }
}

/// A datagram put together, or the beginning of one; valid until the next fragment is pushed.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Everything after the IP header (in IPv6, after the fragment header).
    pub payload: &'a [u8],
    /// The first fragment, made to stand for the whole: `more` is unset, `missing` is what the capture cut off
    /// the datagram's end. It and `payload` go to [`crate::decode::decode_datagram`].
    pub first: Fragment,
    /// The first fragment's frame up to its payload: link headers, then the IP header from `first.network` on.
    pub header: &'a [u8],
    /// When the first fragment was captured.
    pub captured: Timestamp,
    /// Link type of the first fragment's frame; none when that came in a datagram.
    pub link: Option<LinkType>,
    /// How many fragments it was made of.
    pub fragments: u32,
    /// It is whole, and its beginning was given out before.
    pub completes: bool,
    frames: &'a [Kept],
    arena: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// The frames of its fragments in the order in which these came, without those that were given out with its beginning; none
    /// unless [`Limits::keep_frames`].
    /// [`Packet::offset`] is where the frame lay in its own batch.
    pub fn frames(&self) -> impl Iterator<Item = (Packet, &'a [u8])> + use<'a> {
        let arena = self.arena;
        self.frames.iter().map(move |kept| (kept.packet, kept.bytes(arena)))
    }
}

/// Which beginning is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// The next one that has waited for [`PATIENCE`] by then.
    Due(Timestamp),
    /// The next one, however short it has waited: the capture is over.
    Any,
    /// The oldest one of the call that is known by that number: something says that its rest does not come.
    Call(u64),
    /// The one that began with this fragment, if the capture cut its first.
    Cut(&'a Fragment),
}

/// Puts datagrams together.
#[derive(Debug)]
pub struct Defragmenter {
    limits: Limits,
    table: Table,
    completed: Completed,
    payload: Vec<u8>,
    counters: Counters,
}

/// Why a datagram is given up.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Expired,
    Evicted,
    Unfinished,
}

impl Defragmenter {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            table: Table::default(),
            completed: Completed::default(),
            payload: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Takes one fragment and returns its datagram if that is whole now. `buffer` is what the fragment was decoded
    /// from: the captured frame, or the payload of the datagram that carries it.
    pub fn push(
        &mut self,
        fragment: &Fragment,
        carrier: Carrier<'_>,
        buffer: &[u8],
        now: Timestamp,
    ) -> Option<Datagram<'_>> {
        self.counters.fragments += 1;
        let Some(bytes) = bytes_of(fragment, buffer) else {
            self.counters.bad_length += 1;
            return None;
        };
        self.make_room();
        let slot = self.collect(&Arrival { fragment, carrier, buffer, bytes, now })?;
        self.complete(slot, now)
    }

    /// This fragment is of that time, and not of the one with which it came: its datagram has the time-out before it.
    pub fn heard(&mut self, fragment: &Fragment, at: Timestamp) {
        let key = Key::of(fragment);
        let mut slot = self.table.find(self.table.hash(&key), &key);
        while let Some(pending) = slot.and_then(|slot| self.table.get_mut(slot)) {
            pending.created = at;
            slot = slot.and_then(|slot| self.table.copy_of(slot));
        }
    }

    /// Whether the beginning of a datagram may be waiting for its rest.
    #[inline]
    pub const fn is_waiting(&self) -> bool {
        self.table.newest_unseen().is_some()
    }

    /// What there is of a datagram whose rest has not come: as if the capture had cut it there. Each is given once, if it is one
    /// that `call_of` tells the call of, and goes on waiting; its fragments are counted as before. Should its rest
    /// come, the whole [completes](Datagram::completes) it. Copies are not given: what they are copies of was.
    pub fn beginning(
        &mut self,
        asked: Asked<'_>,
        mut call_of: impl FnMut(&Datagram<'_>) -> Option<u64>,
    ) -> Option<Datagram<'_>> {
        let slot = match asked {
            Asked::Due(now) => self.due(Some(now), &mut call_of),
            Asked::Any => self.due(None, &mut call_of),
            Asked::Call(call) => self.of_call(call, &mut call_of),
            Asked::Cut(fragment) => self.cut(fragment, &mut call_of),
        }?;
        let pending = self.table.get_mut(slot)?;
        pending.given = Some(pending.frames.len());
        self.datagram(slot, 0)
    }

    fn due(
        &mut self,
        now: Option<Timestamp>,
        call_of: &mut impl FnMut(&Datagram<'_>) -> Option<u64>,
    ) -> Option<u32> {
        loop {
            let slot = self.table.oldest_unseen()?;
            let pending = self.table.get(slot)?;
            if now.is_some_and(|now| now.since(pending.created) < PATIENCE) {
                return None;
            }
            let is_news = pending.is_news();
            self.table.see(slot);
            if is_news && self.datagram(slot, 0).as_ref().and_then(&mut *call_of).is_some() {
                return Some(slot);
            }
        }
    }

    fn of_call(&mut self, call: u64, call_of: &mut impl FnMut(&Datagram<'_>) -> Option<u64>) -> Option<u32> {
        let (mut found, mut next) = (None, self.table.newest_unseen());
        for _ in 0..LOOKED_AT {
            let Some(slot) = next else { break };
            next = self.table.unseen_before(slot);
            let Some(pending) = self.table.get(slot).filter(|pending| pending.is_news()) else { continue };
            if pending.call.is_none() {
                let told =
                    self.datagram(slot, 0).as_ref().map(|datagram| call_of(datagram).unwrap_or_default());
                self.table.get_mut(slot)?.call = told;
            }
            if self.table.get(slot)?.call == Some(call) {
                found = Some(slot);
            }
        }
        found
    }

    fn cut(
        &mut self,
        fragment: &Fragment,
        call_of: &mut impl FnMut(&Datagram<'_>) -> Option<u64>,
    ) -> Option<u32> {
        let key = Key::of(fragment);
        let mut next = self.table.find(self.table.hash(&key), &key);
        while let Some(slot) = next {
            next = self.table.copy_of(slot);
            let is_it =
                self.table.get(slot).is_some_and(|pending| pending.is_cut() && pending.given.is_none());
            if is_it && self.datagram(slot, 0).as_ref().and_then(&mut *call_of).is_some() {
                return Some(slot);
            }
        }
        None
    }

    /// Gives up what is older than the time-out.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(slot) = self.table.oldest() {
            let created = self.table.get(slot).map_or(now, |pending| pending.created);
            if now.since(created) <= self.limits.timeout {
                return;
            }
            self.give_up(slot, Loss::Expired);
        }
    }

    /// The capture is over: what is incomplete has failed.
    pub fn finish(&mut self) {
        while let Some(slot) = self.table.oldest() {
            self.give_up(slot, Loss::Unfinished);
        }
    }

    /// What became of everything so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Datagrams being collected.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.table.len()
    }

    /// Bytes allocated for them.
    #[must_use]
    pub const fn allocated(&self) -> usize {
        self.table.allocated()
    }

    /// Offers a fragment to the datagram of its key, then to the copies behind it. Returns the datagram that it
    /// joined.
    fn collect(&mut self, arrival: &Arrival<'_>) -> Option<u32> {
        let key = Key::of(arrival.fragment);
        let hash = self.table.hash(&key);
        let mut slot = self.head(&key, hash, arrival.now);
        // What may be left of an earlier use of the identification and is contradicted is replaced, by what cannot be.
        for _ in 0..=MAX_COPIES {
            let pending = self.table.get_mut(slot)?;
            let may_be_old = pending.copy || pending.given.is_some();
            let outcome = pending.add(arrival, self.limits.keep_frames);
            self.table.recount(slot);
            match outcome {
                Outcome::Duplicate => match self.copy_after(slot, arrival.now) {
                    Some(copy) => slot = copy,
                    None => break,
                },
                Outcome::Conflict | Outcome::Inconsistent if may_be_old => {
                    slot = self.begin_anew(&key, hash, arrival.now);
                }
                outcome => {
                    self.count(outcome);
                    return matches!(outcome, Outcome::Joined { .. }).then_some(slot);
                }
            }
        }
        self.counters.duplicates += 1;
        None
    }

    /// The datagram that a fragment belongs to. A copy left over from an earlier use of the identification does
    /// not count.
    fn head(&mut self, key: &Key, hash: u64, now: Timestamp) -> u32 {
        while let Some(slot) = self.table.find(hash, key) {
            let stale = |pending: &Pending| pending.copy && now.since(pending.created) > COPY_WINDOW;
            if !self.table.get(slot).is_some_and(stale) {
                return slot;
            }
            self.give_up(slot, Loss::Expired);
        }
        let remembered = self.completed.when(hash).is_some_and(|then| now.since(then) <= COPY_WINDOW);
        self.begin(key, hash, now, remembered)
    }

    /// Contradiction says that an identification is in use again: what is there of it goes.
    fn begin_anew(&mut self, key: &Key, hash: u64, now: Timestamp) -> u32 {
        while let Some(slot) = self.table.find(hash, key) {
            self.give_up(slot, Loss::Expired);
        }
        self.begin(key, hash, now, false)
    }

    fn begin(&mut self, key: &Key, hash: u64, now: Timestamp, copy: bool) -> u32 {
        while self.table.len() >= self.limits.max_datagrams.max(1) {
            let Some(oldest) = self.table.oldest() else { break };
            self.give_up(oldest, Loss::Evicted);
        }
        self.table.insert(*key, hash, now, copy)
    }

    /// The copy behind a datagram; a new one if there is room and the chain is short.
    fn copy_after(&mut self, slot: u32, now: Timestamp) -> Option<u32> {
        if let Some(copy) = self.table.copy_of(slot) {
            return Some(copy);
        }
        let room = self.table.len() < self.limits.max_datagrams && self.table.chain_length(slot) < MAX_COPIES;
        if room { self.table.insert_copy(slot, now) } else { None }
    }

    fn count(&mut self, outcome: Outcome) {
        let counters = &mut self.counters;
        match outcome {
            Outcome::Joined { overlap } => counters.overlaps += u64::from(overlap),
            Outcome::Duplicate => counters.duplicates += 1,
            Outcome::Conflict => counters.conflicts += 1,
            Outcome::Inconsistent => counters.inconsistent += 1,
            Outcome::Cut => counters.cut += 1,
            Outcome::Full => counters.oversize += 1,
        }
    }

    /// Takes a datagram out if it is whole.
    fn complete(&mut self, slot: u32, now: Timestamp) -> Option<Datagram<'_>> {
        let pending = self.table.get(slot).filter(|pending| pending.is_complete())?;
        let Pending { hash, fragments, given, .. } = *pending;
        self.counters.reassembled += 1;
        self.counters.joined += u64::from(fragments);
        self.completed.note(hash, now);
        self.table.remove(slot);
        let datagram = self.datagram(slot, given.unwrap_or_default())?;
        Some(Datagram { completes: given.is_some(), ..datagram })
    }

    /// A datagram as far as it is there, with the frames behind the first `given`.
    fn datagram(&mut self, slot: u32, given: usize) -> Option<Datagram<'_>> {
        let pending = self.table.get(slot)?;
        let Beginning { first, header, captured, link } = pending.join(&mut self.payload)?;
        let frames = pending.frames.get(given..).unwrap_or_default();
        let (fragments, arena) = (pending.fragments, &pending.arena[..]);
        let payload = &self.payload;
        Some(Datagram { payload, first, header, captured, link, fragments, completes: false, frames, arena })
    }

    /// Gives unused buffers back, then the oldest datagrams, until the rest is within its bytes.
    fn make_room(&mut self) {
        while self.table.allocated() > self.limits.max_bytes {
            self.table.trim();
            if self.table.allocated() > self.limits.max_bytes {
                let Some(oldest) = self.table.oldest() else { return };
                self.give_up(oldest, Loss::Evicted);
            }
        }
    }

    fn give_up(&mut self, slot: u32, loss: Loss) {
        let Some(pending) = self.table.get(slot) else { return };
        let (copy, fragments) = (pending.copy, u64::from(pending.fragments));
        self.table.remove(slot);
        if copy {
            self.counters.duplicates += fragments;
            return;
        }
        self.counters.stranded += fragments;
        match loss {
            Loss::Expired => self.counters.expired += 1,
            Loss::Evicted => self.counters.evicted += 1,
            Loss::Unfinished => self.counters.unfinished += 1,
        }
    }
}

/// The bytes of a fragment that can be one.
fn bytes_of<'a>(fragment: &Fragment, buffer: &'a [u8]) -> Option<&'a [u8]> {
    let length = fragment.length.checked_add(fragment.missing)?;
    let end = fragment.offset.checked_add(length)?;
    let whole_eights = !fragment.more || length % 8 == 0;
    let bytes = buffer.get(fragment.start as usize..)?.get(..fragment.length as usize)?;
    (length > 0 && end <= MAX_LENGTH && whole_eights).then_some(bytes)
}
