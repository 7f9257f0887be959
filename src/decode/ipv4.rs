//! IPv4 with any options (RFC 791 3.1).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Decoded, Fault, Fragment, Layer};
use crate::flow::Address;

/// Bytes of a header without options.
const LEAST: usize = 20;

pub(super) fn ipv4(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let network = cursor.enter_network();
    let header = cursor.take::<LEAST>(Layer::Ipv4)?;
    if header[0] >> 4 != 4 {
        return Err(DecodeError { layer: Layer::Ipv4, fault: Fault::BadVersion });
    }
    let length = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(be16(header[2], header[3]));
    // A card that segments for the kernel shows the packet before it has a length: 0 then means what is there.
    if length < LEAST || (total != 0 && total < length) {
        return Err(DecodeError { layer: Layer::Ipv4, fault: Fault::BadLength });
    }
    if total == 0 {
        cursor.end_with_bytes();
    } else {
        cursor.end_at(network + total);
    }
    cursor.skip(length - LEAST, Layer::Ipv4)?;
    cursor.source = Address::v4([header[12], header[13], header[14], header[15]]);
    cursor.destination = Address::v4([header[16], header[17], header[18], header[19]]);
    let place = be16(header[6], header[7]);
    if place & 0x3fff == 0 {
        return Ok(Next::protocol(header[9]));
    }
    Ok(Next::Done(fragment(cursor, place, u32::from(be16(header[4], header[5])), header[9])))
}

/// A piece whose `place` holds the more bit and the offset in units of eight bytes.
fn fragment(cursor: &Cursor<'_>, place: u16, identification: u32, protocol: u8) -> Decoded {
    Decoded::Fragment(Fragment {
        source: cursor.source,
        destination: cursor.destination,
        identification,
        protocol,
        offset: u32::from(place & 0x1fff) * 8,
        more: place & 0x2000 != 0,
        start: cursor.at() as u32,
        length: cursor.rest().len() as u32,
        missing: cursor.missing() as u32,
        network: cursor.network as u32,
        depth: cursor.depth,
        tunnelled: cursor.tunnelled,
    })
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{PAYLOAD, error, finds, packet4, packet6, payload, udp, unit, v4};
    use crate::decode::{Decoded, Fragment, Transport, decode};
    use crate::flow::Address;

    #[test]
    fn options_are_stepped_over() {
        let mut packet = v4(17, &[&[0x94, 4, 0, 0][..], &udp(5060, 5070, PAYLOAD)].concat());
        packet[0] = 0x46;
        finds(LinkType::RAW, &packet, false);
        packet[0] = 0x4f;
        assert_eq!(error(LinkType::RAW, &packet), "ipv4.bad_length");
        packet[0] = 0x44;
        assert_eq!(error(LinkType::RAW, &packet), "ipv4.bad_length");
        assert_eq!(error(LinkType::RAW, &packet4()[..19]), "ipv4.truncated");
    }

    #[test]
    fn a_total_length_of_zero_means_what_is_there() {
        let mut packet = packet4();
        packet[2..4].fill(0);
        finds(LinkType::RAW, &packet, false);
        packet[3] = 19;
        assert_eq!(error(LinkType::RAW, &packet), "ipv4.bad_length");
    }

    #[test]
    fn what_the_capture_cut_is_missing() {
        let packet = packet4();
        let cut = &packet[..packet.len() - 3];
        let found = unit(LinkType::RAW, cut);
        assert_eq!((payload(&found, cut), found.missing), (&PAYLOAD[..4], 3));
    }

    #[test]
    fn fragments_say_where_they_belong() {
        let mut packet = v4(17, &[9; 16]);
        // Identification 0x1234, more fragments, offset 3 eights.
        packet[4..8].copy_from_slice(&[0x12, 0x34, 0x20, 0x03]);
        let fragment = Fragment {
            source: Address::v4([192, 0, 2, 1]),
            destination: Address::v4([192, 0, 2, 2]),
            identification: 0x1234,
            protocol: 17,
            offset: 24,
            more: true,
            start: 20,
            length: 16,
            missing: 0,
            network: 0,
            depth: 1,
            tunnelled: false,
        };
        assert_eq!(decode(LinkType::RAW, &packet), Ok(Decoded::Fragment(fragment)));
        let cut = Fragment { length: 10, missing: 6, ..fragment };
        assert_eq!(decode(LinkType::RAW, &packet[..30]), Ok(Decoded::Fragment(cut)));
        packet[6] = 0;
        let last = Fragment { more: false, ..fragment };
        assert_eq!(decode(LinkType::RAW, &packet), Ok(Decoded::Fragment(last)));
    }

    #[test]
    fn ip_in_ip() {
        // RFC 2003 and RFC 4213: protocols 4 and 41.
        finds(LinkType::RAW, &v4(4, &packet4()), true);
        finds(LinkType::RAW, &v4(41, &packet6()), true);
        assert_eq!(error(LinkType::RAW, &v4(4, &[])), "ipv4.bad_length");
        assert_eq!(error(LinkType::RAW, &v4(4, &packet6())), "ipv4.bad_version");
    }

    #[test]
    fn other_protocols_keep_their_number() {
        let packet = v4(50, &[1, 2, 3]);
        let found = unit(LinkType::RAW, &packet);
        assert_eq!((found.transport, payload(&found, &packet)), (Transport::Other(50), &[1, 2, 3][..]));
    }
}
