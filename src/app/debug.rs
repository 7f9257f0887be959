//! `lippycat debug`: asks the running sniffer and prints what it says.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::whole_file::{print, put};
use super::{cores, is_nobody, load, tell, unless_left};
use crate::cli::{self, Debug, DebugCommand, Global, MetricsFlags, MetricsFormat, answers};
use crate::config::{self, Config, Control, Environment, Loaded, Run};
use crate::control::client::{Client, ClientError};
use crate::control::protocol::Question;
use crate::control::socket;
use crate::exit_code::ExitCode;

/// Asks, prints, and again with `--watch`, also while the sniffer is started anew.
///
/// # Errors
/// When nobody answers, or the answer cannot be written.
pub(super) fn debug(flags: &Debug, global: &Global, environment: &Environment) -> Result<ExitCode> {
    let loaded = load(global, environment)?;
    let run = Run { instance: flags.name.clone(), ..Run::default() };
    let Config { control, .. } = config::resolve(&mut loaded.settings.clone(), run, cores());
    let asker = Asker { flags, loaded, places: places(&control, environment) };
    let Some(seconds) = flags.command.look().watch else {
        let said = asker.answer()?;
        unless_left(asker.show(&said))?;
        return Ok(said.code);
    };
    let mut is_answered = None;
    loop {
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            // Home, and clear to the end of the screen: less flicker than clearing first.
            write!(out, "\x1b[H\x1b[J")?;
        }
        drop(out);
        match asker.answer().and_then(|said| asker.show(&said)) {
            Ok(()) => is_answered = Some(true),
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
    loaded: Loaded,
    places: Vec<PathBuf>,
}

/// What the sniffer said.
struct Said {
    answer: Value,
    /// How many it knows besides that were not asked for.
    others: u64,
    /// The exit code that follows from it.
    code: ExitCode,
}

impl Said {
    const fn good(answer: Value) -> Self {
        Self { answer, others: 0, code: ExitCode::Good }
    }
}

impl Asker<'_> {
    fn show(&self, said: &Said) -> Result<()> {
        let json = self.flags.command.look().json;
        let text = match (&self.flags.command, &said.answer) {
            (DebugCommand::Metrics(flags), answer) => return metrics(flags, answer),
            (_, answer) if json => pretty(answer)?,
            (DebugCommand::Health(_), answer) => answers::health(answer),
            (DebugCommand::Summary(_), answer) => answers::summary(answer),
            (DebugCommand::Alerts(_), answer) => answers::alerts(answer),
            (DebugCommand::Buffers(_), answer) => answers::buffers(answer),
            (DebugCommand::Streams(_), answer) => answers::streams(answer),
            (DebugCommand::Config(_), answer) => answers::config(answer),
            (DebugCommand::Calls(_), answer) => answers::calls(answer),
            (DebugCommand::Registrations(flags), answer) => {
                answers::registrations(answer, flags.address.as_deref(), said.others)
            }
        };
        Ok(print(text.as_bytes())?)
    }

    fn answer(&self) -> Result<Said> {
        let ask = |what: &str| -> Result<Value, ClientError> { self.connect()?.ask(&Question::about(what)) };
        let good = |answer| Ok(Said::good(answer));
        match &self.flags.command {
            DebugCommand::Health(_) => {
                let health = ask("health")?;
                let is_good = health.get("healthy") == Some(&Value::Bool(true));
                let code = if is_good { ExitCode::Good } else { ExitCode::No };
                Ok(Said { code, ..Said::good(health) })
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
                Ok(Said { code, ..Said::good(kept.collect()) })
            }
            DebugCommand::Buffers(_) => good(ask("buffers")?),
            DebugCommand::Streams(_) => good(ask("streams")?),
            DebugCommand::Config(_) => good(self.config(ask("config"))?),
            DebugCommand::Calls(_) => {
                let mut calls = self.connect()?.ask_all(Question::about("calls"), "calls")?.rows;
                let start = |call: &Value| call.get("start").and_then(Value::as_str).map(str::to_owned);
                calls.sort_by_key(start);
                good(calls.into())
            }
            DebugCommand::Registrations(flags) => {
                let address = flags.address.clone();
                let question = Question { address, ..Question::about("registrations") };
                let all = self.connect()?.ask_all(question, "registrations")?;
                let (mut bindings, others) = (all.rows, all.others);
                let key =
                    |binding: &Value| ["aor", "contact"].map(|key| binding[key].as_str().map(str::to_owned));
                bindings.sort_by_cached_key(key);
                Ok(Said { others, ..Said::good(bindings.into()) })
            }
        }
    }

    fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(&self.places, self.flags.name.as_deref())
    }

    /// Without a running sniffer, what a start would use.
    fn config(&self, answer: Result<Value, ClientError>) -> Result<Value> {
        match answer {
            Err(ClientError::Nobody { .. }) => {
                tell("note: no sniffer is running; this is what a start would use")?;
                Ok(cli::effective(self.loaded.clone(), cores()))
            }
            answer => Ok(answer?),
        }
    }
}

fn metrics(flags: &MetricsFlags, answer: &Value) -> Result<()> {
    let text = match flags.format() {
        MetricsFormat::Text => answers::metrics(answer),
        MetricsFormat::Json => pretty(answer)?,
        MetricsFormat::Prometheus => answer.as_str().unwrap_or_default().to_owned(),
    };
    match &flags.output {
        Some(path) => put(path, text.as_bytes())
            .with_context(|| format!("{}: the metrics cannot be written", path.display())),
        None => Ok(print(text.as_bytes())?),
    }
}

/// Where the sniffer, or the instance of that name, may be asked.
pub(super) fn places(control: &Control, environment: &Environment) -> Vec<PathBuf> {
    let runtime = environment.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usual = || socket::places(runtime.as_deref(), control.instance.as_deref());
    control.socket.clone().map_or_else(usual, |path| vec![path])
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_on_a_terminal_does_not_act() {
        let value = json!({"from": "\u{202e}x\u{e0001}"});
        let text = pretty(&value).unwrap();
        assert!(text.is_ascii(), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
