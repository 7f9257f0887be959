//! The plain packet: Ethernet with at most two VLAN tags, or a Linux cooked header, then IPv4 without options,
//! then UDP or TCP, none of it cut short. Nearly every packet is one, and reads in one straight line here; the
//! layers' own files say the same in general, and a test holds the two together.

use super::cursor::be16;
use super::{TcpFlags, TcpHeader, Transport, Unit, tcp, udp};
use crate::capture::{LinkType, Packet};
use crate::flow::{Address, Endpoint, PairHasher};

/// Bytes of an IPv4 header without options.
const IPV4: usize = 20;

/// Bytes of a fixed IPv6 header.
const IPV6: usize = 40;

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// IP protocol numbers.
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// Bytes of [`Front`]: to the flags of TCP, and to the first bytes of what UDP carries.
const FRONT: usize = 48;

/// The front of a packet of the commonest kind: Ethernet without tags, IPv4 without options and in one piece, cut short
/// nowhere. All that most packets are asked for lies in it, and is there without a further look at any length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Front<'a> {
    bytes: &'a [u8; FRONT],
}

impl<'a> Front<'a> {
    /// `None` for a packet of any other kind, plain or not.
    #[inline(always)]
    pub(crate) fn of(packet: &Packet, arena: &'a [u8]) -> Option<Self> {
        let start = packet.offset as usize;
        let bytes: &[u8; FRONT] = arena.get(start..start + FRONT)?.first_chunk()?;
        let front = Self { bytes };
        // EtherType, version and words of header; neither more fragments nor an offset. One branch for all of it.
        let kind = u32::from_be_bytes(*bytes.get(12..)?.first_chunk()?) ^ 0x0800_4500;
        let pieces = u32::from_be_bytes(*bytes.get(20..)?.first_chunk()?);
        // Set when fewer bytes were captured: less than nothing are left then.
        let missing = packet.captured.wrapping_sub(FRONT as u32) >> 31;
        let odd = kind >> 8 | pieces << 2 >> 18 | u32::from(packet.link.0 ^ LinkType::ETHERNET.0) | missing;
        (odd == 0).then_some(front)
    }

    /// See [`Plain::protocol`].
    #[inline(always)]
    pub(crate) const fn protocol(self) -> u8 {
        self.bytes[23]
    }

    /// See [`Plain::ends`].
    #[inline(always)]
    pub(crate) const fn ends(self) -> Ends<'a> {
        match self.bytes.split_at(ETHERNET + 12).1.first_chunk() {
            Some(ends) => Ends(ends),
            None => Ends(&[0; ENDS]),
        }
    }

    /// Offset in the frame of what TCP carries, and its length; of the packet that it is the front of.
    #[inline(always)]
    pub(crate) fn segment(self, packet: &Packet) -> Option<(u32, u32)> {
        let total = u32::from(be16(self.bytes[16], self.bytes[17]));
        let headers = (IPV4 as u32) + u32::from(self.bytes[46] >> 4) * 4;
        if total + ETHERNET as u32 > packet.captured
            || headers < (IPV4 + tcp::LEAST) as u32
            || total < headers
        {
            return None;
        }
        Some((ETHERNET as u32 + headers, total - headers))
    }

    /// The flags of TCP.
    #[inline(always)]
    pub(crate) const fn flags(self) -> TcpFlags {
        TcpFlags(self.bytes[47])
    }

    /// All fields of TCP.
    #[inline]
    pub(crate) const fn fields(self) -> TcpHeader {
        let [.., a, b, c, d, e, f, g, h, _, flags] = *self.bytes;
        TcpHeader {
            sequence: u32::from_be_bytes([a, b, c, d]),
            acknowledgement: u32::from_be_bytes([e, f, g, h]),
            flags: TcpFlags(flags),
        }
    }

    /// Length and first bytes of what UDP carries, at [`Front::DATAGRAM`]; of the packet that it is the front of.
    #[inline(always)]
    pub(crate) fn datagram(self, packet: &Packet) -> Option<(u32, [u8; 3])> {
        let total = u32::from(be16(self.bytes[16], self.bytes[17]));
        let length = u32::from(be16(self.bytes[38], self.bytes[39]));
        if total + ETHERNET as u32 > packet.captured
            || length + IPV4 as u32 > total
            || length < udp::LENGTH as u32 + 3
        {
            return None;
        }
        Some((length - udp::LENGTH as u32, [self.bytes[42], self.bytes[43], self.bytes[44]]))
    }

    /// Offset of the IPv4 header in the frame.
    pub(crate) const NETWORK: u32 = ETHERNET as u32;

    /// Offset in the frame of what UDP carries.
    pub(crate) const DATAGRAM: u32 = (ETHERNET + IPV4 + udp::LENGTH) as u32;

    /// Whether what UDP carries may be a tunnel, or carried in one, if it begins with that byte.
    #[inline(always)]
    pub(crate) fn may_wrap(self, first: u8) -> bool {
        udp::may_wrap(be16(self.bytes[36], self.bytes[37]), &[first])
    }
}

/// A packet that is plain as far as its IPv4 header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<'a> {
    /// Offset of the IPv4 header in the frame.
    network: usize,
    /// From there to the end of what was captured.
    packet: &'a [u8],
    header: &'a [u8; IPV4 + udp::LENGTH],
}

/// Bytes of [`Ends`].
const ENDS: usize = 12;

/// The sender and the receiver of a plain packet, as they lie in it: the two addresses, then the two ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<'a>(&'a [u8; ENDS]);

impl<'a> Ends<'a> {
    /// Those of the plain datagram whose payload begins at that offset in `bytes`: only length and checksum of UDP
    /// lie between.
    #[inline]
    pub(crate) fn before(bytes: &'a [u8], payload: u32) -> Option<Self> {
        let start = (payload as usize).checked_sub(ENDS + 4)?;
        bytes.get(start..)?.first_chunk().map(Self)
    }

    /// The sender, where the protocol has ports as UDP and TCP have them.
    #[inline]
    pub(crate) const fn source(self) -> Endpoint {
        let [a, b, c, d, .., high, low, _, _] = *self.0;
        Endpoint::new(Address::v4([a, b, c, d]), be16(high, low))
    }

    /// The receiver.
    #[inline]
    pub(crate) const fn destination(self) -> Endpoint {
        let [_, _, _, _, a, b, c, d, _, _, high, low] = *self.0;
        Endpoint::new(Address::v4([a, b, c, d]), be16(high, low))
    }

    /// The hash that `hasher` has for both.
    #[inline]
    pub(crate) const fn hash(self, hasher: &PairHasher) -> u64 {
        self.hash_as(UDP, hasher)
    }

    /// The hash that `hasher` has for both, whoever is the sender.
    #[inline]
    pub(crate) const fn hash_either_way(self, hasher: &PairHasher) -> u64 {
        self.hash_as(TCP, hasher)
    }

    /// The hash that is asked for of that protocol: of both, whoever is the sender, but of datagrams from one to the other.
    #[inline(always)]
    pub(crate) const fn hash_as(self, protocol: u8, hasher: &PairHasher) -> u64 {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *self.0;
        let source = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([i, j]));
        let destination = (u32::from_le_bytes([e, f, g, h]), u16::from_le_bytes([k, l]));
        hasher.hash_v4(source, destination, protocol == UDP)
    }

    /// The hashes that `hasher` has for the sender alone, and for the receiver.
    #[inline]
    pub(crate) const fn hash_each(self, hasher: &PairHasher) -> (u64, u64) {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *self.0;
        let source = hasher.hash_one_v4(u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([i, j]));
        let destination = hasher.hash_one_v4(u32::from_le_bytes([e, f, g, h]), u16::from_le_bytes([k, l]));
        (source, destination)
    }

    /// The ports of the sender and the receiver.
    #[inline]
    pub(crate) const fn ports(self) -> (u16, u16) {
        let [.., a, b, c, d] = *self.0;
        (be16(a, b), be16(c, d))
    }
}

/// The payload of a plain packet's transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    /// Its offset in the frame.
    pub(crate) start: u32,
    /// As far as it was captured.
    pub(crate) bytes: &'a [u8],
    /// Bytes that were not.
    pub(crate) missing: u32,
}

/// A plain packet's TCP header. Most are asked for their flags alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a>(&'a [u8; tcp::LEAST]);

impl Header<'_> {
    #[inline]
    pub(crate) const fn flags(self) -> TcpFlags {
        TcpFlags(self.0[13])
    }

    #[inline]
    pub(crate) const fn fields(self) -> TcpHeader {
        tcp::fields(self.0)
    }
}

impl<'a> Plain<'a> {
    /// `None` for any other packet, valid or not.
    #[inline]
    pub(crate) fn new(link: LinkType, frame: &'a [u8]) -> Option<Self> {
        let (network, packet) = network(link, frame)?;
        let header: &[u8; _] = packet.first_chunk()?;
        // Version 4, five words of header; neither more fragments nor an offset.
        let is_plain = header[0] == 0x45 && be16(header[6], header[7]) & 0x3fff == 0;
        is_plain.then_some(Self { network, packet, header })
    }

    /// Number of the protocol that IPv4 carries.
    #[inline]
    pub(crate) const fn protocol(&self) -> u8 {
        self.header[9]
    }

    /// Who talks to whom.
    #[inline]
    pub(crate) const fn ends(&self) -> Ends<'a> {
        let [_, _, _, _, _, _, _, _, _, _, _, _, ends @ .., _, _, _, _] = self.header;
        Ends(ends)
    }

    /// The payload of UDP; `None` when its length is wrong.
    #[inline]
    pub(crate) fn datagram(&self) -> Option<Part<'a>> {
        let header = self.header;
        let end = IPV4 + usize::from(be16(header[24], header[25]));
        self.part(IPV4 + udp::LENGTH, end)
    }

    /// Whether the payload of UDP may be a tunnel.
    #[inline]
    pub(crate) fn may_wrap(&self, part: &Part<'_>) -> bool {
        udp::may_wrap(be16(self.header[22], self.header[23]), part.bytes)
    }

    /// The header of TCP and its payload; `None` when a length is wrong.
    #[inline]
    pub(crate) fn segment(&self) -> Option<(Header<'a>, Part<'a>)> {
        let header = self.packet.get(IPV4..)?.first_chunk()?;
        let length = tcp::length(header);
        let part = self.part(IPV4 + length, self.total())?;
        (length >= tcp::LEAST).then_some((Header(header), part))
    }

    /// Offset of the IPv4 header in the frame.
    #[inline]
    pub(crate) const fn network(&self) -> u32 {
        self.network as u32
    }

    /// The packet's unit of that transport.
    #[inline]
    const fn unit(&self, transport: Transport, part: &Part<'_>) -> Unit {
        Unit {
            source: self.ends().source(),
            destination: self.ends().destination(),
            transport,
            start: part.start,
            length: part.bytes.len() as u32,
            missing: part.missing,
            network: self.network(),
            tunnelled: false,
        }
    }

    #[inline]
    fn total(&self) -> usize {
        usize::from(be16(self.header[2], self.header[3]))
    }

    /// What lies between two offsets from the IPv4 header.
    #[inline]
    fn part(&self, start: usize, end: usize) -> Option<Part<'a>> {
        let there = end.min(self.packet.len());
        if end > self.total() {
            return None;
        }
        let bytes = self.packet.get(start..there)?;
        Some(Part { start: (self.network + start) as u32, bytes, missing: (end - there) as u32 })
    }
}

/// The unit of a plain packet, or of a datagram behind an Ethernet header and a fixed IPv6 header (RFC 8200 3) and
/// nothing else; `None` for any other, valid or not.
#[inline]
pub(super) fn plain(link: LinkType, frame: &[u8]) -> Option<Unit> {
    let Some(plain) = Plain::new(link, frame) else { return datagram_of_ipv6(link, frame) };
    match plain.protocol() {
        UDP => {
            let part = plain.datagram().filter(|part| !plain.may_wrap(part));
            part.map(|part| plain.unit(Transport::Udp, &part))
        }
        TCP => plain.segment().map(|(header, part)| plain.unit(Transport::Tcp(header.fields()), &part)),
        _ => None,
    }
}

#[inline]
fn datagram_of_ipv6(link: LinkType, frame: &[u8]) -> Option<Unit> {
    let (ethernet, packet) = frame.split_first_chunk::<ETHERNET>()?;
    if link != LinkType::ETHERNET || be16(ethernet[12], ethernet[13]) != 0x86dd {
        return None;
    }
    let header: &[u8; IPV6 + udp::LENGTH] = packet.first_chunk()?;
    let total = IPV6 + usize::from(be16(header[4], header[5]));
    let end = IPV6 + usize::from(be16(header[44], header[45]));
    if header[0] >> 4 != 6 || header[6] != UDP || end > total {
        return None;
    }
    let there = end.min(packet.len());
    let payload = packet.get(header.len()..there)?;
    let address = |at: usize| header.get(at..)?.first_chunk().copied().map(Address::v6);
    let (source, destination) = (be16(header[40], header[41]), be16(header[42], header[43]));
    let wraps = udp::may_wrap(destination, payload);
    (!wraps).then_some(Unit {
        source: Endpoint::new(address(8)?, source),
        destination: Endpoint::new(address(24)?, destination),
        transport: Transport::Udp,
        start: (ETHERNET + header.len()) as u32,
        length: payload.len() as u32,
        missing: (end - there) as u32,
        network: ETHERNET as u32,
        tunnelled: false,
    })
}

/// Where the IPv4 header begins, and everything from there on.
#[inline]
fn network(link: LinkType, frame: &[u8]) -> Option<(usize, &[u8])> {
    if link == LinkType::ETHERNET
        && let Some((header, packet)) = frame.split_first_chunk::<ETHERNET>()
        && be16(header[12], header[13]) == 0x0800
    {
        return Some((ETHERNET, packet));
    }
    let network = behind_more(link, frame)?;
    Some((network, frame.get(network..)?))
}

/// Offset of the IPv4 header where more than an Ethernet header is in front of it, or something else.
fn behind_more(link: LinkType, frame: &[u8]) -> Option<usize> {
    match link {
        LinkType::ETHERNET => {
            let header = frame.first_chunk::<22>()?;
            match [be16(header[12], header[13]), be16(header[16], header[17]), be16(header[20], header[21])] {
                [0x8100 | 0x88a8 | 0x9100, 0x0800, _] => Some(18),
                [0x8100 | 0x88a8 | 0x9100, 0x8100 | 0x88a8 | 0x9100, 0x0800] => Some(22),
                _ => None,
            }
        }
        LinkType::LINUX_SLL => matches!(frame.first_chunk::<16>()?, [.., 0x08, 0x00]).then_some(16),
        LinkType::LINUX_SLL2 => matches!(frame.first_chunk::<2>()?, [0x08, 0x00]).then_some(20),
        // AF_INET, in either byte order.
        LinkType::NULL | LinkType::LOOP => {
            matches!(frame.first_chunk::<4>()?, [2, 0, 0, 0] | [0, 0, 0, 2]).then_some(4)
        }
        LinkType::RAW | LinkType::IPV4 => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::{ethernet, packet4};
    use crate::decode::{Decoded, decode_any};

    #[test]
    fn a_plain_packet_is_where_the_general_decoder_finds_it() {
        let headers: [(LinkType, &[u8]); 9] = [
            (LinkType::ETHERNET, &ethernet(0x0800, &[])),
            (LinkType::ETHERNET, &ethernet(0x8100, &[0, 5, 8, 0])),
            (LinkType::LINUX_SLL, &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0]),
            (LinkType::LINUX_SLL2, &[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0]),
            (LinkType::NULL, &[2, 0, 0, 0]),
            (LinkType::NULL, &[0, 0, 0, 2]),
            (LinkType::LOOP, &[0, 0, 0, 2]),
            (LinkType::RAW, &[]),
            (LinkType::IPV4, &[]),
        ];
        for (link, header) in headers {
            let frame = [header, &packet4()].concat();
            let plain = Plain::new(link, &frame).unwrap();
            let unit = plain.unit(Transport::Udp, &plain.datagram().unwrap());
            assert_eq!(decode_any(link, &frame), Ok(Decoded::Unit(unit)), "{link:?}");
            assert_eq!(unit.network as usize, header.len());
            // IPv6, or anything else, is not plain.
            for other in [&[0x60; 60][..], &[0x46; 60], &[0x45; 19], &[]] {
                assert!(Plain::new(link, &[header, other].concat()).is_none());
            }
        }
        assert!(Plain::new(LinkType::NULL, &[&[30, 0, 0, 0][..], &packet4()].concat()).is_none());
    }

    #[test]
    fn ends_have_one_hash_wherever_they_are_read() {
        let frame = ethernet(0x0800, &packet4());
        let plain = Plain::new(LinkType::ETHERNET, &frame).unwrap();
        let part = plain.datagram().unwrap();
        let hasher = PairHasher::default();
        let unit = plain.unit(Transport::Udp, &part);
        assert_eq!(plain.ends().hash(&hasher), hasher.hash(unit.source, unit.destination));
        assert_ne!(plain.ends().hash(&hasher), hasher.hash(unit.destination, unit.source));
        let both = hasher.hash_either_way(unit.source, unit.destination);
        assert_eq!(plain.ends().hash_either_way(&hasher), both);
        let each = (hasher.hash_one(unit.source), hasher.hash_one(unit.destination));
        assert_eq!(plain.ends().hash_each(&hasher), each);
        assert_eq!(plain.ends().ports(), (unit.source.port, unit.destination.port));
        let before = Ends::before(&frame, part.start).unwrap();
        assert_eq!((before.source(), before.destination()), (unit.source, unit.destination));
        assert!(Ends::before(&frame, 15).is_none() && Ends::before(&frame, u32::MAX).is_none());
    }
}
