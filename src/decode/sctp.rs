//! SCTP: the common header and the DATA chunks after it (RFC 9260 3.1 to 3.3.1).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Layer, Transport};

/// Ports, verification tag, checksum; the chunks are the payload.
pub(super) fn header(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<12>(Layer::Sctp)?;
    let (source, destination) = (be16(header[0], header[1]), be16(header[2], header[3]));
    let tag = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    Ok(Next::Done(cursor.unit(Transport::Sctp { tag }, source, destination)))
}

/// One DATA chunk (RFC 9260 3.3.1): a user message or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataChunk<'a> {
    /// Stream identifier.
    pub stream: u16,
    /// Transmission sequence number.
    pub tsn: u32,
    /// First piece of its message.
    pub begin: bool,
    /// Last piece of its message.
    pub end: bool,
    /// Payload protocol identifier, in network order as numbers are read.
    pub protocol: u32,
    /// The user data, as far as it is there.
    pub bytes: &'a [u8],
    /// Bytes of it that the capture cut off.
    pub missing: u32,
    /// Offset of the user data in the payload that was iterated.
    pub start: u32,
}

/// The DATA chunks of an SCTP payload (everything after the common header, of which the capture cut `missing` bytes off),
/// in order. Other chunks are stepped over; the first one whose length is wrong, or of which not even the header is there,
/// ends the iteration.
pub fn data_chunks(payload: &[u8], missing: u32) -> impl Iterator<Item = DataChunk<'_>> {
    Chunks { payload, missing: missing as usize, at: 0 }.flatten()
}

/// Steps from chunk to chunk; `None` inside for those that are not DATA.
struct Chunks<'a> {
    payload: &'a [u8],
    missing: usize,
    at: usize,
}

/// Chunk header, TSN, stream, stream sequence, protocol.
const DATA_HEADER: usize = 16;

impl<'a> Iterator for Chunks<'a> {
    type Item = Option<DataChunk<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.payload.get(self.at..)?;
        let [kind, flags, high, low] = *rest.first_chunk()?;
        let length = usize::from(be16(high, low));
        if length < 4 {
            return None;
        }
        let missing = length.saturating_sub(rest.len());
        let chunk = rest.get(..length - missing).filter(|_| missing <= self.missing)?;
        let start = self.at + DATA_HEADER;
        // RFC 9260 3.2: padded to four bytes, which the length does not count.
        self.at += length.next_multiple_of(4);
        if kind != 0 {
            return Some(None);
        }
        let (header, bytes) = chunk.split_first_chunk::<DATA_HEADER>()?;
        Some(Some(DataChunk {
            stream: be16(header[8], header[9]),
            tsn: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            begin: flags & 2 != 0,
            end: flags & 1 != 0,
            protocol: u32::from_be_bytes([header[12], header[13], header[14], header[15]]),
            bytes,
            missing: missing as u32,
            start: start as u32,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::LinkType;
    use crate::decode::tests::{error, payload, unit, v4};

    #[test]
    fn the_common_header() {
        let packet = v4(132, &[&[0x13, 0xc4, 0x13, 0xc5, 0, 0, 0, 9, 1, 2, 3, 4][..], PAYLOAD].concat());
        let found = unit(LinkType::RAW, &packet);
        assert_eq!((found.transport, payload(&found, &packet)), (Transport::Sctp { tag: 9 }, PAYLOAD));
        assert_eq!((found.source.port, found.destination.port), (5060, 5061));
        assert_eq!(error(LinkType::RAW, &v4(132, &[0; 11])), "sctp.bad_length");
    }

    /// A SACK, a whole message of 5 bytes with padding, a first piece.
    const PAYLOAD: &[u8] = &[
        3, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, // SACK
        0, 3, 0, 21, 0, 0, 0, 7, 0, 2, 0, 9, 0, 0, 0, 0, b'h', b'e', b'l', b'l', b'o', 0, 0, 0, // DATA
        0, 2, 0, 18, 0, 0, 0, 8, 0, 2, 0, 10, 0, 0, 0, 46, b'a', b'b',
    ];

    #[test]
    fn finds_data_between_other_chunks() {
        let chunks: Vec<_> = data_chunks(PAYLOAD, 0).collect();
        let whole = DataChunk {
            stream: 2,
            tsn: 7,
            begin: true,
            end: true,
            protocol: 0,
            bytes: b"hello",
            missing: 0,
            start: 32,
        };
        assert_eq!(chunks[0], whole);
        assert_eq!(
            chunks[1],
            DataChunk { tsn: 8, end: false, protocol: 46, bytes: b"ab", start: 56, ..whole }
        );
        assert_eq!(chunks.len(), 2);
    }

    #[test]
    fn a_bad_length_ends_it() {
        for length in [0, 3, 15, 200] {
            let mut payload = PAYLOAD.to_vec();
            payload[19] = length;
            assert_eq!(data_chunks(&payload, 0).count(), 0, "length {length}");
        }
        assert_eq!(data_chunks(&PAYLOAD[..PAYLOAD.len() - 1], 0).count(), 1);
    }

    /// Cut anywhere: what is there of a chunk, if that is its header at least, and how much is not.
    #[test]
    fn a_chunk_that_the_capture_cut_is_read_as_far_as_it_goes() {
        for kept in 0..PAYLOAD.len() {
            let (payload, cut) = PAYLOAD.split_at(kept);
            let found: Vec<_> =
                data_chunks(payload, cut.len() as u32).map(|chunk| (chunk.bytes, chunk.missing)).collect();
            let expected: &[(&[u8], u32)] = match kept {
                0..32 => &[],
                32..37 => &[(&b"hello"[..kept - 32], 37 - kept as u32)],
                37..56 => &[(b"hello", 0)],
                _ => &[(b"hello", 0), (&b"ab"[..kept - 56], 58 - kept as u32)],
            };
            assert_eq!(found, expected, "of {kept} bytes");
        }
        // A length that the packet did not have.
        assert_eq!(data_chunks(&PAYLOAD[..57], 0).count(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(payload in proptest::collection::vec(0_u8..24, 0..200), missing in 0_u32..30) {
            for chunk in data_chunks(&payload, missing) {
                assert!(chunk.missing <= missing);
                let start = chunk.start as usize;
                assert_eq!(&payload[start..start + chunk.bytes.len()], chunk.bytes);
            }
        }
    }
}
