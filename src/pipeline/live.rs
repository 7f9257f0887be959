//! A run over interfaces: it ends when it is told to, and time goes on while the wire is silent.
//!
//! The capturing thread never waits for the stages behind it. There are as many batches as queues have places, so
//! that sending one never blocks; when all are on their way, packets stay where they are, in the kernel's ring,
//! which is larger than any queue here and counts what it has no room for.

use std::time::Duration;

use crossbeam_channel::bounded;

use super::run::{Outcome, Settings, Stages, outcome, stages, step};
use super::threads::{QUEUE, Running, Shared};
use super::work::Staged;
use crate::call::Listener;
use crate::capture::live::{Arrival, LiveSource};
use crate::capture::{Batch, PacketBatch};
use crate::sip::Messages;
use crate::time::Timestamp;

/// How long a read waits for a packet: time-outs of a silent wire are kept to this.
const WAIT: Duration = Duration::from_millis(100);

/// On which threads a live run works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// All stages on the calling one.
    Inline,
    /// One captures, one does the rest.
    Pair,
    /// One captures, one is for calls, and so many are for TCP and SIP.
    Workers(usize),
}

/// Captures until `stop` says so, or the settings' count or duration is reached.
pub fn run_live(
    source: &mut dyn LiveSource,
    settings: Settings,
    threads: Threads,
    listener: &mut (dyn Listener + Send),
    stop: &dyn Fn() -> bool,
) -> Outcome {
    let workers = match threads {
        Threads::Inline | Threads::Pair => 0,
        Threads::Workers(count) => count.max(1),
    };
    let settings = Settings { workers, ..settings };
    let mut feed = Feed {
        limit: settings.batch.max(1),
        left: settings.count.unwrap_or(u64::MAX),
        duration: settings.duration,
        end: None,
        last: false,
        source,
        stop,
    };
    let stages = stages(settings, listener);
    let stages = match threads {
        Threads::Inline => inline(&mut feed, stages, listener),
        Threads::Pair | Threads::Workers(_) => threaded(&mut feed, stages, workers, listener),
    };
    let mut outcome = outcome(stages, crate::capture::SourceCounters::default(), Vec::new());
    outcome.interfaces = source.counters();
    outcome
}

/// What comes next.
enum Next {
    Batch,
    Idle(Timestamp),
    End,
}

/// Reads until told to stop, and then what was captured until then.
struct Feed<'a> {
    source: &'a mut dyn LiveSource,
    limit: usize,
    left: u64,
    duration: Option<Duration>,
    /// No packet after that time.
    end: Option<Timestamp>,
    /// What was read was the last.
    last: bool,
    stop: &'a dyn Fn() -> bool,
}

impl Feed<'_> {
    fn next(&mut self, batch: &mut Batch) -> Next {
        if self.last || self.left == 0 {
            return Next::End;
        }
        let stopping = (self.stop)();
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.limit);
        let wait = if stopping { Duration::ZERO } else { WAIT };
        match self.source.read(batch, limit, wait) {
            Arrival::Packets => {
                let first = batch.packets().first().map(|packet| packet.timestamp).unwrap_or_default();
                self.begin(first);
                self.cut(batch);
                Next::Batch
            }
            Arrival::Idle(_) if stopping => Next::End,
            Arrival::Idle(now) => {
                self.begin(now);
                self.last = self.end.is_some_and(|end| now > end);
                Next::Idle(now)
            }
        }
    }

    fn begin(&mut self, now: Timestamp) {
        if self.end.is_none() {
            self.end = self.duration.map(|duration| now.after(duration));
        }
    }

    /// Leaves out what comes after the end.
    fn cut(&mut self, batch: &mut Batch) {
        let late = |end: Timestamp| batch.packets().iter().position(|packet| packet.timestamp > end);
        if let Some(count) = self.end.and_then(late) {
            batch.truncate(count);
            self.last = true;
        }
        self.left -= batch.packets().len() as u64;
    }
}

fn inline(feed: &mut Feed<'_>, mut stages: Stages, listener: &mut dyn Listener) -> Stages {
    let mut staged = Staged::new(1);
    let mut outputs = vec![Messages::default()];
    let mut batch = Batch::default();
    loop {
        match feed.next(&mut batch) {
            Next::Batch => stages.intake.take(batch.view(), &mut staged),
            Next::Idle(now) => stages.intake.idle(now, &mut staged),
            Next::End => break,
        }
        if !staged.is_empty() {
            step(&mut stages, &staged, batch.view(), &mut outputs, listener);
        }
    }
    stages.intake.finish(&mut staged);
    step(&mut stages, &staged, PacketBatch::default(), &mut outputs, listener);
    stages
}

fn threaded(
    feed: &mut Feed<'_>,
    stages: Stages,
    workers: usize,
    listener: &mut (dyn Listener + Send),
) -> Stages {
    let lanes = stages.workers.len();
    let mut intake = stages.intake;
    std::thread::scope(|scope| {
        let (recycle, recycled) = bounded::<Shared>(QUEUE);
        for _ in 0..QUEUE {
            let _ = recycle.try_send(Shared::new(lanes));
        }
        let running = if workers == 0 {
            Running::pair(scope, stages.workers, stages.order, recycle, listener)
        } else {
            Running::pool(scope, stages.workers, stages.order, recycle, listener)
        };
        'capture: while let Ok(mut shared) = recycled.recv() {
            loop {
                let Shared { batch, staged } = &mut shared;
                match feed.next(batch) {
                    Next::Batch => intake.take(batch.view(), staged),
                    Next::Idle(now) => intake.idle(now, staged),
                    Next::End => break 'capture,
                }
                if !staged.is_empty() {
                    break;
                }
            }
            // A stage that is gone has panicked; joining it below says so.
            if !running.send(shared) {
                break;
            }
        }
        let mut last = Shared::new(lanes);
        intake.finish(&mut last.staged);
        running.send(last);
        let (workers, order) = running.join();
        Stages { intake, workers, order }
    })
}
