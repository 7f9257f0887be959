//! Which flows are followed: a place for a new one, the lists of its ends, and who goes when there is no room.

use smallvec::SmallVec;

use super::flow::PAUSE;
use super::{Datagram, Flow, Listed, MediaTable, Signs, Standings, is_plausible, may_be_media};
use crate::flow::Endpoint;
use crate::media::endpoints::Entry;
use crate::media::rtp::Look;
use crate::media::shared_loss::Past;
use crate::time::PacketTime;

/// Flows of a full list that are looked at when one is to go: a stranger's packet costs no more, however many come.
const LOOKED_AT: usize = 8;

/// Packets, a second of speech, from which on a flow is no stranger's.
const SPEECH: u64 = 50;

impl MediaTable {
    /// The flow of a datagram, which begins to be followed when it is somebody's or looks as if it will be.
    #[inline(never)]
    pub(super) fn find_or_follow(
        &mut self,
        datagram: &Datagram<'_>,
        look: Look,
        known: &dyn Standings,
    ) -> Option<u32> {
        let (source, destination) = (datagram.source, datagram.destination);
        // Both ends of every flow are in the table of endpoints, and so is what SDP announces.
        let ends = (self.endpoints.find(source), self.endpoints.find(destination));
        if ends == (None, None) && !may_be_media(datagram.seen.payload, datagram.ports(), look) {
            return None;
        }
        if ends.0.is_some()
            && ends.1.is_some()
            && let Some(slot) = self.find_hashed(datagram.seen.hash, &source, &destination)
        {
            return Some(slot);
        }
        self.follow(datagram, look, known)
    }

    fn follow(&mut self, datagram: &Datagram<'_>, look: Look, known: &dyn Standings) -> Option<u32> {
        let is_rtcp = look == Look::Rtcp;
        let claimed = self.owner_of(datagram.destination, is_rtcp).is_some()
            || self.owner_of(datagram.source, is_rtcp).is_some();
        let is_plausible = || is_plausible(datagram.seen.payload, datagram.ports(), look);
        if !claimed && (!is_plausible() || !self.make_room()) {
            return None;
        }
        if self.flows.len() - self.free.len() >= self.limits.max_flows {
            self.counters.flows_evicted += 1;
            return None;
        }
        let ends = (datagram.source, datagram.destination);
        let Some(listed) = self.admit(ends, is_rtcp) else {
            self.counters.flows_evicted += 1;
            return None;
        };
        let slot = self.insert(datagram, is_rtcp, listed);
        if claimed {
            self.own(slot, Signs::of(known));
        } else {
            self.unclaimed_count += 1;
            let generation = self.flows.get(slot as usize).map_or(0, |flow| flow.generation);
            self.unclaimed.push_back((slot, generation, self.time.bound(datagram.seen.timestamp)));
        }
        Some(slot)
    }

    /// Makes room for one more unclaimed flow: the oldest goes.
    fn make_room(&mut self) -> bool {
        // Flows that went otherwise leave their entries behind: who sends to one port from everywhere makes many.
        if self.unclaimed.len() > 2 * self.limits.max_unclaimed {
            let flow = |slot: u32| self.flows.get(slot as usize);
            self.unclaimed.retain(|entry| flow(entry.0).is_some_and(|flow| flow.is_unclaimed(entry.1)));
        }
        while self.unclaimed_count >= self.limits.max_unclaimed {
            let Some((slot, generation, _)) = self.unclaimed.pop_front() else { return false };
            if self.flows.get(slot as usize).is_some_and(|flow| flow.is_unclaimed(generation)) {
                self.counters.flows_evicted += 1;
                self.remove(slot);
            }
        }
        true
    }

    fn insert(&mut self, datagram: &Datagram<'_>, is_rtcp: bool, listed: Listed) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.flows.push(Flow::default());
            self.flows.len() as u32 - 1
        });
        let (key, hash) = ((datagram.source, datagram.destination), datagram.seen.hash);
        if let Some(flow) = self.flows.get_mut(slot as usize) {
            let generation = flow.generation.wrapping_add(1);
            (flow.source, flow.destination) = key;
            flow.hash = hash;
            (flow.generation, flow.in_use, flow.is_rtcp) = (generation, true, is_rtcp);
            flow.listed = listed;
            flow.last_other = datagram.seen.timestamp;
        }
        let flows = &self.flows;
        let hash_of = |slot| flows.get(slot as usize).map_or(0, |flow: &Flow| flow.hash);
        self.index.insert(hash, slot);
        if self.hints.are_few(self.index.len()) {
            self.hints.grow();
            self.index.slots().for_each(|slot| self.hints.insert(hash_of(slot), slot));
        } else {
            self.hints.insert(hash, slot);
        }
        for endpoint in [key.0, key.1] {
            let entry = self.endpoints.find_or_insert(endpoint);
            let is_listed = self.flows.get(slot as usize).is_some_and(|flow| flow.is_listed_at(endpoint));
            let Some(entry) = self.endpoints.get_mut(entry) else { continue };
            if !is_listed {
                entry.unlisted += 1;
                self.unlisted += 1;
            } else if !entry.flows.contains(&slot) {
                entry.flows.push(slot);
            }
        }
        slot
    }

    /// In the lists of which of its ends a flow is to be; none when who speaks would have to go for it. A port that many
    /// calls share has no room for all of their flows: those whose other end is announced are in the list of that.
    fn admit(&mut self, (source, destination): (Endpoint, Endpoint), is_rtcp: bool) -> Option<Listed> {
        let is_needed = |end, other| {
            !self.at(end).is_some_and(Entry::has_enough) || self.owner_of(other, is_rtcp).is_none()
        };
        let listed = match (is_needed(source, destination), is_needed(destination, source)) {
            (true, true) => Listed::Both,
            (true, false) => Listed::Source,
            (false, true) => Listed::Destination,
            (false, false) => {
                // Attack: many announced ports, from each of which come flows to many others.
                let count = |end| self.at(end).map_or(0, |entry| entry.flows.len());
                if count(source) < count(destination) { Listed::Source } else { Listed::Destination }
            }
        };
        let at_source = listed == Listed::Destination || self.make_room_at(source);
        let at_destination = listed == Listed::Source || (at_source && self.make_room_at(destination));
        (at_source && at_destination).then_some(listed)
    }

    fn at(&self, endpoint: Endpoint) -> Option<&Entry> {
        self.endpoints.find(endpoint).and_then(|entry| self.endpoints.get(entry))
    }

    fn at_mut(&mut self, endpoint: Endpoint) -> Option<&mut Entry> {
        self.endpoints.find(endpoint).and_then(|entry| self.endpoints.get_mut(entry))
    }

    /// Makes room in the list of an endpoint, if it has none. Attack: a packet each from many made-up senders, which are to
    /// go before who speaks there.
    fn make_room_at(&mut self, endpoint: Endpoint) -> bool {
        let Some(entry) = self.at_mut(endpoint).filter(|entry| entry.is_full()) else { return true };
        entry.flows.rotate_left(LOOKED_AT);
        let looked_at: SmallVec<[u32; LOOKED_AT]> =
            entry.flows.iter().rev().take(LOOKED_AT).copied().collect();
        let mut least: Option<(u64, u32)> = None;
        for slot in looked_at {
            if let Some(other) = self.other_end(slot, endpoint) {
                if self.is_found_at(other, slot) {
                    self.unlist(slot, endpoint);
                    return true;
                }
            } else {
                least = [least, Some((self.weight(slot), slot))].into_iter().flatten().min();
            }
        }
        let Some((_, slot)) = least.filter(|(weight, _)| *weight < SPEECH) else { return false };
        self.counters.flows_evicted += 1;
        self.remove(slot);
        true
    }

    /// Who announced the other end of a flow at `endpoint`.
    fn other_end(&self, slot: u32, endpoint: Endpoint) -> Option<&Entry> {
        let flow = self.flows.get(slot as usize)?;
        let other = if flow.source == endpoint { flow.destination } else { flow.source };
        self.owner_of(other, flow.is_rtcp)
    }

    /// Whether the calls of a flow, which is in the lists of two ends, find it in that of one of them.
    fn is_found_at(&self, end: &Entry, slot: u32) -> bool {
        self.flows.get(slot as usize).is_some_and(|flow| {
            flow.listed == Listed::Both
                && flow.source != flow.destination
                && flow.owners.as_slice().iter().all(|&owner| end.has(owner))
        })
    }

    /// Takes a flow out of the list of one of its ends; it stays in that of the other.
    fn unlist(&mut self, slot: u32, endpoint: Endpoint) {
        if let Some(flow) = self.flows.get_mut(slot as usize) {
            flow.listed = if flow.source == endpoint { Listed::Destination } else { Listed::Source };
        }
        if let Some(entry) = self.at_mut(endpoint) {
            entry.flows.retain(|known| *known != slot);
            entry.unlisted += 1;
            self.unlisted += 1;
        }
    }

    /// How many packets a flow had, if it is not silent for long.
    fn weight(&self, slot: u32) -> u64 {
        let Some(flow) = self.flows.get(slot as usize) else { return 0 };
        let (_, pause) = PAUSE;
        let is_silent = flow.last(self.time).is_none_or(|last| self.time.stamp.since(last) > pause);
        if is_silent { 0 } else { flow.rtp() + flow.rtcp + flow.other }
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let Some(flow) = self.flows.get_mut(slot as usize).filter(|flow| flow.in_use) else { return };
        let (ends, hash) = ([flow.source, flow.destination], flow.hash);
        let listed = ends.map(|end| flow.is_listed_at(end));
        if flow.owners.is_empty() {
            self.unclaimed_count = self.unclaimed_count.saturating_sub(1);
        }
        self.shared.give_back(flow.others());
        *flow = Flow { generation: flow.generation, ..Flow::default() };
        self.index.remove(hash, slot);
        self.hints.remove(hash, slot);
        self.free.push(slot);
        for (endpoint, is_listed) in ends.into_iter().zip(listed) {
            let Some(entry) = self.endpoints.find(endpoint) else { continue };
            if let Some(known) = self.endpoints.get_mut(entry) {
                if is_listed {
                    known.flows.retain(|flow| *flow != slot);
                } else {
                    known.unlisted = known.unlisted.saturating_sub(1);
                    self.unlisted = self.unlisted.saturating_sub(1);
                }
            }
            self.endpoints.release(entry);
        }
    }

    /// It is that time now: forgets unclaimed flows that went silent.
    pub fn expire(&mut self, time: PacketTime) {
        self.time = time;
        let now = time.now;
        self.backlog.expire(now);
        if self.recent.is_stale(self.len()) {
            self.tidy_recent();
        }
        if let Some(moment) = self.moment.take_if_over(time).filter(Past::may_be_shared) {
            if self.recent.is_due(now) {
                self.tidy_recent();
            }
            self.compare(&moment);
        }
        while let Some(&(slot, generation, since)) = self.unclaimed.front() {
            if now.since(since) < self.limits.unclaimed_timeout {
                break;
            }
            self.unclaimed.pop_front();
            let flow = self.flows.get(slot as usize).filter(|flow| flow.is_unclaimed(generation));
            let Some(flow) = flow else { continue };
            let last = flow.last(time).and_then(|stamp| time.of(stamp));
            if last.is_some_and(|last| now.since(last) < self.limits.unclaimed_timeout) {
                self.unclaimed.push_back((slot, generation, now));
            } else {
                self.counters.unclaimed_expired += 1;
                self.remove(slot);
            }
        }
    }

    /// The input is over: nothing will claim what nobody has claimed yet.
    pub fn finish(&mut self) {
        self.counters.unclaimed_expired += self.unclaimed_count as u64;
        while let Some((slot, generation, _)) = self.unclaimed.pop_front() {
            if self.flows.get(slot as usize).is_some_and(|flow| flow.is_unclaimed(generation)) {
                self.remove(slot);
            }
        }
    }
}
