//! Flags, environment and file become one resolved [`Config`].
//!
//! In: a file's text, variables, and what the command line gave. Out: [`Config`], plain values; for every key who
//! set it ([`Origin`]); and every problem with its place. Order: flag, `LIPPYCAT_*`, file, performance mode, default.
//!
//! Invariants: a key is named once ([`Settings::visit`]) and read by one parser wherever it is given; a
//! file is used whole or not at all; what is unknown is never silently ignored. Absent on purpose: what stages
//! do with it all. They take their own `Limits`; see [`limits`].

mod alerts;
mod document;
mod env;
mod file;
pub mod limits;
mod meant;
mod modes;
mod networks;
mod problem;
mod resolve;
mod retired;
mod search;
mod settings;
mod template;
pub mod units;

pub use env::{Environment, variable};
pub use file::{apply, read};
pub use modes::{ModeSettings, PerformanceMode, Threads};
pub use networks::{Carriers, Cidr, OTHER, Party, Targets};
pub use problem::{ConfigError, Problem, Visible};
pub use resolve::{
    Color, Config, Control, EventFormat, Events, Isolation, Live, Log, Metrics, Pcap, Run, Selection,
    Streams, SummaryFormat, resolve,
};
pub use search::{Loaded, load, places, subject};
pub use settings::{Dtmf, LogFormat, LogLevel, Numbers, Origin, PcapFormat, Setting, Settings, Visitor};
pub use template::name_template;

/// The commented default file, as shipped: every key at its default.
pub const EXAMPLE: &str = include_str!("../../lippycat.yaml.example");

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const MANUAL: &str = include_str!("../../docs/configuration.md");

    /// The example with every key in force: `#key: value` loses its sign, prose has a space after it.
    fn uncommented() -> String {
        let key_line = regex::Regex::new("(?m)^( *)#([A-Za-z_]+:)").unwrap();
        key_line.replace_all(EXAMPLE, "$1$2").into_owned()
    }

    fn settled(text: &str) -> (Settings, String) {
        let mut settings = Settings::default();
        assert_eq!(apply(text, Path::new("lippycat.yaml.example"), &mut settings), []);
        let config = resolve(&mut settings, Run::default(), 4);
        (settings, format!("{config:?}"))
    }

    struct Rows(Vec<(&'static str, String, Origin)>);

    impl Visitor for Rows {
        fn setting<T: units::Value>(&mut self, key: &'static str, _: units::Parse<T>, slot: &mut Setting<T>) {
            let text = slot.get().map_or_else(|| "null".to_owned(), |value| value.text());
            self.0.push((key, text, slot.origin()));
        }
    }

    fn rows(settings: &mut Settings) -> Vec<(&'static str, String, Origin)> {
        let mut rows = Rows(Vec::new());
        settings.visit(&mut rows);
        rows.0
    }

    #[test]
    fn the_example_is_the_defaults_commented_and_uncommented() {
        let (_, defaults) = settled("");
        assert_eq!(settled(EXAMPLE).1, defaults);
        let (mut settings, config) = settled(&uncommented());
        assert_eq!(config, defaults);
        for (key, text, origin) in rows(&mut settings) {
            assert!(text == "null" || matches!(origin, Origin::File { .. }), "{key} is not in the example");
        }
    }

    #[test]
    fn the_example_has_every_key_in_order() {
        fn named(prefix: &str, entries: Vec<document::Entry>) -> Vec<String> {
            let below = |entry: document::Entry| {
                let name = format!("{prefix}{}", entry.key);
                match entry.value {
                    document::Node::Map(keys) => named(&format!("{name}."), keys),
                    _ => vec![name],
                }
            };
            entries.into_iter().flat_map(below).collect()
        }
        assert_eq!(named("", document::parse(&uncommented()).unwrap()), Settings::keys());
    }

    #[test]
    fn the_manual_has_every_key_with_its_variable_and_default() {
        let wanted: Vec<String> = rows(&mut settled("").0)
            .into_iter()
            .map(|(key, text, _)| format!("| `{key}` | `{}` | `{text}` |", variable(key)))
            .collect();
        let lines: Vec<&str> =
            MANUAL.lines().filter(|line| line.contains("LIPPYCAT_") && line.starts_with("| `")).collect();
        assert_eq!(lines.len(), wanted.len());
        for (line, wanted) in lines.iter().zip(&wanted) {
            assert!(line.starts_with(wanted.as_str()), "{wanted} is not {line}");
        }
    }
}
