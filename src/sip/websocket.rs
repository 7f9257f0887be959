//! WebSocket frames and the HTTP upgrade before them (RFC 6455, RFC 7118).
//!
//! Payload of text and of binary frames alike is SIP (RFC 7118 4.2). Not here: inflating what an extension has
//! compressed (RFC 7692), and checking that text is UTF-8. As in the framer of byte streams, the answers depend on
//! the bytes alone, and more is asked for only where more can help.

use memchr::{memchr, memmem};

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
    message: Fragmented,
}

/// The message between its first frame and its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fragmented {
    No,
    /// Its payload so far is in the output.
    Collected,
    /// One of its frames could not be read, so the others are of no use.
    Skipped,
}

impl WebSocket {
    /// A direction behind its HTTP upgrade. Messages above `max_message` bytes are skipped.
    #[must_use]
    pub const fn new(max_message: usize) -> Self {
        Self { max_message, message: Fragmented::No }
    }

    /// Messages above so many bytes are skipped.
    pub(super) const fn max_message(&self) -> usize {
        self.max_message
    }

    /// Looks at the unconsumed bytes of the stream, from the first; appends the payload of data frames to `output`.
    pub fn next(&mut self, buffer: &[u8], output: &mut Vec<u8>) -> WebSocketFrame {
        if buffer.first().is_some_and(|&first| !self.may_begin(first)) {
            return WebSocketFrame::Invalid;
        }
        let header = match Header::parse(buffer) {
            Ok(header) => header,
            Err(answer) => return answer,
        };
        if !header.is_control() && !self.is_readable(&header, output.len()) {
            output.clear();
            self.message = if header.fin { Fragmented::No } else { Fragmented::Skipped };
            return WebSocketFrame::Unreadable { header: header.length, payload: header.payload };
        }
        // Control frames have 125 bytes at most, readable data is within the limit.
        let length = usize::try_from(header.payload).unwrap_or(usize::MAX).saturating_add(header.length);
        let Some(payload) = buffer.get(header.length..length) else {
            return WebSocketFrame::Incomplete { need: length.saturating_sub(buffer.len()).max(1) };
        };
        if header.is_control() {
            return WebSocketFrame::Control { length };
        }
        unmask(payload, header.mask, output);
        if header.fin {
            self.message = Fragmented::No;
            WebSocketFrame::Message { length }
        } else {
            self.message = Fragmented::Collected;
            WebSocketFrame::Fragment { length }
        }
    }

    /// What follows `buffer`, the beginning of a data frame, will not come: appends what there is of the payload to `output`, and
    /// says how many bytes of it are not there. The caller consumes all; the next frame begins behind those. None when
    /// it is no such frame.
    pub fn cut(&mut self, buffer: &[u8], output: &mut Vec<u8>) -> Option<u64> {
        let header = Header::parse(buffer).ok()?;
        if header.is_control() {
            return None;
        }
        let payload = buffer.get(header.length..)?;
        unmask(payload, header.mask, output);
        self.message = if header.fin { Fragmented::No } else { Fragmented::Skipped };
        Some(header.payload.saturating_sub(payload.len() as u64))
    }

    /// Whether a frame can begin with this byte here (RFC 6455 5.2, 5.4, 5.5).
    const fn may_begin(&self, first: u8) -> bool {
        let fragmented = !matches!(self.message, Fragmented::No);
        match (first & OPCODE, first & RESERVED) {
            (CONTINUATION, 0) => fragmented,
            (TEXT | BINARY, 0 | COMPRESSED) => !fragmented,
            (CLOSE | PING | PONG, 0) => first & FIN != 0,
            _ => false,
        }
    }

    fn is_readable(&self, header: &Header, collected: usize) -> bool {
        let collected = u64::try_from(collected).unwrap_or(u64::MAX);
        let limit = u64::try_from(self.max_message).unwrap_or(u64::MAX);
        self.message != Fragmented::Skipped
            && !header.compressed
            && collected.saturating_add(header.payload) <= limit
    }
}

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
/// The reserved bit that RFC 7692 uses; the first frame of a compressed message has it.
const COMPRESSED: u8 = 0x40;
const OPCODE: u8 = 0x0f;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const MASKED: u8 = 0x80;

/// A frame's header (RFC 6455 5.2).
struct Header {
    fin: bool,
    compressed: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    length: usize,
    payload: u64,
}

impl Header {
    fn parse(buffer: &[u8]) -> Result<Self, WebSocketFrame> {
        let missing =
            |whole: usize| WebSocketFrame::Incomplete { need: whole.saturating_sub(buffer.len()).max(1) };
        let Some((&[first, second], rest)) = buffer.split_first_chunk() else { return Err(missing(2)) };
        let opcode = first & OPCODE;
        let short = second & !MASKED;
        if opcode & CLOSE != 0 && short > 125 {
            return Err(WebSocketFrame::Invalid);
        }
        let mask_length = if second & MASKED == 0 { 0 } else { 4 };
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        // Only 63 bits are a length.
        if extended == 8 && rest.first().is_some_and(|&high| high & 0x80 != 0) {
            return Err(WebSocketFrame::Invalid);
        }
        let length = 2 + extended + mask_length;
        let (Some(number), Some(mask)) = (rest.get(..extended), rest.get(extended..length - 2)) else {
            return Err(missing(length));
        };
        let payload = match extended {
            0 => u64::from(short),
            _ => number.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)),
        };
        let mask = mask.first_chunk().copied();
        Ok(Self { fin: first & FIN != 0, compressed: first & COMPRESSED != 0, opcode, mask, length, payload })
    }

    const fn is_control(&self) -> bool {
        self.opcode & CLOSE != 0
    }
}

/// Appends the payload as it was before masking (RFC 6455 5.3).
fn unmask(payload: &[u8], mask: Option<[u8; 4]>, output: &mut Vec<u8>) {
    let start = output.len();
    output.extend_from_slice(payload);
    let Some(mask) = mask else { return };
    for group in output.get_mut(start..).unwrap_or_default().chunks_mut(mask.len()) {
        for (byte, key) in group.iter_mut().zip(mask) {
            *byte ^= key;
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

/// What an HTTP head may measure.
const MAX_HTTP_HEAD: usize = 16 * 1024;
const REQUEST: &[u8] = b"GET ";
const RESPONSE: &[u8] = b"HTTP/1.1 101";

/// Reads the HTTP head at the beginning of a stream, at most 16 KiB of it.
#[must_use]
pub fn upgrade(buffer: &[u8]) -> Upgrade {
    let begins = |with: &[u8]| buffer.starts_with(with) || with.starts_with(buffer);
    if !begins(REQUEST) && !begins(RESPONSE) {
        return Upgrade::No;
    }
    let window = buffer.get(..MAX_HTTP_HEAD).unwrap_or(buffer);
    let unfinished = if window.len() == MAX_HTTP_HEAD { Upgrade::No } else { Upgrade::Incomplete };
    let Some((line, fields)) = memchr(b'\n', window).and_then(|end| window.split_at_checked(end + 1)) else {
        return unfinished;
    };
    if !is_start_line(line) {
        return Upgrade::No;
    }
    let Some(end) = head_end(fields) else { return unfinished };
    let fields = fields.get(..end).unwrap_or_default();
    if lists(fields, b"Upgrade", b"websocket") {
        Upgrade::Yes { length: line.len() + end, sip: lists(fields, b"Sec-WebSocket-Protocol", b"sip") }
    } else {
        Upgrade::No
    }
}

/// `GET target HTTP/1.1` or `HTTP/1.1 101 reason`.
fn is_start_line(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    match line.strip_prefix(RESPONSE) {
        Some(reason) => matches!(reason.first(), None | Some(b' ')),
        None => line.ends_with(b" HTTP/1.1"),
    }
}

/// Where the header fields end, the empty line included.
fn head_end(fields: &[u8]) -> Option<usize> {
    if let Some(end) = [b"\r\n".as_slice(), b"\n"].into_iter().find(|end| fields.starts_with(end)) {
        return Some(end.len());
    }
    let after = |end: &[u8]| memmem::find(fields, end).map(|at| at + end.len());
    match (after(b"\n\r\n"), after(b"\n\n")) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether one of the fields of this name has the token in its list (RFC 9110 5.6.1), in any case.
fn lists(fields: &[u8], name: &[u8], token: &[u8]) -> bool {
    let mut rest = fields;
    let lines = std::iter::from_fn(|| {
        let (line, behind) = rest.split_at_checked(memchr(b'\n', rest)? + 1)?;
        rest = behind;
        Some(line)
    });
    lines
        .filter_map(|line| line.split_at_checked(name.len()))
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .filter_map(|(_, behind)| behind.trim_ascii_start().strip_prefix(b":"))
        .flat_map(|value| value.split(|&byte| byte == b','))
        .any(|value| value.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 300;

    fn one(bytes: &[u8]) -> (WebSocketFrame, Vec<u8>) {
        let mut output = Vec::new();
        (WebSocket::new(MAX).next(bytes, &mut output), output)
    }

    #[test]
    fn reads_the_examples_of_rfc_6455() {
        // 5.7: single unmasked, single masked, fragmented, ping, pong.
        let hello = b"Hello".to_vec();
        assert_eq!(
            one(b"\x81\x05\x48\x65\x6c\x6c\x6f"),
            (WebSocketFrame::Message { length: 7 }, hello.clone())
        );
        let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(one(masked), (WebSocketFrame::Message { length: 11 }, hello.clone()));
        assert_eq!(one(b"\x89\x05\x48\x65\x6c\x6c\x6f"), (WebSocketFrame::Control { length: 7 }, Vec::new()));
        let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(one(pong), (WebSocketFrame::Control { length: 11 }, Vec::new()));

        let mut socket = WebSocket::new(MAX);
        let mut output = Vec::new();
        let first = socket.next(b"\x01\x03\x48\x65\x6c", &mut output);
        assert_eq!(first, WebSocketFrame::Fragment { length: 5 });
        assert_eq!(socket.next(b"\x89\x00", &mut output), WebSocketFrame::Control { length: 2 });
        let last = socket.next(b"\x80\x02\x6c\x6f", &mut output);
        assert_eq!(last, WebSocketFrame::Message { length: 4 });
        assert_eq!(output, hello);

        // 5.7: 256 bytes in 16 bits of length, 64 KiB in 64.
        let long = [b"\x82\x7e\x01\x00".as_slice(), &[7; 256]].concat();
        assert_eq!(one(&long), (WebSocketFrame::Message { length: 260 }, vec![7; 256]));
        let longer = b"\x82\x7f\0\0\0\0\0\x01\0\0";
        assert_eq!(one(longer).0, WebSocketFrame::Unreadable { header: 10, payload: 65536 });
    }

    #[test]
    fn refuses_what_is_no_frame() {
        let invalid: [&[u8]; 9] = [
            b"\x83",     // reserved data opcode
            b"\x8b",     // reserved control opcode
            b"\xa1",     // reserved bit 2
            b"\xc9",     // compressed control frame
            b"\x09",     // fragmented ping
            b"\x89\x7e", // long ping
            b"\x80",     // continues nothing
            b"\x82\x7f\x80",
            b"SIP/2.0",
        ];
        for bytes in invalid {
            assert_eq!(one(bytes).0, WebSocketFrame::Invalid, "{}", bytes.escape_ascii());
        }
        let mut socket = WebSocket::new(MAX);
        socket.next(b"\x01\x00", &mut Vec::new());
        assert_eq!(socket.next(b"\x81", &mut Vec::new()), WebSocketFrame::Invalid);
    }

    #[test]
    fn skips_the_whole_of_a_message_it_cannot_read() {
        let mut socket = WebSocket::new(4);
        let mut output = Vec::new();
        assert_eq!(socket.next(b"\x01\x03abc", &mut output), WebSocketFrame::Fragment { length: 5 });
        let over = socket.next(b"\x00\x02", &mut output);
        assert_eq!(over, WebSocketFrame::Unreadable { header: 2, payload: 2 });
        assert!(output.is_empty());
        let rest = socket.next(b"\x80\x01", &mut output);
        assert_eq!(rest, WebSocketFrame::Unreadable { header: 2, payload: 1 });
        assert_eq!(socket.next(b"\x81\x01x", &mut output), WebSocketFrame::Message { length: 3 });
        assert_eq!(output, b"x");
        // RFC 7692 7.2.3.1: "Hello", compressed.
        let compressed = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
        output.clear();
        let answer = socket.next(compressed, &mut output);
        assert_eq!(answer, WebSocketFrame::Unreadable { header: 2, payload: 7 });
        let largest = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0";
        let answer = socket.next(largest, &mut output);
        assert_eq!(answer, WebSocketFrame::Unreadable { header: 14, payload: u64::MAX >> 1 });
    }

    // RFC 7118 8.1 and 4.2.
    const GET: &[u8] =
        b"GET / HTTP/1.1\r\nHost: sip-ws.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://www.example.com\r\n\
        Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n";
    const SWITCHING: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade:WebSocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

    #[test]
    fn knows_an_upgrade_from_any_other_http() {
        for head in [GET, SWITCHING] {
            let yes = Upgrade::Yes { length: head.len(), sip: true };
            assert_eq!(upgrade(head), yes);
            assert_eq!(upgrade(&[head, b"\x81\x00\n\n"].concat()), yes);
            for cut in 0..head.len() {
                assert_eq!(upgrade(&head[..cut]), Upgrade::Incomplete, "{}", head[..cut].escape_ascii());
            }
        }
        let chat = b"GET /x HTTP/1.1\nUpgrade: h2c, websocket\nSec-WebSocket-Protocol: chat\n\n";
        assert_eq!(upgrade(chat), Upgrade::Yes { length: chat.len(), sip: false });
        let list = b"GET /x HTTP/1.1\nUpgrade: websocket\nSec-WebSocket-Protocol: chat , SIP\n\nx";
        assert_eq!(upgrade(list), Upgrade::Yes { length: list.len() - 1, sip: true });
        let others: [&[u8]; 7] = [
            b"POST",
            b"HTTP/1.1 200",
            b"HTTP/1.1 1010 x\r\n",
            b"GET / HTTP/1.0\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nX-Upgrade: websocket\r\n\r\n",
            b"INVITE sip:a",
        ];
        for other in others {
            assert_eq!(upgrade(other), Upgrade::No, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn bounds_the_http_head() {
        let mut head = b"GET / HTTP/1.1\r\nCookie: ".to_vec();
        head.resize(MAX_HTTP_HEAD - 1, b'x');
        assert_eq!(upgrade(&head), Upgrade::Incomplete);
        head.push(b'x');
        assert_eq!(upgrade(&head), Upgrade::No);
    }

    fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
        let masked = if mask.is_some() { MASKED } else { 0 };
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(masked | u8::try_from(short).unwrap()),
            long => {
                bytes.push(masked | 126);
                bytes.extend_from_slice(&u16::try_from(long).unwrap().to_be_bytes());
            }
        }
        bytes.extend(mask.into_iter().flatten());
        let key = mask.unwrap_or_default();
        bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// Messages out of a stream that is fed up to each cut; the number of frames of each kind; whether it broke off.
    fn run(stream: &[u8], cuts: impl IntoIterator<Item = usize>) -> (Vec<Vec<u8>>, [usize; 4], usize) {
        let (mut socket, mut output) = (WebSocket::new(MAX), Vec::new());
        let (mut messages, mut kinds, mut consumed, mut not_before) = (Vec::new(), [0; 4], 0_usize, 0);
        for end in cuts.into_iter().chain([stream.len()]) {
            while consumed <= end {
                let answer = socket.next(&stream[consumed..end], &mut output);
                let (kind, length) = match answer {
                    WebSocketFrame::Incomplete { need } => {
                        assert!(need > 0);
                        not_before = end.saturating_add(need);
                        break;
                    }
                    WebSocketFrame::Invalid => return (messages, kinds, consumed),
                    WebSocketFrame::Message { length } => {
                        messages.push(std::mem::take(&mut output));
                        (0, length)
                    }
                    WebSocketFrame::Fragment { length } => (1, length),
                    WebSocketFrame::Control { length } => (2, length),
                    WebSocketFrame::Unreadable { header, payload } => {
                        (3, header.saturating_add(usize::try_from(payload).unwrap()))
                    }
                };
                assert!(end >= not_before, "{answer:?} came before the bytes it was said to need");
                assert!(output.len() <= MAX);
                kinds[kind] += 1;
                consumed = consumed.saturating_add(length);
            }
        }
        (messages, kinds, consumed)
    }

    proptest! {
        #[test]
        fn messages_come_back_in_any_pieces(
            messages in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..150), 1..4), 0..4),
            mask: Option<[u8; 4]>,
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for fragments in &messages {
                for (index, fragment) in fragments.iter().enumerate() {
                    let opcode = if index == 0 { TEXT } else { CONTINUATION };
                    let fin = if index + 1 == fragments.len() { FIN } else { 0 };
                    stream.extend(frame(fin | opcode, mask, fragment));
                    stream.extend(frame(FIN | PING, mask, b"ping"));
                }
                expected.extend(Some(fragments.concat()).filter(|message| message.len() <= MAX));
            }
            let whole = run(&stream, []);
            prop_assert_eq!(&whole.0, &expected);
            prop_assert_eq!(whole.2, stream.len());
            prop_assert_eq!(&whole, &run(&stream, 0..stream.len()));
        }

        #[test]
        fn any_bytes_are_cut_the_same(
            frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..200)), 0..6),
            rest in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let frames = frames.iter().flat_map(|(first, payload)| frame(*first, None, payload));
            let stream: Vec<u8> = frames.chain(rest).collect();
            let whole = run(&stream, []);
            let single = run(&stream, 0..stream.len());
            prop_assert_eq!(whole, single);
        }
    }
}
