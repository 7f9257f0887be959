//! Geneve (RFC 8926 3.4).

use super::cursor::{Cursor, be16};
use super::ethernet::carries_ip;
use super::next::Next;
use super::{DecodeError, Layer};

/// Whether a UDP payload has the header: version 0, and a payload type that is read here. Who receives reserved bits ignores
/// them: then what follows has to be IP, or a frame with IP.
pub(super) fn is_header(payload: &[u8]) -> bool {
    let Some(([first, second, high, low, .., last], rest)) = payload.split_first_chunk::<8>() else {
        return false;
    };
    let next = Next::ether_type(be16(*high, *low));
    if first >> 6 != 0 || matches!(next, Next::Foreign) {
        return false;
    }
    let inner = rest.get(options(*first)..).unwrap_or_default();
    second & 0x3f == 0 && *last == 0
        || match next {
            Next::Ethernet => carries_ip(inner),
            Next::Ipv4 => inner.first().is_some_and(|first| first >> 4 == 4),
            Next::Ipv6 => inner.first().is_some_and(|first| first >> 4 == 6),
            _ => false,
        }
}

/// Bytes of options, which the first byte of the header tells in fours.
const fn options(first: u8) -> usize {
    (first & 0x3f) as usize * 4
}

/// Eight bytes, then options.
pub(super) fn geneve(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<8>(Layer::Geneve)?;
    cursor.skip(options(header[0]), Layer::Geneve)?;
    Ok(Next::ether_type(be16(header[2], header[3])))
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::Transport;
    use crate::decode::tests::{error, ethernet, finds_in, packet4, packet6, udp, unit, v4};

    fn carries(header: &[u8], inner: &[u8]) {
        finds_in(17, &udp(50_000, 6081, &[header, inner].concat()));
    }

    #[test]
    fn frames_and_packets_with_and_without_options() {
        carries(&[0, 0, 0x65, 0x58, 0, 0, 1, 0], &ethernet(0x0800, &packet4()));
        carries(&[2, 0x40, 0x08, 0x00, 0, 0, 1, 0, 1, 2, 0x80, 1, 9, 9, 9, 9], &packet4());
        carries(&[0, 0, 0x86, 0xdd, 0, 0, 1, 0], &packet6());
    }

    /// RFC 8926 3.4: reserved bits are ignored on receipt.
    #[test]
    fn reserved_bits_are_ignored() {
        carries(&[0, 0x41, 0x65, 0x58, 0, 0, 1, 0], &ethernet(0x0800, &packet4()));
        carries(&[1, 0, 0x08, 0x00, 0, 0, 1, 7, 1, 2, 0x80, 0], &packet4());
        carries(&[0, 0x3f, 0x86, 0xdd, 0, 0, 1, 0], &packet6());
    }

    #[test]
    fn anything_else_is_a_payload() {
        for payload in [
            &[0x40, 0, 8, 0, 0, 0, 1, 0][..],
            &[0, 0, 0x12, 0x34, 0, 0, 1, 0],
            &[0, 1, 8, 0, 0, 0, 1, 0, 0x60],
            &[0x80; 20],
        ] {
            assert_eq!(unit(LinkType::RAW, &v4(17, &udp(1, 6081, payload))).transport, Transport::Udp);
        }
        let short = v4(17, &udp(1, 6081, &[4, 0, 8, 0, 0, 0, 1, 0, 0, 0]));
        assert_eq!(error(LinkType::RAW, &short), "geneve.bad_length");
    }
}
