//! `lippycat debug`: asks the running sniffer and prints what it says.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{cores, is_nobody, load, tell};
use crate::cli::{
    self, Debug, DebugCommand, Global, MetricsFlags, MetricsFormat, RegistrationFlags, answers,
};
use crate::config::{self, Environment};
use crate::control::client::{Client, ClientError};
use crate::control::protocol::Question;
use crate::control::socket;
use crate::exit_code::ExitCode;

/// Asks, prints, and again with `--watch`, also while the sniffer is started anew.
///
/// # Errors
/// When nobody answers, or the answer cannot be written.
pub(super) fn debug(flags: &Debug, global: &Global, environment: &Environment) -> Result<ExitCode> {
    let asker = Asker { flags, global, environment };
    let Some(seconds) = flags.command.look().watch else { return asker.once() };
    let mut is_answered = None;
    loop {
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            // Home, and clear to the end of the screen: less flicker than clearing first.
            write!(out, "\x1b[H\x1b[J")?;
        }
        drop(out);
        match asker.once() {
            Ok(_) => is_answered = Some(true),
            // It is started anew now and then; whoever watches waits for it.
            Err(error) if is_answered.is_some() && is_nobody(&error) => {
                if is_answered.replace(false) == Some(true) || io::stdout().is_terminal() {
                    tell(&format!("warning: {error:#}; still asking"))?;
                }
            }
            Err(error) => return Err(error),
        }
        std::thread::sleep(Duration::from_secs(seconds));
    }
}

struct Asker<'a> {
    flags: &'a Debug,
    global: &'a Global,
    environment: &'a Environment,
}

impl Asker<'_> {
    fn once(&self) -> Result<ExitCode> {
        let json = self.flags.command.look().json;
        let (mut answer, code) = self.answer()?;
        let others = self.narrow(&mut answer);
        let text = match (&self.flags.command, &answer) {
            (DebugCommand::Metrics(flags), _) => return self.metrics(flags, &answer).map(|()| code),
            (_, answer) if json => pretty(answer)?,
            (DebugCommand::Health(_), answer) => answers::health(answer),
            (DebugCommand::Summary(_), answer) => answers::summary(answer),
            (DebugCommand::Alerts(_), answer) => answers::alerts(answer),
            (DebugCommand::Buffers(_), answer) => answers::buffers(answer),
            (DebugCommand::Streams(_), answer) => answers::streams(answer),
            (DebugCommand::Config(_), answer) => answers::config(answer),
            (DebugCommand::Calls(_), answer) => answers::calls(answer),
            (DebugCommand::Registrations(flags), answer) => {
                answers::registrations(answer, flags.address.as_deref(), others)
            }
        };
        print(&text)?;
        Ok(code)
    }

    /// What is said, and the exit code that follows from it.
    fn answer(&self) -> Result<(Value, ExitCode)> {
        let ask = |what: &str| -> Result<Value, ClientError> { self.connect()?.ask(&Question::about(what)) };
        let good = |answer| Ok((answer, ExitCode::Good));
        match &self.flags.command {
            DebugCommand::Health(_) => {
                let health = ask("health")?;
                let is_good = health.get("healthy") == Some(&Value::Bool(true));
                Ok((health, if is_good { ExitCode::Good } else { ExitCode::No }))
            }
            DebugCommand::Summary(_) => good(ask("summary")?),
            DebugCommand::Metrics(flags) => {
                let what = if flags.format() == MetricsFormat::Prometheus { "prometheus" } else { "metrics" };
                good(ask(what)?)
            }
            DebugCommand::Alerts(flags) => {
                let mut alerts = ask("alerts")?;
                let is_active = |alert: &Value| alert.get("resolved") == Some(&Value::Bool(false));
                let list = alerts.as_array_mut().map(std::mem::take).unwrap_or_default();
                let any = list.iter().any(is_active);
                let kept = list.into_iter().filter(|alert| !flags.active_only || is_active(alert));
                let code = if flags.exit_code && any { ExitCode::No } else { ExitCode::Good };
                Ok((kept.collect(), code))
            }
            DebugCommand::Buffers(_) => good(ask("buffers")?),
            DebugCommand::Streams(_) => good(ask("streams")?),
            DebugCommand::Config(_) => good(self.config(ask("config"))?),
            DebugCommand::Calls(_) => {
                let mut calls = self.connect()?.ask_all("calls", "calls")?;
                let start = |call: &Value| call.get("start").and_then(Value::as_str).map(str::to_owned);
                calls.sort_by_key(start);
                good(calls.into())
            }
            DebugCommand::Registrations(_) => {
                let mut bindings = self.connect()?.ask_all("registrations", "registrations")?;
                let key =
                    |binding: &Value| ["aor", "contact"].map(|key| binding[key].as_str().map(str::to_owned));
                bindings.sort_by_cached_key(key);
                good(bindings.into())
            }
        }
    }

    /// Leaves the bindings that were asked for; tells how many others there are.
    fn narrow(&self, answer: &mut Value) -> usize {
        let DebugCommand::Registrations(RegistrationFlags { address: Some(wanted), .. }) =
            &self.flags.command
        else {
            return 0;
        };
        let Value::Array(bindings) = answer else { return 0 };
        let all = bindings.len();
        bindings.retain(|binding| is_of(binding, wanted));
        all - bindings.len()
    }

    fn connect(&self) -> Result<Client, ClientError> {
        connect(self.flags.name.as_deref(), self.global, self.environment)
    }

    /// Without a running sniffer, what a start would use.
    fn config(&self, answer: Result<Value, ClientError>) -> Result<Value> {
        match answer {
            Err(ClientError::Nobody { .. }) => {
                tell("note: no sniffer is running; this is what a start would use")?;
                Ok(cli::effective(load(self.global, self.environment)?, cores()))
            }
            answer => Ok(answer?),
        }
    }

    fn metrics(&self, flags: &MetricsFlags, answer: &Value) -> Result<()> {
        let text = match flags.format() {
            MetricsFormat::Text => answers::metrics(answer),
            MetricsFormat::Json => pretty(answer)?,
            MetricsFormat::Prometheus => answer.as_str().unwrap_or_default().to_owned(),
        };
        match &flags.output {
            Some(path) => replace(path, text.as_bytes())
                .with_context(|| format!("{}: the metrics cannot be written", path.display())),
            None => print(&text),
        }
    }
}

/// Connects to the running sniffer, or to the one that has this name.
///
/// # Errors
/// When nobody answers.
pub(super) fn connect(
    instance: Option<&str>,
    global: &Global,
    environment: &Environment,
) -> Result<Client, ClientError> {
    let named = global.control_socket.clone().or_else(|| {
        // A file that is broken or not ours to read says nothing; the usual places are tried then.
        let loaded = config::load(global.config.as_deref(), environment).ok();
        loaded.and_then(|loaded| loaded.settings.control.socket.get()).filter(|_| instance.is_none())
    });
    let runtime = environment.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = named.map_or_else(|| socket::places(runtime.as_deref(), instance), |path| vec![path]);
    Client::connect(&places, instance)
}

/// Whether a binding is one of this address-of-record, or of this user.
fn is_of(binding: &Value, wanted: &str) -> bool {
    let aor = binding.get("aor").and_then(Value::as_str).unwrap_or_default();
    let user = crate::sip::uri::display(aor.as_bytes());
    let bare = aor.split_once(':').map_or(aor, |(_, bare)| bare);
    aor == wanted || bare == wanted || user == wanted.as_bytes()
}

fn pretty(answer: &Value) -> Result<String> {
    let mut text = Vec::new();
    json_pretty(&mut text, answer)?;
    Ok(String::from_utf8(text)?)
}

fn json_pretty(out: &mut Vec<u8>, answer: &Value) -> Result<()> {
    // Two spaces, as other programs and their documents have it; what acts on a terminal is escaped.
    let plain = serde_json::to_string_pretty(answer)?;
    writeln!(out, "{}", crate::escape::json(&plain))?;
    Ok(())
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Puts a whole file in place of another: whoever reads it sees the old or the new.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let done = written.and_then(|()| fs::rename(&temporary, path));
    if done.is_err() {
        // What is left of it would be in the way of nobody but the reader of the directory.
        let _ = fs::remove_file(&temporary);
        return done;
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// A new file that others may read; what a killed run left under that name goes.
fn create(path: &Path) -> io::Result<File> {
    let make = || File::options().write(true).create_new(true).mode(0o644).open(path);
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            make()
        }
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lippycat.prom");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left over");
        assert!(replace(&directory.path().join("missing/x"), b"").is_err());
        assert!(replace(directory.path(), b"").is_err(), "a directory");
    }

    #[test]
    fn an_address_is_named_in_three_ways() {
        let binding = json!({"aor": "sip:bob@biloxi.com"});
        assert!(["sip:bob@biloxi.com", "bob@biloxi.com", "bob"].iter().all(|name| is_of(&binding, name)));
        assert!(["bo", "biloxi.com", "sip:bob", ""].iter().all(|name| !is_of(&binding, name)));
    }

    #[test]
    fn json_on_a_terminal_does_not_act() {
        let value = json!({"from": "\u{202e}x\u{e0001}"});
        let text = pretty(&value).unwrap();
        assert!(text.is_ascii(), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
