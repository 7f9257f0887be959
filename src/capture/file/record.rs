//! What the formats have in common: a state machine from bytes to records, without input or output.

use super::super::{LinkType, Packet};

/// The longest packet that is believed: libpcap's own largest snapshot length. A longer one is a corrupt
/// length, and to follow it would swallow the packets behind it.
pub(super) const LONGEST_PACKET: u32 = 262_144;

/// What lies at the beginning of some bytes of a capture.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A packet, in a record of `length` bytes; its offset counts from the record's first byte.
    Packet {
        /// The packet.
        packet: Packet,
        /// Bytes of the whole record, at most those given.
        length: usize,
    },
    /// Something else of `length` bytes, perhaps more than those given.
    Other {
        /// Bytes of it.
        length: u64,
    },
    /// At least `need` bytes are needed to tell, more than those given.
    Partial {
        /// How many.
        need: usize,
    },
    /// Nothing that the format allows; where the next record begins cannot be known.
    Bad,
}

/// A capture format behind its file header.
pub(super) trait Format {
    /// What lies at the beginning of `bytes`. Asked again with more bytes, it answers as if asked first.
    fn record(&mut self, bytes: &[u8]) -> Record;

    /// Takes packets from the beginning of `bytes`, which lie at `base` in their arena, until there are `limit` or
    /// something comes that is for [`Self::record`] to say; tells how many bytes it took.
    #[inline]
    fn packets(&mut self, bytes: &[u8], base: u32, limit: usize, packets: &mut Vec<Packet>) -> usize {
        let _ = (bytes, base, limit, packets);
        0
    }
}

/// The link type in a file header's number.
///
/// 12 and 14 are how BSD systems number raw IP in their own interface; files with them exist. Above the low
/// 26 bits stands the length of a frame check sequence.
pub(super) const fn link_type(number: u32) -> LinkType {
    match number & 0x03ff_ffff {
        12 | 14 => LinkType::RAW,
        known if known <= 0xffff => LinkType(known as u16),
        _ => LinkType(u16::MAX),
    }
}
