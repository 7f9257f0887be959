//! Everything that is written of calls, behind one listener: files, records, events.

use std::io;
use std::sync::Arc;

use crate::call::{About, CallEvent, CallRecord, Delivery, Listener, MediaFrame, Wants};
use crate::capture::Packet;
use crate::sink::disk::DiskStatus;
use crate::sink::encoder::FrameInfo;
use crate::sink::event_log::{EventFields, EventLog, Extract};
use crate::sink::line_file::LineCounts;
use crate::sink::lines::Lines;
use crate::sink::named_files::NamedFiles;
use crate::sink::reframe::StreamPiece;
use crate::sink::store::FileCounters;
use crate::sink::template::NameFields;
use crate::sink::writer::{Line, LineThreads, WhenFull, Writers};
use crate::sip::{Carriage, uri};
use crate::time::Timestamp;
use crate::tls;

/// Hears of calls and writes down what was asked for.
#[derive(Debug)]
pub struct Recorder {
    outlet: Outlet,
    wants: Wants,
    /// What the event log wants to know of each call's first message.
    fields: Option<EventFields>,
    /// That, by call.
    extracts: Vec<Option<Box<Extract>>>,
}

/// Who writes.
#[derive(Debug)]
enum Outlet {
    /// This thread. On a live run it brings everything to disk within a second, and has others for what somebody has to take.
    Inline { files: Option<Box<NamedFiles>>, lines: Box<Lines>, live: Option<Live> },
    /// Others.
    Threads(Writers),
}

/// What a live run keeps up to date.
#[derive(Debug)]
struct Live {
    status: Arc<DiskStatus>,
    published: FileCounters,
    published_lines: LineCounts,
    apart: LineThreads,
}

/// What became of everything, once a run is over.
#[derive(Debug)]
pub struct Written {
    /// What happened to call files; none when none were asked for.
    pub files: Option<FileCounters>,
    /// Frames and messages that found the mailbox of a slow disk full.
    pub queue_full: u64,
    /// Calls without a file for the same reason.
    pub calls_refused: u64,
    /// Records and events.
    pub lines: LineCounts,
    /// The first failure to write lines by which something was lost.
    pub outcome: io::Result<()>,
}

impl Default for Written {
    fn default() -> Self {
        Self { files: None, queue_full: 0, calls_refused: 0, lines: LineCounts::default(), outcome: Ok(()) }
    }
}

impl Written {
    /// Lines came to this end; the first failure is the one to tell.
    pub(super) fn note(&mut self, outcome: io::Result<()>) {
        if self.outcome.is_ok() {
            self.outcome = outcome;
        }
    }
}

impl Recorder {
    /// A recorder that writes on the tracker's thread: the input may wait for whoever reads.
    #[must_use]
    pub fn inline(files: Option<NamedFiles>, lines: Lines) -> Self {
        let about = about(files.is_some(), &lines);
        Self::with(about, Outlet::Inline { files: files.map(Box::new), lines: Box::new(lines), live: None })
    }

    /// One that writes files on the tracker's thread, keeps nothing to itself for more than a second, and tells
    /// `status` how it stands. Standard output and FIFOs have threads of their own, for a reader may be held up for ever.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn live(
        files: Option<NamedFiles>,
        lines: Lines,
        when_full: WhenFull,
        status: &Arc<DiskStatus>,
    ) -> io::Result<Self> {
        let about = about(files.is_some(), &lines);
        let (lines, apart) = lines.split();
        let apart = LineThreads::start(apart, when_full, status)?;
        let live = Some(Live {
            status: Arc::clone(status),
            published: FileCounters::default(),
            published_lines: LineCounts::default(),
            apart,
        });
        Ok(Self::with(about, Outlet::Inline { files: files.map(Box::new), lines: Box::new(lines), live }))
    }

    /// A recorder whose tracker never waits for a disk: one thread for each of `files`, and one for `lines`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn threads(
        files: Vec<NamedFiles>,
        lines: Lines,
        when_full: WhenFull,
        status: &Arc<DiskStatus>,
    ) -> io::Result<Self> {
        let about = about(!files.is_empty(), &lines);
        Ok(Self::with(about, Outlet::Threads(Writers::start(files, lines, when_full, status)?)))
    }

    fn with((wants, fields): (Wants, Option<EventFields>), outlet: Outlet) -> Self {
        Self { outlet, wants, fields, extracts: Vec::new() }
    }

    /// Brings everything to its place, and tells what became of it.
    #[must_use]
    pub fn finish(self) -> Written {
        match self.outlet {
            Outlet::Threads(writers) => writers.finish(),
            Outlet::Inline { files, lines, live } => {
                let files = files.map(|mut named| {
                    named.files.finish();
                    named
                });
                let (lines, outcome) = lines.finish();
                let files = files.as_ref().map(|named| named.files.counters());
                let mut written = Written { files, lines, outcome, ..Written::default() };
                if let Some(live) = live {
                    live.apart.finish(&mut written);
                }
                written
            }
        }
    }

    fn frame(&mut self, call: u32, info: &FrameInfo, bytes: &[u8]) {
        match &mut self.outlet {
            Outlet::Inline { files: Some(files), .. } => files.frame(call, info, bytes),
            Outlet::Inline { .. } => {}
            Outlet::Threads(writers) => writers.frame(call, info, bytes),
        }
    }
}

/// What is wanted of the tracker, and of first messages.
fn about(has_files: bool, lines: &Lines) -> (Wants, Option<EventFields>) {
    let log = lines.log();
    let wants = Wants {
        frames: has_files,
        events: lines.has_events(),
        audit: log.is_some(),
        records: lines.has_records(),
    };
    (wants, log.map(EventLog::fields).cloned())
}

impl Listener for Recorder {
    fn wants(&self) -> Wants {
        self.wants
    }

    fn opened(&mut self, call: u32, about: &About<'_>) {
        if let Some(fields) = &self.fields {
            let index = call as usize;
            if index >= self.extracts.len() {
                self.extracts.resize_with(index + 1, || None);
            }
            if let Some(extract) = self.extracts.get_mut(index) {
                *extract = fields.extract(about.message);
            }
        }
        if !self.wants.frames {
            return;
        }
        let fields = NameFields {
            call_id: about.call_id,
            from: uri::display(about.from),
            to: uri::display(about.to),
            start: about.start,
        };
        match &mut self.outlet {
            Outlet::Inline { files: Some(files), .. } => files.open(call, &fields, about.kept),
            Outlet::Inline { .. } => {}
            Outlet::Threads(writers) => writers.open(call, &fields, about.kept),
        }
    }

    fn kept(&mut self, call: u32) {
        match &mut self.outlet {
            Outlet::Inline { files: Some(files), .. } => files.keep(call),
            Outlet::Inline { .. } => {}
            Outlet::Threads(writers) => writers.keep(call),
        }
    }

    fn touch(&self, calls: &[u32]) {
        if let Outlet::Inline { files: Some(files), .. } = &self.outlet {
            files.touch(calls);
        }
    }

    fn message(&mut self, call: u32, delivery: &Delivery<'_>) {
        let Delivery { message, bytes, messages, view } = *delivery;
        match message.carriage {
            Carriage::Frame(index) => {
                if let Some((packet, frame)) = view.packet(index) {
                    self.frame(call, &info(packet), frame);
                }
            }
            Carriage::Datagram(index) => {
                for (packet, frame) in view.fragments(index) {
                    self.frame(call, &info(packet), frame);
                }
            }
            Carriage::Stream { shares: (first, end), missing, link, link_header, nanosecond, .. } => {
                let header = messages.arena.get(link_header.0 as usize..link_header.1 as usize);
                let piece = StreamPiece {
                    source: message.source,
                    destination: message.destination,
                    transport: message.transport,
                    timestamp: message.timestamp,
                    nanosecond,
                    link,
                    link_header: header.unwrap_or_default(),
                    shares: messages.shares.get(first as usize..end as usize).unwrap_or_default(),
                    bytes,
                    missing,
                };
                match &mut self.outlet {
                    Outlet::Inline { files: Some(files), .. } => files.stream(call, &piece),
                    Outlet::Inline { .. } => {}
                    Outlet::Threads(writers) => writers.stream(call, &piece),
                }
            }
        }
    }

    fn media(&mut self, call: u32, frame: &MediaFrame<'_>) {
        self.frame(call, &info(frame.packet), frame.frame);
    }

    fn tls(&mut self, report: &tls::Report) {
        log_handshake(report);
    }

    fn event(&mut self, call: u32, event: &CallEvent) {
        let extract = self.extracts.get(call as usize).and_then(Option::as_deref);
        match &mut self.outlet {
            Outlet::Inline { lines, live, .. } => {
                lines.event(event, extract);
                if let Some(live) = live {
                    live.apart.event(event, extract);
                }
            }
            Outlet::Threads(writers) => writers.event(event, extract),
        }
    }

    fn ended(&mut self, call: u32) {
        // Files that threads write are on disk within a second anyway.
        if let Outlet::Inline { files: Some(files), .. } = &mut self.outlet {
            files.ended(call);
        }
    }

    fn closed(&mut self, call: u32, kept: bool, record: Option<CallRecord>) {
        if let Some(extract) = self.extracts.get_mut(call as usize) {
            *extract = None;
        }
        match &mut self.outlet {
            Outlet::Inline { files, lines, live } => {
                let pcap = files.as_mut().and_then(|files| files.close(call, kept, record.is_some()));
                let Some(record) = record.map(|record| CallRecord { pcap, ..record }) else { return };
                match live.as_ref().and_then(|live| live.apart.records()) {
                    Some(apart) => apart.put(Line::Record(Box::new(record))),
                    None => lines.record(&record),
                }
            }
            Outlet::Threads(writers) => writers.close(call, kept, record),
        }
    }

    fn tick(&mut self, now: Timestamp) {
        let Outlet::Inline { files, lines, live } = &mut self.outlet else { return };
        if let Some(named) = files {
            named.files.flush_older(now);
        }
        if let Some(live) = live {
            lines.set_time(now);
            if let Some(named) = files {
                let counters = named.files.counters();
                live.status.publish(&live.published, &counters);
                live.published = counters;
            }
        }
    }

    fn batch_end(&mut self) {
        match &mut self.outlet {
            Outlet::Inline { lines, live: Some(live), .. } => {
                lines.flush();
                let counts = lines.counts();
                live.status.publish_lines(live.published_lines, counts);
                live.published_lines = counts;
                live.apart.ring();
            }
            Outlet::Inline { lines, .. } => lines.reopen_if_asked(),
            Outlet::Threads(writers) => writers.ring(),
        }
    }
}

/// A handshake that fails is a call that is not made: somebody wants to know at once.
fn log_handshake(report: &tls::Report) {
    let tls::Report { client, server, outcome, .. } = report;
    if let tls::Outcome::Failed(failure) = outcome {
        tracing::warn!("TLS handshake of {client} with {server} failed: {failure}");
    }
}

fn info(packet: &Packet) -> FrameInfo {
    FrameInfo {
        timestamp: packet.timestamp,
        nanosecond: packet.nanosecond,
        link: packet.link,
        original: packet.original,
    }
}
