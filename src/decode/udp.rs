//! UDP (RFC 768), and what is recognised inside it.

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Fault, Layer, Transport, geneve, gtpu, hep, tzsp, vxlan};

/// Bytes of the header.
pub(super) const LENGTH: usize = 8;

pub(super) fn udp(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let begin = cursor.at();
    let available = cursor.remaining();
    let header = cursor.take::<LENGTH>(Layer::Udp)?;
    let (source, destination) = (be16(header[0], header[1]), be16(header[2], header[3]));
    match usize::from(be16(header[4], header[5])) {
        // RFC 2675 4: longer than the field can tell; the packet's length counts.
        0 if !cursor.source.is_v4() => {}
        length if length < LENGTH || length > available => {
            return Err(DecodeError { layer: Layer::Udp, fault: Fault::BadLength });
        }
        length => cursor.end_at(begin + length),
    }
    let payload = cursor.rest();
    if let Some(next) = tunnel(destination, payload, payload.len() + cursor.missing()) {
        return Ok(next);
    }
    Ok(Next::Done(match hep::find(cursor)? {
        Some(message) => message,
        None => cursor.unit(Transport::Udp, source, destination),
    }))
}

/// Whether a payload for this port, or with this beginning, may hold anything but itself. Cheap and never
/// wrongly `false`.
#[inline]
pub(super) fn may_wrap(destination: u16, payload: &[u8]) -> bool {
    match payload.first() {
        Some(&first) if begins_media(first) => false,
        Some(b'H' | 1 | 2) => true,
        _ => matches!(destination, 2152 | 4789 | 4790 | 6081 | 8472 | 37008),
    }
}

/// Whether media begins with that byte (RFC 3550 5.1). Of all that is recognised here only VXLAN with a group policy
/// begins like that.
#[inline]
const fn begins_media(first: u8) -> bool {
    matches!(first, 0x80..=0x87 | 0x89..=0xbf)
}

/// The tunnel that a payload of `length` bytes on the wire opens. The ports are also ordinary ports that media
/// is sent to: the port and the shape of the header have to agree.
fn tunnel(destination: u16, payload: &[u8], length: usize) -> Option<Next> {
    match destination {
        2152 if gtpu::is_header(payload, length) => Some(Next::Gtpu),
        // The assigned port, and the one that Linux had before there was one.
        4789 | 8472 if vxlan::is_header(payload) => Some(Next::Vxlan),
        4790 if vxlan::is_header_with_protocol(payload) => Some(Next::VxlanWithProtocol),
        6081 if geneve::is_header(payload) => Some(Next::Geneve),
        37008 if tzsp::is_header(payload) => Some(Next::Tzsp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{PAYLOAD, error, ethernet, packet4, payload, udp, unit, v4};

    /// The test packet with another UDP length, on Ethernet, with some bytes behind it.
    fn with_length(length: u8) -> Vec<u8> {
        let mut datagram = udp(5060, 5070, PAYLOAD);
        datagram[5] = length;
        ethernet(0x0800, &[v4(17, &datagram), vec![0; 6]].concat())
    }

    #[test]
    fn the_length_has_to_fit_its_packet() {
        for wrong in [0, 7, 16, 255] {
            assert_eq!(error(LinkType::ETHERNET, &with_length(wrong)), "udp.bad_length", "{wrong}");
        }
    }

    #[test]
    fn a_shorter_datagram_ends_early() {
        let frame = with_length(11);
        let found = unit(LinkType::ETHERNET, &frame);
        assert_eq!((payload(&found, &frame), found.missing), (&PAYLOAD[..3], 0));
    }

    #[test]
    fn an_empty_datagram_is_one() {
        assert_eq!(unit(LinkType::RAW, &v4(17, &udp(1, 2, &[]))).length, 0);
        assert_eq!(error(LinkType::RAW, &packet4()[..27]), "udp.truncated");
    }
}
