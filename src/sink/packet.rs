//! IP packets made from scratch: TCP, UDP and SCTP with true addresses, right lengths and right checksums.

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpNumber, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};

use crate::flow::Endpoint;
use crate::sink::pcap::put;

/// The most bytes of TCP payload in one packet: with headers of 20 and 20 bytes, an IPv4 packet of 65,535.
pub(super) const MAX_PAYLOAD: usize = 65_495;

/// The most bytes of an SCTP DATA chunk in one packet (headers of 20, 12 and 16 bytes), in whole words, so that
/// only a message's last chunk is padded.
pub(super) const MAX_CHUNK: usize = 65_484;

/// Hops that a made-up packet claims to have left.
const TTL: u8 = 64;

/// Who sends a packet to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
}

impl Route {
    /// IPv6; so is a pair of both families, IPv4 in its mapped form.
    pub(super) fn is_v6(self) -> bool {
        self.v4().is_none()
    }

    fn v4(self) -> Option<([u8; 4], [u8; 4])> {
        self.source.address.v4_bytes().zip(self.destination.address.v4_bytes())
    }

    /// Appends an IP header for `length` bytes of `protocol`.
    fn ip_header(self, out: &mut Vec<u8>, protocol: IpNumber, length: usize) {
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        let Some((source, destination)) = self.v4() else {
            let header = Ipv6Header {
                payload_length: length,
                next_header: protocol,
                hop_limit: TTL,
                source: self.source.address.bytes(),
                destination: self.destination.address.bytes(),
                ..Ipv6Header::default()
            };
            return out.extend_from_slice(&header.to_bytes());
        };
        if let Ok(mut header) = Ipv4Header::new(length, TTL, protocol, source, destination) {
            header.header_checksum = header.calc_header_checksum();
            out.extend_from_slice(&header.to_bytes());
        }
    }

    /// The checksum of TCP and UDP (RFC 9293 3.1, RFC 8200 8.1): pseudo header, then `segment`.
    fn checksum(self, protocol: IpNumber, segment: &[u8]) -> u16 {
        let length = (segment.len() as u32).to_be_bytes();
        let sum = Sum16BitWords::new().add_2bytes([0, protocol.0]).add_slice(&length);
        let sum = match self.v4() {
            Some((source, destination)) => sum.add_slice(&source).add_slice(&destination),
            None => sum.add_slice(&self.source.address.bytes()).add_slice(&self.destination.address.bytes()),
        };
        sum.add_slice(segment).ones_complement().to_be()
    }

    /// Fills in the checksum at `offset` of the segment that began at `start` of `out`.
    fn seal(self, out: &mut [u8], start: usize, offset: usize, protocol: IpNumber) {
        if let Some(segment) = out.get_mut(start..) {
            let sum = self.checksum(protocol, segment);
            // UDP's 0 means "none" (RFC 768); TCP has no such case.
            let sum = if sum == 0 && protocol == IpNumber::UDP { 0xffff } else { sum };
            put(segment, offset, sum.to_be_bytes());
        }
    }

    /// Appends a TCP packet with PSH and ACK set, as far as its payload is there.
    pub(super) fn tcp(self, out: &mut Vec<u8>, numbers: (u32, u32), payload: Payload<'_>) {
        let mut header = TcpHeader::new(self.source.port, self.destination.port, numbers.0, u16::MAX);
        header.acknowledgment_number = numbers.1;
        header.ack = true;
        header.psh = true;
        self.ip_header(out, IpNumber::TCP, header.header_len() + payload.length());
        let start = out.len();
        out.extend_from_slice(&header.to_bytes());
        payload.parts.iter().for_each(|part| out.extend_from_slice(part));
        self.seal(out, start, 16, IpNumber::TCP);
    }

    /// Appends a UDP packet; what exceeds a datagram is cut off.
    pub(super) fn udp(self, out: &mut Vec<u8>, payload: &[u8]) {
        let payload = payload.get(..MAX_PAYLOAD).unwrap_or(payload);
        let length = payload.len() + UdpHeader::LEN;
        let header = UdpHeader {
            source_port: self.source.port,
            destination_port: self.destination.port,
            length: length as u16,
            checksum: 0,
        };
        self.ip_header(out, IpNumber::UDP, length);
        let start = out.len();
        out.extend_from_slice(&header.to_bytes());
        out.extend_from_slice(payload);
        self.seal(out, start, 6, IpNumber::UDP);
    }

    /// What the receiver of an association's packets is known by: not 0, which would mean INIT (RFC 9260 8.5), and not the
    /// same for both, because readers know by it whose numbers the chunks have.
    fn verification_tag(self) -> u32 {
        if self.source <= self.destination { 1 } else { 2 }
    }

    /// Appends an SCTP packet (RFC 9260 3.1) with one DATA chunk (3.3.1) of at most [`MAX_CHUNK`] bytes.
    pub(super) fn sctp(self, out: &mut Vec<u8>, chunk: &DataChunk<'_>) {
        let padding = chunk.bytes.len().wrapping_neg() % 4;
        self.ip_header(out, IpNumber::SCTP, 28 + chunk.bytes.len() + padding);
        let start = out.len();
        let mut header = [0; 28];
        put(&mut header, 0, self.source.port.to_be_bytes());
        put(&mut header, 2, self.destination.port.to_be_bytes());
        put(&mut header, 4, self.verification_tag().to_be_bytes());
        put(&mut header, 13, [u8::from(chunk.first) << 1 | u8::from(chunk.last)]);
        put(&mut header, 14, (chunk.bytes.len() as u16 + 16).to_be_bytes());
        put(&mut header, 16, chunk.transmission.to_be_bytes());
        put(&mut header, 22, chunk.message.to_be_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(chunk.bytes);
        out.resize(out.len() + padding, 0);
        if let Some(packet) = out.get_mut(start..) {
            let sum = crc32c(packet);
            put(packet, 8, sum.to_le_bytes());
        }
    }
}

/// What a TCP packet carries: [`MAX_PAYLOAD`] bytes at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload<'a> {
    /// One behind the other.
    pub(super) parts: [&'a [u8]; 2],
    /// Bytes behind them that the packet had and that are not there.
    pub(super) missing: usize,
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { parts: [bytes, &[]], missing: 0 }
    }
}

impl Payload<'_> {
    /// Bytes that the packet had.
    pub(super) fn length(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum::<usize>() + self.missing
    }
}

/// A DATA chunk on stream 0 with payload protocol 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataChunk<'a> {
    /// Transmission sequence number.
    pub(super) transmission: u32,
    /// Stream sequence number: which message.
    pub(super) message: u16,
    /// The message begins here.
    pub(super) first: bool,
    /// The message ends here.
    pub(super) last: bool,
    pub(super) bytes: &'a [u8],
}

/// CRC32c (RFC 9260 appendix A), reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc32c_table();
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        let index = (crc as u8 ^ byte) as usize;
        crc >> 8 ^ TABLE.get(index).copied().unwrap_or_default()
    })
}

const fn crc32c_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    let mut rest: &mut [u32] = &mut table;
    while let Some((entry, later)) = rest.split_first_mut() {
        let mut value: u32 = index;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        *entry = value;
        rest = later;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Address;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    use proptest::prelude::*;

    #[test]
    fn crc32c_of_the_rfc() {
        // RFC 3720 B.4: 32 bytes of zeros, of ones, and 0..31.
        assert_eq!(crc32c(&[0; 32]).to_le_bytes(), [0xaa, 0x36, 0x91, 0x8a]);
        assert_eq!(crc32c(&[0xff; 32]).to_le_bytes(), [0x43, 0xab, 0xa8, 0x62]);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()).to_le_bytes(), [0x4e, 0x79, 0xdd, 0x46]);
    }

    fn route(v6: bool) -> Route {
        let address = |last| if v6 { Address::v6([last; 16]) } else { Address::v4([192, 0, 2, last]) };
        Route { source: Endpoint::new(address(1), 5060), destination: Endpoint::new(address(9), 49_152) }
    }

    proptest! {
        /// Against another implementation's parser and checksums.
        #[test]
        fn packets_parse_and_sum_up(v6: bool, payload in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            let (head, tail) = payload.split_at(cut.min(payload.len()));
            let mut out = Vec::new();
            route(v6).tcp(&mut out, (7, 8), Payload { parts: [head, tail], missing: 0 });
            let packet = SlicedPacket::from_ip(&out).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("not TCP") };
            prop_assert_eq!(tcp.payload(), &payload[..]);
            let expected = match packet.net.unwrap() {
                NetSlice::Ipv4(ip) => {
                    prop_assert_eq!(ip.header().header_checksum(), ip.header().to_header().calc_header_checksum());
                    tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()).unwrap()
                }
                NetSlice::Ipv6(ip) => tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()).unwrap(),
                _ => panic!("not IP"),
            };
            prop_assert_eq!(tcp.checksum(), expected);
        }
    }

    #[test]
    fn the_largest_packets_fit_into_ip() {
        for v6 in [false, true] {
            let ip = if v6 { 40 } else { 20 };
            let mut out = Vec::new();
            let payload = [1; MAX_PAYLOAD];
            route(v6).tcp(&mut out, (1, 1), Payload::from(payload.as_slice()));
            assert_eq!(out.len(), ip + 20 + MAX_PAYLOAD);
            assert!(SlicedPacket::from_ip(&out).is_ok());
            out.clear();
            let bytes = vec![2; MAX_CHUNK];
            let chunk = DataChunk { transmission: 1, message: 0, first: true, last: true, bytes: &bytes };
            route(v6).sctp(&mut out, &chunk);
            assert_eq!(out.len(), ip + 28 + MAX_CHUNK);
            assert!(SlicedPacket::from_ip(&out).is_ok());
        }
    }
}
