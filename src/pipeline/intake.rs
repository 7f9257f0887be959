//! The source's side of the pipeline: every packet is decoded, fragments wait for each other, and what is left
//! goes to the worker that owns its flow, or straight to the tracker.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::board::{Board, SourceTold};
use super::foreign::{self, ForeignConnections};
use super::work::{MediaWork, Other, Staged, Task, Work};
use super::{Bytes, Place};
use crate::capture::{LinkType, Packet, PacketBatch, PacketFilter};
use crate::decode::{
    self, DecodeError, Decoded, Ends, Fault, Fragment, Front, Part, Plain, Transport, Unit, decode_datagram,
};
use crate::defrag::{self, Asked, Carrier, Datagram, Defragmenter};
use crate::flow::{Endpoint, PairHasher};
use crate::sip::header::{Name, values};
use crate::sip::{
    Glimpse, SipTransport, call_id_key, certain, is_sip_datagram, line_ends, may_begin_sip, may_resume,
    sip_datagram,
};
use crate::time::{PacketClock, PacketTime, TICK, Timestamp, WILD_JUMP, grid};

/// IP protocol number of SCTP, which HEP may have carried.
const SCTP: u8 = 132;

/// Packets that are looked up together.
const GROUP: usize = 16;

/// The number that HEP has for SIP over TLS, be it in a WebSocket or not: XNS-IDP's.
const TLS: u8 = 22;

/// Packets by what they turned out to be. Each packet is counted once; those given to a worker or to the tracker
/// are counted there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Packets of which less was captured than was on the wire: the snap length cut them.
    pub(crate) cut: u64,
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    pub(crate) fragments: u64,
    pub(crate) non_ip: u64,
    pub(crate) icmp: u64,
    pub(crate) other_ip: u64,
    pub(crate) filtered: u64,
    pub(crate) sip_datagrams: u64,
    pub(crate) quoted_in_icmp: u64,
    /// Reassembled datagrams whose payload could not be decoded, or was a fragment again.
    pub(crate) undecoded_datagrams: u64,
    pub(crate) errors: BTreeMap<DecodeError, u64>,
    /// The first link type of a packet that is not decoded here.
    pub(crate) unread_link: Option<LinkType>,
}

impl Counters {
    #[inline(always)]
    fn count(&mut self, packet: &Packet) {
        self.bytes += u64::from(packet.captured);
        self.cut += u64::from(packet.captured < packet.original);
    }

    /// A packet had that stamp.
    fn stamped(&mut self, stamp: Timestamp) {
        self.first = Some(self.first.map_or(stamp, |known| known.min(stamp)));
        self.last = self.last.max(Some(stamp));
    }
}

/// Decoding, defragmentation and dispatch.
pub(crate) struct Intake {
    clock: PacketClock,
    sequence: u64,
    last_tick: Option<PacketTime>,
    /// What the packet was whose stamp is in doubt.
    doubted: Option<Doubted>,
    /// Packets that follow one another are stamped before that: there is no tick until then, and no doubt.
    calm_until: Timestamp,
    defragmenter: Defragmenter,
    filter: Option<PacketFilter>,
    lanes: usize,
    foreign: ForeignConnections,
    hasher: PairHasher,
    counters: Counters,
    board: Option<Arc<Board>>,
}

/// A packet on its way through the intake.
#[derive(Clone, Copy)]
struct Origin<'a> {
    packet: &'a Packet,
    index: u32,
    sequence: u64,
    now: Timestamp,
}

/// A packet whose stamp waits for another to agree, as far as something is kept of it.
#[derive(Clone, Copy, Debug)]
enum Doubted {
    Segment(Endpoint, Endpoint),
    Fragment(Fragment),
}

impl Doubted {
    fn of(packet: &Packet, frame: &[u8]) -> Option<Self> {
        match decode::decode(packet.link, frame).ok()? {
            Decoded::Unit(unit) if matches!(unit.transport, Transport::Tcp(_)) => {
                Some(Self::Segment(unit.source, unit.destination))
            }
            Decoded::Fragment(fragment) => Some(Self::Fragment(fragment)),
            Decoded::Unit(_) | Decoded::NonIp => None,
        }
    }
}

/// A transport payload and where it lies.
#[derive(Clone, Copy)]
struct Carried {
    unit: Unit,
    payload: Bytes,
    is_sip: bool,
    reassembled: Option<u32>,
    /// Its beginning was told before.
    completes: bool,
}

impl Intake {
    pub(crate) fn new(
        limits: defrag::Limits,
        filter: Option<PacketFilter>,
        lanes: usize,
        foreign: ForeignConnections,
        board: Option<Arc<Board>>,
    ) -> Self {
        Self {
            clock: PacketClock::default(),
            sequence: 0,
            last_tick: None,
            doubted: None,
            calm_until: Timestamp::default(),
            defragmenter: Defragmenter::new(limits),
            filter,
            lanes: lanes.max(1),
            foreign,
            hasher: PairHasher::default(),
            counters: Counters::default(),
            board,
        }
    }

    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) const fn clock(&self) -> &PacketClock {
        &self.clock
    }

    pub(crate) fn defragmenter(&self) -> &Defragmenter {
        &self.defragmenter
    }

    /// TCP segments that went no further.
    pub(crate) const fn passed_over(&self) -> &foreign::Counters {
        self.foreign.counters()
    }

    /// Takes the next batch.
    pub(crate) fn take(&mut self, batch: PacketBatch<'_>, staged: &mut Staged) {
        staged.clear();
        self.counters.packets += batch.packets.len() as u64;
        batch.packets.first().into_iter().for_each(|packet| self.counters.stamped(packet.timestamp));
        self.foreign.learn(self.sequence);
        // Where nothing is known of any connection, there is nothing to fetch.
        if self.foreign.is_empty() {
            self.take_all::<false>(batch, staged);
        } else {
            self.take_all::<true>(batch, staged);
        }
    }

    /// Takes all packets; with `AHEAD`, what is known of the connections of some is fetched before the first of them is taken.
    #[inline(always)]
    fn take_all<const AHEAD: bool>(&mut self, batch: PacketBatch<'_>, staged: &mut Staged) {
        // What a filter has to see goes the long way.
        let seen = if self.filter.is_some() { &[] } else { batch.arena };
        let mut latest = Timestamp::default();
        let mut index = 0;
        let mut fronts = [None; GROUP];
        for group in batch.packets.chunks(GROUP) {
            if AHEAD {
                self.look_ahead(group, seen, &mut fronts);
            }
            for (packet, &front) in group.iter().zip(&fronts) {
                self.counters.count(packet);
                if self.clock.follow(packet.timestamp, self.calm_until) {
                    latest = packet.timestamp;
                } else {
                    self.counters.last = self.counters.last.max(Some(latest));
                    self.observe(packet, batch, staged);
                }
                self.sequence += 1;
                let front = if AHEAD { front } else { Front::of(packet, seen).map(|front| (front, 0)) };
                let is_common =
                    front.is_some_and(|front| self.common::<AHEAD>(front, seen, (packet, index), staged));
                if !is_common {
                    self.other(batch, packet, index, staged);
                }
                index += 1;
            }
        }
        // Those that followed came after the first of all.
        self.counters.last = self.counters.last.max(Some(latest).filter(|_| !batch.packets.is_empty()));
    }

    /// Finds the fronts of packets of the commonest kind, and what [`Ends::hash_as`] has for each; what is known of such
    /// connections is fetched.
    #[inline(always)]
    fn look_ahead<'a>(
        &self,
        group: &[Packet],
        arena: &'a [u8],
        fronts: &mut [Option<(Front<'a>, u64)>; GROUP],
    ) {
        for (slot, packet) in fronts.iter_mut().zip(group) {
            *slot = Front::of(packet, arena).map(|front| {
                let hash = front.ends().hash_as(front.protocol(), &self.hasher);
                self.foreign.fetch(hash);
                (front, hash)
            });
        }
    }

    /// Takes a packet of the commonest kind; false when it is another after all. With `HASHED`, its hash is there.
    #[inline(always)]
    fn common<const HASHED: bool>(
        &mut self,
        (front, hash): (Front<'_>, u64),
        arena: &[u8],
        (packet, index): (&Packet, u32),
        staged: &mut Staged,
    ) -> bool {
        match front.protocol() {
            decode::TCP => {
                let Some((start, length)) = front.segment(packet) else { return false };
                let payload = || part(arena, packet.offset + start, length);
                let hash = if HASHED { hash } else { front.ends().hash_either_way(&self.hasher) };
                let resumes = || may_resume(payload());
                if !self.foreign.pass_over(hash, (front.flags(), length), self.sequence, resumes) {
                    let bytes = payload();
                    let part = Part { start, bytes, missing: 0 };
                    let task = Task::Segment(front.fields());
                    self.plain((front.ends(), hash, Front::NETWORK), &part, task, (packet, index), staged);
                }
                true
            }
            decode::UDP => {
                let Some((length, beginning)) = front.datagram(packet) else { return false };
                if front.may_wrap(beginning[0]) {
                    return false;
                }
                if may_begin_sip(&beginning) {
                    let bytes = part(arena, packet.offset + Front::DATAGRAM, length);
                    let part = Part { start: Front::DATAGRAM, bytes, missing: 0 };
                    if self.sip((front.ends(), Front::NETWORK), &part, (packet, index), staged) {
                        return true;
                    }
                }
                let payload = (packet.offset + Front::DATAGRAM, length);
                let hash = if HASHED { hash } else { front.ends().hash(&self.hasher) };
                staged.media.push(MediaWork::plain((self.sequence, index), hash, payload));
                true
            }
            _ => false,
        }
    }

    /// Takes a plain datagram if it is SIP; false when it is not.
    #[inline(never)]
    fn sip(
        &mut self,
        carrier: (Ends<'_>, u32),
        part: &Part<'_>,
        origin: (&Packet, u32),
        staged: &mut Staged,
    ) -> bool {
        let Some(glimpse) = sip_datagram(part.bytes) else { return false };
        if self.defragmenter.is_waiting() {
            self.tell_before(call_of(part.bytes), staged);
        }
        let (ends, network) = carrier;
        let carrier = (ends, ends.hash_either_way(&self.hasher), network);
        self.plain(carrier, part, Task::Datagram(SipTransport::Udp, glimpse), origin, staged);
        true
    }

    /// Takes any other packet.
    #[inline(never)]
    fn other(&mut self, batch: PacketBatch<'_>, packet: &Packet, index: u32, staged: &mut Staged) {
        let frame = batch.frame(packet);
        let plain = if self.filter.is_some() { None } else { Plain::new(packet.link, frame) };
        if !plain.is_some_and(|plain| self.usual(&plain, packet, index, staged)) {
            self.any(packet, frame, index, staged);
        }
    }

    /// Takes the stamp of a packet that does not just follow the one before.
    #[inline(never)]
    fn observe(&mut self, packet: &Packet, batch: PacketBatch<'_>, staged: &mut Staged) {
        let stamp = packet.timestamp;
        self.counters.stamped(stamp);
        let before = self.clock.now();
        let now = self.clock.observe(stamp);
        if self.clock.doubts(stamp) {
            self.doubted = Doubted::of(packet, batch.frame(packet));
        } else if !self.clock.is_in_doubt()
            && let Some(doubted) = self.doubted.take()
            && now.since(before) > WILD_JUMP
        {
            self.believe(doubted, now, staged);
        }
        self.reach(now, staged);
    }

    /// Time jumps because the packet before was right: what it belongs to is not idle since the time from which it jumps.
    fn believe(&mut self, doubted: Doubted, now: Timestamp, staged: &mut Staged) {
        match doubted {
            Doubted::Fragment(fragment) => self.defragmenter.heard(&fragment, now),
            Doubted::Segment(source, destination) => {
                self.sequence += 1;
                let work = Work::tick(self.sequence, self.clock.at(now), Task::Believed);
                let hash = self.hasher.hash_either_way(source, destination);
                staged.push_lane(self.lane(hash), Work { hash, ..work });
            }
        }
    }

    /// It is that time now.
    fn reach(&mut self, now: Timestamp, staged: &mut Staged) {
        self.foreign.reach(now);
        self.tick(now, staged);
        self.calm_until = self.clock.sure_until(grid(now).after(TICK));
    }

    /// No packet came, and none captured before `now` will.
    pub(crate) fn idle(&mut self, now: Timestamp, staged: &mut Staged) {
        staged.clear();
        let now = self.clock.advance(now);
        self.reach(now, staged);
    }

    /// What was staged goes to the stages: the board counts it as under way until the tracker is through with it.
    pub(crate) fn sent(&self) {
        self.board.iter().for_each(|board| board.sent());
    }

    /// Tells the board, if it asks, what was counted so far; `source` is what the source counted.
    #[inline]
    pub(crate) fn tell(&self, source: impl FnOnce() -> SourceTold) {
        if let Some(board) = &self.board {
            board.front(self, source);
        }
    }

    /// Takes a plain packet, as most are: a segment, or a datagram that is no tunnel. False when it is none.
    #[inline(always)]
    fn usual(&mut self, plain: &Plain<'_>, packet: &Packet, index: u32, staged: &mut Staged) -> bool {
        match plain.protocol() {
            decode::TCP => {
                let Some((header, part)) = plain.segment() else { return false };
                let hash = plain.ends().hash_either_way(&self.hasher);
                let length = part.bytes.len() as u32;
                let resumes = || may_resume(part.bytes);
                if !self.foreign.pass_over(hash, (header.flags(), length), self.sequence, resumes) {
                    let task = Task::Segment(header.fields());
                    self.plain((plain.ends(), hash, plain.network()), &part, task, (packet, index), staged);
                }
                true
            }
            decode::UDP => {
                let Some(part) = plain.datagram() else { return false };
                if plain.may_wrap(&part) {
                    return false;
                }
                if self.sip((plain.ends(), plain.network()), &part, (packet, index), staged) {
                    return true;
                }
                let payload = (packet.offset + part.start, part.bytes.len() as u32);
                let hash = plain.ends().hash(&self.hasher);
                staged.media.push(MediaWork::plain((self.sequence, index), hash, payload));
                true
            }
            _ => false,
        }
    }

    /// Gives a worker what a plain packet carries.
    #[inline(never)]
    fn plain(
        &mut self,
        (ends, hash, network): (Ends<'_>, u64, u32),
        part: &Part<'_>,
        task: Task,
        (packet, index): (&Packet, u32),
        staged: &mut Staged,
    ) {
        let (source, destination) = (ends.source(), ends.destination());
        let payload = Bytes {
            place: Place::Packets,
            start: packet.offset + part.start,
            length: part.bytes.len() as u32,
        };
        self.stage(
            Work {
                sequence: self.sequence,
                timestamp: packet.timestamp,
                now: self.clock.now(),
                source,
                destination,
                hash,
                task,
                payload,
                missing: part.missing,
                packet: index,
                reassembled: None,
                completes: false,
                link_header: network,
            },
            staged,
        );
    }

    /// Gives a worker its work.
    #[inline]
    fn stage(&mut self, work: Work, staged: &mut Staged) {
        match work.task {
            Task::Segment(header) if header.flags.opens_or_ends() => {
                self.foreign.void(work.hash, work.sequence);
            }
            Task::Datagram(..) => self.counters.sip_datagrams += u64::from(work.reassembled.is_none()),
            Task::Undelivered(_) => return staged.ticks.push(work),
            _ => {}
        }
        staged.push_lane(self.lane(work.hash), work);
    }

    /// Takes any other packet.
    #[inline(never)]
    fn any(&mut self, packet: &Packet, frame: &[u8], index: u32, staged: &mut Staged) {
        let origin = Origin { packet, index, sequence: self.sequence, now: self.clock.now() };
        match decode::decode(packet.link, frame) {
            Ok(Decoded::Unit(unit)) => self.unit(unit, &origin, frame, staged),
            Ok(Decoded::Fragment(fragment)) => self.fragment(&fragment, &origin, frame, staged),
            Ok(Decoded::NonIp) => self.non_ip(packet, frame),
            Err(error) => {
                *self.counters.errors.entry(error).or_default() += 1;
                if error.fault == Fault::UnknownLink {
                    self.counters.unread_link.get_or_insert(packet.link);
                }
            }
        }
    }

    /// The input is over: every stage lets go of what it waits with.
    pub(crate) fn finish(&mut self, staged: &mut Staged) {
        staged.clear();
        while self.tell_beginning(Asked::Any, staged) {}
        self.defragmenter.finish();
        self.sequence += 1;
        let time = self.clock.at(self.clock.now());
        staged.push_everywhere(Work::tick(self.sequence, time, Task::Finish));
    }

    /// Tells the stages the time: at the beginning, on each line of the grid, and when stamps mean another.
    fn tick(&mut self, now: Timestamp, staged: &mut Staged) {
        let time = self.clock.at(grid(now));
        if self.last_tick == Some(time) {
            return;
        }
        while self.tell_beginning(Asked::Due(time.now), staged) {}
        self.defragmenter.expire(time.now);
        self.sequence += 1;
        staged.push_everywhere(Work::tick(self.sequence, time, Task::Tick));
        self.last_tick = Some(time);
    }

    fn non_ip(&mut self, packet: &Packet, frame: &[u8]) {
        if self.passes(packet, frame) {
            self.counters.non_ip += 1;
        } else {
            self.counters.filtered += 1;
        }
    }

    fn passes(&mut self, packet: &Packet, frame: &[u8]) -> bool {
        self.filter.as_mut().is_none_or(|filter| filter.passes(packet.link, frame))
    }

    /// Whether the filter asks for the packet: as it was captured, or, behind tags and in tunnels, as it would be
    /// without them. Who asks for a port means it there too, and does not know what the network wraps around it.
    #[inline(never)]
    fn asked_for(&mut self, unit: &Unit, link: LinkType, frame: &[u8]) -> bool {
        let Some(filter) = &mut self.filter else { return true };
        filter.passes(link, frame)
            || is_wrapped(link, unit)
                && filter.passes(LinkType::RAW, frame.get(unit.network as usize..).unwrap_or_default())
    }

    #[inline(always)]
    fn unit(&mut self, unit: Unit, origin: &Origin<'_>, frame: &[u8], staged: &mut Staged) {
        if self.filter.is_some() && !self.asked_for(&unit, origin.packet.link, frame) {
            self.counters.filtered += 1;
            return;
        }
        let bytes = part(frame, unit.start, unit.length);
        if let Transport::Tcp(header) = unit.transport {
            let hash = self.hasher.hash_either_way(unit.source, unit.destination);
            let resumes = || may_resume(bytes);
            if self.foreign.pass_over(hash, (header.flags, unit.length), origin.sequence, resumes) {
                return;
            }
        }
        let is_tcp = matches!(unit.transport, Transport::Tcp(_));
        let is_sip = !is_tcp && is_sip_datagram(bytes);
        let start = origin.packet.offset + unit.start;
        let payload = Bytes { place: Place::Packets, start, length: unit.length };
        if is_sip && self.defragmenter.is_waiting() {
            self.tell_before(call_of(bytes), staged);
        }
        let origin = Origin { sequence: self.sequence, ..*origin };
        let carried = Carried { unit, payload, is_sip, reassembled: None, completes: false };
        self.dispatch(&carried, &origin, staged);
    }

    /// A fragment waits for the others; the last to arrive brings the datagram. That may be a tunnel's, and have a
    /// fragment in it, which waits in the same way.
    fn fragment(&mut self, fragment: &Fragment, origin: &Origin<'_>, frame: &[u8], staged: &mut Staged) {
        self.counters.fragments += 1;
        let carrier = Carrier::Frame(origin.packet);
        let mut whole = self.defragmenter.push(fragment, carrier, frame, origin.now);
        if whole.is_none() && fragment.offset == 0 && fragment.missing > 0 {
            self.tell_beginning(Asked::Cut(fragment), staged);
            return;
        }
        let mut link = Some(origin.packet.link);
        let mut asked_for = self.filter.is_none();
        // Each turn adds a layer, of which there are few.
        while let Some(datagram) = whole {
            let (start, index) = staged.push_datagram(&datagram);
            let decoded = decode_datagram(&datagram.first, datagram.payload);
            if let Some(filter) = &mut self.filter {
                asked_for |= is_asked_for(filter, link.take(), &datagram, decoded.as_ref().ok());
            }
            // Its packets are counted as fragments already, so nothing below counts packets again.
            match decoded {
                Ok(Decoded::Fragment(inner)) => {
                    let frames = Carrier::Datagram(staged.fragments.of(index));
                    let payload = staged.datagrams.get(start as usize..).unwrap_or_default();
                    whole = self.defragmenter.push(&inner, frames, payload, origin.now);
                }
                Ok(Decoded::Unit(unit)) if asked_for => {
                    let payload =
                        Bytes { place: Place::Datagrams, start: start + unit.start, length: unit.length };
                    let is_sip = is_sip_datagram(part(datagram.payload, unit.start, unit.length));
                    let completes = datagram.completes;
                    if is_sip && self.defragmenter.is_waiting() {
                        let call = call_of(part(&staged.datagrams, payload.start, payload.length));
                        self.tell_before(call, staged);
                    }
                    let origin = Origin { sequence: self.sequence, ..*origin };
                    let carried = Carried { unit, payload, is_sip, reassembled: Some(index), completes };
                    return self.dispatch(&carried, &origin, staged);
                }
                Ok(Decoded::NonIp) | Err(_) if asked_for => {
                    self.counters.undecoded_datagrams += 1;
                    return;
                }
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// A SIP message whose later fragments do not come is told as far as it goes, as a datagram is that the snap length cut. False
    /// when there is none. Without a Call-ID it would be of no call, so it waits to be whole unless it cannot be.
    fn tell_beginning(&mut self, asked: Asked<'_>, staged: &mut Staged) -> bool {
        let Self { defragmenter, filter, .. } = self;
        let stays_cut = matches!(asked, Asked::Cut(_));
        let call = |datagram: &Datagram<'_>| {
            let decoded = decode_datagram(&datagram.first, datagram.payload);
            let Ok(Decoded::Unit(unit)) = decoded else { return None };
            let bytes = part(datagram.payload, unit.start, unit.length);
            let is_sip =
                matches!(unit.transport, Transport::Udp | Transport::Hep { .. }) && is_sip_datagram(bytes);
            let passes = |filter: &mut PacketFilter| {
                is_asked_for(filter, datagram.link, datagram, decoded.as_ref().ok())
            };
            let is_wanted = is_sip && filter.as_mut().is_none_or(passes);
            is_wanted.then(|| call_of(certain(bytes)).or(stays_cut.then_some(0)))?
        };
        let Some(datagram) = defragmenter.beginning(asked, call) else { return false };
        let Ok(Decoded::Unit(unit)) = decode_datagram(&datagram.first, datagram.payload) else {
            return false;
        };
        let packet = Packet { timestamp: datagram.captured, ..Packet::default() };
        let (start, index) = staged.push_datagram(&datagram);
        let payload = Bytes { place: Place::Datagrams, start: start + unit.start, length: unit.length };
        self.sequence += 1;
        let (sequence, now) = (self.sequence, self.clock.now());
        let origin = Origin { packet: &packet, index: u32::MAX, sequence, now };
        let carried = Carried { unit, payload, is_sip: true, reassembled: Some(index), completes: false };
        self.dispatch(&carried, &origin, staged);
        true
    }

    /// A message of that call comes now: what waits of the same call is told before. Who answers has the whole of it, so its rest has
    /// been on the wire.
    #[cold]
    #[inline(never)]
    fn tell_before(&mut self, call: Option<u64>, staged: &mut Staged) {
        let Some(call) = call else { return };
        let before = self.sequence;
        while self.tell_beginning(Asked::Call(call), staged) {}
        // The message has a number of its own behind them.
        self.sequence += u64::from(self.sequence > before);
    }

    /// Gives a transport payload to whom it concerns.
    #[inline]
    fn dispatch(&mut self, carried: &Carried, origin: &Origin<'_>, staged: &mut Staged) {
        let Carried { unit, payload, is_sip, reassembled, completes } = *carried;
        let counts = u64::from(reassembled.is_none());
        let task = match unit.transport {
            Transport::Udp if is_sip => Task::Datagram(SipTransport::Udp, Glimpse::NOTHING),
            Transport::Tcp(header) => Task::Segment(header),
            Transport::Sctp { .. } => Task::Chunks,
            Transport::Hep { protocol } if is_sip => {
                let transport = match protocol {
                    decode::TCP => SipTransport::Tcp,
                    SCTP => SipTransport::Sctp,
                    TLS => SipTransport::Tls,
                    _ => SipTransport::Udp,
                };
                Task::Datagram(transport, Glimpse::NOTHING)
            }
            Transport::Udp | Transport::Hep { .. } => {
                let hash = self.hasher.hash(unit.source, unit.destination);
                let payload = (payload.start, payload.length);
                let other = Other { source: unit.source, destination: unit.destination, reassembled };
                staged.push_other((origin.sequence, origin.index), hash, payload, other);
                return;
            }
            Transport::Icmp { unreachable } => {
                self.counters.icmp += counts;
                self.counters.quoted_in_icmp += u64::from(is_sip);
                let Some(why) = unreachable else { return };
                Task::Undelivered(why)
            }
            Transport::Other(_) => {
                self.counters.other_ip += counts;
                return;
            }
        };
        let (source, destination) = (unit.source, unit.destination);
        let hash = match unit.transport {
            Transport::Icmp { .. } => 0,
            Transport::Sctp { tag } => self.hasher.hash_tag(tag, (source.port, destination.port)),
            _ => self.hasher.hash_either_way(source, destination),
        };
        let work = Work {
            sequence: origin.sequence,
            timestamp: origin.packet.timestamp,
            now: origin.now,
            source,
            destination,
            hash,
            task,
            payload,
            missing: unit.missing,
            packet: origin.index,
            reassembled,
            completes,
            link_header: if unit.tunnelled { 0 } else { unit.network },
        };
        self.stage(work, staged);
    }

    /// The worker that owns a flow. Differs from run to run: nothing that a user is told may depend on it.
    const fn lane(&self, hash: u64) -> usize {
        match self.lanes {
            1 => 0,
            // The upper half: the workers' tables look at the lower bits.
            lanes => (hash >> 32) as usize % lanes,
        }
    }
}

/// What the call of a SIP message is known by; none without a Call-ID. Line ends before it are no part of it (RFC 3261 7.5).
fn call_of(message: &[u8]) -> Option<u64> {
    let message = message.get(line_ends(message)..).unwrap_or_default();
    values(message, Name::CallId).next().map(call_id_key)
}

fn part(bytes: &[u8], start: u32, length: u32) -> &[u8] {
    let start = start as usize;
    bytes.get(start..start.saturating_add(length as usize)).unwrap_or_default()
}

/// Whether more than a link header is in front of the packet.
fn is_wrapped(link: LinkType, unit: &Unit) -> bool {
    let alone = match link {
        LinkType::ETHERNET => 14,
        LinkType::LINUX_SLL => 16,
        LinkType::LINUX_SLL2 => 20,
        LinkType::NULL | LinkType::LOOP => 4,
        _ => 0,
    };
    unit.tunnelled || unit.network != alone
}

/// Whether a filter asks for a datagram: as the frame that it would be in if it had never been cut, or for what it
/// carries through a tunnel. `link` is that of its fragments' frames, if they were in such.
fn is_asked_for(
    filter: &mut PacketFilter,
    link: Option<LinkType>,
    datagram: &Datagram<'_>,
    decoded: Option<&Decoded>,
) -> bool {
    let whole = whole(datagram);
    let packet = whole.get(datagram.first.network as usize..).unwrap_or_default();
    let inside = match decoded {
        Some(Decoded::Unit(unit)) if unit.network > 0 => datagram.payload.get(unit.network as usize..),
        _ => None,
    };
    link.is_some_and(|link| filter.passes(link, &whole))
        || filter.passes(LinkType::RAW, packet)
        || inside.is_some_and(|packet| filter.passes(LinkType::RAW, packet))
}

/// A datagram as one frame, as if it had never been cut: what a filter with ports has to see.
fn whole(datagram: &Datagram<'_>) -> Vec<u8> {
    let network = datagram.first.network as usize;
    let mut frame = datagram.header.to_vec();
    let ip = frame.get_mut(network..).unwrap_or_default();
    match ip.first().map(|first| first >> 4) {
        Some(4) => {
            // RFC 791 3.1: flags and fragment offset.
            ip.iter_mut().skip(6).take(2).for_each(|byte| *byte = 0);
        }
        _ => {
            // RFC 8200 4.5: the fragment header is 8 bytes; what it announces follows the base header now.
            ip.iter_mut().skip(6).take(1).for_each(|byte| *byte = datagram.first.protocol);
            frame.truncate((network + 40).min(frame.len()));
        }
    }
    frame.extend_from_slice(datagram.payload);
    frame
}
