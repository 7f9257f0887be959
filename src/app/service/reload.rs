//! A new configuration in a running process: what can be changed is, the rest is named.

use std::path::PathBuf;

use serde_json::Value as Json;

use crate::cli::{self, Global, SniffVoip, logging};
use crate::config::units::{Parse, Value};
use crate::config::{self, Config, ConfigError, Environment, Loaded, Setting, Settings, Visitor};

/// Takes a new configuration, also as `debug config` tells it; an error is told, and the old one stays in force.
pub(in crate::app) type Take = Box<dyn FnMut(&Config, &Json) -> anyhow::Result<()>>;

/// Takes a new configuration for the keys that begin so.
pub(in crate::app) struct Hook {
    /// The beginning of the keys, `alerts.` for one.
    pub(in crate::app) keys: &'static str,
    /// Takes it.
    pub(in crate::app) take: Take,
}

/// How the configuration was made, to make it again.
pub(in crate::app) struct Reload {
    flags: SniffVoip,
    global: Global,
    environment: Environment,
    /// The file that was used; it is not looked for elsewhere when it is gone.
    file: Option<PathBuf>,
    cores: usize,
    rows: Vec<Row>,
    hooks: Vec<Hook>,
}

/// A key and its value as text.
type Row = (&'static str, String);

impl Reload {
    /// `loaded` is what the running configuration was made of, settled. Of it, logs can be changed.
    pub(in crate::app) fn new(
        flags: &SniffVoip,
        global: &Global,
        environment: &Environment,
        loaded: &Loaded,
        cores: usize,
    ) -> Self {
        let log = Hook { keys: "log.", take: Box::new(|config, _| Ok(logging::change(&config.log)?)) };
        Self {
            flags: flags.clone(),
            global: global.clone(),
            environment: environment.clone(),
            file: loaded.file.clone(),
            cores,
            rows: rows(&loaded.settings),
            hooks: vec![log],
        }
    }

    /// With one more that takes what can be changed.
    pub(in crate::app) fn with(mut self, hook: Hook) -> Self {
        self.hooks.push(hook);
        self
    }

    /// The file that is read again.
    pub(in crate::app) fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// Reads the configuration again and takes what can be taken.
    pub(super) fn take(&mut self) {
        let (config, new, told) = match self.load() {
            Ok(loaded) => loaded,
            Err(error) => {
                // One line, whatever it is about: the first problem, and how many more there are.
                let text = error.to_string();
                let mut lines = text.lines();
                let first = lines.next().unwrap_or_default();
                let more = match lines.count() {
                    0 => String::new(),
                    count => format!(" (and {count} more; see lippycat config validate)"),
                };
                tracing::error!("the configuration stays as it was: error: {first}{more}");
                return;
            }
        };
        let changed = changed(&self.rows, &new);
        let mut kept = Vec::new();
        for hook in &mut self.hooks {
            let of_hook = |keys: &&&str| keys.starts_with(hook.keys);
            if !changed.iter().any(|key| of_hook(&key)) {
                continue;
            }
            if let Err(error) = (hook.take)(&config, &told) {
                tracing::error!("{}* stays as it was: error: {error:#}", hook.keys);
                kept.push(hook.keys);
            }
        }
        let taken = |key: &str| {
            self.hooks.iter().any(|it| key.starts_with(it.keys)) && !kept.iter().any(|it| key.starts_with(it))
        };
        let (now, later): (Vec<&str>, Vec<&str>) = changed.into_iter().partition(|key| taken(key));
        if !later.is_empty() {
            tracing::warn!("changed, but in force only after a restart: {}", later.join(", "));
        }
        let applied = if now.is_empty() { "nothing to change".to_owned() } else { now.join(", ") };
        tracing::info!("configuration reloaded: {applied}");
        for (old, new) in self.rows.iter_mut().zip(new) {
            if now.contains(&old.0) {
                *old = new;
            }
        }
    }

    fn load(&self) -> Result<(Config, Vec<Row>, Json), ConfigError> {
        let named = self.file.as_deref().or(self.global.config.as_deref());
        let mut loaded = config::load(named, &self.environment)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        self.global.apply(&mut loaded.settings);
        self.flags.apply(&mut loaded.settings);
        let config = config::resolve(&mut loaded.settings, self.flags.run(&self.global), self.cores);
        let rows = rows(&loaded.settings);
        Ok((config, rows, cli::settled(&mut loaded)))
    }
}

/// Keys whose value is another one.
fn changed(old: &[Row], new: &[Row]) -> Vec<&'static str> {
    old.iter().zip(new).filter(|(old, new)| old != new).map(|(old, _)| old.0).collect()
}

fn rows(settings: &Settings) -> Vec<Row> {
    struct Rows(Vec<Row>);
    impl Visitor for Rows {
        fn setting<T: Value>(&mut self, key: &'static str, _: Parse<T>, slot: &mut Setting<T>) {
            self.0.push((key, slot.get().map_or_else(|| "null".to_owned(), |value| value.text())));
        }
    }
    let mut rows = Rows(Vec::new());
    settings.clone().visit(&mut rows);
    rows.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::{Arc, Mutex};

    struct Scene {
        directory: tempfile::TempDir,
        reload: Reload,
        taken: Arc<Mutex<Vec<String>>>,
    }

    impl Scene {
        /// A run with this configuration, and a hook that takes every `pcap.` key but a name of `refuse`.
        fn new(text: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("lippycat.yaml");
            fs::write(&file, text).unwrap();
            let (global, environment) = (Global::default(), Environment::default());
            let mut loaded = config::load(Some(&file), &environment).unwrap();
            config::resolve(&mut loaded.settings, config::Run::default(), 2);
            let taken = Arc::new(Mutex::new(Vec::new()));
            let kept = Arc::clone(&taken);
            let take = move |config: &Config, _: &Json| {
                let name = config.pcap.name.as_str().to_owned();
                anyhow::ensure!(name != "refuse", "not that");
                kept.lock().unwrap().push(name);
                Ok(())
            };
            let hook = Hook { keys: "pcap.", take: Box::new(take) };
            let mut reload = Reload::new(&SniffVoip::default(), &global, &environment, &loaded, 2).with(hook);
            // Logging is the process's, and tests share it.
            reload.hooks.retain(|hook| hook.keys != "log.");
            Self { directory, reload, taken }
        }

        fn reload(&mut self, text: &str) -> Vec<String> {
            fs::write(self.directory.path().join("lippycat.yaml"), text).unwrap();
            self.reload.take();
            std::mem::take(&mut *self.taken.lock().unwrap())
        }

        fn row(&self, key: &str) -> String {
            self.reload.rows.iter().find(|row| row.0 == key).unwrap().1.clone()
        }
    }

    #[test]
    fn what_changed_is_taken_and_only_that() {
        let mut scene = Scene::new("pcap: {name: a}");
        assert_eq!(scene.reload("pcap: {name: b}"), ["b"]);
        assert_eq!(scene.reload("pcap: {name: b}"), [] as [&str; 0], "nothing changed");
        assert_eq!(scene.reload("pcap: {name: b}\nvoip: {workers: 1}"), [] as [&str; 0]);
        assert_eq!(scene.row("voip.workers"), "0", "it is still what is in force, and named each time");
        assert_eq!(scene.reload("pcap: {name: refuse}"), [] as [&str; 0]);
        assert_eq!(scene.row("pcap.name"), "b");
        assert_eq!(scene.reload("{}"), ["{call_id}"], "a key that is gone has its default");
    }

    #[test]
    fn a_broken_or_missing_file_changes_nothing() {
        let mut scene = Scene::new("pcap: {name: a}");
        assert_eq!(scene.reload("pcap: {name: b, x: 1}"), [] as [&str; 0]);
        assert_eq!(scene.reload("pcap: ["), [] as [&str; 0]);
        fs::remove_file(scene.directory.path().join("lippycat.yaml")).unwrap();
        scene.reload.take();
        assert_eq!((scene.taken.lock().unwrap().len(), scene.row("pcap.name").as_str()), (0, "a"));
        assert_eq!(scene.reload("pcap: {name: c}"), ["c"]);
    }
}
