//! A run over a source: which stages there are, in which order they work, and what they counted.

use std::sync::Arc;
use std::time::Duration;

use super::board::{Board, SourceTold};
use super::foreign::{self, ForeignConnections};
use super::intake::{self, Intake};
use super::live;
use super::order::{self, Order};
use super::threads;
use super::time_limit::TimeLimit;
use super::work::Staged;
use super::worker::{self, StreamWorker};
use crate::call::{self, Census, Listener, Tally, Tracker};
use crate::capture::live::InterfaceCounters;
use crate::capture::{
    LinkType, PacketBatch, PacketFilter, PacketSource, Progress, SourceCounters, SourceError,
};
use crate::decode::Fault;
use crate::reassembly::Budget;
use crate::sip::Messages;
use crate::{defrag, media, reassembly, sip, tls};

/// What a run is to do.
#[derive(Debug)]
pub struct Settings {
    /// Caps of defragmentation.
    pub defrag: defrag::Limits,
    /// Caps of stream reassembly.
    pub reassembly: reassembly::Limits,
    /// How SIP streams are read.
    pub streams: sip::StreamSettings,
    /// Caps of the tracker.
    pub call_limits: call::Limits,
    /// What the tracker follows and keeps.
    pub calls: call::Settings,
    /// The user's filter.
    pub filter: Option<PacketFilter>,
    /// Packets per batch.
    pub batch: usize,
    /// Stream workers; 0 runs every stage on the calling thread.
    pub workers: usize,
    /// Stop after this many packets.
    pub count: Option<u64>,
    /// Stop when this much packet time has gone by since the first packet.
    pub duration: Option<Duration>,
    /// Where the run says how it goes.
    pub board: Option<Arc<Board>>,
    /// Log the end of every TCP stream that carried SIP.
    pub log_streams: bool,
    /// The process ends after this run over files: what the stages hold is left to the system, which takes memory back
    /// faster than a hundred thousand calls give it away.
    pub is_last: bool,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continue {
    /// Read on.
    Yes,
    /// Finish what there is and stop.
    No,
}

/// What a run saw.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the source counted.
    pub source: SourceCounters,
    /// Inputs that could not be read, or not to their end.
    pub errors: Vec<SourceError>,
    /// What was counted on each interface.
    pub interfaces: Vec<(String, InterfaceCounters)>,
    pub(crate) live: live::Counters,
    pub(crate) intake: intake::Counters,
    pub(crate) backward: u64,
    pub(crate) wild: u64,
    pub(crate) defrag: defrag::Counters,
    pub(crate) worker: worker::Counters,
    pub(crate) reassembly: reassembly::Counters,
    pub(crate) streams: sip::StreamCounters,
    pub(crate) order: order::Counters,
    pub(crate) census: Census,
    pub(crate) tally: Tally,
    pub(crate) media: media::Counters,
    pub(crate) tls: tls::Census,
}

impl Outcome {
    /// A link type that is not decoded here, and how many packets had such a one.
    #[must_use]
    pub fn unread_link(&self) -> Option<(LinkType, u64)> {
        let unknown = self.intake.errors.iter().filter(|(error, _)| error.fault == Fault::UnknownLink);
        Some((self.intake.unread_link?, unknown.map(|(_, count)| count).sum()))
    }
}

/// The stages of a run.
pub(super) struct Stages {
    pub(super) intake: Intake,
    pub(super) workers: Vec<StreamWorker>,
    pub(super) order: Order,
}

/// Reads `source` to its end, or until `watch` says stop; `watch` is asked once per batch.
pub fn run(
    source: &mut dyn PacketSource,
    settings: Settings,
    listener: &mut (dyn Listener + Send),
    watch: &mut dyn FnMut(&Progress) -> Continue,
) -> Outcome {
    let batch = settings.batch.max(1);
    let threaded = settings.workers > 0;
    let mut errors = Vec::new();
    let mut reader = Reader {
        source,
        batch,
        left: settings.count.unwrap_or(u64::MAX),
        time: settings.duration.map(TimeLimit::new),
        over: false,
    };
    let is_last = settings.is_last;
    let stages = stages(settings, listener);
    let stages = if threaded {
        threads::run(&mut reader, stages, listener, watch, &mut errors)
    } else {
        inline(&mut reader, stages, listener, watch, &mut errors)
    };
    let outcome = outcome(&stages, source.counters(), errors);
    if is_last {
        std::mem::forget(stages);
    }
    outcome
}

pub(super) fn stages(settings: Settings, listener: &dyn Listener) -> Stages {
    let board = settings.board;
    let mut calls = settings.calls;
    calls.is_asked |= board.is_some();
    let budget = board.as_ref().map_or_else(|| Arc::new(Budget::default()), |board| board.budget());
    let (foreign, verdicts) = ForeignConnections::new();
    let worker = |lane| {
        let told = board.clone().map(|board| (board, lane));
        let budget = Arc::clone(&budget);
        StreamWorker::new(settings.reassembly.clone(), budget, settings.streams, verdicts.clone(), told)
    };
    Stages {
        intake: Intake::new(settings.defrag, settings.filter, settings.workers, foreign, board.clone()),
        workers: (0..settings.workers.max(1)).map(worker).collect(),
        order: Order::new(
            Tracker::new(settings.call_limits, calls, listener.wants()),
            board,
            settings.log_streams,
        ),
    }
}

/// Every stage to completion on this thread, batch by batch.
fn inline(
    reader: &mut Reader<'_>,
    mut stages: Stages,
    listener: &mut dyn Listener,
    watch: &mut dyn FnMut(&Progress) -> Continue,
    errors: &mut Vec<SourceError>,
) -> Stages {
    let mut staged = Staged::new(1);
    let mut outputs = vec![Messages::default()];
    loop {
        match reader.next() {
            Ok(Some(batch)) => {
                stages.intake.take(batch, &mut staged);
                step(&mut stages, &staged, batch, &mut outputs, listener);
            }
            Ok(None) => break,
            Err(error) => errors.push(error),
        }
        stages.intake.tell(|| SourceTold { files: reader.source.counters(), ..SourceTold::default() });
        if watch(&reader.source.progress()) == Continue::No {
            break;
        }
    }
    stages.intake.finish(&mut staged);
    stages.intake.tell(|| SourceTold { files: reader.source.counters(), ..SourceTold::default() });
    step(&mut stages, &staged, PacketBatch::default(), &mut outputs, listener);
    stages
}

pub(super) fn step(
    stages: &mut Stages,
    staged: &Staged,
    batch: PacketBatch<'_>,
    outputs: &mut [Messages],
    listener: &mut dyn Listener,
) {
    stages.intake.sent();
    let view = staged.view(batch);
    for ((worker, lane), output) in stages.workers.iter_mut().zip(&staged.lanes).zip(outputs.iter_mut()) {
        worker.process(lane, &view, output);
    }
    stages.order.apply(staged, outputs, &view, listener);
}

/// Reads batches until the source, the count or the duration is at its end.
pub(super) struct Reader<'a> {
    pub(super) source: &'a mut dyn PacketSource,
    batch: usize,
    left: u64,
    time: Option<TimeLimit>,
    over: bool,
}

impl Reader<'_> {
    pub(super) fn next(&mut self) -> Result<Option<PacketBatch<'_>>, SourceError> {
        if self.over || self.left == 0 {
            return Ok(None);
        }
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.batch);
        let Some(batch) = self.source.next_batch(limit)? else { return Ok(None) };
        let late = self.time.as_mut().and_then(|time| time.late(batch.packets));
        let taken = late.unwrap_or(batch.packets.len());
        self.over = taken < batch.packets.len();
        self.left -= taken as u64;
        Ok(Some(PacketBatch { packets: batch.packets.get(..taken).unwrap_or_default(), ..batch }))
    }
}

impl Outcome {
    /// Adds what the intake passed over, as if the workers had seen it.
    pub(super) const fn pass_over(&mut self, foreign: &foreign::Counters) {
        self.worker.other_segments += foreign.segments;
        self.reassembly.segments += foreign.segments;
        self.reassembly.payload_bytes += foreign.payload_bytes;
        self.reassembly.rejected_bytes += foreign.payload_bytes;
    }
}

pub(super) fn outcome(stages: &Stages, source: SourceCounters, errors: Vec<SourceError>) -> Outcome {
    let Stages { intake, workers, order } = stages;
    let mut outcome = Outcome {
        source,
        errors,
        intake: intake.counters().clone(),
        backward: intake.clock().backward,
        wild: intake.clock().wild,
        defrag: *intake.defragmenter().counters(),
        order: *order.counters(),
        census: order.tracker().census().counts(),
        tally: order.tracker().tally().clone(),
        media: *order.tracker().media_counters(),
        tls: order.tls().clone(),
        ..Outcome::default()
    };
    outcome.pass_over(intake.passed_over());
    for worker in workers {
        outcome.worker.add(worker.counters());
        outcome.reassembly.add(worker.reassembler().counters());
        outcome.streams.add(worker.streams());
    }
    outcome
}
