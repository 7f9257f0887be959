//! What the intake hands to the stream workers and to the tracker.

use super::{Bytes, FragmentFrames, Place, View};
use crate::call::MediaPacket;
use crate::capture::PacketBatch;
use crate::decode::{Ends, TcpHeader, Unreachable};
use crate::defrag;
use crate::flow::{Endpoint, PairHasher};
use crate::media::{Datagram, Sighting, Stranger};
use crate::sip::{Glimpse, SipTransport};
use crate::time::{PacketTime, Timestamp};

/// One thing to do, in the order of `sequence`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Order of everything in a run: packets and ticks are numbered together.
    pub(crate) sequence: u64,
    /// The packet's own stamp; of a tick, the grid line as packets are stamped now.
    pub(crate) timestamp: Timestamp,
    /// Packet time when it was taken in.
    pub(crate) now: Timestamp,
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    /// What [`PairHasher::hash_either_way`] has for both; of an SCTP packet, what [`PairHasher::hash_tag`] has.
    pub(crate) hash: u64,
    pub(crate) task: Task,
    pub(crate) payload: Bytes,
    /// Payload bytes that the capture cut off.
    pub(crate) missing: u32,
    /// Index of the packet in its batch.
    pub(crate) packet: u32,
    /// Index of the reassembled datagram that this is.
    pub(crate) reassembled: Option<u32>,
    /// Its beginning was told before.
    pub(crate) completes: bool,
    /// Length of the link-layer header before the IP header; 0 when the packet came out of a tunnel.
    pub(crate) link_header: u32,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Packet time crossed a grid line, or stamps went back.
    Tick,
    /// The input is over.
    Finish,
    /// The latest segment of the connection with this hash is of this time: its stamp was doubted, and is believed now.
    Believed,
    /// A datagram that holds one SIP message, and what is known of its start line.
    Datagram(SipTransport, Glimpse),
    /// A TCP segment.
    Segment(TcpHeader),
    /// An SCTP packet's chunks.
    Chunks,
    /// A UDP datagram between these ends was not delivered; the payload is the beginning of its own, as ICMP quotes it.
    Undelivered(Unreachable),
}

impl Work {
    pub(crate) fn tick(sequence: u64, time: PacketTime, task: Task) -> Self {
        Self {
            sequence,
            timestamp: time.stamp,
            now: time.now,
            source: Endpoint::default(),
            destination: Endpoint::default(),
            hash: 0,
            task,
            payload: Bytes::default(),
            missing: 0,
            packet: u32::MAX,
            reassembled: None,
            completes: false,
            link_header: 0,
        }
    }

    /// What a tick tells.
    pub(crate) const fn time(&self) -> PacketTime {
        PacketTime { now: self.now, stamp: self.timestamp }
    }
}

/// A UDP datagram that is not SIP, for the tracker. Most packets of a call are such, so it has nothing that can be read
/// in its packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MediaWork {
    pub(crate) sequence: u64,
    /// The hash of its ends, computed where they still were in registers.
    pub(crate) hash: u64,
    /// Where the payload begins: in the batch's packets, or in its datagrams when it came in fragments.
    start: u32,
    length: u32,
    /// Index of the packet in its batch.
    pub(crate) packet: u32,
    /// Index in [`Staged::others`], or [`PLAIN`].
    other: u32,
}

/// What of a datagram cannot be read in front of its payload: it did not come in a plain packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Other {
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    /// Index of the reassembled datagram that it is.
    pub(crate) reassembled: Option<u32>,
}

/// In place of an index: the packet is plain.
const PLAIN: u32 = u32::MAX;

impl MediaWork {
    /// Number `sequence`, of the plain packet `packet` of its batch; with the offset and the length of the payload.
    #[inline]
    pub(crate) const fn plain(
        (sequence, packet): (u64, u32),
        hash: u64,
        (start, length): (u32, u32),
    ) -> Self {
        Self { sequence, hash, start, length, packet, other: PLAIN }
    }
}

/// The datagrams of a batch that are not SIP, and what they lie in.
#[derive(Clone, Copy)]
pub(crate) struct MediaBatch<'a> {
    pub(crate) others: &'a [Other],
    pub(crate) view: &'a View<'a>,
}

impl<'a> MediaBatch<'a> {
    fn other(&self, work: &MediaWork) -> Option<&'a Other> {
        self.others.get(work.other as usize)
    }

    /// Index of the reassembled datagram that it is.
    #[inline]
    pub(crate) fn reassembled(&self, work: &MediaWork) -> Option<u32> {
        if work.other == PLAIN { None } else { self.other(work)?.reassembled }
    }

    /// Who talks to whom.
    #[inline]
    pub(crate) fn ends(&self, work: &MediaWork) -> Option<(Endpoint, Endpoint)> {
        if work.other == PLAIN {
            let ends = Ends::before(self.view.batch.arena, work.start)?;
            return Some((ends.source(), ends.destination()));
        }
        self.other(work).map(|other| (other.source, other.destination))
    }

    /// It as its flow sees it, if it came in one packet.
    #[inline]
    pub(crate) fn sighting(&self, work: &MediaWork) -> Option<Sighting<'a>> {
        let batch = self.view.batch;
        let timestamp = batch.packets.get(work.packet as usize)?.timestamp;
        let start = work.start as usize;
        let payload = batch.arena.get(start..start.saturating_add(work.length as usize))?;
        let is_whole = self.reassembled(work).is_none();
        is_whole.then_some(Sighting { hash: work.hash, timestamp, payload })
    }

    /// It as one of an unknown flow, if it came in one packet.
    #[inline]
    pub(crate) fn stranger(&self, work: &MediaWork, hasher: &PairHasher) -> Option<Stranger<'a>> {
        let arena = self.view.batch.arena;
        let start = work.start as usize;
        let payload = arena.get(start..start.saturating_add(work.length as usize))?;
        if work.other == PLAIN {
            let ends = Ends::before(arena, work.start)?;
            return Some(Stranger { payload, ports: ends.ports(), hashes: ends.hash_each(hasher) });
        }
        let Other { source, destination, reassembled } = self.other(work)?;
        let hashes = (hasher.hash_one(*source), hasher.hash_one(*destination));
        let ports = (source.port, destination.port);
        reassembled.is_none().then_some(Stranger { payload, ports, hashes })
    }

    /// All that is known of it.
    pub(crate) fn packet(&self, work: &MediaWork) -> Option<MediaPacket<'a>> {
        let reassembled = self.reassembled(work);
        let place = reassembled.map_or(Place::Packets, |_| Place::Datagrams);
        let bytes = Bytes { place, start: work.start, length: work.length };
        let (source, destination) = self.ends(work)?;
        let timestamp = self.view.batch.packets.get(work.packet as usize)?.timestamp;
        let seen = Sighting { hash: work.hash, timestamp, payload: self.view.resolve(bytes, &[]) };
        let datagram = Datagram { seen, source, destination, is_whole: reassembled.is_none() };
        Some(MediaPacket { datagram, packet: work.packet, reassembled })
    }
}

/// What the intake makes of one batch. Cleared and used again.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// Work for each stream worker.
    pub(crate) lanes: Vec<Vec<Work>>,
    /// Datagrams for the tracker.
    pub(crate) media: Vec<MediaWork>,
    /// Of those that did not come in plain packets.
    pub(crate) others: Vec<Other>,
    /// Ticks for the tracker, which the lanes have too, and what was not delivered.
    pub(crate) ticks: Vec<Work>,
    /// Bytes of datagrams that became whole.
    pub(crate) datagrams: Vec<u8>,
    /// The frames they came in.
    pub(crate) fragments: FragmentFrames,
}

impl Staged {
    pub(crate) fn new(lanes: usize) -> Self {
        Self { lanes: (0..lanes.max(1)).map(|_| Vec::new()).collect(), ..Self::default() }
    }

    pub(crate) fn clear(&mut self) {
        self.lanes.iter_mut().for_each(Vec::clear);
        self.media.clear();
        self.others.clear();
        self.ticks.clear();
        self.datagrams.clear();
        self.fragments.clear();
    }

    /// Whether nothing came of the batch.
    pub(crate) fn is_empty(&self) -> bool {
        self.ticks.is_empty() && self.media.is_empty() && self.lanes.iter().all(Vec::is_empty)
    }

    pub(crate) fn view<'a>(&'a self, batch: PacketBatch<'a>) -> View<'a> {
        View { batch, datagrams: &self.datagrams, fragments: &self.fragments }
    }

    /// A datagram that became whole: where its payload begins, and its index.
    pub(crate) fn push_datagram(&mut self, datagram: &defrag::Datagram<'_>) -> (u32, u32) {
        let start = self.datagrams.len() as u32;
        self.datagrams.extend_from_slice(datagram.payload);
        (start, self.fragments.push(datagram.first.identification, datagram.frames()))
    }

    /// A datagram that did not come in a plain packet.
    pub(crate) fn push_other(
        &mut self,
        (sequence, packet): (u64, u32),
        hash: u64,
        (start, length): (u32, u32),
        other: Other,
    ) {
        let index = self.others.len() as u32;
        self.media.push(MediaWork { sequence, hash, start, length, packet, other: index });
        self.others.push(other);
    }

    /// Gives every stage the same tick.
    pub(crate) fn push_everywhere(&mut self, work: Work) {
        self.lanes.iter_mut().for_each(|lane| lane.push(work));
        self.ticks.push(work);
    }

    #[inline]
    pub(crate) fn push_lane(&mut self, lane: usize, work: Work) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.push(work);
        }
    }
}
