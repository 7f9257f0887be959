//! Classic pcap files, read and written as simply as can be: not with the code that is tested.

use std::path::Path;

/// A file's packets and what its header says of them.
#[derive(Clone)]
pub(crate) struct Classic {
    pub(crate) big_endian: bool,
    pub(crate) nanoseconds: bool,
    pub(crate) link: u32,
    pub(crate) packets: Vec<Packet>,
}

/// One record.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) seconds: u32,
    /// Microseconds or nanoseconds.
    pub(crate) fraction: u32,
    /// Bytes on the wire.
    pub(crate) original: u32,
    pub(crate) frame: Vec<u8>,
}

impl Classic {
    /// Reads a file; none when it is no classic pcap.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        Self::parse(&std::fs::read(path).unwrap())
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (big_endian, nanoseconds) = match bytes.first_chunk()? {
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, false),
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, false),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, true),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, true),
            _ => return None,
        };
        let word = |at: usize| {
            let bytes = *bytes[at..].first_chunk().unwrap();
            if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        let mut packets = Vec::new();
        let mut at = 24;
        while at + 16 <= bytes.len() {
            let end = at + 16 + word(at + 8) as usize;
            let frame = bytes[at + 16..end.min(bytes.len())].to_vec();
            packets.push(Packet {
                seconds: word(at),
                fraction: word(at + 4),
                original: word(at + 12),
                frame,
            });
            at = end;
        }
        Some(Self { big_endian, nanoseconds, link: word(20) & 0xffff, packets })
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let magic = if self.nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        let word = |word: u32| if self.big_endian { word.to_be_bytes() } else { word.to_le_bytes() };
        let half = |half: u16| if self.big_endian { half.to_be_bytes() } else { half.to_le_bytes() };
        out.extend(word(magic));
        out.extend(half(2));
        out.extend(half(4));
        [0, 0, 262_144, self.link].into_iter().for_each(|value| out.extend(word(value)));
        for packet in &self.packets {
            let length = u32::try_from(packet.frame.len()).unwrap();
            let header = [packet.seconds, packet.fraction, length, packet.original];
            header.into_iter().for_each(|value| out.extend(word(value)));
            out.extend(&packet.frame);
        }
        out
    }

    /// The same file with other packets.
    pub(crate) fn with(&self, packets: Vec<Packet>) -> Self {
        Self { packets, ..*self }
    }
}

impl Packet {
    /// The same record around another frame.
    pub(crate) fn with(&self, frame: Vec<u8>) -> Self {
        Self { original: u32::try_from(frame.len()).unwrap(), frame, ..*self }
    }
}

#[test]
fn a_file_that_is_read_and_written_is_the_same() {
    let path = crate::support::testdata("corpus/sip-tcp/input.pcap");
    let mut file = Classic::read(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(file.packets.len(), 30);
    assert_eq!(file.bytes()[24..], bytes[24..]);
    file.big_endian = true;
    assert_eq!(Classic::parse(&file.bytes()).unwrap().packets.len(), 30);
}
