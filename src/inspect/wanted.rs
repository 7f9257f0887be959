//! Which Call-ID a person means.

use crate::escape::{acts, is_blank, spelled};
use crate::sip::header;

/// What a Call-ID is to the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is that one.
    Whole,
    /// It begins like that one, or has both its ends.
    Part,
    /// It holds that one, or is held by it.
    Near,
    /// It is another.
    No,
}

/// The Call-ID that was asked for: whole, its beginning, or with the middle left out as the table of calls prints it.
#[derive(Clone, Debug)]
pub struct Wanted {
    text: String,
    /// The same, with the characters that its escapes spell.
    meant: String,
    lower: String,
    ends: Option<(String, String)>,
}

/// A shorter piece is in nearly every Call-ID by chance.
const NEAR: usize = 4;

impl Wanted {
    /// Reads a Call-ID as the user writes it; what a terminal would act upon, or show as nothing, may be given as it is or
    /// as it is shown. A Call-ID may begin with a space of Unicode, not of ASCII (RFC 3261 25.1).
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.trim_ascii();
        let (text, meant) = (shown(text.as_bytes()), shown(unescaped(text).as_bytes()));
        let ends = text.split_once('…').or_else(|| text.split_once("..."));
        let ends = ends.map(|(front, back)| (front.to_owned(), back.to_owned()));
        Self {
            lower: text.to_ascii_lowercase(),
            ends: ends.filter(|(front, back)| !front.is_empty() || !back.is_empty()),
            text,
            meant,
        }
    }

    /// The Call-ID as it was asked for, fit for a terminal.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Compares with a Call-ID in the form of [`shown`].
    pub(super) fn fit(&self, call_id: &str) -> Fit {
        if call_id == self.text || call_id == self.meant {
            return Fit::Whole;
        }
        let has_ends = self.ends.as_ref().is_some_and(|(front, back)| {
            call_id.len() >= front.len() + back.len() && call_id.starts_with(front) && call_id.ends_with(back)
        });
        if has_ends || (!self.text.is_empty() && call_id.starts_with(&self.text)) {
            return Fit::Part;
        }
        let lower = call_id.to_ascii_lowercase();
        let holds = |long: &str, short: &str| short.len() >= NEAR && long.contains(short);
        if holds(&lower, &self.lower) || holds(&self.lower, &lower) { Fit::Near } else { Fit::No }
    }
}

/// A Call-ID as it is shown, compared and suggested: a fold is a space (RFC 3261 7.3.1); what acts and what is blank is spelled
/// `\u{a0}`, so that it can be copied.
pub(crate) fn shown(call_id: &[u8]) -> String {
    spelled(&header::text(call_id), |c| acts(c) || is_blank(c)).collect()
}

/// Characters instead of the escapes that spell them: a terminal without UTF-8 shows all others so.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\u{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let spelled = part
            .split_once('}')
            .and_then(|(digits, rest)| Some((char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, rest)));
        match spelled {
            Some((c, rest)) => {
                out.push(c);
                out.push_str(rest);
            }
            None => {
                out.push_str("\\u{");
                out.push_str(part);
            }
        }
    }
    out
}

/// What to do with a dialog of which the Call-ID is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Keep it.
    Keep,
    /// Keep it, and nothing that was kept before.
    Instead,
    /// Nothing is kept: several fit.
    Several,
    /// Leave it.
    No,
}

/// Looks for the whole Call-ID, or else the only one that begins so.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    wanted: Wanted,
    /// The whole Call-ID occurred; others are of no interest any more.
    exact: bool,
    parts: Names,
    near: Names,
}

/// Call-IDs named when none fits.
const MAX_NAMES: usize = 8;

/// Call-IDs to suggest, and how many there were beyond.
#[derive(Clone, Debug, Default)]
struct Names {
    list: Vec<String>,
    more: u64,
}

impl Names {
    fn add(&mut self, name: String) {
        if self.list.contains(&name) {
            return;
        }
        if self.list.len() < MAX_NAMES { self.list.push(name) } else { self.more += 1 }
    }

    fn lines(&self) -> String {
        let mut text: String = self.list.iter().map(|name| format!("\n  {name}")).collect();
        if self.more > 0 {
            text.push_str(&format!("\n  and {} more", self.more));
        }
        text
    }
}

impl Search {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self { wanted, exact: false, parts: Names::default(), near: Names::default() }
    }

    /// Looks at a Call-ID, in the form of [`shown`].
    pub(crate) fn consider(&mut self, call_id: String) -> Verdict {
        match self.wanted.fit(&call_id) {
            Fit::Whole if std::mem::replace(&mut self.exact, true) => Verdict::Keep,
            Fit::Whole => Verdict::Instead,
            Fit::Part if !self.exact => {
                self.parts.add(call_id);
                if self.parts.list.len() == 1 { Verdict::Keep } else { Verdict::Several }
            }
            Fit::Near => {
                self.near.add(call_id);
                Verdict::No
            }
            _ => Verdict::No,
        }
    }

    /// What to tell a person when nothing was kept, of all that was named or of a part; `hint` says how to find Call-IDs.
    pub(crate) fn missing(&self, is_whole: bool, hint: &str) -> String {
        let text = self.wanted.text();
        if self.parts.list.len() > 1 {
            return format!("several Call-IDs begin like {text}; which one?{}", self.parts.lines());
        }
        let near = if self.near.list.is_empty() { "" } else { "; these come close:" };
        let place = if is_whole { "" } else { " in what could be read" };
        format!("no call {text}{place}; {hint}{near}{}", self.near.lines())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_both_ends_and_the_whole_are_understood() {
        let rows: &[(&str, &str, Fit)] = &[
            ("a84b4c76e66710@pc33", "a84b4c76e66710@pc33", Fit::Whole),
            (" a84b4c76e66710@pc33\n", "a84b4c76e66710@pc33", Fit::Whole),
            ("a84b", "a84b4c76e66710@pc33", Fit::Part),
            ("a84…pc33", "a84b4c76e66710@pc33", Fit::Part),
            ("a84...pc33", "a84b4c76e66710@pc33", Fit::Part),
            ("a84...pc34", "a84b4c76e66710@pc33", Fit::No),
            ("pc33", "a84b4c76e66710@pc33", Fit::Near),
            ("A84B", "a84b4c76e66710@pc33", Fit::Near),
            ("c33", "a84b4c76e66710@pc33", Fit::No),
            ("Call-ID: a84b4c76", "a84b4c76", Fit::Near),
            ("", "a84b4c76e66710@pc33", Fit::No),
            ("...", "a84b4c76e66710@pc33", Fit::No),
            ("x...x", "x", Fit::No),
        ];
        for (wanted, call_id, expected) in rows {
            assert_eq!(Wanted::new(wanted).fit(call_id), *expected, "{wanted} and {call_id}");
        }
    }

    /// White space of Unicode is part of it, and what is spelled is what it spells, or itself.
    #[test]
    fn a_call_id_of_blanks_is_asked_for_as_it_is_and_as_it_is_shown() {
        for call_id in ["\u{a0}x@h", "x@h\u{2003}", "\u{e9}x@h", "\\u{a0}x@h", "\\u{", "\\u{110000}\\u{}"] {
            let spell = |c: char| if c.is_ascii() { c.to_string() } else { c.escape_unicode().to_string() };
            let spelled: String = call_id.chars().map(spell).collect();
            for wanted in [call_id, &spelled, &shown(call_id.as_bytes())] {
                assert_eq!(Wanted::new(wanted).fit(&shown(call_id.as_bytes())), Fit::Whole, "{wanted}");
            }
        }
        assert_ne!(Wanted::new("\u{a0}x@h").fit("x@h"), Fit::Whole);
    }

    /// RFC 3261 7.3.1: a folded line is the same as one with a space there.
    #[test]
    fn a_folded_call_id_is_asked_for_in_one_line() {
        for call_id in [&b"abc4\r\n @x"[..], b"abc4\n\t @x"] {
            assert_eq!(Wanted::new("abc4 @x").fit(&shown(call_id)), Fit::Whole);
        }
    }

    #[test]
    fn a_call_id_that_acts_is_asked_for_as_it_is_shown() {
        let call_id = shown(b"a\x1b[2Jb");
        assert_eq!(call_id, "a\\u{1b}[2Jb");
        assert_eq!(Wanted::new("a\\u{1b}[2Jb").fit(&call_id), Fit::Whole);
        assert_eq!(Wanted::new("a\x1b[2Jb").fit(&call_id), Fit::Whole);
    }
}
