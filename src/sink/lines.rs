//! Records, the event log and the events on standard output: everything that is written of calls in lines.

use std::io::{self, ErrorKind, Stdout};

use crate::call::{CallEvent, CallRecord};
use crate::sink::event_log::{EventLog, Extract};
use crate::sink::events::EventWriter;
use crate::sink::line_file::Reopen;
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

/// All outputs of lines.
#[derive(Debug)]
pub struct Lines {
    records: Option<RecordWriter>,
    log: Option<EventLog>,
    events: EventWriter<Stdout>,
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
        events: EventWriter<Stdout>,
        reopen: Reopen,
    ) -> Self {
        let throttle = Throttle::default();
        Self { records, log, events, reopen, throttle, failure: None, now: Timestamp::default() }
    }

    pub(super) const fn has_records(&self) -> bool {
        self.records.is_some()
    }

    pub(super) const fn log(&self) -> Option<&EventLog> {
        self.log.as_ref()
    }

    pub(super) fn has_events(&self) -> bool {
        !self.events.is_silent()
    }

    /// What time it is, for how often failures are told.
    pub(super) fn set_time(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    pub(super) fn record(&mut self, record: &CallRecord) {
        if let Some(records) = &mut self.records {
            let written = records.push(record);
            self.note(written, |lines| lines.records.as_ref().map(RecordWriter::name));
        }
    }

    /// An event, with what its call's first message says besides. The event log has those of dialogs that the user did
    /// not ask for, too.
    pub(super) fn event(&mut self, event: &CallEvent, extract: Option<&Extract>) {
        if event.kept {
            let written = self.events.push(event);
            self.note(written, |_| Some("standard output".to_owned()));
        }
        if let Some(log) = &mut self.log {
            let written = log.push(event, extract);
            self.note(written, |lines| lines.log.as_ref().map(EventLog::name));
        }
    }

    /// Brings all lines to their files, which are opened anew first when that was asked for.
    pub(super) fn flush(&mut self) {
        if self.reopen.taken() {
            self.reopen();
        }
        if let Some(records) = &mut self.records {
            let written = records.flush();
            self.note(written, |lines| lines.records.as_ref().map(RecordWriter::name));
        }
        if let Some(log) = &mut self.log {
            let written = log.flush();
            self.note(written, |lines| lines.log.as_ref().map(EventLog::name));
        }
        let written = self.events.flush();
        self.note(written, |_| Some("standard output".to_owned()));
    }

    /// Whether something is to be reopened that no line asks for.
    pub(super) const fn may_rotate(&self) -> bool {
        self.records.is_some() || self.log.is_some()
    }

    /// What became of lines so far.
    pub(super) fn counts(&self) -> LineCounts {
        let all =
            [self.records.as_ref().map(RecordWriter::counters), self.log.as_ref().map(EventLog::counters)];
        all.into_iter().flatten().fold(LineCounts::default(), |sum, one| LineCounts {
            lost: sum.lost + one.lost,
            errors: sum.errors + one.errors,
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
        if let Some(records) = &mut self.records {
            let reopened = records.reopen();
            self.note(reopened, |lines| lines.records.as_ref().map(RecordWriter::name));
        }
        if let Some(log) = &mut self.log {
            let reopened = log.reopen();
            self.note(reopened, |lines| lines.log.as_ref().map(EventLog::name));
        }
        tracing::info!("records and events go on in files opened anew");
    }

    fn note(&mut self, outcome: io::Result<()>, name: impl Fn(&Self) -> Option<String>) {
        match outcome {
            Ok(()) => self.throttle.worked(self.now, "records and events are written"),
            Err(error) => {
                // A reader that left is told by nobody.
                if error.kind() != ErrorKind::BrokenPipe {
                    let name = name(self).unwrap_or_default();
                    self.throttle.failed(self.now, &format!("write to {name}"), &error);
                }
                self.failure.get_or_insert(error);
            }
        }
    }
}
