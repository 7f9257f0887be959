//! Records, the event log and the events on standard output: everything that is written of calls in lines.

use std::io::{self, ErrorKind};

use crate::call::{CallEvent, CallRecord};
use crate::sink::event_log::{EventLog, Extract};
use crate::sink::events::EventWriter;
use crate::sink::line_file::{LineFile, Reopen};
use crate::sink::records::RecordWriter;
use crate::sink::throttle::Throttle;
use crate::time::Timestamp;

/// What became of lines, over all outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Lines that found no room, because the disk or the reader was too slow or said no.
    pub lost: u64,
    /// Times that the disk said no.
    pub errors: u64,
}

impl LineCounts {
    pub(super) const fn add(&mut self, more: Self) {
        self.lost += more.lost;
        self.errors += more.errors;
    }
}

/// All outputs of lines, or those of one thread.
#[derive(Debug, Default)]
pub struct Lines {
    records: Option<RecordWriter>,
    log: Option<EventLog>,
    events: Option<EventWriter>,
    reopen: Reopen,
    throttle: Throttle,
    failure: Option<io::Error>,
    now: Timestamp,
}

impl Lines {
    /// Outputs of what there is a writer for.
    #[must_use]
    pub fn new(
        records: Option<RecordWriter>,
        log: Option<EventLog>,
        events: EventWriter,
        reopen: Reopen,
    ) -> Self {
        let events = (!events.is_silent()).then_some(events);
        Self { records, log, events, reopen, ..Self::default() }
    }

    /// What goes to files, and what goes to standard output: a terminal that is held up must not hold up a file.
    pub(super) fn split(self) -> (Self, Self) {
        let (records_to_stdout, records) = split(self.records, |it| it.file().is_stdout());
        let (log_to_stdout, log) = split(self.log, |it| it.file().is_stdout());
        let stdout =
            Self { records: records_to_stdout, log: log_to_stdout, events: self.events, ..Self::default() };
        (Self { records, log, reopen: self.reopen, ..Self::default() }, stdout)
    }

    pub(super) const fn has_records(&self) -> bool {
        self.records.is_some()
    }

    pub(super) const fn log(&self) -> Option<&EventLog> {
        self.log.as_ref()
    }

    /// Whether it takes events, to be shown or logged.
    pub(super) const fn has_events(&self) -> bool {
        self.events.is_some() || self.log.is_some()
    }

    pub(super) const fn is_empty(&self) -> bool {
        !self.has_records() && !self.has_events()
    }

    /// What time it is, for how often failures are told.
    pub(super) fn set_time(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    pub(super) fn record(&mut self, record: &CallRecord) {
        if let Some(records) = &mut self.records {
            let written = records.push(record);
            self.note(written, |it| it.records.as_ref().map(RecordWriter::file));
        }
    }

    /// An event, with what its call's first message says besides. The event log has those of dialogs that the user did
    /// not ask for, too.
    pub(super) fn event(&mut self, event: &CallEvent, extract: Option<&Extract>) {
        if let Some(events) = self.events.as_mut().filter(|_| event.kept) {
            let written = events.push(event);
            self.note(written, |it| it.events.as_ref().map(EventWriter::file));
        }
        if let Some(log) = &mut self.log {
            let written = log.push(event, extract);
            self.note(written, |it| it.log.as_ref().map(EventLog::file));
        }
    }

    /// Brings all lines to their files, which are opened anew first when that was asked for.
    pub(super) fn flush(&mut self) {
        if self.reopen.taken() {
            self.reopen();
        }
        self.each(LineFile::flush);
    }

    /// Whether something is to be reopened that no line asks for.
    pub(super) fn may_rotate(&self) -> bool {
        self.files().any(|file| !file.is_stdout())
    }

    /// What became of lines so far.
    pub(super) fn counts(&self) -> LineCounts {
        self.files().map(LineFile::counters).fold(LineCounts::default(), |mut sum, one| {
            sum.add(LineCounts { lost: one.lost, errors: one.errors });
            sum
        })
    }

    /// Brings everything to its place.
    ///
    /// # Errors
    /// The first failure, when something was lost by it or still is not written.
    pub(super) fn finish(mut self) -> (LineCounts, io::Result<()>) {
        let before = self.failure.take();
        self.flush();
        let counts = self.counts();
        let failure = self.failure.or(before.filter(|_| counts.lost > 0));
        (counts, failure.map_or(Ok(()), Err))
    }

    fn reopen(&mut self) {
        self.each(LineFile::reopen);
        tracing::info!("records and events go on in files opened anew");
    }

    fn files(&self) -> impl Iterator<Item = &LineFile> {
        let records = self.records.as_ref().map(RecordWriter::file);
        let log = self.log.as_ref().map(EventLog::file);
        let events = self.events.as_ref().map(EventWriter::file);
        [records, log, events].into_iter().flatten()
    }

    fn each(&mut self, act: impl Fn(&mut LineFile) -> io::Result<()>) {
        if let Some(file) = self.records.as_mut().map(RecordWriter::file_mut) {
            let done = act(file);
            self.note(done, |it| it.records.as_ref().map(RecordWriter::file));
        }
        if let Some(file) = self.log.as_mut().map(EventLog::file_mut) {
            let done = act(file);
            self.note(done, |it| it.log.as_ref().map(EventLog::file));
        }
        if let Some(file) = self.events.as_mut().map(EventWriter::file_mut) {
            let done = act(file);
            self.note(done, |it| it.events.as_ref().map(EventWriter::file));
        }
    }

    fn note(&mut self, outcome: io::Result<()>, file: impl Fn(&Self) -> Option<&LineFile>) {
        match outcome {
            Ok(()) => self.throttle.worked(self.now, "records and events are written"),
            Err(error) => {
                // The reader of a FIFO that left is told by nobody.
                if error.kind() != ErrorKind::BrokenPipe {
                    let name = file(self).map(LineFile::name).unwrap_or_default();
                    self.throttle.failed(self.now, &format!("write to {name}"), &error);
                }
                self.failure.get_or_insert(error);
            }
        }
    }
}

/// The writer in the first place if it is of that kind, else in the second.
fn split<T>(writer: Option<T>, is_first: impl Fn(&T) -> bool) -> (Option<T>, Option<T>) {
    match writer {
        Some(writer) if is_first(&writer) => (Some(writer), None),
        writer => (None, writer),
    }
}
