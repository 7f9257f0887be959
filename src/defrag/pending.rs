//! One datagram whose fragments are being collected.

use super::MAX_LENGTH;
use super::pieces::Pieces;
use crate::capture::{LinkType, Packet, PacketBatch};
use crate::decode::Fragment;
use crate::flow::Address;
use crate::time::Timestamp;

/// What one datagram may keep. The longest in a thousand pieces with their frames' headers stays far below;
/// above are frames of padding around eight bytes of fragment.
const MAX_ARENA: usize = 1 << 20;

/// What fragments of one datagram have in common (RFC 791 3.2). In IPv6 the protocol is not part of it: only the
/// first fragment's counts (RFC 8200 4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Key {
    source: Address,
    destination: Address,
    identification: u32,
    /// The protocol in IPv4, one more than any protocol in IPv6.
    protocol: u16,
}

impl Key {
    #[inline]
    pub(super) fn of(fragment: &Fragment) -> Self {
        Self {
            source: fragment.source,
            destination: fragment.destination,
            identification: fragment.identification,
            protocol: if fragment.source.is_v4() { u16::from(fragment.protocol) } else { 0x100 },
        }
    }
}

/// What a fragment came in.
#[derive(Clone, Copy, Debug)]
pub enum Carrier<'a> {
    /// It was decoded from the frame of this packet.
    Frame(&'a Packet),
    /// It was decoded from the payload of a datagram which came in fragments itself: in these frames. So it is in a
    /// tunnel both of whose ends cut packets, or whose packets are cut under way.
    Datagram(PacketBatch<'a>),
}

/// A fragment as it is handed in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) fragment: &'a Fragment,
    pub(super) carrier: Carrier<'a>,
    /// What it was decoded from.
    pub(super) buffer: &'a [u8],
    /// The fragment's own bytes, a part of `buffer`.
    pub(super) bytes: &'a [u8],
    pub(super) now: Timestamp,
}

impl Arrival<'_> {
    /// Where the captured bytes end in the datagram.
    const fn end(&self) -> u32 {
        self.fragment.offset + self.bytes.len() as u32
    }

    /// Bytes that are kept of it at most.
    fn size(&self) -> usize {
        match self.carrier {
            Carrier::Frame(_) => self.buffer.len(),
            Carrier::Datagram(frames) => {
                let captured = frames.packets.iter().map(|packet| packet.captured as usize);
                captured.sum::<usize>().saturating_add(self.buffer.len())
            }
        }
    }

    /// Where the fragment ended on the wire.
    const fn announced_end(&self) -> u32 {
        self.end() + self.fragment.missing
    }
}

/// What became of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It brought something new; `overlap` when not all of it was.
    Joined { overlap: bool },
    /// All its bytes were there, the same.
    Duplicate,
    /// All its bytes were there, others. Of a copy, and of what was given out: any of them.
    Conflict,
    /// It contradicts the datagram's length.
    Inconsistent,
    /// The capture cut it, and it is not the last: there is a hole that nothing fills.
    Cut,
    /// The datagram is in too many pieces or keeps too much.
    Full,
}

/// The last fragment: where it begins, and where the datagram ends on the wire.
#[derive(Clone, Copy, Debug)]
struct Last {
    start: u32,
    end: u32,
}

/// The first fragment.
#[derive(Clone, Copy, Debug)]
struct First {
    fragment: Fragment,
    /// Where its headers and its bytes begin in the arena.
    at: u32,
    captured: Timestamp,
    link: Option<LinkType>,
}

/// A datagram's beginning, as far as there is no hole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning<'a> {
    /// The first fragment, made to stand for the whole.
    pub(super) first: Fragment,
    /// What was before its bytes in its frame.
    pub(super) header: &'a [u8],
    /// When it was captured.
    pub(super) captured: Timestamp,
    /// The link type of its frame; none when it came in a datagram.
    pub(super) link: Option<LinkType>,
}

/// A captured frame in the arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) packet: Packet,
    at: u32,
}

impl Kept {
    pub(super) fn bytes<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let at = self.at as usize;
        arena.get(at..at.saturating_add(self.packet.captured as usize)).unwrap_or_default()
    }
}

/// The fragments of one datagram so far. Its buffers are used again for others.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) key: Key,
    pub(super) hash: u64,
    pub(super) created: Timestamp,
    /// A second copy of a datagram that is complete or being collected: no loss if it stays in pieces.
    pub(super) copy: bool,
    /// Fragments that joined.
    pub(super) fragments: u32,
    /// Frames, or pieces of them, one behind the other.
    pub(super) arena: Vec<u8>,
    pub(super) frames: Vec<Kept>,
    /// The beginning was given out, with so many of them.
    pub(super) given: Option<usize>,
    /// The call that the beginning is of, once somebody has asked; 0 when it is of none.
    pub(super) call: Option<u64>,
    pieces: Pieces,
    first: Option<First>,
    last: Option<Last>,
}

impl Pending {
    /// Makes it a new datagram; the buffers keep their room.
    pub(super) fn reset(&mut self, key: Key, hash: u64, now: Timestamp, copy: bool) {
        (self.key, self.hash, self.created, self.copy) = (key, hash, now, copy);
        self.fragments = 0;
        self.arena.clear();
        self.frames.clear();
        (self.given, self.call) = (None, None);
        self.pieces.clear();
        (self.first, self.last) = (None, None);
    }

    /// Gives its buffers back.
    pub(super) fn shrink(&mut self) {
        *self = Self::default();
    }

    /// Bytes allocated.
    pub(super) fn allocated(&self) -> usize {
        self.arena.capacity() + self.frames.capacity() * size_of::<Kept>() + self.pieces.allocated()
    }

    /// Takes a fragment. Where bytes overlap the first ones stay: RFC 5722 would discard an IPv6 datagram at the
    /// first overlap, but receivers differ, and a sniffer that forgets what one of them accepts can be evaded.
    pub(super) fn add(&mut self, arrival: &Arrival<'_>, keep_frames: bool) -> Outcome {
        let fragment = arrival.fragment;
        if !self.is_consistent(arrival) {
            return Outcome::Inconsistent;
        }
        // Of the first one, what there is is the datagram's beginning.
        let is_beginning = fragment.offset == 0 && !arrival.bytes.is_empty();
        if fragment.more && fragment.missing > 0 && !is_beginning {
            return Outcome::Cut;
        }
        let fit = self.pieces.fit(fragment.offset, arrival.bytes, &self.arena);
        let ends_it = !fragment.more && self.last.is_none();
        let nothing_new = fit.covered as usize == arrival.bytes.len() && !ends_it;
        if !fit.agrees && (self.copy || self.given.is_some() || nothing_new) {
            return Outcome::Conflict;
        }
        if nothing_new {
            return Outcome::Duplicate;
        }
        if self.pieces.is_full() || self.arena.len().saturating_add(arrival.size()) > MAX_ARENA {
            return Outcome::Full;
        }
        self.store(arrival, keep_frames);
        if ends_it {
            self.last = Some(Last { start: fragment.offset, end: arrival.announced_end() });
        }
        self.fragments = self.fragments.saturating_add(1);
        Outcome::Joined { overlap: fit.covered > 0 }
    }

    /// No fragment ends behind the last one, and there is one last one.
    fn is_consistent(&self, arrival: &Arrival<'_>) -> bool {
        let end = arrival.announced_end();
        match self.last {
            Some(last) if arrival.fragment.more => end <= last.end,
            Some(last) => end == last.end,
            None => arrival.fragment.more || self.pieces.reach() <= end,
        }
    }

    /// Keeps the frame, or what is needed of it: the fragment, and before a first one its headers.
    fn store(&mut self, arrival: &Arrival<'_>, keep_frames: bool) {
        let Arrival { fragment, buffer, bytes, .. } = *arrival;
        let frame = match arrival.carrier {
            Carrier::Frame(packet) if keep_frames => Some(self.keep(packet, buffer)),
            Carrier::Datagram(frames) if keep_frames => {
                for packet in frames.packets {
                    self.keep(packet, frames.frame(packet));
                }
                None
            }
            _ => None,
        };
        let before = if frame.is_some() || fragment.offset == 0 { fragment.start } else { 0 };
        let at = frame.unwrap_or_else(|| {
            let at = self.arena.len() as u32;
            self.arena.extend_from_slice(buffer.get(..before as usize).unwrap_or_default());
            self.arena.extend_from_slice(bytes);
            at
        });
        if fragment.offset == 0 && self.first.is_none() {
            let (captured, link) = match arrival.carrier {
                Carrier::Frame(packet) => (packet.timestamp, Some(packet.link)),
                Carrier::Datagram(frames) => {
                    (frames.packets.last().map_or(arrival.now, |packet| packet.timestamp), None)
                }
            };
            self.first = Some(First { fragment: *fragment, at, captured, link });
        }
        self.pieces.add(fragment.offset, arrival.end(), at + before);
    }

    /// Keeps a frame, and tells where.
    fn keep(&mut self, packet: &Packet, frame: &[u8]) -> u32 {
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(frame);
        self.frames.push(Kept { packet: Packet { captured: frame.len() as u32, ..*packet }, at });
        at
    }

    /// The first fragment is there, and has not been given out.
    pub(super) const fn is_news(&self) -> bool {
        self.first.is_some() && self.given.is_none() && !self.copy
    }

    /// The capture cut the first fragment.
    pub(super) fn is_cut(&self) -> bool {
        self.first.is_some_and(|first| first.fragment.missing > 0)
    }

    /// Everything is there but what the capture cut off the end.
    pub(super) fn is_complete(&self) -> bool {
        let Some(last) = self.last else { return false };
        self.first.is_some() && self.pieces.received() == self.pieces.reach().max(last.start)
    }

    /// Puts what there is of the datagram from its first byte on into `payload`: all of one that is complete. None without a
    /// first fragment. Where its last one is not there, it is as long as a datagram can be: what it carries says more.
    pub(super) fn join(&self, payload: &mut Vec<u8>) -> Option<Beginning<'_>> {
        let First { fragment, at, captured, link } = self.first?;
        self.pieces.join(&self.arena, payload);
        let end = self.last.map_or(MAX_LENGTH, |last| last.end);
        let missing = end.saturating_sub(payload.len() as u32);
        let header = self.arena.get(at as usize..)?.get(..fragment.start as usize)?;
        Some(Beginning { first: Fragment { more: false, missing, ..fragment }, header, captured, link })
    }
}
