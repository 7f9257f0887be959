//! The record layer (RFC 8446 5.1): bytes of one direction in any pieces, records out.

/// The longest payload of a record: 2^14, and what encryption may add (RFC 5246 6.2.3).
const MAX_RECORD: usize = (1 << 14) + 2048;

/// Length of a record's header.
const HEADER: usize = 5;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ChangeCipherSpec,
    Alert,
    Handshake,
    ApplicationData,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// A record, whole.
    Whole(Kind, &'a [u8]),
    /// The rest is not there yet.
    NeedMore,
    /// No record begins like that.
    NotTls,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    at: usize,
}

impl Records {
    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next record.
    pub(super) fn next(&mut self) -> Record<'_> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let kind = match rest {
            [] => return Record::NeedMore,
            [0x14, ..] => Kind::ChangeCipherSpec,
            [0x15, ..] => Kind::Alert,
            [0x16, ..] => Kind::Handshake,
            [0x17, ..] => Kind::ApplicationData,
            _ => return Record::NotTls,
        };
        let &[_, major, _, high, low, ..] = rest else {
            return if rest.get(1).is_none_or(|&major| major == 3) {
                Record::NeedMore
            } else {
                Record::NotTls
            };
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if major != 3 || length > MAX_RECORD {
            return Record::NotTls;
        }
        match rest.get(HEADER..HEADER + length) {
            Some(payload) => {
                self.at += HEADER + length;
                Record::Whole(kind, payload)
            }
            None => Record::NeedMore,
        }
    }

    /// Bytes allocated.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }
}
