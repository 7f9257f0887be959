//! GRE: version 0 (RFC 2784, RFC 2890, routing of RFC 1701) and version 1, PPTP's (RFC 2637 4.1).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Fault, Layer};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// Version 1 only.
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;

/// IP protocol number of GRE, for what it carries and nobody here reads.
const PROTOCOL: u8 = 47;

pub(super) fn gre(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<4>(Layer::Gre)?;
    let flags = be16(header[0], header[1]);
    let carried = be16(header[2], header[3]);
    match flags & VERSION {
        0 => version_zero(cursor, flags, carried),
        1 => version_one(cursor, flags, carried),
        _ => Err(DecodeError { layer: Layer::Gre, fault: Fault::BadVersion }),
    }
}

fn version_zero(cursor: &mut Cursor<'_>, flags: u16, carried: u16) -> Result<Next, DecodeError> {
    // Checksum and routing offset come together, should either be there (RFC 1701).
    if flags & (CHECKSUM | ROUTING) != 0 {
        cursor.skip(4, Layer::Gre)?;
    }
    for field in [KEY, SEQUENCE] {
        if flags & field != 0 {
            cursor.skip(4, Layer::Gre)?;
        }
    }
    if flags & ROUTING != 0 {
        source_routes(cursor)?;
    }
    Ok(match carried {
        // ERSPAN I has no header of its own; II is told from it by the sequence number.
        0x88be if flags & SEQUENCE == 0 => Next::Ethernet,
        0x88be => Next::Erspan2,
        0x22eb => Next::Erspan3,
        _ => carried_or_other(carried),
    })
}

/// Source route entries: family, offset, length, then `length` bytes; an entry of zeros ends them. Each is at
/// least four bytes long, so that the frame bounds the loop.
fn source_routes(cursor: &mut Cursor<'_>) -> Result<(), DecodeError> {
    loop {
        let entry = cursor.take::<4>(Layer::Gre)?;
        if be16(entry[0], entry[1]) == 0 && entry[3] == 0 {
            return Ok(());
        }
        cursor.skip(usize::from(entry[3]), Layer::Gre)?;
    }
}

/// Key (payload length and call), then sequence and acknowledgement if they are there. Without a sequence
/// number it is a bare acknowledgement and carries nothing.
fn version_one(cursor: &mut Cursor<'_>, flags: u16, carried: u16) -> Result<Next, DecodeError> {
    cursor.skip(4, Layer::Gre)?;
    for field in [SEQUENCE, ACKNOWLEDGEMENT] {
        if flags & field != 0 {
            cursor.skip(4, Layer::Gre)?;
        }
    }
    Ok(if flags & SEQUENCE == 0 { Next::Other(PROTOCOL) } else { carried_or_other(carried) })
}

const fn carried_or_other(carried: u16) -> Next {
    match Next::ether_type(carried) {
        Next::Foreign => Next::Other(PROTOCOL),
        next => next,
    }
}
