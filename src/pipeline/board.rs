//! What a running pipeline says of itself: copies of the stages' counters, and gauges, for whoever asks from another
//! thread.
//!
//! The one who asks raises a number ([`Board::ask`]); each stage compares it once a batch and, when it is a new one,
//! puts down a copy. So nothing is done per packet, and nothing at all that nobody wants to know. What changes with
//! every batch (how far each thread is) stands in one atomic number per thread, written by that thread alone.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::foreign;
use super::intake::{self, Intake};
use super::live::{self, Threads};
use super::mailbox::{Ask, Mailbox, Page};
use super::order::{self, Order};
use super::run::Outcome;
use super::threads::QUEUE;
use super::worker::{self, StreamWorker};
use crate::call::{Census, Tally, TrackerGauges};
use crate::capture::SourceCounters;
use crate::capture::live::InterfaceCounters;
use crate::reassembly::Budget;
use crate::sink::DiskStatus;
use crate::time::Timestamp;
use crate::{defrag, media, reassembly, sip, tls};

/// Shared by a run and those who want to know about it.
#[derive(Debug)]
pub struct Board {
    asked: AtomicU64,
    /// Copies are put down after every batch, asked for or not: a source that may wait long has no later occasion.
    always: bool,
    budget: Arc<Budget>,
    threads: Threads,
    sent: Meter,
    applied: Meter,
    done: Vec<Meter>,
    front: Told<Front>,
    workers: Vec<Told<Work>>,
    tracker: Told<Tracked>,
    asks: Mailbox,
    /// Who writes what the run tells.
    disks: OnceLock<Arc<DiskStatus>>,
}

/// Batches that a thread is through with. A cache line of its own: others read while one writes.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Meter(AtomicU64);

impl Meter {
    /// The one thread that writes it needs no atomic addition.
    fn step(&self) {
        self.0.store(self.get().wrapping_add(1), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A copy, and which question it answers. That stands outside of the lock, for it is looked at once a batch.
#[derive(Debug, Default)]
struct Told<T> {
    answers: AtomicU64,
    value: Mutex<T>,
}

impl<T: Clone> Told<T> {
    fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    fn put(&self, question: u64, value: T) {
        *lock(&self.value) = value;
        self.answers.store(question, Ordering::Relaxed);
    }

    fn get(&self) -> T {
        lock(&self.value).clone()
    }
}

/// What sources count.
#[derive(Clone, Debug, Default)]
pub(super) struct SourceTold {
    /// Files.
    pub(super) files: SourceCounters,
    /// Interfaces.
    pub(super) interfaces: Vec<(String, InterfaceCounters)>,
    /// What the capturing thread dropped.
    pub(super) live: live::Counters,
}

#[derive(Clone, Debug, Default)]
struct Front {
    source: SourceTold,
    intake: intake::Counters,
    passed_over: foreign::Counters,
    backward: u64,
    wild: u64,
    defrag: defrag::Counters,
}

#[derive(Clone, Debug, Default)]
struct Work {
    worker: worker::Counters,
    reassembly: reassembly::Counters,
    streams: sip::StreamCounters,
}

#[derive(Clone, Debug, Default)]
struct Tracked {
    order: order::Counters,
    census: Census,
    tally: Tally,
    media: media::Counters,
    tls: tls::Census,
    gauges: TrackerGauges,
}

/// What is the case at present.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// TCP connections known.
    pub connections: u64,
    /// Streams that hold bytes with leave to do so.
    pub streams_holding: u64,
    /// Streams that hold bytes and wait for leave.
    pub streams_queued: u64,
    /// Bytes allocated for out-of-order segments and partial messages.
    pub held_bytes: u64,
    /// Out-of-order segments held.
    pub buffers: u64,
    /// What the tracker follows.
    pub tracker: TrackerGauges,
    /// Between the threads; empty when every stage runs on one.
    pub queues: Vec<Queue>,
    /// Batches given to the stages, and those of them that are through the last one.
    pub batches: (u64, u64),
}

/// What waits before a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The stage that it waits for: `tracker`, or a worker by its number.
    pub stage: Stage,
    /// Batches that wait, the one in work included.
    pub depth: u64,
    /// How many may.
    pub capacity: u64,
}

/// A stage with a thread of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A stream worker.
    Worker(usize),
    /// The call tracker.
    Tracker,
}

/// The whole at one time.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What was counted so far.
    pub outcome: Outcome,
    /// What is the case.
    pub gauges: Gauges,
    /// How many of the last questions the slowest stage has not answered yet.
    pub behind: u64,
}

impl Board {
    /// A board for a run on these threads; `always` when its source may block for long.
    #[must_use]
    pub fn new(threads: Threads, always: bool) -> Self {
        let lanes = if let Threads::Workers(workers) = threads { workers.max(1) } else { 1 };
        Self {
            asked: AtomicU64::new(0),
            always,
            budget: Arc::default(),
            threads,
            sent: Meter::default(),
            applied: Meter::default(),
            done: (0..lanes).map(|_| Meter::default()).collect(),
            front: Told::default(),
            workers: (0..lanes).map(|_| Told::default()).collect(),
            tracker: Told::default(),
            asks: Mailbox::new(),
            disks: OnceLock::new(),
        }
    }

    /// Asks every stage for a new copy. They answer after their next batch; a live source has one every 100 ms.
    pub fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// What was told last, put together.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let asked = self.asked.load(Ordering::Relaxed);
        let workers = self.workers.iter().map(Told::answers);
        let answered =
            workers.chain([self.front.answers(), self.tracker.answers()]).min().unwrap_or_default();
        let Front { source, intake, passed_over, backward, wild, defrag } = self.front.get();
        let Tracked { order, census, tally, media, tls, gauges } = self.tracker.get();
        let mut outcome = Outcome {
            source: source.files,
            interfaces: source.interfaces,
            live: source.live,
            intake,
            backward,
            wild,
            defrag,
            order,
            census,
            tally,
            media,
            tls,
            ..Outcome::default()
        };
        outcome.pass_over(&passed_over);
        for Work { worker, reassembly, streams } in self.workers.iter().map(Told::get) {
            outcome.worker.add(&worker);
            outcome.reassembly.add(&reassembly);
            outcome.streams.add(&streams);
        }
        Snapshot { outcome, gauges: self.gauges(gauges), behind: asked.saturating_sub(answered) }
    }

    fn gauges(&self, tracker: TrackerGauges) -> Gauges {
        let budget = &self.budget;
        // What is through is read first: a number that grows meanwhile makes a queue look longer, not negative.
        let applied = self.applied.get();
        let done: Vec<u64> = self.done.iter().map(Meter::get).collect();
        let sent = self.sent.get();
        let queue = |stage, through| Queue {
            stage,
            depth: sent.saturating_sub(through).min(QUEUE as u64),
            capacity: QUEUE as u64,
        };
        let workers = done.iter().enumerate().map(|(lane, through)| queue(Stage::Worker(lane), *through));
        let tracker_queue = queue(Stage::Tracker, applied);
        let queues = match self.threads {
            Threads::Inline => Vec::new(),
            Threads::Pair => vec![tracker_queue],
            Threads::Workers(_) => workers.chain([tracker_queue]).collect(),
        };
        Gauges {
            connections: budget.connections() as u64,
            streams_holding: budget.holding() as u64,
            streams_queued: budget.queued() as u64,
            held_bytes: budget.memory() as u64,
            buffers: budget.buffers() as u64,
            tracker,
            queues,
            batches: (sent, applied),
        }
    }

    /// Asks the tracker for a page and waits for it; none when it does not look in time.
    #[must_use]
    pub fn page(&self, ask: Ask, patience: Duration) -> Option<Page> {
        self.asks.put(ask, patience)
    }

    /// Whom to tell when nothing more is captured. The first one is told.
    pub fn tell_end(&self, disks: Arc<DiskStatus>) {
        let _ = self.disks.set(disks);
    }

    /// Nothing more is captured: what is told from now on is of calls that are up.
    pub(super) fn over(&self) {
        self.disks.get().into_iter().for_each(|disks| disks.end());
    }

    /// Readable when the tracker is asked something: who waits for a packet is to let it look.
    #[must_use]
    pub fn bell(&self) -> Option<Arc<OwnedFd>> {
        self.asks.bell()
    }

    /// Whether somebody waits for the tracker to look.
    pub(super) fn is_asked(&self) -> bool {
        self.asks.is_asked()
    }

    pub(super) fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }

    /// A batch goes to the stages.
    pub(super) fn sent(&self) {
        self.sent.step();
    }

    /// What source and intake have to say after a batch.
    pub(super) fn front(&self, intake: &Intake, source: impl FnOnce() -> SourceTold) {
        let Some(question) = self.due(&self.front) else { return };
        let told = Front {
            source: source(),
            intake: intake.counters().clone(),
            passed_over: *intake.passed_over(),
            backward: intake.clock().backward,
            wild: intake.clock().wild,
            defrag: *intake.defragmenter().counters(),
        };
        self.front.put(question, told);
    }

    /// What a stream worker has to say after a batch.
    pub(super) fn worker(&self, lane: usize, worker: &StreamWorker) {
        self.done.get(lane).into_iter().for_each(Meter::step);
        let Some(slot) = self.workers.get(lane) else { return };
        let Some(question) = self.due(slot) else { return };
        let told = Work {
            worker: *worker.counters(),
            reassembly: *worker.reassembler().counters(),
            streams: *worker.streams(),
        };
        slot.put(question, told);
    }

    /// What the tracker has to say after a batch.
    pub(super) fn tracker(&self, order: &Order) {
        self.applied.step();
        self.asks.answer(order, &|| self.sent.get() == self.applied.get());
        let Some(question) = self.due(&self.tracker) else { return };
        let tracker = order.tracker();
        let told = Tracked {
            order: *order.counters(),
            census: tracker.census().counts(),
            tally: tracker.tally().clone(),
            media: *tracker.media_counters(),
            tls: order.tls().clone(),
            gauges: tracker.gauges(),
        };
        self.tracker.put(question, told);
    }

    /// The question that a copy is due for.
    fn due<T: Clone>(&self, slot: &Told<T>) -> Option<u64> {
        let asked = self.asked.load(Ordering::Relaxed);
        (self.always || slot.answers() != asked).then_some(asked)
    }
}

impl Snapshot {
    /// Time of the last packet.
    #[must_use]
    pub const fn last_packet(&self) -> Option<Timestamp> {
        self.outcome.intake.last
    }
}

/// A stage that panicked took its run with it; its last words are still true.
fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::call::{self, CallRecord, Listener, Wants};
    use crate::pipeline::{Continue, Settings, run};

    struct Nobody;

    impl Listener for Nobody {
        fn wants(&self) -> Wants {
            Wants::default()
        }

        fn closed(&mut self, _: u32, _: bool, _: Option<CallRecord>) {}
    }

    fn corpus() -> Vec<PathBuf> {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/corpus");
        let inputs = std::fs::read_dir(cases).unwrap().flatten();
        let inputs = inputs.flat_map(|case| ["input.pcap", "input.pcapng"].map(|it| case.path().join(it)));
        inputs.filter(|path| path.exists()).collect()
    }

    fn follow(
        input: &Path,
        workers: usize,
        board: &Arc<Board>,
        watch: &mut dyn FnMut() -> Continue,
    ) -> Outcome {
        let (mut source, _) = crate::capture::file::open(&[input.to_path_buf()]);
        let settings = Settings {
            log_streams: false,
            is_last: false,
            defrag: defrag::Limits {
                max_datagrams: 4096,
                max_bytes: 1 << 20,
                timeout: std::time::Duration::from_secs(30),
                keep_frames: false,
            },
            reassembly: reassembly::Limits::default(),
            streams: sip::StreamSettings::default(),
            call_limits: call::Limits {
                max_dialogs: 1000,
                max_waiting: 100,
                idle_timeout: std::time::Duration::from_secs(3600),
                media: media::Limits {
                    max_flows: 1000,
                    max_unclaimed: 100,
                    unclaimed_timeout: std::time::Duration::from_secs(10),
                    backlog_bytes: 0,
                },
            },
            calls: call::Settings::default(),
            filter: None,
            batch: 16,
            workers,
            count: None,
            duration: None,
            board: Some(Arc::clone(board)),
        };
        run(&mut source, settings, &mut Nobody, &mut |_| watch())
    }

    fn text(outcome: &Outcome) -> String {
        let mut text = Vec::new();
        outcome.summary(None).print_json(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_it_says_last_is_the_outcome() {
        for input in corpus() {
            for workers in [0, 3] {
                let threads = if workers == 0 { Threads::Inline } else { Threads::Workers(workers) };
                let board = Arc::new(Board::new(threads, true));
                let outcome = follow(&input, workers, &board, &mut || Continue::Yes);
                let snapshot = board.snapshot();
                assert_eq!(text(&snapshot.outcome), text(&outcome), "{}", input.display());
                let gauges = snapshot.gauges;
                assert_eq!(
                    (gauges.tracker.early, gauges.tracker.confirmed, gauges.tracker.dialogs),
                    (0, 0, 0),
                    "{}",
                    input.display()
                );
                assert_eq!((gauges.held_bytes, gauges.streams_holding, gauges.buffers), (0, 0, 0));
                assert_eq!(gauges.batches.0, gauges.batches.1);
                assert_eq!(gauges.queues.len(), if workers == 0 { 0 } else { workers + 1 });
                assert!(gauges.queues.iter().all(|queue| queue.depth == 0 && queue.capacity > 0));
            }
        }
    }

    /// Where a board goes on in the middle, it says what is the case then and not what was asked for before.
    #[test]
    fn it_answers_when_asked_and_only_then() {
        let input = corpus().into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
        let board = Arc::new(Board::new(Threads::Inline, false));
        let mut batches = 0u64;
        follow(&input, 0, &board, &mut || {
            batches += 1;
            match batches {
                2 => {
                    assert_eq!(board.snapshot().outcome.intake.packets, 0);
                    board.ask();
                    board.ask();
                    assert_eq!(board.snapshot().behind, 2);
                }
                3 | 4 => {
                    let snapshot = board.snapshot();
                    assert_eq!((snapshot.behind, snapshot.outcome.intake.packets), (0, 48));
                    assert_eq!(snapshot.gauges.batches, (batches, batches));
                }
                _ => {}
            }
            Continue::Yes
        });
        assert!(batches > 4);
    }

    /// The tracker compares its sums with its table whenever it is asked, in a build like that of the tests.
    #[test]
    fn active_calls_are_those_in_the_table() {
        let mut most = (0, 0);
        for input in corpus() {
            let board = Arc::new(Board::new(Threads::Inline, true));
            follow(&input, 0, &board, &mut || {
                let Gauges { tracker, .. } = board.snapshot().gauges;
                most = (most.0.max(tracker.early), most.1.max(tracker.confirmed));
                Continue::Yes
            });
        }
        assert!(most.0 > 0 && most.1 > 0, "{most:?}");
    }
}
