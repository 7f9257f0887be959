//! Which file configures a run, and what the environment adds.

use std::io;
use std::path::{Path, PathBuf};

use super::env::Environment;
use super::file;
use super::problem::{ConfigError, Problem};
use super::settings::{Origin, Setting, Settings, Visitor};
use super::units::{Parse, Value};

/// The settings as file and environment leave them.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The file that was used.
    pub file: Option<PathBuf>,
    /// Whether it was named, and not only found.
    is_named: bool,
    /// What is set.
    pub settings: Settings,
    /// What is no longer of use, and what was skipped because it is broken.
    pub warnings: Vec<String>,
}

/// Reads the file that is named by flag or `$LIPPYCAT_CONFIG`, else the first good one of [`places`]; then the
/// environment.
///
/// # Errors
/// When a file that was named is missing or broken, or a variable has a bad value. A broken file that was merely
/// found is a warning: a sniffer must start when its configuration is damaged.
pub fn load(named: Option<&Path>, environment: &Environment) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded::default();
    match named_file(named, environment) {
        Some(path) => {
            loaded.take(path)?;
            loaded.is_named = true;
        }
        None => {
            for path in found(environment) {
                match loaded.take(path.clone()) {
                    Ok(()) => break,
                    Err(error) => {
                        loaded.warnings.extend(error.to_string().lines().map(str::to_owned));
                        loaded.warnings.push(format!("{} is skipped", path.display()));
                    }
                }
            }
        }
    }
    loaded.take_environment(environment)?;
    Ok(loaded)
}

/// The file that a check is about: the named one, else the first that is found, good or not.
#[must_use]
pub fn subject(named: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    named_file(named, environment).or_else(|| found(environment).next())
}

/// Where a configuration is looked for, in this order.
#[must_use]
pub fn places(environment: &Environment) -> Vec<PathBuf> {
    let home = environment.get("HOME").map(PathBuf::from);
    let of_user =
        home.iter().flat_map(|home| [home.join(".config/lippycat/config.yaml"), home.join(".lippycat.yaml")]);
    of_user.chain([PathBuf::from("/etc/lippycat/lippycat.yaml")]).collect()
}

/// Keys that say what a run writes, and where.
const OUTPUTS: [&str; 4] = ["pcap.write", "pcap.directory", "records.file", "events.file"];

impl Loaded {
    /// Unsets the outputs that are set by a file which was only found; returns their keys.
    pub fn leave_outputs(&mut self) -> Vec<&'static str> {
        struct Leave(Vec<&'static str>);
        impl Visitor for Leave {
            fn setting<T: Value>(&mut self, key: &'static str, _: Parse<T>, slot: &mut Setting<T>) {
                if OUTPUTS.contains(&key) && matches!(slot.origin(), Origin::File { .. }) {
                    *slot = Setting::default();
                    self.0.push(key);
                }
            }
        }
        let mut leave = Leave(Vec::new());
        if !self.is_named {
            self.settings.visit(&mut leave);
        }
        leave.0
    }

    fn take(&mut self, path: PathBuf) -> Result<(), ConfigError> {
        let warnings = file::read(&path, &mut self.settings)?;
        self.warnings.extend(warnings.iter().map(Problem::to_string));
        self.file = Some(path);
        Ok(())
    }

    fn take_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        let (warnings, wrong): (Vec<Problem>, Vec<Problem>) =
            environment.apply(&mut self.settings).into_iter().partition(|problem| problem.warning);
        self.warnings.extend(warnings.iter().map(Problem::to_string));
        if wrong.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(wrong)) }
    }
}

fn named_file(named: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    named.map(Path::to_owned).or_else(|| environment.get("LIPPYCAT_CONFIG").map(PathBuf::from))
}

/// Those of [`places`] where there is something; what exists and cannot be read is found too.
fn found(environment: &Environment) -> impl Iterator<Item = PathBuf> {
    let absent = |path: &Path| {
        path.metadata().is_err_and(|error| {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        })
    };
    places(environment).into_iter().filter(move |path| !absent(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(files: &[(&str, &str)]) -> (tempfile::TempDir, Environment) {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let environment = Environment::from([("HOME", home.path().to_str().unwrap())]);
        (home, environment)
    }

    #[test]
    fn the_first_place_wins() {
        let (home, environment) = home(&[
            (".config/lippycat/config.yaml", "voip: {workers: 1}"),
            (".lippycat.yaml", "voip: {workers: 2}"),
        ]);
        let loaded = load(None, &environment).unwrap();
        assert_eq!(loaded.settings.voip.workers.get(), Some(1));
        assert_eq!(loaded.file, Some(home.path().join(".config/lippycat/config.yaml")));
    }

    #[test]
    fn a_broken_file_that_was_found_is_reported_and_skipped() {
        let (home, environment) =
            home(&[(".config/lippycat/config.yaml", "voip: {workers: 1, x: 2}"), (".lippycat.yaml", "log:")]);
        let loaded = load(None, &environment).unwrap();
        let first = home.path().join(".config/lippycat/config.yaml");
        assert_eq!(loaded.settings.voip.workers.get(), None, "nothing of a broken file is used");
        assert_eq!(loaded.file, Some(home.path().join(".lippycat.yaml")));
        let first = first.display();
        assert_eq!(
            loaded.warnings,
            [format!("{first}:1:20: voip.x: unknown key"), format!("{first} is skipped")]
        );
    }

    #[test]
    fn a_named_file_must_be_there_and_good() {
        let (home, mut environment) = home(&[("bad.yaml", "x: 1"), ("good", "log: {level: debug}")]);
        let missing = home.path().join("missing.yaml");
        let error = load(Some(&missing), &environment).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot read configuration {}: No such file", missing.display())),
            "{error}"
        );
        assert!(load(Some(&home.path().join("bad.yaml")), &environment).is_err());
        assert!(load(Some(&home.path().join("good")), &environment).is_ok(), "any extension");
        assert!(load(Some(home.path()), &environment).is_err(), "a directory");
        let named = home.path().join("bad.yaml");
        environment = Environment::from([("LIPPYCAT_CONFIG", named.to_str().unwrap())]);
        assert!(load(None, &environment).is_err());
        assert!(
            load(Some(&home.path().join("good")), &environment).is_ok(),
            "the flag goes before the variable"
        );
    }

    #[test]
    fn outputs_of_a_file_that_was_only_found_can_be_left() {
        let text = "pcap: {write: true, name: x}\nrecords: {file: r}\nevents: {file: e}";
        let (home, mut environment) = home(&[(".lippycat.yaml", text)]);
        let mut loaded = load(None, &environment).unwrap();
        loaded.settings.records_file.flag(Some(PathBuf::from("mine")));
        assert_eq!(loaded.leave_outputs(), ["pcap.write", "events.file"]);
        let settings = &loaded.settings;
        assert_eq!((settings.pcap.write.get(), settings.events.file.get()), (None, None));
        assert_eq!(settings.records_file.get(), Some(PathBuf::from("mine")));
        assert!(settings.pcap.name.get().is_some(), "how, not where");
        let file = home.path().join(".lippycat.yaml");
        assert_eq!(load(Some(&file), &environment).unwrap().leave_outputs(), [""; 0]);
        environment = Environment::from([("LIPPYCAT_CONFIG", file.to_str().unwrap())]);
        assert_eq!(load(None, &environment).unwrap().leave_outputs(), [""; 0]);
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let (home, _) = home(&[("f", "voip: {workers: 1, max_goroutines: 5}")]);
        let environment = Environment::from([("LIPPYCAT_VOIP_WORKERS", "2")]);
        let loaded = load(Some(&home.path().join("f")), &environment).unwrap();
        assert_eq!(loaded.settings.voip.workers.get(), Some(2));
        assert_eq!(loaded.settings.voip.max_goroutines.get(), Some(5));
    }

    #[test]
    fn a_huge_file_is_refused() {
        let text = "#".repeat(usize::try_from(crate::config::limits::MAX_CONFIG_BYTES).unwrap());
        let (home, environment) = home(&[("just", &text), ("huge", &format!("{text}#"))]);
        assert!(load(Some(&home.path().join("just")), &environment).is_ok());
        let error = load(Some(&home.path().join("huge")), &environment).unwrap_err();
        assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
    }
}
