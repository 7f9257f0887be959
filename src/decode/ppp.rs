//! PPP (RFC 1661), PPP in HDLC-like framing (RFC 1662), Cisco HDLC, PPPoE sessions (RFC 2516).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Fault, Layer};

/// PPP, with or without the address and control bytes ff 03 (RFC 1662 3.1).
pub(super) fn ppp(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    if let Some([0xff, 0x03]) = cursor.peek() {
        cursor.skip(2, Layer::Ppp)?;
    }
    // RFC 1661 6.5: an odd first byte is a whole protocol number whose zero byte was compressed away.
    let first = cursor.take::<1>(Layer::Ppp)?[0];
    let number =
        if first & 1 == 1 { u16::from(first) } else { be16(first, cursor.take::<1>(Layer::Ppp)?[0]) };
    Ok(match number {
        0x0021 => Next::Ipv4,
        0x0057 => Next::Ipv6,
        0x0281 | 0x0283 => Next::Mpls,
        _ => Next::Foreign,
    })
}

/// `PPP_HDLC`: PPP, or Cisco HDLC, whose address is 0f or 8f and whose protocol is an EtherType.
pub(super) fn hdlc(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    match cursor.peek() {
        Some([0x0f | 0x8f, _, high, low]) => {
            cursor.skip(4, Layer::Ppp)?;
            Ok(Next::ether_type(be16(*high, *low)))
        }
        _ => Ok(Next::Ppp),
    }
}

/// Version and type, code, session, length (RFC 2516 4). Its length is not needed: IP tells its own.
pub(super) fn pppoe(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<6>(Layer::Pppoe)?;
    match header {
        [0x11, 0, ..] => Ok(Next::Ppp),
        [0x11, ..] => Ok(Next::Foreign),
        _ => Err(DecodeError { layer: Layer::Pppoe, fault: Fault::BadVersion }),
    }
}
