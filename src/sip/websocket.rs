//! WebSocket frames and the HTTP upgrade before them (RFC 6455, RFC 7118).

use memchr::memchr;

use super::header::{Lines, split};

/// What the unconsumed bytes of a WebSocket stream begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSocketFrame {
    /// The last frame of a message. Consume `length` bytes; the whole payload, unmasked, is in the output: take it
    /// and clear the output before the next call.
    Message {
        /// Bytes of the frame.
        length: usize,
    },
    /// A frame of a message of which more is to come: consume, leave the output as it is.
    Fragment {
        /// Bytes of the frame.
        length: usize,
    },
    /// Ping, pong or close: consume.
    Control {
        /// Bytes of the frame.
        length: usize,
    },
    /// Data that cannot be read (above the limit, compressed by an extension): consume `header` bytes, then skip
    /// `payload` bytes by count. What there was of its message is gone from the output.
    Unreadable {
        /// Bytes of the frame's header; consume them.
        header: usize,
        /// Bytes of the stream to skip after it; never to be buffered.
        payload: u64,
    },
    /// At least `need` more bytes (never 0) before asking again can help.
    Incomplete {
        /// Bytes to wait for.
        need: usize,
    },
    /// No WebSocket frame (RFC 6455 5.2); there is no way to find the next one.
    Invalid,
}

/// Takes the frames of one direction apart.
#[derive(Clone, Debug)]
pub struct WebSocket {
    max_message: usize,
    message: Assembly,
}

/// What becomes of a message that comes in several frames (RFC 6455 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Assembly {
    /// The next data frame begins a message.
    Between,
    /// The output holds the beginning of one.
    Collecting,
    /// It cannot be read; its other frames go by.
    Dropping,
}

impl WebSocket {
    /// A direction behind its HTTP upgrade. Messages above `max_message` bytes are skipped.
    #[must_use]
    pub const fn new(max_message: usize) -> Self {
        Self { max_message, message: Assembly::Between }
    }

    /// Looks at the unconsumed bytes of the stream, from the first; appends the payload of data frames to `output`.
    pub fn next(&mut self, buffer: &[u8], output: &mut Vec<u8>) -> WebSocketFrame {
        let header = match FrameHeader::parse(buffer) {
            Ok(header) => header,
            Err(answer) => return answer,
        };
        if !header.is_control() {
            self.begin(&header, output);
            if !self.fits(&header, output) {
                output.clear();
                self.message = if header.last { Assembly::Between } else { Assembly::Dropping };
                return WebSocketFrame::Unreadable { header: header.length, payload: header.payload };
            }
        }
        // What fits is far below the limits of usize, and a control frame has at most 125 bytes.
        let length = header.length.saturating_add(usize::try_from(header.payload).unwrap_or(usize::MAX));
        let Some(payload) = buffer.get(header.length..length) else {
            return WebSocketFrame::Incomplete { need: length.saturating_sub(buffer.len()) };
        };
        if header.is_control() {
            return WebSocketFrame::Control { length };
        }
        header.unmask(payload, output);
        self.message = if header.last { Assembly::Between } else { Assembly::Collecting };
        if header.last { WebSocketFrame::Message { length } } else { WebSocketFrame::Fragment { length } }
    }

    /// Forgets an unfinished message when a new one begins in spite of it, and decides about a continuation of
    /// nothing. Asked again about the same frame it does the same.
    fn begin(&mut self, header: &FrameHeader, output: &mut Vec<u8>) {
        match (header.opcode == CONTINUATION, self.message) {
            (true, Assembly::Between) => self.message = Assembly::Dropping,
            (false, Assembly::Collecting | Assembly::Dropping) => {
                output.clear();
                self.message = Assembly::Between;
            }
            _ => {}
        }
    }

    /// Whether the frame's payload can go to the output.
    fn fits(&self, header: &FrameHeader, output: &[u8]) -> bool {
        let room = self.max_message.saturating_sub(output.len());
        let compressed = header.reserved != 0;
        self.message != Assembly::Dropping
            && !compressed
            && u64::try_from(room).is_ok_and(|room| header.payload <= room)
    }
}

/// Opcode of a frame that goes on with a message (RFC 6455 5.2).
const CONTINUATION: u8 = 0;

/// A frame's header (RFC 6455 5.2).
struct FrameHeader {
    /// Length of the header.
    length: usize,
    /// Length of the payload.
    payload: u64,
    last: bool,
    /// RSV1 to RSV3. RSV1 marks a compressed message (RFC 7692), which cannot be read: its window may reach back to
    /// before the capture.
    reserved: u8,
    opcode: u8,
    mask: Option<[u8; 4]>,
}

impl FrameHeader {
    /// Reads the header, or tells that it is incomplete or none.
    fn parse(buffer: &[u8]) -> Result<Self, WebSocketFrame> {
        let Some((&[first, second], _)) = buffer.split_first_chunk::<2>() else {
            // What the first byte alone rules out need not wait for the second.
            return Err(match buffer.first() {
                Some(&first) if !Self::is_possible(first) => WebSocketFrame::Invalid,
                _ => WebSocketFrame::Incomplete { need: 2 - buffer.len() },
            });
        };
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let masked = second & 0x80 != 0;
        let length = 2 + extended + if masked { 4 } else { 0 };
        let control = first & 0x08 != 0;
        // A control frame carries at most 125 bytes (RFC 6455 5.5).
        if !Self::is_possible(first) || (control && extended != 0) {
            return Err(WebSocketFrame::Invalid);
        }
        let number = buffer
            .get(2..2 + extended)
            .map(|bytes| bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)));
        if extended == 8 && number.is_some_and(|number| number >> 63 != 0) {
            return Err(WebSocketFrame::Invalid);
        }
        let Some(header) = buffer.get(..length) else {
            return Err(WebSocketFrame::Incomplete { need: length - buffer.len() });
        };
        let payload = number.filter(|_| extended != 0).unwrap_or(u64::from(second & 0x7f));
        let mask = if masked { header.last_chunk::<4>().copied() } else { None };
        let (last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        Ok(Self { length, payload, last, reserved, opcode, mask })
    }

    /// Whether a frame can begin with this byte: a known opcode, control frames whole and without reserved bits, and
    /// of the reserved bits only the one that has a meaning (RFC 7692).
    const fn is_possible(first: u8) -> bool {
        match first & 0x0f {
            0 => first & 0x70 == 0,
            1 | 2 => first & 0x30 == 0,
            8..=10 => first & 0xf0 == 0x80,
            _ => false,
        }
    }

    const fn is_control(&self) -> bool {
        self.opcode & 0x08 != 0
    }

    /// Appends the payload as it was before masking (RFC 6455 5.3).
    fn unmask(&self, payload: &[u8], output: &mut Vec<u8>) {
        match self.mask {
            None => output.extend_from_slice(payload),
            Some(mask) => {
                output.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key))
            }
        }
    }
}

/// What the first bytes of a stream say about a change from HTTP to WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// They can still become a request or response for one.
    Incomplete,
    /// They are none.
    No,
    /// `GET` with `Upgrade: websocket`, or `HTTP/1.1 101` with it: frames begin after `length` bytes.
    Yes {
        /// Bytes of the HTTP head.
        length: usize,
        /// The subprotocol offered or chosen is `sip` (RFC 7118 4).
        sip: bool,
    },
}

/// The longest HTTP head that is read; what sends more is not about to talk SIP.
const MAX_HTTP_HEAD: usize = 16 * 1024;

/// Reads the HTTP head at the beginning of a stream, at most 16 KiB of it.
#[must_use]
pub fn upgrade(buffer: &[u8]) -> Upgrade {
    let begins = |with: &[u8]| buffer.iter().zip(with).all(|(byte, wanted)| byte == wanted);
    if !begins(REQUEST) && !begins(RESPONSE) {
        return Upgrade::No;
    }
    let window = buffer.get(..MAX_HTTP_HEAD).unwrap_or(buffer);
    let unfinished = if window.len() == buffer.len() { Upgrade::Incomplete } else { Upgrade::No };
    let Some(line) = memchr(b'\n', window).and_then(|end| window.get(..=end)) else { return unfinished };
    if !line.starts_with(RESPONSE) && !line.trim_ascii_end().ends_with(b" HTTP/1.1") {
        return Upgrade::No;
    }
    let mut lines = Lines::new(window, line.len());
    let (mut websocket, mut sip) = (false, false);
    for (name, value) in lines.by_ref().filter_map(split) {
        websocket |= name.eq_ignore_ascii_case(b"Upgrade") && lists(value, b"websocket");
        sip |= name.eq_ignore_ascii_case(b"Sec-WebSocket-Protocol") && lists(value, b"sip");
    }
    match (lines.is_closed(), websocket) {
        (true, true) => Upgrade::Yes { length: lines.position(), sip },
        (true, false) => Upgrade::No,
        (false, _) => unfinished,
    }
}

/// What a client's handshake begins with (RFC 6455 4.1).
const REQUEST: &[u8] = b"GET ";
/// What a server's begins with (RFC 6455 4.2.2).
const RESPONSE: &[u8] = b"HTTP/1.1 101";

/// Whether a comma-separated list has `item` in it, in any case.
fn lists(list: &[u8], item: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|value| value.trim_ascii().eq_ignore_ascii_case(item))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All answers to `stream` and the messages in it, with the stream cut at `cuts`.
    fn run(stream: &[u8], cuts: &[usize], max_message: usize) -> (Vec<Vec<u8>>, Vec<WebSocketFrame>) {
        let (mut socket, mut output) = (WebSocket::new(max_message), Vec::new());
        let (mut messages, mut answers) = (Vec::new(), Vec::new());
        let mut from = 0;
        for &end in cuts.iter().chain([&stream.len()]) {
            loop {
                let answer = socket.next(&stream[from.min(end)..end], &mut output);
                from += match answer {
                    WebSocketFrame::Incomplete { need } => {
                        assert!(need > 0);
                        break;
                    }
                    WebSocketFrame::Invalid => return (messages, answers),
                    WebSocketFrame::Message { length } => {
                        messages.push(std::mem::take(&mut output));
                        length
                    }
                    WebSocketFrame::Fragment { length } | WebSocketFrame::Control { length } => length,
                    WebSocketFrame::Unreadable { header, payload } => {
                        assert!(output.is_empty());
                        header.saturating_add(usize::try_from(payload).unwrap())
                    }
                };
                answers.push(answer);
                if from > end {
                    break;
                }
            }
        }
        (messages, answers)
    }

    /// The examples of RFC 6455 5.7.
    #[test]
    fn examples_of_the_rfc() {
        let hello = b"\x81\x05Hello";
        let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        let fragmented = b"\x01\x03Hel\x80\x02lo";
        let ping = b"\x89\x05Hello\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        for stream in [&hello[..], masked, fragmented] {
            assert_eq!(run(stream, &[], 100).0, [b"Hello"]);
        }
        assert_eq!(run(ping, &[], 100).0, [b""; 0]);
        let answers = run(ping, &[], 100).1;
        assert_eq!(answers, [WebSocketFrame::Control { length: 7 }, WebSocketFrame::Control { length: 11 }]);
        let mut long = b"\x82\x7e\x01\x00".to_vec();
        long.extend([7; 256]);
        assert_eq!(run(&long, &[], 256).0, [[7; 256]]);
        let mut longer = b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00".to_vec();
        longer.extend([7; 65536]);
        assert_eq!(run(&longer, &[], 65536).0, [[7; 65536]]);
    }

    #[test]
    fn control_frames_between_fragments() {
        let stream = b"\x01\x03Hel\x89\x00\x00\x01l\x80\x01o";
        assert_eq!(run(stream, &[], 100).0, [b"Hello"]);
    }

    #[test]
    fn unreadable_messages_go_by_whole() {
        // Too long, compressed, a continuation of nothing; each followed by a message that is seen.
        for stream in [
            &b"\x81\x06Hello!\x81\x02ok"[..],
            b"\x01\x04Hell\x00\x02o!\x80\x01?\x81\x02ok",
            b"\xc1\x05\xf2\x48\xcd\xc9\xc9\x81\x02ok",
            b"\x41\x01\xf2\x80\x04\x48\xcd\xc9\xc9\x81\x02ok",
            b"\x80\x02lo\x81\x02ok",
            b"\x00\x02lo\x80\x02lo\x81\x02ok",
            b"\x01\x03Hel\x81\x02ok",
        ] {
            assert_eq!(run(stream, &[], 5).0, [b"ok"], "{stream:x?}");
        }
        let huge = b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff";
        let answer = WebSocket::new(100).next(huge, &mut Vec::new());
        assert_eq!(answer, WebSocketFrame::Unreadable { header: 10, payload: u64::MAX >> 1 });
    }

    #[test]
    fn refuses_what_is_no_frame() {
        for bytes in [
            &b"\x83"[..],
            b"\x8b",
            b"\xa1",
            b"\x09",
            b"\x89\x7e",
            b"\xc9",
            b"INVITE",
            b"\x81\xff\x80\0\0\0\0\0\0\0",
        ] {
            assert_eq!(
                WebSocket::new(100).next(bytes, &mut Vec::new()),
                WebSocketFrame::Invalid,
                "{bytes:x?}"
            );
        }
        assert_eq!(WebSocket::new(100).next(b"", &mut Vec::new()), WebSocketFrame::Incomplete { need: 2 });
        assert_eq!(
            WebSocket::new(100).next(b"\x81\xfe\0", &mut Vec::new()),
            WebSocketFrame::Incomplete { need: 5 }
        );
        assert_eq!(
            WebSocket::new(100).next(b"\x81\x05He", &mut Vec::new()),
            WebSocketFrame::Incomplete { need: 3 }
        );
    }

    /// The handshake of RFC 7118 4.1.
    #[test]
    fn handshake() {
        let request =
            b"GET / HTTP/1.1\r\nHost: sip-ws.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://www.example.com\r\n\
            Sec-WebSocket-Protocol: chat, sip\r\nSec-WebSocket-Version: 13\r\n\r\n";
        let response = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(upgrade(request), Upgrade::Yes { length: request.len(), sip: true });
        assert_eq!(upgrade(response), Upgrade::Yes { length: response.len(), sip: false });
        for end in 0..request.len() {
            assert_eq!(upgrade(&request[..end]), Upgrade::Incomplete, "{end}");
        }
        for no in [
            &b"GET / HTTP/1.0\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GETS",
            b"POST / HTTP/1.1\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"INVITE sip:a@b SIP/2.0\r\n",
        ] {
            assert_eq!(upgrade(no), Upgrade::No);
        }
        let endless = [b"GET / HTTP/1.1\r\n".to_vec(), b"X: y\r\n".repeat(MAX_HTTP_HEAD / 6)].concat();
        assert_eq!(upgrade(&endless), Upgrade::No);
    }

    proptest! {
        #[test]
        fn messages_do_not_depend_on_cuts(
            frames in prop::collection::vec((0u8..6, any::<bool>(), 0usize..300, any::<[u8; 4]>()), 0..12),
            mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut stream = Vec::new();
            for (kind, masked, length, mask) in frames {
                stream.push([0x81, 0x02, 0x00, 0x80, 0xc1, 0x89][usize::from(kind)]);
                let length = if kind == 5 { length % 126 } else { length };
                let bit = if masked { 0x80 } else { 0 };
                match u8::try_from(length) {
                    Ok(short @ 0..126) => stream.push(bit | short),
                    _ => stream.extend([bit | 126, (length >> 8) as u8, length as u8]),
                }
                stream.extend(masked.then_some(mask).into_iter().flatten());
                stream.extend((0..length).map(|at| at as u8));
            }
            let mut ends: Vec<usize> = cuts.drain(..).map(|cut| cut.index(stream.len() + 1)).collect();
            ends.sort_unstable();
            let whole = run(&stream, &[], 400);
            prop_assert_eq!(&run(&stream, &ends, 400), &whole);
            let every: Vec<usize> = (0..stream.len()).collect();
            prop_assert_eq!(&run(&stream, &every, 400), &whole);
        }

        #[test]
        fn takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut output = Vec::new();
            WebSocket::new(100).next(&bytes, &mut output);
            prop_assert!(output.len() <= 100);
            let _ = upgrade(&bytes);
        }
    }
}
