//! Media flows: who sends to whom, for which calls, and what the streams in them were like.

mod flow;
mod likely;
mod onset;
mod others;
mod owners;
mod report;
mod room;
mod terms;

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::SmallVec;

use self::flow::{Flow, Listed};
use self::likely::Signs;
pub use self::likely::{Sought, Standing, Standings};
use self::others::Shared;
pub use self::report::{CallMedia, FaxReport, StreamReport};
use super::backlog::{Backlog, StoredPacket};
use super::endpoints::{CallRef, Calls, EndpointId, Endpoints};
use super::hints::Hints;
use super::recent::{Recent, SILENT};
use super::rtp::{Look, RtpHeader, audio, look, rtcp_packet, rtp_header};
use super::shared_loss::{Moment, Past, is_shared};
use crate::capture::Packet;
use crate::flow::{Endpoint, Index, PairHasher};
use crate::near::fetch;
use crate::quality::rtcp::Compound;
use crate::quality::{Arrival, PayloadFormat, Role};
use crate::sip::sdp::{Format, MediaKind, Srtp};
use crate::time::{PacketTime, Timestamp};

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
    /// Those of `rtp` and `rtcp` that came in fragments, not in one captured packet.
    pub fragmented: (u64, u64),
    /// RTP streams that belong to a call.
    pub streams: u64,
    /// Flows that looked like RTP and that no SDP claimed in time, or before the input ended.
    pub unclaimed_expired: u64,
    /// Flows that went because a table was full.
    pub flows_evicted: u64,
    /// RTP streams of calls that went because their flow, or all flows, had too many.
    pub streams_left_out: u64,
    /// Moments at which the streams of all senders missed packets, and those packets.
    pub lost_by_capture: (u64, u64),
}

/// What the flow of a UDP datagram needs to see of it.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// What [`PairHasher::hash`] has for its ends.
    pub hash: u64,
    /// When it was captured.
    pub timestamp: Timestamp,
    /// Its payload.
    pub payload: &'a [u8],
}

/// A UDP datagram whose flow was not found.
#[derive(Clone, Copy, Debug)]
pub struct Stranger<'a> {
    /// Its payload.
    pub payload: &'a [u8],
    /// The ports of the sender and the receiver.
    pub ports: (u16, u16),
    /// What [`PairHasher::hash_one`] has for the sender, and for the receiver.
    pub hashes: (u64, u64),
}

impl Stranger<'_> {
    #[inline]
    fn may_be_media(&self) -> bool {
        may_be_media(self.payload, self.ports, look(self.payload))
    }
}

/// A UDP datagram that is not SIP.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// What its flow sees.
    pub seen: Sighting<'a>,
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// It came in one captured packet, not in fragments.
    pub is_whole: bool,
}

impl Datagram<'_> {
    const fn ports(&self) -> (u16, u16) {
        (self.source.port, self.destination.port)
    }
}

#[cfg(test)]
impl<'a> Datagram<'a> {
    /// One that came in one packet.
    pub(crate) fn whole(
        timestamp: Timestamp,
        (source, destination): (Endpoint, Endpoint),
        payload: &'a [u8],
    ) -> Self {
        let hash = PairHasher::default().hash(source, destination);
        Self { seen: Sighting { hash, timestamp, payload }, source, destination, is_whole: true }
    }
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
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// What it is.
    pub payload: Payload,
    /// It belongs to a call.
    pub is_owned: bool,
    /// Its flow, when it is followed: for [`MediaTable::owners`] and [`MediaTable::keep`].
    pub flow: Option<u32>,
}

const NOT_FOLLOWED: Finding = Finding { payload: Payload::Other, is_owned: false, flow: None };

/// The calls that a flow belongs to: at most two, such as the legs of a call whose media bypasses the B2BUA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owners([CallRef; 2]);

impl Default for Owners {
    fn default() -> Self {
        Self([CallRef::NONE; 2])
    }
}

impl Owners {
    pub(crate) fn new(calls: impl Iterator<Item = CallRef>) -> Self {
        let mut owners = Self::default();
        owners.0.iter_mut().zip(calls).for_each(|(slot, call)| *slot = call);
        owners
    }

    /// The calls.
    #[must_use]
    pub fn as_slice(&self) -> &[CallRef] {
        let count = self.0.iter().take_while(|call| **call != CallRef::NONE).count();
        self.0.get(..count).unwrap_or_default()
    }

    /// Whether it belongs to nobody.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        let Self([first, _]) = self;
        *first == CallRef::NONE
    }

    fn without(&self, call: CallRef) -> Self {
        Self::new(self.as_slice().iter().copied().filter(|owner| *owner != call))
    }
}

/// What an announcement says: where, in which formats.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The formats it announced; empty for RTCP.
    pub formats: &'a [Format],
    /// Whether what it carries is SRTP.
    pub srtp: Srtp,
    /// What it carries.
    pub kind: MediaKind,
}

/// What a change of ownership entails, for the tracker to carry out. Cleared and used again.
#[derive(Debug, Default)]
pub struct Effects {
    /// What flows were like that were a call's and are others' now.
    pub parted: Vec<(CallRef, CallMedia)>,
    /// Packets that found their call late.
    pub backlog: Vec<(CallRef, StoredPacket)>,
}

impl Effects {
    /// Whether there is nothing to do.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.parted.is_empty() && self.backlog.is_empty()
    }
}

/// Where a flow was when it was looked for; it may be somewhere else by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHint(u32);

impl FlowHint {
    /// It was not looked for, or there was none.
    pub const NONE: Self = Self(u32::MAX);
}

/// What a datagram's flow needs is fetched so many datagrams before it.
pub const AHEAD: usize = 12;

/// Every media flow, and every endpoint that SDP announced.
#[derive(Debug)]
pub struct MediaTable {
    limits: Limits,
    calls: Calls,
    endpoints: Endpoints,
    index: Index,
    hints: Hints,
    flows: Vec<Flow>,
    free: Vec<u32>,
    /// Slots of flows that nobody has announced, their generations, and when to count from, in packet time. Some may have
    /// gone or found their call since.
    unclaimed: VecDeque<(u32, u32, Timestamp)>,
    unclaimed_count: usize,
    /// Flows that are in the list of one of their ends alone.
    unlisted: usize,
    shared: Shared,
    hasher: PairHasher,
    backlog: Backlog,
    moment: Moment,
    /// The latest tick.
    time: PacketTime,
    recent: Recent,
    counters: Counters,
}

impl MediaTable {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            calls: Calls::default(),
            endpoints: Endpoints::default(),
            index: Index::default(),
            hints: Hints::default(),
            flows: Vec::new(),
            free: Vec::new(),
            unclaimed: VecDeque::new(),
            unclaimed_count: 0,
            unlisted: 0,
            shared: Shared::default(),
            hasher: PairHasher::default(),
            backlog: Backlog::default(),
            moment: Moment::default(),
            time: PacketTime::default(),
            recent: Recent::default(),
            counters: Counters::default(),
        }
    }

    /// Tells where packet time begins.
    pub fn begin(&mut self, time: PacketTime) {
        self.time = time;
    }

    /// The counts so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Flows followed at present.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// What is held to forget flows in time.
    #[cfg(test)]
    pub(crate) fn unclaimed_entries(&self) -> usize {
        self.unclaimed.len()
    }

    /// Of them, flows that no SDP has announced.
    #[must_use]
    pub const fn unclaimed(&self) -> usize {
        self.unclaimed_count
    }

    /// Looks up the flows of some datagrams by the hashes that [`PairHasher::hash`] has for them, and fetches what they
    /// will need. Nothing in these loops waits for what was read before it.
    #[inline]
    pub fn look_up(&mut self, hashes: impl Iterator<Item = u64>, found: &mut Vec<FlowHint>) {
        found.extend(hashes.map(|hash| FlowHint(self.hints.find(hash))));
        found.iter().take(AHEAD).for_each(|&hint| self.touch(hint));
    }

    /// Fetches what the next packet of a flow will need.
    #[inline(always)]
    fn touch(&self, hint: FlowHint) {
        if let Some(flow) = self.flows.get(hint.0 as usize) {
            fetch(&flow.hash);
            flow.stream.touch();
        }
    }

    /// Takes the next datagram; `hint` is where its flow probably is. What is known of calls beside their media is asked
    /// where that does not tell whose it is. A stream that begins may have its flow change hands.
    #[inline]
    pub fn packet(
        &mut self,
        hint: FlowHint,
        datagram: &Datagram<'_>,
        known: &dyn Standings,
        effects: &mut Effects,
    ) -> Finding {
        if datagram.is_whole
            && let Some(is_owned) = self.take_usual(hint, &datagram.seen)
        {
            self.counters.rtp += u64::from(is_owned);
            return Finding { payload: Payload::Rtp, is_owned, flow: Some(hint.0) };
        }
        self.unusual(hint, datagram, known, effects)
    }

    /// Takes datagrams, none of which came in fragments, as long as they are what most are: each the next packet of its
    /// flow's stream. Tells how many it took; the one behind them is for [`Self::packet`].
    #[inline(never)]
    pub fn usual<'a>(
        &mut self,
        datagrams: impl Iterator<Item = (FlowHint, FlowHint, Sighting<'a>)>,
    ) -> usize {
        let (mut taken, mut owned) = (0, 0);
        for (hint, ahead, seen) in datagrams {
            self.touch(ahead);
            let Some(is_owned) = self.take_usual(hint, &seen) else { break };
            owned += u64::from(is_owned);
            taken += 1;
        }
        self.counters.rtp += owned;
        taken
    }

    /// Takes the next packet of a flow's stream; tells whether the flow belongs to a call.
    #[inline(always)]
    fn take_usual(&mut self, hint: FlowHint, seen: &Sighting<'_>) -> Option<bool> {
        let flow = self.flows.get_mut(hint.0 as usize)?;
        let header = seen.payload.first_chunk()?;
        // A flow that is not in use has no stream that takes anything.
        let is_taken = flow.hash == seen.hash && flow.stream.takes_next(header, seen.timestamp);
        is_taken.then(|| !flow.owners.is_empty())
    }

    /// Counts datagrams of unknown flows as long as it is plain that nobody wants them: neither end is known, and they do
    /// not look like media.
    #[inline(never)]
    pub fn nobodys<'a>(&self, datagrams: impl Iterator<Item = Stranger<'a>>) -> usize {
        let is_nobodys = |stranger: &Stranger<'_>| {
            let (source, destination) = stranger.hashes;
            !self.endpoints.may_know(source)
                && !self.endpoints.may_know(destination)
                && !stranger.may_be_media()
        };
        datagrams.take_while(is_nobodys).count()
    }

    /// Takes any other datagram.
    #[inline(never)]
    fn unusual(
        &mut self,
        hint: FlowHint,
        datagram: &Datagram<'_>,
        known: &dyn Standings,
        effects: &mut Effects,
    ) -> Finding {
        let look = look(datagram.seen.payload);
        let is_there = self
            .flows
            .get(hint.0 as usize)
            .is_some_and(|flow| flow.in_use && flow.joins(&datagram.source, &datagram.destination));
        let slot = if is_there {
            hint.0
        } else {
            let Some(slot) = self.find_or_follow(datagram, look, known) else { return NOT_FOLLOWED };
            slot
        };
        let look = if self.goes_on_as_fax(slot, look, datagram.seen.payload) { Look::Neither } else { look };
        if let Look::Rtp(header) = look
            && let Some(flow) = self.flows.get(slot as usize)
            && flow.begins_with(&header, datagram.seen.timestamp)
        {
            self.settle_onset(slot, &header, known, effects);
        }
        let Some(flow) = self.flows.get_mut(slot as usize) else { return NOT_FOLLOWED };
        let counters = &mut self.counters;
        let is_owned = !flow.owners.is_empty();
        let payload = match look {
            Look::Rtp(header) => {
                counters.rtp += u64::from(is_owned);
                if !std::mem::replace(&mut flow.is_recent, true) {
                    self.recent.add(slot, flow.generation);
                }
                if flow.is_next(&header) {
                    let at = datagram.seen.timestamp;
                    // A wild stamp is of no moment.
                    if flow.stream.observe(&arrival(&header, at)) && self.time.near(at).is_some() {
                        self.moment.begin(at);
                    }
                } else {
                    self.begin_stream(slot, header, datagram);
                }
                Payload::Rtp
            }
            Look::Rtcp => {
                counters.rtcp += u64::from(is_owned);
                flow.rtcp += 1;
                flow.last_other = datagram.seen.timestamp;
                self.note_rtcp(slot, datagram);
                Payload::Rtcp
            }
            // Neither RTP nor T.38, and no sign of either.
            Look::Neither if is_about_the_path(datagram.seen.payload) => Payload::Other,
            Look::Neither => {
                flow.other += 1;
                flow.last_other = datagram.seen.timestamp;
                flow.numbers.note(datagram.seen.payload);
                if flow.fax_began().is_none() {
                    self.note_fax(slot);
                }
                Payload::Other
            }
        };
        if !datagram.is_whole {
            self.note_fragmented(slot, payload);
        }
        Finding { payload, is_owned, flow: Some(slot) }
    }

    /// What came last is neither RTP nor RTCP: a fax may have begun with it.
    #[cold]
    fn note_fax(&mut self, slot: u32) {
        if self.flows.get(slot as usize).is_some_and(|flow| self.is_fax(flow))
            && let Some(flow) = self.flows.get_mut(slot as usize)
        {
            let began = flow.last_other;
            flow.aside_mut().fax_began = Some(began);
        }
    }

    /// The calls that a flow belongs to.
    #[must_use]
    pub fn owners(&self, flow: u32) -> Owners {
        self.flows.get(flow as usize).map_or_else(Owners::default, |flow| flow.owners)
    }

    /// The calls of an RTP packet that was not delivered, and of whose payload that is the beginning, maybe nothing: those of its
    /// flow, else those that announced its receiver.
    #[must_use]
    pub fn calls_of_lost(&self, source: Endpoint, destination: Endpoint, payload: &[u8]) -> Owners {
        let slot = self.find_flow(&source, &destination);
        let flow = slot.and_then(|slot| self.flows.get(slot as usize));
        let is_rtp = match look(payload) {
            Look::Rtp(_) => true,
            Look::Rtcp => false,
            // Where no more than the ports is known, RTCP is told by what else goes that way.
            Look::Neither => payload.len() < 12 && flow.is_none_or(|flow| flow.streams().next().is_some()),
        };
        let owners = flow.map(|flow| flow.owners).filter(|owners| !owners.is_empty());
        let announced = || self.endpoints.claimed(destination).map(|entry| entry.calls(&self.calls));
        owners.or_else(announced).filter(|_| is_rtp).unwrap_or_default()
    }

    /// A packet of another SSRC or payload type than the one before it on its flow.
    #[cold]
    fn begin_stream(&mut self, slot: u32, header: RtpHeader, datagram: &Datagram<'_>) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let format = self.format(flow, header.payload_type);
        let is_nothing = format == PayloadFormat::default() && audio(datagram.seen.payload).is_empty();
        let role = if is_nothing { Role::Nothing } else { role(format) };
        let Some(flow) = self.flows.get_mut(slot as usize) else { return };
        let left_out = flow.left_out().streams;
        let is_new = flow.switch(&header, datagram.seen.timestamp, (format, role), &mut self.shared);
        if !flow.owners.is_empty() {
            self.counters.streams += u64::from(is_new);
            self.counters.streams_left_out += flow.left_out().streams - left_out;
        }
        if role == Role::Nothing {
            flow.last_other = datagram.seen.timestamp;
        }
        if role == Role::Event {
            let payload =
                rtp_header(datagram.seen.payload).and_then(|length| datagram.seen.payload.get(length..));
            flow.aside_mut().events.observe(
                header.timestamp,
                payload.unwrap_or_default(),
                datagram.seen.timestamp,
            );
        }
        if is_new {
            self.learn_srtp(slot);
        }
    }

    /// Reads an RTCP packet, with that of the other direction beside it.
    #[cold]
    fn note_rtcp(&mut self, slot: u32, datagram: &Datagram<'_>) {
        let Some(compound) = Compound::of(datagram.seen.payload) else { return };
        let Some(flow) = self.flows.get_mut(slot as usize) else { return };
        let mut control = flow.control.take().unwrap_or_default();
        let reverse = self.find_flow(&datagram.destination, &datagram.source);
        let reverse = reverse.and_then(|slot| self.flows.get(slot as usize)?.control.as_deref());
        control.observe(compound, datagram.seen.timestamp, reverse);
        if let Some(flow) = self.flows.get_mut(slot as usize) {
            flow.control = Some(control);
        }
    }

    fn find_flow(&self, source: &Endpoint, destination: &Endpoint) -> Option<u32> {
        self.find_hashed(self.hasher.hash(*source, *destination), source, destination)
    }

    fn find_hashed(&self, hash: u64, source: &Endpoint, destination: &Endpoint) -> Option<u32> {
        let is_it =
            |slot| self.flows.get(slot as usize).is_some_and(|flow: &Flow| flow.joins(source, destination));
        self.index.find(hash, is_it)
    }

    #[cold]
    fn note_fragmented(&mut self, slot: u32, payload: Payload) {
        let Some(flow) = self.flows.get_mut(slot as usize) else { return };
        let (rtp, rtcp) = (u64::from(payload == Payload::Rtp), u64::from(payload == Payload::Rtcp));
        let known = &mut flow.aside_mut().fragmented;
        *known = (known.0 + rtp, known.1 + rtcp);
        if !flow.owners.is_empty() {
            let counted = &mut self.counters.fragmented;
            *counted = (counted.0 + rtp, counted.1 + rtcp);
        }
    }

    /// Keeps a packet of a flow that nobody owns yet, for half a second.
    pub fn keep(&mut self, flow: u32, packet: &Packet, frame: &[u8]) {
        if let Some(known) = self.flows.get(flow as usize) {
            let came = self.time.bound(packet.timestamp);
            let flow = (flow, known.generation);
            self.backlog.keep(flow, came, (packet, frame), self.limits.backlog_bytes);
        }
    }

    /// Fetches what is known of a call that is about to announce something or to end.
    pub fn touch_call(&self, slot: u32) {
        self.calls.touch(slot);
    }

    /// Fetches what is known of endpoints that are about to be announced.
    pub fn touch_endpoints(&self, announced: impl Iterator<Item = Endpoint>) {
        self.endpoints.touch(announced);
    }

    /// Fetches endpoints that are about to be closed.
    pub fn touch_announced(&self, announced: impl Iterator<Item = (EndpointId, Endpoint)>) {
        self.endpoints.touch_announced(announced);
    }

    /// Whether what looks like RTP or RTCP, and goes on with no stream, is one more packet of a fax.
    #[inline]
    fn goes_on_as_fax(&self, slot: u32, look: Look, payload: &[u8]) -> bool {
        let Some(flow) = self.flows.get(slot as usize).filter(|flow| flow.other > 0) else { return false };
        let is_doubtful = match look {
            Look::Rtp(header) => !flow.is_next(&header),
            Look::Rtcp => true,
            Look::Neither => false,
        };
        is_doubtful && flow.numbers.go_on_with(payload) && self.is_fax(flow)
    }

    /// A stream missed packets at that moment. When all did, it was the capture.
    #[inline(never)]
    fn compare(&mut self, moment: &Past) {
        let slots = || self.recent.iter();
        let is_it = |flow: &Flow, generation| flow.generation == generation && !flow.owners.is_empty();
        let flows = slots().filter_map(|(slot, generation)| {
            self.flows.get(slot as usize).filter(|flow| is_it(flow, generation))
        });
        let streams = flows.flat_map(|flow| flow.streams().map(|stream| (flow.source.address, stream)));
        if !is_shared(streams, moment) {
            return;
        }
        let (moments, packets) = &mut self.counters.lost_by_capture;
        *moments += 1;
        for (slot, generation) in slots() {
            let flow = self.flows.get_mut(slot as usize).filter(|flow| is_it(flow, generation));
            let Some(flow) = flow else { continue };
            for stream in flow.streams_mut() {
                if stream.missed_within(&moment.times) {
                    *packets += stream.blame_capture();
                }
            }
        }
    }

    /// Leaves out flows that are gone or silent.
    fn tidy_recent(&mut self) {
        let (flows, PacketTime { now, stamp }) = (&mut self.flows, self.time);
        self.recent.tidy(now, |slot, generation| {
            let flow = flows.get_mut(slot as usize).filter(|flow| flow.generation == generation);
            flow.is_some_and(|flow| {
                flow.is_recent &= stamp.since(flow.stream.latest()) < SILENT;
                flow.is_recent
            })
        });
    }
}

/// Each call once.
fn distinct(calls: impl Iterator<Item = CallRef>) -> impl Iterator<Item = CallRef> {
    let mut known = SmallVec::<[CallRef; 8]>::new();
    calls.filter(move |call| {
        let is_new = !known.contains(call);
        if is_new {
            known.push(*call);
        }
        is_new
    })
}

#[inline]
const fn arrival(header: &RtpHeader, time: Timestamp) -> Arrival {
    Arrival { time, sequence: header.sequence, timestamp: header.timestamp, marker: header.marker }
}

/// Whether a datagram keeps a path open or tries it: STUN (RFC 8489 5: two bits of zero, and the magic cookie), or a few bytes,
/// as of CRLF. A UDPTL packet has a number of two bytes, a length and what that counts (T.38 9.1).
fn is_about_the_path(payload: &[u8]) -> bool {
    matches!(payload, [0..=3, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..]) || payload.len() < 4
}

/// What packets of a format are to the stream that they come in.
fn role(format: PayloadFormat) -> Role {
    match format.name {
        name if name.is("CN") => Role::ComfortNoise,
        name if name.is("telephone-event") => Role::Event,
        _ => Role::Media,
    }
}

/// Whether a datagram may belong to a call although neither of its ends does: it may be worth following, or be RTCP, which
/// is known by another port.
fn may_be_media(payload: &[u8], ports: (u16, u16), look: Look) -> bool {
    look == Look::Rtcp || is_plausible(payload, ports, look)
}

/// Whether an unannounced datagram is worth following: an RTP or RTCP header whose lengths are those of the datagram,
/// unprivileged ports, room for a payload. Contributing sources are a mixer's (RFC 3550 7.1), which is announced before it
/// has any; of what is not RTP, fifteen times as much looks like that as like RTP without.
fn is_plausible(payload: &[u8], (source, destination): (u16, u16), look: Look) -> bool {
    let is_media = match look {
        Look::Rtp(_) => {
            let has_sources = payload.first().is_some_and(|first| first & 0x0f != 0);
            !has_sources && rtp_header(payload).is_some_and(|length| length < payload.len())
        }
        Look::Rtcp => rtcp_packet(payload).is_some_and(|length| length <= payload.len()),
        Look::Neither => false,
    };
    is_media && source >= 1024 && destination >= 1024
}
