//! What a call's file is to become, as commands with their bytes behind each other: frames cost one copy and no
//! allocation.

use crate::call::CallRecord;
use crate::capture::LinkType;
use crate::flow::Endpoint;
use crate::sink::encoder::FrameInfo;
use crate::sink::reframe::StreamPiece;
use crate::sink::template::NameFields;
use crate::sip::{Share, SipTransport};
use crate::time::Timestamp;

use super::mailbox::Block;

/// One thing to do with a call's file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    /// Begin it; lengths of Call-ID, From and To.
    Open { call: u32, kept: bool, start: Timestamp, lengths: [u32; 3] },
    /// It has become one to keep.
    Keep { call: u32 },
    /// A captured frame.
    Frame { call: u32, info: FrameInfo, length: u32 },
    /// A message of a stream.
    Stream { call: u32, piece: u32 },
    /// End it; place of its record, if there is one.
    Close { call: u32, kept: bool, record: Option<u32> },
}

/// A message of a stream, without what lies in the block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    source: Endpoint,
    destination: Endpoint,
    transport: SipTransport,
    timestamp: Timestamp,
    nanosecond: bool,
    link: LinkType,
    header: u32,
    shares: u32,
    length: u32,
    missing: u32,
}

/// Commands, and what they are about in the same order.
#[derive(Debug, Default)]
pub(super) struct FileBlock {
    commands: Vec<Command>,
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    shares: Vec<Share>,
    records: Vec<Option<Box<CallRecord>>>,
    /// What the records weigh.
    heavy: usize,
    /// Frames and messages that there was no room for.
    pub(super) frames_refused: u64,
    /// Records that there was no room for.
    pub(super) records_refused: u64,
}

/// What a block keeps of its memory when it is emptied.
const USUAL: usize = 1 << 20;

impl Block for FileBlock {
    fn weight(&self) -> usize {
        self.bytes.len()
            + self.heavy
            + self.commands.len() * size_of::<Command>()
            + self.pieces.len() * size_of::<Piece>()
            + self.shares.len() * size_of::<Share>()
    }

    fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.frames_refused == 0
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(USUAL);
        self.commands.clear();
        self.commands.shrink_to(USUAL / size_of::<Command>());
        self.pieces.clear();
        self.pieces.shrink_to(USUAL / size_of::<Piece>());
        self.shares.clear();
        self.shares.shrink_to(USUAL / size_of::<Share>());
        self.records.clear();
        self.records.shrink_to(1024);
        (self.heavy, self.frames_refused, self.records_refused) = (0, 0, 0);
    }
}

/// Bytes that a record takes: its fixed part and what most have in strings and streams.
pub(super) fn weight_of(record: &CallRecord) -> usize {
    let text = record.call_id.len() + record.from.len() + record.to.len();
    size_of::<CallRecord>() + text + 512 + record.media.len() * 160
}

impl FileBlock {
    pub(super) fn open(&mut self, call: u32, fields: &NameFields<'_>, kept: bool) {
        let texts = [fields.call_id, fields.from, fields.to];
        let lengths = texts.map(|text| text.len() as u32);
        texts.iter().for_each(|text| self.bytes.extend_from_slice(text));
        self.commands.push(Command::Open { call, kept, start: fields.start, lengths });
    }

    pub(super) fn keep(&mut self, call: u32) {
        self.commands.push(Command::Keep { call });
    }

    pub(super) fn frame(&mut self, call: u32, info: &FrameInfo, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.commands.push(Command::Frame { call, info: *info, length: bytes.len() as u32 });
    }

    pub(super) fn stream(&mut self, call: u32, piece: &StreamPiece<'_>) {
        self.bytes.extend_from_slice(piece.link_header);
        self.bytes.extend_from_slice(piece.bytes);
        self.shares.extend_from_slice(piece.shares);
        self.commands.push(Command::Stream { call, piece: self.pieces.len() as u32 });
        self.pieces.push(Piece {
            source: piece.source,
            destination: piece.destination,
            transport: piece.transport,
            timestamp: piece.timestamp,
            nanosecond: piece.nanosecond,
            link: piece.link,
            header: piece.link_header.len() as u32,
            shares: piece.shares.len() as u32,
            length: piece.bytes.len() as u32,
            missing: piece.missing,
        });
    }

    pub(super) fn close(&mut self, call: u32, kept: bool, record: Option<Box<CallRecord>>) {
        let place = record.map(|record| {
            self.heavy += weight_of(&record);
            self.records.push(Some(record));
            self.records.len() as u32 - 1
        });
        self.commands.push(Command::Close { call, kept, record: place });
    }

    /// Shows every command to `actor`, in order.
    pub(super) fn act(&mut self, actor: &mut impl Actor) {
        let Self { commands, bytes, pieces, shares, records, .. } = self;
        let mut bytes = Cursor(bytes.as_slice());
        let mut shares = shares.as_slice();
        for command in commands.drain(..) {
            match command {
                Command::Open { call, kept, start, lengths } => {
                    let [call_id, from, to] = lengths.map(|length| bytes.take(length));
                    actor.open(call, &NameFields { call_id, from, to, start }, kept);
                }
                Command::Keep { call } => actor.keep(call),
                Command::Frame { call, info, length } => actor.frame(call, &info, bytes.take(length)),
                Command::Stream { call, piece } => {
                    let Some(piece) = pieces.get(piece as usize) else { continue };
                    let (ours, others) = shares.split_at(shares.len().min(piece.shares as usize));
                    shares = others;
                    actor.stream(call, &piece.over(&mut bytes, ours));
                }
                Command::Close { call, kept, record } => {
                    let place = record.and_then(|place| records.get_mut(place as usize));
                    actor.close(call, kept, place.and_then(Option::take));
                }
            }
        }
    }
}

impl Piece {
    fn over<'a>(&self, bytes: &mut Cursor<'a>, shares: &'a [Share]) -> StreamPiece<'a> {
        StreamPiece {
            source: self.source,
            destination: self.destination,
            transport: self.transport,
            timestamp: self.timestamp,
            nanosecond: self.nanosecond,
            link: self.link,
            link_header: bytes.take(self.header),
            shares,
            bytes: bytes.take(self.length),
            missing: self.missing,
        }
    }
}

/// Who carries the commands out.
pub(super) trait Actor {
    fn open(&mut self, call: u32, fields: &NameFields<'_>, kept: bool);
    fn keep(&mut self, call: u32);
    fn frame(&mut self, call: u32, info: &FrameInfo, bytes: &[u8]);
    fn stream(&mut self, call: u32, piece: &StreamPiece<'_>);
    fn close(&mut self, call: u32, kept: bool, record: Option<Box<CallRecord>>);
}

/// Bytes taken from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: u32) -> &'a [u8] {
        let (front, rest) = self.0.split_at(self.0.len().min(length as usize));
        self.0 = rest;
        front
    }
}
