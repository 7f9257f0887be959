//! One second of the sniffer: everything that was counted, and what was the case.

use std::time::Duration;

use super::history::Totals;
use super::process::ProcessFigures;
use crate::call::percent;
use crate::pipeline::Snapshot;
use crate::sink::{DiskFigures, Summary};
use crate::time::Timestamp;

/// What the run may use, as it was set up.
#[derive(Clone, Debug, Default)]
pub struct Caps {
    /// Performance mode.
    pub mode: String,
    /// Streams that may hold bytes; none: no cap.
    pub streams: Option<u64>,
    /// Streams that may wait for leave.
    pub queue: u64,
    /// Out-of-order segments that may be held; none: no cap.
    pub buffers: Option<u64>,
    /// Bytes for stream data.
    pub memory: u64,
    /// The source is the wire: it speaks every 100 ms, and what it drops is lost.
    pub live: bool,
}

/// Space where the per-call files go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that this process may still write.
    pub free: u64,
}

impl Disk {
    /// Free space, percent.
    #[must_use]
    pub fn percent(&self) -> f64 {
        percent(self.free, self.total).unwrap_or(100.0)
    }
}

/// Everything of one second.
#[derive(Debug, Default)]
pub struct Sample {
    /// Since the start.
    pub uptime: Duration,
    /// Wall time.
    pub taken: Timestamp,
    /// Of the stages.
    pub snapshot: Snapshot,
    /// The same, as the end of a run would tell it.
    pub summary: Summary,
    /// Of what is written, if anything is.
    pub files: Option<DiskFigures>,
    /// Of the process.
    pub process: ProcessFigures,
    /// Of the disk that per-call files go to, when it is watched.
    pub disk: Option<Disk>,
    /// What was added in the last minute.
    pub recent: Totals,
    /// Of all seconds so far.
    pub peaks: Peaks,
}

/// The most and the mean of what goes up and down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peaks {
    /// Most SIP streams open at once.
    pub streams: u64,
    /// Most calls up at once.
    pub calls: u64,
    samples: u64,
    stream_sum: u128,
    call_sum: u128,
}

impl Peaks {
    /// Takes a second in.
    pub fn note(&mut self, sample: &Sample) {
        let (streams, calls) = (sample.active_streams(), sample.active_calls());
        self.streams = self.streams.max(streams);
        self.calls = self.calls.max(calls);
        self.samples += 1;
        self.stream_sum += u128::from(streams);
        self.call_sum += u128::from(calls);
    }

    /// Mean of the SIP streams open.
    #[must_use]
    pub fn avg_streams(&self) -> f64 {
        self.stream_sum as f64 / self.samples.max(1) as f64
    }

    /// Mean of the calls up.
    #[must_use]
    pub fn avg_calls(&self) -> f64 {
        self.call_sum as f64 / self.samples.max(1) as f64
    }
}

/// What the capture lost before the stages saw it: stage and reason of the summary's `dropped`.
pub const LOSSES: [(&str, &str); 3] =
    [("capture", "kernel"), ("capture", "interface"), ("capture", "queue_full")];

impl Sample {
    /// Puts a sample together.
    #[must_use]
    pub fn new(uptime: Duration, taken: Timestamp, snapshot: Snapshot, files: Option<DiskFigures>) -> Self {
        let mut summary = snapshot.outcome.summary(None);
        let mut disk = None;
        if let Some(files) = &files {
            summary.files_written = files.files_written;
            summary.dropped("files", "not_written", files.frames_lost);
            summary.dropped("files", "write_errors", files.write_errors);
            summary.dropped("files", "queue_full", files.queue_full);
            summary.dropped("files", "calls_refused", files.calls_refused);
            summary.dropped("lines", "not_written", files.lines_lost);
            summary.dropped("lines", "write_errors", files.line_errors);
            disk = files.free_bytes.zip(files.total_bytes).map(|(free, total)| Disk { total, free });
        }
        Self { uptime, taken, snapshot, summary, files, disk, ..Self::default() }
    }

    /// Packets that were dropped for a reason.
    #[must_use]
    pub fn dropped(&self, stage: &str, reason: &str) -> u64 {
        self.summary.dropped.get(stage).and_then(|reasons| reasons.get(reason)).copied().unwrap_or_default()
    }

    /// The counters of which windows are made.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let streams = &self.snapshot.outcome.streams;
        Totals {
            packets: self.summary.packets,
            lost: LOSSES.iter().map(|(stage, reason)| self.dropped(stage, reason)).sum(),
            streams_completed: streams.streams_completed,
            streams_failed: streams.streams_failed,
            write_errors: self.files.as_ref().map_or(0, DiskFigures::refusals),
            not_taken: self.files.as_ref().map_or(0, DiskFigures::not_taken),
        }
    }

    /// SIP streams that are open.
    #[must_use]
    pub fn active_streams(&self) -> u64 {
        let streams = &self.snapshot.outcome.streams;
        streams.streams_created.saturating_sub(streams.streams_completed + streams.streams_failed)
    }

    /// Calls that are up.
    #[must_use]
    pub fn active_calls(&self) -> u64 {
        let tracker = &self.snapshot.gauges.tracker;
        tracker.early + tracker.confirmed
    }
}
