//! Messages that came in streams, written down as streams of a file's own.
//!
//! One connection carries many calls, and one segment carries pieces of several. In a call's file stands a stream of
//! the call's own messages only: one frame per captured segment's share, at that segment's time, between the true
//! endpoints, with sequence numbers that leave no hole and acknowledgements that cover what the file holds of the
//! other side. Streams are told apart by their endpoints, as a reader of the file will: a connection that follows
//! another between the same ports goes on with its numbers. A message that was cut is in a packet that a snap length cut.

use crate::capture::LinkType;
use crate::flow::Endpoint;
use crate::sink::encoder::FrameInfo;
use crate::sink::link;
use crate::sink::packet::{DataChunk, MAX_CHUNK, MAX_PAYLOAD, Payload, Route};
use crate::sink::websocket::{FrameHeader, RESPONSE, request};
use crate::sip::{Share, SipTransport};
use crate::time::Timestamp;

/// A message that came in a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamPiece<'a> {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// What carried it. UDP is taken too: a datagram whose own frame is not at hand.
    pub transport: SipTransport,
    /// When it was complete: the time of what no share speaks for.
    pub timestamp: Timestamp,
    /// The stamps came with nanoseconds.
    pub nanosecond: bool,
    /// Link type of the frame that brought it.
    pub link: LinkType,
    /// Its link-layer header; empty when there is none to be had.
    pub link_header: &'a [u8],
    /// Which captured segments brought how much of it, in order.
    pub shares: &'a [Share],
    /// The message, as far as it was captured.
    pub bytes: &'a [u8],
    /// Bytes of it that were not.
    pub missing: u32,
}

/// The most streams of one file that are continued. A call that changes ports for every message would grow without
/// end; its numbers start again instead.
const MAX_STREAMS: usize = 1_024;

/// The streams of one file.
#[derive(Debug, Default)]
pub struct Streams(Vec<Stream>);

impl Streams {
    /// Forgets all, for the next file.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn get(&mut self, key: Key) -> Option<&mut Stream> {
        let place = match self.0.binary_search_by_key(&key, |stream| stream.key) {
            Ok(place) => place,
            Err(_) if self.0.len() >= MAX_STREAMS => {
                self.0.clear();
                self.0.push(Stream::new(key));
                0
            }
            Err(place) => {
                self.0.insert(place, Stream::new(key));
                place
            }
        };
        self.0.get_mut(place)
    }
}

/// Lower endpoint, higher endpoint, and whether it is SCTP.
type Key = (Endpoint, Endpoint, bool);

/// What the next packet of either direction is numbered.
#[derive(Clone, Copy, Debug)]
struct Stream {
    key: Key,
    /// From the lower endpoint, from the higher.
    up: Numbers,
    down: Numbers,
    /// The WebSocket handshake is in the file.
    upgraded: bool,
}

/// Where one direction stands.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    /// TCP sequence number, or SCTP transmission sequence number.
    next: u32,
    /// SCTP stream sequence number.
    message: u16,
}

impl Stream {
    const fn new(key: Key) -> Self {
        const FIRST: Numbers = Numbers { next: 1, message: 0 };
        Self { key, up: FIRST, down: FIRST, upgraded: false }
    }

    /// Where the sender stands, and the other side.
    fn sides(&mut self, sender: Endpoint) -> (&mut Numbers, &mut Numbers) {
        if sender == self.key.0 { (&mut self.up, &mut self.down) } else { (&mut self.down, &mut self.up) }
    }
}

/// Makes frames of messages; keeps one buffer for all files.
#[derive(Debug, Default)]
pub struct Reframer {
    frame: Vec<u8>,
}

impl Reframer {
    /// Hands the frames of `piece` to `emit`, for a file that is bound to the link type `bound` (or to none yet).
    /// None, and no frame, when no header of that link type can be made.
    pub fn frames(
        &mut self,
        streams: &mut Streams,
        bound: Option<LinkType>,
        piece: &StreamPiece<'_>,
        emit: impl FnMut(&FrameInfo, &[u8]),
    ) -> Option<()> {
        let route = Route { source: piece.source, destination: piece.destination };
        let (link, header) = header(bound, piece, route.is_v6())?;
        let key = (
            piece.source.min(piece.destination),
            piece.source.max(piece.destination),
            piece.transport == SipTransport::Sctp,
        );
        let mut writer = Writer { frame: &mut self.frame, header, link, nanosecond: piece.nanosecond, emit };
        if piece.transport == SipTransport::Udp {
            writer.packet(piece.timestamp, 0, |out| route.udp(out, piece.bytes));
            return Some(());
        }
        let stream = streams.get(key)?;
        let piece = &StreamPiece { missing: piece.missing.min(room_behind(piece.bytes)), ..*piece };
        match piece.transport {
            SipTransport::Sctp => writer.sctp(stream, route, piece),
            SipTransport::Ws | SipTransport::Wss => {
                let masked = is_client(piece.source, piece.destination);
                writer.upgrade(stream, route, piece, masked);
                let prefix = FrameHeader::new(piece.bytes.len() + piece.missing as usize, masked);
                writer.tcp(stream, route, piece, prefix.as_slice());
            }
            _ => writer.tcp(stream, route, piece, &[]),
        }
        Some(())
    }
}

/// How many bytes that are missing behind a message its packet has room for: one at least, which says that it was cut.
fn room_behind(message: &[u8]) -> u32 {
    let room = (MAX_PAYLOAD - FrameHeader::LONGEST).saturating_sub(message.len());
    u32::try_from(room.max(1)).unwrap_or(u32::MAX)
}

/// The link type and header of a piece's frames: as captured where that fits, else made up.
fn header<'a>(bound: Option<LinkType>, piece: &StreamPiece<'a>, v6: bool) -> Option<(LinkType, &'a [u8])> {
    let link = bound.unwrap_or(piece.link);
    if link == piece.link && link::announces(link, piece.link_header, v6) {
        return Some((link, piece.link_header));
    }
    match link::made_up(link, v6) {
        Some(header) => Some((link, header)),
        // Nothing binds the file to this link type, and IP stands well alone.
        None if bound.is_none() => Some((LinkType::RAW, &[])),
        None => None,
    }
}

/// The client of a connection is the side with the higher port; clients have ephemeral ones.
fn is_client(one: Endpoint, other: Endpoint) -> bool {
    (one.port, one.address) >= (other.port, other.address)
}

/// Puts packets behind a link-layer header and hands them on.
struct Writer<'a, E> {
    frame: &'a mut Vec<u8>,
    header: &'a [u8],
    link: LinkType,
    nanosecond: bool,
    emit: E,
}

impl<E: FnMut(&FrameInfo, &[u8])> Writer<'_, E> {
    /// One packet; `missing` of its last bytes are not in the file.
    fn packet(&mut self, timestamp: Timestamp, missing: usize, make: impl FnOnce(&mut Vec<u8>)) {
        self.frame.clear();
        self.frame.extend_from_slice(self.header);
        make(self.frame);
        let original = u32::try_from(self.frame.len() + missing).unwrap_or(u32::MAX);
        link::fit(self.link, self.frame, original);
        let info = FrameInfo { timestamp, nanosecond: self.nanosecond, link: self.link, original };
        (self.emit)(&info, self.frame);
    }

    /// One segment of the sender's stream.
    fn segment(&mut self, stream: &mut Stream, route: Route, timestamp: Timestamp, payload: Payload<'_>) {
        let (ours, theirs) = stream.sides(route.source);
        self.packet(timestamp, payload.missing, |out| route.tcp(out, (ours.next, theirs.next), payload));
        ours.next = ours.next.wrapping_add(payload.length() as u32);
    }

    /// The message behind `prefix`, one segment per share, more where a packet cannot hold a share.
    fn tcp(&mut self, stream: &mut Stream, route: Route, piece: &StreamPiece<'_>, mut prefix: &[u8]) {
        for (timestamp, mut part) in split(piece) {
            while !part.is_empty() {
                // What is missing stands behind the last byte.
                let room = MAX_PAYLOAD - prefix.len() - usize::from(piece.missing > 0);
                let (now, later) = part.split_at(room.min(part.len()));
                let missing = if later.is_empty() { piece.missing as usize } else { 0 };
                self.segment(stream, route, timestamp, Payload { parts: [prefix, now], missing });
                (prefix, part) = (&[], later);
            }
        }
    }

    /// The WebSocket handshake, when the file does not hold it yet: without it no reader takes the stream for
    /// WebSocket.
    fn upgrade(&mut self, stream: &mut Stream, route: Route, piece: &StreamPiece<'_>, from_client: bool) {
        if std::mem::replace(&mut stream.upgraded, true) {
            return;
        }
        let back = Route { source: route.destination, destination: route.source };
        let (to_server, to_client) = if from_client { (route, back) } else { (back, route) };
        let time = piece.shares.first().map_or(piece.timestamp, |share| share.timestamp);
        let request = request(to_server.destination);
        self.segment(stream, to_server, time, Payload::from(request.as_bytes()));
        self.segment(stream, to_client, time, Payload::from(RESPONSE.as_bytes()));
    }

    /// The message as DATA chunks, one a packet; one chunk unless it is too long.
    fn sctp(&mut self, stream: &mut Stream, route: Route, piece: &StreamPiece<'_>) {
        let (ours, _) = stream.sides(route.source);
        let count = piece.bytes.len().div_ceil(MAX_CHUNK);
        for (index, bytes) in piece.bytes.chunks(MAX_CHUNK).enumerate() {
            let chunk = DataChunk {
                transmission: ours.next,
                message: ours.message,
                first: index == 0,
                last: index + 1 == count,
                bytes,
            };
            self.packet(piece.timestamp, 0, |out| route.sctp(out, &chunk));
            ours.next = ours.next.wrapping_add(1);
        }
        ours.message = ours.message.wrapping_add(1);
    }
}

/// The message by shares; what they do not cover comes last, at the time when the message was complete.
fn split<'a>(piece: &StreamPiece<'a>) -> impl Iterator<Item = (Timestamp, &'a [u8])> {
    let mut rest = piece.bytes;
    let remainder = Share { timestamp: piece.timestamp, length: u32::MAX };
    piece.shares.iter().copied().chain([remainder]).map(move |share| {
        let (now, later) = rest.split_at(rest.len().min(share.length as usize));
        rest = later;
        (share.timestamp, now)
    })
}
