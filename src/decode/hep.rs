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
