//! From a message's bytes to its [`Head`]: one pass over the header lines, nothing copied.

use memchr::{memchr, memchr2, memchr3};

use super::head::{ContentLength, Faults, Head, Method, Span, StartLine};

impl Head {
    /// Parses a message: start line, header fields, and what is there of the body. `datagram` says that the
    /// message is all of a datagram (RFC 3261 18.3), not cut out of a stream.
    ///
    /// None when it does not begin with a start line (after any line ends).
    #[must_use]
    pub fn parse(message: &[u8], datagram: bool) -> Option<Self> {
        let begin = message.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
        let mut lines = Lines { message, position: begin };
        let first = lines.next_line()?;
        let mut faults = Faults::default();
        let start = start_line(message, first, &mut faults)?;
        let mut fields = Fields { message, head: empty(start), lengths: 0 };
        fields.head.faults = faults;
        let ended = fields.read(&mut lines);
        if !ended {
            fields.head.faults.add(Faults::UNTERMINATED);
        }
        fields.finish(lines.position, datagram);
        Some(fields.head)
    }
}

/// A line of the header section, without its line end: `start..end`.
type Line = (usize, usize);

/// Walks the header section; a folded line (RFC 3261 7.3.1) belongs to the one before.
struct Lines<'a> {
    message: &'a [u8],
    position: usize,
}

impl Lines<'_> {
    #[inline]
    fn next_line(&mut self) -> Option<Line> {
        let start = self.position;
        let rest = self.message.get(start..)?;
        if rest.is_empty() {
            return None;
        }
        let mut end = memchr(b'\n', rest).map_or(self.message.len(), |at| start + at);
        // A line that is followed by white space goes on; an empty line never does.
        while end > start + 1 && matches!(self.message.get(end + 1), Some(b' ' | b'\t')) {
            let next = self.message.get(end + 1..).unwrap_or_default();
            end = memchr(b'\n', next).map_or(self.message.len(), |at| end + 1 + at);
        }
        self.position = (end + 1).min(self.message.len());
        let trimmed = if end > start && self.message.get(end - 1) == Some(&b'\r') { end - 1 } else { end };
        Some((start, trimmed))
    }
}

const fn empty(start: StartLine) -> Head {
    const NONE: Span = Span { start: 0, length: 0 };
    Head {
        start,
        call_id: NONE,
        from: NONE,
        from_uri: NONE,
        from_tag: NONE,
        to: NONE,
        to_uri: NONE,
        to_tag: NONE,
        via: NONE,
        branch: NONE,
        cseq: 0,
        cseq_method: Method::Other,
        cseq_token: NONE,
        contact: NONE,
        agent: NONE,
        reason: NONE,
        asserted: NONE,
        content_type: NONE,
        expires: NONE,
        credentials: false,
        content_length: ContentLength::Missing,
        body: NONE,
        faults: Faults(0),
    }
}

/// Reads `METHOD URI SIP/2.0` or `SIP/2.0 CODE REASON` (RFC 3261 7.1, 7.2). Extra spaces are a fault, not the end.
fn start_line(message: &[u8], (start, end): Line, faults: &mut Faults) -> Option<StartLine> {
    let line = message.get(start..end)?;
    if is_version(line.get(..7)?) {
        return status_line(line, start, faults);
    }
    let token = memchr(b' ', line).filter(|&length| length > 0)?;
    if !line.get(..token)?.iter().all(|&byte| is_token(byte)) {
        return None;
    }
    let trimmed = line.trim_ascii_end();
    let version = trimmed.len().checked_sub(7)?;
    if !is_version(trimmed.get(version..)?) || version <= token {
        return None;
    }
    let between = line.get(token..version)?;
    let uri = between.trim_ascii();
    // One space before and one after, none inside, none at the end (RFC 4475 3.1.2.8 to 3.1.2.10).
    if between.len() != uri.len() + 2 || trimmed.len() != line.len() || memchr2(b' ', b'\t', uri).is_some() {
        faults.add(Faults::START_LINE);
    }
    let lead = between.len() - between.trim_ascii_start().len();
    Some(StartLine::Request {
        method: Method::from_token(line.get(..token)?),
        token: span(start, token),
        uri: span(start + token + lead, uri.len()),
    })
}

fn status_line(line: &[u8], start: usize, faults: &mut Faults) -> Option<StartLine> {
    let rest = line.get(7..)?;
    let code = rest.trim_ascii_start();
    let lead = rest.len() - code.len();
    let digits = code.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if lead == 0 || digits < 3 {
        return None;
    }
    let status = code
        .get(..digits)?
        .iter()
        .fold(0u32, |value, digit| value.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    let reason = code.get(digits..)?;
    if lead != 1 || digits != 3 || !(100..700).contains(&status) || reason.first() != Some(&b' ') {
        faults.add(Faults::START_LINE);
    }
    let phrase = reason.trim_ascii();
    let at = 7 + lead + digits + (reason.len() - reason.trim_ascii_start().len());
    Some(StartLine::Response {
        status: u16::try_from(status).unwrap_or(u16::MAX),
        reason: span(start + at, phrase.len()),
    })
}

/// The header fields on their way into the head.
struct Fields<'a> {
    message: &'a [u8],
    head: Head,
    /// Content-Length fields so far.
    lengths: u32,
}

impl Fields<'_> {
    /// Reads header lines up to the empty one; false when there is none.
    fn read(&mut self, lines: &mut Lines<'_>) -> bool {
        while let Some((start, end)) = lines.next_line() {
            if start == end {
                return true;
            }
            self.line(start, end);
        }
        false
    }

    #[inline]
    fn line(&mut self, start: usize, end: usize) {
        let Some(line) = self.message.get(start..end) else { return };
        let Some(colon) = memchr(b':', line) else {
            self.head.faults.add(Faults::HEADER);
            return;
        };
        let mut length = colon;
        while length > 0 && matches!(line.get(length - 1), Some(b' ' | b'\t')) {
            length -= 1;
        }
        let name = line.get(..length).unwrap_or_default();
        let Some(field) = Field::of(name) else { return };
        let raw = line.get(colon + 1..).unwrap_or_default();
        let value = raw.trim_ascii();
        let lead = raw.len() - raw.trim_ascii_start().len();
        self.field(field, span(start + colon + 1 + lead, value.len()), value);
    }

    fn field(&mut self, field: Field, at: Span, value: &[u8]) {
        let head = &mut self.head;
        match field {
            Field::CallId => first(&mut head.call_id, at),
            Field::From if head.from.is_empty() => {
                head.from = at;
                (head.from_uri, head.from_tag) = name_addr(value, at.start);
            }
            Field::To if head.to.is_empty() => {
                head.to = at;
                (head.to_uri, head.to_tag) = name_addr(value, at.start);
            }
            Field::Via if head.via.is_empty() => {
                let length = value_end(value);
                head.via = Span { start: at.start, length: length as u32 };
                head.branch = parameter(value.get(..length).unwrap_or_default(), b"branch", at.start);
            }
            Field::CSeq if head.cseq_token.is_empty() => self.cseq(at, value),
            Field::Contact => first(&mut head.contact, Span { length: value_end(value) as u32, ..at }),
            Field::UserAgent => head.agent = at,
            Field::Server => first(&mut head.agent, at),
            Field::Reason => first(&mut head.reason, at),
            Field::Asserted => first(&mut head.asserted, Span { length: value_end(value) as u32, ..at }),
            Field::ContentType => first(&mut head.content_type, at),
            Field::Expires => first(&mut head.expires, at),
            Field::Credentials => head.credentials = true,
            Field::ContentLength => self.content_length(value),
            Field::From | Field::To | Field::Via | Field::CSeq => {}
        }
    }

    fn cseq(&mut self, at: Span, value: &[u8]) {
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let rest = value.get(digits..).unwrap_or_default();
        let token = rest.trim_ascii_start();
        let number = decimal(value.get(..digits).unwrap_or_default()).filter(|&number| number < 1 << 31);
        if number.is_none() || token.is_empty() || token.len() == rest.len() {
            self.head.faults.add(Faults::CSEQ);
        }
        self.head.cseq = number.unwrap_or(0) as u32;
        let start = at.start as usize + digits + (rest.len() - token.len());
        self.head.cseq_token = span(start, token.len());
        self.head.cseq_method = Method::from_token(token);
    }

    fn content_length(&mut self, value: &[u8]) {
        self.lengths += 1;
        let given = match decimal(value) {
            Some(length) => ContentLength::Given(length),
            None => ContentLength::Invalid,
        };
        let agrees = self.lengths == 1 || self.head.content_length == given;
        self.head.content_length = if agrees { given } else { ContentLength::Invalid };
    }

    /// Settles the body and what is missing.
    fn finish(&mut self, body: usize, datagram: bool) {
        let head = &mut self.head;
        let there = self.message.len().saturating_sub(body) as u64;
        let announced = match head.content_length {
            ContentLength::Given(length) => length,
            ContentLength::Missing if datagram => there,
            ContentLength::Missing | ContentLength::Invalid => {
                head.faults.add(Faults::CONTENT_LENGTH);
                // A datagram ends its message whatever the field says (RFC 3261 18.3).
                if datagram { there } else { 0 }
            }
        };
        if datagram && announced > there {
            head.faults.add(Faults::TRUNCATED);
        }
        if datagram && announced < there {
            head.faults.add(Faults::EXTRA_BYTES);
        }
        head.body = span(body, announced.min(there) as usize);
        if head.call_id.is_empty() {
            head.faults.add(Faults::NO_CALL_ID);
        }
        if head.cseq_token.is_empty() {
            head.faults.add(Faults::CSEQ);
        }
        if head.via.is_empty() || head.from.is_empty() || head.to.is_empty() {
            head.faults.add(Faults::MISSING_HEADER);
        }
        if let StartLine::Request { token, .. } = head.start
            && token.of(self.message) != head.cseq_token.of(self.message)
        {
            head.faults.add(Faults::CSEQ_METHOD);
        }
    }
}

/// The header fields that matter here.
#[derive(Clone, Copy)]
enum Field {
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    UserAgent,
    Server,
    Reason,
    Asserted,
    ContentType,
    ContentLength,
    Expires,
    Credentials,
}

impl Field {
    /// Names are told apart by their length first; compact forms as in RFC 3261 20.
    #[inline]
    fn of(name: &[u8]) -> Option<Self> {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match name.len() {
            1 => match name.first()? | 0x20 {
                b'v' => Some(Self::Via),
                b'f' => Some(Self::From),
                b't' => Some(Self::To),
                b'i' => Some(Self::CallId),
                b'm' => Some(Self::Contact),
                b'c' => Some(Self::ContentType),
                b'l' => Some(Self::ContentLength),
                _ => None,
            },
            2 => is(b"to").then_some(Self::To),
            3 => is(b"via").then_some(Self::Via),
            4 if is(b"from") => Some(Self::From),
            4 => is(b"cseq").then_some(Self::CSeq),
            6 if is(b"server") => Some(Self::Server),
            6 => is(b"reason").then_some(Self::Reason),
            7 if is(b"call-id") => Some(Self::CallId),
            7 if is(b"contact") => Some(Self::Contact),
            7 => is(b"expires").then_some(Self::Expires),
            10 => is(b"user-agent").then_some(Self::UserAgent),
            12 => is(b"content-type").then_some(Self::ContentType),
            13 => is(b"authorization").then_some(Self::Credentials),
            14 => is(b"content-length").then_some(Self::ContentLength),
            19 if is(b"proxy-authorization") => Some(Self::Credentials),
            19 => is(b"p-asserted-identity").then_some(Self::Asserted),
            _ => None,
        }
    }
}

/// The URI and the tag of a From or To value; `start` is where the value lies in the message.
fn name_addr(value: &[u8], start: u32) -> (Span, Span) {
    let (uri, after) = addr_spec(value);
    let tag = parameter(value.get(after..).unwrap_or_default(), b"tag", start + after as u32);
    (Span { start: start + uri.0 as u32, length: uri.1 as u32 }, tag)
}

/// Where the URI of a name-addr or addr-spec lies (offset, length), and where what follows it begins.
pub(super) fn addr_spec(value: &[u8]) -> ((usize, usize), usize) {
    let open = match value.first() {
        Some(b'<') => Some(0),
        Some(b'"') => {
            let quoted = quoted_end(value, 0);
            memchr(b'<', value.get(quoted..).unwrap_or_default()).map(|at| at + quoted)
        }
        _ => memchr(b'<', value),
    };
    if let Some(open) = open {
        let inside = value.get(open + 1..).unwrap_or_default();
        let length = memchr(b'>', inside).unwrap_or(inside.len());
        return ((open + 1, length), (open + 1 + length).min(value.len()));
    }
    // Without brackets a semicolon begins header parameters (RFC 3261 20).
    let length = memchr3(b';', b',', b' ', value).unwrap_or(value.len());
    ((0, length), length)
}

/// The value of a `;name=value` parameter.
fn parameter(value: &[u8], name: &[u8], start: u32) -> Span {
    let mut at = 0;
    while let Some(found) = value.get(at..).and_then(|rest| memchr2(b';', b'"', rest)) {
        at += found;
        if value.get(at) == Some(&b'"') {
            at = quoted_end(value, at);
            continue;
        }
        at += 1;
        let rest = value.get(at..).unwrap_or_default();
        let trimmed = rest.trim_ascii_start();
        let lead = rest.len() - trimmed.len();
        let Some((head, tail)) = trimmed.split_at_checked(name.len()) else { return Span::default() };
        if head.eq_ignore_ascii_case(name) {
            let tail_trimmed = tail.trim_ascii_start();
            if let Some(token) = tail_trimmed.strip_prefix(b"=") {
                let token_trimmed = token.trim_ascii_start();
                let begin = value.len() - token_trimmed.len();
                let length = memchr3(b';', b',', b' ', token_trimmed).unwrap_or(token_trimmed.len());
                let token = token_trimmed.get(..length).unwrap_or_default().trim_ascii_end();
                return Span { start: start + begin as u32, length: token.len() as u32 };
            }
        }
        at += lead;
    }
    Span::default()
}

/// Length of the first of several comma-separated values.
fn value_end(value: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = value.get(at..).and_then(|rest| memchr3(b',', b'"', b'<', rest)) {
        at += found;
        match value.get(at) {
            Some(b'"') => at = quoted_end(value, at),
            Some(b'<') => {
                at = value.get(at..).and_then(|rest| memchr(b'>', rest)).map_or(value.len(), |end| at + end)
            }
            _ => return value.get(..at).unwrap_or_default().trim_ascii_end().len(),
        }
    }
    value.len()
}

/// Where the quoted string that begins at `start` is over; the end of the value when it never is.
fn quoted_end(value: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = value.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if value.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    value.len()
}

fn first(slot: &mut Span, at: Span) {
    if slot.is_empty() {
        *slot = at;
    }
}

/// A number of decimal digits and nothing else.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| {
        text.iter()
            .fold(0u64, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

const fn span(start: usize, length: usize) -> Span {
    Span { start: start as u32, length: length as u32 }
}

fn is_version(bytes: &[u8]) -> bool {
    bytes.eq_ignore_ascii_case(b"SIP/2.0")
}

/// RFC 3261 25.1, token.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}
