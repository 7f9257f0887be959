//! All calls: a table for people, or one JSON object a line for programs.

use std::io::{self, Write};

use anyhow::Result;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, Row, Table, presets};

use crate::call::{CallKind, CallRecord, CallResult, Listener, Wants};
use crate::escape::json_line;
use crate::time::Timestamp;

use super::Extent;
use super::screen::{Ink, Screen};
use super::stream::count;

/// Rows of a table; those beyond are counted. JSON lines have no such cap: they are not kept.
const MAX_ROWS: usize = 100_000;
/// Cells of a party's name.
const MAX_PARTY: usize = 24;
/// Cells that a Call-ID keeps however narrow the terminal is.
const MIN_CALL_ID: usize = 16;
/// Stands around what is painted while the table is laid out: no width (UAX #11), and in no text that is shown.
const MARK: char = '\u{2060}';
/// The columns before the Call-ID; from the fourth on they are numbers.
const TITLES: [&str; 9] =
    ["#", "start (UTC)", "from → to", "result", "PDD", "setup", "duration", "messages", "RTP"];
/// Those that a narrow terminal goes without, the first to go first: RTP, messages, #, setup, PDD, duration.
const SPARE: [usize; 6] = [8, 7, 0, 5, 4, 6];

/// How calls are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A table.
    Table,
    /// One record a line, as each dialog ends.
    Json,
}

/// Lists calls, and with `all` every other dialog too; `run` reads the capture with [`super::settings`], and tells what
/// limited its view, and how much could be read: unless that is all, it cannot be said that there are no calls. The limits stand below
/// a table; lines of JSON are records alone, and the caller tells it elsewhere.
///
/// # Errors
/// When `run` fails or `out` cannot be written to.
pub fn calls(
    form: Form,
    all: bool,
    screen: &Screen,
    out: &mut (dyn Write + Send),
    run: impl FnOnce(&mut (dyn Listener + Send)) -> Result<(Vec<String>, Extent)>,
) -> Result<Vec<String>> {
    let mut list =
        List { out, form, all, kept: Vec::new(), more: 0, others: [0; KINDS.len()], outcome: Ok(()) };
    let (mut limits, read) = run(&mut list)?;
    list.outcome?;
    if form == Form::Table {
        list.kept.sort_by_key(|entry| entry.start);
        table(&list.kept, screen, list.out)?;
        if list.kept.is_empty() && read == Extent::Whole {
            writeln!(list.out, "no calls")?;
        }
        footer(list.more, &list.others, list.out)?;
        limits.drain(..).try_for_each(|limit| writeln!(list.out, "note: {}", screen.text(&limit)))?;
    }
    list.out.flush()?;
    Ok(limits)
}

/// What dialogs other than calls are called.
const KINDS: [(CallKind, &str); 5] = [
    (CallKind::Registration, "registration"),
    (CallKind::Subscription, "subscription"),
    (CallKind::Options, "OPTIONS dialog"),
    (CallKind::Message, "message"),
    (CallKind::Other, "other dialog"),
];

/// A row: what is needed of a record, which would be ten times as large.
struct Entry {
    start: Timestamp,
    call_id: String,
    parties: (String, String),
    result: CallResult,
    outcome: String,
    times: [Option<f64>; 3],
    counts: [u64; 2],
}

struct List<'a> {
    out: &'a mut (dyn Write + Send),
    form: Form,
    all: bool,
    kept: Vec<Entry>,
    more: u64,
    others: [u64; KINDS.len()],
    /// The first failure to write; nothing is written after it.
    outcome: io::Result<()>,
}

impl Listener for List<'_> {
    fn wants(&self) -> Wants {
        Wants { frames: false, events: false, audit: false, records: true }
    }

    fn closed(&mut self, _: u32, _: bool, record: Option<CallRecord>) {
        let Some(record) = record else { return };
        if record.kind != CallKind::Call && !self.all {
            let counters = self.others.iter_mut().zip(KINDS);
            counters.filter(|(_, (kind, _))| *kind == record.kind).for_each(|(counter, _)| *counter += 1);
        } else if self.form == Form::Json {
            if self.outcome.is_ok() {
                self.outcome = json_line(self.out, &record);
            }
        } else if self.kept.len() < MAX_ROWS {
            self.kept.push(Entry::new(record));
        } else {
            self.more += 1;
        }
    }
}

impl Entry {
    fn new(record: CallRecord) -> Self {
        let code = record.status_code.map(|code| format!(" {code}")).unwrap_or_default();
        let method =
            if record.kind == CallKind::Call { String::new() } else { format!("{} ", record.method) };
        Self {
            start: record.start,
            outcome: format!("{method}{}{code}", record.result.name()),
            parties: (record.from, record.to),
            result: record.result,
            times: [record.post_dial_delay_seconds, record.setup_seconds, record.duration_seconds],
            counts: [record.messages, record.rtp_packets],
            call_id: record.call_id,
        }
    }

    const fn ink(&self) -> Ink {
        match self.result {
            CallResult::Success => Ink::Good,
            CallResult::Failed | CallResult::Timeout => Ink::Bad,
            _ => Ink::Warning,
        }
    }

    fn cells(&self, number: usize, screen: &Screen) -> Vec<Cell> {
        let party = |name: &str| screen.cut_middle(&screen.text(name), MAX_PARTY);
        let arrow = screen.pick("→", "->");
        let start = self.start.rfc3339();
        let start = start.get(..23).unwrap_or(&start).replace('T', " ");
        let mut cells = vec![
            number_cell(number.to_string()),
            Cell::new(start),
            Cell::new(format!("{} {arrow} {}", party(&self.parties.0), party(&self.parties.1))),
            Cell::new(format!("{MARK}{}{MARK}", screen.text(&self.outcome))),
        ];
        let times = self.times.iter().map(|time| time.map(|time| format!("{time:.1} s")).unwrap_or_default());
        cells.extend(times.map(number_cell));
        cells.extend(self.counts.iter().map(|count| number_cell(count.to_string())));
        cells
    }
}

fn number_cell(text: String) -> Cell {
    Cell::new_owned(text).set_alignment(CellAlignment::Right)
}

fn table(entries: &[Entry], screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut rows = vec![header(screen)];
    rows.extend(entries.iter().zip(1..).map(|(entry, number)| entry.cells(number, screen)));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.force_no_tty();
    table.add_rows(rows.iter().cloned().map(Row::from));
    // Two cells of padding follow each column.
    let mut widths: Vec<usize> =
        table.column_max_content_widths().iter().map(|width| usize::from(*width) + 2).collect();
    widths.push(MIN_CALL_ID);
    let left_out = screen.too_many(&widths, &SPARE);
    widths.pop();
    let used: usize = widths
        .iter()
        .enumerate()
        .filter(|(index, _)| !left_out.contains(index))
        .map(|(_, width)| width)
        .sum();
    let room = if screen.terminal { screen.width.saturating_sub(used).max(MIN_CALL_ID) } else { usize::MAX };
    let call_ids = entries.iter().map(|entry| screen.cut_middle(&screen.text(&entry.call_id), room));
    for (index, call_id) in std::iter::once("Call-ID".to_owned()).chain(call_ids).enumerate() {
        if let Some(row) = table.row_mut(index) {
            row.add_cell(Cell::new_owned(call_id));
        }
    }
    table.discover_columns();
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
        if left_out.contains(&column.index) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    });
    let inks = std::iter::once(Ink::Plain).chain(entries.iter().map(Entry::ink));
    for (line, ink) in table.lines().zip(inks) {
        let mut parts = line.trim_end().splitn(3, MARK);
        let mut part = || parts.next().unwrap_or_default();
        writeln!(out, "{}{}{}", part(), screen.paint(ink, part()), part())?;
    }
    let titles: Vec<&str> = left_out.iter().filter_map(|index| TITLES.get(*index).copied()).collect();
    if titles.is_empty() { Ok(()) } else { writeln!(out, "{}", screen.no_room_for(&titles)) }
}

fn header(screen: &Screen) -> Vec<Cell> {
    let title = |title: &str| title.replace('→', screen.pick("→", "->"));
    let cells = TITLES.iter().zip(0..).map(|(text, index)| {
        let is_number = index == 0 || index > 3;
        let cell = Cell::new(title(text));
        if is_number { cell.set_alignment(CellAlignment::Right) } else { cell }
    });
    cells.collect()
}

/// What the table does not show.
fn footer(more: u64, others: &[u64], out: &mut dyn Write) -> io::Result<()> {
    if more > 0 {
        writeln!(out, "and {}: --json lists all", count(more, "more dialog"))?;
    }
    let counted = others.iter().zip(KINDS).filter(|(number, _)| **number > 0);
    let counted: Vec<String> = counted.map(|(number, (_, noun))| count(*number, noun)).collect();
    if !counted.is_empty() {
        writeln!(out, "not shown without --all: {}", counted.join(", "))?;
    }
    Ok(())
}
