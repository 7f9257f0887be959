//! VXLAN (RFC 7348 5), and its generic protocol extension (draft-ietf-nvo3-vxlan-gpe-13 3).

use super::cursor::Cursor;
use super::ethernet::carries_ip;
use super::next::Next;
use super::{DecodeError, Layer};

/// Whether a UDP payload has the header. Its ports lie where media and clients take theirs from, so every bit
/// that has to be zero is looked at: flags I alone, or I with the group policy extension's (whose own flags and
/// identifier fill the reserved bits). Who receives others ignores them: then what follows has to be a frame with IP.
pub(super) fn is_header(payload: &[u8]) -> bool {
    match payload.split_first_chunk::<8>() {
        Some(([0x08, 0, 0, 0, .., 0], _)) => true,
        Some(([0x88, policy, .., 0], _)) if policy & !0x48 == 0 => true,
        Some(([flags, ..], frame)) => flags & 0x08 != 0 && carries_ip(frame),
        None => false,
    }
}

/// Whether a UDP payload has the header of the extension: version 0, flags I and P, and a protocol that is read here.
pub(super) const fn is_header_with_protocol(payload: &[u8]) -> bool {
    matches!(payload, [0x0c..=0x0f, 0, 0, 1..=3, _, _, _, 0, ..])
}

pub(super) fn vxlan(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    cursor.skip(8, Layer::Vxlan)?;
    Ok(Next::Ethernet)
}

/// The last byte of the first four says what follows.
pub(super) fn vxlan_with_protocol(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    Ok(match cursor.take::<8>(Layer::Vxlan)?[3] {
        1 => Next::Ipv4,
        2 => Next::Ipv6,
        _ => Next::Ethernet,
    })
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::Transport;
    use crate::decode::tests::{ethernet, finds_in, packet4, packet6, udp, unit, v4};

    #[test]
    fn frames_in_vxlan() {
        let inner = ethernet(0x0800, &packet4());
        for port in [4789, 8472] {
            finds_in(17, &udp(50_000, port, &[&[8, 0, 0, 0, 0, 1, 2, 0][..], &inner].concat()));
            finds_in(17, &udp(50_000, port, &[&[0x88, 0x08, 0, 9, 0, 1, 2, 0][..], &inner].concat()));
            // RFC 7348 5: reserved bits are ignored on receipt.
            for header in [
                [8, 0, 0, 1, 0, 1, 2, 0],
                [0x0c, 0, 0, 1, 0, 1, 2, 0],
                [0x48, 0xff, 0, 0, 0, 1, 2, 0],
                [0x0c, 0, 0, 0, 0, 1, 2, 7],
            ] {
                finds_in(17, &udp(50_000, port, &[&header[..], &inner].concat()));
            }
        }
    }

    #[test]
    fn what_follows_may_be_said() {
        let with = |protocol, inner: &[u8]| {
            udp(50_000, 4790, &[&[0x0c, 0, 0, protocol, 0, 1, 2, 0][..], inner].concat())
        };
        finds_in(17, &with(1, &packet4()));
        finds_in(17, &with(2, &packet6()));
        finds_in(17, &with(3, &ethernet(0x0800, &packet4())));
        for other in [with(4, &packet4()), udp(50_000, 4790, &[0x3c, 0, 0, 1, 0, 1, 2, 0])] {
            assert_eq!(unit(LinkType::RAW, &v4(17, &other)).transport, Transport::Udp);
        }
    }

    #[test]
    fn media_on_its_port_stays_media() {
        // RTP with eight contributing sources, payload type 0, and a SIP request.
        for payload in [&[0x88, 0x80, 0, 1, 0, 0, 0, 0][..], b"OPTIONS sip:", &[8, 0, 0, 0, 0, 1, 2, 1], &[8]]
        {
            assert_eq!(unit(LinkType::RAW, &v4(17, &udp(4000, 4789, payload))).transport, Transport::Udp);
        }
    }
}
