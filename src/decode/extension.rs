//! IPv6 extension headers (RFC 8200 4) and the authentication header, which IPv4 knows too (RFC 4302).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Decoded, Fragment, Layer};

/// A header of the layout that RFC 6564 makes the rule: next header, length beyond eight bytes in eights.
pub(super) fn skip(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let [next, eights] = *cursor.take(Layer::Ipv6)?;
    cursor.skip(usize::from(eights) * 8 + 6, Layer::Ipv6)?;
    Ok(Next::protocol(next))
}

/// Next header, length in fours less two (RFC 4302 2.2).
pub(super) fn authentication(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let layer = if cursor.source.is_v4() { Layer::Ipv4 } else { Layer::Ipv6 };
    let [next, fours] = *cursor.take(layer)?;
    cursor.skip(usize::from(fours) * 4 + 6, layer)?;
    Ok(Next::protocol(next))
}

/// The fragment header (RFC 8200 4.5). A fragment that is its whole datagram is none (RFC 6946): it must not
/// meet others in the table, or anybody could spoil it by guessing its identification.
pub(super) fn fragment(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<8>(Layer::Ipv6)?;
    let place = be16(header[2], header[3]);
    if place & 0xfff9 == 0 {
        return Ok(Next::protocol(header[0]));
    }
    Ok(Next::Done(Decoded::Fragment(Fragment {
        source: cursor.source,
        destination: cursor.destination,
        identification: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        protocol: header[0],
        offset: u32::from(place & 0xfff8),
        more: place & 1 != 0,
        start: cursor.at() as u32,
        length: cursor.rest().len() as u32,
        missing: cursor.missing() as u32,
        network: cursor.network as u32,
        depth: cursor.depth,
        tunnelled: cursor.tunnelled,
    })))
}
