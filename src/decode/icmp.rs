//! ICMP errors and the packet that they quote (RFC 792, RFC 4443, lengths of RFC 4884).
//!
//! A quoted packet is a header stack cut short by design, and rare: etherparse's lax slices read it.

use etherparse::{Ipv6ExtensionSlice, LaxIpSlice, ip_number};

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Decoded, Layer, Transport, tcp, udp};

/// Bytes before the quoted packet.
const LENGTH: usize = 8;

pub(super) fn icmp4(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<LENGTH>(Layer::Icmp)?;
    // Unreachable, source quench, redirect, time exceeded, parameter problem.
    let error = matches!(header[0], 3 | 4 | 5 | 11 | 12);
    report(cursor, error, usize::from(header[5]) * 4).map(Next::Done)
}

pub(super) fn icmp6(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<LENGTH>(Layer::Icmp)?;
    // Unreachable, too big, time exceeded, parameter problem. Only 1 and 3 have a length: byte 4 of the others
    // belongs to the MTU or the pointer.
    let length = if matches!(header[0], 1 | 3) { usize::from(header[4]) * 8 } else { 0 };
    report(cursor, matches!(header[0], 1..=4), length).map(Next::Done)
}

/// A unit whose payload is the payload quoted, or nothing. `length` is that of the quoted packet as padded
/// before extensions, 0 when there are none; below 128 it is not one (RFC 4884 4). A quote is cut short by
/// whoever sends it, so nothing of it counts as missing.
fn report(cursor: &mut Cursor<'_>, error: bool, length: usize) -> Result<Decoded, DecodeError> {
    if error && length >= 128 && length < cursor.remaining() {
        cursor.end_at(cursor.at() + length);
    }
    let (offset, length) = error.then(|| quoted_payload(cursor.rest())).flatten().unwrap_or_default();
    cursor.skip(offset, Layer::Icmp)?;
    cursor.end_at(cursor.at() + length);
    Ok(cursor.unit(Transport::Icmp, 0, 0))
}

/// Offset and length of what follows the UDP or TCP header of a quoted packet.
fn quoted_payload(quote: &[u8]) -> Option<(usize, usize)> {
    let (packet, fault) = LaxIpSlice::from_slice(quote).ok()?;
    if fault.is_some() || !begins_datagram(&packet) {
        return None;
    }
    let carried = packet.payload();
    let payload = match carried.ip_number {
        ip_number::UDP => {
            let (header, payload) = carried.payload.split_first_chunk::<{ udp::LENGTH }>()?;
            let length = usize::from(be16(header[4], header[5])).checked_sub(udp::LENGTH)?;
            payload.get(..length).unwrap_or(payload)
        }
        ip_number::TCP => carried.payload.get(tcp::length(carried.payload.first_chunk()?)..)?,
        _ => return None,
    };
    // The payload is a part of the quote: the distance of their addresses is its offset.
    let offset = payload.as_ptr().addr().checked_sub(quote.as_ptr().addr())?;
    Some((offset, payload.len()))
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
    use crate::decode::Transport;
    use crate::decode::tests::{PAYLOAD, packet4, packet6, payload, udp, unit, v4, v6};

    /// An ICMP message of this type before `quote`.
    fn message(kind: u8, quote: &[u8]) -> Vec<u8> {
        [&[kind, 0, 0, 0, 0, 0, 0, 0][..], quote].concat()
    }

    fn quoted(packet: &[u8]) -> &[u8] {
        let found = unit(LinkType::RAW, packet);
        assert_eq!((found.transport, found.source.port, found.missing), (Transport::Icmp, 0, 0));
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
