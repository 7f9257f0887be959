//! Classic pcap: a 24-byte file header, then records (draft-ietf-opsawg-pcap).
//!
//! Both byte orders, microseconds and nanoseconds, and the "modified" format of patched libpcaps, whose
//! record header has eight more bytes; also several such files one behind the other, as `cat` makes them. Deliberately
//! absent: the length fields that some writers before version 2.4 (1996) swapped.

use super::super::{LinkType, Packet};
use super::order::Order;
use super::record::{Format, LONGEST_PACKET, Record, link_type};
use crate::time::Timestamp;

/// Bytes of the file header.
pub(super) const FILE_HEADER: usize = 24;

/// Packets that are found before they are put down.
const GROUP: usize = 32;

const MICROSECOND: u32 = 0xa1b2_c3d4;
const NANOSECOND: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

/// A classic pcap file behind its header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Classic {
    order: Order,
    /// Nanoseconds in one unit of a record's fraction of a second.
    unit: u32,
    /// Bytes of a record header.
    header: usize,
    link: LinkType,
}

impl Classic {
    /// Whether a file with these first bytes is a classic pcap.
    pub(super) fn begins(magic: [u8; 4]) -> bool {
        variant(magic).is_some()
    }

    /// Reads the file header; `None` when it is none.
    pub(super) fn new(header: &[u8; FILE_HEADER]) -> Option<Self> {
        let [a, b, c, d, .., w, x, y, z] = *header;
        let (order, magic) = variant([a, b, c, d])?;
        Some(Self {
            order,
            unit: if magic == NANOSECOND { 1 } else { 1_000 },
            header: if magic == MODIFIED { 24 } else { 16 },
            link: link_type(order.u32([w, x, y, z])),
        })
    }

    /// Whether where a record should begin there is the file header, version 2.4, of a capture that was appended to this one:
    /// of its 16 bytes the first eight tell, if the others, as those of a packet of no bytes, are 0.
    pub(super) fn begins_again(&[a, b, c, d, e, f, g, h, ..]: &[u8; 16]) -> bool {
        variant([a, b, c, d]).is_some_and(|(order, _)| [order.u16([e, f]), order.u16([g, h])] == [2, 4])
    }
}

fn variant(magic: [u8; 4]) -> Option<(Order, u32)> {
    [Order::Little, Order::Big]
        .map(|order| (order, order.u32(magic)))
        .into_iter()
        .find(|(_, value)| matches!(*value, MICROSECOND | NANOSECOND | MODIFIED))
}

impl Classic {
    /// See [`Format::packets`]; `words` reads a record header in the file's byte order. A function of its own has
    /// the registers to itself.
    #[inline(never)]
    fn walk(
        &self,
        bytes: &[u8],
        base: u32,
        packets: &mut Vec<Packet>,
        limit: usize,
        words: impl Fn(&[u8; 16]) -> [u32; 4],
    ) -> usize {
        let Self { unit, header, link, .. } = *self;
        let mut rest = bytes;
        // Where the packet of a record begins of which that many bytes are left: so much less.
        let end = base as usize + bytes.len() + header;
        let record = Packet { link, nanosecond: unit == 1, ..Packet::default() };
        // A list that grows within the loop would cost it the registers that it needs to find the next record.
        let mut group = [record; GROUP];
        loop {
            let room = limit.saturating_sub(packets.len());
            let mut found = 0;
            for slot in group.iter_mut().take(room) {
                let Some(first) = rest.first_chunk() else { break };
                let [seconds, fraction, captured, original] = words(first);
                let Some(behind) = rest.get(header + captured as usize..) else { break };
                // One of no bytes too: it may be no record.
                if captured.wrapping_sub(1) >= LONGEST_PACKET {
                    break;
                }
                slot.timestamp = time(seconds, fraction, unit);
                slot.offset = (end - rest.len()) as u32;
                slot.captured = captured;
                slot.original = original.max(captured);
                rest = behind;
                found += 1;
            }
            packets.extend_from_slice(group.get(..found).unwrap_or_default());
            if found < GROUP {
                break;
            }
        }
        bytes.len() - rest.len()
    }
}

/// A record's time; a fraction has so many nanoseconds to its unit. It cannot overflow: 2^32 seconds are less than
/// 2^62 ns, 2^32 thousands of them less than 2^42.
#[inline]
fn time(seconds: u32, fraction: u32, unit: u32) -> Timestamp {
    Timestamp(u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * u64::from(unit))
}

impl Format for Classic {
    #[inline]
    fn packets(&mut self, bytes: &[u8], base: u32, limit: usize, packets: &mut Vec<Packet>) -> usize {
        match self.order {
            Order::Little => self.walk(bytes, base, packets, limit, |header| Order::Little.words(header)),
            Order::Big => self.walk(bytes, base, packets, limit, |header| Order::Big.words(header)),
        }
    }

    #[inline]
    fn record(&mut self, bytes: &[u8]) -> Record {
        let Some(header) = bytes.first_chunk() else { return Record::Partial { need: self.header } };
        let [seconds, fraction, captured, original] = self.order.words(header);
        if (captured, original) == (0, 0) && Self::begins_again(header) {
            let Some(header) = bytes.first_chunk() else { return Record::Partial { need: FILE_HEADER } };
            *self = Self::new(header).unwrap_or(*self);
            return Record::Other { length: FILE_HEADER as u64 };
        }
        if captured > LONGEST_PACKET {
            return Record::Bad;
        }
        let length = self.header + captured as usize;
        if bytes.len() < length {
            return Record::Partial { need: length };
        }
        let packet = Packet {
            timestamp: time(seconds, fraction, self.unit),
            offset: self.header as u32,
            captured,
            original: original.max(captured),
            link: self.link,
            nanosecond: self.unit == 1,
        };
        Record::Packet { packet, length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file header by hand: version 2.4, zone 0, accuracy 0, snapshot length 0x40000, link type 1.
    fn header(magic: [u8; 4], order: Order) -> [u8; FILE_HEADER] {
        let rest = match order {
            Order::Little => [2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0],
            Order::Big => [0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 1],
        };
        let mut header = [0; FILE_HEADER];
        header[..4].copy_from_slice(&magic);
        header[4..].copy_from_slice(&rest);
        header
    }

    const LITTLE: [u8; 19] = [5, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, b'a', b'b', b'c'];
    const BIG: [u8; 19] = [0, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 9, b'a', b'b', b'c'];

    fn first(magic: [u8; 4], order: Order, bytes: &[u8]) -> Record {
        Classic::new(&header(magic, order)).unwrap().record(bytes)
    }

    fn expected(nanoseconds: u64, offset: u32, nanosecond: bool) -> Record {
        let packet = Packet {
            timestamp: Timestamp(nanoseconds),
            offset,
            captured: 3,
            original: 9,
            link: LinkType::ETHERNET,
            nanosecond,
        };
        Record::Packet { packet, length: offset as usize + 3 }
    }

    #[test]
    fn reads_every_magic() {
        let micro = expected(5_000_007_000, 16, false);
        let nano = expected(5_000_000_007, 16, true);
        assert_eq!(first([0xd4, 0xc3, 0xb2, 0xa1], Order::Little, &LITTLE), micro);
        assert_eq!(first([0xa1, 0xb2, 0xc3, 0xd4], Order::Big, &BIG), micro);
        assert_eq!(first([0x4d, 0x3c, 0xb2, 0xa1], Order::Little, &LITTLE), nano);
        assert_eq!(first([0xa1, 0xb2, 0x3c, 0x4d], Order::Big, &BIG), nano);
        assert!(Classic::new(&header([0x0a, 0x0d, 0x0d, 0x0a], Order::Big)).is_none());
    }

    #[test]
    fn the_modified_record_header_has_eight_more_bytes() {
        let extra = [2, 0, 0, 0, 8, 0, 4, 0];
        let little = [&LITTLE[..16], &extra, b"abc"].concat();
        let big = [&BIG[..16], &extra, b"abc"].concat();
        let modified = expected(5_000_007_000, 24, false);
        assert_eq!(first([0x34, 0xcd, 0xb2, 0xa1], Order::Little, &little), modified);
        assert_eq!(first([0xa1, 0xb2, 0xcd, 0x34], Order::Big, &big), modified);
    }

    #[test]
    fn says_how_much_is_missing() {
        let magic = [0xd4, 0xc3, 0xb2, 0xa1];
        assert_eq!(first(magic, Order::Little, &LITTLE[..15]), Record::Partial { need: 16 });
        assert_eq!(first(magic, Order::Little, &LITTLE[..18]), Record::Partial { need: 19 });
    }

    #[test]
    fn a_length_that_no_writer_writes_is_bad() {
        // A big-endian file header with little-endian records: three bytes become 50 million.
        assert_eq!(first([0xa1, 0xb2, 0xc3, 0xd4], Order::Big, &LITTLE), Record::Bad);
    }

    #[test]
    fn the_largest_stamp_does_not_overflow() {
        let bytes = [0xff; 8].into_iter().chain([0; 8]).collect::<Vec<u8>>();
        let Record::Packet { packet, .. } = first([0xd4, 0xc3, 0xb2, 0xa1], Order::Little, &bytes) else {
            panic!("no packet")
        };
        assert_eq!(packet.timestamp.0, 4_294_967_295_000_000_000 + 4_294_967_295_000);
    }

    #[test]
    fn link_types_lose_what_is_not_theirs() {
        assert_eq!(link_type(1), LinkType::ETHERNET);
        assert_eq!(link_type(0x2400_0001), LinkType(1)); // four bytes of frame check sequence
        assert_eq!(link_type(12), LinkType::RAW);
        assert_eq!(link_type(0x0001_0001), LinkType(u16::MAX));
    }
}
