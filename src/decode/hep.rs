//! SIP that a capture agent sent on: HEP 3 (Homer Encapsulation Protocol, revision 37) and its ancestors 1 and 2.
//!
//! HEP may come to any port. Version 3 has a magic and a total length; versions 1 and 2 have neither, so that
//! every field of theirs that can be checked is.

use super::cursor::{Cursor, be16};
use super::{DecodeError, Decoded, Fault, Layer, Transport};
use crate::flow::Address;

/// What a HEP header says.
#[derive(Clone, Copy, Debug, Default)]
struct Header {
    source: Option<Address>,
    destination: Option<Address>,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
    /// Protocol type of the payload: [`SIP`] or something else.
    kind: u8,
    /// Offset of the payload from the beginning of the HEP packet.
    start: usize,
    /// Length of the payload on the wire.
    length: usize,
}

/// Protocol type of SIP.
const SIP: u8 = 1;

/// The SIP message that the UDP payload at the cursor wraps; `None` when it is not HEP, or HEP of anything else.
pub(super) fn find(cursor: &mut Cursor<'_>) -> Result<Option<Decoded>, DecodeError> {
    let packet = cursor.rest();
    let length = packet.len() + cursor.missing();
    let header = match packet {
        [b'H', b'E', b'P', b'3', high, low, ..] if usize::from(be16(*high, *low)) == length => {
            version_three(packet, length)?
        }
        [1 | 2, ..] => old_version(packet, length),
        _ => None,
    };
    let Some(header) = header else { return Ok(None) };
    let (SIP, Some(source), Some(destination)) = (header.kind, header.source, header.destination) else {
        return Ok(None);
    };
    cursor.skip(header.start, Layer::Hep)?;
    cursor.end_at(cursor.at() + header.length);
    (cursor.source, cursor.destination) = (source, destination);
    let transport = Transport::Hep { protocol: header.protocol };
    Ok(Some(cursor.unit(transport, header.source_port, header.destination_port)))
}

/// Chunks in any order: vendor, type, length with these six bytes, payload. Each is at least six bytes long, so
/// that the packet bounds the loop. `None` when there is no plain payload (it may be compressed).
fn version_three(packet: &[u8], length: usize) -> Result<Option<Header>, DecodeError> {
    let fault = |fault| DecodeError { layer: Layer::Hep, fault };
    let mut header = Header::default();
    let mut found = false;
    let mut at = 6;
    while at < length {
        let chunk = packet.get(at..).unwrap_or_default();
        let head = chunk.first_chunk::<6>().ok_or(fault(Fault::Truncated))?;
        let size = usize::from(be16(head[4], head[5]));
        if size < 6 || size > length - at {
            return Err(fault(Fault::BadLength));
        }
        match (be16(head[0], head[1]), be16(head[2], head[3])) {
            (0, 0x000f) => {
                (header.start, header.length) = (at + 6, size - 6);
                found = true;
            }
            (0, kind) => header.take(kind, chunk.get(6..size).ok_or(fault(Fault::Truncated))?),
            _ => {}
        }
        at += size;
        if found && at > packet.len() {
            // The capture ends inside the payload: what comes after it is not known, and mostly nothing.
            break;
        }
    }
    Ok(found.then_some(header))
}

impl Header {
    /// One generic chunk. A chunk of the wrong size says nothing.
    fn take(&mut self, kind: u16, value: &[u8]) {
        match (kind, value) {
            (0x0002, [protocol]) => self.protocol = *protocol,
            (0x0003, &[a, b, c, d]) => self.source = Some(Address::v4([a, b, c, d])),
            (0x0004, &[a, b, c, d]) => self.destination = Some(Address::v4([a, b, c, d])),
            (0x0005, _) => self.source = v6(value).or(self.source),
            (0x0006, _) => self.destination = v6(value).or(self.destination),
            (0x0007, &[high, low]) => self.source_port = be16(high, low),
            (0x0008, &[high, low]) => self.destination_port = be16(high, low),
            (0x000b, [kind]) => self.kind = *kind,
            _ => {}
        }
    }
}

/// Sixteen bytes; where both families are given, the unspecified address is a filler.
fn v6(value: &[u8]) -> Option<Address> {
    let address = Address::v6(*value.first_chunk()?);
    (value.len() == 16 && !address.is_unspecified()).then_some(address)
}

/// Versions 1 and 2: version, header length (which agents fill in differently: ignored), family, protocol,
/// ports, addresses, and in version 2 twelve bytes of time, agent and padding. They carry SIP and nothing else.
fn old_version(packet: &[u8], length: usize) -> Option<Header> {
    let (head, rest) = packet.split_first_chunk::<8>()?;
    let (source, destination, addresses) = match head[2] {
        2 => {
            let pair = rest.first_chunk::<8>()?;
            let [a, b, c, d, e, f, g, h] = *pair;
            (Address::v4([a, b, c, d]), Address::v4([e, f, g, h]), 8)
        }
        10 => (v6(rest.get(..16)?)?, v6(rest.get(16..32)?)?, 32),
        _ => return None,
    };
    let start = 8 + addresses + if head[0] == 2 { 12 } else { 0 };
    // UDP, TCP, SCTP, and 22, which stands for TLS; a start line begins with a letter.
    if !matches!(head[3], 6 | 17 | 22 | 132) || !packet.get(start)?.is_ascii_alphabetic() {
        return None;
    }
    Some(Header {
        source: Some(source),
        destination: Some(destination),
        source_port: be16(head[4], head[5]),
        destination_port: be16(head[6], head[7]),
        protocol: head[3],
        kind: SIP,
        start,
        length: length - start,
    })
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{error, payload, udp, unit, v4};
    use crate::decode::{Transport, Unit};

    /// The example packet of the HEP 3 specification, section 6.
    const EXAMPLE: [u8; 113] = [
        0x48, 0x45, 0x50, 0x33, 0x00, 0x71, 0, 0, 0, 1, 0, 7, 2, 0, 0, 0, 2, 0, 7, 0x11, 0, 0, 0, 3, 0, 0x0a,
        0xd4, 0xca, 0, 1, 0, 0, 0, 4, 0, 0x0a, 0x52, 0x74, 0, 0xd3, 0, 0, 0, 7, 0, 8, 0x2e, 0xea, 0, 0, 0, 8,
        0, 8, 0x13, 0xc4, 0, 0, 0, 9, 0, 0x0a, 0x4e, 0x49, 0x82, 0xcb, 0, 0, 0, 0x0a, 0, 0x0a, 0, 1, 0xd4,
        0xc0, 0, 0, 0, 0x0b, 0, 7, 1, 0, 0, 0, 0x0c, 0, 0x0a, 0, 0, 0, 0xe4, 0, 0, 0, 0x0f, 0, 0x14, b'I',
        b'N', b'V', b'I', b'T', b'E', b' ', b's', b'i', b'p', b':', b'b', b'o', b'b',
    ];

    fn inside(hep: &[u8]) -> (Unit, Vec<u8>) {
        let packet = v4(17, &udp(30_000, 9060, hep));
        let found = unit(LinkType::RAW, &packet);
        (found, payload(&found, &packet).to_vec())
    }

    fn is_plain(hep: &[u8]) {
        let (found, whole) = inside(hep);
        assert_eq!((found.transport, &whole[..]), (Transport::Udp, hep));
        assert_eq!(found.destination.port, 9060);
    }

    #[test]
    fn version_three_example() {
        let (found, message) = inside(&EXAMPLE);
        assert_eq!(message, b"INVITE sip:bob");
        assert_eq!(found.transport, Transport::Hep { protocol: 17 });
        assert_eq!(found.source.to_string(), "212.202.0.1:12010");
        assert_eq!(found.destination.to_string(), "82.116.0.211:5060");
    }

    #[test]
    fn version_three_in_any_order_with_foreign_chunks() {
        // Payload first, a chunk of vendor 2 with a generic type's number, IPv6.
        let mut hep = b"HEP3\0\0".to_vec();
        hep.extend([0, 0, 0, 0x0f, 0, 9, b'B', b'Y', b'E', 0, 2, 0, 0x0f, 0, 7, 9, 0, 0, 0, 0x0b, 0, 7, 1]);
        for (kind, last) in [(5, 1), (6, 2)] {
            hep.extend([0, 0, 0, kind, 0, 22, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        hep[5] = u8::try_from(hep.len()).unwrap();
        let (found, message) = inside(&hep);
        assert_eq!((message, found.source.to_string()), (b"BYE".to_vec(), "[2001:db8::1]:0".to_owned()));
    }

    #[test]
    fn other_payloads_are_left_alone() {
        let mut log = EXAMPLE;
        log[82] = 100;
        is_plain(&log);
        let mut longer = EXAMPLE;
        longer[5] += 1;
        is_plain(&longer);
        is_plain(&EXAMPLE[..100]);
        is_plain(b"HEP3");
    }

    #[test]
    fn wrong_and_cut_chunks() {
        for length in [0, 5, 200] {
            let mut bad = EXAMPLE;
            bad[11] = length;
            assert_eq!(error(LinkType::RAW, &v4(17, &udp(1, 9060, &bad))), "hep.bad_length");
        }
        let packet = v4(17, &udp(1, 9060, &EXAMPLE));
        let found = unit(LinkType::RAW, &packet[..packet.len() - 4]);
        assert_eq!((found.length, found.missing), (10, 4));
        assert_eq!(error(LinkType::RAW, &packet[..60]), "hep.truncated");
    }

    #[test]
    fn versions_one_and_two() {
        // FreeSWITCH's version 1, as heplify-server's tests have it, then version 2 with its twelve bytes more.
        let one = [1, 0x10, 2, 0x11, 0x13, 0xc4, 0x13, 0xc4, 0x0a, 0, 1, 0x64, 0xc0, 0xa8, 0, 0xfe];
        let (found, message) = inside(&[&one[..], b"SIP/2.0 200 OK"].concat());
        assert_eq!(
            (found.transport, &message[..]),
            (Transport::Hep { protocol: 17 }, &b"SIP/2.0 200 OK"[..])
        );
        assert_eq!(found.source.to_string(), "10.0.1.100:5060");
        assert_eq!(found.destination.to_string(), "192.168.0.254:5060");
        let mut two = [&one[..], &[0; 12], b"BYE"].concat();
        two[0] = 2;
        assert_eq!(inside(&two).1, b"BYE");
        let mut six = vec![2, 52, 10, 6, 0x13, 0xc4, 0x13, 0xc5];
        six.extend([0x20; 32]);
        six.extend([0; 12]);
        six.extend(b"ACK");
        let (found, message) = inside(&six);
        assert_eq!((message, found.source.port), (b"ACK".to_vec(), 5060));
    }

    #[test]
    fn what_only_begins_like_an_old_version() {
        is_plain(&[1, 0x10, 2, 0x11, 0, 0]);
        is_plain(&[1, 0, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 3, b'w', b'w', b'w']);
        is_plain(&[1, 0x10, 2, 0x11, 0x13, 0xc4, 0x13, 0xc4, 1, 2, 3, 4, 5, 6, 7, 8, 0x80, 0]);
    }
}
