//! Ethernet II, IEEE 802.3 with LLC and SNAP, VLAN tags.

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Layer};

/// Lengths end and EtherTypes begin here (IEEE 802.3 3.2.6); between 1501 and 1535 a number is neither.
const FIRST_ETHER_TYPE: u16 = 0x0600;

pub(super) fn ethernet(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<14>(Layer::Link)?;
    Ok(type_or_length(be16(header[12], header[13])))
}

/// One tag: priority and VLAN, then the type of what follows (IEEE 802.1Q 9.6).
pub(super) fn vlan(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let tag = cursor.take::<4>(Layer::Vlan)?;
    Ok(type_or_length(be16(tag[2], tag[3])))
}

/// IEEE 802.2 LLC. Only SNAP (RFC 1042, or the bridge-tunnel OUI 00-00-f8) carries IP.
pub(super) fn llc(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    match cursor.peek::<8>() {
        Some([0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, high, low]) => {
            cursor.skip(8, Layer::Link)?;
            Ok(Next::ether_type(be16(*high, *low)))
        }
        _ => Ok(Next::Foreign),
    }
}

const fn type_or_length(number: u16) -> Next {
    if number < FIRST_ETHER_TYPE { Next::Llc } else { Next::ether_type(number) }
}
