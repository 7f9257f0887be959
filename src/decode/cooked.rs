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
