//! Names for bytes that live as long as a batch does.

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
}
