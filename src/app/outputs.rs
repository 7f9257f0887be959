//! What a run writes besides its summary: per-call files, records, events.

use std::io::{self, IsTerminal};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGUSR1};

use super::conflict::{self, Output};
use super::{service, tell};
use crate::config::{Config, EventFormat, PcapFormat, limits};
use crate::sink::{
    self, CallFiles, CallIds, DiskStatus, DiskWatch, EventFields, EventLog, EventWriter, FileFormat,
    FileSettings, Lines, Manifest, NameBook, NameSettings, NamedFiles, RecordWriter, Recorder, Reopen,
    RetentionSettings, WhenFull, Written,
};

/// Where packets come from, as far as writing is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Files: nobody looks at what is written before the end.
    File,
    /// A pipe: as [`Self::Wire`], but it waits.
    Pipe,
    /// Interfaces: everything is on disk within a second, and nothing waits for a disk.
    Wire,
}

impl Pace {
    /// That of the inputs: standard input or another pipe is filled by somebody else, maybe slowly.
    pub(super) fn of(inputs: &[impl AsRef<Path>]) -> Self {
        let is_pipe = |path: &Path| {
            conflict::about(path).is_ok_and(|about| {
                let kind = about.file_type();
                kind.is_fifo() || kind.is_socket()
            })
        };
        if inputs.iter().any(|path| is_pipe(path.as_ref())) { Self::Pipe } else { Self::File }
    }
}

/// Whether nobody would have anything of the run without standard output. A control socket that nobody asked for is no
/// purpose.
fn is_stdout_all(config: &Config) -> bool {
    let is_file = |path: &Path| path != Path::new("-");
    let writes = config.pcap.write
        || config.records.as_deref().is_some_and(is_file)
        || config.events.as_ref().is_some_and(|events| is_file(&events.file));
    let is_asked = config.metrics.listen.is_some() || config.control.is_flag;
    !writes && !is_asked
}

/// All outputs of a run.
pub(super) struct Outputs {
    /// Hears of calls.
    pub(super) recorder: Recorder,
    /// What the disks say, for alerts and metrics.
    status: Arc<DiskStatus>,
    watch: Option<DiskWatch>,
    reopen: Reopen,
}

impl Outputs {
    /// Opens what `config` asks for. Threads are started here.
    ///
    /// # Errors
    /// When a directory or file cannot be made.
    pub(super) fn open(config: &Config, pace: Pace) -> Result<Self> {
        let status = Arc::new(DiskStatus::default());
        let reopen = Reopen::default();
        let is_live = pace != Pace::File;
        let manifest = manifest(config, is_live)?;
        if config.pcap.write && is_live {
            recover(config, manifest.as_deref())?;
        }
        let lines = lines(config, pace, reopen.clone())?;
        if is_stdout_all(config) {
            sink::end_with_reader();
        }
        let writers = match pace {
            Pace::File => 0,
            // Records are to be in the order in which calls ended, as of a file.
            Pace::Pipe => config.writers.min(1),
            Pace::Wire => config.writers,
        };
        let when_full = if pace == Pace::Pipe { WhenFull::Wait } else { WhenFull::Drop };
        let recorder = if writers == 0 {
            let files =
                config.pcap.write.then(|| named_files(config, pace, 1, manifest.clone())).transpose()?;
            if is_live {
                Recorder::live(files, lines, when_full, &status)?
            } else {
                Recorder::inline(files, lines)
            }
        } else {
            let each = (0..writers).filter(|_| config.pcap.write);
            let files = each.map(|_| named_files(config, pace, writers, manifest.clone()));
            Recorder::threads(files.collect::<Result<_>>()?, lines, when_full, &status)?
        };
        let watch = (config.pcap.write && is_live).then(|| {
            DiskWatch::start(config.pcap.directory.clone(), retention(config), manifest, Arc::clone(&status))
        });
        Ok(Self { recorder, status, watch: watch.transpose()?, reopen })
    }

    /// Has records and events opened anew on SIGHUP and SIGUSR1, as of every daemon whose files are rotated: for a run
    /// without a [`service::Service`] that hears of it.
    pub(super) fn reopen_on_signal(&self) -> io::Result<()> {
        for signal in [SIGHUP, SIGUSR1] {
            signal_hook::flag::register(signal, self.reopen.flag())?;
        }
        service::hear_hangup()
    }

    /// What has records and events opened anew.
    pub(super) fn reopen(&self) -> service::Reopen {
        let flag = self.reopen.flag();
        Box::new(move || flag.store(true, Ordering::Relaxed))
    }

    /// What the disks say, as it changes.
    pub(super) fn status(&self) -> Arc<DiskStatus> {
        Arc::clone(&self.status)
    }

    /// Brings everything to its place, and tells what became of it.
    pub(super) fn finish(self) -> Written {
        let written = self.recorder.finish();
        drop(self.watch);
        tracing::debug!("disk at the end of the run: {:?}", self.status.figures());
        written
    }
}

fn retention(config: &Config) -> RetentionSettings {
    let pcap = &config.pcap;
    RetentionSettings {
        max_age: pcap.max_age,
        max_total_size: pcap.max_total_size.map(|size| size.as_u64()),
        min_free: pcap.min_free.map(|size| size.as_u64()),
    }
}

/// The list of files, where some are to be deleted one day.
fn manifest(config: &Config, is_live: bool) -> Result<Option<Arc<Manifest>>> {
    if !config.pcap.write || !is_live || retention(config).is_off() {
        return Ok(None);
    }
    let directory = &config.pcap.directory;
    let manifest = Manifest::open(directory)
        .with_context(|| format!("{}: retention cannot keep its list of files there", directory.display()))?;
    Ok(Some(Arc::new(manifest)))
}

/// Gives the unfinished files of a run that crashed their final names.
fn recover(config: &Config, manifest: Option<&Manifest>) -> Result<()> {
    let directory = &config.pcap.directory;
    let found = sink::recover(directory, manifest)
        .with_context(|| format!("{}: cannot be searched for unfinished files", directory.display()))?;
    let directory = directory.display();
    if found.busy {
        tracing::info!("{directory}: another process writes there; unfinished files are left to it");
    }
    if found.files > 0 {
        let (files, bytes) = (found.files, found.bytes);
        let cut = match found.cut {
            0 => String::new(),
            cut => format!("; the last record of {cut} was incomplete and is cut off"),
        };
        tracing::warn!(
            "{directory}: {files} unfinished files of a run that did not end well have their final names now \
             ({bytes} bytes{cut})"
        );
    }
    if let Some(error) = found.first_error {
        tracing::error!("{directory}: {} unfinished files stay as they are: {error}", found.failed);
    }
    Ok(())
}

fn lines(config: &Config, pace: Pace, reopen: Reopen) -> Result<Lines> {
    let is_live = pace != Pace::File;
    let records = config.records.as_deref().map(|path| {
        // A run over a file gives its records; a service goes on with the file of the one before.
        let goes_on = pace == Pace::Wire || config.records_go_on;
        let opened = if goes_on { RecordWriter::append(path) } else { RecordWriter::create(path) };
        opened.with_context(|| format!("{}: the records cannot be written", path.display()))
    });
    let records = records.transpose()?;
    let log = config.events.as_ref().map(|events| {
        let fields = EventFields {
            trace: events.trace_header.clone(),
            headers: events.headers.clone(),
            privacy: config.privacy,
        };
        let path = &events.file;
        let goes_on = is_live || events.goes_on;
        let opened = if goes_on { EventLog::append(path, fields) } else { EventLog::create(path, fields) };
        opened.with_context(|| format!("{}: the event log cannot be written", path.display()))
    });
    let log = log.transpose()?;
    distinct(config, records.as_ref(), log.as_ref())?;
    let format = match config.run.format {
        EventFormat::Text => sink::EventFormat::Text,
        EventFormat::Json => sink::EventFormat::Json,
        EventFormat::None => sink::EventFormat::None,
    };
    let call_ids = if io::stdout().is_terminal() { CallIds::Short } else { CallIds::Whole };
    let events = EventWriter::new(format, call_ids);
    Lines::new(records, log, events, reopen).context("records and events cannot be begun anew")
}

/// Before anything of a file that is there goes: whether each output has one of its own.
fn distinct(config: &Config, records: Option<&RecordWriter>, log: Option<&EventLog>) -> Result<()> {
    let records = config.records.as_deref().map(|path| Output {
        what: "the records",
        key: "--records or records.file",
        path,
        file: records.and_then(RecordWriter::about),
        taken: "the records are",
    });
    let log = config.events.as_ref().map(|events| Output {
        what: "the event log",
        key: "events.file",
        path: &events.file,
        file: log.and_then(EventLog::about),
        taken: "the event log is",
    });
    let outputs: Vec<_> = records.into_iter().chain(log).collect();
    Ok(conflict::check(config, &outputs)?)
}

fn named_files(
    config: &Config,
    pace: Pace,
    writers: usize,
    manifest: Option<Arc<Manifest>>,
) -> Result<NamedFiles> {
    let pcap = &config.pcap;
    let format = match pcap.format {
        PcapFormat::Pcap => FileFormat::Pcap,
        PcapFormat::Pcapng => FileFormat::PcapNg,
    };
    let directory = pcap.directory.clone();
    let about = || format!("{}: the per-call files cannot be written there", directory.display());
    let is_live = pace != Pace::File;
    let settings = FileSettings {
        directory: directory.clone(),
        format,
        max_open: if is_live { live_files() } else { limits::OPEN_FILES },
        buffer_limit: limits::FILE_BUFFERS,
        flush_after: is_live.then_some(sink::FLUSH_AFTER),
        manifest,
    };
    let files = CallFiles::new(sink::share(&settings, writers)).with_context(about)?;
    let book = NameBook::new(NameSettings {
        directory: directory.clone(),
        prefix: config.run.pcap_prefix.clone(),
        template: pcap.name.clone(),
        format,
        max_filename_length: pcap.max_name_length,
    })
    .with_context(about)?;
    Ok(NamedFiles::new(directory.clone(), files, book))
}

/// How many unfinished files a live run keeps open: what the system lets the process have, less what the rest needs.
fn live_files() -> usize {
    let allowed = sink::raise_descriptor_limit().saturating_sub(limits::OTHER_DESCRIPTORS);
    usize::try_from(allowed).unwrap_or(usize::MAX).clamp(16, limits::LIVE_OPEN_FILES)
}

/// Says what was lost.
///
/// # Errors
/// When stderr is gone.
pub(super) fn tell_losses(written: &Written) -> Result<()> {
    let rows = [
        (written.queue_full, "packets of calls are not in their files: the disk was too slow"),
        (written.calls_refused, "calls have no file: the disk was too slow"),
        (
            written.lines.lost,
            "records or events are not written: the disk or the reader was too slow, or said no",
        ),
    ];
    for (count, what) in rows.into_iter().filter(|(count, _)| *count > 0) {
        tell(&format!("warning: {count} {what}"))?;
    }
    Ok(())
}
