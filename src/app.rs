//! From a command line to an exit code.

mod conflict;
mod debug;
mod follow;
#[cfg(target_env = "gnu")]
mod heap;
mod isolate;
mod isolation;
mod live;
mod long_run;
mod operations;
mod outputs;
mod report;
mod service;
mod sniff;
mod stages;
mod whole_file;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread::available_parallelism;

use anyhow::Result;
use rustix::io::Errno;

use crate::capture::SourceError;
use crate::capture::file::stop_flag;
use crate::capture::live::LiveError;
use crate::cli::logging::{LogError, with_priority};
use crate::cli::{
    self, Cli, Command, ConfigCommand, Global, InspectCall, InspectCalls, InspectCommand, SniffCommand,
    SniffVoip,
};
use crate::config::{self, Config, ConfigError, Environment, Loaded, Run, Settings};
use crate::control::client::ClientError;
use crate::control::http::TokenError;
use crate::exit_code::ExitCode;
use crate::inspect::{self, Extent, Screen};
use crate::pipeline::Outcome;
use crate::sink;
use conflict::Conflict;
use isolation::Account;
use service::Reload;
use stages::Reading;

/// Runs the program with these arguments, its own name first.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let outcome = match cli::parse(&arguments) {
        Ok(cli) => dispatch(&cli, &Environment::of_process()).map_err(|error| placed(&cli.command, error)),
        Err(refusal) => {
            let code = if refusal.was_asked_for() { ExitCode::Good } else { ExitCode::Usage };
            unless_left(refusal.show()).map(|()| code)
        }
    };
    let code = outcome.unwrap_or_else(|error| fail(&error));
    cli::logging::finish();
    code
}

/// An error of the system that says nothing of where: of commands that write to nothing else it is standard output's.
fn placed(command: &Command, error: anyhow::Error) -> anyhow::Error {
    let is_bare = error.chain().nth(1).is_none() && error.is::<io::Error>();
    if is_bare && !matches!(command, Command::Sniff(_)) {
        error.context("standard output cannot be written")
    } else {
        error
    }
}

fn dispatch(cli: &Cli, environment: &Environment) -> Result<ExitCode> {
    let global = &cli.global;
    let mut out = io::stdout().lock();
    match &cli.command {
        Command::Sniff(SniffCommand::Voip(flags)) => {
            drop(out);
            return start_sniffing(flags, global, environment);
        }
        Command::Debug(flags) => {
            drop(out);
            return debug::debug(flags, global, environment);
        }
        Command::Inspect(command) => {
            drop(out);
            sink::end_with_reader();
            return start_inspecting(command, global, environment);
        }
        Command::Report(command) => {
            drop(out);
            sink::end_with_reader();
            return report::report(command, global, environment);
        }
        Command::Config(ConfigCommand::Generate) => cli::generate(&mut out)?,
        Command::Config(ConfigCommand::Validate { file }) => {
            validate(file.as_deref().or(global.config.as_deref()), environment, &|_| {}, &mut out)?;
        }
        Command::Config(ConfigCommand::Show { json }) => {
            let loaded = load(global, environment)?;
            cli::show(loaded, *json, cores(), &mut out)?;
        }
        Command::Interfaces { json } => {
            let code = live::interfaces(*json, &mut out)?;
            unless_left(out.flush())?;
            return Ok(code);
        }
        Command::Completions { shell } => cli::completions(*shell, &mut out)?,
        Command::Man { dir } => cli::man(dir.as_deref(), &mut out)?,
    }
    out.flush()?;
    Ok(ExitCode::Good)
}

fn start_sniffing(flags: &SniffVoip, global: &Global, environment: &Environment) -> Result<ExitCode> {
    if flags.validate_config {
        let user = flags.user.as_deref().map(Account::find).transpose();
        user.as_ref().err().map_or(Ok(()), |error| tell(&format!("error: {error:#}")))?;
        let given = |settings: &mut Settings| {
            global.apply(settings);
            flags.apply(settings);
        };
        validate(global.config.as_deref(), environment, &given, &mut io::stdout().lock())?;
        return Ok(if user.is_ok() { ExitCode::Good } else { ExitCode::No });
    }
    let mut loaded = load(global, environment)?;
    flags.apply(&mut loaded.settings);
    if !flags.read_file.is_empty() {
        leave_outputs(&mut loaded, global.quiet)?;
    }
    if let Some(idle) = flags.idle_flags(&loaded.settings) {
        tell(&format!("warning: {idle}"))?;
    }
    let run = Run { file: loaded.file.clone(), ..flags.run(global) };
    let config = config::resolve(&mut loaded.settings, run, cores());
    conflict::check_log(&config)?;
    cli::logging::start(&config.log)?;
    if config.privacy.masked && config.pcap.write {
        tell("warning: privacy.numbers is masked, and the capture files of calls hold packets as they are")?;
    }
    let beside = operations::prepare(&config, environment, cli::settled(&mut loaded))?;
    let reload = Reload::new(flags, global, environment, &loaded, cores());
    if config.run.follow.is_some() {
        follow::sniff_followed(&config, beside, reload)
    } else if config.run.live {
        live::sniff_live(&config, beside, reload)
    } else {
        sniff::sniff_voip(&config, beside)
    }
}

/// Captures are read by hand: a configuration that nobody named is the service's, and so are the outputs that it names.
fn leave_outputs(loaded: &mut Loaded, is_quiet: bool) -> Result<()> {
    let left = loaded.leave_outputs();
    if let Some(file) = loaded.file.as_deref().filter(|_| !left.is_empty() && !is_quiet) {
        let (keys, file) = (left.join(", "), file.display());
        tell(&format!("note: {file}: not used with -r: {keys}; use flags, or -c {file}"))?;
    }
    Ok(())
}

fn start_inspecting(
    command: &InspectCommand,
    global: &Global,
    environment: &Environment,
) -> Result<ExitCode> {
    let mut loaded = load(global, environment)?;
    let inputs = match command {
        InspectCommand::Call(flags) => flags.read_file.clone(),
        InspectCommand::Calls(flags) => flags.read_file.clone(),
    };
    match command {
        InspectCommand::Call(flags) => flags.privacy.apply(&mut loaded.settings),
        InspectCommand::Calls(flags) => flags.privacy.apply(&mut loaded.settings),
    }
    let color = global.color.unwrap_or_default();
    let run = Run { inputs, color, quiet: global.quiet, ..Run::default() };
    let config = config::resolve(&mut loaded.settings, run, cores());
    cli::logging::start(&config.log)?;
    match command {
        InspectCommand::Call(flags) => inspect_call(&config, flags),
        InspectCommand::Calls(flags) => inspect_calls(&config, flags),
    }
}

/// Shows the messages of one call.
///
/// # Errors
/// When nothing could be read, or no call has this Call-ID.
fn inspect_call(config: &Config, flags: &InspectCall) -> Result<ExitCode> {
    let screen = Screen::of_stdout(config.run.color);
    let mut out = BufWriter::new(sink::Stdout);
    let wanted = inspect::Wanted::new(&flags.call_id);
    let mut code = ExitCode::Good;
    let (view, privacy, files) = (flags.view(), config.privacy, flags.read_file.as_slice());
    let asked = inspect::Asked { wanted, view, privacy, files };
    unless_left(inspect::call(asked, &screen, &mut out, |listener| {
        let reading = Reading::of(inspect::settings(config.privacy.digits));
        let (outcome, read) = sniff::follow(config, reading, None, listener)?;
        code = read;
        Ok(extent(&outcome, read))
    }))?;
    Ok(code)
}

/// Lists the calls.
///
/// # Errors
/// When nothing could be read.
fn inspect_calls(config: &Config, flags: &InspectCalls) -> Result<ExitCode> {
    let screen = Screen::of_stdout(config.run.color);
    let form = if flags.json { inspect::Form::Json } else { inspect::Form::Table };
    let mut code = ExitCode::Good;
    let mut out = BufWriter::new(sink::Stdout);
    let untold = unless_left(inspect::calls(form, flags.all, &screen, &mut out, |listener| {
        let reading = Reading::of(inspect::settings(config.privacy.digits));
        let (outcome, read) = sniff::follow(config, reading, None, listener)?;
        code = read;
        Ok((outcome.summary(None).limits(), extent(&outcome, read)))
    }))?;
    if !config.run.quiet {
        untold.iter().try_for_each(|limit| tell(&format!("note: {limit}")))?;
    }
    Ok(code)
}

/// How much of what was named a run read that ended with this code.
fn extent(outcome: &Outcome, code: ExitCode) -> Extent {
    match code {
        ExitCode::Good if !stop_flag().load(Ordering::Relaxed) => Extent::Whole,
        _ if outcome.source.files > 0 => Extent::Part,
        _ => Extent::Nothing,
    }
}

/// File and environment, with the flags that every command has laid over them; warnings are told.
fn load(global: &Global, environment: &Environment) -> Result<Loaded> {
    let mut loaded = config::load(global.config.as_deref(), environment)?;
    loaded.warnings.iter().try_for_each(|warning| tell(&format!("warning: {warning}")))?;
    global.apply(&mut loaded.settings);
    Ok(loaded)
}

/// Warnings go to stderr, the verdict to stdout.
fn validate(
    file: Option<&Path>,
    environment: &Environment,
    given: &dyn Fn(&mut Settings),
    out: &mut impl Write,
) -> Result<()> {
    let told = cli::validate(file, environment, given)?;
    if let Some((verdict, warnings)) = told.split_last() {
        warnings.iter().try_for_each(|warning| tell(&format!("warning: {warning}")))?;
        writeln!(out, "{verdict}")?;
    }
    Ok(())
}

/// Whether no sniffer is running that could be asked.
fn is_nobody(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Nobody { .. }))
}

/// What the system said, if it said something.
fn kind_of(error: &anyhow::Error) -> Option<io::ErrorKind> {
    error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// What came of showing something. That its reader has left is no failure, and hides none.
fn unless_left<T: Default, E: Into<anyhow::Error>>(shown: Result<T, E>) -> Result<T> {
    shown.map_err(Into::into).or_else(|error| match kind_of(&error) {
        Some(io::ErrorKind::BrokenPipe) => Ok(T::default()),
        _ => Err(error),
    })
}

/// Whether nothing failed but that nobody takes standard output. What a disk or another reader says is a failure beside that.
fn is_of_stalled_stdout(error: &anyhow::Error) -> bool {
    let timed_out = Some(Errno::TIMEDOUT.raw_os_error());
    let mut said = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    sink::reader_stalls() && said.any(|error| error.raw_os_error() == timed_out)
}

/// Says why it failed and chooses the code. A reader that went away is no failure.
fn fail(error: &anyhow::Error) -> ExitCode {
    let kind = kind_of(error);
    if kind == Some(io::ErrorKind::BrokenPipe) {
        return ExitCode::Good;
    }
    if is_of_stalled_stdout(error) {
        let _ = tell_unread("its last lines are lost");
        return ExitCode::Good;
    }
    // A stderr that cannot be written to leaves the exit code to speak.
    let _ = match error.downcast_ref::<ConfigError>() {
        // Each problem has its place in front, as editors and scripts expect it.
        Some(ConfigError::Invalid(problems)) => problems.iter().try_for_each(|problem| {
            tell(&if problem.warning { format!("warning: {problem}") } else { problem.to_string() })
        }),
        _ => tell(&format!("error: {error:#}")),
    };
    let denied = error.downcast_ref::<ConfigError>().is_some_and(ConfigError::is_permission)
        || error.downcast_ref::<LiveError>().is_some_and(LiveError::is_permission_denied)
        || error.downcast_ref::<LogError>().is_some_and(LogError::is_permission)
        || error.downcast_ref::<SourceError>().is_some_and(SourceError::is_permission_denied)
        || error.downcast_ref::<TokenError>().is_some_and(TokenError::is_permission)
        || matches!(error.downcast_ref(), Some(ClientError::NotPermitted(_)));
    if error.is::<Conflict>() {
        ExitCode::Usage
    } else if is_nobody(error) {
        ExitCode::NotRunning
    } else if denied || kind == Some(io::ErrorKind::PermissionDenied) {
        ExitCode::NotPermitted
    } else {
        ExitCode::No
    }
}

/// Says that nobody takes what is shown; false when both go to one terminal, where any word would wait, too.
fn tell_unread(lost: &str) -> io::Result<bool> {
    let can_be_told = !(io::stdout().is_terminal() && io::stderr().is_terminal());
    if can_be_told {
        tell(&format!("warning: standard output is not read: {lost}"))?;
    }
    Ok(can_be_told)
}

fn tell(line: &str) -> io::Result<()> {
    cli::logging::tell(&format!("{}\n", with_priority(line)))
}

fn cores() -> usize {
    available_parallelism().map_or(1, std::num::NonZero::get)
}
