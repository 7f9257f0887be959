//! The configuration file: read, checked against the keys that exist, laid over the settings.
//!
//! Every problem is found in one pass: a wrong value, an unknown key and a key given twice do not hide each other.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::document::{self, Entry, Node, Position};
use super::limits::MAX_CONFIG_BYTES;
use super::meant::did_you_mean;
use super::problem::{ConfigError, Problem};
use super::retired::{Fate, fate};
use super::settings::{Origin, Setting, Settings, Visitor};
use super::units::{Parse, Value, Wrong};

/// Reads `path` and lays it over `settings`; returns the warnings.
///
/// # Errors
/// When it cannot be read, or with everything that is wrong in it (and the warnings), by line.
pub fn read(path: &Path, settings: &mut Settings) -> Result<Vec<Problem>, ConfigError> {
    let unreadable = |reason| ConfigError::Read { path: path.to_owned(), reason };
    let bytes = read_bounded(path).map_err(unreadable)?;
    let mut laid = settings.clone();
    let problems = match std::str::from_utf8(&bytes) {
        Ok(text) => apply(text, path, &mut laid),
        Err(error) => vec![not_text(&bytes, error.valid_up_to(), path)],
    };
    if problems.iter().all(|problem| problem.warning) {
        *settings = laid;
        Ok(problems)
    } else {
        Err(ConfigError::Invalid(problems))
    }
}

/// Nobody writes a configuration of a megabyte; `/dev/zero` would be endless.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_CONFIG_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 1 MiB: this is no configuration",
        ));
    }
    Ok(bytes)
}

fn not_text(bytes: &[u8], good: usize, path: &Path) -> Problem {
    let before = bytes.get(..good).unwrap_or_default();
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let column = 1 + String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count() as u64;
    let message = "not UTF-8 text".to_owned();
    Problem {
        file: Some(path.to_owned()),
        place: Some((line, column)),
        key: String::new(),
        message,
        warning: false,
    }
}

/// Lays the text of a file over `settings` as far as it is right, and says what is not, in the order of its lines.
pub fn apply(text: &str, path: &Path, settings: &mut Settings) -> Vec<Problem> {
    let mut reader = Reader { path, keys: Settings::keys(), leaves: Vec::new(), problems: Vec::new() };
    match document::parse(text) {
        Ok(sections) => reader.collect(sections),
        Err(broken) => reader.report(broken.at, "", broken.message),
    }
    settings.visit(&mut reader);
    reader.report_unknown();
    reader.problems.sort_by_key(|problem| problem.place);
    reader.problems
}

/// A key in a known section, by its dotted name.
struct Leaf {
    entry: Entry,
    taken: bool,
}

struct Reader<'a> {
    path: &'a Path,
    keys: Vec<&'static str>,
    leaves: Vec<Leaf>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn report(&mut self, place: Option<Position>, key: &str, message: String) {
        let file = Some(self.path.to_owned());
        self.problems.push(Problem { file, place, key: key.to_owned(), message, warning: false });
    }

    fn report_items(&mut self, key: &str, value_at: Position, wrong: Vec<Wrong>) {
        for Wrong { place, key: below, message } in wrong {
            let name = if below.is_empty() { key.to_owned() } else { format!("{key}.{below}") };
            self.report(place.or(Some(value_at)), &name, message);
        }
    }

    /// Sorts the document into the keys of our sections and what is wrong with the rest.
    fn collect(&mut self, sections: Vec<Entry>) {
        let mut seen = HashMap::new();
        for section in sections {
            if !self.is_section(&section.key) {
                self.report_stranger(&section);
                continue;
            }
            self.report_twice(&mut seen, &section);
            if self.keys.contains(&section.key.as_str()) {
                self.leaves.push(Leaf { entry: section, taken: false });
                continue;
            }
            match section.value {
                Node::Null => {}
                Node::Map(keys) => {
                    self.collect_below(&section.key, keys, &mut seen);
                }
                Node::Scalar(_) | Node::List(_) | Node::Items(_) => self.report_keyless(&section),
            }
        }
    }

    /// The keys of a section or of a group in it, by their dotted names.
    fn collect_below(&mut self, above: &str, keys: Vec<Entry>, seen: &mut HashMap<String, u64>) {
        for mut entry in keys {
            entry.key = format!("{above}.{}", entry.key);
            if self.report_twice(seen, &entry) {
                continue;
            }
            if !self.is_group(&entry.key) {
                self.leaves.push(Leaf { entry, taken: false });
                continue;
            }
            match entry.value {
                Node::Null => {}
                Node::Map(keys) => self.collect_below(&entry.key, keys, seen),
                Node::Scalar(_) | Node::List(_) | Node::Items(_) => self.report_keyless(&entry),
            }
        }
    }

    fn report_keyless(&mut self, entry: &Entry) {
        let below = |key: &&&str| key.strip_prefix(&entry.key).is_some_and(|rest| rest.starts_with('.'));
        let example = self.keys.iter().find(below).copied().unwrap_or_default();
        self.report(Some(entry.value_at), &entry.key, format!("want keys below it, such as {example}"));
    }

    /// Whether there are keys below this dotted name.
    fn is_group(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    }

    fn is_section(&self, name: &str) -> bool {
        self.keys.iter().any(|key| section_of(key) == name)
    }

    fn report_twice(&mut self, seen: &mut HashMap<String, u64>, entry: &Entry) -> bool {
        let first = seen.insert(entry.key.clone(), entry.key_at.0);
        if let Some(line) = first {
            self.report(Some(entry.key_at), &entry.key, format!("given twice, first on line {line}"));
        }
        first.is_some()
    }

    fn report_unknown(&mut self) {
        let strangers: Vec<Leaf> = self.leaves.extract_if(.., |leaf| !leaf.taken).collect();
        strangers.iter().for_each(|leaf| self.report_stranger(&leaf.entry));
    }

    /// Says what is known of a key that is none of ours.
    fn report_stranger(&mut self, entry: &Entry) {
        match fate(&entry.key) {
            Some(Fate::Replaced(text)) => {
                self.report(Some(entry.key_at), &entry.key, format!("ignored: {text}"));
                if let Some(problem) = self.problems.last_mut() {
                    problem.warning = true;
                }
            }
            Some(Fate::Absent(text)) => {
                self.report(Some(entry.key_at), &entry.key, format!("not in this version: {text}"));
            }
            None if self.keys.contains(&entry.key.as_str()) => {
                let key = entry.key.as_str();
                let nested =
                    format!("{}: …{}", key.replace('.', ": {"), "}".repeat(key.matches('.').count()));
                self.report(Some(entry.key_at), key, format!("not in its section; write {nested}"));
            }
            None => {
                let kind = if matches!(entry.value, Node::Map(_)) { "section" } else { "key" };
                let message = format!("unknown {kind}{}", did_you_mean(&entry.key, &self.keys));
                self.report(Some(entry.key_at), &entry.key, message);
            }
        }
    }
}

impl Visitor for Reader<'_> {
    fn setting<T: Value>(&mut self, key: &'static str, parse: Parse<T>, slot: &mut Setting<T>) {
        let Some(leaf) = self.leaves.iter_mut().find(|leaf| leaf.entry.key == key) else { return };
        leaf.taken = true;
        let value_at = leaf.entry.value_at;
        let origin = Origin::File { line: value_at.0, column: value_at.1 };
        let wrong = match &leaf.entry.value {
            Node::Null => return,
            Node::Scalar(text) => match parse(text) {
                Ok(value) => return slot.set(value, origin),
                Err(wanted) => format!("'{text}': {wanted}"),
            },
            Node::List(Some(text)) if text.is_empty() && (T::LIST || T::of_items(&[]).is_some()) => return,
            Node::List(Some(text)) if T::LIST => match parse(text) {
                Ok(value) => return slot.set(value, origin),
                Err(wanted) => format!("'{text}': {wanted}"),
            },
            Node::Items(items) => match T::of_items(items) {
                Some(Ok(value)) => return slot.set(value, origin),
                Some(Err(wrong)) => return self.report_items(key, value_at, wrong),
                None if T::LIST => "want a list of single values".to_owned(),
                None => "want a single value, not a list".to_owned(),
            },
            Node::Map(_) if T::of_items(&[]).is_some() => "want a list, each with name, cidrs, …".to_owned(),
            Node::List(_) if T::LIST => "want a list of single values".to_owned(),
            Node::List(_) => "want a single value, not a list".to_owned(),
            Node::Map(_) => "want a single value, not keys".to_owned(),
        };
        self.report(Some(value_at), key, wrong);
    }
}

fn section_of(key: &str) -> &str {
    key.split_once('.').map_or(key, |(section, _)| section)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::modes::PerformanceMode;

    fn problems(text: &str) -> Vec<String> {
        apply(text, Path::new("f"), &mut Settings::default()).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn values_reach_their_settings_with_their_line() {
        let mut settings = Settings::default();
        let text =
            "voip:\n  tcp_performance_mode: \"memory\"\n  max_goroutines: 100\n  max_tcp_buffers: 1000\n";
        assert_eq!(apply(text, Path::new("f"), &mut settings), []);
        assert_eq!(settings.voip.tcp_performance_mode.get(), Some(PerformanceMode::Memory));
        assert_eq!(settings.voip.max_goroutines.get(), Some(100));
        assert_eq!(settings.voip.max_tcp_buffers.origin(), Origin::File { line: 4, column: 20 });
    }

    #[test]
    fn a_dotted_name_is_told_how_it_is_written() {
        assert_eq!(
            problems("voip.workers: 3\nalerts.MemoryHigh.for: 1s"),
            [
                "f:1:1: voip.workers: not in its section; write voip: {workers: …}",
                "f:2:1: alerts.MemoryHigh.for: not in its section; write alerts: {MemoryHigh: {for: …}}"
            ]
        );
    }

    #[test]
    fn nothing_is_said_of_empty_files_and_nulls() {
        for text in
            ["", "# only a comment\n", "voip:\n", "voip:\n  workers:\nlog: {level: null}\n", "---\n...\n"]
        {
            assert_eq!(problems(text), [""; 0], "{text:?}");
        }
    }

    #[test]
    fn each_problem_is_told_in_one_line() {
        let rows = [
            (
                "voip: {max_gorutines: 1}",
                "f:1:8: voip.max_gorutines: unknown key (did you mean voip.max_goroutines?)",
            ),
            ("max_goroutines: 1", "f:1:1: max_goroutines: unknown key (did you mean voip.max_goroutines?)"),
            ("alerts: {RegistrationStorm: 4}", "f:1:10: alerts.RegistrationStorm: unknown key"),
            ("vopi: {workers: 1}", "f:1:1: vopi: unknown section (did you mean voip?)"),
            ("zzz: 1", "f:1:1: zzz: unknown key"),
            ("voip: {workers: many}", "f:1:17: voip.workers: 'many': want a whole number from 0 to 256"),
            ("voip: {workers: .nan}", "f:1:17: voip.workers: '.nan': want a whole number from 0 to 256"),
            ("voip: {workers: -1}", "f:1:17: voip.workers: '-1': want a whole number from 0 to 256"),
            (
                "voip: {workers: 1e99}",
                "f:1:17: voip.workers: '1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000': want a whole number from 0 to 256",
            ),
            ("voip: {workers: []}", "f:1:17: voip.workers: want a single value, not a list"),
            ("voip: {workers: [1]}", "f:1:17: voip.workers: want a single value, not a list"),
            ("voip: {workers: {a: 1}}", "f:1:17: voip.workers: want a single value, not keys"),
            ("voip: 3", "f:1:7: voip: want keys below it, such as voip.tcp_performance_mode"),
            ("log: {level: loud}", "f:1:14: log.level: 'loud': want off, error, warn, info, debug or trace"),
            ("voip: {workers: 1, workers: 2}", "f:1:20: voip.workers: given twice, first on line 1"),
            ("hep: {listen: []}", "f:1:1: hep: not in this version: there is no HEP"),
            (
                "events: {required_headers: To}",
                "f:1:10: events.required_headers: not in this version: there are no alerts",
            ),
            ("voip: {<<: {a: 1}}", "f:1:8: voip.<<: unknown section"),
            ("pcap: {worker: 1}", "f:1:8: pcap.worker: unknown key (did you mean voip.workers?)"),
            ("log: {fromat: json}", "f:1:7: log.fromat: unknown key (did you mean log.format?)"),
            ("mode: latency", "f:1:1: mode: unknown key (did you mean voip.tcp_performance_mode?)"),
            (
                "voip: {tcp_performance_mode: balancd}",
                "f:1:30: voip.tcp_performance_mode: 'balancd': want memory, balanced, throughput or latency (did you mean balanced?)",
            ),
            (
                "interfaces: {promisc: true}",
                "f:1:14: interfaces.promisc: unknown key (did you mean interfaces.promiscuous?)",
            ),
            (
                "alerts: {MemoryHi: {for: 1s}}",
                "f:1:10: alerts.MemoryHi: unknown section (did you mean alerts.MemoryHigh?)",
            ),
            ("format: pcap", "f:1:1: format: unknown key (did you mean pcap.format or log.format?)"),
            ("voip: [", "f:1:7: broken YAML: unclosed bracket '['"),
        ];
        for (text, wrong) in rows {
            assert_eq!(problems(text), [wrong], "{text:?}");
        }
    }

    #[test]
    fn no_problem_hides_another() {
        let text = "voip:\n  workers: x\n  nonsense: 1\n  max_tcp_buffers: -4\nlog:\n  level: 1\nhep: {}\n";
        let lines: Vec<u64> = apply(text, Path::new("f"), &mut Settings::default())
            .iter()
            .map(|p| p.place.unwrap().0)
            .collect();
        assert_eq!(lines, [2, 3, 4, 6, 7]);
    }

    #[test]
    fn old_keys_are_warnings() {
        let mut settings = Settings::default();
        let found = apply("voip:\n  tcp_buffer_pool_size: 5\n  workers: 3\n", Path::new("f"), &mut settings);
        assert!(found.iter().all(|problem| problem.warning));
        assert_eq!(
            found[0].to_string(),
            "f:2:3: voip.tcp_buffer_pool_size: ignored: buffers recycle themselves; voip.tcp_memory_limit limits them"
        );
        assert_eq!(settings.voip.workers.get(), Some(3));
    }

    #[test]
    fn bytes_that_are_no_text_have_a_place() {
        assert_eq!(not_text(b"a: 1\nb: \xff", 8, Path::new("f")).to_string(), "f:2:4: not UTF-8 text");
    }
}
