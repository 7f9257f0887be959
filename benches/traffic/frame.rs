//! Builds frames from the inside out: a transport segment, the IP packet (or fragment) around it, the link header.
//! Every checksum is right.

use std::net::IpAddr;

use super::profile::{Link, Wire};
use super::rng::mix;

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
}

impl Endpoint {
    /// The same host at another port.
    pub(crate) fn at(self, port: u16) -> Self {
        Self { port, ..self }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(formatter, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(formatter, "[{ip}]:{}", self.port),
        }
    }
}

/// The header fields of a TCP segment that vary.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    /// For the timestamp option, in milliseconds.
    pub(crate) clock: u32,
}

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

const TCP: u8 = 6;
const UDP: u8 = 17;
const FRAGMENT_HEADER: u8 = 44;

/// Which part of a datagram a fragment holds.
#[derive(Clone, Copy)]
pub(crate) struct Fragment {
    /// In bytes, a multiple of 8.
    pub(crate) offset: usize,
    pub(crate) length: usize,
    pub(crate) more: bool,
}

/// Builds one frame at a time.
pub(crate) struct Framer {
    link: Link,
    vlans: u8,
    mtu: usize,
    identification: u32,
    protocol: u8,
    ends: [IpAddr; 2],
    transport: Vec<u8>,
    frame: Vec<u8>,
}

impl Framer {
    pub(crate) fn new(wire: &Wire) -> Self {
        let unspecified = IpAddr::from([0, 0, 0, 0]);
        Self {
            link: wire.link,
            vlans: wire.vlans,
            mtu: wire.mtu,
            identification: 0,
            protocol: UDP,
            ends: [unspecified; 2],
            transport: Vec::new(),
            frame: Vec::new(),
        }
    }

    /// The frame built last.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Begins a UDP datagram.
    pub(crate) fn datagram(&mut self, from: Endpoint, to: Endpoint, payload: &[u8]) {
        self.begin(UDP, from, to);
        let length = (8 + payload.len()) as u16;
        self.transport.extend_from_slice(&length.to_be_bytes());
        self.transport.extend_from_slice(&[0, 0]);
        self.transport.extend_from_slice(payload);
        let checksum = match self.checksum() {
            // RFC 768: zero means "none", so a sum of zero is sent as its other form.
            0 => 0xffff,
            sum => sum,
        };
        self.transport[6..8].copy_from_slice(&checksum.to_be_bytes());
    }

    /// Builds the frame of a TCP segment.
    pub(crate) fn segment(&mut self, from: Endpoint, to: Endpoint, segment: &Segment, payload: &[u8]) {
        self.begin(TCP, from, to);
        self.transport.extend_from_slice(&segment.seq.to_be_bytes());
        self.transport.extend_from_slice(&segment.ack.to_be_bytes());
        let options = tcp_options(segment);
        let words = (20 + options.len()) as u8 / 4;
        self.transport.extend_from_slice(&[words << 4, segment.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        self.transport.extend_from_slice(&options);
        self.transport.extend_from_slice(payload);
        let checksum = self.checksum();
        self.transport[16..18].copy_from_slice(&checksum.to_be_bytes());
        self.whole();
    }

    /// Builds the frame of the transport segment in one piece.
    pub(crate) fn whole(&mut self) {
        self.identification = self.identification.wrapping_add(1);
        self.ip(None);
    }

    /// Begins the fragments of a datagram: they share the identification.
    pub(crate) fn begin_fragments(&mut self) {
        self.identification = self.identification.wrapping_add(1);
    }

    /// Builds the frame of one fragment.
    pub(crate) fn fragment(&mut self, fragment: Fragment) {
        self.ip(Some(fragment));
    }

    /// Length of the transport segment.
    pub(crate) fn length(&self) -> usize {
        self.transport.len()
    }

    /// The most bytes of a segment that fit in a packet: all of it, or a fragment's share.
    pub(crate) fn room(&self, fragment: bool) -> usize {
        let header = match (self.ends[0], fragment) {
            (IpAddr::V4(_), _) => 20,
            (IpAddr::V6(_), false) => 40,
            (IpAddr::V6(_), true) => 48,
        };
        let room = self.mtu - header;
        if fragment { room & !7 } else { room }
    }

    /// Builds an ARP request.
    pub(crate) fn arp(&mut self, from: IpAddr, to: IpAddr) {
        self.ends = [from, to];
        self.link_header(0x0806);
        self.frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        self.frame.extend_from_slice(&hardware(from));
        push_address(&mut self.frame, from);
        self.frame.extend_from_slice(&[0; 6]);
        push_address(&mut self.frame, to);
    }

    fn begin(&mut self, protocol: u8, from: Endpoint, to: Endpoint) {
        self.protocol = protocol;
        self.ends = [from.ip, to.ip];
        self.transport.clear();
        self.transport.extend_from_slice(&from.port.to_be_bytes());
        self.transport.extend_from_slice(&to.port.to_be_bytes());
    }

    /// The checksum of the transport segment with its pseudo header (RFC 768, RFC 9293 3.1, RFC 8200 8.1).
    fn checksum(&self) -> u16 {
        let mut pseudo = [0; 40];
        let addresses = match self.ends {
            [IpAddr::V4(from), IpAddr::V4(to)] => {
                pseudo[..4].copy_from_slice(&from.octets());
                pseudo[4..8].copy_from_slice(&to.octets());
                8
            }
            [IpAddr::V6(from), IpAddr::V6(to)] => {
                pseudo[..16].copy_from_slice(&from.octets());
                pseudo[16..32].copy_from_slice(&to.octets());
                32
            }
            _ => panic!("both ends of a packet speak the same IP version"),
        };
        pseudo[addresses..addresses + 4].copy_from_slice(&(self.transport.len() as u32).to_be_bytes());
        pseudo[addresses + 7] = self.protocol;
        !fold(add(&pseudo) + add(&self.transport))
    }

    fn ip(&mut self, fragment: Option<Fragment>) {
        match self.ends[0] {
            IpAddr::V4(_) => self.ipv4(fragment),
            IpAddr::V6(_) => self.ipv6(fragment),
        }
        let part = match fragment {
            Some(fragment) => fragment.offset..fragment.offset + fragment.length,
            None => 0..self.transport.len(),
        };
        self.frame.extend_from_slice(&self.transport[part]);
    }

    fn ipv4(&mut self, fragment: Option<Fragment>) {
        self.link_header(0x0800);
        let start = self.frame.len();
        let length = 20 + fragment.map_or(self.transport.len(), |fragment| fragment.length);
        let place = fragment.map_or(0, |part| (part.offset / 8) as u16 | u16::from(part.more) << 13);
        self.frame.extend_from_slice(&[0x45, 0]);
        self.frame.extend_from_slice(&(length as u16).to_be_bytes());
        self.frame.extend_from_slice(&(self.identification as u16).to_be_bytes());
        self.frame.extend_from_slice(&place.to_be_bytes());
        self.frame.extend_from_slice(&[64, self.protocol, 0, 0]);
        for end in self.ends {
            push_address(&mut self.frame, end);
        }
        let checksum = !fold(add(&self.frame[start..]));
        self.frame[start + 10..start + 12].copy_from_slice(&checksum.to_be_bytes());
    }

    fn ipv6(&mut self, fragment: Option<Fragment>) {
        self.link_header(0x86dd);
        let length = fragment.map_or(self.transport.len(), |fragment| 8 + fragment.length);
        let next = if fragment.is_some() { FRAGMENT_HEADER } else { self.protocol };
        self.frame.extend_from_slice(&[0x60, 0, 0, 0]);
        self.frame.extend_from_slice(&(length as u16).to_be_bytes());
        self.frame.extend_from_slice(&[next, 64]);
        for end in self.ends {
            push_address(&mut self.frame, end);
        }
        if let Some(part) = fragment {
            let place = part.offset as u16 | u16::from(part.more);
            self.frame.extend_from_slice(&[self.protocol, 0]);
            self.frame.extend_from_slice(&place.to_be_bytes());
            self.frame.extend_from_slice(&self.identification.to_be_bytes());
        }
    }

    fn link_header(&mut self, ethertype: u16) {
        self.frame.clear();
        let [from, to] = self.ends;
        match self.link {
            Link::Ethernet => {
                self.frame.extend_from_slice(&hardware(to));
                self.frame.extend_from_slice(&hardware(from));
                self.ethertype(ethertype);
            }
            Link::Sll => {
                self.frame.extend_from_slice(&[0, 0, 0, 1, 0, 6]);
                self.frame.extend_from_slice(&hardware(from));
                self.frame.extend_from_slice(&[0, 0]);
                self.ethertype(ethertype);
            }
            Link::Sll2 => {
                let first = if self.vlans > 0 { tag(self.vlans) } else { ethertype };
                self.frame.extend_from_slice(&first.to_be_bytes());
                self.frame.extend_from_slice(&[0, 0, 0, 0, 0, 2, 0, 1, 0, 6]);
                self.frame.extend_from_slice(&hardware(from));
                self.frame.extend_from_slice(&[0, 0]);
                self.tags(ethertype);
            }
            Link::Raw => {}
        }
    }

    fn ethertype(&mut self, ethertype: u16) {
        let first = if self.vlans > 0 { tag(self.vlans) } else { ethertype };
        self.frame.extend_from_slice(&first.to_be_bytes());
        self.tags(ethertype);
    }

    /// What follows the first tag's own EtherType: its VLAN number, the next EtherType, and so on.
    fn tags(&mut self, ethertype: u16) {
        for left in (0..self.vlans).rev() {
            let next = if left > 0 { tag(left) } else { ethertype };
            self.frame.extend_from_slice(&(100 + u16::from(left)).to_be_bytes());
            self.frame.extend_from_slice(&next.to_be_bytes());
        }
    }
}

/// The EtherType of a tag with `left` tags from it to the packet: the outer one of two is 802.1ad.
fn tag(left: u8) -> u16 {
    if left > 1 { 0x88a8 } else { 0x8100 }
}

/// A SYN announces its segment size, window scale and selective ACKs; everything else carries timestamps (RFC 7323).
fn tcp_options(segment: &Segment) -> [u8; 12] {
    if segment.flags & SYN != 0 {
        return [2, 4, 0x05, 0xb4, 4, 2, 1, 3, 3, 7, 1, 1];
    }
    let [a, b, c, d] = segment.clock.to_be_bytes();
    [1, 1, 8, 10, a, b, c, d, a, b, c, d]
}

/// A locally administered hardware address that stays with an IP address.
fn hardware(ip: IpAddr) -> [u8; 6] {
    let word = match ip {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits() as u64 ^ (ip.to_bits() >> 64) as u64,
    };
    let [a, b, c, d, e, ..] = mix(word).to_be_bytes();
    [2, a, b, c, d, e]
}

fn push_address(bytes: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => bytes.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => bytes.extend_from_slice(&ip.octets()),
    }
}

/// The sum of 16-bit words of RFC 1071, not folded yet.
fn add(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks_exact(2);
    let odd = pairs.remainder().first().map_or(0, |&last| u64::from(last) << 8);
    odd + pairs.map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u64>()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071 3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2.
    #[test]
    fn the_sum_is_that_of_rfc_1071() {
        assert_eq!(fold(add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
        assert_eq!(fold(add(&[0x00, 0x01, 0xf2])), 0xf201);
    }

    #[test]
    fn two_tags_nest_as_802_1ad_says() {
        let mut framer = Framer::new(&Wire { vlans: 2, ..Wire::default() });
        framer.arp(IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(framer.frame()[12..22], [0x88, 0xa8, 0, 101, 0x81, 0x00, 0, 100, 0x08, 0x06]);
    }
}
