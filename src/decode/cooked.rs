//! Link headers that are not the network's own: Linux cooked captures, the BSD loopback, raw IP.

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Fault, Layer};

/// `SLL`: packet type, ARPHRD, address length, address, protocol (tcpdump.org, LINKTYPE_LINUX_SLL).
pub(super) fn sll(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<16>(Layer::Link)?;
    Ok(protocol(be16(header[14], header[15])))
}

/// `SLL2`: protocol first, then interface, ARPHRD, packet type, address (LINKTYPE_LINUX_SLL2).
pub(super) fn sll2(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<20>(Layer::Link)?;
    Ok(protocol(be16(header[0], header[1])))
}

/// `NULL` and `LOOP`: an address family in four bytes, in the order of the host that wrote it (NULL) or of the
/// network (LOOP). Families are small, so that the order shows in the number itself.
pub(super) fn loopback(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let family = u32::from_be_bytes(*cursor.take::<4>(Layer::Link)?);
    Ok(match if family > 0xffff { family.swap_bytes() } else { family } {
        2 => Next::Ipv4,
        // AF_INET6 of Linux, of NetBSD and OpenBSD, of FreeBSD, of Darwin.
        10 | 24 | 28 | 30 => Next::Ipv6,
        _ => Next::Foreign,
    })
}

/// A frame that begins with its IP header.
pub(super) fn raw(cursor: &Cursor<'_>) -> Result<Next, DecodeError> {
    let fault = if cursor.rest().is_empty() { Fault::Truncated } else { Fault::BadVersion };
    Next::version(cursor).ok_or(DecodeError { layer: Layer::Link, fault })
}

/// An EtherType, or one of Linux's own numbers below 0x0600 of which 4 says 802.2 LLC.
const fn protocol(number: u16) -> Next {
    if number == 4 { Next::Llc } else { Next::ether_type(number) }
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{error, finds, packet4, packet6};
    use crate::decode::{Decoded, decode};

    #[test]
    fn cooked_captures() {
        let mut sll = vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00];
        sll.extend(packet4());
        finds(LinkType::LINUX_SLL, &sll, false);
        let mut tagged = vec![0, 4, 3, 4, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x81, 0x00, 0, 7, 0x86, 0xdd];
        tagged.extend(packet6());
        finds(LinkType::LINUX_SLL, &tagged, false);
        let mut sll2 = vec![0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0];
        sll2.extend(packet6());
        finds(LinkType::LINUX_SLL2, &sll2, false);
        sll[14..16].copy_from_slice(&[0, 4]);
        assert_eq!(decode(LinkType::LINUX_SLL, &sll), Ok(Decoded::NonIp));
        assert_eq!(error(LinkType::LINUX_SLL, &[0; 15]), "link.truncated");
        assert_eq!(error(LinkType::LINUX_SLL2, &[0; 19]), "link.truncated");
    }

    #[test]
    fn loopback_in_both_byte_orders() {
        for link in [LinkType::NULL, LinkType::LOOP] {
            for (family, packet) in
                [(2, packet4()), (10, packet6()), (24, packet6()), (28, packet6()), (30, packet6())]
            {
                finds(link, &[&[0, 0, 0, family][..], &packet].concat(), false);
                finds(link, &[&[family, 0, 0, 0][..], &packet].concat(), false);
            }
            assert_eq!(decode(link, &[7, 0, 0, 0, 0x45]), Ok(Decoded::NonIp));
        }
    }

    #[test]
    fn raw_ip() {
        for link in [LinkType::RAW, LinkType(12), LinkType(14)] {
            finds(link, &packet4(), false);
            finds(link, &packet6(), false);
        }
        finds(LinkType::IPV4, &packet4(), false);
        finds(LinkType::IPV6, &packet6(), false);
        assert_eq!(error(LinkType::IPV4, &packet6()), "ipv4.bad_version");
        assert_eq!(error(LinkType::IPV6, &packet4()), "ipv6.truncated");
        assert_eq!(error(LinkType::IPV6, &[packet4(), vec![0; 9]].concat()), "ipv6.bad_version");
        assert_eq!(error(LinkType::RAW, &[0x55; 40]), "link.bad_version");
        assert_eq!(error(LinkType::RAW, &[]), "link.truncated");
    }
}
