//! What a message's start line and header fields say, as places in the message.

use std::fmt;

use super::header::{
    Name, NameAddress, content_length, cut, digits, first_value, is_token, parameter, split, unfold,
};
use super::keys::Keys;
use super::method::Method;
use super::plain::{self, is_trim};
use super::search::{LineFeeds, after, first_word, line_end};
use super::start_line::{Glimpse, StartLine, start_of_line};

/// A range of bytes of a message: offset and length. Empty when the thing is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset from the message's first byte.
    pub start: u32,
    /// Length in bytes.
    pub length: u32,
}

impl Span {
    /// The bytes in `message`; empty should they lie outside.
    #[must_use]
    #[inline]
    pub fn of(self, message: &[u8]) -> &[u8] {
        let start = self.start as usize;
        message.get(start..start.saturating_add(self.length as usize)).unwrap_or_default()
    }

    /// Where `part`, a piece of `message`, lies in it; the empty span when it is empty.
    #[must_use]
    #[inline]
    pub(super) fn between(message: &[u8], part: &[u8]) -> Self {
        if part.is_empty() {
            return Self::default();
        }
        let start = part.as_ptr().addr().wrapping_sub(message.as_ptr().addr());
        Self { start: start as u32, length: part.len() as u32 }
    }

    /// Whether the thing is absent (or present and empty).
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.length == 0
    }
}

/// The Content-Length header field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentLength {
    /// Not there.
    #[default]
    Missing,
    /// Not a number, or several that disagree.
    Invalid,
    /// As given.
    Given(u64),
}

impl ContentLength {
    /// What is known when one more field of that name says `value`: the same again is no contradiction.
    #[must_use]
    pub fn and(self, value: &[u8]) -> Self {
        match (self, content_length(value)) {
            (Self::Missing, Some(length)) => Self::Given(length),
            (Self::Given(before), Some(length)) if before == length => self,
            _ => Self::Invalid,
        }
    }
}

/// What is wrong with a message that was still taken.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults(pub u16);

impl Faults {
    /// Content-Length is not a number or contradicts itself, or is missing where a stream needs it.
    pub const CONTENT_LENGTH: Self = Self(1);
    /// A datagram is shorter than its Content-Length says.
    pub const TRUNCATED: Self = Self(1 << 1);
    /// A datagram has bytes after its body; they are ignored (RFC 3261 18.3).
    pub const EXTRA_BYTES: Self = Self(1 << 2);
    /// No Call-ID.
    pub const NO_CALL_ID: Self = Self(1 << 3);
    /// No CSeq, or one that is not a number (below 2^31) and a method.
    pub const CSEQ: Self = Self(1 << 4);
    /// The CSeq method is not the request's.
    pub const CSEQ_METHOD: Self = Self(1 << 5);
    /// No Via, From or To.
    pub const MISSING_HEADER: Self = Self(1 << 6);
    /// The header section is not closed by an empty line.
    pub const UNTERMINATED: Self = Self(1 << 7);
    /// The start line breaks the grammar (RFC 4475 3.1.2).
    pub const START_LINE: Self = Self(1 << 8);
    /// From, To or another header breaks the grammar.
    pub const HEADER: Self = Self(1 << 9);

    /// Whether any of `other`'s faults is here.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds a fault.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faults({:#x})", self.0)
    }
}

/// Which of the fields that few messages have, and fewer are asked for, a message has: their values are looked for when
/// they are wanted ([`super::header::values`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rare(u8);

impl Rare {
    /// RSeq (RFC 3262 7.1).
    pub const RSEQ: Self = Self(1);
    /// Session-Expires (RFC 4028 4).
    pub const SESSION_EXPIRES: Self = Self(1 << 1);
    /// Replaces (RFC 3891).
    pub const REPLACES: Self = Self(1 << 2);
    /// One that tells of the other legs of a session: X-Call-ID, X-CID, Session-ID (RFC 7989), P-Charging-Vector
    /// (RFC 7315), Diversion (RFC 5806), History-Info (RFC 7044).
    pub const OTHER_LEGS: Self = Self(1 << 3);
    /// A second Contact field.
    pub const MORE_CONTACTS: Self = Self(1 << 4);

    /// Whether the field of `other` is there.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// A parsed message head. All spans are relative to the message's first byte. Where a header field may stand
/// several times, the span is that of the first value. By default it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub start: StartLine,
    /// Call-ID.
    pub call_id: Span,
    /// The whole From value.
    pub from: Span,
    /// The URI in From, without brackets and header parameters.
    pub from_uri: Span,
    /// The tag parameter of From.
    pub from_tag: Span,
    /// The whole To value.
    pub to: Span,
    /// The URI in To.
    pub to_uri: Span,
    /// The tag parameter of To.
    pub to_tag: Span,
    /// The topmost Via value.
    pub via: Span,
    /// The branch parameter of the topmost Via.
    pub branch: Span,
    /// CSeq number.
    pub cseq: u32,
    /// CSeq method.
    pub cseq_method: Method,
    /// CSeq method as sent.
    pub cseq_token: Span,
    /// The first Contact field, which may list several values; see [`first_value`].
    pub contact: Span,
    /// User-Agent, or else Server.
    pub agent: Span,
    /// Reason (RFC 3326).
    pub reason: Span,
    /// The first P-Asserted-Identity field (RFC 3325), which may list two values.
    pub asserted: Span,
    /// Content-Type.
    pub content_type: Span,
    /// Expires.
    pub expires: Span,
    /// Authorization or Proxy-Authorization is there.
    pub credentials: bool,
    /// Which rare fields are there.
    pub rare: Rare,
    /// Content-Length.
    pub content_length: ContentLength,
    /// The body, as far as it is there.
    pub body: Span,
    /// What is wrong with the message.
    pub faults: Faults,
    /// What its names are known by.
    pub keys: Keys,
}

impl Head {
    /// Whether it is a provisional answer that may be given again at any time, to say that the attempt goes on (RFC 3261
    /// 13.3.1.1): not 100, and none that is sent reliably, which then has a number of its own (RFC 3262 3).
    pub(crate) const fn may_be_given_again(&self) -> bool {
        matches!(self.start, StartLine::Response { status: 101..=199, .. }) && !self.rare.has(Rare::RSEQ)
    }

    /// Whether the body is all that Content-Length says.
    pub(crate) fn has_whole_body(&self) -> bool {
        self.content_length == ContentLength::Given(u64::from(self.body.length))
    }

    /// The message as far as it was read: without what is [not certain](super::certain) of a header section that was cut.
    #[inline]
    pub(crate) fn known<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        let is_open = self.faults.has(Faults::UNTERMINATED);
        let end = if is_open { self.body.start as usize } else { message.len() };
        message.get(..end).unwrap_or_default()
    }

    /// Reads a message's start line and header fields. In a `datagram` the body is what Content-Length says of the
    /// rest, and all of it without one (RFC 3261 18.3); a message out of a stream has been cut to size already.
    /// Line ends before the start line are passed over (RFC 3261 7.5). None when there is no start line.
    #[must_use]
    #[inline]
    pub fn parse(message: &[u8], datagram: bool) -> Option<Self> {
        let mut head = Self::default();
        head.fill(message, Glimpse::NOTHING, datagram).then_some(head)
    }

    /// [`Head::parse`] into an empty head, where it is to stay, with what is known of the start line. False when there
    /// is none.
    #[must_use]
    pub fn fill(&mut self, message: &[u8], known: Glimpse, datagram: bool) -> bool {
        // Nothing is of that size; whatever were behind it, no span could tell.
        let message = message.get(..u32::MAX as usize).unwrap_or(message);
        let Some(begin) = start_of_line(message) else { return false };
        let end = line_end(message, begin).unwrap_or(message.len());
        let known = known.start_line().map(|start| (start, true));
        let read = || StartLine::parse(message, message.get(begin..end).unwrap_or_default());
        let Some((start, conforms)) = known.or_else(read) else { return false };
        self.start = start;
        if !conforms {
            self.faults.add(Faults::START_LINE);
        }
        if self.read::<true>(message, end, |_| true) != Some(true) {
            self.faults.add(Faults::UNTERMINATED);
        }
        self.close(message, datagram);
        true
    }

    /// Begins the head that a stream goes on with, behind a start line of that length: for [`Self::go_on`].
    #[must_use]
    pub(super) fn begin(stream: &[u8], start_line: usize) -> Option<Self> {
        let (start, conforms) = StartLine::parse(stream, stream.get(..start_line)?)?;
        let body = Span { start: start_line as u32, length: 0 };
        let mut head = Self { start, body, ..Self::default() };
        if !conforms {
            head.faults.add(Faults::START_LINE);
        }
        Some(head)
    }

    /// Reads on in a stream that begins with this head, from where its body begins as far as is known, and moves that
    /// behind what it has read: lines that are all there, and of which it is certain that they do not go on. True when the
    /// empty line was met; the head is not closed then. None at a line that is no header field, which it leaves to
    /// others: as long as there is none, there is no doubt where a head ends.
    #[must_use]
    pub(super) fn go_on(&mut self, stream: &[u8]) -> Option<bool> {
        let is_sound =
            |line: &[u8]| cut(line).is_some_and(|(name, _)| name.iter().all(|&byte| is_token(byte)));
        let at = self.body.start as usize;
        self.read::<false>(stream, at, is_sound)
    }

    /// What can be told only when the whole message is there.
    pub(super) fn close(&mut self, message: &[u8], datagram: bool) {
        self.take_body(message, datagram);
        self.check(message);
        self.keys = Keys::of(message, self);
    }

    /// Reads the header fields from `at` on, folded lines in one piece (RFC 3261 7.3.1), and notes where the body
    /// begins, or where it stopped. True when the empty line was met; none when `is_sound` refuses one of the lines that
    /// are not written as nearly everybody writes them. Of what is not `WHOLE` the last line may go on.
    #[inline(always)]
    fn read<const WHOLE: bool>(
        &mut self,
        message: &[u8],
        mut at: usize,
        is_sound: impl Fn(&[u8]) -> bool,
    ) -> Option<bool> {
        let mut word = first_word(message.get(at..)?);
        loop {
            let mut end = match line_end(message, at) {
                Some(end) => end,
                None if WHOLE => message.len(),
                None => return self.stop(at),
            };
            let (mut line, mut rest) = (message.get(at..end)?, message.get(end..)?);
            if line.len() <= 2
                && let [] | [b'\n'] | [b'\r', b'\n'] = line
            {
                self.body.start = end as u32;
                return Some(!line.is_empty());
            }
            let mut next = first_word(rest);
            if next as u8 <= b' ' && matches!(next as u8, b' ' | b'\t') {
                (end, _) = unfold(message, LineFeeds::new(end), end);
                (line, rest) = (message.get(at..end)?, message.get(end..)?);
                next = first_word(rest);
            }
            if !WHOLE && rest.is_empty() {
                return self.stop(at);
            }
            if !self.usual(message, word, line) {
                if !is_sound(line) {
                    self.stop(at);
                    return None;
                }
                self.unusual(message, line);
            }
            (at, word) = (end, next);
        }
    }

    /// Stops before the line at that place.
    const fn stop(&mut self, at: usize) -> Option<bool> {
        self.body.start = at as u32;
        Some(false)
    }

    /// Takes what any line says.
    #[inline(never)]
    fn unusual(&mut self, message: &[u8], line: &[u8]) {
        match split(line) {
            Some((name, value)) => self.field(message, Name::of(name), Span::between(message, value)),
            None => self.faults.add(Faults::HEADER),
        }
    }

    /// Takes what a line says that is as nearly everybody writes it, told by its first eight bytes, `word`, where [`split`]
    /// searches the colon and [`Name::of`] looks at every letter twice. False for what is spelt otherwise. A field is told
    /// once: each has its own way from here on.
    #[inline(always)]
    fn usual(&mut self, message: &[u8], word: u64, line: &[u8]) -> bool {
        match word as u8 {
            b'V' if begins(word, b"Via:") => self.take(message, Name::Via, line, 4),
            b'F' if begins(word, b"From:") => self.take(message, Name::From, line, 5),
            b'T' if begins(word, b"To:") => self.take(message, Name::To, line, 3),
            b'C' if begins(word, b"CSeq:") => self.take(message, Name::CSeq, line, 5),
            b'C' if begins(word, b"Call-ID:") => self.take(message, Name::CallId, line, 8),
            b'C' if begins(word, b"Contact:") => self.take(message, Name::Contact, line, 8),
            b'C' if begins(word, b"Content-") && goes_on(line, b"Length:") => {
                self.take(message, Name::ContentLength, line, 15);
            }
            b'C' if begins(word, b"Content-") && goes_on(line, b"Type:") => {
                self.take(message, Name::ContentType, line, 13);
            }
            b'U' if begins(word, b"User-Age") && goes_on(line, b"nt:") => {
                self.take(message, Name::UserAgent, line, 11);
            }
            b'P' if begins(word, b"P-Assert") && goes_on(line, b"ed-Identity:") => {
                self.take(message, Name::AssertedIdentity, line, 20);
            }
            b'S' if begins(word, b"Server:") => self.take(message, Name::Server, line, 7),
            b'E' if begins(word, b"Expires:") => self.take(message, Name::Expires, line, 8),
            b'S' if begins(word, b"Session-") && goes_on(line, b"Expires:") => {
                self.take(message, Name::SessionExpires, line, 16);
            }
            // Fields that many messages have and nothing here reads: not worth the search for the colon.
            b'M' if begins(word, b"Max-Forw") && goes_on(line, b"ards:") => {}
            b'A' if begins(word, b"Allow:") => {}
            b'S' if begins(word, b"Supporte") && goes_on(line, b"d:") => {}
            b'R' if begins(word, b"Record-R") && goes_on(line, b"oute:") => {}
            b'R' if begins(word, b"Route:") || begins(word, b"Require:") => {}
            b'I' if begins(word, b"Identity") && goes_on(line, b":") => {}
            b'P' if begins(word, b"Proxy-Au") && goes_on(line, b"thenticate:") => {}
            b'P' if begins(word, b"Proxy-Au") && goes_on(line, b"thorization:") => {
                self.take(message, Name::ProxyAuthorization, line, 20);
            }
            b'A' if begins(word, b"Authoriz") && goes_on(line, b"ation:") => {
                self.take(message, Name::Authorization, line, 14);
            }
            b'W' if begins(word, b"WWW-Auth") && goes_on(line, b"enticate:") => {}
            _ => return false,
        }
        true
    }

    /// Takes what a line says behind the `length` bytes of its field's name and the colon.
    #[inline(always)]
    fn take(&mut self, message: &[u8], name: Name, line: &[u8], length: usize) {
        self.field(message, name, trimmed(message, line, length));
    }

    /// Takes what one header field says.
    #[inline(always)]
    fn field(&mut self, message: &[u8], name: Name, value: Span) {
        match name {
            Name::CallId => {
                if self.is_first(self.call_id, value) {
                    self.call_id = value;
                }
            }
            Name::From => {
                if self.is_first(self.from, value) {
                    self.from = value;
                    (self.from_uri, self.from_tag) = self.party(message, value);
                }
            }
            Name::To => {
                if self.is_first(self.to, value) {
                    self.to = value;
                    (self.to_uri, self.to_tag) = self.party(message, value);
                }
            }
            Name::CSeq => {
                if self.is_first(self.cseq_token, value) {
                    self.sequence(message, value.of(message));
                }
            }
            Name::Via if self.via.is_empty() => self.topmost(message, value),
            Name::Contact if self.contact.is_empty() => self.contact = value,
            Name::Contact => self.rare.add(Rare::MORE_CONTACTS),
            Name::ContentType => first(&mut self.content_type, value),
            Name::ContentLength => self.content_length = self.content_length.and(value.of(message)),
            // A request has a User-Agent, a response a Server; who sends both means the first by itself.
            Name::UserAgent => self.agent = value,
            Name::Server => first(&mut self.agent, value),
            Name::Reason => first(&mut self.reason, value),
            Name::AssertedIdentity => first(&mut self.asserted, value),
            Name::Expires => first(&mut self.expires, value),
            Name::Authorization | Name::ProxyAuthorization => self.credentials = true,
            Name::RSeq => self.rare.add(Rare::RSEQ),
            Name::SessionExpires => self.rare.add(Rare::SESSION_EXPIRES),
            Name::Replaces => self.rare.add(Rare::REPLACES),
            Name::XCallId
            | Name::XCid
            | Name::SessionId
            | Name::ChargingVector
            | Name::Diversion
            | Name::HistoryInfo => self.rare.add(Rare::OTHER_LEGS),
            Name::Via
            | Name::RAck
            | Name::MinSe
            | Name::ReferTo
            | Name::Event
            | Name::SubscriptionState
            | Name::Other => {}
        }
    }

    /// Whether `value` is the first of a field that may stand only once (RFC 4475 3.3.8) and is not empty.
    #[inline]
    fn is_first(&mut self, before: Span, value: Span) -> bool {
        if value.is_empty() || !before.is_empty() {
            self.faults.add(Faults::HEADER);
        }
        before.is_empty()
    }

    /// URI and tag of From or To.
    #[inline]
    fn party(&mut self, message: &[u8], value: Span) -> (Span, Span) {
        if let Some(plain) = plain::party(message, value) {
            return plain;
        }
        self.any_party(message, value.of(message))
    }

    #[inline(never)]
    fn any_party(&mut self, message: &[u8], value: &[u8]) -> (Span, Span) {
        let address = NameAddress::parse(value);
        if !address.sound {
            self.faults.add(Faults::HEADER);
        }
        let tag = parameter(address.parameters, b"tag").unwrap_or_default();
        (Span::between(message, address.uri), Span::between(message, tag))
    }

    /// The first value of the first Via.
    #[inline]
    fn topmost(&mut self, message: &[u8], value: Span) {
        match plain::branch(message, value) {
            Some(branch) => (self.via, self.branch) = (value, branch),
            None => self.any_topmost(message, value.of(message)),
        }
    }

    #[inline(never)]
    fn any_topmost(&mut self, message: &[u8], value: &[u8]) {
        let via = first_value(value);
        let branch = parameter(via, b"branch").unwrap_or_default();
        if via.ends_with(b";") {
            self.faults.add(Faults::HEADER);
        }
        self.via = Span::between(message, via);
        self.branch = Span::between(message, branch);
    }

    /// CSeq: a number below 2^31, white space, a method (RFC 3261 8.1.1.5, 20.16).
    #[inline]
    fn sequence(&mut self, message: &[u8], value: &[u8]) {
        let (number, method) = digits(value);
        let method = match method {
            [b' ', method @ ..] if is_trim(method) => method,
            _ => method.trim_ascii_start(),
        };
        self.cseq_token = Span::between(message, method);
        self.cseq_method = Method::from_token(method);
        let number = number.and_then(|number| u32::try_from(number).ok()).filter(|&number| number < 1 << 31);
        self.cseq = number.unwrap_or_default();
        let is_sound = self.cseq_method != Method::Other || method.iter().all(|&byte| is_token(byte));
        if number.is_none() || !is_sound {
            self.faults.add(Faults::CSEQ);
        }
    }

    /// The body is what follows the empty line, as far as Content-Length says. Without a Content-Length that can be
    /// believed it is the rest of a datagram (RFC 3261 18.3), and nothing of a stream.
    fn take_body(&mut self, message: &[u8], datagram: bool) {
        let there = message.len().saturating_sub(self.body.start as usize);
        let announced = match self.content_length {
            ContentLength::Given(length) => usize::try_from(length).unwrap_or(usize::MAX),
            _ if datagram => there,
            _ => 0,
        };
        if datagram && announced > there {
            self.faults.add(Faults::TRUNCATED);
        } else if datagram && announced < there {
            self.faults.add(Faults::EXTRA_BYTES);
        }
        let believed = matches!(self.content_length, ContentLength::Given(_));
        if self.content_length == ContentLength::Invalid || (!believed && !datagram) {
            self.faults.add(Faults::CONTENT_LENGTH);
        }
        self.body.length = announced.min(there) as u32;
    }

    /// What can be told only when all fields have been seen.
    fn check(&mut self, message: &[u8]) {
        if self.call_id.is_empty() {
            self.faults.add(Faults::NO_CALL_ID);
        }
        if self.cseq_token.is_empty() {
            self.faults.add(Faults::CSEQ);
        } else if let StartLine::Request { method, token, .. } = self.start
            && (method != self.cseq_method
                || method == Method::Other && token.of(message) != self.cseq_token.of(message))
        {
            self.faults.add(Faults::CSEQ_METHOD);
        }
        if self.via.is_empty() || self.from.is_empty() || self.to.is_empty() {
            self.faults.add(Faults::MISSING_HEADER);
        }
    }
}

/// Whether the first bytes of a line, as [`first_word`] gives them, are those of `name`.
#[inline(always)]
fn begins<const N: usize>(word: u64, name: &[u8; N]) -> bool {
    word.to_le_bytes().first_chunk() == Some(name)
}

/// Whether a line goes on with `rest` behind its first eight bytes.
#[inline(always)]
fn goes_on<const N: usize>(line: &[u8], rest: &[u8; N]) -> bool {
    line.get(8..).is_some_and(|line| after(line, rest).is_some())
}

/// Fills an empty slot.
#[inline]
const fn first(slot: &mut Span, value: Span) {
    if slot.is_empty() {
        *slot = value;
    }
}

/// What a line says behind its first `length` bytes, without the white space around it: most values have one blank
/// before them and their line's end behind.
#[inline(always)]
fn trimmed(message: &[u8], line: &[u8], length: usize) -> Span {
    let value = line.get(length..).unwrap_or_default();
    match value {
        [b' ', b'!'..=b'\xff', .., b'!'..=b'\xff', b'\r', b'\n'] | [b' ', b'!'..=b'\xff', b'\r', b'\n'] => {
            Span::between(message, value.get(1..value.len() - 2).unwrap_or_default())
        }
        _ => trimmed_slowly(message, value),
    }
}

#[inline(never)]
fn trimmed_slowly(message: &[u8], value: &[u8]) -> Span {
    Span::between(message, value.trim_ascii())
}
