//! `lippycat sniff voip` on captures: the run from its first file to its summary.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::operations::{Beside, Operations};
use super::{stages, tell};
use crate::call::{self, Listener};
use crate::capture::file::{self, CaptureFiles};
use crate::capture::{Progress, SourceError};
use crate::config::{Config, EventFormat, PcapFormat, SummaryFormat, limits};
use crate::exit_code::ExitCode;
use crate::pipeline::{self, Board, Continue, Outcome, Threads};
use crate::sink::{
    self, CallFiles, EventWriter, FileFormat, FileSettings, NameBook, NameSettings, NameTemplate, NamedFiles,
    RecordWriter, Recorder,
};

/// Follows the calls in the capture files of `config` and ends with a summary.
///
/// # Errors
/// When an output cannot be made or written to.
pub(super) fn sniff_voip(config: &Config, beside: Beside) -> Result<ExitCode> {
    let mut recorder = recorder(config)?;
    let board = (!beside.is_empty()).then(|| {
        let threads = if config.workers == 0 { Threads::Inline } else { Threads::Workers(config.workers) };
        Arc::new(Board::new(threads, true))
    });
    let operations =
        board.clone().map(|board| Operations::start(beside, board, config, Box::new(|| None))).transpose()?;
    let (outcome, code) = follow(config, stages::calls(config), config.pcap.write, board, &mut recorder)?;
    drop(operations);
    let result = finish(config, &outcome, recorder)?;
    Ok(if result == ExitCode::Good { code } else { result })
}

/// Brings all outputs to their place and prints the summary.
///
/// # Errors
/// When an output could not be written to.
pub(super) fn finish(config: &Config, outcome: &Outcome, recorder: Recorder) -> Result<ExitCode> {
    let (files, written) = recorder.finish();
    print_summary(config, outcome, files.as_ref())?;
    if let Some(error) = files.as_ref().and_then(CallFiles::first_error) {
        tell(&format!("error: {error}"))?;
        return Ok(ExitCode::No);
    }
    written.context("the results could not be written")?;
    Ok(ExitCode::Good)
}

/// Reads the inputs to their end and tells what could not be read.
///
/// # Errors
/// When the filter is not valid or stderr is gone.
pub(super) fn follow(
    config: &Config,
    calls: call::Settings,
    frames: bool,
    board: Option<Arc<Board>>,
    listener: &mut (dyn Listener + Send),
) -> Result<(Outcome, ExitCode)> {
    let settings = pipeline::Settings { board, ..stages::settings(config, calls, frames)? };
    let stop = stop_on_signals()?;
    let (source, mut errors) = file::open(&config.run.inputs);
    let bar = progress_bar(config);
    let mut outcome = run(source, settings, listener, &stop, &bar);
    bar.finish_and_clear();
    errors.append(&mut outcome.errors);
    for error in &errors {
        tell(&format!("error: {error}"))?;
    }
    if stop.load(Ordering::Relaxed) {
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

/// The first SIGINT or SIGTERM finishes the run, the second ends the program at once.
pub(super) fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = file::stop_flag();
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

pub(super) fn recorder(config: &Config) -> Result<Recorder> {
    let files = config.pcap.write.then(|| named_files(config)).transpose()?;
    let records = match &config.records {
        Some(path) => Some(
            RecordWriter::create(path)
                .with_context(|| format!("{}: the records cannot be written", path.display()))?,
        ),
        None => None,
    };
    let format = match config.run.format {
        EventFormat::Text => sink::EventFormat::Text,
        EventFormat::Json => sink::EventFormat::Json,
        EventFormat::None => sink::EventFormat::None,
    };
    Ok(Recorder::new(files, records, EventWriter::new(io::stdout(), format)))
}

fn named_files(config: &Config) -> Result<NamedFiles> {
    let pcap = &config.pcap;
    let format = match pcap.format {
        PcapFormat::Pcap => FileFormat::Pcap,
        PcapFormat::Pcapng => FileFormat::PcapNg,
    };
    let directory: PathBuf = pcap.directory.clone();
    let about = || format!("{}: the per-call files cannot be written there", directory.display());
    let files = CallFiles::new(FileSettings {
        directory: directory.clone(),
        format,
        max_open: limits::OPEN_FILES,
        buffer_limit: limits::FILE_BUFFERS,
        flush_after: None,
    })
    .with_context(about)?;
    let names = NameBook::new(NameSettings {
        directory: directory.clone(),
        prefix: config.run.pcap_prefix.clone(),
        template: NameTemplate::parse(pcap.name.as_str())?,
        format,
        max_filename_length: pcap.max_name_length,
    })
    .with_context(about)?;
    Ok(NamedFiles { directory, files, names })
}

/// The summary goes where nobody parses something else: as JSON to stdout; as text there too, except beside JSON
/// events.
fn print_summary(config: &Config, outcome: &Outcome, files: Option<&CallFiles>) -> Result<()> {
    if !config.run.live && outcome.source.files == 0 && config.run.summary == SummaryFormat::Text {
        // Nothing could be read, and that has been said.
        return Ok(());
    }
    let summary = outcome.summary(files.map(CallFiles::counters).as_ref());
    match (config.run.summary, config.run.format) {
        (SummaryFormat::Json, _) => summary.print_json(&mut io::stdout().lock())?,
        (SummaryFormat::Text, _) if config.run.quiet => {}
        (SummaryFormat::Text, EventFormat::Json) => summary.print_text(&mut io::stderr().lock())?,
        (SummaryFormat::Text, _) => summary.print_text(&mut io::stdout().lock())?,
    }
    Ok(())
}

/// A bar on stderr, when that is a terminal and events do not scroll through it.
fn progress_bar(config: &Config) -> ProgressBar {
    let scrolls = config.run.format != EventFormat::None && io::stdout().is_terminal();
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
