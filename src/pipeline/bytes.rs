//! Names for bytes that live as long as a batch does, and the batch that they live in.
//!
//! This file alone of the pipeline may be used by the stages: it is how they speak of a batch's bytes without
//! copying them and without knowing what thread they run on.

use crate::capture::{Packet, PacketBatch};

/// Which buffer of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The captured packets.
    #[default]
    Packets,
    /// Datagrams put together from fragments.
    Datagrams,
    /// Messages put together from stream segments.
    Streams,
}

/// A range of bytes in one of a batch's buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Which buffer.
    pub place: Place,
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub length: u32,
}

impl Bytes {
    /// `length` bytes of `self`, from `offset` on.
    #[must_use]
    pub const fn part(self, offset: u32, length: u32) -> Self {
        Self { place: self.place, start: self.start.saturating_add(offset), length }
    }

    #[inline]
    fn of(self, buffer: &[u8]) -> &[u8] {
        let start = self.start as usize;
        buffer.get(start..start.saturating_add(self.length as usize)).unwrap_or_default()
    }
}

/// Frames of fragments whose datagram became whole in a batch, kept for those who write them down.
#[derive(Debug, Default)]
pub struct FragmentFrames {
    /// The frames' bytes.
    pub arena: Vec<u8>,
    /// The frames, their offsets into `arena`.
    pub frames: Vec<Packet>,
    /// Which of `frames` belong to each datagram.
    pub datagrams: Vec<(u32, u32)>,
    /// The identification of each datagram.
    pub identifications: Vec<u32>,
}

impl FragmentFrames {
    /// Takes the frames of another datagram, as far as they are kept, and tells its index.
    pub(super) fn push<'a>(
        &mut self,
        identification: u32,
        frames: impl Iterator<Item = (Packet, &'a [u8])>,
    ) -> u32 {
        let index = self.datagrams.len() as u32;
        let first = self.frames.len();
        for (packet, frame) in frames {
            let offset = self.arena.len() as u32;
            self.arena.extend_from_slice(frame);
            self.frames.push(Packet { offset, ..packet });
        }
        self.datagrams.push((first as u32, self.frames.len() as u32));
        self.identifications.push(identification);
        index
    }

    /// The frames of the datagram of that index.
    pub(super) fn of(&self, datagram: u32) -> PacketBatch<'_> {
        let (first, end) = self.datagrams.get(datagram as usize).copied().unwrap_or_default();
        let frames = self.frames.get(first as usize..end as usize).unwrap_or_default();
        PacketBatch::new(&self.arena, frames)
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.frames.clear();
        self.datagrams.clear();
        self.identifications.clear();
    }
}

/// A batch's bytes: the captured packets and the datagrams that became whole with them.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The captured packets.
    pub batch: PacketBatch<'a>,
    /// Bytes of reassembled datagrams.
    pub datagrams: &'a [u8],
    /// The frames that those datagrams came in.
    pub fragments: &'a FragmentFrames,
}

impl<'a> View<'a> {
    /// The bytes that `bytes` names; `streams` is the arena of the worker that made the name.
    #[must_use]
    #[inline]
    pub fn resolve(&self, bytes: Bytes, streams: &'a [u8]) -> &'a [u8] {
        match bytes.place {
            Place::Packets => bytes.of(self.batch.arena),
            Place::Datagrams => bytes.of(self.datagrams),
            Place::Streams => bytes.of(streams),
        }
    }

    /// The captured packet of that index and its bytes.
    #[must_use]
    #[inline]
    pub fn packet(&self, index: u32) -> Option<(&'a Packet, &'a [u8])> {
        let packet = self.batch.packets.get(index as usize)?;
        Some((packet, self.batch.frame(packet)))
    }

    /// The frames that the reassembled datagram of that index came in.
    pub fn fragments(&self, datagram: u32) -> impl Iterator<Item = (&'a Packet, &'a [u8])> + use<'a> {
        let frames = self.fragments.of(datagram);
        frames.packets.iter().map(move |packet| (packet, frames.frame(packet)))
    }
}
