//! What the output goes to: how wide it is, which characters it knows, and whether it has colours.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::config::Color;
use crate::escape::acts;

/// Width of a drawing that goes into a pipe or a file.
const PIPE_WIDTH: usize = 120;

/// What text means; a terminal shows it as a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Nothing special.
    Plain,
    /// It worked.
    Good,
    /// It failed.
    Bad,
    /// Worth a look.
    Warning,
    /// Matters less.
    Dim,
    /// Media.
    Media,
    /// A title.
    Strong,
}

impl Ink {
    /// Parameter of SGR (ECMA-48 8.3.117).
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warning => "33",
            Self::Dim => "2",
            Self::Media => "36",
            Self::Strong => "1",
        }
    }
}

/// What the output goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Terminal cells in a line.
    pub width: usize,
    /// It is a terminal, and lines that are too long would break.
    pub terminal: bool,
    /// It knows more characters than ASCII.
    pub unicode: bool,
    /// It shows colours.
    pub color: bool,
}

impl Screen {
    /// Standard output, with `color` as the user wants it.
    #[must_use]
    pub fn of_stdout(color: Color) -> Self {
        let stdout = io::stdout();
        let size = terminal_size::terminal_size_of(&stdout).map(|(width, _)| usize::from(width.0));
        Self::new(color, stdout.is_terminal(), size, |name| std::env::var(name).ok())
    }

    /// A screen as the environment describes it. NO_COLOR is <https://no-color.org>; a flag beats it.
    #[must_use]
    pub fn new(
        color: Color,
        terminal: bool,
        size: Option<usize>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let columns = variable("COLUMNS").and_then(|columns| columns.parse().ok());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let plain = variable("NO_COLOR").is_some() || variable("TERM").is_some_and(|term| term == "dumb");
        Self {
            width: columns.or(size).filter(|width| *width > 0).unwrap_or(PIPE_WIDTH).min(1000),
            terminal,
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
            color: match color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => terminal && !plain,
            },
        }
    }

    /// `text` with what a terminal would act upon, or not know, spelled out.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let is_shown = |c: char| !acts(c) && (self.unicode || c.is_ascii());
        if text.chars().all(is_shown) {
            return Cow::Borrowed(text);
        }
        let mut shown = String::with_capacity(text.len() + 16);
        for c in text.chars() {
            if is_shown(c) { shown.push(c) } else { shown.extend(c.escape_unicode()) }
        }
        Cow::Owned(shown)
    }

    /// Bytes as [`Self::text`]; those that are no UTF-8 become `\xHH`.
    #[must_use]
    pub fn bytes(&self, bytes: &[u8]) -> String {
        let mut shown = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            shown.push_str(&self.text(chunk.valid()));
            for byte in chunk.invalid() {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\x{byte:02x}");
            }
        }
        shown
    }

    /// `text` in this ink, where there are colours.
    #[must_use]
    pub fn paint(&self, ink: Ink, text: &str) -> String {
        if self.color && ink != Ink::Plain && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", ink.code())
        } else {
            text.to_owned()
        }
    }

    /// One of two spellings, for those who know more than ASCII and for those who do not.
    #[must_use]
    pub const fn pick<'a>(&self, unicode: &'a str, ascii: &'a str) -> &'a str {
        if self.unicode { unicode } else { ascii }
    }

    /// Which columns of a table a terminal has no room for: those of `spare`, one after the other, until the rest fits; what then
    /// fits beside it after all stays, the last of `spare` first. `widths` are cells with the space behind them. In the order of columns.
    #[must_use]
    pub fn too_many(&self, widths: &[usize], spare: &[usize]) -> Vec<usize> {
        let width = |column: usize| widths.get(column).copied().unwrap_or_default();
        let mut used: usize = widths.iter().sum();
        let mut left_out: Vec<usize> = Vec::new();
        for &column in spare.iter().filter(|_| self.terminal) {
            if used <= self.width {
                break;
            }
            used -= width(column);
            left_out.push(column);
        }
        left_out.reverse();
        left_out.retain(|&column| {
            let fits = used + width(column) <= self.width;
            used += if fits { width(column) } else { 0 };
            !fits
        });
        left_out.sort_unstable();
        left_out
    }

    /// What is said below a table of columns that there is [no room](Self::too_many) for.
    #[must_use]
    pub fn no_room_for(&self, titles: &[&str]) -> String {
        format!("no room for {}: the terminal has {} columns", titles.join(", "), self.width)
    }

    /// `text` in at most `width` cells, its end left out.
    #[must_use]
    pub fn cut(&self, text: &str, width: usize) -> String {
        if text.width() <= width {
            return text.to_owned();
        }
        let dots = self.pick("…", "...");
        let mut kept = head(text, width.saturating_sub(dots.width())).to_owned();
        kept.push_str(head(dots, width));
        kept
    }

    /// `text` in at most `width` cells, its middle left out: both ends of a Call-ID tell it from others.
    #[must_use]
    pub fn cut_middle(&self, text: &str, width: usize) -> String {
        if text.width() <= width {
            return text.to_owned();
        }
        let dots = self.pick("…", "...");
        let room = width.saturating_sub(dots.width());
        let front = head(text, room.div_ceil(2));
        format!("{front}{dots}{}", tail(text, room.saturating_sub(front.width())))
    }
}

/// As much of the beginning of `text` as `width` cells hold.
fn head(text: &str, width: usize) -> &str {
    let end = text.char_indices().scan(0, |used, (at, c)| {
        *used += c.width().unwrap_or(0);
        Some((at + c.len_utf8(), *used))
    });
    let end = end.take_while(|(_, used)| *used <= width).last().map_or(0, |(end, _)| end);
    text.get(..end).unwrap_or_default()
}

/// As much of the end of `text` as `width` cells hold.
fn tail(text: &str, width: usize) -> &str {
    let start = text.char_indices().rev().scan(0, |used, (at, c)| {
        *used += c.width().unwrap_or(0);
        Some((at, *used))
    });
    let start = start.take_while(|(_, used)| *used <= width).last().map_or(text.len(), |(start, _)| start);
    text.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(color: Color, terminal: bool, variables: &[(&str, &str)]) -> Screen {
        let value = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned());
        Screen::new(color, terminal, terminal.then_some(80), value)
    }

    #[test]
    fn the_locale_chooses_characters_and_not_colours() {
        let rows: &[(&[(&str, &str)], bool)] = &[
            (&[("LANG", "de_DE.UTF-8")], true),
            (&[("LANG", "C.utf8")], true),
            (&[("LANG", "C")], false),
            (&[], false),
            (&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")], false),
            (&[("LC_ALL", ""), ("LANG", "de_DE.UTF-8")], true),
            (&[("LC_CTYPE", "en_US.UTF-8"), ("LANG", "C")], true),
        ];
        for (variables, unicode) in rows {
            assert_eq!(screen(Color::Always, false, variables).unicode, *unicode, "{variables:?}");
            assert_eq!(screen(Color::Never, false, variables).unicode, *unicode, "{variables:?}");
        }
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        assert!(screen(Color::Auto, true, &[]).color);
        assert!(!screen(Color::Auto, false, &[]).color);
        assert!(!screen(Color::Auto, true, &[("NO_COLOR", "1")]).color);
        assert!(screen(Color::Auto, true, &[("NO_COLOR", "")]).color);
        assert!(!screen(Color::Auto, true, &[("TERM", "dumb")]).color);
        assert!(screen(Color::Always, false, &[("NO_COLOR", "1")]).color);
        assert!(!screen(Color::Never, true, &[]).color);
    }

    #[test]
    fn the_width_is_the_users_then_the_terminals() {
        assert_eq!(screen(Color::Auto, true, &[]).width, 80);
        assert_eq!(screen(Color::Auto, true, &[("COLUMNS", "132")]).width, 132);
        assert_eq!(screen(Color::Auto, true, &[("COLUMNS", "x")]).width, 80);
        assert_eq!(screen(Color::Auto, false, &[]).width, 120);
    }

    #[test]
    fn columns_go_until_the_rest_fits() {
        let screen = |terminal| Screen { width: 20, ..screen(Color::Never, terminal, &[]) };
        assert_eq!(screen(true).too_many(&[5, 10, 5], &[1]), [0; 0]);
        assert_eq!(screen(true).too_many(&[5, 10, 7, 6], &[2, 0, 1]), [0, 2]);
        assert_eq!(
            screen(true).too_many(&[2, 3, 15, 8], &[0, 1, 2]),
            [2],
            "narrow ones fit when a wide one has gone"
        );
        assert_eq!(screen(true).too_many(&[50, 10, 7], &[2, 1]), [1, 2], "what cannot fit stays");
        assert_eq!(screen(false).too_many(&[50, 10, 7], &[2, 1]), [0; 0], "a pipe gets all");
    }

    #[test]
    fn nothing_acts_on_a_terminal() {
        let utf8 = screen(Color::Never, false, &[("LANG", "C.UTF-8")]);
        assert_eq!(utf8.text("a\u{1b}[2Jb\u{202e}ü"), "a\\u{1b}[2Jb\\u{202e}ü");
        assert_eq!(utf8.bytes(b"ok\xff\x9b2J\xc3\xbc"), "ok\\xff\\x9b2Jü");
        let ascii = screen(Color::Never, false, &[]);
        assert_eq!(ascii.text("müller"), "m\\u{fc}ller");
    }

    #[test]
    fn cuts_count_cells() {
        let utf8 = screen(Color::Never, false, &[("LANG", "C.UTF-8")]);
        assert_eq!(utf8.cut("abcdef", 6), "abcdef");
        assert_eq!(utf8.cut("abcdef", 4), "abc…");
        assert_eq!(utf8.cut("日本語", 4), "日…");
        assert_eq!(utf8.cut("abc", 0), "");
        assert_eq!(utf8.cut_middle("0123456789", 5), "01…89");
        let ascii = screen(Color::Never, false, &[]);
        assert_eq!(ascii.cut("abcdef", 5), "ab...");
        assert_eq!(ascii.cut("abcdef", 2), "..");
        assert_eq!(ascii.cut_middle("0123456789", 7), "01...89");
    }
}
