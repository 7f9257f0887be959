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

/// Whether bytes look like a frame with IP in it, behind one tag or none.
pub(super) fn carries_ip(frame: &[u8]) -> bool {
    match *frame.get(12..).unwrap_or_default() {
        [0x81, 0, _, _, 8, 0, first, ..] | [8, 0, first, ..] => first >> 4 == 4,
        [0x81, 0, _, _, 0x86, 0xdd, first, ..] | [0x86, 0xdd, first, ..] => first >> 4 == 6,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{error, ethernet, finds, packet4, packet6, unit};
    use crate::decode::{Decoded, decode};

    fn after(prefix: &[u8], packet: Vec<u8>) -> Vec<u8> {
        [prefix, &packet].concat()
    }

    #[test]
    fn ethernet_carries_both_families_without_its_padding() {
        for (kind, packet) in [(0x0800, packet4()), (0x86dd, packet6())] {
            let mut frame = ethernet(kind, &packet);
            finds(LinkType::ETHERNET, &frame, false);
            frame.extend([0; 11]);
            finds(LinkType::ETHERNET, &frame, false);
        }
    }

    #[test]
    fn any_vlan_tag_in_any_number() {
        // IEEE 802.1Q 9.6: two bytes of priority and VLAN, then the next type.
        for kind in [0x8100, 0x88a8, 0x9100] {
            finds(LinkType::ETHERNET, &ethernet(kind, &after(&[0x20, 5, 8, 0], packet4())), false);
            let three = [0, 5, 0x81, 0, 0, 6, 0x91, 0, 0, 7, 0x86, 0xdd];
            finds(LinkType::ETHERNET, &ethernet(kind, &after(&three, packet6())), false);
        }
        assert_eq!(error(LinkType::ETHERNET, &ethernet(0x8100, &[0, 5, 8])), "vlan.truncated");
    }

    #[test]
    fn snap_carries_ip_and_other_llc_does_not() {
        // RFC 1042: DSAP and SSAP aa, unnumbered information 03, OUI, EtherType; the length of 802.3 before.
        let snap = after(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], packet4());
        let length = u16::try_from(snap.len()).unwrap();
        finds(LinkType::ETHERNET, &ethernet(length, &snap), false);
        finds(LinkType::ETHERNET, &ethernet(0x8100, &[&[0, 1, 0, 43][..], &snap].concat()), false);
        for other in [&[0x42, 0x42, 3, 0, 0, 0, 0, 0][..], &[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0], &[]] {
            assert_eq!(decode(LinkType::ETHERNET, &ethernet(38, other)), Ok(Decoded::NonIp));
        }
    }

    #[test]
    fn other_types_are_not_ip() {
        for kind in [0x0806, 0x88cc, 0x8863, 0x05dd] {
            assert_eq!(decode(LinkType::ETHERNET, &ethernet(kind, &packet4())), Ok(Decoded::NonIp));
        }
        assert_eq!(error(LinkType::ETHERNET, &[0; 13]), "link.truncated");
    }

    #[test]
    fn the_network_offset_is_that_of_the_ip_header() {
        assert_eq!(unit(LinkType::ETHERNET, &ethernet(0x0800, &packet4())).network, 14);
    }
}
