//! IPv4 with any options (RFC 791 3.1).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Decoded, Fault, Fragment, Layer};
use crate::flow::Address;

/// Bytes of a header without options.
const LEAST: usize = 20;

pub(super) fn ipv4(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let network = cursor.enter_network();
    let header = cursor.take::<LEAST>(Layer::Ipv4)?;
    if header[0] >> 4 != 4 {
        return Err(DecodeError { layer: Layer::Ipv4, fault: Fault::BadVersion });
    }
    let length = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(be16(header[2], header[3]));
    // A card that segments for the kernel shows the packet before it has a length: 0 then means what is there.
    if length < LEAST || (total != 0 && total < length) {
        return Err(DecodeError { layer: Layer::Ipv4, fault: Fault::BadLength });
    }
    if total == 0 {
        cursor.end_with_bytes();
    } else {
        cursor.end_at(network + total);
    }
    cursor.skip(length - LEAST, Layer::Ipv4)?;
    cursor.source = Address::v4([header[12], header[13], header[14], header[15]]);
    cursor.destination = Address::v4([header[16], header[17], header[18], header[19]]);
    let place = be16(header[6], header[7]);
    if place & 0x3fff == 0 {
        return Ok(Next::protocol(header[9]));
    }
    Ok(Next::Done(fragment(cursor, place, u32::from(be16(header[4], header[5])), header[9])))
}

/// A piece whose `place` holds the more bit and the offset in units of eight bytes.
fn fragment(cursor: &Cursor<'_>, place: u16, identification: u32, protocol: u8) -> Decoded {
    Decoded::Fragment(Fragment {
        source: cursor.source,
        destination: cursor.destination,
        identification,
        protocol,
        offset: u32::from(place & 0x1fff) * 8,
        more: place & 0x2000 != 0,
        start: cursor.at() as u32,
        length: cursor.rest().len() as u32,
        missing: cursor.missing() as u32,
        network: cursor.network as u32,
        depth: cursor.depth,
        tunnelled: cursor.tunnelled,
    })
}
