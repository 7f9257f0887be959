//! ICMP errors and the packet that they quote (RFC 792, RFC 4443, lengths of RFC 4884).
//!
//! A quoted packet is a header stack cut short by design, and rare: etherparse's lax slices read it.

use etherparse::{Ipv6ExtensionSlice, LaxIpSlice, ip_number};

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Decoded, Layer, Transport, Unreachable, tcp, udp};
use crate::flow::{Address, Endpoint};

/// Bytes before the quoted packet.
const LENGTH: usize = 8;

pub(super) fn icmp4(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<LENGTH>(Layer::Icmp)?;
    // Unreachable, source quench, redirect, time exceeded, parameter problem.
    let error = matches!(header[0], 3 | 4 | 5 | 11 | 12);
    let why = match (header[0], header[1]) {
        (3, 0 | 6 | 11) => Some(Unreachable::Network),
        (3, 1 | 2 | 5 | 7 | 8 | 12) => Some(Unreachable::Host),
        (3, 3) => Some(Unreachable::Port),
        (3, 9 | 10 | 13) => Some(Unreachable::Prohibited),
        // Among them 4: it is sent again, in fragments.
        _ => None,
    };
    report(cursor, error, why, usize::from(header[5]) * 4).map(Next::Done)
}

pub(super) fn icmp6(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<LENGTH>(Layer::Icmp)?;
    // Unreachable, too big, time exceeded, parameter problem. Only 1 and 3 have a length: byte 4 of the others
    // belongs to the MTU or the pointer.
    let length = if matches!(header[0], 1 | 3) { usize::from(header[4]) * 8 } else { 0 };
    let why = match (header[0], header[1]) {
        (1, 0) => Some(Unreachable::Network),
        (1, 2 | 3) => Some(Unreachable::Host),
        (1, 4) => Some(Unreachable::Port),
        (1, 1 | 5 | 6) => Some(Unreachable::Prohibited),
        _ => None,
    };
    report(cursor, matches!(header[0], 1..=4), why, length).map(Next::Done)
}

/// A unit whose payload is the payload quoted, or nothing. `length` is that of the quoted packet as padded
/// before extensions, 0 when there are none; below 128 it is not one (RFC 4884 4). A quote is cut short by
/// whoever sends it, so nothing of it counts as missing.
fn report(
    cursor: &mut Cursor<'_>,
    error: bool,
    why: Option<Unreachable>,
    length: usize,
) -> Result<Decoded, DecodeError> {
    if error && length >= 128 && length < cursor.remaining() {
        cursor.end_at(cursor.at() + length);
    }
    let quote = error.then(|| quoted(cursor.rest())).flatten().unwrap_or_default();
    cursor.skip(quote.offset, Layer::Icmp)?;
    cursor.end_at(cursor.at() + quote.length);
    match quote.datagram.zip(why) {
        Some(((source, destination), why)) => {
            (cursor.source, cursor.destination) = (source.address, destination.address);
            Ok(cursor.unit(Transport::Icmp { unreachable: Some(why) }, source.port, destination.port))
        }
        None => Ok(cursor.unit(Transport::Icmp { unreachable: None }, 0, 0)),
    }
}

/// What follows the UDP or TCP header of a quoted packet.
#[derive(Default)]
struct Quote {
    offset: usize,
    length: usize,
    /// Sender and receiver of a UDP datagram.
    datagram: Option<(Endpoint, Endpoint)>,
}

fn quoted(quote: &[u8]) -> Option<Quote> {
    let (packet, fault) = LaxIpSlice::from_slice(quote).ok()?;
    if fault.is_some() || !begins_datagram(&packet) {
        return None;
    }
    let carried = packet.payload();
    let mut datagram = None;
    let payload = match carried.ip_number {
        ip_number::UDP => {
            let (header, payload) = carried.payload.split_first_chunk::<{ udp::LENGTH }>()?;
            let length = usize::from(be16(header[4], header[5])).checked_sub(udp::LENGTH)?;
            let (source, destination) = addresses(&packet);
            let ports = (be16(header[0], header[1]), be16(header[2], header[3]));
            datagram = Some((Endpoint::new(source, ports.0), Endpoint::new(destination, ports.1)));
            payload.get(..length).unwrap_or(payload)
        }
        ip_number::TCP => carried.payload.get(tcp::length(carried.payload.first_chunk()?)..)?,
        _ => return None,
    };
    // The payload is a part of the quote: the distance of their addresses is its offset.
    let offset = payload.as_ptr().addr().checked_sub(quote.as_ptr().addr())?;
    Some(Quote { offset, length: payload.len(), datagram })
}

fn addresses(packet: &LaxIpSlice<'_>) -> (Address, Address) {
    match packet {
        LaxIpSlice::Ipv4(v4) => (Address::v4(v4.header().source()), Address::v4(v4.header().destination())),
        LaxIpSlice::Ipv6(v6) => (Address::v6(v6.header().source()), Address::v6(v6.header().destination())),
    }
}

/// Only the first fragment of a datagram has a transport header.
fn begins_datagram(packet: &LaxIpSlice<'_>) -> bool {
    match packet {
        LaxIpSlice::Ipv4(v4) => v4.header().fragments_offset().value() == 0,
        LaxIpSlice::Ipv6(v6) => v6.extensions().clone().into_iter().all(|extension| match extension {
            Ipv6ExtensionSlice::Fragment(fragment) => fragment.fragment_offset().value() == 0,
            _ => true,
        }),
    }
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{PAYLOAD, packet4, packet6, payload, udp, unit, v4, v6};
    use crate::decode::{Transport, Unreachable};

    /// An ICMP message of this type before `quote`.
    fn message(kind: u8, quote: &[u8]) -> Vec<u8> {
        [&[kind, 0, 0, 0, 0, 0, 0, 0][..], quote].concat()
    }

    fn quoted(packet: &[u8]) -> &[u8] {
        let found = unit(LinkType::RAW, packet);
        assert!(matches!(found.transport, Transport::Icmp { .. }) && found.missing == 0, "{found:?}");
        payload(&found, packet)
    }

    #[test]
    fn errors_quote_what_they_answer() {
        for kind in [3, 4, 5, 11, 12] {
            assert_eq!(quoted(&v4(1, &message(kind, &packet4()))), PAYLOAD);
        }
        for kind in 1..=4 {
            assert_eq!(quoted(&v6(58, &message(kind, &packet6()))), PAYLOAD);
        }
        let extended = v6(60, &[&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp(5060, 5070, PAYLOAD)].concat());
        assert_eq!(quoted(&v6(58, &message(1, &extended))), PAYLOAD);
        let segment = [&[0; 12][..], &[0x50], &[0; 7], b"BYE"].concat();
        assert_eq!(quoted(&v4(1, &message(3, &v4(6, &segment)))), b"BYE");
    }

    #[test]
    fn quotes_are_short_by_design() {
        let packet = packet4();
        assert_eq!(quoted(&v4(1, &message(3, &packet[..31]))), &PAYLOAD[..3]);
        for end in 0..28 {
            assert_eq!(quoted(&v4(1, &message(3, &packet[..end]))), b"");
        }
    }

    #[test]
    fn what_quotes_nothing_is_empty() {
        assert_eq!(quoted(&v4(1, &message(8, &packet4()))), b"", "an echo request");
        assert_eq!(quoted(&v6(58, &message(135, &packet6()))), b"", "a neighbour solicitation");
        assert_eq!(quoted(&v4(1, &message(3, &v4(47, &[0; 30])))), b"", "neither UDP nor TCP");
        let mut later = packet4();
        later[7] = 9;
        assert_eq!(quoted(&v4(1, &message(3, &later))), b"", "a later fragment");
    }

    /// Types and codes of RFC 792, RFC 1812 5.2.7.1 and RFC 4443 3.1; the ends are those of what was not delivered.
    #[test]
    fn what_is_unreachable_is_told_with_the_ends_of_the_datagram() {
        let found = |packet: &[u8]| {
            let found = unit(LinkType::RAW, packet);
            let Transport::Icmp { unreachable } = found.transport else { panic!("{found:?}") };
            unreachable.map(|why| (why, found.source.to_string(), found.destination.to_string()))
        };
        let error = |kind: u8, code: u8, quote: &[u8]| {
            let mut error = message(kind, quote);
            error[1] = code;
            error
        };
        let datagram = unit(LinkType::RAW, &packet4());
        let ends = |why| Some((why, datagram.source.to_string(), datagram.destination.to_string()));
        let v4_codes = [
            (0, Unreachable::Network),
            (1, Unreachable::Host),
            (3, Unreachable::Port),
            (9, Unreachable::Prohibited),
            (13, Unreachable::Prohibited),
        ];
        for (code, why) in v4_codes {
            assert_eq!(found(&v4(1, &error(3, code, &packet4()))), ends(why), "{code}");
            // The least that is quoted: the header and 8 bytes.
            assert_eq!(found(&v4(1, &error(3, code, &packet4()[..28]))), ends(why), "{code}");
        }
        assert_eq!(found(&v4(1, &error(3, 4, &packet4()))), None, "fragmentation needed");
        assert_eq!(found(&v4(1, &error(11, 0, &packet4()))), None, "time exceeded");
        assert_eq!(found(&v4(1, &error(3, 3, &packet4()[..27]))), None, "no whole UDP header");
        assert_eq!(found(&v4(1, &error(3, 3, &v4(6, &[0x50; 20])))), None, "TCP");
        let datagram = unit(LinkType::RAW, &packet6());
        let ends = |why| Some((why, datagram.source.to_string(), datagram.destination.to_string()));
        for (code, why) in [
            (0, Unreachable::Network),
            (1, Unreachable::Prohibited),
            (3, Unreachable::Host),
            (4, Unreachable::Port),
        ] {
            assert_eq!(found(&v6(58, &error(1, code, &packet6()))), ends(why), "{code}");
        }
        assert_eq!(found(&v6(58, &error(2, 0, &packet6()))), None, "too big");
    }

    #[test]
    fn extensions_are_not_part_of_the_quote() {
        // RFC 4884 4.1: byte 5 is the length of the padded quote in words of four, here 128 bytes.
        let mut quote = v4(17, &udp(5060, 5070, &[b'x'; 1000]));
        quote.truncate(128);
        let mut error = message(11, &[quote, vec![0x20, 0, 0, 0, 0, 8, 1, 1, 0, 0, 0, 0]].concat());
        error[5] = 32;
        assert_eq!(quoted(&v4(1, &error)), [b'x'; 100]);
    }
}
