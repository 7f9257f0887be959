//! The plain packet: Ethernet with at most two VLAN tags, or a Linux cooked header, then IPv4 without options,
//! then UDP or TCP, none of it cut short. Nearly every packet is one, and reads in one straight line here; the
//! layers' own files say the same in general, and a test holds the two together.

use super::cursor::be16;
use super::{TcpHeader, Transport, Unit, tcp, udp};
use crate::capture::LinkType;
use crate::flow::{Address, Endpoint};

/// Bytes of an IPv4 header without options.
const IPV4: usize = 20;

/// The unit of a plain packet; `None` for any other, valid or not.
#[inline]
pub(crate) fn plain(link: LinkType, frame: &[u8]) -> Option<Unit> {
    let network = network(link, frame)?;
    let packet = frame.get(network..)?;
    let header = packet.first_chunk::<{ IPV4 + udp::LENGTH }>()?;
    // Version 4, five words of header; neither more fragments nor an offset.
    if header[0] != 0x45 || (header[6] & 0x3f) | header[7] != 0 {
        return None;
    }
    let total = usize::from(be16(header[2], header[3]));
    let (start, end, transport) = match header[9] {
        17 => {
            let end = IPV4 + usize::from(be16(header[24], header[25]));
            (IPV4 + udp::LENGTH, end, Transport::Udp)
        }
        6 => {
            let (start, fields) = tcp_header(packet)?;
            (start, total, Transport::Tcp(fields))
        }
        _ => return None,
    };
    let there = end.min(packet.len());
    if end > total || start > there {
        return None;
    }
    let destination_port = be16(header[22], header[23]);
    if header[9] == 17 && udp::may_wrap(destination_port, packet.get(start..there)?) {
        return None;
    }
    let source = Address::v4([header[12], header[13], header[14], header[15]]);
    let destination = Address::v4([header[16], header[17], header[18], header[19]]);
    Some(Unit {
        source: Endpoint::new(source, be16(header[20], header[21])),
        destination: Endpoint::new(destination, destination_port),
        transport,
        start: (network + start) as u32,
        length: (there - start) as u32,
        missing: (end - there) as u32,
        network: network as u32,
        tunnelled: false,
    })
}

/// Offset of the IPv4 header.
#[inline]
fn network(link: LinkType, frame: &[u8]) -> Option<usize> {
    match link {
        LinkType::ETHERNET => {
            let header = frame.first_chunk::<22>()?;
            match be16(header[12], header[13]) {
                0x0800 => Some(14),
                0x8100 | 0x88a8 | 0x9100 => match be16(header[16], header[17]) {
                    0x0800 => Some(18),
                    0x8100 | 0x88a8 | 0x9100 if be16(header[20], header[21]) == 0x0800 => Some(22),
                    _ => None,
                },
                _ => None,
            }
        }
        LinkType::LINUX_SLL => matches!(frame.first_chunk::<16>()?, [.., 0x08, 0x00]).then_some(16),
        _ => None,
    }
}

/// Offset of the TCP payload from the IPv4 header, and the fields of the TCP header.
#[inline]
fn tcp_header(packet: &[u8]) -> Option<(usize, TcpHeader)> {
    let header = packet.get(IPV4..)?.first_chunk()?;
    let length = tcp::length(header);
    (length >= tcp::LEAST).then(|| (IPV4 + length, tcp::fields(header)))
}
