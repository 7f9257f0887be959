//! Rows on their way out: as a table for a terminal, as CSV, or as lines of JSON.

use std::borrow::Cow;
use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, Row, Table, presets};
use unicode_width::UnicodeWidthStr;

use crate::escape::terminal;
use crate::inspect::Screen;

/// Rows of a table: its columns are as wide as the widest, so all are kept. CSV and JSON have no such cap.
pub const MAX_ROWS: usize = 100_000;

/// Cells of a column, but for the last.
const WIDEST: usize = 40;

/// Cells that the last column keeps however narrow the terminal is.
const NARROWEST: usize = 16;

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// RFC 4180, with a line of names.
    Csv,
    /// One object a line.
    Json,
}

/// A column: its title, and whether it holds numbers.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// The title.
    pub title: String,
    /// It stands at the right.
    pub is_number: bool,
}

impl Column {
    /// A column of text.
    #[must_use]
    pub(super) fn text(title: &str) -> Self {
        Self { title: title.to_owned(), is_number: false }
    }

    /// A column of numbers.
    #[must_use]
    pub(super) fn number(title: &str) -> Self {
        Self { title: title.to_owned(), is_number: true }
    }
}

/// Prints a table as wide as the screen, where that is a terminal; columns with a title of `spare` go, the first first, until the
/// others fit, and it is said which.
///
/// # Errors
/// Those of `out`.
pub(super) fn table(
    columns: &[Column],
    spare: &[&str],
    rows: &[Vec<String>],
    screen: &Screen,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    let last = columns.len().saturating_sub(1);
    let cut = |index: usize, text: &str, room: usize| {
        let shown = screen.text(text);
        screen.cut_middle(&shown, if index == last { room } else { WIDEST })
    };
    // Two cells of padding follow each column.
    let widths = columns.iter().enumerate().map(|(index, column)| {
        let cells = rows.iter().filter_map(|row| row.get(index)).chain([&column.title]);
        let widest = cells.map(|text| cut(index, text, NARROWEST).width()).max().unwrap_or_default();
        if index == last { widest } else { widest + 2 }
    });
    let widths: Vec<usize> = widths.collect();
    let at = |title: &&str| columns.iter().position(|column| column.title == *title);
    let spare: Vec<usize> = spare.iter().filter_map(at).collect();
    let left_out = screen.too_many(&widths, &spare);
    let shown = widths.iter().enumerate().take(last).filter(|(index, _)| !left_out.contains(index));
    let used: usize = shown.map(|(_, width)| width).sum();
    let room = if screen.terminal { screen.width.saturating_sub(used).max(NARROWEST) } else { usize::MAX };
    let titles: Vec<String> = columns.iter().map(|column| column.title.clone()).collect();
    for row in std::iter::once(&titles).chain(rows) {
        let cells = row.iter().zip(columns).enumerate().map(|(index, (text, column))| {
            let cell = Cell::new(cut(index, text, room));
            if column.is_number { cell.set_alignment(CellAlignment::Right) } else { cell }
        });
        table.add_row(Row::from(cells.collect::<Vec<_>>()));
    }
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
        if left_out.contains(&column.index) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    });
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))?;
    let titles: Vec<&str> =
        left_out.iter().filter_map(|index| titles.get(*index)).map(String::as_str).collect();
    if titles.is_empty() { Ok(()) } else { writeln!(out, "{}", screen.no_room_for(&titles)) }
}

/// One line of CSV, without its end.
///
/// # Errors
/// A cell cannot be told in CSV.
pub(super) fn csv_line<'a>(cells: impl IntoIterator<Item = Datum<'a>>) -> io::Result<String> {
    let mut line = Vec::new();
    let mut csv = Csv::further(&mut line);
    csv.row(cells)?;
    csv.finish()?;
    line.pop();
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// Writes CSV: text in quotes, numbers bare.
pub(super) struct Csv<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> Csv<W> {
    /// Begins with the names of the columns.
    ///
    /// # Errors
    /// Those of `out`.
    pub(super) fn new<'a>(out: W, names: impl IntoIterator<Item = &'a str>) -> io::Result<Self> {
        let mut csv = Self::further(out);
        csv.writer.write_record(names)?;
        Ok(csv)
    }

    /// Goes on behind rows that are there.
    fn further(out: W) -> Self {
        let writer = csv::WriterBuilder::new()
            .quote_style(csv::QuoteStyle::NonNumeric)
            .flexible(true)
            .buffer_capacity(1 << 10)
            .from_writer(out);
        Self { writer }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Those of the output.
    pub(super) fn row<'a>(&mut self, cells: impl IntoIterator<Item = Datum<'a>>) -> io::Result<()> {
        for cell in cells {
            match cell {
                Datum::Number(text) => self.writer.write_field(text)?,
                Datum::Text(text) => self.writer.write_field(harmless(text).as_bytes())?,
            }
        }
        Ok(self.writer.write_record(None::<&[u8]>)?)
    }

    /// Brings all to the output.
    ///
    /// # Errors
    /// Those of the output.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A cell of CSV.
#[derive(Clone, Copy, Debug)]
pub(super) enum Datum<'a> {
    /// A number of ours.
    Number(&'a str),
    /// Text, maybe from the wire.
    Text(&'a str),
}

/// Text that no spreadsheet takes for a formula: an apostrophe goes before what begins like one, as OWASP's "CSV
/// Injection" has it. What acts on a terminal is spelled out.
fn harmless(text: &str) -> Cow<'_, str> {
    let shown = terminal(text.as_bytes());
    let begins = |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n');
    // A space in front does not keep every spreadsheet from looking behind it.
    if text.trim_start_matches(' ').starts_with(begins) { format!("'{shown}").into() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Color;

    #[test]
    fn no_cell_is_a_formula() {
        let cells = ["=1+1", "+4930", "-2", "@x", "\tx", " =x", "a=b", "a\"b,c", "\u{1b}[2J", "", "030"];
        let mut out = Vec::new();
        let mut csv = Csv::new(&mut out, ["a", "b,c"]).unwrap();
        csv.row(cells.map(Datum::Text)).unwrap();
        csv.row([Datum::Number("-1.5"), Datum::Text("x")]).unwrap();
        csv.finish().unwrap();
        let expected = "\"a\",\"b,c\"\n\"'=1+1\",\"'+4930\",\"'-2\",\"'@x\",\"'\\x09x\",\"' =x\",\"a=b\",\"a\"\"b,c\",\"\\x1b[2J\",\"\",030\n-1.5,\"x\"\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_table_fits_its_terminal() {
        let columns = [Column::text("who"), Column::number("n"), Column::text("id")];
        let rows = [vec!["alice\u{1b}[2J".to_owned(), "1".to_owned(), "x".repeat(100)]];
        let shown = |terminal, width| {
            let screen = Screen::new(Color::Never, terminal, Some(width), |_| None);
            let mut out = Vec::new();
            table(&columns, &["n"], &rows, &screen, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let narrow = shown(true, 50);
        assert!(narrow.lines().all(|line| line.len() <= 50), "{narrow}");
        assert!(narrow.starts_with("who") && narrow.contains("alice\\u{1b}[2J  1  xx"), "{narrow}");
        assert!(shown(false, 50).contains(&"x".repeat(100)));
        let narrower = shown(true, 34);
        let expected = "no room for n: the terminal has 34 columns\n";
        assert!(narrower.contains("alice\\u{1b}[2J  xx") && narrower.ends_with(expected), "{narrower}");
    }
}
