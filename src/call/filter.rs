//! Which calls to keep.

use std::borrow::Cow;

use regex::bytes::Regex;

use crate::sip::header::first_value;
use crate::sip::{Head, StartLine, uri};

/// A user name with `*` for any characters; `\*` is a star. Letters match in either case, and escapes are what they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The literal pieces between the stars.
    pieces: Vec<Vec<u8>>,
}

impl Pattern {
    /// Reads a pattern as the user writes it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut pieces = vec![Vec::new()];
        let mut bytes = text.bytes().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'*' => pieces.push(Vec::new()),
                b'\\' if bytes.peek() == Some(&b'*') => push(&mut pieces, bytes.next().unwrap_or(b'*')),
                other => push(&mut pieces, other),
            }
        }
        let pieces = pieces.iter().map(|piece| uri::unescaped(piece).into_owned()).collect();
        Self { pieces }
    }

    /// What to look for where a user is asked for: that, and if it is a telephone number with visual separators, the number without
    /// them, as [`uri::compared_user`] has it.
    #[must_use]
    pub fn of(text: &str) -> Vec<Self> {
        let whole = Self::new(text);
        let is_number = whole.pieces.concat().iter().any(u8::is_ascii_digit);
        let bare = whole.pieces.iter().map(|piece| uri::without_separators(piece)).collect();
        let bare = Some(Self { pieces: bare }).filter(|bare| is_number && *bare != whole);
        [Some(whole), bare].into_iter().flatten().collect()
    }

    /// Whether the whole of `name` matches.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return name.is_empty() };
        let Some((last, middle)) = rest.split_last() else { return name.eq_ignore_ascii_case(first) };
        let Some(mut name) = strip_prefix(name, first) else { return false };
        for piece in middle {
            let Some(found) = name
                .windows(piece.len().max(1))
                .position(|window| piece.is_empty() || window.eq_ignore_ascii_case(piece))
            else {
                if piece.is_empty() {
                    continue;
                }
                return false;
            };
            name = name.get(found + piece.len()..).unwrap_or_default();
        }
        name.len() >= last.len()
            && name.get(name.len() - last.len()..).unwrap_or_default().eq_ignore_ascii_case(last)
    }
}

fn push(pieces: &mut [Vec<u8>], byte: u8) {
    if let Some(piece) = pieces.last_mut() {
        piece.push(byte);
    }
}

fn strip_prefix<'a>(name: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// What a message must have, all of it, for its call to be kept.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A user of From, To, P-Asserted-Identity or the request URI; empty: any.
    pub users: Vec<Pattern>,
    /// A user of From; empty: any.
    pub from: Vec<Pattern>,
    /// A user of To; empty: any.
    pub to: Vec<Pattern>,
    /// The method of a request, in any case; empty: any message.
    pub methods: Vec<String>,
    /// A pattern found anywhere in the message.
    pub text: Option<Regex>,
    /// Keep the calls that have no such message instead.
    pub invert: bool,
}

impl Filter {
    /// Whether it keeps everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
            && self.from.is_empty()
            && self.to.is_empty()
            && self.methods.is_empty()
            && self.text.is_none()
            && !self.invert
    }

    /// Whether this message is one of those that the filter asks for.
    #[must_use]
    pub fn matches(&self, head: &Head, message: &[u8]) -> bool {
        let from = user(head.from_uri.of(message));
        let to = user(head.to_uri.of(message));
        any(&self.from, &[&from])
            && any(&self.to, &[&to])
            && self.matches_user(head, message, &from, &to)
            && self.matches_method(head, message)
            && self.text.as_ref().is_none_or(|text| text.is_match(message))
    }

    fn matches_user(&self, head: &Head, message: &[u8], from: &[u8], to: &[u8]) -> bool {
        let target = match head.start {
            StartLine::Request { uri, .. } => user(uri.of(message)),
            StartLine::Response { .. } => Cow::default(),
        };
        let asserted = user(uri::addr_spec(first_value(head.asserted.of(message))));
        any(&self.users, &[from, to, &asserted, &target])
    }

    fn matches_method(&self, head: &Head, message: &[u8]) -> bool {
        let StartLine::Request { token, .. } = head.start else { return self.methods.is_empty() };
        let sent = token.of(message);
        self.methods.is_empty()
            || self.methods.iter().any(|method| sent.eq_ignore_ascii_case(method.as_bytes()))
    }
}

fn user(uri: &[u8]) -> Cow<'_, [u8]> {
    uri::compared_user(uri).unwrap_or_default()
}

fn any(patterns: &[Pattern], names: &[&[u8]]) -> bool {
    patterns.is_empty()
        || names.iter().any(|name| !name.is_empty() && patterns.iter().any(|pattern| pattern.matches(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3261 19.1.4, RFC 3966 4.
    #[test]
    fn a_number_is_asked_for_with_and_without_separators() {
        for (asked, uri, expected) in [
            ("+13105550000", "tel:+1-310-555-0000", true),
            ("+13105550000", "sip:%2B13105550000@10.0.0.2", true),
            ("+1-310-555-0000", "sip:+13105550000@10.0.0.2", true),
            ("+1-310-*", "tel:+1(310)5550000", true),
            ("%2B1310*", "sip:+13105550000@10.0.0.2", true),
            ("alice", "sip:%61lice@atlanta.com", true),
            ("*555-1212", "sip:555-1212@gateway.com", true),
            ("john.doe", "sip:john.doe@example.com", true),
            ("johndoe", "sip:john.doe@example.com", false),
            ("john.doe", "sip:johndoe@example.com", false),
            ("+13105550000", "tel:+1-310-555-0001", false),
        ] {
            assert_eq!(any(&Pattern::of(asked), &[&user(uri.as_bytes())]), expected, "{asked} and {uri}");
        }
    }

    #[test]
    fn stars_stand_for_any_characters() {
        let rows: &[(&str, &str, bool)] = &[
            ("alice", "alice", true),
            ("alice", "Alice", true),
            ("alice", "alice2", false),
            ("alice*", "alice2", true),
            ("*456789", "+49123456789", true),
            ("*456789", "4567890", false),
            ("*x*", "axb", true),
            ("*x*", "ab", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("*", "anything", true),
            ("**", "anything", true),
            ("ab*ab", "ab", false),
            (r"\*97", "*97", true),
            (r"\*97", "x97", false),
        ];
        for (pattern, name, expected) in rows {
            assert_eq!(Pattern::new(pattern).matches(name.as_bytes()), *expected, "{pattern} on {name}");
        }
    }
}
