//! One conversation through proxies and B2BUAs is one session of several legs.
//!
//! In: the INVITEs that begin calls, and their answers. Out: for each call the session that it belongs to and all legs of
//! that: the hops of a call under one Call-ID, and other calls that a header field joins to it, or else a score of what
//! speaks for it. What the two INVITEs say is noted when the second comes; what happens later (ringing, answer, end) is read
//! from both dialogs when somebody asks, and at last when one of them is over: then it is decided.
//!
//! Invariants: what could be either of two is neither; nothing is done for a packet of media or inside a dialog; all that
//! is kept is bounded; the order of messages alone decides. Absent on purpose: a leg whose INVITE was not captured, and
//! one that begins when the other is answered already, as of a callback or a transfer.

mod follow;
mod leg;
mod links;
mod names;
mod number;
mod record;
mod score;
mod session;
#[cfg(test)]
mod tests;
mod waiting;

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use self::leg::{Leg, LegId};
use self::links::{Links, MAX_INCOMING, MAX_OUTGOING};
use self::names::{Field, Named, Value};
use self::number::Number;
use self::score::{AHEAD, Evidence, WORTH_WATCHING, invites, is_waiting};
use self::session::{Join, Sessions, Who};
use self::waiting::{Found, Waiting};
use super::dialog::Look;
use super::tracker::Tracker;
use crate::flow::Address;
use crate::sip::Rare;
use crate::sip::call_id_key;
use crate::sip::sdp::Media;
use crate::slots::Slots;
use crate::time::Timestamp;

pub use self::record::LegRecord;

/// Which legs are followed, and how.
#[derive(Clone, Debug, Default)]
pub struct LegSettings {
    /// Header fields besides X-Call-ID and X-CID that name another leg's Call-ID, or have the same value in all legs.
    pub fields: Vec<String>,
}

/// What two calls may have in common, for the table of those that wait.
#[derive(Clone, Copy, Hash)]
enum Shared {
    Called(Address, u64),
    Calling(Address, u64),
    Media(Address, u16),
}

/// All calls as legs.
#[derive(Debug)]
pub(super) struct Legs {
    fields: Vec<String>,
    /// Keys in each table of those that wait.
    room: usize,
    legs: Slots<Leg>,
    free: Vec<u32>,
    /// Place of each dialog's leg plus 1; 0 is none.
    of_slot: Vec<u32>,
    waiting: Waiting,
    sessions: Sessions,
    hasher: RandomState,
    /// Calls that might have been a leg and were not looked at: a table was full.
    overlooked: u64,
}

impl Legs {
    pub(super) fn new(fields: Vec<String>, room: usize) -> Self {
        Self {
            fields,
            room,
            legs: Slots::default(),
            free: Vec::new(),
            of_slot: Vec::new(),
            waiting: Waiting::default(),
            sessions: Sessions::default(),
            hasher: RandomState::default(),
            overlooked: 0,
        }
    }

    /// Joins that were not made, or not looked for, because something was full.
    pub(super) const fn dropped(&self) -> u64 {
        self.overlooked + self.sessions.refused
    }

    fn of(&self, slot: u32) -> Option<LegId> {
        let index = self.of_slot.get(slot as usize)?.checked_sub(1)?;
        let leg = self.legs.get(index as usize)?;
        Some(LegId { index, generation: leg.generation })
    }

    /// Takes an INVITE that is seen for the first time, with no To-tag.
    fn invite(&mut self, slot: u32, look: &Look<'_>, media: &[Media], tracker: &Tracker) {
        let known = self.of(slot);
        let id = known.unwrap_or_else(|| self.begin(slot, look, media));
        let at = look.message.timestamp;
        let Some(leg) = self.leg_mut(id) else { return };
        let is_hop = leg.hop(look);
        let is_anew = look.head.cseq > leg.cseq;
        if is_anew {
            (leg.cseq, leg.invited) = (look.head.cseq, at);
        }
        let named = if look.head.rare.has(Rare::OTHER_LEGS) || !self.fields.is_empty() {
            Named::of(look.bytes, &self.fields)
        } else {
            Named::default()
        };
        if known.is_none() {
            self.named_before(id, look);
        }
        self.identify(id, &named, tracker);
        if known.is_none() {
            let diverted: SmallVec<[Number; 4]> =
                named.diverted.iter().map(|user| Number::of(user, &self.hasher)).collect();
            self.look_for_incoming(id, &diverted, tracker);
        }
        if is_hop || is_anew {
            self.wait(id, look.message.destination.address, at);
        }
    }

    fn begin(&mut self, slot: u32, look: &Look<'_>, media: &[Media]) -> LegId {
        let index = self.free.pop().unwrap_or_else(|| self.legs.push(Leg::default()));
        let place = slot as usize;
        if self.of_slot.len() <= place {
            self.of_slot.resize(place + 1, 0);
        }
        if let Some(of_slot) = self.of_slot.get_mut(place) {
            *of_slot = index + 1;
        }
        let Some(leg) = self.legs.get_mut(index as usize) else { return LegId::default() };
        leg.begin(slot, look, media, &self.hasher);
        LegId { index, generation: leg.generation }
    }

    /// Takes an answer to an INVITE that is seen for the first time.
    fn response(&mut self, slot: u32, look: &Look<'_>, status: u16, tracker: &Tracker) {
        let Some(id) = self.of(slot) else { return };
        let Some(leg) = self.leg_mut(id).filter(|leg| look.head.cseq <= leg.cseq) else { return };
        leg.answered(look, status);
        if look.head.rare.has(Rare::OTHER_LEGS) {
            // A B2BUA gives a caller that has none an identifier, and tells it in the answer (RFC 7989 6).
            self.identify(id, &Named::of(look.bytes, &self.fields), tracker);
        }
    }

    fn key(&self, shared: Shared) -> u64 {
        self.hasher.hash_one(shared)
    }

    fn identifier(&self, field: Field, value: Value<'_>) -> u64 {
        self.hasher.hash_one((field, value))
    }

    /// Joins a call to those that have the same identifiers, or that these name.
    fn identify(&mut self, id: LegId, named: &Named<'_>, tracker: &Tracker) {
        for &(field, value) in &named.identifiers {
            let key = self.identifier(field, value);
            let own = self.session(id);
            match self.sessions.find(key) {
                Some(other) => self.join(own, other, Join::Field(field)),
                None => self.sessions.name(key, own),
            }
            if let Value::Text(text) = value
                && field.names_call_id()
                && let Some(slot) = tracker.find(call_id_key(text))
                && let Some(other) = self.of(slot).filter(|other| *other != id)
            {
                let (own, other) = (self.session(id), self.session(other));
                self.join(own, other, Join::Field(field));
            }
        }
    }

    /// Joins a call to those that named its Call-ID before it began.
    fn named_before(&mut self, id: LegId, look: &Look<'_>) {
        if !self.sessions.has_keys() {
            return;
        }
        let call_id = Value::Text(look.head.call_id.of(look.bytes));
        for field in Field::naming(&self.fields) {
            if let Some(other) = self.sessions.find(self.identifier(field, call_id)) {
                let own = self.session(id);
                self.join(own, other, Join::Field(field));
            }
        }
    }

    /// The session of a call; it gets one when it has none.
    fn session(&mut self, id: LegId) -> u32 {
        let Some(leg) = self.leg(id) else { return 0 };
        if leg.session != 0 {
            return leg.session;
        }
        let number = self.sessions.create(id, leg.began);
        if let Some(leg) = self.leg_mut(id) {
            leg.session = number;
        }
        number
    }

    fn join(&mut self, one: u32, other: u32, join: Join) {
        let Some((number, moved)) = self.sessions.merge(one, other, join) else { return };
        for id in moved {
            if let Some(leg) = self.leg_mut(id) {
                leg.session = number;
            }
        }
    }

    /// Notes which calls that wait a new one may be the other leg of.
    fn look_for_incoming(&mut self, id: LegId, diverted: &[Number], tracker: &Tracker) {
        let Some(second) = self.leg(id) else { return };
        let Some(hop) = second.hops.first() else { return };
        let (address, now) = (hop.source.address, second.began);
        let mut found = Found::default();
        let mut find = |shared: Shared| self.waiting.find(self.key(shared), now, &mut found);
        let some = |numbers: &[Number]| -> SmallVec<[u64; 4]> {
            numbers.iter().filter(|number| number.is_some()).map(|number| number.common()).collect()
        };
        let mut hidden = Evidence::default();
        for number in some(&second.parties.called) {
            hidden = hidden.with_if(find(Shared::Called(address, number)), Evidence::CALLED);
        }
        for number in some(diverted) {
            hidden = hidden.with_if(find(Shared::Called(address, number)), Evidence::DIVERTED);
        }
        for number in some(&second.parties.calling) {
            hidden = hidden.with_if(find(Shared::Calling(address, number)), Evidence::CALLING);
        }
        if second.media.port != 0 {
            let media = Shared::Media(second.media.address, second.media.port);
            hidden = hidden.with_if(find(media), Evidence::MEDIA);
        }
        if found.legs.is_empty() {
            return;
        }
        let mut links = Links { hidden: hidden.at_most(), ..Links::default() };
        let mut scored: SmallVec<[(LegId, Evidence); 8]> = SmallVec::new();
        for &index in found.legs.iter().filter(|index| **index != id.index) {
            let Some(first) = self.legs.get(index as usize).filter(|first| first.in_use) else { continue };
            let dialog = tracker.dialogs.get(first.slot as usize);
            let evidence = invites(first, second, diverted);
            // What one that is not known may have in common as well is nothing to go by.
            let is_ahead = evidence.points() >= WORTH_WATCHING.max(links.hidden + AHEAD);
            if is_ahead && dialog.is_some_and(is_waiting) {
                scored.push((LegId { index, generation: first.generation }, evidence));
            }
        }
        scored.sort_by_key(|(_, evidence)| -evidence.points());
        let points = |place: usize| scored.get(place).map(|(_, evidence)| evidence.points());
        links.contested = points(0).zip(points(1)).is_some_and(|(best, next)| best < next + AHEAD);
        for (incoming, evidence) in scored {
            self.link((incoming, id), evidence, &mut links);
        }
        if let Some(leg) = self.leg_mut(id).filter(|_| !links.incoming.is_empty()) {
            leg.links = Some(Box::new(links));
        }
    }

    fn link(&mut self, (incoming, outgoing): (LegId, LegId), evidence: Evidence, links: &mut Links) {
        let session = self.leg(outgoing).map_or(0, |leg| leg.session);
        let Some(first) = self.leg_mut(incoming) else { return };
        let is_joined = session != 0 && first.session == session;
        let others = first.links.get_or_insert_default();
        if links.incoming.len() < MAX_INCOMING && others.outgoing.len() < MAX_OUTGOING {
            others.outgoing.push(outgoing);
            links.incoming.push((incoming, evidence));
        } else if !is_joined {
            self.overlooked += 1;
            links.hidden = links.hidden.max(evidence.points());
        }
    }

    /// From now on a call waits for its other leg to leave from this address.
    fn wait(&mut self, id: LegId, address: Address, now: Timestamp) {
        let Some(leg) = self.leg(id) else { return };
        let (parties, media) = (leg.parties, leg.media);
        let called = parties.called.into_iter().filter(|number| number.is_some());
        let calling = parties.calling.into_iter().filter(|number| number.is_some());
        let shared = called
            .map(|number| Shared::Called(address, number.common()))
            .chain(calling.map(|number| Shared::Calling(address, number.common())))
            .chain((media.port != 0).then_some(Shared::Media(media.address, media.port)));
        let mut is_put = true;
        for shared in shared {
            let key = self.key(shared);
            is_put &= self.waiting.put(key, id.index, now, self.room);
        }
        self.overlooked += u64::from(!is_put);
    }

    /// A call is over: whatever may be decided about it is, for good.
    fn settle(&mut self, id: LegId, tracker: &Tracker) {
        let (_, joins) = self.undecided(id, tracker);
        for ((incoming, outgoing), evidence) in joins {
            let (one, other) = (self.session(incoming), self.session(outgoing));
            self.join(one, other, Join::Evidence(evidence));
            for pair in self.pairs(outgoing).into_iter().filter(|(_, second)| *second == outgoing) {
                self.unlink(pair, None);
            }
        }
        for pair in self.pairs(id) {
            let links = self.leg(pair.1).and_then(|leg| leg.links.as_ref());
            let known = links.and_then(|links| links.incoming.iter().find(|(known, _)| *known == pair.0));
            let points = known.and_then(|&(_, invites)| self.evidence(pair, invites, tracker));
            self.unlink(pair, points.map(Evidence::points));
        }
    }

    /// A call is not followed any more.
    fn leave(&mut self, slot: u32, id: LegId, call_id: &[u8]) {
        let Some(leg) = self.leg_mut(id) else { return };
        leg.in_use = false;
        leg.links = None;
        let (session, hops) = (leg.session, std::mem::take(&mut leg.hops));
        self.sessions.leave(session, id, || Who::Gone { call_id: call_id.into(), hops });
        self.free.push(id.index);
        if let Some(of_slot) = self.of_slot.get_mut(slot as usize) {
            *of_slot = 0;
        }
    }
}
