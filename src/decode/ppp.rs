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

/// `PPP_HDLC` and `C_HDLC`: PPP, or Cisco HDLC, whose address is 0f or 8f and whose protocol is an EtherType.
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

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{error, ethernet, finds, packet4, packet6};
    use crate::decode::{Decoded, decode};

    #[test]
    fn ppp_with_and_without_what_may_be_compressed() {
        // RFC 1662 3.1: address ff, control 03; RFC 1661 6.5 and 6.6 allow to leave out both and a zero byte.
        for prefix in [&[0xff, 3, 0, 0x21][..], &[0, 0x21], &[0xff, 3, 0x21], &[0x21]] {
            for link in [LinkType::PPP, LinkType::PPP_HDLC] {
                finds(link, &[prefix, &packet4()].concat(), false);
            }
        }
        finds(LinkType::PPP, &[&[0xff, 3, 0, 0x57][..], &packet6()].concat(), false);
        finds(LinkType::PPP, &[&[0x02, 0x81, 0, 0, 0x11, 64][..], &packet4()].concat(), false);
        assert_eq!(decode(LinkType::PPP, &[0xff, 3, 0xc0, 0x21, 1]), Ok(Decoded::NonIp));
        assert_eq!(error(LinkType::PPP, &[0xff, 3, 0]), "ppp.truncated");
    }

    #[test]
    fn cisco_hdlc() {
        for address in [0x0f, 0x8f] {
            for link in [LinkType::PPP_HDLC, LinkType::C_HDLC] {
                finds(link, &[&[address, 0, 8, 0][..], &packet4()].concat(), false);
            }
        }
        assert_eq!(decode(LinkType::PPP_HDLC, &[0x8f, 0, 0x80, 0x35, 0]), Ok(Decoded::NonIp));
    }

    #[test]
    fn pppoe_sessions() {
        // RFC 2516 4: version 1, type 1, code 0, session 17, length; then the PPP protocol.
        let session = [&[0x11, 0, 0, 17, 0, 37, 0, 0x21][..], &packet4(), &[0; 5]].concat();
        finds(LinkType::ETHERNET, &ethernet(0x8864, &session), false);
        finds(LinkType::PPP_ETHER, &session, false);
        assert_eq!(decode(LinkType::PPP_ETHER, &[0x11, 0xa7, 0, 0, 0, 0]), Ok(Decoded::NonIp));
        assert_eq!(error(LinkType::PPP_ETHER, &[0x21, 0, 0, 0, 0, 0]), "pppoe.bad_version");
        assert_eq!(error(LinkType::PPP_ETHER, &[0x11, 0, 0]), "pppoe.truncated");
    }
}
