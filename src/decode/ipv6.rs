//! The fixed IPv6 header (RFC 8200 3).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Fault, Layer};
use crate::flow::Address;

/// Bytes of the fixed header.
const LENGTH: usize = 40;

pub(super) fn ipv6(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let network = cursor.enter_network();
    let header = cursor.take::<LENGTH>(Layer::Ipv6)?;
    if header[0] >> 4 != 6 {
        return Err(DecodeError { layer: Layer::Ipv6, fault: Fault::BadVersion });
    }
    let payload = usize::from(be16(header[4], header[5]));
    // 0 is a jumbogram (RFC 2675 3) or a packet on its way to a card that segments it: what is there counts.
    if payload == 0 {
        cursor.end_with_bytes();
    } else {
        cursor.end_at(network + LENGTH + payload);
    }
    cursor.source = address(header, 8);
    cursor.destination = address(header, 24);
    Ok(Next::protocol(header[6]))
}

#[inline]
fn address(header: &[u8; LENGTH], at: usize) -> Address {
    let bytes = header.get(at..).and_then(|rest| rest.first_chunk()).copied();
    Address::v6(bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{error, finds, packet4, packet6, unit, v6};

    #[test]
    fn tunnels_and_padding() {
        finds(LinkType::RAW, &[&packet6()[..], &[0; 9]].concat(), false);
        finds(LinkType::RAW, &v6(4, &packet4()), true);
        finds(LinkType::RAW, &v6(41, &packet6()), true);
    }

    #[test]
    fn a_payload_length_of_zero_means_what_is_there() {
        let mut packet = packet6();
        packet[4..6].fill(0);
        finds(LinkType::RAW, &packet, false);
        // RFC 2675 4: in a jumbogram the UDP length is zero too.
        packet[44..46].fill(0);
        finds(LinkType::RAW, &packet, false);
    }

    #[test]
    fn cuts_and_lies() {
        let packet = packet6();
        assert_eq!(unit(LinkType::RAW, &packet[..50]).missing, 5);
        assert_eq!(error(LinkType::RAW, &packet[..47]), "udp.truncated");
        assert_eq!(error(LinkType::RAW, &packet[..39]), "ipv6.truncated");
        assert_eq!(error(LinkType::RAW, &v6(17, &[0; 7])), "udp.bad_length");
    }
}
