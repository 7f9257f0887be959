//! The blocks of a pcapng file: many link types and resolutions in one
//! (<https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/>).
//!
//! Always little-endian. Pure functions: they make headers, the caller puts the bytes between them.

use crate::capture::LinkType;
use crate::sink::pcap::{SNAPLEN, put};
use crate::time::Timestamp;

/// The block that opens a file: version 1.0, length of the section unknown (section 4.1).
#[must_use]
pub fn section_header() -> [u8; 28] {
    let mut block = [0; 28];
    put(&mut block, 0, 0x0a0d_0d0a_u32.to_le_bytes());
    put(&mut block, 4, 28u32.to_le_bytes());
    put(&mut block, 8, 0x1a2b_3c4d_u32.to_le_bytes());
    put(&mut block, 12, 1u16.to_le_bytes());
    put(&mut block, 16, u64::MAX.to_le_bytes());
    put(&mut block, 24, 28u32.to_le_bytes());
    block
}

/// The block that describes an interface (section 4.2), with `if_tsresol` 9 for nanoseconds, and 6 otherwise.
#[must_use]
pub fn interface(link: LinkType, nanosecond: bool) -> [u8; 32] {
    let mut block = [0; 32];
    put(&mut block, 0, 1u32.to_le_bytes());
    put(&mut block, 4, 32u32.to_le_bytes());
    put(&mut block, 8, link.0.to_le_bytes());
    put(&mut block, 12, SNAPLEN.to_le_bytes());
    put(&mut block, 16, 9u16.to_le_bytes());
    put(&mut block, 18, 1u16.to_le_bytes());
    put(&mut block, 20, [if nanosecond { 9 } else { 6 }]);
    put(&mut block, 28, 32u32.to_le_bytes());
    block
}

/// The frame of an enhanced packet block (section 4.3): the bytes before the packet, and those after it of which
/// the last `padding + 4` count.
#[must_use]
pub fn packet(interface: u32, timestamp: Timestamp, nanosecond: bool, lengths: (u32, u32)) -> PacketBlock {
    let (captured, original) = lengths;
    let units = if nanosecond { timestamp.0 } else { timestamp.0 / 1_000 };
    let padding = captured.wrapping_neg() % 4;
    let total = captured.saturating_add(padding).saturating_add(32);
    let mut head = [0; 28];
    put(&mut head, 0, 6u32.to_le_bytes());
    put(&mut head, 4, total.to_le_bytes());
    put(&mut head, 8, interface.to_le_bytes());
    put(&mut head, 12, ((units >> 32) as u32).to_le_bytes());
    put(&mut head, 16, (units as u32).to_le_bytes());
    put(&mut head, 20, captured.to_le_bytes());
    put(&mut head, 24, original.to_le_bytes());
    let mut tail = [0; 7];
    put(&mut tail, 3, total.to_le_bytes());
    PacketBlock { head, tail, unused: 3 - padding as usize }
}

/// What stands around a packet's bytes.
#[derive(Clone, Copy, Debug)]
pub struct PacketBlock {
    /// The 28 bytes before them.
    pub head: [u8; 28],
    tail: [u8; 7],
    unused: usize,
}

impl PacketBlock {
    /// The bytes after them: padding to four bytes, and the block's length again.
    #[must_use]
    pub fn tail(&self) -> &[u8] {
        self.tail.get(self.unused..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_say_their_length_twice() {
        for captured in 0u32..9 {
            let block = packet(0, Timestamp::new(1, 0), false, (captured, captured));
            let total = block.head.len() + captured as usize + block.tail().len();
            assert_eq!(total % 4, 0);
            assert_eq!(block.head[4..8], (total as u32).to_le_bytes());
            assert_eq!(block.tail()[block.tail().len() - 4..], (total as u32).to_le_bytes());
        }
        assert_eq!(section_header()[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
        assert_eq!(interface(LinkType::RAW, true)[8], 101);
    }
}
