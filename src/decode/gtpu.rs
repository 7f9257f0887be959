//! GTP-U version 1: the user's packets of a mobile network (3GPP TS 29.281 5.1 and 5.2).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Fault, Layer};

/// Message type of a packet; all others are the protocol's own signalling.
const G_PDU: u8 = 255;
/// Any of extension header, sequence number, N-PDU number: four more bytes, of which each bit validates its own.
const OPTIONAL: u8 = 0x07;
const EXTENSION: u8 = 0x04;

/// Whether a UDP payload of `length` bytes on the wire is a packet: version 1, protocol type GTP, and a length
/// field that agrees with UDP's.
pub(super) fn is_header(payload: &[u8], length: usize) -> bool {
    match payload.first_chunk::<8>() {
        Some([flags, G_PDU, high, low, ..]) => {
            flags & 0xf8 == 0x30 && usize::from(be16(*high, *low)) + 8 == length
        }
        _ => false,
    }
}

pub(super) fn gtpu(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let flags = cursor.take::<8>(Layer::Gtpu)?[0];
    if flags & OPTIONAL != 0 {
        let optional = cursor.take::<4>(Layer::Gtpu)?;
        if flags & EXTENSION != 0 {
            extensions(cursor, optional[3])?;
        }
    }
    // What is not IP is an Ethernet or unstructured session, which nothing in the packet tells apart.
    Ok(Next::version(cursor).unwrap_or(Next::Foreign))
}

/// Extension headers: length in fours, content, type of the next one; none is shorter than four bytes, so that
/// the frame bounds the loop.
fn extensions(cursor: &mut Cursor<'_>, mut next: u8) -> Result<(), DecodeError> {
    while next != 0 {
        let fours = usize::from(cursor.take::<1>(Layer::Gtpu)?[0]);
        let content =
            (fours * 4).checked_sub(2).ok_or(DecodeError { layer: Layer::Gtpu, fault: Fault::BadLength })?;
        cursor.skip(content, Layer::Gtpu)?;
        next = cursor.take::<1>(Layer::Gtpu)?[0];
    }
    Ok(())
}
