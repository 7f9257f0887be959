//! Media flows: who sends to whom, for which calls, and what the streams in them were like.

mod likely;

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::SmallVec;

pub use self::likely::{Standing, Standings};
use super::backlog::{Backlog, StoredPacket};
use super::endpoints::{CallRef, Calls, EndpointId, Endpoints, Entry, next_port, port_before};
use super::hints::Hints;
use super::recent::{Recent, SILENT};
use super::rtp::{Look, RtpHeader, look, rtcp_packet, rtp_header};
use super::shared_loss::{Moment, Past, is_shared};
use super::udptl::Numbers;
use crate::capture::Packet;
use crate::flow::{Endpoint, Index, PairHasher};
use crate::near::fetch;
use crate::quality::rtcp::Compound;
use crate::quality::{Arrival, Control, Events, Heard, PayloadFormat, Playout, Role, Stream};
use crate::sip::sdp::{Format, MediaKind, static_format};
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
    /// The profile is one of SRTP (RFC 3711).
    pub secure: bool,
    /// What it carries.
    pub kind: MediaKind,
}

/// One stream of a call, as it was.
#[derive(Clone, Debug)]
pub struct StreamReport {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// What it was like.
    pub stream: Stream,
    /// Keys pressed in it.
    pub events: Events,
    /// It is announced as SRTP.
    pub encrypted: bool,
    /// What it carries as SDP says; none when several kinds share the endpoint, or nothing is announced.
    pub kind: Option<MediaKind>,
    /// Its receiver has announced its payload type; none when the receiver has announced nothing.
    pub announced: Option<bool>,
}

/// The media of a call.
#[derive(Debug, Default)]
pub struct CallMedia {
    /// Its streams.
    pub streams: Vec<StreamReport>,
    /// What RTCP says of them.
    pub heard: Vec<Heard>,
    /// RTP packets.
    pub rtp: u64,
    /// RTCP packets.
    pub rtcp: u64,
    /// UDPTL packets (T.38).
    pub udptl: u64,
    /// The flows that they are of.
    pub faxes: Vec<FaxReport>,
}

/// The UDPTL packets (T.38) of one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaxReport {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// Packets.
    pub packets: u64,
    /// When the first came.
    pub first: Timestamp,
    /// When the last came.
    pub latest: Timestamp,
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

impl Effects {
    /// Whether there is nothing to do.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.archived.is_empty() && self.moved.is_empty() && self.backlog.is_empty()
    }
}

/// SSRCs followed at a time within one flow.
const MAX_STREAMS: usize = 16;

/// Flows of a full list that are looked at when one is to go: a stranger's packet costs no more, however many come.
const LOOKED_AT: usize = 8;

/// Packets, a second of speech, from which on a flow is no stranger's.
const SPEECH: u64 = 50;

/// How long a flow has to be there for its calls to be known: descriptions are late by no more, see [`Backlog`].
const KNOWN_AFTER: Duration = Duration::from_millis(500);

/// How long a flow may be silent for its calls to go on, by what it carries; RTCP comes every 5 s or so (RFC 3550 6.2).
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

/// Where a flow was when it was looked for; it may be somewhere else by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHint(u32);

impl FlowHint {
    /// It was not looked for, or there was none.
    pub const NONE: Self = Self(u32::MAX);
}

/// One flow. What every packet needs comes first: two cache lines, the second of which is the stream's.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Flow {
    /// The hash of its ends. It depends on a secret of this process: nobody outside can make two flows share one.
    hash: u64,
    source: Endpoint,
    destination: Endpoint,
    owners: Owners,
    /// The stream of the latest packet.
    stream: Stream,
    generation: u32,
    in_use: bool,
    /// It is among the recent ones.
    is_recent: bool,
    /// It began with RTCP: it may go to the port next to the one announced.
    is_rtcp: bool,
    listed: Listed,
    rtcp: u64,
    /// Packets that are neither.
    other: u64,
    /// What these are known by, if they are a fax.
    numbers: Numbers,
    /// Time of the latest packet that was not RTP.
    last_other: Timestamp,
    /// What its RTCP says.
    control: Option<Box<Control>>,
    aside: Option<Box<Aside>>,
}

/// What a usual packet needs of its stream is the second cache line, and a third has the rest: many thousands of flows
/// are to fit into the cache.
const _: () = assert!(std::mem::offset_of!(Flow, stream) == 64 && size_of::<Flow>() == 192);

/// In the lists of which of its ends a flow is. It is in that of one of them that its calls announced, if any did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Listed {
    #[default]
    Both,
    Source,
    Destination,
}

/// What few flows have.
#[derive(Debug, Default)]
struct Aside {
    /// Streams before or beside the latest packet's.
    others: Vec<Stream>,
    events: Events,
    /// Time of the first packet of a fax.
    fax_began: Option<Timestamp>,
    /// RTP packets of streams that were more than can be followed.
    unfollowed: u64,
    /// RTP and RTCP packets that came in fragments.
    fragmented: (u64, u64),
    /// Calls that it became one of while it was another's, and when its latest packet was then.
    joined: SmallVec<[(CallRef, Timestamp); 2]>,
}

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
        let flows = found.iter().filter_map(|hint| self.flows.get(hint.0 as usize));
        flows.for_each(|flow| {
            fetch(&flow.hash);
            flow.stream.touch();
        });
    }

    /// Takes the next datagram; `hint` is where its flow probably is. What is known of calls beside their media is asked
    /// where that does not tell whose it is.
    #[inline]
    pub fn packet(&mut self, hint: FlowHint, datagram: &Datagram<'_>, known: &dyn Standings) -> Finding {
        if datagram.is_whole
            && let Some(is_owned) = self.take_usual(hint, &datagram.seen)
        {
            self.counters.rtp += u64::from(is_owned);
            return Finding { payload: Payload::Rtp, is_owned, flow: Some(hint.0) };
        }
        self.unusual(hint, datagram, known)
    }

    /// Takes datagrams, none of which came in fragments, as long as they are what most are: each the next packet of its
    /// flow's stream. Tells how many it took; the one behind them is for [`Self::packet`].
    #[inline(never)]
    pub fn usual<'a>(&mut self, datagrams: impl Iterator<Item = (FlowHint, Sighting<'a>)>) -> usize {
        let (mut taken, mut owned) = (0, 0);
        for (hint, seen) in datagrams {
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
    fn unusual(&mut self, hint: FlowHint, datagram: &Datagram<'_>, known: &dyn Standings) -> Finding {
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

    /// A packet of another SSRC or payload type than the one before it on its flow.
    #[cold]
    fn begin_stream(&mut self, slot: u32, header: RtpHeader, datagram: &Datagram<'_>) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let format = self.format(flow, header.payload_type);
        let Some(flow) = self.flows.get_mut(slot as usize) else { return };
        let role = role(format);
        let is_new = flow.switch(&header, datagram.seen.timestamp, (format, role));
        self.counters.streams += u64::from(is_new && !flow.owners.is_empty());
        if role == Role::Event {
            let payload =
                rtp_header(datagram.seen.payload).and_then(|length| datagram.seen.payload.get(length..));
            flow.aside_mut().events.observe(
                header.timestamp,
                payload.unwrap_or_default(),
                datagram.seen.timestamp,
            );
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

    /// A call announces an endpoint; RTCP is expected there and at the next port. Whose the flows there are is to be
    /// [settled](Self::settle_at) then.
    pub fn claim(&mut self, call: CallRef, claim: &Claim<'_>) -> EndpointId {
        let slot = self.endpoints.find_or_insert(claim.endpoint);
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

    /// Decides anew whose the flows at an endpoint are.
    pub fn settle_at(&mut self, endpoint: EndpointId, known: &dyn Standings, effects: &mut Effects) {
        self.settle_around(endpoint.0, known, effects);
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
            endpoints.for_each(|endpoint| self.settle_around(endpoint.0, known, effects));
        }
    }

    /// Fetches what is known of calls that are about to announce something or to end.
    pub fn touch_calls(&self, slots: impl Iterator<Item = u32>) {
        self.calls.touch(slots);
    }

    /// Fetches what is known of endpoints that are about to be announced.
    pub fn touch_endpoints(&self, announced: impl Iterator<Item = Endpoint>) {
        self.endpoints.touch(announced);
    }

    /// Fetches endpoints that are about to be closed.
    pub fn touch_announced(&self, announced: impl Iterator<Item = (EndpointId, Endpoint)>) {
        self.endpoints.touch_announced(announced);
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

    /// Takes the flows at an endpoint away from a call.
    fn disown(&mut self, call: CallRef, entry: u32) {
        let flows = self.endpoints.get(entry).map(|entry| entry.flows.clone()).unwrap_or_default();
        for flow in flows {
            let Some(known) = self.flows.get_mut(flow as usize) else { continue };
            if !known.owners.as_slice().contains(&call) {
                continue;
            }
            known.owners = known.owners.without(call);
            if known.owners.is_empty() {
                // Whoever sends on there is followed anew.
                self.unclaimed_count += 1;
                self.remove(flow);
            }
        }
    }

    /// Adds the media of a call at one endpoint. A flow between two endpoints of one call is reported at its
    /// receiver's.
    pub fn report(&self, call: CallRef, endpoint: EndpointId, media: &mut CallMedia) {
        let Some(entry) = self.endpoints.get(endpoint.0) else { return };
        let next = next_port(entry.endpoint).and_then(|next| self.endpoints.find(next));
        let next = next.and_then(|next| self.endpoints.get(next)).filter(|next| !next.is_announced());
        for entry in [Some(entry), next].into_iter().flatten() {
            for &slot in &entry.flows {
                let Some(flow) = self.flows.get(slot as usize) else { continue };
                if flow.owners.as_slice().contains(&call)
                    && flow.had_packets_for(call)
                    && !self.is_told_elsewhere(call, flow, entry.endpoint)
                {
                    media.rtp += flow.rtp_for(call);
                    media.rtcp += flow.rtcp;
                    if flow.other > 0 && self.is_fax(flow) {
                        media.udptl += flow.other;
                        media.faxes.push(flow.fax());
                    }
                    media.streams.extend(self.reports(flow, call));
                    media.heard.extend(flow.control.iter().flat_map(|control| control.heard.iter().copied()));
                }
            }
        }
    }

    /// What the streams were like that had packets while the flow was that call's.
    fn reports<'a>(&'a self, flow: &'a Flow, call: CallRef) -> impl Iterator<Item = StreamReport> + 'a {
        let receiver = self.endpoints.claimed(flow.destination);
        let either = receiver.or_else(|| self.endpoints.claimed(flow.source));
        let encrypted = either.is_some_and(|entry| entry.secure);
        let kind = either.and_then(|entry| entry.kinds.only());
        let events = flow.aside.as_ref().map(|aside| &aside.events);
        flow.streams_for(call).map(move |stream| StreamReport {
            source: flow.source,
            destination: flow.destination,
            stream: stream.clone(),
            // The keys of one sender; which of its streams they are in is not worth a table.
            events: events.filter(|_| stream.ssrc == flow.stream.ssrc).cloned().unwrap_or_default(),
            encrypted,
            kind,
            announced: receiver
                .map(|entry| self.endpoints.formats(entry))
                .filter(|formats| !formats.is_empty())
                .map(|formats| formats.iter().any(|format| format.payload_type == stream.payload_type())),
        })
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

    /// Whether one end of a flow was announced for T.38.
    fn is_fax(&self, flow: &Flow) -> bool {
        let mut ends = [flow.destination, flow.source].into_iter();
        ends.any(|end| self.endpoints.claimed(end).is_some_and(|entry| entry.fax))
    }

    /// Whether a flow in the list of `endpoint` is reported at its other end: where it ends, unless it is the call's or is
    /// in the list only where it begins.
    fn is_told_elsewhere(&self, call: CallRef, flow: &Flow, endpoint: Endpoint) -> bool {
        let is_told_at = |end: Endpoint| {
            flow.is_listed_at(end) && self.owner_of(end, flow.is_rtcp).is_some_and(|entry| entry.has(call))
        };
        let (source, destination) = (flow.source, flow.destination);
        if source == endpoint {
            source != destination && is_told_at(destination)
        } else {
            !is_told_at(destination) && is_told_at(source)
        }
    }

    /// The stamp of the latest packet that a call's endpoint saw. One that is far off does not count.
    #[must_use]
    pub fn last_packet(&self, endpoint: EndpointId) -> Option<Timestamp> {
        let flows = &self.endpoints.get(endpoint.0)?.flows;
        let flows = flows.iter().filter_map(|&slot| self.flows.get(slot as usize));
        flows.filter_map(|flow| flow.last(self.time)).max()
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
            let others = flow.aside.iter_mut().flat_map(|aside| &mut aside.others);
            for stream in others.chain([&mut flow.stream]) {
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

    /// The flow of a datagram, which begins to be followed when it is somebody's or looks as if it will be.
    #[inline(never)]
    fn find_or_follow(&mut self, datagram: &Datagram<'_>, look: Look, known: &dyn Standings) -> Option<u32> {
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
            self.own(slot, known);
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

    /// Gives a flow to the calls of its receiver, else of its sender (symmetric RTP behind NAT).
    fn own(&mut self, slot: u32, known: &dyn Standings) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let calls = self.calls_of(flow, known);
        if let Some(flow) = self.flows.get_mut(slot as usize) {
            flow.owners = calls;
        }
    }

    /// The calls that a flow belongs to, as it is announced now.
    fn calls_of(&self, flow: &Flow, known: &dyn Standings) -> Owners {
        let calls = self.calls_by_ends(flow, known);
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
    fn calls_by_ends(&self, flow: &Flow, known: &dyn Standings) -> Owners {
        let sender = || self.owner_of(flow.source, flow.is_rtcp);
        let Some(receiver) = self.owner_of(flow.destination, flow.is_rtcp) else {
            return sender().map(|sender| self.calls_at(flow, sender, known)).unwrap_or_default();
        };
        let Some(sender) = sender().filter(|_| receiver.count() > 1) else {
            return self.calls_at(flow, receiver, known);
        };
        let both = receiver.calls_with(sender, &self.calls);
        if !both.is_empty() {
            return self.calls_between(flow, (receiver, sender), &both, known);
        }
        // A media server has one port for all its calls.
        let is_sender_s = receiver.is_crowded() && sender.count() == 1;
        self.calls_at(flow, if is_sender_s { sender } else { receiver }, known)
    }

    /// The calls of a flow, of those that announced both of its ends: attack, others that merely name both. Whoever had it
    /// first keeps it while it is up. Of the others, those that came first have it with him, while somebody speaks only those
    /// that may be legs of the same; after a pause the latest, for the end of one before it may have been missed.
    fn calls_between(
        &self,
        flow: &Flow,
        ends: (&Entry, &Entry),
        both: &[CallRef],
        known: &dyn Standings,
    ) -> Owners {
        let before = self.still(flow, |call| ends.0.has(call) && ends.1.has(call));
        let before = before.as_slice();
        let Some(&first) = before.first() else { return Owners::new(both.iter().copied()) };
        if flow.is_under_way(self.time) {
            let legs = both.iter().filter(|&&other| known.may_be_legs(first, other));
            Owners::new(distinct(before.iter().chain(legs).copied()))
        } else {
            Owners::new(distinct([&first].into_iter().chain(both.iter().rev()).copied()))
        }
    }

    /// The calls that a flow belongs to so far, those of them that are up and that `may` have it.
    fn still(&self, flow: &Flow, may: impl Fn(CallRef) -> bool) -> Owners {
        let owners = flow.owners.as_slice().iter().copied();
        Owners::new(owners.filter(|&owner| !self.calls.has_ended(owner) && may(owner)))
    }

    /// Who announced an endpoint; of RTCP also the port before it.
    fn owner_of(&self, endpoint: Endpoint, is_rtcp: bool) -> Option<&Entry> {
        let announced = self.endpoints.claimed(endpoint);
        if announced.is_some() || !is_rtcp {
            return announced;
        }
        port_before(endpoint).and_then(|before| self.endpoints.claimed(before))
    }

    /// Decides anew whose the flows at an endpoint and RTCP at its next port are.
    fn settle_around(&mut self, endpoint: u32, known: &dyn Standings, effects: &mut Effects) {
        if self.is_empty() {
            return;
        }
        let Some(entry) = self.endpoints.get(endpoint) else { return };
        let next = next_port(entry.endpoint).and_then(|next| self.endpoints.find(next));
        for entry in [Some(endpoint), next].into_iter().flatten() {
            let flows = self.endpoints.get(entry).map(|entry| entry.flows.clone()).unwrap_or_default();
            for flow in flows {
                self.settle(flow, known, effects);
            }
        }
    }

    /// Decides anew whose a flow is.
    fn settle(&mut self, slot: u32, known: &dyn Standings, effects: &mut Effects) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let calls = self.calls_of(flow, known);
        if calls == flow.owners {
            self.learn_formats(slot);
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
                if goes_on { flow.join(before) } else { flow.forget_streams() }
            }
        }
        self.learn_formats(slot);
    }

    /// Who owned a flow keeps what it was like until now; a call that owns it newly begins at its next packet. The attack is
    /// one call after the other at an endpoint with many streams: those that had no packet since the last are not copied.
    fn part(&self, slot: u32, before: Owners, effects: &mut Effects) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let left = before.as_slice().iter().filter(|owner| !flow.owners.as_slice().contains(owner));
        for &old in left.filter(|owner| flow.had_packets_for(**owner)) {
            effects.archived.extend(self.reports(flow, old).map(|report| (old, report)));
            effects.moved.push((old, flow.rtp_for(old), flow.rtcp));
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
        self.counters.streams += flow.streams().count() as u64;
        let mut taken = Vec::new();
        self.backlog.take((slot, flow.generation), &mut taken);
        effects.backlog.extend(taken.into_iter().map(|packet| (call, packet)));
    }

    /// Tells the streams of a flow their clock rate, once SDP has said it.
    fn learn_formats(&mut self, slot: u32) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        if !flow.stream.is_some() || flow.stream.has_clock() {
            return;
        }
        let format = self.format(flow, flow.stream.payload_type());
        if let Some(flow) = self.flows.get_mut(slot as usize) {
            flow.stream.learn(format);
        }
    }

    /// What a payload type means on a flow: as its receiver announced it, else its sender, else RFC 3551.
    fn format(&self, flow: &Flow, payload_type: u8) -> PayloadFormat {
        let announced = [flow.destination, flow.source].into_iter().find_map(|endpoint| {
            let formats = self.endpoints.formats(self.endpoints.claimed(endpoint)?);
            formats.iter().find(|format| format.payload_type == payload_type)
        });
        let format = announced.copied().or_else(|| static_format(payload_type));
        format.map(|format| PayloadFormat { clock: format.clock, name: format.name }).unwrap_or_default()
    }

    fn remove(&mut self, slot: u32) {
        let Some(flow) = self.flows.get_mut(slot as usize).filter(|flow| flow.in_use) else { return };
        let (ends, hash) = ([flow.source, flow.destination], flow.hash);
        let listed = ends.map(|end| flow.is_listed_at(end));
        if flow.owners.is_empty() {
            self.unclaimed_count = self.unclaimed_count.saturating_sub(1);
        }
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
}

impl Flow {
    #[inline]
    fn joins(&self, source: &Endpoint, destination: &Endpoint) -> bool {
        self.source == *source && self.destination == *destination
    }

    fn is_listed_at(&self, end: Endpoint) -> bool {
        match self.listed {
            Listed::Both => true,
            Listed::Source => self.source == end,
            Listed::Destination => self.destination == end,
        }
    }

    /// Whether somebody has been speaking there, without a pause.
    fn is_under_way(&self, time: PacketTime) -> bool {
        self.speaks(time) && (self.is_rtcp || self.is_old(time))
    }

    /// Whether descriptions that are late are there by now.
    fn is_old(&self, time: PacketTime) -> bool {
        self.streams().any(|stream| time.stamp.since(stream.first()) >= KNOWN_AFTER)
    }

    /// Whether somebody spoke there a moment ago.
    fn speaks(&self, time: PacketTime) -> bool {
        let (media, control) = PAUSE;
        let pause = if self.is_rtcp { control } else { media };
        self.last(time).is_some_and(|last| time.stamp.since(last) < pause)
    }

    /// The stamp of its first packet.
    fn first(&self) -> Timestamp {
        self.streams().map(Stream::first).min().unwrap_or(self.last_other)
    }

    /// Whether a packet goes on with the stream of the one before it.
    #[inline]
    const fn is_next(&self, header: &RtpHeader) -> bool {
        self.stream.takes(header.ssrc, header.payload_type)
    }

    /// Counts a packet of another SSRC or payload type; true when it begins a stream. The stream of its SSRC
    /// comes to the front.
    fn switch(&mut self, header: &RtpHeader, at: Timestamp, (format, role): (PayloadFormat, Role)) -> bool {
        let arrival = arrival(header, at);
        if self.stream.is_some() && self.stream.ssrc != header.ssrc {
            let mut others = self.aside.iter_mut().flat_map(|aside| &mut aside.others);
            if let Some(known) = others.find(|stream| stream.ssrc == header.ssrc) {
                std::mem::swap(&mut self.stream, known);
            } else {
                self.put_aside();
            }
        }
        if !self.stream.is_some() {
            self.stream = Stream::new(header.ssrc, header.payload_type, &arrival, format, Playout::default());
            if role != Role::Media {
                // Its media is still to come.
                self.stream.set_aside(header.payload_type);
            }
            return true;
        }
        if role == Role::Media && !self.is_next(header) {
            self.stream.set_format(header.payload_type, format);
        }
        match role {
            Role::Media => {
                self.stream.observe(&arrival);
            }
            Role::ComfortNoise | Role::Event => self.stream.observe_aside(&arrival, role),
        }
        false
    }

    fn aside_mut(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    /// Makes room for another stream in front.
    fn put_aside(&mut self) {
        let before = std::mem::take(&mut self.stream);
        let aside = self.aside_mut();
        if aside.others.len() + 1 < MAX_STREAMS {
            aside.others.push(before);
        } else {
            aside.unfollowed += before.packets();
        }
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        let others = self.aside.iter().flat_map(|aside| &aside.others);
        others.chain([&self.stream]).filter(|stream| stream.is_some())
    }

    fn rtp(&self) -> u64 {
        let unfollowed = self.aside.as_ref().map_or(0, |aside| aside.unfollowed);
        self.streams().map(Stream::packets).sum::<u64>() + unfollowed
    }

    /// The stamp of its latest packet.
    fn latest(&self) -> Timestamp {
        self.stream.latest().max(self.last_other)
    }

    /// The stamp of its latest packet, of those whose time has come.
    fn last(&self, time: PacketTime) -> Option<Timestamp> {
        [self.stream.latest(), self.last_other].into_iter().filter(|stamp| time.of(*stamp).is_some()).max()
    }

    /// Whether it is one that nobody has announced, of that generation.
    fn is_unclaimed(&self, generation: u32) -> bool {
        self.in_use && self.generation == generation && self.owners.is_empty()
    }

    /// Those of its calls that it was not of `before` begin at its next packet.
    fn join(&mut self, before: Owners) {
        let (owners, last) = (self.owners, self.latest());
        let joined = &mut self.aside_mut().joined;
        joined.retain(|(call, _)| owners.as_slice().contains(call));
        let new = owners.as_slice().iter().filter(|owner| !before.as_slice().contains(owner));
        joined.extend(new.map(|&call| (call, last)));
    }

    /// When its latest packet was before it became that call's; none when all of its packets are.
    fn joined(&self, call: CallRef) -> Option<Timestamp> {
        let joined = self.aside.iter().flat_map(|aside| &aside.joined);
        joined.copied().find_map(|(known, at)| (known == call).then_some(at))
    }

    /// Streams that had packets since it became that call's.
    fn streams_for(&self, call: CallRef) -> impl Iterator<Item = &Stream> {
        let joined = self.joined(call);
        self.streams().filter(move |stream| joined.is_none_or(|at| stream.latest() > at))
    }

    /// RTP packets of these.
    fn rtp_for(&self, call: CallRef) -> u64 {
        match self.joined(call) {
            None => self.rtp(),
            Some(_) => self.streams_for(call).map(Stream::packets).sum(),
        }
    }

    fn had_packets_for(&self, call: CallRef) -> bool {
        self.joined(call).is_none_or(|at| self.latest() > at)
    }

    fn fax_began(&self) -> Option<Timestamp> {
        self.aside.as_ref().and_then(|aside| aside.fax_began)
    }

    /// Its packets that are neither RTP nor RTCP, where it is one of a fax.
    fn fax(&self) -> FaxReport {
        FaxReport {
            source: self.source,
            destination: self.destination,
            packets: self.other,
            first: self.fax_began().unwrap_or(self.last_other),
            latest: self.last_other,
        }
    }

    fn forget_streams(&mut self) {
        self.stream = Stream::default();
        (self.control, self.aside, self.rtcp, self.other) = (None, None, 0, 0);
        self.numbers = Numbers::default();
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
    match format.name.as_str() {
        name if name.eq_ignore_ascii_case("CN") => Role::ComfortNoise,
        name if name.eq_ignore_ascii_case("telephone-event") => Role::Event,
        _ => Role::Media,
    }
}

/// Whether a datagram may belong to a call although neither of its ends does: it may be worth following, or be RTCP, which
/// is known by another port.
fn may_be_media(payload: &[u8], ports: (u16, u16), look: Look) -> bool {
    look == Look::Rtcp || is_plausible(payload, ports, look)
}

/// Whether an unannounced datagram is worth following: an RTP or RTCP header whose lengths are those of the datagram,
/// unprivileged ports, room for a payload.
fn is_plausible(payload: &[u8], (source, destination): (u16, u16), look: Look) -> bool {
    let is_media = match look {
        Look::Rtp(_) => rtp_header(payload).is_some_and(|length| length < payload.len()),
        Look::Rtcp => rtcp_packet(payload).is_some_and(|length| length <= payload.len()),
        Look::Neither => false,
    };
    is_media && source >= 1024 && destination >= 1024
}
