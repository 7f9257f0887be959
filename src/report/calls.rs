//! `report calls`: the records that were chosen, one a line.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use super::condition::Selection;
use super::field::{Field, text};
use super::records::{Go, Record, Taker};
use super::rows::{Column, Csv, Datum, Format, MAX_ROWS, csv_line, table};
use crate::inspect::Screen;

/// How calls are listed.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Which.
    pub selection: Selection,
    /// Dialogs that are no calls too.
    pub all: bool,
    /// These fields; else those that fit.
    pub fields: Vec<Field>,
    /// In this order; else as they come.
    pub sort: Option<Field>,
    /// The largest first.
    pub descending: bool,
    /// At most so many.
    pub limit: Option<usize>,
    /// In this form.
    pub format: Format,
}

/// Lists calls while records come. What is sorted or shown as a table is kept, up to a cap; nothing else is.
pub struct Calls<'a> {
    listing: Listing,
    out: &'a mut (dyn Write + Send),
    screen: Screen,
    /// Kept rows, the worst first out.
    kept: BinaryHeap<Kept>,
    began: bool,
    taken: u64,
    left_out: u64,
    others: u64,
}

/// What a list does not show of what was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unshown {
    /// Rows that were too many.
    pub rows: u64,
    /// Dialogs that are no calls, where there is no call.
    pub others: u64,
}

/// A row, ready to be printed.
enum Printed {
    Cells(Vec<String>),
    Line(String),
}

struct Kept {
    key: Key,
    number: u64,
    row: Printed,
}

/// What rows are sorted by. What has none comes last.
#[derive(Clone, Debug)]
struct Key {
    value: Option<Sortable>,
    descending: bool,
}

#[derive(Clone, Debug)]
enum Sortable {
    Number(f64),
    Text(String),
}

impl<'a> Calls<'a> {
    /// Lists to `out`.
    pub fn new(listing: Listing, screen: Screen, out: &'a mut (dyn Write + Send)) -> Self {
        let mut listing = listing;
        if listing.format == Format::Csv && listing.fields.is_empty() {
            listing.fields = Field::all();
        }
        Self { listing, out, screen, kept: BinaryHeap::new(), began: false, taken: 0, left_out: 0, others: 0 }
    }

    /// Prints what was kept; returns what of those chosen is not shown. `is_whole`: everything could be
    /// read, so that of nothing it can be said that there is none.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self, is_whole: bool) -> io::Result<Unshown> {
        let rows: Vec<Printed> =
            std::mem::take(&mut self.kept).into_sorted_vec().into_iter().map(|it| it.row).collect();
        if self.listing.format == Format::Table {
            let rows: Vec<Vec<String>> = rows
                .into_iter()
                .filter_map(|row| match row {
                    Printed::Cells(cells) => Some(cells),
                    _ => None,
                })
                .collect();
            if !rows.is_empty() {
                table(&self.columns(), self.spare(), &rows, &self.screen, self.out)?;
            } else if is_whole {
                writeln!(self.out, "no calls")?;
            }
        } else {
            self.begin()?;
            for row in &rows {
                self.print(row)?;
            }
        }
        self.out.flush()?;
        Ok(Unshown { rows: self.left_out, others: if self.taken == 0 { self.others } else { 0 } })
    }

    /// Whether rows wait until all are there.
    fn keeps(&self) -> bool {
        self.listing.sort.is_some() || self.listing.format == Format::Table
    }

    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.began, true) || self.listing.format != Format::Csv {
            return Ok(());
        }
        Csv::new(&mut self.out, self.listing.fields.iter().map(Field::name))?.finish()
    }

    fn print(&mut self, row: &Printed) -> io::Result<()> {
        match row {
            Printed::Line(line) => writeln!(self.out, "{line}"),
            Printed::Cells(_) => Ok(()),
        }
    }

    fn columns(&self) -> Vec<Column> {
        if !self.listing.fields.is_empty() {
            return self.listing.fields.iter().map(|field| Column::text(field.name())).collect();
        }
        let arrow = self.screen.pick("→", "->");
        vec![
            Column::text("start (UTC)"),
            Column::text(&format!("from {arrow} to")),
            Column::text("result"),
            Column::number("PDD"),
            Column::number("setup"),
            Column::number("duration"),
            Column::number("MOS"),
            Column::text("findings"),
            Column::text("Call-ID"),
        ]
    }

    /// The columns that a narrow terminal goes without; none of those that were asked for.
    fn spare(&self) -> &'static [&'static str] {
        if self.listing.fields.is_empty() { &["setup", "PDD", "MOS", "duration", "findings"] } else { &[] }
    }

    fn row(&self, record: &Record) -> io::Result<Printed> {
        let fields = &self.listing.fields;
        Ok(match self.listing.format {
            Format::Json => Printed::Line(record.json()?),
            Format::Csv => {
                let data: Vec<_> = fields.iter().map(|field| datum(field, record)).collect();
                let data = data.iter().map(|(text, is_number)| match is_number {
                    true => Datum::Number(text),
                    false => Datum::Text(text),
                });
                Printed::Line(csv_line(data)?)
            }
            Format::Table if !fields.is_empty() => {
                Printed::Cells(fields.iter().map(|field| field.text(&record.value)).collect())
            }
            Format::Table => Printed::Cells(self.cells(record)),
        })
    }

    fn cells(&self, record: &Record) -> Vec<String> {
        let arrow = self.screen.pick("→", "->");
        let start = record.text("start");
        let code = record.number("status_code").map(|code| format!(" {code}")).unwrap_or_default();
        let method = if record.text("kind") == "call" { "" } else { record.text("method") };
        let seconds = |key| record.number(key).map(|it| format!("{it:.1} s")).unwrap_or_default();
        vec![
            start.get(..23).unwrap_or(start).replace('T', " "),
            format!("{} {arrow} {}", record.text("from"), record.text("to")),
            format!("{method} {}{code}", record.text("result")).trim_start().to_owned(),
            seconds("post_dial_delay_seconds"),
            seconds("setup_seconds"),
            seconds("duration_seconds"),
            worst_mos(record).map(|mos| format!("{mos:.2}")).unwrap_or_default(),
            findings(record),
            record.text("call_id").to_owned(),
        ]
    }
}

impl Taker for Calls<'_> {
    fn wants(&mut self, record: &Record) -> bool {
        let is_chosen = self.listing.selection.takes(&record.value);
        let is_call = self.listing.all || record.text("kind") == "call";
        self.others += u64::from(is_chosen && !is_call);
        is_chosen && is_call
    }

    fn take(&mut self, record: &Record) -> io::Result<Go> {
        self.taken += 1;
        let limit = self.listing.limit.unwrap_or(usize::MAX);
        if !self.keeps() {
            self.begin()?;
            let row = self.row(record)?;
            self.print(&row)?;
            return Ok(if self.taken >= limit as u64 { Go::Stop } else { Go::On });
        }
        let limit = limit.min(MAX_ROWS);
        let key = Key::of(self.listing.sort.as_ref(), self.listing.descending, record);
        let is_better = |worst: &Kept| (&key, self.taken).cmp(&(&worst.key, worst.number)).is_lt();
        if self.kept.len() >= limit && !self.kept.peek().is_some_and(is_better) {
            self.left_out += 1;
            return Ok(Go::On);
        }
        let row = self.row(record)?;
        self.kept.push(Kept { key, number: self.taken, row });
        if self.kept.len() > limit {
            self.kept.pop();
            self.left_out += 1;
        }
        Ok(Go::On)
    }
}

fn datum(field: &Field, record: &Record) -> (String, bool) {
    match field.places(&record.value).as_slice() {
        [Some(value)] => (text(value), value.is_number()),
        _ => (field.text(&record.value), false),
    }
}

/// The score of the worst stream.
fn worst_mos(record: &Record) -> Option<f64> {
    let streams = record.value.get("media").and_then(|media| media.as_array());
    streams.into_iter().flatten().filter_map(|stream| stream.get("mos")?.as_f64()).min_by(f64::total_cmp)
}

/// The codes of its findings, each once.
fn findings(record: &Record) -> String {
    let findings = record.value.get("findings").and_then(|it| it.as_array()).into_iter().flatten();
    let mut codes: Vec<&str> = findings.filter_map(|finding| finding.get("code")?.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes.join(",")
}

impl Key {
    /// Of several values the one that comes first counts.
    fn of(field: Option<&Field>, descending: bool, record: &Record) -> Self {
        let values = field.map(|field| field.values(&record.value)).unwrap_or_default();
        let keys = values.into_iter().map(|value| {
            let number = value.as_f64().map(Sortable::Number);
            Self { value: Some(number.unwrap_or_else(|| Sortable::Text(text(value)))), descending }
        });
        keys.min().unwrap_or(Self { value: None, descending })
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = match (&self.value, &other.value) {
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Greater,
            (_, None) => return Ordering::Less,
            (Some(Sortable::Number(one)), Some(Sortable::Number(other))) => one.total_cmp(other),
            (Some(Sortable::Text(one)), Some(Sortable::Text(other))) => one.cmp(other),
            (Some(Sortable::Number(_)), _) => Ordering::Less,
            (Some(Sortable::Text(_)), _) => Ordering::Greater,
        };
        if self.descending { order.reverse() } else { order }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Kept {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Color;
    use crate::privacy::Privacy;
    use crate::report::offer;
    use serde_json::json;

    fn record(value: serde_json::Value) -> Record {
        Record::new(value, Privacy::default())
    }

    fn listed(listing: Listing) -> (Vec<String>, u64) {
        let mut out = Vec::new();
        let screen = Screen::new(Color::Never, false, None, |_| None);
        let mut calls = Calls::new(listing, screen, &mut out);
        let lengths = [Some(3.0), None, Some(10.0), Some(9.5), Some(3.0)];
        for (number, length) in lengths.into_iter().enumerate() {
            let value = json!({"call_id": number.to_string(), "kind": "call", "duration_seconds": length,
                "result": "success", "start": "2026-01-31T12:00:00.000000Z", "from": "=a", "to": "b"});
            if offer(record(value), Privacy::default(), &mut calls).unwrap() == Go::Stop {
                break;
            }
        }
        let other = json!({"call_id": "9", "kind": "options"});
        offer(record(other), Privacy::default(), &mut calls).unwrap();
        let left_out = calls.finish(true).unwrap().rows;
        (String::from_utf8(out).unwrap().lines().map(str::to_owned).collect(), left_out)
    }

    fn field(name: &str) -> Field {
        Field::parse(name).unwrap()
    }

    fn csv() -> Listing {
        Listing { fields: vec![field("call_id"), field("from")], format: Format::Csv, ..Listing::default() }
    }

    #[test]
    fn rows_come_in_the_order_that_was_asked_for() {
        let order = |listing| -> String {
            listed(listing).0.iter().skip(1).filter_map(|line| line.chars().next()).collect()
        };
        assert_eq!(order(csv()), "01234");
        assert_eq!(order(Listing { limit: Some(2), ..csv() }), "01");
        let sort = Some(field("duration_seconds"));
        assert_eq!(order(Listing { sort: sort.clone(), ..csv() }), "04321");
        assert_eq!(order(Listing { sort: sort.clone(), descending: true, ..csv() }), "23041");
        assert_eq!(order(Listing { sort, descending: true, limit: Some(3), ..csv() }), "230");
    }

    #[test]
    fn a_table_counts_what_it_leaves_out() {
        let limited = || Listing { limit: Some(2), ..Listing::default() };
        let (table, left_out) = listed(limited());
        assert_eq!((table.len(), left_out), (3, 3));
        assert_eq!(listed(Listing { sort: Some(field("call_id")), ..limited() }).1, 3);
        assert_eq!(listed(Listing { limit: Some(5), ..limited() }).1, 0);
    }

    #[test]
    fn every_form_has_the_same_calls() {
        assert_eq!(listed(csv()).0.first().unwrap(), "\"call_id\",\"from\"");
        let json = listed(Listing { format: Format::Json, limit: Some(1), ..Listing::default() }).0;
        assert!(json.len() == 1 && json[0].contains("\"from\":\"=a\""), "{json:?}");
        let (table, left_out) = listed(Listing::default());
        assert_eq!((table.len(), left_out), (6, 0));
        assert!(table[3].starts_with("2026-01-31 12:00:00.000  =a -> b"), "{}", table[3]);
        assert!(table[3].contains("10.0 s"), "{}", table[3]);
        let none = Listing {
            selection: Selection { until: Some(crate::time::Timestamp(1)), ..Selection::default() },
            ..Listing::default()
        };
        assert_eq!(listed(none).0, ["no calls"]);
    }
}
