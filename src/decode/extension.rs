//! IPv6 extension headers (RFC 8200 4) and the authentication header, which IPv4 knows too (RFC 4302).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Decoded, Fragment, Layer};

/// A header of the layout that RFC 6564 makes the rule: next header, length beyond eight bytes in eights.
pub(super) fn skip(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let [next, eights] = *cursor.take(Layer::Ipv6)?;
    cursor.skip(usize::from(eights) * 8 + 6, Layer::Ipv6)?;
    Ok(Next::protocol(next))
}

/// Next header, length in fours less two (RFC 4302 2.2).
pub(super) fn authentication(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let layer = if cursor.source.is_v4() { Layer::Ipv4 } else { Layer::Ipv6 };
    let [next, fours] = *cursor.take(layer)?;
    cursor.skip(usize::from(fours) * 4 + 6, layer)?;
    Ok(Next::protocol(next))
}

/// The fragment header (RFC 8200 4.5). A fragment that is its whole datagram is none (RFC 6946): it must not
/// meet others in the table, or anybody could spoil it by guessing its identification.
pub(super) fn fragment(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<8>(Layer::Ipv6)?;
    let place = be16(header[2], header[3]);
    if place & 0xfff9 == 0 {
        return Ok(Next::protocol(header[0]));
    }
    Ok(Next::Done(Decoded::Fragment(Fragment {
        source: cursor.source,
        destination: cursor.destination,
        identification: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        protocol: header[0],
        offset: u32::from(place & 0xfff8),
        more: place & 1 != 0,
        start: cursor.at() as u32,
        length: cursor.rest().len() as u32,
        missing: cursor.missing() as u32,
        network: cursor.network as u32,
        depth: cursor.depth,
        tunnelled: cursor.tunnelled,
    })))
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{PAYLOAD, error, finds, udp, unit, v4, v6};
    use crate::decode::{Decoded, Transport, decode};

    fn before_udp(headers: &[u8]) -> Vec<u8> {
        [headers, &udp(5060, 5070, PAYLOAD)].concat()
    }

    #[test]
    fn headers_that_are_stepped_over() {
        // RFC 8200 4.3, 4.4, 4.6; RFC 6275 6.1.1: each of eight bytes plus its length times eight.
        for kind in [0, 43, 60, 135] {
            finds(LinkType::RAW, &v6(kind, &before_udp(&[17, 0, 1, 4, 0, 0, 0, 0])), false);
            let long = [&[17, 1][..], &[0; 14]].concat();
            finds(LinkType::RAW, &v6(kind, &before_udp(&long)), false);
        }
        let chain = [43, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
        finds(LinkType::RAW, &v6(0, &before_udp(&chain)), false);
        assert_eq!(error(LinkType::RAW, &v6(0, &[17, 9, 0, 0])), "ipv6.bad_length");
        assert_eq!(unit(LinkType::RAW, &v6(0, &[59, 0, 1, 4, 0, 0, 0, 0])).transport, Transport::Other(59));
    }

    #[test]
    fn authentication_in_both_families() {
        // RFC 4302 2.2: six words, so that the length is 4.
        let header = [&[17, 4][..], &[0; 22]].concat();
        finds(LinkType::RAW, &v6(51, &before_udp(&header)), false);
        finds(LinkType::RAW, &v4(51, &before_udp(&header)), false);
        assert_eq!(error(LinkType::RAW, &v4(51, &[17, 200])), "ipv4.bad_length");
    }

    #[test]
    fn an_atomic_fragment_is_whole() {
        // RFC 6946: offset 0, no more fragments.
        finds(LinkType::RAW, &v6(44, &before_udp(&[17, 0, 0, 0, 1, 2, 3, 4])), false);
    }

    #[test]
    fn fragments_say_where_they_belong() {
        let packet = v6(44, &[60, 0, 0x00, 0x19, 1, 2, 3, 4, 9, 9, 9, 9, 9, 9, 9, 9]);
        let Ok(Decoded::Fragment(fragment)) = decode(LinkType::RAW, &packet) else { panic!() };
        assert_eq!((fragment.identification, fragment.protocol), (0x0102_0304, 60));
        assert_eq!((fragment.offset, fragment.more), (24, true));
        assert_eq!((fragment.start, fragment.length, fragment.network), (48, 8, 0));
        assert_eq!(error(LinkType::RAW, &packet[..47]), "ipv6.truncated");
    }
}
