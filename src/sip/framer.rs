//! Finding messages in a stream (RFC 3261 18.3).
//!
//! Which frames come out depends on the stream's bytes alone, not on how they were cut: every decision is taken
//! from a prefix of the stream and is the same for all longer ones. (How the bytes of one run of rubbish are spread
//! over `NotSip` answers is the one thing that differs.) "More is needed" is said only where more could make a
//! message; every byte is looked at a bounded number of times, however small the pieces it comes in.
//!
//! Between messages, the next byte begins a start line and much is forgiven. After a hole, after rubbish and after
//! a message whose length nobody knows the framer searches: the next message begins where, anywhere in a line, there
//! is a start line with a registered method, followed by nothing but header fields, Via, Call-ID and CSeq among
//! them. Of several starts in one line the last is taken, for what stands before it is the end of a body.

mod header_section;
mod start_line;

use memchr::memchr_iter;

use self::start_line::{keyword_before, keyword_begun};
use crate::sip::header::is_token;
use crate::sip::search::memchr;
use crate::sip::start_line::{Glimpse, plain_request, start_of_line};
use crate::sip::{ContentLength, Head, StartLine};

/// What the unconsumed bytes of a stream begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole message: `head` bytes with the empty line, `length` bytes with the body.
    Message {
        /// Bytes from the start line to the end of the empty line.
        head: usize,
        /// Bytes of the whole message; consume them.
        length: usize,
    },
    /// A whole head whose body is larger than the limit: consume the head, then skip `body` bytes by count
    /// without asking again until they are through.
    Oversize {
        /// Bytes from the start line to the end of the empty line; consume them.
        head: usize,
        /// Bytes of the stream to skip after the head; never to be buffered.
        body: u64,
    },
    /// At least `need` more bytes (never 0) before asking again can help. Keep what is there.
    Incomplete {
        /// Bytes to wait for.
        need: usize,
    },
    /// One line end between messages (RFC 3261 7.5, RFC 5626 3.5.1): consume.
    KeepAlive {
        /// 2 for CRLF, 1 for a lone LF.
        length: usize,
    },
    /// Not SIP: drop these bytes and ask again.
    NotSip {
        /// Bytes to drop, at least 1.
        skip: usize,
    },
}

/// Finds the messages of one direction of a stream.
#[derive(Clone, Debug)]
pub struct Framer {
    max_message: usize,
    searching: bool,
    stage: Stage,
    /// The head in front, as far as it was read, when there was no more of it, or of the body.
    begun: Option<Box<Head>>,
    #[cfg(test)]
    work: usize,
}

/// What is known of the bytes in front, so that none is looked at again when more have come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Nothing.
    Between,
    StartLine(start_line::Reader),
    HeaderSection(header_section::Reader),
    /// A whole head.
    Body {
        head: usize,
        length: ContentLength,
    },
}

/// What a look at the bytes in front led to.
enum Step {
    /// So many of them are not SIP; look again behind them. After 0 the framer is in another state.
    Skip(usize),
    /// Look again at the same bytes, of which more is known.
    Again,
    Wait(usize),
    Found(Frame),
}

impl Framer {
    /// A framer at the beginning of a stream. Bodies above `max_message` bytes are not to be buffered.
    #[must_use]
    pub const fn new(max_message: usize) -> Self {
        Self {
            max_message,
            searching: false,
            stage: Stage::Between,
            begun: None,
            #[cfg(test)]
            work: 0,
        }
    }

    /// A hole or a mid-stream join: the next message begins at the next start line, wherever that is. The caller
    /// drops what it still held from before the hole.
    pub fn resynchronise(&mut self) {
        self.searching = true;
        self.stage = Stage::Between;
        self.begun = None;
    }

    /// Bytes that it holds of a message that has begun.
    #[must_use]
    pub const fn held(&self) -> usize {
        if self.begun.is_some() { size_of::<Head>() } else { 0 }
    }

    /// Whether the next bytes are expected to be a start line or a keep-alive.
    #[must_use]
    pub const fn is_synchronised(&self) -> bool {
        !self.searching
    }

    /// Looks at the unconsumed bytes of the stream, from the first. The caller consumes what the answer says and
    /// asks again, with everything not consumed still in front.
    pub fn next(&mut self, buffer: &[u8]) -> Frame {
        self.next_with_head(buffer, &mut None)
    }

    /// As [`Framer::next`]. Of a [`Frame::Message`] or [`Frame::Oversize`], `parsed` is the head if it was read on the way.
    pub(super) fn next_with_head(&mut self, buffer: &[u8], parsed: &mut Option<Head>) -> Frame {
        let mut skip = 0;
        loop {
            match self.step(buffer.get(skip..).unwrap_or_default(), parsed) {
                Step::Skip(more) => skip += more,
                Step::Again => {}
                // What is known of the bytes behind those to be skipped is kept for the next call.
                Step::Wait(_) | Step::Found(_) if skip > 0 => {
                    self.put_off(parsed);
                    return Frame::NotSip { skip };
                }
                Step::Wait(need) => {
                    self.put_off(parsed);
                    return Frame::Incomplete { need };
                }
                Step::Found(frame) => {
                    if parsed.is_none() {
                        *parsed = self.begun.take().map(|head| *head);
                    }
                    return self.hand_out(frame);
                }
            }
        }
    }

    /// What follows `buffer` will not come. When it is a whole head with a part of the body, says how many bytes of that are not
    /// there, with the head if it was read on the way: the caller consumes all, and the next message begins behind those.
    pub(super) fn cut(&mut self, buffer: &[u8]) -> Option<(Option<Head>, u64)> {
        let Stage::Body { head, length: ContentLength::Given(body) } = self.stage else { return None };
        (self.searching, self.stage) = (false, Stage::Between);
        let whole = body.saturating_add(head as u64);
        Some((self.begun.take().map(|head| *head), whole.saturating_sub(buffer.len() as u64)))
    }

    /// Whether the unconsumed bytes begin with a start line and a part of a head.
    pub(super) const fn is_in_head(&self) -> bool {
        matches!(self.stage, Stage::HeaderSection(_))
    }

    /// Keeps a head of which the message is not all there.
    fn put_off(&mut self, parsed: &mut Option<Head>) {
        if let Some(head) = parsed.take() {
            self.begun = Some(Box::new(head));
        }
    }

    fn hand_out(&mut self, frame: Frame) -> Frame {
        if let Stage::Body { length, .. } = self.stage {
            self.searching = !matches!(length, ContentLength::Given(_));
        }
        self.stage = Stage::Between;
        frame
    }

    fn step(&mut self, bytes: &[u8], parsed: &mut Option<Head>) -> Step {
        match self.stage {
            Stage::Between if self.searching => self.search(bytes),
            Stage::Between => self.between(bytes, parsed),
            Stage::StartLine(reader) => self.start_line(reader, bytes),
            Stage::HeaderSection(reader) => self.header_section(reader, bytes, parsed),
            Stage::Body { head, length } => self.body(head, length, bytes),
        }
    }

    fn between(&mut self, bytes: &[u8], parsed: &mut Option<Head>) -> Step {
        match bytes {
            [] | [b'\r'] => Step::Wait(1),
            [b'\n', ..] => Step::Found(Frame::KeepAlive { length: 1 }),
            [b'\r', b'\n', ..] => Step::Found(Frame::KeepAlive { length: 2 }),
            _ => {
                let window = bytes.get(..header_section::MAX_HEAD).unwrap_or(bytes);
                *parsed = start_line::ordinary(window).and_then(|length| Head::begin(window, length));
                let Some(head) = parsed else {
                    self.stage = Stage::StartLine(start_line::Reader::lenient());
                    return Step::Again;
                };
                self.stage =
                    Stage::HeaderSection(header_section::Reader::new(head.body.start as usize, false));
                match self.go_on(head, window) {
                    Some(true) => {}
                    Some(false) => self.put_off(parsed),
                    None => *parsed = None,
                }
                Step::Again
            }
        }
    }

    /// Reads on in a head that is made of header fields and nothing else so far; see [`Head::go_on`].
    #[inline(always)]
    fn go_on(&mut self, head: &mut Head, window: &[u8]) -> Option<bool> {
        let from = head.body.start as usize;
        let is_whole = head.go_on(window);
        let at = head.body.start as usize;
        self.count(at - from);
        let length = head.content_length;
        match is_whole {
            Some(true) => self.stage = Stage::Body { head: at, length },
            Some(false) if at == from => {}
            _ => self.stage = Stage::HeaderSection(header_section::Reader::behind(at, length)),
        }
        is_whole
    }

    /// The same where it is seldom asked for: such code is large.
    #[inline(never)]
    fn go_on_apart(&mut self, head: &mut Head, window: &[u8]) -> Option<bool> {
        self.go_on(head, window)
    }

    /// Goes to the next place where a start line can begin. Its first word ends with a space.
    fn search(&mut self, bytes: &[u8]) -> Step {
        let found = memchr_iter(b' ', bytes).find_map(|space| {
            let keyword = keyword_before(bytes.get(..space)?)?;
            Some((space - keyword.len(), keyword))
        });
        let skip = match found {
            Some((start, keyword)) => {
                self.stage = Stage::StartLine(start_line::Reader::strict(keyword));
                start
            }
            None => bytes.len() - keyword_begun(bytes),
        };
        self.count(skip);
        match (found, skip) {
            (None, 0) => Step::Wait(1),
            _ => Step::Skip(skip),
        }
    }

    fn start_line(&mut self, mut reader: start_line::Reader, bytes: &[u8]) -> Step {
        let from = reader.at();
        let answer = reader.read(bytes);
        self.count(reader.at() - from);
        match answer {
            start_line::Progress::More => {
                self.stage = Stage::StartLine(reader);
                Step::Wait(1)
            }
            start_line::Progress::Complete(end) => {
                self.stage = Stage::HeaderSection(header_section::Reader::new(end, self.searching));
                Step::Again
            }
            start_line::Progress::Never => self.refuse_start_line(bytes),
        }
    }

    fn refuse_start_line(&mut self, bytes: &[u8]) -> Step {
        let was_searching = self.searching;
        self.resynchronise();
        // What begins with a keyword was found by it; the next can begin in the word behind it.
        let word = || bytes.iter().position(|&byte| byte == b' ').unwrap_or(0);
        Step::Skip(if was_searching { word() } else { 0 })
    }

    fn header_section(
        &mut self,
        mut reader: header_section::Reader,
        bytes: &[u8],
        parsed: &mut Option<Head>,
    ) -> Step {
        if let Some(mut head) = self.begun.take() {
            let window = bytes.get(..header_section::MAX_HEAD).unwrap_or(bytes);
            let unseen = window.get(reader.at()..).unwrap_or_default();
            let has_line = memchr(b'\n', unseen).is_some();
            match if has_line { self.go_on_apart(&mut head, window) } else { Some(false) } {
                Some(true) => {
                    *parsed = Some(*head);
                    return Step::Again;
                }
                Some(false) => self.begun = Some(head),
                None => {}
            }
            if let Stage::HeaderSection(moved) = self.stage {
                reader = moved;
            }
        }
        let from = reader.at();
        let answer = reader.read(bytes);
        self.count(reader.at() - from);
        match answer {
            header_section::Progress::More => {
                self.stage = Stage::HeaderSection(reader);
                Step::Wait(1)
            }
            header_section::Progress::Complete(head) => {
                self.begun = None;
                self.stage = Stage::Body { head, length: reader.content_length() };
                Step::Again
            }
            header_section::Progress::Never(skip) => {
                self.resynchronise();
                Step::Skip(skip)
            }
        }
    }

    fn body(&self, head: usize, length: ContentLength, bytes: &[u8]) -> Step {
        let body = match length {
            ContentLength::Given(body) => body,
            // Nobody can tell where it ends (RFC 3261 18.3): it goes by as rubbish.
            ContentLength::Missing | ContentLength::Invalid => 0,
        };
        let Some(small) = usize::try_from(body).ok().filter(|&body| body <= self.max_message) else {
            return Step::Found(Frame::Oversize { head, body });
        };
        let length = head.saturating_add(small);
        match length.checked_sub(bytes.len()) {
            None | Some(0) => Step::Found(Frame::Message { head, length }),
            Some(need) => Step::Wait(need),
        }
    }

    /// Work is proportional to the bytes of the stream: the tests hold it to that.
    const fn count(&mut self, bytes: usize) {
        #[cfg(test)]
        {
            self.work += bytes;
        }
        let _ = bytes;
    }
}

/// What the first bytes of a stream look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A SIP start line.
    Sip,
    /// Something that can never become one.
    NotSip,
    /// A prefix of something that can still become one (or nothing but line ends).
    NeedMore,
}

/// Whether a stream's first bytes are a SIP start line, after any number of line ends.
#[must_use]
pub fn probe(bytes: &[u8]) -> Probe {
    let mut rest = bytes;
    while let [b'\n', behind @ ..] | [b'\r', b'\n', behind @ ..] = rest {
        rest = behind;
    }
    if rest == b"\r" {
        return Probe::NeedMore;
    }
    match start_line::Reader::lenient().read(rest) {
        start_line::Progress::More => Probe::NeedMore,
        start_line::Progress::Complete(_) => Probe::Sip,
        start_line::Progress::Never => Probe::NotSip,
    }
}

/// Whether a datagram begins with a SIP start line, after any number of line ends: whether [`crate::sip::Head::parse`]
/// takes it. A datagram ends its last line; media and most else is told apart by its first byte.
#[must_use]
#[inline(always)]
pub fn is_sip_datagram(payload: &[u8]) -> bool {
    sip_datagram(payload).is_some()
}

/// The same, with what was read of the start line.
#[must_use]
#[inline(always)]
pub fn sip_datagram(payload: &[u8]) -> Option<Glimpse> {
    if may_begin_sip(payload) { begins_sip(payload) } else { None }
}

#[inline(never)]
fn begins_sip(payload: &[u8]) -> Option<Glimpse> {
    // Nearly all messages are told by their first bytes.
    if let [b'S', b'I', b'P', b'/', b'2', b'.', b'0', b' ', b'1'..=b'6', b'0'..=b'9', b'0'..=b'9', b' ', ..] =
        payload
    {
        return Some(Glimpse::NOTHING);
    }
    if let Some(request) = plain_request(payload) {
        return Some(Glimpse::of(request));
    }
    let line = payload.get(start_of_line(payload)?..)?;
    let line = line.get(..=memchr(b'\n', line).unwrap_or(line.len())).unwrap_or(line);
    StartLine::parse(payload, line).map(|_| Glimpse::NOTHING)
}

/// Whether the first three bytes can begin a start line, or stand before one: most of what is binary needs no further
/// look. The shortest start line there can be is `A b SIP/2.0`.
#[must_use]
#[inline(always)]
pub fn may_begin_sip(payload: &[u8]) -> bool {
    let is_blank = |byte: u8| matches!(byte, b' ' | b'\t');
    match *payload {
        // Most media is told by one comparison.
        [0x80..=0xff, ..] => false,
        [b'\r' | b'\n', ..] => true,
        [first, second, third, ..] => {
            is_token(first) && (is_blank(second) || is_token(second) && (is_token(third) || is_blank(third)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 1000;
    const INVITE: &[u8] =
        b"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a.example.com;branch=z9hG4bK1\r\n\
        Call-ID: 1@a\r\nCSeq: 1 INVITE\r\nContent-Length: 5\r\n\r\nhello";
    const OK: &[u8] = b"SIP/2.0 200 OK\nv: SIP/2.0/TCP a\ni: 1@a\nCSEQ : 1 INVITE\nl: 0\n\n";
    const NO_LENGTH: &[u8] = b"BYE sip:a SIP/2.0\r\nVia: x\r\ni: 1\r\nCSeq: 2 BYE\r\n\r\n";

    /// What came out, by place in the stream; neighbouring rubbish in one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Event {
        Message { at: usize, head: usize, length: usize },
        Oversize { at: usize, head: usize, body: u64 },
        KeepAlive { at: usize, length: usize },
        Rubbish { at: usize, end: usize },
    }

    struct Run {
        events: Vec<Event>,
        consumed: usize,
        framer: Framer,
    }

    impl Run {
        fn push(&mut self, frame: Frame) {
            let at = self.consumed;
            let (event, length) = match frame {
                Frame::Message { head, length } => (Event::Message { at, head, length }, length),
                Frame::Oversize { head, body } => {
                    (Event::Oversize { at, head, body }, head.saturating_add(usize::try_from(body).unwrap()))
                }
                Frame::KeepAlive { length } => (Event::KeepAlive { at, length }, length),
                Frame::NotSip { skip } => (Event::Rubbish { at, end: at + skip }, skip),
                Frame::Incomplete { .. } => unreachable!(),
            };
            assert!(length > 0, "{frame:?}");
            self.consumed = self.consumed.saturating_add(length);
            match (self.events.last_mut(), event) {
                (Some(Event::Rubbish { end, .. }), Event::Rubbish { end: later, .. }) => *end = later,
                _ => self.events.push(event),
            }
        }
    }

    /// Feeds the stream up to each of the places in `cuts`, and then whole.
    fn run(stream: &[u8], cuts: impl IntoIterator<Item = usize>, searching: bool) -> Run {
        let mut run = Run { events: Vec::new(), consumed: 0, framer: Framer::new(MAX) };
        if searching {
            run.framer.resynchronise();
        }
        let mut not_before = 0;
        for end in cuts.into_iter().chain([stream.len()]) {
            while run.consumed <= end {
                let frame = run.framer.next(&stream[run.consumed..end]);
                if let Frame::Incomplete { need } = frame {
                    assert!(need > 0);
                    not_before = end.saturating_add(need);
                    break;
                }
                assert!(end >= not_before, "{frame:?} came before the bytes it was said to need");
                run.push(frame);
            }
        }
        run
    }

    fn whole(stream: &[u8], searching: bool) -> Vec<Event> {
        run(stream, [], searching).events
    }

    fn message(at: usize, bytes: &[u8], body: usize) -> Event {
        Event::Message { at, head: bytes.len() - body, length: bytes.len() }
    }

    #[test]
    fn takes_messages_and_keep_alives_in_a_row() {
        let stream = [INVITE, b"\r\n\r\n\n", OK, INVITE].concat();
        let at = INVITE.len();
        let expected = [
            message(0, INVITE, 5),
            Event::KeepAlive { at, length: 2 },
            Event::KeepAlive { at: at + 2, length: 2 },
            Event::KeepAlive { at: at + 4, length: 1 },
            message(at + 5, OK, 0),
            message(at + 5 + OK.len(), INVITE, 5),
        ];
        assert_eq!(whole(&stream, false), expected);
        assert_eq!(run(&stream, 0..stream.len(), false).events, expected);
    }

    #[test]
    fn body_of_unknown_length_goes_by() {
        for body in
            [b"v=0\r\na=x:y\r\n".as_slice(), b"v=0", b"SIP/2.0 200 OK", b"SIP/2.0 200 CANCEL sip:a PR", b"PR"]
        {
            let stream = [NO_LENGTH, body, INVITE, OK].concat();
            let at = NO_LENGTH.len();
            let next = at + body.len();
            let expected = [
                message(0, NO_LENGTH, 0),
                Event::Rubbish { at, end: next },
                message(next, INVITE, 5),
                message(next + INVITE.len(), OK, 0),
            ];
            assert_eq!(whole(&stream, false), expected, "{}", body.escape_ascii());
        }
        let two = [NO_LENGTH, NO_LENGTH].concat();
        assert_eq!(whole(&two, false), [message(0, NO_LENGTH, 0), message(NO_LENGTH.len(), NO_LENGTH, 0)]);
    }

    #[test]
    fn large_body_is_skipped_by_count() {
        let head = b"MESSAGE sip:a SIP/2.0\r\nl: 1001\r\n\r\n";
        let stream = [head.as_slice(), &[b'x'; 1001], OK].concat();
        let oversize = Event::Oversize { at: 0, head: head.len(), body: 1001 };
        assert_eq!(whole(&stream, false), [oversize, message(head.len() + 1001, OK, 0)]);

        let largest = b"MESSAGE sip:a SIP/2.0\r\nl: 4294967295\r\n\r\n";
        let mut framer = Framer::new(MAX);
        let expected = Frame::Oversize { head: largest.len(), body: u64::from(u32::MAX) };
        assert_eq!(framer.next(largest), expected);
        // What no body measures must not make the rest of the stream unseen.
        let hostile = b"MESSAGE sip:a SIP/2.0\r\nl: 18446744073709551615\r\n\r\n";
        let (at, stream) = (hostile.len(), [hostile.as_slice(), OK].concat());
        assert_eq!(whole(&stream, false), [message(0, hostile, 0), message(at, OK, 0)]);
    }

    #[test]
    fn says_how_much_of_a_body_is_missing() {
        let mut framer = Framer::new(MAX);
        assert_eq!(framer.next(&INVITE[..INVITE.len() - 5]), Frame::Incomplete { need: 5 });
        assert_eq!(framer.next(&INVITE[..INVITE.len() - 2]), Frame::Incomplete { need: 2 });
        assert!(framer.is_synchronised());
    }

    /// However it came in, what was read of a head on the way is what the whole message says.
    #[test]
    fn a_head_in_pieces_is_that_of_the_message() {
        let folded =
            b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n ;branch=z9hG4bK2\r\nSubject: x\r\n\ty\r\n\
            f: <sip:b>;tag=1\r\nTo: <sip:a>\r\ni: 2@b\r\nCSeq: 7 OPTIONS\r\nl: 3\r\n\r\nabc";
        for message in [INVITE, OK, folded] {
            let expected = Head::parse(message, false).unwrap();
            let start_line = message.iter().position(|&byte| byte == b'\n').unwrap() + 1;
            let read = |cuts: &mut dyn Iterator<Item = usize>| {
                let mut framer = Framer::new(MAX);
                for end in cuts {
                    let mut parsed = None;
                    let answer = framer.next_with_head(&message[..end], &mut parsed);
                    let is_whole = matches!(answer, Frame::Message { .. });
                    assert_eq!(is_whole, end == message.len(), "{answer:?}");
                    if is_whole {
                        assert_eq!(framer.held(), 0);
                        return parsed;
                    }
                }
                None
            };
            for cut in start_line..message.len() {
                let mut head = read(&mut [cut, message.len()].into_iter()).expect("it was read on the way");
                head.close(message, false);
                assert_eq!(head, expected, "cut at {cut}");
            }
            let bytes = &mut (1..=message.len());
            if let Some(mut head) = read(bytes) {
                head.close(message, false);
                assert_eq!(head, expected, "in single bytes");
            }
        }
    }

    #[test]
    fn message_that_breaks_off_does_not_cost_the_next() {
        let cut = &INVITE[..INVITE.len() - 30];
        let cut = &cut[..cut.iter().rposition(|&byte| byte == b'\n').unwrap() + 1];
        let stream = [cut, INVITE].concat();
        let expected = [Event::Rubbish { at: 0, end: cut.len() }, message(cut.len(), INVITE, 5)];
        assert_eq!(whole(&stream, false), expected);
    }

    #[test]
    fn search_wants_a_whole_message() {
        let rubbish: [&[u8]; 6] = [
            b"INVITE sip:a SIP/2.0\r\nVia: x\r\nCSeq: 1 INVITE\r\n\r\n",
            b"SIP/2.0 200 OK\r\n\r\n",
            b"m: 1\r\nCSeq: 1 INVITE\r\nTo: <sip:a>\r\n\r\n",
            b"NEWMETHOD sip:a SIP/2.0\r\nVia: x\r\ni: 1\r\nCSeq: 1 NEWMETHOD\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\0\0INVITE INVITE ACK SIP/2.0 SIP/2.0 SIP/2.0 2",
        ];
        for rubbish in rubbish {
            let stream = [rubbish, OK].concat();
            let expected = [Event::Rubbish { at: 0, end: rubbish.len() }, message(rubbish.len(), OK, 0)];
            assert_eq!(whole(&stream, true), expected, "{}", rubbish.escape_ascii());
        }
        assert_eq!(whole(OK, true), [message(0, OK, 0)]);
    }

    #[test]
    fn search_keeps_only_what_may_begin_a_message() {
        for (bytes, kept) in
            [(b"xxxxINVI".as_slice(), 4), (b"INVITE x y", 0), (b"xACK sip:", 8), (b"\0\0\0", 0)]
        {
            let mut framer = Framer::new(MAX);
            framer.resynchronise();
            assert_eq!(
                framer.next(bytes),
                Frame::NotSip { skip: bytes.len() - kept },
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn probes() {
        assert_eq!(probe(b""), Probe::NeedMore);
        assert_eq!(probe(b"\r\n\r"), Probe::NeedMore);
        assert_eq!(probe(b"\r\n\nOPTIONS sip:a"), Probe::NeedMore);
        assert_eq!(probe(b"\r\n\r\nOPTIONS sip:a SIP/2.0\r\n"), Probe::Sip);
        assert_eq!(probe(b"\rO"), Probe::NotSip);
        assert_eq!(probe(b"\x16\x03\x01"), Probe::NotSip);
        assert_eq!(probe(b"GET /"), Probe::NotSip);
        assert!(is_sip_datagram(OK));
        assert!(!is_sip_datagram(b"\x80\x00\x00\x01"));
        assert!(!is_sip_datagram(b"\0\0\0\0"));
    }

    proptest! {
        /// The first three bytes never rule out what the whole line would let in.
        #[test]
        fn the_quick_look_loses_nothing(begin in "[ -~\\t\\r\\n\u{80}]{0,4}", rest in prop::sample::select(vec![
            "", "a SIP/2.0\r\n", " a SIP/2.0", "sip:a@b SIP/2.0\n", " <sip:a> sip/2.0", " [::1] SIP/2.0", "/2.0 200 OK",
        ])) {
            let payload = [begin.as_bytes(), rest.as_bytes()].concat();
            prop_assert_eq!(is_sip_datagram(&payload), begins_sip(&payload).is_some());
        }
    }

    /// Looked at by the start line and the header section readers, and passed over by the search.
    #[test]
    fn work_is_linear_in_one_byte_pieces() {
        let attacks: [&[u8]; 9] = [
            b"x",
            b"\r\n",
            b"INVITE ",
            b"SIP/2.0 200 ",
            b"SIP/2.0 200 OKINVITE x SIP/2.0 x",
            b"X: INVITE sip:a SIP/2.0\r\n",
            b"SIP/2.0 200 OK\r\n",
            b"x INVITE sip:a SIP/2.0\r\n \r\n y: CANCEL sip:b SIP/2.0\r\n",
            b"INVITE sip:a SIP/2.0\r\nl: 1\r\nl: 0\r\n\r\n",
        ];
        for attack in attacks {
            for start in
                [b"".as_slice(), b"INVITE sip:a SIP/2.0\r\n", b"INVITE sip:a", b"SIP/2.0 200 OK\r\nx: "]
            {
                let stream = [start, &attack.repeat(150_000 / attack.len())].concat();
                for searching in [false, true] {
                    let run = run(&stream, 0..stream.len(), searching);
                    assert!(
                        run.framer.work <= 4 * stream.len(),
                        "{} times the bytes for {}",
                        run.framer.work / stream.len(),
                        attack.escape_ascii()
                    );
                }
            }
        }
    }

    /// What a stream can be made of: whole, broken and misleading.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let fixed: Vec<&[u8]> = vec![
            INVITE,
            OK,
            NO_LENGTH,
            b"\r\n",
            b"\r",
            b"\n",
            b" ",
            b"SIP/2.0",
            b"PRACK",
            b"INVITE sip:a SIP/2.0\r\n",
            b"INVITE sip:a ",
            b"SIP/2.0 200 OK\r\n",
            b"SIP/2.0 200 OK",
            b"MESSAGE sip:a SIP/2.0\r\nVia: x\r\ni: 1\r\nCSeq: 1 MESSAGE\r\nl: 2000\r\n\r\n",
            b"Via: x\r\n",
            b"Call-ID: x\r\nCSeq: 1 A\r\n",
            b"l: 3\r\n",
            b"Content-Length\r\n : 4\r\n",
            b"\r\n\r\n",
            b"junk line\r\n",
            b"v=0\r\n",
        ];
        prop_oneof![
            8 => prop::sample::select(fixed).prop_map(<[u8]>::to_vec),
            2 => prop::collection::vec(any::<u8>(), 0..20),
            2 => (prop::sample::select(vec![INVITE, OK, NO_LENGTH]), any::<prop::sample::Index>())
                .prop_map(|(message, end)| message[..end.index(message.len())].to_vec()),
            1 => (prop::sample::select(vec![INVITE, OK, NO_LENGTH]), any::<prop::sample::Index>(), any::<u8>())
                .prop_map(|(message, at, byte)| {
                    let mut message = message.to_vec();
                    let at = at.index(message.len());
                    message[at] = byte;
                    message
                }),
        ]
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
    }

    /// Continuations of which one completes any beginning of a message, if it is one.
    fn continuations() -> Vec<Vec<u8>> {
        let fields = b"\r\nVia: x\r\ni: 1\r\nCSeq: 1 A\r\n\r\n";
        let line_ends: [&[u8]; 4] = [b"", b":x", b"\n", b"x"];
        let mut all: Vec<Vec<u8>> = line_ends.iter().map(|end| [end, fields.as_slice()].concat()).collect();
        for line in start_line_texts() {
            all.extend((0..=line.len()).map(|cut| [&line[cut..], fields].concat()));
        }
        all.push(Vec::new());
        all.push(fields[1..].to_vec());
        all.push(b"\n\r\n".to_vec());
        all.push(b"\n".to_vec());
        all.push(b"x SIP/2.0\r\n\r\n".to_vec());
        all
    }

    fn start_line_texts() -> impl Iterator<Item = Vec<u8>> {
        let methods =
            "INVITE PRACK ACK BYE CANCEL REGISTER OPTIONS SUBSCRIBE NOTIFY PUBLISH INFO REFER MESSAGE UPDATE";
        let requests = methods.split(' ').map(|method| format!("{method} sip:a SIP/2.0").into_bytes());
        requests.chain([b"SIP/2.0 200 OK".to_vec()])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn frames_do_not_depend_on_cuts(stream in stream(), mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12), searching: bool) {
            let whole = run(&stream, [], searching);
            let single = run(&stream, 0..stream.len(), searching);
            prop_assert_eq!(&whole.events, &single.events);
            prop_assert_eq!(whole.consumed, single.consumed);
            prop_assert!(single.framer.work <= 4 * stream.len());
            let mut cuts: Vec<usize> = cuts.drain(..).map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            let some = run(&stream, cuts, searching);
            prop_assert_eq!(&whole.events, &some.events);
            prop_assert_eq!(whole.consumed, some.consumed);
            prop_assert_eq!(whole.framer.is_synchronised(), some.framer.is_synchronised());
        }

        #[test]
        fn waits_only_for_what_can_come(stream in stream(), searching: bool) {
            let run = run(&stream, [], searching);
            let Some(rest) = stream.get(run.consumed..).filter(|rest| !rest.is_empty()) else { return Ok(()) };
            let mut framer = run.framer;
            let asked_again = framer.next(rest);
            prop_assert!(matches!(asked_again, Frame::Incomplete { .. }), "{:?}", asked_again);
            let body = [0; MAX];
            let can_come = continuations().iter().any(|more| {
                let answer = framer.clone().next(&[rest, more, &body].concat());
                !matches!(answer, Frame::Incomplete { .. } | Frame::NotSip { .. })
            });
            prop_assert!(can_come, "REST {}", rest.escape_ascii());
        }

        #[test]
        fn finds_every_message_between_rubbish(
            rubbish in prop::collection::vec("[ -@\\[-~\r\n]{0,40}", 1..5),
            messages in prop::collection::vec(prop::sample::select(vec![INVITE, OK]), 5),
        ) {
            // No capital letter, no start line: whatever stands before a message, it is found where it begins.
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (rubbish, message) in rubbish.iter().zip(messages) {
                stream.extend_from_slice(NO_LENGTH);
                stream.extend_from_slice(rubbish.as_bytes());
                expected.push((stream.len(), message.len()));
                stream.extend_from_slice(message);
            }
            let found: Vec<_> = whole(&stream, false)
                .into_iter()
                .filter_map(|event| match event {
                    Event::Message { at, length, .. } => Some((at, length)),
                    _ => None,
                })
                .filter(|&(at, _)| !stream[at..].starts_with(NO_LENGTH))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
