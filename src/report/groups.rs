//! `report carriers` and `report targets`: calls by who carried them, by where they went, by our own addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::attempt::{Attempt, Attempts};
use super::condition::Selection;
use super::figures::Figures;
use super::records::{Go, Record, Taker};
use super::rows::{Column, Csv, Datum, Format, table};
use crate::config::{OTHER, Party};
use crate::inspect::Screen;
use crate::sip::uri;

/// Groups told apart: prefixes are what somebody dials.
const MAX_GROUPS: usize = 10_000;

/// Addresses of one target told apart.
const MAX_MEMBERS: usize = 64;

/// Final codes named in a cell.
const MAX_CODES: usize = 3;

/// What a group of `report targets` is called.
const TARGET: &str = "target";

/// What calls are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Carrier.
    #[default]
    Carrier,
    /// The first digits of the number that was dialled.
    Prefix,
    /// Our own address.
    Address,
}

/// Which groups there are.
#[derive(Clone, Debug)]
pub enum Grouping {
    /// `report carriers`.
    Carriers {
        /// What they are grouped by.
        by: By,
        /// Digits of a prefix.
        digits: usize,
    },
    /// `report targets`.
    Targets,
}

/// What is grouped, and how it is shown.
#[derive(Clone, Debug)]
pub struct Grouped {
    /// Which records.
    pub selection: Selection,
    /// By what.
    pub grouping: Grouping,
    /// The carriers of the configuration.
    pub carriers: Vec<Party>,
    /// The targets of the configuration.
    pub targets: Vec<Party>,
    /// At most so many.
    pub limit: Option<usize>,
    /// In this form.
    pub format: Format,
}

/// Groups records as they come.
pub struct Groups {
    grouped: Grouped,
    groups: BTreeMap<String, Figures>,
    /// Addresses seen of each target.
    members: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// Who a call was between.
struct Ends {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    host: Option<String>,
}

impl Ends {
    fn of(record: &Record) -> Self {
        let address = |key| record.text(key).parse::<SocketAddr>().ok().map(|it| it.ip());
        let host = uri::host(record.text("request_uri").as_bytes());
        Self {
            source: address("source"),
            destination: address("destination"),
            host: host.map(|host| String::from_utf8_lossy(host).into_owned()),
        }
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        [self.destination, self.source].into_iter().flatten()
    }

    /// Those that the call as a whole was between: where its first leg is an attempt, the receiver has no more than that.
    fn of_whole(&self, attempts: &Attempts<'_, '_>) -> impl Iterator<Item = IpAddr> + use<> {
        [self.destination.filter(|_| !attempts.has_first), self.source].into_iter().flatten()
    }
}

/// A group that a record counts in, and for which attempt, with the streams that are its own; without one as a whole.
type Part<'a> = (String, Option<(Attempt<'a>, Vec<&'a Value>)>);

impl Groups {
    /// No groups yet.
    #[must_use]
    pub const fn new(grouped: Grouped) -> Self {
        Self { grouped, groups: BTreeMap::new(), members: BTreeMap::new() }
    }

    /// What of a record counts in which groups.
    fn parts<'a>(&mut self, record: &'a Record) -> Vec<Part<'a>> {
        let ends = Ends::of(record);
        match self.grouped.grouping {
            Grouping::Targets => self.targets(&ends, record),
            Grouping::Carriers { by: By::Carrier, .. } => self.carriers(&ends, record),
            Grouping::Carriers { by: By::Prefix, digits } => vec![(prefix(record, digits), None)],
            Grouping::Carriers { by: By::Address, .. } => {
                vec![(self.own(&ends).map_or_else(|| OTHER.to_owned(), |it| it.to_string()), None)]
            }
        }
    }

    /// The carriers that attempts went to; and that of the call as a whole, which is known by its addresses then: whom its URI names
    /// is behind us.
    fn carriers<'a>(&self, ends: &Ends, record: &'a Record) -> Vec<Part<'a>> {
        let carriers = &self.grouped.carriers;
        let attempts = Attempts::of(record, carriers, ends.host.as_deref());
        let parts = attempts
            .shares()
            .map(|(attempt, carrier, _, media)| (carrier.name.clone(), Some((attempt, media))));
        let parts: Vec<Part<'a>> = parts.collect();
        if parts.is_empty() {
            return vec![(self.carrier(ends).to_owned(), None)];
        }
        let is_it = |carrier: &&Party| ends.of_whole(&attempts).any(|address| carrier.has_address(address));
        let whole = carriers.iter().find(is_it).map(|carrier| (carrier.name.clone(), None));
        whole.into_iter().chain(parts).collect()
    }

    fn carrier(&self, ends: &Ends) -> &str {
        let is_it = |carrier: &&Party| {
            ends.addresses().any(|address| carrier.has_address(address))
                || ends.host.as_deref().is_some_and(|host| carrier.has_host(host))
        };
        self.grouped.carriers.iter().find(is_it).map_or(OTHER, |carrier| carrier.name.as_str())
    }

    /// The end that is a target; else the one that faces a carrier; else the one that was called.
    fn own(&self, ends: &Ends) -> Option<IpAddr> {
        let is_of =
            |parties: &[Party], address: IpAddr| parties.iter().any(|party| party.has_address(address));
        let target = ends.addresses().find(|address| is_of(&self.grouped.targets, *address));
        let faces = |other: Option<IpAddr>| other.is_some_and(|other| is_of(&self.grouped.carriers, other));
        target
            .or_else(|| ends.source.filter(|_| faces(ends.destination)))
            .or_else(|| ends.destination.filter(|_| faces(ends.source)))
            .or(ends.destination)
    }

    /// Each target, or an address of one, that the call as a whole was between, or that received an attempt.
    fn targets<'a>(&mut self, ends: &Ends, record: &'a Record) -> Vec<Part<'a>> {
        let targets = &self.grouped.targets;
        let attempts = Attempts::of(record, targets, None);
        let mut parts: Vec<Part<'a>> = Vec::new();
        for address in ends.of_whole(&attempts) {
            let found = targets.iter().find(|target| target.has_address(address));
            let Some(name) = found.map(|target| member(&mut self.members, target, address)) else { continue };
            if parts.iter().all(|(known, _)| *known != name) {
                parts.push((name, None));
            }
        }
        for (attempt, target, address, media) in attempts.shares() {
            parts.push((member(&mut self.members, target, address), Some((attempt, media))));
        }
        if parts.is_empty() { vec![(OTHER.to_owned(), None)] } else { parts }
    }

    /// Prints the groups, the one with most calls first; returns how many are not shown. `is_whole`: everything could be
    /// read, so that of nothing it can be said that there is none.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(self, is_whole: bool, screen: &Screen, out: &mut dyn Write) -> io::Result<usize> {
        let (title, format) = (self.title(), self.grouped.format);
        let mut groups: Vec<(String, Figures)> = self.groups.into_iter().collect();
        groups.sort_by_key(|(_, figures)| std::cmp::Reverse(figures.calls()));
        let shown = groups.len().min(self.grouped.limit.unwrap_or(usize::MAX));
        let left_out = groups.len() - shown;
        groups.truncate(shown);
        let rows = groups.iter().map(|(name, figures)| (name.as_str(), figures.json()));
        match format {
            Format::Json => rows.into_iter().try_for_each(|(name, mut told)| {
                if let Some(object) = told.as_object_mut() {
                    object.insert(title.to_owned(), json!(name));
                }
                crate::escape::json_line(&mut *out, &told)
            })?,
            Format::Csv => csv(title, rows, out)?,
            Format::Table if groups.is_empty() && is_whole => writeln!(out, "no calls")?,
            Format::Table if groups.is_empty() => {}
            Format::Table => {
                let rows: Vec<Vec<String>> = rows.map(|(name, told)| cells(title, name, &told)).collect();
                table(&columns(title), &SPARE, &rows, screen, out)?;
            }
        }
        out.flush()?;
        Ok(left_out)
    }

    const fn title(&self) -> &'static str {
        match self.grouped.grouping {
            Grouping::Targets => TARGET,
            Grouping::Carriers { by: By::Carrier, .. } => "carrier",
            Grouping::Carriers { by: By::Prefix, .. } => "prefix",
            Grouping::Carriers { by: By::Address, .. } => "address",
        }
    }
}

impl Taker for Groups {
    fn wants(&mut self, record: &Record) -> bool {
        // What is asked of a target is not calls alone.
        let is_wanted = matches!(self.grouped.grouping, Grouping::Targets) || record.text("kind") == "call";
        is_wanted && self.grouped.selection.takes(&record.value)
    }

    fn take(&mut self, record: &Record) -> io::Result<Go> {
        for (name, attempt) in self.parts(record) {
            let is_told = self.groups.contains_key(&name) || self.groups.len() < MAX_GROUPS;
            let figures = self.groups.entry(if is_told { name } else { OTHER.to_owned() }).or_default();
            match attempt {
                None => figures.add(record),
                Some((attempt, media)) => figures.add_attempt(record, &attempt, &media),
            }
        }
        Ok(Go::On)
    }
}

/// The name of a target's row for one of its addresses.
fn member(members: &mut BTreeMap<String, BTreeSet<IpAddr>>, target: &Party, address: IpAddr) -> String {
    if !target.each {
        return target.name.clone();
    }
    let known = members.entry(target.name.clone()).or_default();
    if !known.contains(&address) && known.len() >= MAX_MEMBERS {
        return format!("{} {OTHER}", target.name);
    }
    known.insert(address);
    format!("{} {address}", target.name)
}

/// The first digits of the number in the request URI, else of To; `other` when that is no number.
fn prefix(record: &Record, digits: usize) -> String {
    let dialled = uri::user_part(record.text("request_uri").as_bytes()).map(String::from_utf8_lossy);
    let number = dialled.unwrap_or_else(|| record.text("to").into());
    let plus = if number.starts_with('+') { "+" } else { "" };
    let rest = number.trim_start_matches('+');
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '.' | '(' | ')' | ' ' | '*' | '#');
    // A masked number is told as far as it is there.
    let shown = rest.chars().take_while(|c| *c != '*').filter(char::is_ascii_digit).take(digits);
    let first: String = shown.collect();
    if first.is_empty() || !rest.chars().all(is_part) { OTHER.to_owned() } else { format!("{plus}{first}") }
}

/// A column of a table or of CSV: its name there, its title here, where its value is, and how it reads.
type Place = (&'static str, &'static str, &'static str, &'static str);

/// All of them, but for the group itself and the codes.
const PLACES: [Place; 13] = [
    ("calls", "calls", "/calls", ""),
    ("answered", "answered", "/answered", ""),
    ("asr_percent", "ASR", "/asr_percent", " %"),
    ("ner_percent", "NER", "/ner_percent", " %"),
    ("acd_seconds", "ACD", "/acd_seconds", " s"),
    ("pdd_mean_seconds", "PDD", "/pdd_seconds/mean", " s"),
    ("pdd_p95_seconds", "PDD 95 %", "/pdd_seconds/p95", " s"),
    ("setup_mean_seconds", "setup", "/setup_seconds/mean", " s"),
    ("setup_p95_seconds", "setup 95 %", "/setup_seconds/p95", " s"),
    ("mos_mean", "MOS", "/mos/mean", ""),
    ("mos_min", "MOS min", "/mos/min", ""),
    ("loss_percent", "loss", "/loss_percent", " %"),
    ("retransmissions", "resent", "/retransmissions", ""),
];

/// The columns that a narrow terminal goes without, the first to go first.
const SPARE: [&str; 8] = ["setup 95 %", "PDD 95 %", "MOS min", "resent", "setup", "PDD", "loss", "ACD"];

fn columns(title: &str) -> Vec<Column> {
    let figures = PLACES.iter().map(|(_, title, ..)| Column::number(title));
    let first = std::iter::once(Column::text(title));
    let last = [Column::text(if title == TARGET { "requests (failed)" } else { "not answered" })];
    first.chain(figures).chain(last).collect()
}

fn cells(title: &str, name: &str, told: &Value) -> Vec<String> {
    let figures =
        PLACES.iter().map(|(_, _, place, unit)| match told.pointer(place).and_then(Value::as_f64) {
            None => String::new(),
            Some(number) if unit.is_empty() && number.fract() == 0.0 => format!("{number:.0}"),
            Some(number) if unit.is_empty() => format!("{number:.2}"),
            Some(number) => format!("{number:.1}{unit}"),
        });
    let last = if title == TARGET { requests(told) } else { codes(told) };
    std::iter::once(name.to_owned()).chain(figures).chain([last]).collect()
}

/// Members of an object of the figures.
fn members<'a>(told: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    told.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// What a target was asked, since it has more than calls: first requests by method, and those that failed.
fn requests(told: &Value) -> String {
    let of = |it: &Value, key: &str| it.get(key).and_then(Value::as_u64).unwrap_or_default();
    let requests: Vec<String> = members(told, "requests")
        .map(|(method, it)| format!("{method} {} ({})", of(it, "count"), of(it, "failed")))
        .collect();
    requests.join(", ")
}

/// The most frequent codes of calls that were not answered.
fn codes(told: &Value) -> String {
    let mut codes: Vec<(&String, u64)> =
        members(told, "failed").filter_map(|(code, count)| Some((code, count.as_u64()?))).collect();
    codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more = if codes.len() > MAX_CODES { ", …" } else { "" };
    let codes: Vec<String> =
        codes.into_iter().take(MAX_CODES).map(|(code, count)| format!("{code}: {count}")).collect();
    format!("{}{more}", codes.join(", "))
}

fn csv<'a>(title: &str, rows: impl Iterator<Item = (&'a str, Value)>, out: &mut dyn Write) -> io::Result<()> {
    let names =
        std::iter::once(title).chain(PLACES.iter().map(|(name, ..)| *name)).chain(["failed", "requests"]);
    let mut csv = Csv::new(out, names)?;
    for (name, told) in rows {
        let numbers: Vec<String> = PLACES
            .iter()
            .map(|(_, _, place, _)| {
                told.pointer(place).filter(|it| !it.is_null()).map(Value::to_string).unwrap_or_default()
            })
            .collect();
        let text = |key: &str| told.get(key).map(Value::to_string).unwrap_or_default();
        let (failed, requests) = (text("failed"), text("requests"));
        let figures = numbers.iter().map(|number| Datum::Number(number));
        csv.row(
            std::iter::once(Datum::Text(name))
                .chain(figures)
                .chain([Datum::Text(&failed), Datum::Text(&requests)]),
        )?;
    }
    csv.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Color, Settings, apply};
    use crate::privacy::Privacy;
    use std::path::Path;

    fn grouped(grouping: Grouping) -> Grouped {
        let text = "carriers:\n  - {name: one, cidrs: [203.0.113.0/24]}\n  - {name: two, cidrs: [198.51.100.0/24, 203.0.113.9], domains: [two.example]}\ntargets:\n  - {name: edge, cidrs: [10.0.1.0/24], members: auto}\n  - {name: db, cidrs: [10.0.2.0/24]}\n";
        let mut settings = Settings::default();
        assert_eq!(apply(text, Path::new("f"), &mut settings), []);
        Grouped {
            selection: Selection::default(),
            grouping,
            carriers: settings.carriers.get().unwrap().0,
            targets: settings.targets.get().unwrap().0,
            limit: None,
            format: Format::Csv,
        }
    }

    fn names(grouping: Grouping, calls: &[(&str, &str, &str)]) -> Vec<String> {
        let mut groups = Groups::new(grouped(grouping));
        let mut found = Vec::new();
        for (source, destination, request_uri) in calls {
            let value = json!({"call_id": "x", "kind": "call", "source": source, "destination": destination, "request_uri": request_uri, "to": "x"});
            let record = Record::new(value, Privacy::default());
            let told = groups.parts(&record).into_iter().map(|(name, _)| name);
            found.push(told.collect::<Vec<_>>().join("|"));
            groups.take(&record).unwrap();
        }
        let mut out = Vec::new();
        let screen = Screen::new(Color::Never, false, None, |_| None);
        groups.finish(true, &screen, &mut out).unwrap();
        assert!(out.starts_with(b"\""));
        found
    }

    #[test]
    fn the_first_carrier_that_fits_is_it() {
        let calls = [
            ("203.0.113.9:5060", "10.0.1.1:5060", "sip:1@10.0.1.1"),
            ("10.0.1.1:5060", "198.51.100.7:5060", "sip:1@x"),
            ("10.0.1.1:5060", "10.0.1.2:5060", "sip:1@edge.TWO.example:5070"),
            ("10.0.1.1:5060", "10.0.1.2:5060", "sip:1@nottwo.example"),
            ("broken", "", ""),
        ];
        let by = Grouping::Carriers { by: By::Carrier, digits: 4 };
        assert_eq!(names(by, &calls), ["one", "two", "two", "other", "other"]);
        let by = Grouping::Carriers { by: By::Address, digits: 4 };
        assert_eq!(names(by, &calls), ["10.0.1.1", "10.0.1.1", "10.0.1.2", "10.0.1.2", "other"]);
    }

    /// An answered call of 60 s whose INVITE went that way: from, to, and the final code.
    fn tried(legs: &[(&str, &str, u16)], media: &[(&str, f64)]) -> Value {
        let at = |host: &str| format!("{host}:5060");
        let legs: Vec<Value> = legs
            .iter()
            .map(|(from, to, code)| {
                json!({"call_id": "x", "source": at(from), "destination": at(to), "status_code": (*code > 0).then_some(code)})
            })
            .collect();
        let media: Vec<Value> = media
            .iter()
            .map(|(host, mos)| json!({"source": format!("{host}:4000"), "destination": "192.0.2.200:4002", "mos": mos}))
            .collect();
        json!({"call_id": "x", "kind": "call", "method": "INVITE", "request_uri": "sip:1@x", "result": "success",
            "answered": "2026-01-31T12:00:01.000000Z", "duration_seconds": 60.0, "messages": 20, "source": legs[0]["source"],
            "destination": legs[0]["destination"], "legs": legs, "media": media})
    }

    /// What is told of a record: group, calls, answered, codes, mean MOS.
    fn told(grouping: Grouping, records: &[Value]) -> Vec<String> {
        let mut groups = Groups::new(Grouped { format: Format::Json, ..grouped(grouping) });
        let title = groups.title();
        for record in records {
            groups.take(&Record::new(record.clone(), Privacy::default())).unwrap();
        }
        let mut out = Vec::new();
        groups.finish(true, &Screen::new(Color::Never, false, None, |_| None), &mut out).unwrap();
        let lines = out.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let told = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
        let mut told: Vec<String> = told
            .map(|group| {
                let name = group[title].as_str().unwrap();
                format!(
                    "{name} {} {} {} {}",
                    group["calls"], group["answered"], group["failed"], group["mos"]["mean"]
                )
            })
            .collect();
        told.sort();
        told
    }

    const US: &str = "192.0.2.1";
    const ONE: &str = "203.0.113.1";
    const TWO: &str = "198.51.100.1";

    #[test]
    fn the_first_leg_is_an_attempt_where_its_sender_tries_others() {
        let carriers = |legs: &[(&str, &str, u16)]| {
            let by = Grouping::Carriers { by: By::Carrier, digits: 4 };
            told(by, &[tried(legs, &[])])
        };
        assert_eq!(
            carriers(&[(US, ONE, 503), (US, TWO, 200)]),
            [r#"one 1 0 {"503":1} null"#, "two 1 1 {} null"]
        );
        assert_eq!(
            carriers(&[(US, ONE, 0), (US, TWO, 200)]),
            [r#"one 1 0 {"none":1} null"#, "two 1 1 {} null"]
        );
        // Another address of the same; one that is not listed.
        let again = "203.0.113.2";
        assert_eq!(carriers(&[(US, ONE, 503), (US, again, 200)]), [r#"one 2 1 {"503":1} null"#]);
        assert_eq!(carriers(&[(US, ONE, 503), (US, "192.0.2.9", 200)]), [r#"one 1 0 {"503":1} null"#]);
        // Another way to the same address.
        let ways = [(US, "192.0.2.2", 503), ("192.0.2.2", ONE, 503), (US, "192.0.2.3", 200)];
        assert_eq!(carriers(&[&ways[..], &[("192.0.2.3", ONE, 200)]].concat()), ["one 1 1 {} null"]);
        // Who calls us has it as a whole, and so has who sends it on.
        assert_eq!(carriers(&[(ONE, US, 200), (US, "192.0.2.2", 200)]), ["one 1 1 {} null"]);
        assert_eq!(
            carriers(&[(ONE, "192.0.2.2", 503), (ONE, US, 200), (US, TWO, 200)]),
            ["one 1 1 {} null", "two 1 1 {} null"]
        );
        let edge = ["10.0.1.1", "10.0.1.2"];
        let targets = told(
            Grouping::Targets,
            &[tried(&[(US, edge[0], 503), (US, edge[1], 200), (edge[1], ONE, 200)], &[])],
        );
        assert_eq!(targets, [r#"edge 10.0.1.1 1 0 {"503":1} null"#, "edge 10.0.1.2 1 1 {} null"]);
        let whole = told(Grouping::Targets, &[tried(&[(US, edge[0], 0), (edge[0], ONE, 200)], &[])]);
        assert_eq!(whole, ["edge 10.0.1.1 1 1 {} null"], "the answers to us went another way");
    }

    #[test]
    fn the_request_uri_names_who_received_the_first_leg_or_who_is_behind() {
        let carriers = |legs: &[(&str, &str, u16)]| {
            let mut record = tried(legs, &[]);
            record["request_uri"] = json!("sip:1@sip.two.example");
            told(Grouping::Carriers { by: By::Carrier, digits: 4 }, &[record])
        };
        assert_eq!(
            carriers(&[(US, "192.0.2.9", 503), (US, ONE, 200)]),
            ["one 1 1 {} null", r#"two 1 0 {"503":1} null"#]
        );
        let behind = [(US, "192.0.2.9", 503), ("192.0.2.9", TWO, 503), (US, ONE, 200)];
        assert_eq!(carriers(&behind), ["one 1 1 {} null", r#"two 1 0 {"503":1} null"#]);
        assert_eq!(carriers(&[(US, "192.0.2.9", 200)]), ["two 1 1 {} null"]);
    }

    #[test]
    fn media_count_for_who_has_answered_but_early_media_of_who_refused() {
        let carriers = |records: &[Value]| told(Grouping::Carriers { by: By::Carrier, digits: 4 }, records);
        let [early, talk] = [("203.0.113.50", 2.0), ("192.0.2.77", 4.0)];
        let refused = [(US, ONE, 503), (US, TWO, 200)];
        assert_eq!(
            carriers(&[tried(&refused, &[early, talk])]),
            [r#"one 1 0 {"503":1} 2.0"#, "two 1 1 {} 4.0"]
        );
        assert_eq!(
            carriers(&[tried(
                &[(US, "192.0.2.2", 200), ("192.0.2.2", ONE, 503), ("192.0.2.2", TWO, 200)],
                &[early, talk]
            )]),
            [r#"one 1 0 {"503":1} 2.0"#, "two 1 1 {} 4.0"]
        );
        // Both attempts at one carrier, and another call.
        let again = [(US, ONE, 503), (US, "203.0.113.2", 200)];
        let single = tried(&[(US, ONE, 200)], &[("203.0.113.50", 3.0)]);
        assert_eq!(carriers(&[tried(&again, &[early]), single]), [r#"one 3 2 {"503":1} 2.5"#]);
        // Who calls us hears all of it.
        assert_eq!(
            carriers(&[tried(
                &[(ONE, US, 200), (US, "192.0.2.9", 503), (US, TWO, 200)],
                &[("192.0.2.9", 2.0), talk]
            )]),
            ["one 1 1 {} 3.0", "two 1 1 {} 4.0"]
        );
    }

    #[test]
    fn prefixes_are_digits() {
        let calls = [
            "sip:+4930123@h",
            "sip:004930123@h",
            "sip:(49)30-1@h",
            "sip:alice@h",
            "tel:112",
            "sip:h",
            "sip:+49301****@h",
        ];
        let calls = calls.map(|uri| ("192.0.2.1:1", "192.0.2.2:1", uri));
        let by = Grouping::Carriers { by: By::Prefix, digits: 4 };
        assert_eq!(names(by, &calls), ["+4930", "0049", "4930", "other", "112", "other", "+4930"]);
    }

    #[test]
    fn the_last_column_is_what_its_title_says() {
        let records = [
            json!({"kind": "call", "method": "INVITE", "request_uri": "sip:b@h", "result": "failed", "status_code": 403}),
            json!({"kind": "call", "method": "ACK", "result": "open"}),
        ];
        let last = |grouping: Grouping, records: &[Value]| {
            let mut groups = Groups::new(Grouped { format: Format::Table, ..grouped(grouping) });
            for value in records {
                groups.take(&Record::new(value.clone(), Privacy::default())).unwrap();
            }
            let mut out = Vec::new();
            groups.finish(true, &Screen::new(Color::Never, false, None, |_| None), &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let mut columns = text.lines().map(|line| line.rsplit("  ").next().unwrap().to_owned());
            [columns.next().unwrap(), columns.next().unwrap()]
        };
        let by = Grouping::Carriers { by: By::Carrier, digits: 4 };
        assert_eq!(last(by, &records), ["not answered", "403: 1"]);
        assert_eq!(last(Grouping::Targets, &records), ["requests (failed)", "ACK 1 (0), INVITE 1 (1)"]);
        assert_eq!(last(Grouping::Targets, &records[..1]), ["requests (failed)", "INVITE 1 (1)"]);
    }

    #[test]
    fn members_of_a_target_have_rows_of_their_own() {
        let calls = [
            ("10.0.1.1:5060", "10.0.1.2:5060", ""),
            ("10.0.1.1:5060", "10.0.1.1:5060", ""),
            ("10.0.2.1:5060", "10.0.2.2:5060", ""),
            ("192.0.2.1:5060", "10.0.1.3:5060", ""),
            ("192.0.2.1:5060", "192.0.2.2:5060", ""),
        ];
        let expected = ["edge 10.0.1.2|edge 10.0.1.1", "edge 10.0.1.1", "db", "edge 10.0.1.3", "other"];
        assert_eq!(names(Grouping::Targets, &calls), expected);
        let many: Vec<String> = (0..70).map(|n| format!("10.0.1.{n}:5060")).collect();
        let many: Vec<(&str, &str, &str)> = many.iter().map(|it| ("192.0.2.1:1", it.as_str(), "")).collect();
        assert_eq!(names(Grouping::Targets, &many).last().unwrap(), "edge other");
    }
}
