//! Lines of a drawing: lifelines, and arrows between them.

use unicode_width::UnicodeWidthStr;

use super::layout::{Layout, TIME};
use super::screen::{Ink, Screen};

/// An arrow and what is written on it.
#[derive(Clone, Debug)]
pub(super) struct Arrow {
    /// Column of its tail.
    pub(super) from: usize,
    /// Column of its head.
    pub(super) to: usize,
    /// The label, in versions from long to short.
    pub(super) labels: Vec<String>,
    pub(super) ink: Ink,
    /// It stands for a stream of packets.
    pub(super) is_media: bool,
}

/// Draws lines on a screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen<'a> {
    pub(super) screen: &'a Screen,
    pub(super) layout: &'a Layout,
}

impl Pen<'_> {
    /// Names (or letters) above the lifelines.
    pub(super) fn header(&self, names: &[String]) -> String {
        let mut line = String::new();
        let mut center = TIME + self.layout.margin;
        for (index, name) in names.iter().enumerate() {
            let title = if self.layout.letters { letter(index) } else { name.clone() };
            let start = center.saturating_sub(title.width() / 2);
            line.push_str(&" ".repeat(start.saturating_sub(line.width())));
            line.push_str(&title);
            center += self.layout.gaps.get(index).copied().unwrap_or_default();
        }
        self.screen.paint(Ink::Strong, &line)
    }

    /// One arrow with its time at the left and `right` at the right end.
    pub(super) fn row(&self, time: &str, arrow: &Arrow, right: &str) -> String {
        let (low, high) = (arrow.from.min(arrow.to), arrow.from.max(arrow.to));
        let mut line = format!("{time:>TIME$}{}", " ".repeat(self.layout.margin));
        let mut column = 0;
        loop {
            line.push_str(&self.lifeline(low == high && column == low));
            let Some(gap) = self.layout.gaps.get(column) else { break };
            if column == low && low < high {
                let body = self.body(arrow, self.layout.between(low, high));
                line.push_str(&self.screen.paint(arrow.ink, &body));
                column = high;
            } else {
                line.push_str(&" ".repeat(gap.saturating_sub(1)));
                column += 1;
            }
        }
        if let Some(width) = self.layout.beside {
            let label = self.fit(&arrow.labels, width);
            let pad = " ".repeat(width.saturating_sub(label.width()));
            line.push_str(&format!("  {}{pad}", self.screen.paint(arrow.ink, &label)));
        } else if low == high {
            // From a party to itself: there is no room for an arrow.
            line.push_str(&format!("  {}", self.screen.paint(arrow.ink, &self.fit(&arrow.labels, 60))));
        }
        line.push_str(&format!("  {right}"));
        line.trim_end().to_owned()
    }

    fn lifeline(&self, is_met: bool) -> String {
        if is_met {
            self.screen.pick("●", "*").to_owned()
        } else {
            self.screen.paint(Ink::Dim, self.screen.pick("│", "|"))
        }
    }

    /// An arrow of `room` cells, its label in the middle.
    fn body(&self, arrow: &Arrow, room: usize) -> String {
        let is_right = arrow.from < arrow.to;
        let line = match (arrow.is_media, is_right) {
            (true, _) => self.screen.pick("═", "="),
            (false, _) => self.screen.pick("─", "-"),
        };
        let head = if is_right { self.screen.pick("►", ">") } else { self.screen.pick("◄", "<") };
        let label = match (self.layout.beside, room) {
            (None, 7..) => format!(" {} ", self.fit(&arrow.labels, room - 6)),
            _ => String::new(),
        };
        let rest = room.saturating_sub(label.width() + 1);
        let (left, right) = (line.repeat(rest / 2), line.repeat(rest.div_ceil(2)));
        if is_right { format!("{right}{label}{left}{head}") } else { format!("{head}{left}{label}{right}") }
    }

    /// The longest version that fits, or as much of the shortest as does.
    fn fit(&self, labels: &[String], width: usize) -> String {
        let fitting = labels.iter().find(|label| label.width() <= width).cloned();
        fitting.unwrap_or_else(|| self.screen.cut(labels.last().map_or("", String::as_str), width))
    }
}

/// A, B, C: what a column is called when its name does not fit.
pub(super) fn letter(index: usize) -> String {
    let letters = u8::try_from(index).ok().and_then(|index| b'A'.checked_add(index));
    letters.filter(u8::is_ascii_uppercase).map_or('?', char::from).to_string()
}
