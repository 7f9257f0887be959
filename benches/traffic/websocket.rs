//! SIP in WebSocket (RFC 7118): the upgrade, and a frame around each message.

use super::frame::Endpoint;
use super::rng::Rng;

const TEXT: u8 = 0x1;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const LAST: u8 = 0x80;

/// The client's opening handshake, with the key of RFC 6455 1.3.
pub(crate) fn upgrade(server: Endpoint) -> Vec<u8> {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://www.example.net\r\n\
         Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

/// The server's answer to that key.
pub(crate) fn accepted() -> Vec<u8> {
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
        .to_vec()
}

/// Appends one SIP message.
pub(crate) fn message(out: &mut Vec<u8>, rng: &mut Rng, from_client: bool, payload: &[u8]) {
    frame(out, rng, from_client, LAST | TEXT, payload);
}

/// Appends a ping of the client or the server's pong.
pub(crate) fn keepalive(out: &mut Vec<u8>, rng: &mut Rng, from_client: bool) {
    frame(out, rng, from_client, LAST | if from_client { PING } else { PONG }, b"");
}

/// RFC 6455 5.2; what a client sends is masked.
fn frame(out: &mut Vec<u8>, rng: &mut Rng, masked: bool, first: u8, payload: &[u8]) {
    let mask_bit = if masked { 0x80 } else { 0 };
    out.push(first);
    match payload.len() {
        length @ 0..=125 => out.push(mask_bit | length as u8),
        length @ 126..=0xffff => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if !masked {
        out.extend_from_slice(payload);
        return;
    }
    let mut mask = [0; 4];
    rng.fill(&mut mask);
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 5.7: an unmasked "Hello" is 81 05 48 65 6c 6c 6f.
    #[test]
    fn the_example_of_the_rfc() {
        let mut out = Vec::new();
        message(&mut out, &mut Rng::new(1), false, b"Hello");
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    }

    #[test]
    fn a_masked_frame_unmasks_to_its_payload() {
        let mut out = Vec::new();
        message(&mut out, &mut Rng::new(1), true, &[b'x'; 300]);
        assert_eq!(out[..4], [0x81, 0x80 | 126, 0x01, 0x2c]);
        let unmasked = out[8..].iter().enumerate().map(|(place, byte)| byte ^ out[4 + place % 4]);
        assert!(unmasked.eq([b'x'; 300]));
    }
}
