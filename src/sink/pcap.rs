//! The classic capture file: one link type, one resolution
//! (<https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/>).
//!
//! Always little-endian. Pure functions: they make headers, the caller puts the bytes behind them.

use crate::capture::LinkType;
use crate::time::Timestamp;

/// The most bytes of one packet that readers take (libpcap's `MAXIMUM_SNAPLEN`); announced in every header.
pub const SNAPLEN: u32 = 262_144;

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;

/// The 24 bytes that open a file of packets of `link` type, stamped in nanoseconds or microseconds.
#[must_use]
pub fn file_header(link: LinkType, nanosecond: bool) -> [u8; 24] {
    let mut header = [0; 24];
    let magic = if nanosecond { MAGIC_NANOSECONDS } else { MAGIC_MICROSECONDS };
    put(&mut header, 0, magic.to_le_bytes());
    put(&mut header, 4, 2u16.to_le_bytes());
    put(&mut header, 6, 4u16.to_le_bytes());
    put(&mut header, 16, SNAPLEN.to_le_bytes());
    put(&mut header, 20, u32::from(link.0).to_le_bytes());
    header
}

/// The 16 bytes before a packet: its time in the file's resolution, `captured` bytes that follow, `original`
/// bytes on the wire. Seconds beyond the field (the year 2106) stay at its end.
#[must_use]
pub fn record_header(timestamp: Timestamp, nanosecond: bool, captured: u32, original: u32) -> [u8; 16] {
    let fraction = if nanosecond { timestamp.subsec_nanos() } else { timestamp.subsec_nanos() / 1_000 };
    let mut header = [0; 16];
    put(&mut header, 0, u32::try_from(timestamp.seconds()).unwrap_or(u32::MAX).to_le_bytes());
    put(&mut header, 4, fraction.to_le_bytes());
    put(&mut header, 8, captured.to_le_bytes());
    put(&mut header, 12, original.to_le_bytes());
    header
}

/// Puts `field` at `offset` of `header`; a field that would not fit is left out, which no caller's constants do.
pub(super) fn put<const N: usize>(header: &mut [u8], offset: usize, field: [u8; N]) {
    if let Some(place) = header.get_mut(offset..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        *place = field;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_the_draft() {
        // Section 4 (figure 1): magic, 2.4, two reserved words, SnapLen, LinkType; section 5 (figure 2): the record.
        assert_eq!(
            file_header(LinkType::ETHERNET, false),
            *b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0"
        );
        assert_eq!(file_header(LinkType::LINUX_SLL2, true)[..4], *b"\x4d\x3c\xb2\xa1");
        assert_eq!(file_header(LinkType::LINUX_SLL2, true)[20..], *b"\x14\x01\0\0");
        let time = Timestamp::new(1, 2_000_999);
        assert_eq!(record_header(time, false, 3, 4), *b"\x01\0\0\0\xd0\x07\0\0\x03\0\0\0\x04\0\0\0");
        assert_eq!(record_header(time, true, 3, 4)[4..8], 2_000_999u32.to_le_bytes());
        assert_eq!(record_header(Timestamp(u64::MAX), true, 0, 0)[..4], [0xff; 4]);
    }
}
