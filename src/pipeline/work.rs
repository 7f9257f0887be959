//! What the intake hands to the stream workers and to the tracker.

use super::{Bytes, FragmentFrames, Place, View};
use crate::capture::{Packet, PacketBatch};
use crate::decode::TcpHeader;
use crate::flow::Endpoint;
use crate::media::Datagram;
use crate::sip::SipTransport;
use crate::time::Timestamp;

/// One thing to do, in the order of `sequence`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Order of everything in a run: packets and ticks are numbered together.
    pub(crate) sequence: u64,
    /// The packet's own stamp; of a tick, the grid line.
    pub(crate) timestamp: Timestamp,
    /// Packet time when it was taken in.
    pub(crate) now: Timestamp,
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    pub(crate) task: Task,
    pub(crate) payload: Bytes,
    /// Payload bytes that the capture cut off.
    pub(crate) missing: u32,
    /// Index of the packet in its batch.
    pub(crate) packet: u32,
    /// Index of the reassembled datagram that this is.
    pub(crate) reassembled: Option<u32>,
    /// Length of the link-layer header before the IP header; 0 when the packet came out of a tunnel.
    pub(crate) link_header: u32,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Packet time crossed a grid line.
    Tick,
    /// The input is over.
    Finish,
    /// A datagram that holds one SIP message.
    Datagram(SipTransport),
    /// A TCP segment.
    Segment(TcpHeader),
    /// An SCTP packet's chunks.
    Chunks,
}

impl Work {
    pub(crate) fn tick(sequence: u64, now: Timestamp, task: Task) -> Self {
        Self {
            sequence,
            timestamp: now,
            now,
            source: Endpoint::default(),
            destination: Endpoint::default(),
            task,
            payload: Bytes::default(),
            missing: 0,
            packet: u32::MAX,
            reassembled: None,
            link_header: 0,
        }
    }
}

/// A UDP datagram that is not SIP, for the tracker. Most packets of a call are such, so it has nothing that the batch's
/// packet says too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MediaWork {
    pub(crate) sequence: u64,
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    /// The hash of both, computed where they still were in registers.
    pub(crate) hash: u64,
    /// Where the payload begins: in the batch's packets, or in its datagrams when it came in fragments.
    start: u32,
    length: u32,
    /// Index of the packet in its batch.
    pub(crate) packet: u32,
    /// Index of the reassembled datagram that this is.
    datagram: u32,
}

/// In place of the index of a reassembled datagram.
const WHOLE: u32 = u32::MAX;

impl MediaWork {
    /// Number `sequence`, of packet `packet` of its batch; with the offset and the length of the payload.
    #[inline]
    pub(crate) fn new(
        (sequence, packet): (u64, u32),
        ((source, destination), hash): ((Endpoint, Endpoint), u64),
        (start, length): (u32, u32),
        reassembled: Option<u32>,
    ) -> Self {
        let datagram = reassembled.unwrap_or(WHOLE);
        Self { sequence, source, destination, hash, start, length, packet, datagram }
    }

    /// Index of the reassembled datagram that this is.
    #[inline]
    pub(crate) fn reassembled(&self) -> Option<u32> {
        (self.datagram != WHOLE).then_some(self.datagram)
    }

    /// It, with the packet that brought it.
    #[inline]
    pub(crate) fn datagram<'a>(&'a self, packet: &Packet, view: &View<'a>) -> Datagram<'a> {
        let payload = view.resolve(self.payload(), &[]);
        let (source, destination) = (&self.source, &self.destination);
        let whole = self.datagram == WHOLE;
        Datagram { timestamp: packet.timestamp, source, destination, payload, whole }
    }

    /// The same, if it came in one packet.
    #[inline]
    pub(crate) fn whole<'a>(&'a self, packet: &Packet, batch: PacketBatch<'a>) -> Option<Datagram<'a>> {
        let start = self.start as usize;
        let payload = batch.arena.get(start..start.saturating_add(self.length as usize))?;
        let (source, destination) = (&self.source, &self.destination);
        let whole = Datagram { timestamp: packet.timestamp, source, destination, payload, whole: true };
        (self.datagram == WHOLE).then_some(whole)
    }

    /// Its payload.
    #[inline]
    const fn payload(&self) -> Bytes {
        let place = if self.datagram == WHOLE { Place::Packets } else { Place::Datagrams };
        Bytes { place, start: self.start, length: self.length }
    }
}

/// What the intake makes of one batch. Cleared and used again.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// Work for each stream worker.
    pub(crate) lanes: Vec<Vec<Work>>,
    /// Datagrams for the tracker.
    pub(crate) media: Vec<MediaWork>,
    /// Ticks for the tracker; the lanes have them too.
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
