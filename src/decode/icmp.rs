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
