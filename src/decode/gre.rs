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

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::Transport;
    use crate::decode::tests::{error, ethernet, finds_in, packet4, packet6, unit, v4};

    fn carries(header: &[u8], inner: &[u8]) {
        finds_in(47, &[header, inner].concat());
    }

    #[test]
    fn version_zero_with_every_optional_field() {
        // RFC 2784 2, RFC 2890 2: checksum and reserved, key, sequence, four bytes each.
        carries(&[0, 0, 8, 0], &packet4());
        carries(&[0, 0, 0x86, 0xdd], &packet6());
        carries(&[0x80, 0, 8, 0, 1, 1, 0, 0], &packet4());
        carries(&[0xb0, 0, 8, 0, 1, 1, 0, 0, 2, 2, 2, 2, 3, 3, 3, 3], &packet4());
        // NVGRE (RFC 7637 3.2): key and transparent Ethernet.
        carries(&[0x20, 0, 0x65, 0x58, 0, 0, 1, 0], &ethernet(0x0800, &packet4()));
        carries(&[0, 0, 0x88, 0x47, 0, 0, 0x11, 64], &packet4());
        carries(&[0, 0, 0x88, 0x0b, 0xff, 3, 0, 0x21], &packet4());
    }

    #[test]
    fn source_routes_of_rfc_1701() {
        let routes = [0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 4, 10, 0, 0, 1, 0, 0, 0, 0];
        carries(&routes, &packet4());
        assert_eq!(error(LinkType::RAW, &v4(47, &routes[..14])), "gre.bad_length");
    }

    #[test]
    fn version_one_carries_ppp_when_it_has_a_sequence_number() {
        // RFC 2637 4.1: key always; S, then A.
        carries(&[0x30, 0x01, 0x88, 0x0b, 0, 32, 0, 1, 0, 0, 0, 5, 0x21], &packet4());
        carries(&[0x30, 0x81, 0x88, 0x0b, 0, 32, 0, 1, 0, 0, 0, 5, 0, 0, 0, 4, 0xff, 3, 0, 0x21], &packet4());
        let bare = v4(47, &[0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 4]);
        assert_eq!(unit(LinkType::RAW, &bare).transport, Transport::Other(47));
    }

    #[test]
    fn what_it_does_not_carry() {
        assert_eq!(unit(LinkType::RAW, &v4(47, &[0, 0, 0, 0])).transport, Transport::Other(47));
        assert_eq!(error(LinkType::RAW, &v4(47, &[0, 2, 8, 0])), "gre.bad_version");
        assert_eq!(error(LinkType::RAW, &v4(47, &[0x20, 0, 8, 0, 0])), "gre.bad_length");
    }
}
