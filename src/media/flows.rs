//! Media flows: who sends to whom, for which calls, and what the streams in them were like.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::backlog::{Backlog, StoredPacket};
use super::endpoints::{CallRef, Endpoints};
use super::rtp::{Look, PayloadFormat, RtpHeader, StreamStatistics, look};
use crate::capture::Packet;
use crate::flow::Endpoint;
use crate::sip::sdp::{Format, static_format};
use crate::time::Timestamp;

/// Caps of the table.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Flows in all.
    pub max_flows: usize,
    /// Flows that no SDP has announced.
    pub max_unclaimed: usize,
    /// How long such a flow is remembered without a packet.
    pub unclaimed_timeout: Duration,
    /// Bytes of frames that wait for their SDP.
    pub backlog_bytes: usize,
}

/// Plain counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// RTP packets that belong to a call.
    pub rtp: u64,
    /// RTCP packets that belong to a call.
    pub rtcp: u64,
    /// Those of `rtp` and `rtcp` that came in one captured packet, not in fragments.
    pub whole: (u64, u64),
    /// RTP streams that belong to a call.
    pub streams: u64,
    /// Flows that looked like RTP and that no SDP claimed in time.
    pub unclaimed_expired: u64,
    /// Flows that went because a table was full.
    pub flows_evicted: u64,
}

/// A UDP datagram that is not SIP.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// When it was captured.
    pub timestamp: Timestamp,
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// Its payload.
    pub payload: &'a [u8],
    /// It came in one captured packet, not in fragments.
    pub whole: bool,
}

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the protocols")]
pub enum Payload {
    Rtp,
    Rtcp,
    Other,
}

/// What is known of a datagram.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is.
    pub payload: Payload,
    /// The calls that it belongs to.
    pub calls: SmallVec<[CallRef; 2]>,
    /// Its flow, when it is followed: for [`MediaTable::keep`].
    pub flow: Option<u32>,
}

const NOT_FOLLOWED: fn() -> Finding =
    || Finding { payload: Payload::Other, calls: SmallVec::new(), flow: None };

/// What an announcement says: where, in which formats.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The formats it announced; empty for RTCP.
    pub formats: &'a [Format],
}

/// One stream of a call, as it was.
#[derive(Clone, Copy, Debug)]
pub struct StreamReport {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// What it was like.
    pub statistics: StreamStatistics,
}

/// What a change of ownership entails, for the tracker to carry out. Cleared and used again.
#[derive(Debug, Default)]
pub struct Effects {
    /// Streams that ended for a call while it goes on.
    pub archived: Vec<(CallRef, StreamReport)>,
    /// RTP and RTCP packets of such streams' flows.
    pub moved: Vec<(CallRef, u64, u64)>,
    /// Packets that found their call late.
    pub backlog: Vec<(CallRef, StoredPacket)>,
}

/// SSRCs followed at a time within one flow.
const MAX_STREAMS: usize = 16;

/// Flows followed at a time per endpoint: an attacker who sends to one port from everywhere gets no more.
const MAX_FLOWS_PER_ENDPOINT: usize = 64;

#[derive(Debug, Default)]
struct Flow {
    source: Endpoint,
    destination: Endpoint,
    generation: u32,
    in_use: bool,
    owners: SmallVec<[CallRef; 2]>,
    rtp: u64,
    rtcp: u64,
    whole: (u64, u64),
    last: Timestamp,
    stream: Option<StreamStatistics>,
    others: Vec<StreamStatistics>,
}

/// Every media flow, and every endpoint that SDP announced.
#[derive(Debug)]
pub struct MediaTable {
    limits: Limits,
    endpoints: Endpoints,
    index: HashTable<u32>,
    flows: Vec<Flow>,
    free: Vec<u32>,
    unclaimed: VecDeque<(u32, u32, Timestamp)>,
    unclaimed_count: usize,
    hasher: RandomState,
    backlog: Backlog,
    counters: Counters,
}

impl MediaTable {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            endpoints: Endpoints::default(),
            index: HashTable::new(),
            flows: Vec::new(),
            free: Vec::new(),
            unclaimed: VecDeque::new(),
            unclaimed_count: 0,
            hasher: RandomState::default(),
            backlog: Backlog::default(),
            counters: Counters::default(),
        }
    }

    /// The counts so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes the next datagram.
    #[inline]
    pub fn packet(&mut self, datagram: &Datagram<'_>) -> Finding {
        let look = look(datagram.payload);
        let found = self.find(datagram.source, datagram.destination).or_else(|| self.follow(datagram, look));
        let Some(slot) = found else { return NOT_FOLLOWED() };
        let format = match (look, self.flows.get(slot as usize)) {
            (Look::Rtp(header), Some(flow)) if flow.is_new_to(&header) => {
                self.format(flow, header.payload_type)
            }
            _ => PayloadFormat::default(),
        };
        let counters = &mut self.counters;
        let Some(flow) = self.flows.get_mut(slot as usize) else { return NOT_FOLLOWED() };
        let is_owned = u64::from(!flow.owners.is_empty());
        let is_whole = u64::from(datagram.whole);
        let payload = match look {
            Look::Rtp(header) => {
                counters.rtp += is_owned;
                counters.whole.0 += is_owned & is_whole;
                flow.whole.0 += is_whole;
                counters.streams += is_owned * u64::from(flow.observe(&header, datagram.timestamp, format));
                Payload::Rtp
            }
            Look::Rtcp => {
                counters.rtcp += is_owned;
                counters.whole.1 += is_owned & is_whole;
                flow.whole.1 += is_whole;
                flow.rtcp += 1;
                Payload::Rtcp
            }
            Look::Neither => Payload::Other,
        };
        flow.last = datagram.timestamp;
        Finding { payload, calls: flow.owners.clone(), flow: Some(slot) }
    }

    /// Keeps a packet of a flow that nobody owns yet, for half a second.
    pub fn keep(&mut self, flow: u32, packet: &Packet, frame: &[u8]) {
        if let Some(known) = self.flows.get(flow as usize) {
            self.backlog.keep(flow, known.generation, packet, frame, self.limits.backlog_bytes);
        }
    }

    /// A call announces an endpoint.
    pub fn claim(&mut self, call: CallRef, claim: &Claim<'_>, effects: &mut Effects) {
        let slot = self.endpoints.find_or_insert(claim.endpoint);
        let Some(entry) = self.endpoints.get_mut(slot) else { return };
        entry.claim(call, claim.formats);
        self.settle_endpoint(slot, effects);
    }

    /// A call ended: another one may use its endpoints now, but late media still is its own.
    pub fn end(&mut self, call: CallRef, endpoint: Endpoint, effects: &mut Effects) {
        let Some(slot) = self.endpoints.find(endpoint) else { return };
        let Some(entry) = self.endpoints.get_mut(slot) else { return };
        entry.owners.iter_mut().filter(|owner| owner.call == call).for_each(|owner| owner.ended = true);
        self.settle_endpoint(slot, effects);
    }

    /// A call is forgotten. Its streams were reported before.
    pub fn close(&mut self, call: CallRef, endpoint: Endpoint, effects: &mut Effects) {
        let Some(slot) = self.endpoints.find(endpoint) else { return };
        let Some(entry) = self.endpoints.get_mut(slot) else { return };
        entry.owners.retain(|owner| owner.call != call);
        let flows = entry.flows.clone();
        for flow in flows {
            let Some(known) = self.flows.get_mut(flow as usize) else { continue };
            let was_owned = !known.owners.is_empty();
            known.owners.retain(|owner| *owner != call);
            if was_owned && known.owners.is_empty() {
                known.forget_streams();
                self.settle(flow, effects);
                self.drop_if_nobodys(flow);
            }
        }
        self.endpoints.release(slot);
    }

    /// The streams of a call at one endpoint, and the RTP and RTCP packets of their flows. A flow between two
    /// endpoints of one call is reported at its receiver's.
    pub fn report(&self, call: CallRef, endpoint: Endpoint, report: &mut Vec<StreamReport>) -> (u64, u64) {
        let flows = self.endpoints.find(endpoint).and_then(|slot| self.endpoints.get(slot));
        let mut packets = (0, 0);
        for &slot in flows.map(|entry| entry.flows.as_slice()).unwrap_or_default() {
            let Some(flow) = self.flows.get(slot as usize).filter(|flow| flow.owners.contains(&call)) else {
                continue;
            };
            let at_sender = flow.source == endpoint;
            if at_sender && self.owns(call, flow.destination) && flow.source != flow.destination {
                continue;
            }
            packets = (packets.0 + flow.rtp, packets.1 + flow.rtcp);
            report.extend(flow.reports());
        }
        packets
    }

    /// When a call's endpoint last saw a packet.
    #[must_use]
    pub fn last_packet(&self, endpoint: Endpoint) -> Option<Timestamp> {
        let entry = self.endpoints.find(endpoint).and_then(|slot| self.endpoints.get(slot))?;
        entry.flows.iter().filter_map(|&slot| self.flows.get(slot as usize)).map(|flow| flow.last).max()
    }

    /// Forgets unclaimed flows that went silent.
    pub fn expire(&mut self, now: Timestamp) {
        self.backlog.expire(now);
        while let Some(&(slot, generation, since)) = self.unclaimed.front() {
            if now.since(since) < self.limits.unclaimed_timeout {
                break;
            }
            self.unclaimed.pop_front();
            let Some(flow) = self.flows.get(slot as usize) else { continue };
            if flow.generation != generation || !flow.owners.is_empty() {
                continue;
            }
            if now.since(flow.last) < self.limits.unclaimed_timeout {
                self.unclaimed.push_back((slot, generation, now));
            } else {
                self.counters.unclaimed_expired += 1;
                self.remove(slot);
            }
        }
    }

    fn owns(&self, call: CallRef, endpoint: Endpoint) -> bool {
        self.endpoints
            .claimed(endpoint)
            .is_some_and(|entry| entry.owners.iter().any(|owner| owner.call == call))
    }

    #[inline]
    fn find(&self, source: Endpoint, destination: Endpoint) -> Option<u32> {
        if self.index.is_empty() {
            return None;
        }
        let is_it = |&slot: &u32| {
            self.flows
                .get(slot as usize)
                .is_some_and(|flow| flow.source == source && flow.destination == destination)
        };
        self.index.find(self.hasher.hash_one((source, destination)), is_it).copied()
    }

    /// Begins to follow a flow, when it is somebody's or looks as if it will be.
    fn follow(&mut self, datagram: &Datagram<'_>, look: Look) -> Option<u32> {
        let claimed = self.endpoints.claimed(datagram.destination).is_some()
            || self.endpoints.claimed(datagram.source).is_some();
        if !claimed && (!is_plausible(datagram, look) || !self.make_room()) {
            return None;
        }
        if self.flows.len() - self.free.len() >= self.limits.max_flows {
            self.counters.flows_evicted += 1;
            return None;
        }
        let slot = self.insert(datagram);
        if claimed {
            self.own(slot);
        } else {
            self.unclaimed_count += 1;
            let generation = self.flows.get(slot as usize).map_or(0, |flow| flow.generation);
            self.unclaimed.push_back((slot, generation, datagram.timestamp));
        }
        Some(slot)
    }

    /// Makes room for one more unclaimed flow: the oldest goes.
    fn make_room(&mut self) -> bool {
        while self.unclaimed_count >= self.limits.max_unclaimed {
            let Some((slot, generation, _)) = self.unclaimed.pop_front() else { return false };
            let is_it = |flow: &&Flow| flow.generation == generation && flow.owners.is_empty();
            if self.flows.get(slot as usize).filter(is_it).is_some() {
                self.counters.flows_evicted += 1;
                self.remove(slot);
            }
        }
        true
    }

    fn insert(&mut self, datagram: &Datagram<'_>) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.flows.push(Flow::default());
            self.flows.len() as u32 - 1
        });
        let key = (datagram.source, datagram.destination);
        if let Some(flow) = self.flows.get_mut(slot as usize) {
            let generation = flow.generation.wrapping_add(1);
            (flow.source, flow.destination) = key;
            (flow.generation, flow.in_use, flow.last) = (generation, true, datagram.timestamp);
        }
        let (flows, hasher) = (&self.flows, &self.hasher);
        let hash_of = |&slot: &u32| {
            flows.get(slot as usize).map_or(0, |flow| hasher.hash_one((flow.source, flow.destination)))
        };
        self.index.insert_unique(hasher.hash_one(key), slot, hash_of);
        for endpoint in [key.0, key.1] {
            self.attach(endpoint, slot);
        }
        slot
    }

    fn attach(&mut self, endpoint: Endpoint, flow: u32) {
        let entry = self.endpoints.find_or_insert(endpoint);
        let full = self.endpoints.get(entry).is_some_and(|known| known.flows.len() >= MAX_FLOWS_PER_ENDPOINT);
        if full && let Some(oldest) = self.endpoints.get(entry).and_then(|known| known.flows.first().copied())
        {
            self.counters.flows_evicted += 1;
            self.remove(oldest);
        }
        // Removing may have released the entry.
        let entry = self.endpoints.find_or_insert(endpoint);
        if let Some(known) = self.endpoints.get_mut(entry)
            && !known.flows.contains(&flow)
        {
            known.flows.push(flow);
        }
    }

    /// Gives a flow to the calls of its receiver, else of its sender (symmetric RTP behind NAT).
    fn own(&mut self, slot: u32) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let calls = self.calls_of(flow);
        if let Some(flow) = self.flows.get_mut(slot as usize) {
            flow.owners = calls;
        }
    }

    fn calls_of(&self, flow: &Flow) -> SmallVec<[CallRef; 2]> {
        self.endpoints
            .claimed(flow.destination)
            .or_else(|| self.endpoints.claimed(flow.source))
            .map(super::endpoints::Entry::calls)
            .unwrap_or_default()
    }

    fn settle_endpoint(&mut self, endpoint: u32, effects: &mut Effects) {
        let flows = self.endpoints.get(endpoint).map(|entry| entry.flows.clone()).unwrap_or_default();
        for flow in flows {
            self.settle(flow, effects);
        }
    }

    /// Decides anew whose a flow is.
    fn settle(&mut self, slot: u32, effects: &mut Effects) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let calls = self.calls_of(flow);
        if calls == flow.owners {
            self.learn_formats(slot);
            return;
        }
        let goes_on = flow.owners.iter().any(|owner| calls.contains(owner));
        let Some(flow) = self.flows.get_mut(slot as usize) else { return };
        let before = std::mem::replace(&mut flow.owners, calls);
        match (before.first(), flow.owners.first().copied()) {
            (None, Some(call)) => self.take_up(slot, call, effects),
            (Some(&old), _) if !goes_on => {
                effects.archived.extend(flow.reports().map(|report| (old, report)));
                effects.moved.push((old, flow.rtp, flow.rtcp));
                flow.forget_streams();
            }
            _ => {}
        }
        self.learn_formats(slot);
    }

    /// An unclaimed flow found its call.
    fn take_up(&mut self, slot: u32, call: CallRef, effects: &mut Effects) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        self.unclaimed_count = self.unclaimed_count.saturating_sub(1);
        self.counters.rtp += flow.rtp;
        self.counters.rtcp += flow.rtcp;
        let whole = self.counters.whole;
        self.counters.whole = (whole.0 + flow.whole.0, whole.1 + flow.whole.1);
        self.counters.streams += flow.stream.iter().chain(&flow.others).count() as u64;
        let mut taken = Vec::new();
        self.backlog.take(slot, flow.generation, &mut taken);
        effects.backlog.extend(taken.into_iter().map(|packet| (call, packet)));
    }

    /// Tells the streams of a flow their clock rate, once SDP has said it.
    fn learn_formats(&mut self, slot: u32) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let Some(stream) = flow.stream.filter(|stream| stream.format.clock == 0) else { return };
        let format = self.format(flow, stream.payload_type);
        if let Some(stream) = self.flows.get_mut(slot as usize).and_then(|flow| flow.stream.as_mut()) {
            stream.format = format;
        }
    }

    /// What a payload type means on a flow: as its receiver announced it, else its sender, else RFC 3551.
    fn format(&self, flow: &Flow, payload_type: u8) -> PayloadFormat {
        let announced = [flow.destination, flow.source].into_iter().find_map(|endpoint| {
            let entry = self.endpoints.claimed(endpoint)?;
            let formats = entry.owners.iter().rev().flat_map(|owner| &owner.formats);
            formats.into_iter().find(|format| format.payload_type == payload_type)
        });
        let format = announced.copied().or_else(|| static_format(payload_type));
        format.map(|format| PayloadFormat { clock: format.clock, name: format.name }).unwrap_or_default()
    }

    fn drop_if_nobodys(&mut self, slot: u32) {
        if self.flows.get(slot as usize).is_some_and(|flow| flow.in_use && flow.owners.is_empty()) {
            self.unclaimed_count += 1;
            self.remove(slot);
        }
    }

    fn remove(&mut self, slot: u32) {
        let Some(flow) = self.flows.get_mut(slot as usize).filter(|flow| flow.in_use) else { return };
        let key = (flow.source, flow.destination);
        if flow.owners.is_empty() {
            self.unclaimed_count = self.unclaimed_count.saturating_sub(1);
        }
        *flow = Flow { generation: flow.generation, ..Flow::default() };
        if let Ok(entry) = self.index.find_entry(self.hasher.hash_one(key), |&other| other == slot) {
            entry.remove();
        }
        self.free.push(slot);
        for endpoint in [key.0, key.1] {
            let Some(entry) = self.endpoints.find(endpoint) else { continue };
            if let Some(known) = self.endpoints.get_mut(entry) {
                known.flows.retain(|flow| *flow != slot);
            }
            self.endpoints.release(entry);
        }
    }
}

impl Flow {
    #[inline]
    fn is_new_to(&self, header: &RtpHeader) -> bool {
        self.stream
            .as_ref()
            .is_none_or(|stream| stream.ssrc != header.ssrc || stream.payload_type != header.payload_type)
    }

    /// Counts an RTP packet; true when it begins a stream.
    #[inline]
    fn observe(&mut self, header: &RtpHeader, arrival: Timestamp, format: PayloadFormat) -> bool {
        self.rtp += 1;
        match &mut self.stream {
            Some(stream) if stream.ssrc == header.ssrc => {
                if stream.payload_type != header.payload_type {
                    stream.payload_type = header.payload_type;
                    stream.format = format;
                }
                stream.observe(header, arrival);
                false
            }
            _ => self.switch(header, arrival, format),
        }
    }

    /// Another SSRC on the same flow: the current stream steps back, that one comes to the front.
    fn switch(&mut self, header: &RtpHeader, arrival: Timestamp, format: PayloadFormat) -> bool {
        let known = self.others.iter().position(|stream| stream.ssrc == header.ssrc);
        if let Some(index) = known {
            let mut stream = self.others.swap_remove(index);
            stream.observe(header, arrival);
            self.others.extend(self.stream.replace(stream));
            return false;
        }
        let is_full = self.others.len() + 1 >= MAX_STREAMS;
        let before = self.stream.replace(StreamStatistics::new(header, arrival, format));
        if !is_full {
            self.others.extend(before);
        }
        true
    }

    fn reports(&self) -> impl Iterator<Item = StreamReport> + '_ {
        let streams = self.others.iter().chain(&self.stream);
        streams.map(|&statistics| StreamReport {
            source: self.source,
            destination: self.destination,
            statistics,
        })
    }

    fn forget_streams(&mut self) {
        self.stream = None;
        self.others.clear();
        (self.rtp, self.rtcp, self.whole) = (0, 0, (0, 0));
    }
}

/// Whether an unannounced datagram is worth following: an RTP header, unprivileged ports, room for a payload.
fn is_plausible(datagram: &Datagram<'_>, look: Look) -> bool {
    let is_port = |endpoint: Endpoint| endpoint.port >= 1024;
    let is_media = match look {
        Look::Rtp(_) => datagram.payload.len() > 12,
        Look::Rtcp => true,
        Look::Neither => false,
    };
    is_media && is_port(datagram.source) && is_port(datagram.destination)
}
