//! Where log lines go: stderr or the journal, and a file besides.
//!
//! In: [`Log`]. Out: one `tracing` subscriber for the process, whose level, format and file can be changed while it
//! runs. Nothing in a line acts on a terminal or forges another line; what repeats itself is limited and counted.

mod journal;
mod limit;
mod line;
mod output;
mod stderr;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::io::Errno;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Log, LogFormat, LogLevel};
use crate::escape;
pub use journal::{is_journal, with_priority};
use limit::Limiter;
use line::Lines;
use output::LogFile;

/// Messages of this target are never limited: each is counted by somebody.
pub use crate::pipeline::STREAM_LOG;

/// Why log lines cannot go where they should.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file of `log.file`.
    #[error("{path}: the log cannot be written there: {reason}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says. Part of the message, and so not its source.
        reason: io::Error,
    },
    /// The journal, when it was asked for.
    #[error("the journal cannot be reached: {0}; use --log-format text or json")]
    Journal(io::Error),
}

impl LogError {
    /// Whether the system did not permit it.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        let (Self::File { reason, .. } | Self::Journal(reason)) = self;
        reason.kind() == io::ErrorKind::PermissionDenied
    }
}

type Outputs = Vec<Box<dyn Layer<Registry> + Send + Sync>>;

/// What was started, to be changed later.
struct Started {
    file: Mutex<Option<Arc<LogFile>>>,
    set_level: Box<dyn Fn(LevelFilter) + Send + Sync>,
    set_outputs: Box<dyn Fn(Outputs) + Send + Sync>,
    limiter: Arc<Limiter>,
}

static STARTED: OnceLock<Started> = OnceLock::new();

/// Starts logging for the whole process. A second call changes nothing.
///
/// # Errors
/// When lines cannot go where they should.
pub fn start(log: &Log) -> Result<(), LogError> {
    if STARTED.get().is_some() {
        return Ok(());
    }
    let file = open(log)?;
    let (outputs, set_outputs) = reload::Layer::new(outputs(log, file.as_ref())?);
    let (level, set_level) = reload::Layer::new(filter(log.level));
    let limiter = Arc::new(Limiter::default());
    let subscriber =
        tracing_subscriber::registry().with(outputs).with(Arc::clone(&limiter).layer()).with(level);
    // Somebody who embeds the library may log already, and then keeps doing so.
    if subscriber.try_init().is_ok() {
        let started = Started {
            file: Mutex::new(file),
            set_level: Box::new(move |level| drop(set_level.reload(level))),
            set_outputs: Box::new(move |outputs| drop(set_outputs.reload(outputs))),
            limiter,
        };
        drop(STARTED.set(started));
    }
    Ok(())
}

/// Level, format and file are others from now on. If they cannot be, everything stays as it is.
///
/// # Errors
/// When lines cannot go where they should.
pub fn change(log: &Log) -> Result<(), LogError> {
    let Some(started) = STARTED.get() else { return start(log) };
    let new = open(log)?;
    let outputs = outputs(log, new.as_ref())?;
    *started.file.lock().unwrap_or_else(PoisonError::into_inner) = new;
    (started.set_outputs)(outputs);
    (started.set_level)(filter(log.level));
    Ok(())
}

/// Opens the log file anew, after it was moved away. If that fails, lines go on into the old one.
///
/// # Errors
/// When the file cannot be opened.
pub fn reopen() -> Result<(), LogError> {
    file().map_or(Ok(()), |file| file.reopen())
}

/// Opens the log file anew if it was moved away and nobody said so. To be called every second or so.
///
/// # Errors
/// When the file cannot be opened; once, until it can be.
pub fn reopen_if_moved() -> Result<(), LogError> {
    file().map_or(Ok(()), |file| file.reopen_if_moved())
}

/// Gives the log file to a user who will have to open it anew.
///
/// # Errors
/// When the system does not permit it.
pub fn give(user: u32, group: u32) -> io::Result<()> {
    file().map_or(Ok(()), |file| file.give(user, group))
}

/// A live run begins: from now on nobody waits for who reads stderr. To be said before files outside are out of reach.
pub fn never_wait() {
    stderr::never_wait();
}

/// Writes lines to stderr, behind those of the log; what is in them (names of files, arguments) does not act. That nobody reads
/// it is no failure, and hides none: its reader has left, or its terminal is gone (EIO).
///
/// # Errors
/// Stderr cannot be written to.
pub fn tell(lines: &str) -> io::Result<()> {
    let lines = escape::lines(lines);
    let Some(live) = stderr::live() else {
        let written = io::stderr().lock().write_all(lines.as_bytes());
        return written.or_else(|error| match Errno::from_io_error(&error) {
            Some(Errno::PIPE | Errno::IO) => Ok(()),
            _ => Err(error),
        });
    };
    live.push(lines.as_bytes());
    Ok(())
}

/// The program ends: what waits for who reads stderr is given up when nothing is taken for 2 s.
pub fn finish() {
    stderr::live().into_iter().for_each(stderr::Stderr::finish);
}

/// Tells what was not logged because it repeated itself, or because nobody read it. To be called every second or so, and at the end.
pub fn settle(at_once: bool) {
    let lost = stderr::live().map_or(0, stderr::Stderr::settle);
    if lost > 0 {
        tracing::warn!(target: limit::SUMMARY, "{lost} lines of the log were lost: nobody read stderr");
    }
    if let Some(started) = STARTED.get() {
        started.limiter.settle(at_once);
    }
}

fn file() -> Option<Arc<LogFile>> {
    STARTED.get().and_then(|it| it.file.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

fn open(log: &Log) -> Result<Option<Arc<LogFile>>, LogError> {
    log.file.as_deref().map(|path| LogFile::open(path).map(Arc::new)).transpose()
}

/// The journal when it was asked for, or when stderr leads there and nobody asked for something else.
fn outputs(log: &Log, file: Option<&Arc<LogFile>>) -> Result<Outputs, LogError> {
    let mut outputs: Outputs = Vec::new();
    let wants_journal = log.format == LogFormat::Journald || log.format == LogFormat::Auto && is_journal();
    match wants_journal.then(journal::layer) {
        Some(Ok(layer)) => outputs.push(layer.boxed()),
        Some(Err(error)) if log.format == LogFormat::Journald => return Err(LogError::Journal(error)),
        _ => outputs.push(lines(log.format, Lines::to_stderr(log.format))),
    }
    if let Some(file) = file {
        outputs.push(lines(log.format, Lines::to_file(log.format, Arc::clone(file))));
    }
    Ok(outputs)
}

fn lines(format: LogFormat, lines: Lines) -> Box<dyn Layer<Registry> + Send + Sync> {
    let layer = fmt::layer().with_ansi(false).with_target(false).with_writer(lines);
    match format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Auto | LogFormat::Text | LogFormat::Journald => layer.boxed(),
    }
}

const fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
