//! `config generate`, `config validate`, `config show`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Map, Value as Json, json};

use super::outside;
use crate::config::units::{Parse, Value};
use crate::config::{
    self, ConfigError, EXAMPLE, Environment, Loaded, Origin, Run, Setting, Settings, Visitor, variable,
};

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a commented file with every key at its default
    Generate,

    /// Check a file and name every problem with its line and column
    Validate {
        /// The file (else the one a start would use)
        file: Option<PathBuf>,
    },

    /// Print what is in effect, and where each value comes from
    Show {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Prints the example file.
///
/// # Errors
/// When `out` cannot be written to.
pub fn generate(out: &mut impl Write) -> io::Result<()> {
    out.write_all(EXAMPLE.as_bytes())
}

/// Checks the file that a start would use (or `named`), the environment, and what they and the flags that `given` lays over
/// them name outside; returns what to tell about it: warnings, then the verdict.
///
/// # Errors
/// With everything that is wrong.
pub fn validate(
    named: Option<&Path>,
    environment: &Environment,
    given: &dyn Fn(&mut Settings),
) -> Result<Vec<String>, ConfigError> {
    let subject = config::subject(named, environment);
    let mut settings = Settings::default();
    let read = subject.as_deref().map(|path| config::read(path, &mut settings)).transpose();
    let (mut problems, failed) = match read {
        Ok(warnings) => (warnings.unwrap_or_default(), false),
        Err(ConfigError::Invalid(problems)) => (problems, true),
        Err(unreadable) => return Err(unreadable),
    };
    problems.extend(environment.apply(&mut settings));
    given(&mut settings);
    problems.extend(outside::problems(&settings, subject.as_deref()));
    problems.sort_by_key(|problem| (problem.file.is_none(), problem.place));
    if failed || problems.iter().any(|problem| !problem.warning) {
        return Err(ConfigError::Invalid(problems));
    }
    let verdict = match subject {
        Some(path) => format!("{}: valid", path.display()),
        None => "no configuration file found: defaults are used".to_owned(),
    };
    Ok(problems.iter().map(ToString::to_string).chain([verdict]).collect())
}

/// Prints every key with its effective value and where that comes from.
///
/// # Errors
/// When `out` cannot be written to.
pub fn show(mut loaded: Loaded, json: bool, cores: usize, out: &mut impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &effective(loaded, cores))?;
        return writeln!(out);
    }
    config::resolve(&mut loaded.settings, Run::default(), cores);
    let mut rows = Rows(Vec::new());
    loaded.settings.visit(&mut rows);
    show_text(&rows.0, &loaded, out)
}

/// The settings that `loaded` comes to, as one JSON object. The keys of `voip` stand at the top level, other sections
/// below their names; `text` has each key's value as the file writes it, `origins` who set it.
#[must_use]
pub fn effective(mut loaded: Loaded, cores: usize) -> Json {
    config::resolve(&mut loaded.settings, Run::default(), cores);
    settled(&mut loaded)
}

/// As [`effective`], of settings that a run has settled.
#[must_use]
pub fn settled(loaded: &mut Loaded) -> Json {
    let mut rows = Rows(Vec::new());
    loaded.settings.visit(&mut rows);
    let mut object = Map::new();
    let (mut origins, mut text) = (Map::new(), Map::new());
    for row in &rows.0 {
        let path = row.key.strip_prefix("voip.").unwrap_or(row.key);
        insert(&mut object, path, row.json.clone());
        text.insert(row.key.to_owned(), row.text.as_str().into());
        origins.insert(row.key.to_owned(), origin(row).into());
    }
    object.insert("config_file".to_owned(), json!(loaded.file));
    object.insert("text".to_owned(), Json::Object(text));
    object.insert("origins".to_owned(), Json::Object(origins));
    Json::Object(object)
}

/// Puts a value where its dotted name says.
fn insert(object: &mut Map<String, Json>, path: &str, value: Json) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            if let Json::Object(below) = object.entry(section).or_insert_with(|| json!({})) {
                insert(below, rest, value);
            }
        }
    }
}

struct Row {
    key: &'static str,
    text: String,
    json: Json,
    origin: Origin,
}

struct Rows(Vec<Row>);

impl Visitor for Rows {
    fn setting<T: Value>(&mut self, key: &'static str, _: Parse<T>, slot: &mut Setting<T>) {
        let value = slot.get();
        let text = value.as_ref().map_or_else(|| "null".to_owned(), Value::text);
        let json = value.as_ref().map_or(Json::Null, Value::json);
        self.0.push(Row { key, text, json, origin: slot.origin() });
    }
}

fn show_text(rows: &[Row], loaded: &Loaded, out: &mut impl Write) -> io::Result<()> {
    match &loaded.file {
        Some(file) => writeln!(out, "# {}", file.display())?,
        None => writeln!(out, "# no configuration file")?,
    }
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or_default();
    let (keys, values) = (width(|row| row.key.len()), width(|row| row.text.chars().count()));
    rows.iter().try_for_each(|row| {
        let text = config::Visible(&row.text).to_string();
        writeln!(out, "{:keys$}  {text:values$}  {}", row.key, origin(row))
    })
}

fn origin(row: &Row) -> String {
    match row.origin {
        Origin::Default => "default".to_owned(),
        Origin::Mode => "performance mode".to_owned(),
        Origin::File { line, .. } => format!("file, line {line}"),
        Origin::Env => variable(row.key),
        Origin::Variable(name) => name.to_owned(),
        Origin::Flag => "flag".to_owned(),
    }
}
