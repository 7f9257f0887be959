//! The environment: where the file may be, and `LIPPYCAT_SECTION_KEY` for every key.

use std::collections::BTreeMap;

use super::meant::meant;
use super::problem::Problem;
use super::settings::{LogLevel, Origin, Setting, Settings, Visitor};
use super::units::{Parse, Value, choice, nearest};

const PREFIX: &str = "LIPPYCAT_";

/// The one variable that is no key's: where the file is.
const FILE: &str = "CONFIG";

/// A usual name for the level of the log.
const LOG_LEVEL: &str = "LOG_LEVEL";

/// The variables of a process. A value, so that tests need not change their own process's.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process. What is not text cannot be one of ours, except as a path that does not exist.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        Self(std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect())
    }

    /// The value of a variable; an empty one counts as not there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Lays the variables over `settings`, and says what is wrong with them.
    pub fn apply(&self, settings: &mut Settings) -> Vec<Problem> {
        let mut reader = Reader { environment: self, problems: Vec::new() };
        // Other programs have a LOG_LEVEL too: words that are not ours mean nothing here.
        if let Some(level) = self.get(LOG_LEVEL).and_then(|text| choice::<LogLevel>(text).ok()) {
            settings.log_level.set(level, Origin::Variable(LOG_LEVEL));
        }
        settings.visit(&mut reader);
        reader.report_unknown();
        reader.problems
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

/// The variable of a key: `voip.max_goroutines` is `LIPPYCAT_VOIP_MAX_GOROUTINES`.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

struct Reader<'a> {
    environment: &'a Environment,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn report(&mut self, name: &str, message: String, warning: bool) {
        self.problems.push(Problem { file: None, place: None, key: name.to_owned(), message, warning });
    }

    fn report_unknown(&mut self) {
        let keys = Settings::keys();
        let environment = self.environment;
        for name in environment.0.keys() {
            let Some(word) = name.strip_prefix(PREFIX) else { continue };
            if word != FILE && !keys.iter().any(|key| variable(key) == *name) {
                let hint = hint(word, &keys);
                self.report(name, format!("ignored: unknown variable{hint}"), true);
            }
        }
    }
}

/// The variables that one without a key probably meant, `word` being what is behind the prefix: those of the keys that are near, else
/// what is spelled much alike.
fn hint(word: &str, keys: &[&str]) -> String {
    let near: Vec<String> =
        meant(&key_of(word, keys), keys).into_iter().filter(|key| keys.contains(key)).map(variable).collect();
    if near.is_empty() {
        let words: Vec<String> =
            keys.iter().map(|key| variable(key)).chain([format!("{PREFIX}{FILE}")]).collect();
        let words = words.iter().filter_map(|name| name.strip_prefix(PREFIX));
        return nearest(word, words).map(|it| format!(" (did you mean {PREFIX}{it}?)")).unwrap_or_default();
    }
    format!(" (did you mean {}?)", near.join(" or "))
}

/// The dotted name that a variable would be of: the sections and groups that it begins with are known, the rest is a name.
fn key_of(word: &str, keys: &[&str]) -> String {
    let groups = keys.iter().flat_map(|key| key.match_indices('.').filter_map(|(dot, _)| key.get(..dot)));
    let below = |group: &str| {
        let rest = word.get(group.len()..)?.strip_prefix('_')?;
        let is = word.get(..group.len())?.eq_ignore_ascii_case(&group.replace('.', "_"));
        is.then(|| format!("{group}.{}", rest.to_ascii_lowercase()))
    };
    let longest = groups.filter_map(|group| Some((group.len(), below(group)?))).max();
    longest.map_or_else(|| word.to_ascii_lowercase(), |(_, key)| key)
}

impl Visitor for Reader<'_> {
    fn setting<T: Value>(&mut self, key: &'static str, parse: Parse<T>, slot: &mut Setting<T>) {
        let name = variable(key);
        let Some(text) = self.environment.get(&name) else { return };
        match parse(text) {
            Ok(value) => slot.set(value, Origin::Env),
            Err(wanted) => self.report(&name, format!("'{text}': {wanted}"), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(environment: &Environment) -> Vec<String> {
        environment.apply(&mut Settings::default()).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn every_key_has_a_variable() {
        let mut settings = Settings::default();
        let environment = Environment::from([
            ("LIPPYCAT_VOIP_MAX_GOROUTINES", "7"),
            ("LIPPYCAT_LOG_LEVEL", "WARN"),
            ("HOME", "/"),
        ]);
        assert_eq!(environment.apply(&mut settings), []);
        assert_eq!(
            (settings.voip.max_goroutines.get(), settings.voip.max_goroutines.origin()),
            (Some(7), Origin::Env)
        );
        assert_eq!(settings.log_level.get(), Some(LogLevel::Warn));
    }

    #[test]
    fn log_level_works_in_any_case_and_ours_goes_first() {
        let level = |environment: Environment| {
            let mut settings = Settings::default();
            environment.apply(&mut settings);
            settings.log_level.get()
        };
        assert_eq!(level(Environment::from([("LOG_LEVEL", "Debug")])), Some(LogLevel::Debug));
        assert_eq!(
            level(Environment::from([("LOG_LEVEL", "debug"), ("LIPPYCAT_LOG_LEVEL", "ERROR")])),
            Some(LogLevel::Error)
        );
        assert_eq!(level(Environment::from([("LOG_LEVEL", "3")])), None);
        let mut settings = Settings::default();
        Environment::from([("LOG_LEVEL", "debug")]).apply(&mut settings);
        assert_eq!(settings.log_level.origin(), Origin::Variable("LOG_LEVEL"));
    }

    #[test]
    fn wrong_values_and_unknown_names_are_told() {
        assert_eq!(
            told(&Environment::from([("LIPPYCAT_VOIP_WORKERS", "x")])),
            ["LIPPYCAT_VOIP_WORKERS: 'x': want a whole number from 0 to 256"]
        );
        assert_eq!(
            told(&Environment::from([("LIPPYCAT_VOIP_WORKER", "1")])),
            ["LIPPYCAT_VOIP_WORKER: ignored: unknown variable (did you mean LIPPYCAT_VOIP_WORKERS?)"]
        );
        let rows = [
            ("LIPPYCAT_VOIP_MODEE", " (did you mean LIPPYCAT_VOIP_TCP_PERFORMANCE_MODE?)"),
            ("LIPPYCAT_VIOP_WORKERS", " (did you mean LIPPYCAT_VOIP_WORKERS?)"),
            ("LIPPYCAT_WORKERS", " (did you mean LIPPYCAT_VOIP_WORKERS?)"),
            ("LIPPYCAT_FORMAT", " (did you mean LIPPYCAT_PCAP_FORMAT or LIPPYCAT_LOG_FORMAT?)"),
            ("LIPPYCAT_ALERTS_MEMORYHIGH_TRESHOLD", " (did you mean LIPPYCAT_ALERTS_MEMORYHIGH_THRESHOLD?)"),
            ("LIPPYCAT_CONFG", " (did you mean LIPPYCAT_CONFIG?)"),
            ("LIPPYCAT_VOIP_ZZZ", ""),
            ("LIPPYCAT_", ""),
        ];
        for (name, hint) in rows {
            let wanted = format!("{name}: ignored: unknown variable{hint}");
            assert_eq!(told(&Environment::from([(name, "1")])), [wanted]);
        }
        assert_eq!(told(&Environment::from([("LIPPYCAT_VOIP_WORKERS", "")])), [""; 0]);
    }
}
