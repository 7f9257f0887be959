//! VXLAN (RFC 7348 5).

use super::cursor::Cursor;
use super::next::Next;
use super::{DecodeError, Layer};

/// Whether a UDP payload has the header. Its ports lie where media and clients take theirs from, so every bit
/// that has to be zero is looked at: flags I alone, or I with the group policy extension's (whose own flags and
/// identifier fill the reserved bits). Who receives others ignores them: then what follows has to be a frame with IP.
pub(super) fn is_header(payload: &[u8]) -> bool {
    match payload.split_first_chunk::<8>() {
        Some(([0x08, 0, 0, 0, .., 0], _)) => true,
        Some(([0x88, policy, .., 0], _)) if policy & !0x48 == 0 => true,
        Some(([flags, ..], frame)) => flags & 0x08 != 0 && carries_ip(frame.get(12..).unwrap_or_default()),
        None => false,
    }
}

/// Whether IP follows a frame's addresses, or a tag and then IP.
fn carries_ip(behind_addresses: &[u8]) -> bool {
    match *behind_addresses {
        [0x81, 0, _, _, 8, 0, first, ..] | [8, 0, first, ..] => first >> 4 == 4,
        [0x81, 0, _, _, 0x86, 0xdd, first, ..] | [0x86, 0xdd, first, ..] => first >> 4 == 6,
        _ => false,
    }
}

pub(super) fn vxlan(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    cursor.skip(8, Layer::Vxlan)?;
    Ok(Next::Ethernet)
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::Transport;
    use crate::decode::tests::{ethernet, finds_in, packet4, udp, unit, v4};

    #[test]
    fn frames_in_vxlan() {
        let inner = ethernet(0x0800, &packet4());
        for port in [4789, 8472] {
            finds_in(17, &udp(50_000, port, &[&[8, 0, 0, 0, 0, 1, 2, 0][..], &inner].concat()));
            finds_in(17, &udp(50_000, port, &[&[0x88, 0x08, 0, 9, 0, 1, 2, 0][..], &inner].concat()));
            // RFC 7348 5: reserved bits are ignored on receipt.
            for header in
                [[8, 0, 0, 1, 0, 1, 2, 0], [0x48, 0xff, 0, 0, 0, 1, 2, 0], [0x0c, 0, 0, 0, 0, 1, 2, 7]]
            {
                finds_in(17, &udp(50_000, port, &[&header[..], &inner].concat()));
            }
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
