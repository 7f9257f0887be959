//! WebSocket framing of messages that are written down again (RFC 6455, RFC 7118).

use crate::flow::Endpoint;
use crate::sink::pcap::put;

/// The opening handshake of the client, with the key of RFC 6455 1.3.
pub(super) fn request(server: Endpoint) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// The server's answer to [`request`].
pub(super) const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

/// A frame's header (RFC 6455 5.2): one whole text message of `length` bytes. A client must mask; with a key of
/// zeros the message stays as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    bytes: [u8; Self::LONGEST],
    used: usize,
}

impl FrameHeader {
    /// Bytes of the longest.
    pub(super) const LONGEST: usize = 14;

    pub(super) fn new(length: usize, masked: bool) -> Self {
        const FINAL_TEXT: u8 = 0x81;
        let mut bytes = [0; Self::LONGEST];
        let (short, size) = match length {
            0..=125 => (length as u8, 2),
            126..=0xffff => {
                put(&mut bytes, 2, (length as u16).to_be_bytes());
                (126, 4)
            }
            _ => {
                put(&mut bytes, 2, (length as u64).to_be_bytes());
                (127, 10)
            }
        };
        put(&mut bytes, 0, [FINAL_TEXT, short | u8::from(masked) << 7]);
        Self { bytes, used: if masked { size + 4 } else { size } }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_the_rfc() {
        // RFC 6455 5.7 (with the FIN and text bits of its first examples) and the length forms of 5.2.
        assert_eq!(FrameHeader::new(5, false).as_slice(), [0x81, 0x05]);
        assert_eq!(FrameHeader::new(5, true).as_slice(), [0x81, 0x85, 0, 0, 0, 0]);
        assert_eq!(FrameHeader::new(256, false).as_slice(), [0x81, 0x7e, 0x01, 0x00]);
        assert_eq!(FrameHeader::new(65_536, false).as_slice(), [0x81, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(FrameHeader::new(125, false).as_slice().len(), 2);
        assert_eq!(FrameHeader::new(126, true).as_slice().len(), 8);
        assert_eq!(FrameHeader::new(65_535, false).as_slice().len(), 4);
    }
}
