//! pcapng: sections of typed blocks (draft-ietf-opsawg-pcapng).
//!
//! Read are section headers (either byte order, several sections), interface descriptions, and enhanced,
//! simple and obsolete packet blocks; every other block is skipped. Deliberately absent: comments, name
//! resolution, decryption secrets and statistics, which nothing later uses.

use super::super::{LinkType, Packet};
use super::classic::Classic;
use super::order::Order;
use super::record::{Format, LONGEST_PACKET, Record, link_type};
use super::resolution::Resolution;
use crate::time::Timestamp;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Bytes of the smallest block: type, length, length again.
const SMALLEST: u32 = 12;

/// Where a block's body begins.
const BODY: usize = 8;

/// The longest block that is held whole: the longest packet and plenty of options. Blocks of other types may
/// be longer, they are skipped without holding them.
const LONGEST_BLOCK: u64 = 1 << 20;

/// Interfaces of one section. The attack: 20 bytes of file for each entry kept here.
const MOST_INTERFACES: usize = 65_536;

/// A pcapng file.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    /// The last packet's time, which a simple packet block, having none, takes.
    latest: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snaplen: u32,
    resolution: Resolution,
}

/// A packet as its block tells of it.
struct Described<'a> {
    interface: usize,
    count: u64,
    captured: u32,
    original: u32,
    /// Where its bytes begin in the block's body.
    start: usize,
    body: &'a [u8],
}

impl Pcapng {
    /// Whether a file with these first bytes is a pcapng file.
    pub(super) fn begins(magic: [u8; 4]) -> bool {
        u32::from_be_bytes(magic) == SECTION
    }

    /// A file of which nothing is read yet, the first section header neither.
    pub(super) const fn new() -> Self {
        Self { order: Order::Little, interfaces: Vec::new(), latest: Timestamp(0) }
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> Option<Option<Packet>> {
        let described = match kind {
            SECTION => return self.section(body).map(|()| None),
            INTERFACE => return self.interface(body).map(|()| None),
            PACKET => self.packet(body)?,
            SIMPLE_PACKET => return self.simple(body).map(Some),
            ENHANCED_PACKET => self.enhanced(body)?,
            _ => return Some(None),
        };
        self.place(&described).map(Some)
    }

    /// Byte order, version, length of the section (which need not be right, so it is not used), options.
    fn section(&mut self, body: &[u8]) -> Option<()> {
        let [_, _, _, _, a, b, ..] = *body.first_chunk::<16>()?;
        self.interfaces.clear();
        (self.order.u16([a, b]) == 1).then_some(())
    }

    fn interface(&mut self, body: &[u8]) -> Option<()> {
        let ([a, b, _, _, c, d, e, f], options) = body.split_first_chunk::<8>()?;
        if self.interfaces.len() >= MOST_INTERFACES {
            return None;
        }
        self.interfaces.push(Interface {
            link: link_type(self.order.u16([*a, *b]).into()),
            snaplen: self.order.u32([*c, *d, *e, *f]),
            resolution: self.resolution(options),
        });
        Some(())
    }

    /// if_tsresol and if_tsoffset out of an interface's options. Options that are cut end the list.
    fn resolution(&self, mut options: &[u8]) -> Resolution {
        let (mut code, mut offset) = (6, 0);
        while let Some(([a, b, c, d], rest)) = options.split_first_chunk::<4>() {
            let (number, length) = (self.order.u16([*a, *b]), usize::from(self.order.u16([*c, *d])));
            let Some(value) = rest.get(..length) else { break };
            match number {
                0 => break,
                9 => code = value.first().copied().unwrap_or(code),
                14 => offset = value.first_chunk().map_or(offset, |bytes| self.order.i64(*bytes)),
                _ => {}
            }
            options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Resolution::new(code, offset)
    }

    fn enhanced<'a>(&self, body: &'a [u8]) -> Option<Described<'a>> {
        let (fixed, rest) = body.split_first_chunk::<16>()?;
        let [interface, high, low, captured] = self.order.words(fixed);
        let original = self.order.u32(*rest.first_chunk()?);
        let count = u64::from(high) << 32 | u64::from(low);
        Some(Described { interface: interface as usize, count, captured, original, start: 20, body })
    }

    /// The block that enhanced packets replaced: 16 bits of interface, 16 bits of drops, then the same.
    fn packet<'a>(&self, body: &'a [u8]) -> Option<Described<'a>> {
        let described = self.enhanced(body)?;
        let [a, b] = *body.first_chunk()?;
        Some(Described { interface: self.order.u16([a, b]).into(), ..described })
    }

    #[inline]
    fn place(&mut self, described: &Described<'_>) -> Option<Packet> {
        let interface = self.interfaces.get(described.interface)?;
        let room = described.body.len().checked_sub(described.start)?;
        if described.captured > LONGEST_PACKET || described.captured as usize > room {
            return None;
        }
        self.latest = interface.resolution.timestamp(described.count);
        Some(Packet {
            timestamp: self.latest,
            offset: (BODY + described.start) as u32,
            captured: described.captured,
            original: described.original.max(described.captured),
            link: interface.link,
            nanosecond: interface.resolution.is_finer_than_microsecond(),
        })
    }

    /// No interface (it is the first), no time, and no captured length: the snapshot length gives it.
    fn simple(&self, body: &[u8]) -> Option<Packet> {
        let (original, data) = body.split_first_chunk()?;
        let original = self.order.u32(*original);
        let interface = self.interfaces.first()?;
        let snaplen = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let captured = original.min(snaplen);
        (captured <= LONGEST_PACKET && captured as usize <= data.len()).then_some(Packet {
            timestamp: self.latest,
            offset: BODY as u32 + 4,
            captured,
            original,
            link: interface.link,
            nanosecond: interface.resolution.is_finer_than_microsecond(),
        })
    }
}

impl Format for Pcapng {
    #[inline]
    fn record(&mut self, bytes: &[u8]) -> Record {
        let Some(&[a, b, c, d, e, f, g, h, i, j, k, l]) = bytes.first_chunk() else {
            return Record::Partial { need: SMALLEST as usize };
        };
        if u32::from_be_bytes([a, b, c, d]) == SECTION {
            // The type reads the same in both orders; the order stands behind the length.
            let orders = [Order::Little, Order::Big];
            match orders.into_iter().find(|order| order.u32([i, j, k, l]) == BYTE_ORDER) {
                Some(order) => self.order = order,
                None => return Record::Bad,
            }
        }
        let (kind, stated) = (self.order.u32([a, b, c, d]), self.order.u32([e, f, g, h]));
        let is_classic = || bytes.first_chunk().is_some_and(Classic::begins_again);
        if stated < SMALLEST || kind >> 24 != 0 && is_classic() {
            return Record::Bad;
        }
        // Lengths are multiples of four; writers that state one less still pad.
        let length = u64::from(stated).next_multiple_of(4);
        if length > LONGEST_BLOCK {
            let known = matches!(kind, SECTION | INTERFACE | PACKET | SIMPLE_PACKET | ENHANCED_PACKET);
            return if known { Record::Bad } else { Record::Other { length } };
        }
        let need = length as usize;
        let Some((body, trailer)) = bytes.get(BODY..need).and_then(<[u8]>::split_last_chunk) else {
            return Record::Partial { need };
        };
        if self.order.u32(*trailer) != stated {
            return Record::Bad;
        }
        match self.block(kind, body) {
            Some(Some(packet)) => Record::Packet { packet, length: need },
            Some(None) => Record::Other { length },
            None => Record::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{block, bytes16, bytes32, enhanced, interface, section};
    use super::*;

    const BOTH: [Order; 2] = [Order::Little, Order::Big];

    /// The packets of a whole file with their bytes; `None` last where it turned bad.
    fn packets(file: &[u8]) -> Vec<Option<(Packet, Vec<u8>)>> {
        let (mut format, mut at, mut found) = (Pcapng::new(), 0, Vec::new());
        while at < file.len() {
            match format.record(&file[at..]) {
                Record::Packet { packet, length } => {
                    let start = at + packet.offset as usize;
                    found.push(Some((packet, file[start..start + packet.captured as usize].to_vec())));
                    at += length;
                }
                Record::Other { length } => at += length as usize,
                Record::Partial { .. } => break,
                Record::Bad => {
                    found.push(None);
                    break;
                }
            }
        }
        found
    }

    /// The only packet of a file that goes on without an error.
    fn only(file: &[u8]) -> (Packet, Vec<u8>) {
        let [Some(packet)] = &packets(file)[..] else { panic!("not one packet") };
        packet.clone()
    }

    #[test]
    fn reads_a_file_written_by_hand() {
        #[rustfmt::skip]
        let file = [
            0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 28, 0, 0, 0,
            1, 0, 0, 0, 32, 0, 0, 0, 113, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0,
            6, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 70, 0, 0, 0,
            b'a', b'b', b'c', 0, 36, 0, 0, 0,
        ];
        let (packet, bytes) = only(&file);
        assert_eq!(bytes, b"abc");
        assert_eq!(packet.timestamp, Timestamp((1 << 32) + 2));
        assert_eq!((packet.captured, packet.original), (3, 70));
        assert_eq!(packet.link, LinkType::LINUX_SLL);
        assert!(packet.nanosecond);
    }

    #[test]
    fn each_interface_has_its_own_link_and_clock() {
        for order in BOTH {
            let offset = if order == Order::Little { 10_i64.to_le_bytes() } else { 10_i64.to_be_bytes() };
            let file = [
                section(order),
                interface(order, 1, 0, &[]),
                interface(order, 101, 0, &[(2, b"eth1"), (9, &[9]), (14, &offset)]),
                enhanced(order, 1, &(5, b"x".to_vec())),
                enhanced(order, 0, &(5, b"yy".to_vec())),
            ]
            .concat();
            let found = packets(&file);
            let (first, second) = (found[0].as_ref().unwrap(), found[1].as_ref().unwrap());
            assert_eq!((first.0.timestamp.0, first.0.link), (10_000_000_005, LinkType::RAW));
            assert_eq!((second.0.timestamp.0, second.0.link), (5_000, LinkType::ETHERNET));
            assert_eq!((first.0.nanosecond, second.0.nanosecond), (true, false));
            assert_eq!((&first.1[..], &second.1[..]), (&b"x"[..], &b"yy"[..]));
        }
    }

    #[test]
    fn a_new_section_forgets_interfaces_and_may_turn_the_byte_order() {
        let mut file = Vec::new();
        for order in [Order::Little, Order::Big] {
            file.extend(section(order));
            file.extend(interface(order, if order == Order::Big { 113 } else { 1 }, 0, &[]));
            file.extend(enhanced(order, 0, &(1, b"abcd".to_vec())));
        }
        let links: Vec<_> = packets(&file).iter().map(|packet| packet.as_ref().unwrap().0.link).collect();
        assert_eq!(links, [LinkType::ETHERNET, LinkType::LINUX_SLL]);
        file.extend(section(Order::Little));
        file.extend(enhanced(Order::Little, 0, &(1, b"abcd".to_vec())));
        assert_eq!(packets(&file)[2], None);
    }

    #[test]
    fn simple_packets_take_the_snapshot_length_and_the_last_time() {
        for order in BOTH {
            let simple = block(order, 3, &[&bytes32(order, 90)[..], b"abcde"].concat());
            let start = [section(order), interface(order, 1, 5, &[])].concat();
            let (packet, bytes) = only(&[&start[..], &simple].concat());
            assert_eq!((packet.timestamp.0, packet.captured, packet.original), (0, 5, 90));
            assert_eq!(bytes, b"abcde");
            let file = [start, enhanced(order, 0, &(7, b"x".to_vec())), simple].concat();
            assert_eq!(packets(&file)[1].as_ref().unwrap().0.timestamp.0, 7_000);
        }
    }

    #[test]
    fn obsolete_packets_have_a_short_interface_number() {
        for order in BOTH {
            let mut body = [bytes16(order, 1), bytes16(order, 9)].concat();
            body.extend([0, 6, 3, 50].map(|word| bytes32(order, word)).concat());
            body.extend(b"abc");
            let interfaces = [interface(order, 1, 0, &[]), interface(order, 113, 0, &[])].concat();
            let (packet, bytes) = only(&[section(order), interfaces, block(order, 2, &body)].concat());
            assert_eq!((packet.timestamp.0, packet.original), (6_000, 50));
            assert_eq!((packet.link, &bytes[..]), (LinkType::LINUX_SLL, &b"abc"[..]));
        }
    }

    #[test]
    fn unknown_blocks_are_skipped_however_long() {
        let order = Order::Little;
        let start = [section(order), interface(order, 1, 0, &[]), block(order, 4, &[0; 40])].concat();
        let packet = enhanced(order, 0, &(1, b"x".to_vec()));
        assert_eq!(packets(&[start.clone(), packet].concat()).len(), 1);
        let long = [bytes32(order, 10), bytes32(order, u32::MAX - 3), [0; 4]].concat();
        assert_eq!(Pcapng::new().record(&long), Record::Other { length: u64::from(u32::MAX) - 3 });
    }

    #[test]
    fn contradictions_are_bad() {
        let order = Order::Little;
        let good = enhanced(order, 0, &(1, b"abcd".to_vec()));
        let changed = |at: usize, byte: u8| {
            let mut bad = good.clone();
            bad[at] = byte;
            bad
        };
        let start = [section(order), interface(order, 1, 0, &[])].concat();
        let long = [bytes32(order, 6), bytes32(order, 1 << 21), [0; 4]].concat();
        for (what, bad) in [
            ("length below the smallest", changed(4, 8)),
            ("the second length is another", changed(good.len() - 4, 40)),
            ("captured length beyond the block", changed(20, 5)),
            ("an interface that is not described", changed(8, 1)),
            ("a packet block longer than any", long),
            ("no byte order", block(order, SECTION, &[0; 16])),
            ("a body too short", block(order, 6, &[0; 16])),
        ] {
            assert_eq!(packets(&[&start[..], &bad].concat()), [None], "{what}");
        }
    }

    #[test]
    fn options_that_are_cut_do_not_spoil_the_interface() {
        let order = Order::Big;
        let body =
            [&[0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 9, 0, 0, 0][..], &[0, 14, 0, 8, 1, 2, 3, 4]].concat();
        let file = [section(order), block(order, 1, &body), enhanced(order, 0, &(5, b"x".to_vec()))].concat();
        assert_eq!(only(&file).0.timestamp.0, 5);
    }

    #[test]
    fn interfaces_are_bounded() {
        let order = Order::Little;
        let mut format = Pcapng::new();
        let one = interface(order, 1, 0, &[]);
        for _ in 0..MOST_INTERFACES {
            assert!(matches!(format.record(&one), Record::Other { .. }));
        }
        assert_eq!(format.record(&one), Record::Bad);
    }
}
