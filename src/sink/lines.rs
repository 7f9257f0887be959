//! Records, the event log and the events on standard output: everything that is written of calls in lines.

use std::io::{self, ErrorKind};

use crate::call::{CallEvent, CallRecord};
use crate::sink::event_log::{EventLog, Extract};
use crate::sink::events::EventWriter;
use crate::sink::line_file::{LineCounts, LineFile, Reopen};
use crate::sink::records::RecordWriter;
use crate::sink::throttle::Throttle;
use crate::time::Timestamp;

/// All outputs of lines, or those of one thread.
#[derive(Debug, Default)]
pub struct Lines {
    records: Option<RecordWriter>,
    log: Option<EventLog>,
    events: Option<EventWriter>,
    reopen: Reopen,
    failures: Failures,
    /// Who wrote to standard output last.
    turn: Option<Writer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    Records,
    Log,
    Events,
}

impl Lines {
    /// Outputs of what there is a writer for; files that are to be begun anew are.
    ///
    /// # Errors
    /// Those of the files.
    pub fn new(
        mut records: Option<RecordWriter>,
        mut log: Option<EventLog>,
        events: EventWriter,
        reopen: Reopen,
    ) -> io::Result<Self> {
        let events = (!events.is_silent()).then_some(events);
        records.as_mut().map_or(Ok(()), |it| it.file_mut().begin())?;
        log.as_mut().map_or(Ok(()), |it| it.file_mut().begin())?;
        Ok(Self { records, log, events, reopen, ..Self::default() })
    }

    /// What goes to files, and apart from that what goes to standard output, and to each FIFO: a reader that takes nothing must
    /// not hold up anything else.
    pub(super) fn split(self) -> (Self, Vec<Self>) {
        let (records_to_stdout, records) = split(self.records, |it| it.file().is_stdout());
        let (log_to_stdout, log) = split(self.log, |it| it.file().is_stdout());
        let (records_apart, records) = split(records, |it| it.file().has_reader());
        let (log_apart, log) = split(log, |it| it.file().has_reader());
        let of = |records, log| Self { records, log, reopen: self.reopen.clone(), ..Self::default() };
        let stdout = Self { events: self.events, ..of(records_to_stdout, log_to_stdout) };
        let mut apart = vec![stdout, of(records_apart, None), of(None, log_apart)];
        apart.retain(|lines| !lines.is_empty());
        (of(records, log), apart)
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
        self.failures.now = self.failures.now.max(now);
    }

    /// Lines on standard output stay in the order in which they come: what another writer has gathered goes before.
    fn take_turn(&mut self, writer: Writer) {
        if self.turn == Some(writer) || !self.file(writer).is_some_and(|(file, _)| file.is_stdout()) {
            return;
        }
        let before = self.turn.replace(writer);
        if let Some((file, failures)) = before.and_then(|before| self.file(before)) {
            let written = file.flush();
            failures.note(written, file);
        }
    }

    fn file(&mut self, writer: Writer) -> Option<(&mut LineFile, &mut Failures)> {
        let file = match writer {
            Writer::Records => self.records.as_mut().map(RecordWriter::file_mut),
            Writer::Log => self.log.as_mut().map(EventLog::file_mut),
            Writer::Events => self.events.as_mut().map(EventWriter::file_mut),
        };
        file.map(|file| (file, &mut self.failures))
    }

    pub(super) fn record(&mut self, record: &CallRecord) {
        self.take_turn(Writer::Records);
        if let Some(records) = &mut self.records {
            let written = records.push(record);
            self.failures.note(written, records.file());
        }
    }

    /// An event, with what its call's first message says besides. The event log has those of dialogs that the user did
    /// not ask for, too.
    pub(super) fn event(&mut self, event: &CallEvent, extract: Option<&Extract>) {
        if event.kept {
            self.take_turn(Writer::Events);
        }
        if let Some(events) = self.events.as_mut().filter(|_| event.kept) {
            let written = events.push(event);
            self.failures.note(written, events.file());
        }
        self.take_turn(Writer::Log);
        if let Some(log) = &mut self.log {
            let written = log.push(event, extract);
            self.failures.note(written, log.file());
        }
    }

    /// Brings all lines to their files, which are opened anew first when that was asked for.
    pub(super) fn flush(&mut self) {
        self.reopen_if_asked();
        self.try_each(LineFile::flush);
    }

    pub(super) fn reopen_if_asked(&mut self) {
        if self.reopen.taken() && self.try_each(LineFile::reopen) && self.may_rotate() {
            tracing::info!("records and events go on in files opened anew");
        }
    }

    /// Whether something is to be reopened that no line asks for.
    pub(super) fn may_rotate(&self) -> bool {
        self.files().any(|file| !file.is_stdout())
    }

    /// What became of lines so far.
    pub(super) fn counts(&self) -> LineCounts {
        self.files().map(LineFile::counts).fold(LineCounts::default(), |mut sum, one| {
            sum.add(one);
            sum
        })
    }

    /// Brings everything to its place.
    ///
    /// # Errors
    /// The first failure, when something was lost by it or still is not written.
    pub(super) fn finish(mut self) -> (LineCounts, io::Result<()>) {
        let before = self.failures.first.take();
        self.flush();
        self.each(|file, _| file.give_up());
        let counts = self.counts();
        let failure = self.failures.first.or(before.filter(|_| counts.lost > 0));
        (counts, failure.map_or(Ok(()), Err))
    }

    fn files(&self) -> impl Iterator<Item = &LineFile> {
        let records = self.records.as_ref().map(RecordWriter::file);
        let log = self.log.as_ref().map(EventLog::file);
        let events = self.events.as_ref().map(EventWriter::file);
        [records, log, events].into_iter().flatten()
    }

    fn each(&mut self, mut act: impl FnMut(&mut LineFile, &mut Failures)) {
        for writer in [Writer::Records, Writer::Log, Writer::Events] {
            if let Some((file, failures)) = self.file(writer) {
                act(file, failures);
            }
        }
    }

    /// Whether it worked for all.
    fn try_each(&mut self, act: impl Fn(&mut LineFile) -> io::Result<()>) -> bool {
        let mut is_done = true;
        self.each(|file, failures| {
            let done = act(file);
            is_done &= done.is_ok();
            failures.note(done, file);
        });
        is_done
    }
}

/// What could not be written, told now and then, and the first of it.
#[derive(Debug, Default)]
struct Failures {
    throttle: Throttle,
    first: Option<io::Error>,
    now: Timestamp,
}

impl Failures {
    fn note(&mut self, outcome: io::Result<()>, file: &LineFile) {
        match outcome {
            // What goes nowhere does not fail either.
            Ok(()) if file.is_unread() => {}
            Ok(()) => self.throttle.worked(self.now, "records and events are written"),
            Err(error) => {
                // The reader of a FIFO that left is told by nobody.
                if error.kind() != ErrorKind::BrokenPipe {
                    self.throttle.failed(self.now, &format!("write to {}", file.name()), &error);
                }
                self.first.get_or_insert(error);
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
