//! `lippycat sniff voip` on captures: the run from its first file to its summary.

use std::io::{self, BufWriter, IsTerminal, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::isolate::isolate;
use super::operations::{Beside, Operations};
use super::outputs::{Outputs, Pace, tell_losses};
use super::service::{end_on_signals, terminal_was_closed};
use super::stages::{self, Reading};
use super::{tell, tell_unread, unless_left};
use crate::call::Listener;
use crate::capture::file::{self, CaptureFiles};
use crate::capture::{Progress, SourceError};
use crate::cli::logging;
use crate::config::{Config, EventFormat, SummaryFormat};
use crate::exit_code::ExitCode;
use crate::inspect;
use crate::pipeline::{self, Board, Continue, Outcome};
use crate::privacy::{Privacy, Private};
use crate::sink::{self, Written};

/// Follows the calls in the capture files of `config` and ends with a summary.
///
/// # Errors
/// When an output cannot be made or written to.
pub(super) fn sniff_voip(config: &Config, beside: Beside) -> Result<ExitCode> {
    #[cfg(target_env = "gnu")]
    super::heap::prefer_large_pages();
    let pace = Pace::of(&config.run.inputs);
    sink::prepare_stdout();
    isolate(config, None, beside.control())?;
    let mut outputs = Outputs::open(config, pace)?;
    outputs.reopen_on_signal()?;
    let board = (!beside.is_empty()).then(|| Arc::new(Board::new(stages::threads(config), true)));
    let operations =
        board.clone().map(|board| Operations::start(beside, board, config, outputs.status())).transpose()?;
    let (outcome, code) = follow(config, Reading::sniffing(config), board, &mut outputs.recorder)?;
    drop(operations);
    let result = finish(config, &outcome, outputs)?;
    Ok(if result == ExitCode::Good { code } else { result })
}

/// Brings all outputs to their place and prints the summary.
///
/// # Errors
/// When an output could not be written to.
pub(super) fn finish(config: &Config, outcome: &Outcome, outputs: Outputs) -> Result<ExitCode> {
    let written = outputs.finish();
    if !sink::reader_stalls() {
        // That its reader is gone must not hide what was lost, nor that it takes nothing.
        let printed = unless_left(print_summary(config, outcome, &written));
        printed.or_else(|error| if sink::reader_stalls() { Ok(()) } else { Err(error) })?;
    }
    if !sink::reader_stalls() || tell_unread("its last lines and the summary are lost")? {
        tell_losses(&written)?;
    }
    if let Some(files) = written.files.as_ref().filter(|files| files.write_errors > 0) {
        // What the disk said is in the log.
        let (packets, errors) = (files.frames_lost, files.write_errors);
        tell(&format!(
            "error: capture files are not whole: packets not written: {packets}, errors: {errors}"
        ))?;
        return Ok(ExitCode::No);
    }
    unless_left(written.outcome.context("the results could not be written"))?;
    Ok(ExitCode::Good)
}

/// Reads the inputs to their end and tells what could not be read.
///
/// # Errors
/// When the filter is not valid or stderr is gone.
pub(super) fn follow(
    config: &Config,
    reading: Reading,
    board: Option<Arc<Board>>,
    listener: &mut (dyn Listener + Send),
) -> Result<(Outcome, ExitCode)> {
    let privacy = if reading.is_private { Privacy::default() } else { config.privacy };
    let settings = pipeline::Settings { board, ..stages::settings(config, reading)? };
    let stop = end_on_signals()?;
    let (source, mut errors) = file::open(&config.run.inputs);
    let bar = progress_bar(config);
    let mut private = Private::new(listener, privacy);
    let mut outcome = run(source, settings, private.told(), &stop, &bar);
    bar.finish_and_clear();
    errors.append(&mut outcome.errors);
    if stop.load(Ordering::Relaxed) {
        // A pipe of which nothing came before the end was asked for.
        errors.retain(|error| !matches!(error, SourceError::Empty { .. }));
    }
    for error in &errors {
        tell(&format!("error: {error}"))?;
    }
    if let Some((link, packets)) = outcome.unread_link() {
        let packets = inspect::count(packets, "packet");
        tell(&format!("warning: {packets} of a link type that is not read: {link}"))?;
    }
    if stop.load(Ordering::Relaxed) && !sink::reader_left() {
        tell("stopped: what was read so far is written")?;
    }
    Ok((outcome, code_of(&errors)))
}

fn run(
    mut source: CaptureFiles,
    settings: pipeline::Settings,
    listener: &mut (dyn Listener + Send),
    stop: &AtomicBool,
    bar: &ProgressBar,
) -> Outcome {
    pipeline::run(&mut source, settings, listener, &mut |progress| {
        show(bar, progress);
        if terminal_was_closed() {
            tracing::warn!("the terminal is gone: the run ends");
            stop.store(true, Ordering::Relaxed);
        }
        if stop.load(Ordering::Relaxed) { Continue::No } else { Continue::Yes }
    })
}

/// Unreadable inputs say no; when permission is all that was missing, that.
fn code_of(errors: &[SourceError]) -> ExitCode {
    match errors {
        [] => ExitCode::Good,
        errors if errors.iter().all(SourceError::is_permission_denied) => ExitCode::NotPermitted,
        _ => ExitCode::No,
    }
}

/// The summary goes where nobody parses something else: as JSON to stdout; as text there too, except beside JSON
/// events and records.
fn print_summary(config: &Config, outcome: &Outcome, written: &Written) -> Result<()> {
    let is_file_run = !config.run.live && config.run.follow.is_none();
    if is_file_run && outcome.source.files == 0 && config.run.summary == SummaryFormat::Text {
        // Nothing could be read, and that has been said.
        return Ok(());
    }
    let mut summary = outcome.summary(written.files.as_ref());
    summary.dropped("files", "queue_full", written.queue_full);
    summary.dropped("files", "calls_refused", written.calls_refused);
    summary.dropped("lines", "not_written", written.lines.lost);
    summary.dropped("lines", "write_errors", written.lines.errors);
    let mut out = BufWriter::new(sink::Stdout);
    match (config.run.summary, config.run.format) {
        (SummaryFormat::Json, _) => summary.print_json(&mut out)?,
        (SummaryFormat::Text, _) if config.run.quiet => {}
        (SummaryFormat::Text, format) if format == EventFormat::Json || has_records(config) => {
            let mut text = Vec::new();
            summary.print_text(&mut text)?;
            logging::tell(&String::from_utf8_lossy(&text))?;
        }
        (SummaryFormat::Text, _) => summary.print_text(&mut out)?,
    }
    Ok(out.flush()?)
}

/// Whether standard output has records.
fn has_records(config: &Config) -> bool {
    config.records.as_deref() == Some(Path::new("-"))
}

/// A bar on stderr, when that is a terminal and neither events nor records scroll through it.
fn progress_bar(config: &Config) -> ProgressBar {
    let has_lines = config.run.format != EventFormat::None || has_records(config);
    let scrolls = has_lines && io::stdout().is_terminal();
    if config.run.quiet || scrolls || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    let template = "{bytes}/{total_bytes} {wide_bar} {bytes_per_sec} {msg} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: &Progress) {
    if bar.is_hidden() {
        return;
    }
    if let Some(total) = progress.total {
        bar.set_length(total);
    }
    bar.set_position(progress.bytes);
    bar.set_message(format!("{} packets", progress.packets));
}
