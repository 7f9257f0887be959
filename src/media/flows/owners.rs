//! Whose a flow is: descriptions announce endpoints, and flows between or at these are their calls'.

use smallvec::SmallVec;

use super::{CallMedia, Claim, Effects, Flow, Listed, MediaTable, Owners, Signs, Standings, distinct};
use crate::flow::Endpoint;
use crate::media::endpoints::{CallRef, EndpointId, Entry, next_port, port_before};
use crate::quality::PayloadFormat;
use crate::sip::sdp::static_format;

/// Flows of calls that a message has looked at anew, at all endpoints that it concerns; beyond, they stay whose they are.
/// Attack: one message after the other that names 64 endpoints, at each of which there are flows from everywhere.
const ANEW: usize = 64;

/// Flows at an endpoint that are asked whether anything is heard there.
const FIRST: usize = 8;

impl MediaTable {
    /// A call announces an endpoint; RTCP is expected there and at the next port. Whose the flows there are is to be
    /// [settled](Self::settle_at) then.
    pub fn claim(&mut self, call: CallRef, claim: &Claim<'_>) -> EndpointId {
        let slot = self.endpoints.find_or_insert(claim.endpoint);
        self.keep_terms(slot, call);
        self.endpoints.claim(slot, call, claim, &mut self.calls);
        EndpointId(slot)
    }

    /// One side of a call describes the session: its caller, or who is called.
    pub fn describe(&mut self, call: CallRef, is_caller: bool) {
        self.calls.describe(call, is_caller);
    }

    /// Whether some flows at an endpoint, or of RTCP at its next port, are in the lists of their other ends alone: whose
    /// they are is to be settled at [the other endpoints](Self::settle_at) of who announced it.
    #[must_use]
    pub fn has_unlisted(&self, endpoint: EndpointId) -> bool {
        let Some(entry) = self.endpoints.get(endpoint.0).filter(|_| self.unlisted > 0) else { return false };
        let next = || self.endpoints.get(self.endpoints.find(next_port(entry.endpoint)?)?);
        entry.unlisted > 0 || next().is_some_and(|next| next.unlisted > 0)
    }

    /// Whether another call has announced an endpoint of this one too: what this one says at an end may tell whose a flow at
    /// the other is.
    #[must_use]
    pub fn shares(&self, call: CallRef) -> bool {
        self.calls.shares(call)
    }

    /// Decides anew whose the flows at the endpoints that a message concerns, and RTCP at their next ports, are.
    pub fn settle_at(
        &mut self,
        endpoints: impl Iterator<Item = EndpointId>,
        known: &dyn Standings,
        effects: &mut Effects,
    ) {
        if self.is_empty() {
            return;
        }
        let next = |EndpointId(slot)| {
            let entry = self.endpoints.get(slot)?;
            self.endpoints.find(next_port(entry.endpoint)?)
        };
        let with_flows = |slot| {
            let entry = self.endpoints.get(slot)?;
            Some((entry.flows.len(), slot)).filter(|(flows, _)| *flows > 0)
        };
        let around = endpoints.flat_map(|endpoint| [Some(endpoint.0), next(endpoint)]);
        let mut lists: SmallVec<[(usize, u32); 16]> = around.flatten().filter_map(with_flows).collect();
        let mut left = ANEW;
        if lists.iter().map(|(flows, _)| flows).sum::<usize>() > left {
            // Who sends to one of them from everywhere changes nothing at the others.
            lists.sort_by_key(|(flows, _)| *flows);
        }
        for (_, entry) in lists {
            let flows = self.endpoints.get(entry).map(|entry| entry.flows.clone()).unwrap_or_default();
            for flow in flows {
                let is_owned = !self.owners(flow).is_empty();
                if is_owned && left == 0 {
                    continue;
                }
                left -= usize::from(is_owned);
                self.settle(flow, Signs::of(known), effects);
            }
        }
    }

    /// A call ended: another one may use its endpoints now, but late media still is its own.
    pub fn end(
        &mut self,
        call: CallRef,
        endpoints: impl Iterator<Item = EndpointId>,
        known: &dyn Standings,
        effects: &mut Effects,
    ) {
        // Of an endpoint that only this call announced nothing changes hands.
        if self.calls.end(call) {
            self.settle_at(endpoints, known, effects);
        }
    }

    /// A call is forgotten. Its streams were reported before.
    pub fn close(&mut self, call: CallRef, endpoint: EndpointId) {
        let Some(entry) = self.endpoints.get_mut(endpoint.0) else { return };
        entry.remove(call);
        if !self.index.is_empty() {
            let next = next_port(entry.endpoint).and_then(|next| self.endpoints.find(next));
            for entry in [Some(endpoint.0), next].into_iter().flatten() {
                self.disown(call, entry);
            }
        }
        self.endpoints.release(endpoint.0);
    }

    /// A call goes on without an endpoint that it announced. What flows there were like that none of its other endpoints has
    /// is told now.
    pub fn withdraw(&mut self, call: CallRef, endpoint: EndpointId, effects: &mut Effects) {
        let Some(entry) = self.endpoints.get(endpoint.0) else { return };
        let withdrawn = entry.endpoint;
        let next = next_port(withdrawn).and_then(|next| self.endpoints.get(self.endpoints.find(next)?));
        let next = next.filter(|next| !next.has(call));
        let ends = [Some(entry), next].into_iter().flatten();
        let flows = ends.flat_map(|entry| entry.flows.iter().map(|&slot| (slot, entry.endpoint)));
        for (slot, end) in flows.collect::<SmallVec<[(u32, Endpoint); 8]>>() {
            let Some(flow) = self.flows.get(slot as usize) else { continue };
            let other = if flow.source == end { flow.destination } else { flow.source };
            let is_found = |entry: &Entry| entry.endpoint != withdrawn && entry.has(call);
            let stays = flow.is_listed_at(other) && self.owner_of(other, flow.is_rtcp).is_some_and(is_found);
            if stays || !flow.owners.as_slice().contains(&call) {
                continue;
            }
            if flow.had_packets_for(call) {
                let mut media = CallMedia::default();
                self.add(flow, call, &mut media);
                effects.parted.push((call, media));
            }
            self.take_from(call, slot);
        }
        if let Some(entry) = self.endpoints.get_mut(endpoint.0) {
            entry.remove(call);
        }
        self.endpoints.release(endpoint.0);
    }

    /// Whether media was heard at an endpoint, as far as its first flows tell.
    #[must_use]
    pub fn is_heard(&self, endpoint: EndpointId) -> bool {
        let flows = self.endpoints.get(endpoint.0).into_iter().flat_map(|entry| &entry.flows);
        let mut flows = flows.take(FIRST).filter_map(|&slot| self.flows.get(slot as usize));
        flows.any(Flow::had_packets)
    }

    /// Takes the flows at an endpoint away from a call.
    fn disown(&mut self, call: CallRef, entry: u32) {
        let flows = self.endpoints.get(entry).map(|entry| entry.flows.clone()).unwrap_or_default();
        flows.into_iter().for_each(|flow| self.take_from(call, flow));
    }

    /// Takes a flow away from a call, if it is one of its.
    fn take_from(&mut self, call: CallRef, slot: u32) {
        let Some(flow) = self.flows.get_mut(slot as usize) else { return };
        if !flow.owners.as_slice().contains(&call) {
            return;
        }
        flow.owners = flow.owners.without(call);
        if flow.owners.is_empty() {
            // Whoever sends on there is followed anew.
            self.unclaimed_count += 1;
            self.remove(slot);
        }
    }

    /// Gives a flow to the calls of its receiver, else of its sender (symmetric RTP behind NAT).
    pub(super) fn own(&mut self, slot: u32, signs: Signs<'_>) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let calls = self.calls_of(flow, signs);
        if let Some(flow) = self.flows.get_mut(slot as usize) {
            flow.owners = calls;
        }
    }

    /// The calls that a flow belongs to, as it is announced now.
    fn calls_of(&self, flow: &Flow, signs: Signs<'_>) -> Owners {
        let calls = self.calls_by_ends(flow, signs);
        let end = match flow.listed {
            Listed::Both => return calls,
            Listed::Source => flow.source,
            Listed::Destination => flow.destination,
        };
        // Its calls have to find it there.
        let Some(entry) = self.owner_of(end, flow.is_rtcp) else { return calls };
        let there = Owners::new(calls.as_slice().iter().copied().filter(|&call| entry.has(call)));
        if there.is_empty() { entry.calls(&self.calls) } else { there }
    }

    /// A phone with one port has it in all of its calls, and a port goes from one call to the next: which of them a packet
    /// is of, its sender tells.
    fn calls_by_ends(&self, flow: &Flow, signs: Signs<'_>) -> Owners {
        let sender = || self.owner_of(flow.source, flow.is_rtcp);
        let Some(receiver) = self.owner_of(flow.destination, flow.is_rtcp) else {
            return sender().map(|sender| self.calls_at(flow, sender, signs)).unwrap_or_default();
        };
        let Some(sender) = sender().filter(|_| receiver.count() > 1) else {
            return self.calls_at(flow, receiver, signs);
        };
        let both = receiver.calls_with(sender, &self.calls);
        if !both.is_empty() {
            return self.calls_between(flow, (receiver, sender), &both, signs);
        }
        // A media server has one port for all its calls.
        let is_sender_s = receiver.is_crowded() && sender.count() == 1;
        self.calls_at(flow, if is_sender_s { sender } else { receiver }, signs)
    }

    /// The calls of a flow, of those that announced both of its ends: attack, others that merely name both. Whoever had it
    /// first keeps it while it is up, with those that may be legs of the same. A stream that begins when another got somewhere
    /// since the packet before is of the latest: the end of one before it may have been missed.
    fn calls_between(
        &self,
        flow: &Flow,
        ends: (&Entry, &Entry),
        both: &[CallRef],
        signs: Signs<'_>,
    ) -> Owners {
        let had = self.still(flow, |call| ends.0.has(call) && ends.1.has(call));
        let keeps = |flow: &Flow, call| {
            let end = ends.0.endpoint;
            let standing = |call| signs.standing(flow, call, end);
            let is_leg =
                |&other: &CallRef| signs.are_legs((call, &standing(call)), (other, &standing(other)));
            signs.keeps(flow, call, end, both.iter().copied().filter(|other| !is_leg(other)))
        };
        let is_under_way =
            signs.go_on(flow, self.time) && had.as_slice().iter().any(|&owner| keeps(flow, owner));
        let both = Self::fitting((flow, ends.0), both, signs, !is_under_way);
        let before = Owners::new(had.as_slice().iter().copied().filter(|owner| both.contains(owner)));
        let is_open = before.is_empty() || (signs.begins.is_some() && !is_under_way);
        let may = |flow: &Flow, call| both.contains(&call) && keeps(flow, call);
        if is_open && let Some(calls) = self.calls_of_sibling(flow, may) {
            return calls;
        }
        let Some(&first) = before.as_slice().first() else { return Owners::new(both.into_iter()) };
        let legs_of =
            |call| both.iter().rev().copied().filter(move |&other| signs.known.may_be_legs(call, other));
        match both.last() {
            Some(&latest) if is_open => Owners::new(distinct([latest].into_iter().chain(legs_of(latest)))),
            _ if is_under_way => {
                Owners::new(distinct(before.as_slice().iter().copied().chain(legs_of(first))))
            }
            _ => Owners::new(distinct([first].into_iter().chain(both.iter().rev().copied()))),
        }
    }

    /// The calls that a flow belongs to so far, those of them that are up and that `may` have it.
    pub(super) fn still(&self, flow: &Flow, may: impl Fn(CallRef) -> bool) -> Owners {
        let owners = flow.owners.as_slice().iter().copied();
        Owners::new(owners.filter(|&owner| !self.calls.has_ended(owner) && may(owner)))
    }

    /// Who announced an endpoint; of RTCP also the port before it.
    pub(super) fn owner_of(&self, endpoint: Endpoint, is_rtcp: bool) -> Option<&Entry> {
        let announced = self.endpoints.claimed(endpoint);
        if announced.is_some() || !is_rtcp {
            return announced;
        }
        port_before(endpoint).and_then(|before| self.endpoints.claimed(before))
    }

    /// Decides anew whose a flow is.
    pub(super) fn settle(&mut self, slot: u32, signs: Signs<'_>, effects: &mut Effects) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let calls = self.calls_of(flow, signs);
        if calls == flow.owners {
            self.learn(slot);
            return;
        }
        let Some(flow) = self.flows.get_mut(slot as usize) else { return };
        let before = std::mem::replace(&mut flow.owners, calls);
        let goes_on = before.as_slice().iter().any(|owner| calls.as_slice().contains(owner));
        if before.is_empty() {
            if let Some(&call) = calls.as_slice().first() {
                self.take_up(slot, call, effects);
            }
        } else {
            self.part(slot, before, effects);
            if let Some(flow) = self.flows.get_mut(slot as usize) {
                if goes_on { flow.join(before) } else { flow.forget_streams(&mut self.shared) }
            }
        }
        self.learn(slot);
    }

    /// Who owned a flow keeps what it was like until now; a call that owns it newly begins at its next packet. The attack is
    /// one call after the other at an endpoint with many streams: those that had no packet since the last are not copied.
    fn part(&self, slot: u32, before: Owners, effects: &mut Effects) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let left = before.as_slice().iter().filter(|owner| !flow.owners.as_slice().contains(owner));
        for &old in left.filter(|owner| flow.had_packets_for(**owner)) {
            let mut media = CallMedia::default();
            self.add(flow, old, &mut media);
            effects.parted.push((old, media));
        }
    }

    /// An unclaimed flow found its call.
    fn take_up(&mut self, slot: u32, call: CallRef, effects: &mut Effects) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        self.unclaimed_count = self.unclaimed_count.saturating_sub(1);
        self.counters.rtp += flow.rtp();
        self.counters.rtcp += flow.rtcp;
        let counted = &mut self.counters.fragmented;
        let (rtp, rtcp) = flow.aside.as_ref().map(|aside| aside.fragmented).unwrap_or_default();
        *counted = (counted.0 + rtp, counted.1 + rtcp);
        self.counters.streams += flow.streams().count() as u64 + flow.left_out().streams;
        self.counters.streams_left_out += flow.left_out().streams;
        let mut taken = Vec::new();
        self.backlog.take((slot, flow.generation), &mut taken);
        effects.backlog.extend(taken.into_iter().map(|packet| (call, packet)));
    }

    /// Tells the streams of a flow what SDP has said by now: whether they are SRTP, and their clock rate.
    fn learn(&mut self, slot: u32) {
        self.learn_srtp(slot);
        let Some(flow) = self.flows.get(slot as usize).filter(|flow| flow.terms().is_none()) else { return };
        if !flow.stream.is_some() || flow.stream.has_clock() {
            return;
        }
        let format = self.format(flow, flow.stream.payload_type());
        if let Some(flow) = self.flows.get_mut(slot as usize) {
            flow.stream.learn(format);
        }
    }

    /// Tells the streams of a flow that do not know it whether they are SRTP, once both ends have said what goes together.
    pub(super) fn learn_srtp(&mut self, slot: u32) {
        let Some(flow) = self.flows.get(slot as usize).filter(|flow| flow.terms().is_none()) else { return };
        if flow.streams().all(|stream| stream.is_srtp().is_some()) {
            return;
        }
        let [receiver, sender] = [flow.destination, flow.source].map(|end| self.endpoints.claimed(end));
        let agreed = receiver.zip(sender).and_then(|(receiver, sender)| receiver.srtp.agreed(sender.srtp));
        let flow = self.flows.get_mut(slot as usize);
        flow.into_iter().flat_map(Flow::streams_mut).for_each(|stream| stream.agree_on_srtp(agreed));
    }

    /// What a payload type means on a flow: as its receiver announced it, else its sender, else RFC 3551.
    pub(super) fn format(&self, flow: &Flow, payload_type: u8) -> PayloadFormat {
        let announced = [flow.destination, flow.source].into_iter().find_map(|endpoint| {
            let formats = self.endpoints.formats(self.endpoints.claimed(endpoint)?);
            formats.iter().find(|format| format.payload_type == payload_type)
        });
        let format = announced.copied().or_else(|| static_format(payload_type));
        format.map(|format| PayloadFormat { clock: format.clock, name: format.name }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;
    use crate::flow::Address;
    use crate::media::{Datagram, FlowHint, Limits, Sought, Standing};
    use crate::sip::sdp::{MediaKind, Srtp};
    use crate::time::{PacketTime, Timestamp};

    /// Counts what a message costs; who comes later got further.
    #[derive(Default)]
    struct Counting(Cell<usize>);

    impl Standings for Counting {
        fn standing(&self, call: CallRef, _: &Sought) -> Standing {
            self.0.set(self.0.get() + 1);
            Standing { since: at(call.slot.into()), ..Standing::default() }
        }

        fn names(&self, _: CallRef, _: u32) -> bool {
            false
        }

        fn may_be_legs(&self, _: CallRef, _: CallRef) -> bool {
            true
        }
    }

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp((1_000_000 + milliseconds) * 1_000_000)
    }

    fn port(number: u16) -> Endpoint {
        Endpoint::new(Address::v4([192, 0, 2, 1]), 4000 + 2 * number)
    }

    struct Scene {
        table: MediaTable,
        known: Counting,
    }

    impl Scene {
        fn new() -> Self {
            let limits = Limits {
                max_flows: 10_000,
                max_unclaimed: 100,
                unclaimed_timeout: Duration::from_secs(10),
                backlog_bytes: 0,
            };
            let mut table = MediaTable::new(limits);
            table.begin(PacketTime::plain(at(0)));
            Self { table, known: Counting::default() }
        }

        /// A call announces the first `ports`, in this order; tells how many standings were asked for.
        fn announce(&mut self, call: u32, ports: impl Iterator<Item = u16>) -> usize {
            let call = CallRef { slot: call, generation: 1 };
            let claim =
                |endpoint| Claim { endpoint, formats: &[], srtp: Srtp::Never, kind: MediaKind::Audio };
            let ids: Vec<_> = ports.map(|number| self.table.claim(call, &claim(port(number)))).collect();
            self.known.0.set(0);
            self.table.settle_at(ids.into_iter(), &self.known, &mut Effects::default());
            self.known.0.get()
        }

        /// Strangers, one packet each.
        fn send(&mut self, to: u16, strangers: u8) {
            let payload = [0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 1, 0x55];
            (0..strangers).for_each(|stranger| self.send_one(to, stranger, &payload));
        }

        fn send_one(&mut self, to: u16, stranger: u8, payload: &[u8]) {
            let ends = (Endpoint::new(Address::v4([198, 51, 100, stranger]), 4000), port(to));
            let datagram = Datagram::whole(at(0), ends, payload);
            self.table.packet(FlowHint::NONE, &datagram, &self.known, &mut Effects::default());
        }

        /// Whose the flows to a port are.
        fn owners(&self, to: u16) -> Vec<u32> {
            let flows = self.table.flows.iter().filter(|flow| flow.in_use && flow.destination == port(to));
            flows.flat_map(|flow| flow.owners.as_slice()).map(|owner| owner.slot).collect()
        }
    }

    /// Attack: calls that name 48 ports, at each of which 32 strangers sent a packet: 48 * 32 flows, of eight calls and more.
    #[test]
    fn a_message_that_names_many_ports_costs_no_more_than_one() {
        let mut scene = Scene::new();
        scene.announce(0, 0..48);
        (0..48).for_each(|to| scene.send(to, 32));
        for call in 1..40 {
            let asked = scene.announce(call, 0..48);
            assert!(asked <= 64 * 10, "{asked} by call {call}");
        }
    }

    /// Who sends to one port from everywhere changes nothing at another, whichever of them is named first.
    #[test]
    fn a_flood_at_some_ports_changes_nothing_at_others() {
        let mut scene = Scene::new();
        scene.announce(0, 0..12);
        (0..11).for_each(|to| scene.send(to, 32));
        scene.send(11, 1);
        assert_eq!(scene.owners(11), [0]);
        scene.announce(1, 0..12);
        assert_eq!(scene.owners(11), [1], "the call that got somewhere last");
        assert!(scene.owners(10).contains(&0), "beyond that they stay whose they are");
    }

    #[test]
    fn a_mixer_s_packets_are_followed_where_one_of_their_ends_is_known() {
        let mut scene = Scene::new();
        let mixed = [0x81, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 1, 0, 0, 0, 2, 0x55];
        scene.send_one(0, 1, &mixed);
        assert!(scene.table.is_empty());
        scene.send(0, 1);
        assert_eq!(scene.table.unclaimed(), 1);
        scene.announce(0, 1..2);
        scene.send_one(1, 2, &mixed);
        assert_eq!(scene.owners(1), [0]);
    }
}
