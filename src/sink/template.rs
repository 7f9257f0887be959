//! How the names of call files are made of what calls are.

use std::fmt;

use crate::time::Timestamp;

/// What is wrong with a template of names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing.
    #[error("want a template such as {{call_id}}")]
    Empty,
    /// A field that there is not.
    #[error("unknown field {{{0}}}: want {fields}", fields = in_words())]
    UnknownField(String),
    /// A format where none belongs.
    #[error("{{{0}}} takes no format")]
    Format(String),
    /// `{` without `}`, or the other way round.
    #[error("want each {{ closed by its }}")]
    Unclosed,
    /// The format of `{start:…}` is none.
    #[error("want a strftime format such as %Y%m%d_%H%M%S in {{start:{0}}}")]
    TimeFormat(String),
    /// A time with a slash that the format does not show (`%D`), or without any text.
    #[error("want a time without / in {{start:{0}}}")]
    TimeSlash(String),
    /// It leads out of the directory, has a component without a name, or control characters.
    #[error("want a name below pcap.directory: no / at its ends, no empty, hidden or . and .. directories")]
    Path,
    /// More directories than anybody needs.
    #[error("want at most {most} directories", most = MAX_DIRECTORIES)]
    Deep,
}

/// The fields that a template may name.
pub const NAME_FIELDS: [&str; 5] = ["call_id", "from", "to", "start", "hash"];

fn in_words() -> String {
    let [first @ .., last] = NAME_FIELDS.map(|field| format!("{{{field}}}"));
    format!("{} or {last}", first.join(", "))
}

/// The most directories that a name leads through.
pub(super) const MAX_DIRECTORIES: usize = 6;

/// Longest name of a directory, made of what the wire says.
const MAX_DIRECTORY: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    CallId,
    From,
    To,
    Hash,
    Start(String),
}

/// How the names of call files are made: text and `{call_id}`, `{from}`, `{to}`, `{hash}` (8 hex digits of the
/// Call-ID), `{start:%Y%m%d_%H%M%S}` (strftime, UTC). A `/` in the text or in a time makes directories; none
/// from the wire ever does.
#[derive(Clone, PartialEq, Eq)]
pub struct NameTemplate {
    text: String,
    /// Directories, and the file.
    components: Vec<Vec<Piece>>,
}

/// What a call's name may be made of; bytes as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameFields<'a> {
    /// Call-ID.
    pub call_id: &'a [u8],
    /// Caller.
    pub from: &'a [u8],
    /// Called party.
    pub to: &'a [u8],
    /// Time of the first message.
    pub start: Timestamp,
}

impl Default for NameTemplate {
    fn default() -> Self {
        Self { text: "{call_id}".to_owned(), components: vec![vec![Piece::CallId]] }
    }
}

impl fmt::Debug for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl NameTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// A field or time format that there is not, or text that would lead out of the directory.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty);
        }
        let mut components = vec![Vec::new()];
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (literal, behind) = rest.split_at(at);
            split(literal, Piece::Literal, &mut components);
            let inside = behind.strip_prefix('{').and_then(|behind| behind.split_once('}'));
            let (field, behind) = inside.ok_or(TemplateError::Unclosed)?;
            field_pieces(field, &mut components)?;
            rest = behind;
        }
        split(rest, Piece::Literal, &mut components);
        if components.len() > MAX_DIRECTORIES + 1 {
            return Err(TemplateError::Deep);
        }
        let (file, directories) = components.split_last().ok_or(TemplateError::Empty)?;
        let sound = |pieces: &[Piece]| !pieces.is_empty() && !sample(pieces).chars().any(char::is_control);
        let named = |pieces: &Vec<Piece>| sound(pieces) && !sample(pieces).starts_with('.');
        if !sound(file) || !directories.iter().all(named) {
            return Err(TemplateError::Path);
        }
        Ok(Self { text: text.to_owned(), components })
    }

    /// The template as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of what belongs to a call and is no call file, by this template and without extension: one component
    /// of at most `limit` bytes that is safe wherever it stands.
    #[must_use]
    pub fn name(&self, call_id: &[u8], limit: usize) -> String {
        let mut name = String::new();
        self.render(&NameFields { call_id, ..NameFields::default() }, limit, &mut name);
        name
    }

    /// Appends the name, without extension; of its last component at most `limit` bytes. When a field had to change
    /// or a component had to be cut, it ends in `-` and 8 hex digits of a hash of what it should have been: two
    /// Call-IDs that differ have names that differ, on every machine and in every run.
    pub(super) fn render(&self, fields: &NameFields<'_>, limit: usize, out: &mut String) {
        let last = self.components.len() - 1;
        for (index, pieces) in self.components.iter().enumerate() {
            component(pieces, fields, if index == last { limit } else { MAX_DIRECTORY }, out);
            if index != last {
                out.push('/');
            }
        }
    }
}

/// Puts `text` into the last component, and begins another at each `/`.
fn split(text: &str, piece: fn(String) -> Piece, components: &mut Vec<Vec<Piece>>) {
    for (index, part) in text.split('/').enumerate() {
        if index > 0 {
            components.push(Vec::new());
        }
        if let Some(last) = components.last_mut().filter(|_| !part.is_empty()) {
            last.push(piece(part.to_owned()));
        }
    }
}

/// What a component looks like for a call of which little is known.
fn sample(pieces: &[Piece]) -> String {
    let mut out = String::new();
    component(
        pieces,
        &NameFields { call_id: b"x", from: b"x", to: b"x", ..NameFields::default() },
        1_000,
        &mut out,
    );
    out
}

fn component(pieces: &[Piece], fields: &NameFields<'_>, limit: usize, out: &mut String) {
    let begin = out.len();
    let mut altered = false;
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Hash => push_hex(out, fnv([fields.call_id])),
            Piece::Start(format) => push_time(out, format, fields.start),
            field => altered |= field.raw(fields).is_some_and(|raw| push_safe(out, raw)),
        }
    }
    if altered || out.len() - begin > limit {
        // A byte that UTF-8 does not have keeps "ab" + "c" and "a" + "bc" apart.
        let raw = pieces.iter().filter_map(|piece| piece.raw(fields)).flat_map(|raw| [raw, &[0xff]]);
        shorten(out, begin, limit, fnv(raw));
    }
}

impl Piece {
    /// The field as it came, of those that the wire fills.
    const fn raw<'a>(&self, fields: &NameFields<'a>) -> Option<&'a [u8]> {
        match self {
            Self::CallId => Some(fields.call_id),
            Self::From => Some(fields.from),
            Self::To => Some(fields.to),
            Self::Literal(_) | Self::Hash | Self::Start(_) => None,
        }
    }
}

/// Cuts what stands in `out` from `begin` on so that with its hash it has at most `limit` bytes.
fn shorten(out: &mut String, begin: usize, limit: usize, hash: u32) {
    let room = limit.saturating_sub(9);
    let mut end = begin + room.min(out.len() - begin);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
    if out.len() > begin {
        out.push('-');
    }
    push_hex(out, hash);
}

/// Appends `raw` with every byte outside `[A-Za-z0-9._@+=-]` as `_`, and so a leading dot or dash (hidden files,
/// options of a shell's `*`) and the second of two dots. `unnamed` for nothing. Tells whether a byte changed.
fn push_safe(out: &mut String, raw: &[u8]) -> bool {
    if raw.is_empty() {
        out.push_str("unnamed");
        return false;
    }
    let mut before = None;
    let safe = raw.iter().take_while(|&&byte| is_kept(before.replace(byte), byte)).count();
    let (safe, rest) = raw.split_at(safe);
    out.push_str(std::str::from_utf8(safe).unwrap_or_default());
    let mut before = safe.last().copied();
    for &byte in rest {
        let shown = if is_kept(before, byte) { byte } else { b'_' };
        before = Some(shown);
        out.push(char::from(shown));
    }
    !rest.is_empty()
}

/// Whether a byte is shown as it is behind the one before it.
fn is_kept(before: Option<u8>, byte: u8) -> bool {
    match byte {
        b'.' => before.is_some_and(|before| before != b'.'),
        b'-' => before.is_some(),
        _ => byte.is_ascii_alphanumeric() || b"_@+=".contains(&byte),
    }
}

fn push_hex(out: &mut String, value: u32) {
    use std::fmt::Write as _;
    let _ = write!(out, "{value:08x}");
}

fn push_time(out: &mut String, format: &str, time: Timestamp) {
    use std::fmt::Write as _;
    let seconds = i64::try_from(time.seconds()).unwrap_or(i64::MAX);
    let nanoseconds = i32::try_from(time.subsec_nanos()).unwrap_or_default();
    if let Ok(time) = jiff::Timestamp::new(seconds, nanoseconds) {
        // The format was tried when the template was read.
        let _ = write!(out, "{}", time.strftime(format));
    }
}

fn field_pieces(field: &str, components: &mut Vec<Vec<Piece>>) -> Result<(), TemplateError> {
    let (name, format) = match field.split_once(':') {
        Some((name, format)) => (name, Some(format)),
        None => (field, None),
    };
    let piece = match name {
        "call_id" => Piece::CallId,
        "from" => Piece::From,
        "to" => Piece::To,
        "hash" => Piece::Hash,
        "start" => {
            let format = format.unwrap_or("%Y%m%d_%H%M%S");
            format.split('/').try_for_each(|part| check_time(format, part))?;
            split(format, Piece::Start, components);
            return Ok(());
        }
        _ => return Err(TemplateError::UnknownField(name.to_owned())),
    };
    if format.is_some() {
        return Err(TemplateError::Format(name.to_owned()));
    }
    if let Some(last) = components.last_mut() {
        last.push(piece);
    }
    Ok(())
}

/// Formats a moment with `part` of a format, to find out whether it is one.
fn check_time(format: &str, part: &str) -> Result<(), TemplateError> {
    match jiff::fmt::strtime::format(part, jiff::Timestamp::UNIX_EPOCH) {
        Ok(text) if text.is_empty() || text.contains('/') => Err(TemplateError::TimeSlash(format.to_owned())),
        Ok(_) => Ok(()),
        Err(_) => Err(TemplateError::TimeFormat(format.to_owned())),
    }
}

/// FNV-1a of `parts`, one behind the other: 32 bits of 64 (xor-folding, as its authors advise). The same on every machine,
/// in every version. An attacker who finds a collision gains a `~2`.
pub(super) fn fnv<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = parts.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325, step);
    (hash >> 32) as u32 ^ hash as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str, call_id: &[u8]) -> String {
        let mut out = String::new();
        let fields = NameFields { call_id, start: Timestamp::new(482_196_050, 0), ..NameFields::default() };
        NameTemplate::parse(template).unwrap().render(&fields, 60, &mut out);
        out
    }

    #[test]
    fn good_templates_are_kept_as_given() {
        for text in ["{call_id}", "{start:%Y%m%d_%H%M%S}_{from}-{to}_{hash}", "call", "{start}.{call_id}"] {
            assert_eq!(NameTemplate::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn bad_templates_are_refused_with_what_is_wrong() {
        use TemplateError::{Deep, Empty, Format, Path, TimeFormat, TimeSlash, Unclosed, UnknownField};
        let rows = [
            ("", Empty),
            ("{call_id", Unclosed),
            ("call_id}", Unclosed),
            ("{callid}", UnknownField("callid".into())),
            ("{carrier}", UnknownField("carrier".into())),
            ("{hash:8}", Format("hash".into())),
            ("{start:%D}", TimeSlash("%D".into())),
            ("{start:}", TimeSlash(String::new())),
            ("{start:/%Y}", TimeSlash("/%Y".into())),
            ("{start:%Ö}", TimeFormat("%Ö".into())),
            ("/{call_id}", Path),
            ("{call_id}/", Path),
            ("a//b", Path),
            ("../{call_id}", Path),
            ("./{call_id}", Path),
            (".hidden/{call_id}", Path),
            ("a/.{start:.}/{call_id}", Path),
            ("a\u{1b}b", Path),
            ("1/2/3/4/5/6/7/{call_id}", Deep),
        ];
        for (template, error) in rows {
            assert_eq!(NameTemplate::parse(template), Err(error), "{template}");
        }
    }

    #[test]
    fn every_field_that_is_offered_is_taken() {
        for field in NAME_FIELDS {
            assert!(NameTemplate::parse(&format!("{{{field}}}")).is_ok(), "{field}");
        }
    }

    #[test]
    fn only_the_template_makes_directories() {
        assert_eq!(
            rendered("{start:%Y/%m-%d}/{call_id}", b"a/../b"),
            format!("1985/04-12/a_.__b-{:08x}", fnv([&b"a/../b\xff"[..]]))
        );
        let long = rendered("{call_id}/{call_id}", &[b'x'; 300]);
        let (directory, file) = long.split_once('/').unwrap();
        assert_eq!((directory.len(), file.len()), (MAX_DIRECTORY, 60));
        assert!(rendered("calls-{call_id}/x", b"..").starts_with("calls-_.-"));
    }
}
