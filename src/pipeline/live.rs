//! A run over interfaces: it ends when it is told to, and time goes on while the wire is silent.
//!
//! The capturing thread never waits for long. There are as many batches as queues have places, so that sending one
//! never blocks. When all are on their way, packets stay where they are for a moment: the kernel's ring is larger
//! than any queue here and counts what it has no room for. When the stages have not moved for longer, packets are
//! taken off the ring and dropped, counted as `queue_full`, so that what comes after the jam is of now. A run that is
//! told to stop then does so as any other: capturing ends, whether the stages move again or not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::board::{Board, SourceTold};
use super::run::{Outcome, Settings, Stages, outcome, stages, step};
use super::threads::{QUEUE, Running, Shared};
use super::time_limit::TimeLimit;
use super::work::Staged;
use crate::call::Listener;
use crate::capture::live::{Arrival, LiveSource};
use crate::capture::{Batch, Packet, PacketBatch, SourceCounters};
use crate::sip::Messages;
use crate::time::Timestamp;

/// How long a read waits for a packet: time-outs on a silent wire, and signals, are kept to this.
const WAIT: Duration = Duration::from_millis(100);

/// How long the capturing thread waits for a batch to come back before it looks around.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long packets are left in the kernel's ring when the stages do not move. A ring of 32 MiB holds more than
/// this of a gigabit.
const JAM: Duration = Duration::from_millis(200);

/// How long a run that was told to stop works on what was captured before.
const DRAIN: Duration = Duration::from_millis(500);

/// How long a read waits then.
const DRAIN_WAIT: Duration = Duration::from_millis(5);

/// Batches dropped in one go before the stages are looked at again.
const SCRAP: usize = 64;

/// Packets read at once when the stages lag behind, whatever a batch holds otherwise.
const CATCH_UP: usize = 256;

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

/// Packets that were captured and not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// The stages did not keep up.
    pub(crate) queue_full: u64,
    /// Captured before the end of the run and still unread when its time was up.
    pub(crate) unread: u64,
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
    let mut feed = Feed::new(source, &settings, stop);
    let stages = stages(settings, listener);
    let stages = match threads {
        Threads::Inline => inline(&mut feed, stages, listener),
        Threads::Pair | Threads::Workers(_) => threaded(&mut feed, stages, workers, listener),
    };
    let live = feed.counters;
    let interfaces = source.counters();
    Outcome { live, interfaces, ..outcome(&stages, SourceCounters::default(), Vec::new()) }
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
    stop: &'a dyn Fn() -> bool,
    limit: usize,
    left: u64,
    time: Option<TimeLimit>,
    /// Told to stop then: no packet after that time.
    end: Option<Timestamp>,
    /// Since when it drains.
    draining: Option<Instant>,
    /// What was read was the last.
    last: bool,
    /// What is read to be dropped.
    scrap: Batch,
    counters: Counters,
    board: Option<Arc<Board>>,
}

impl<'a> Feed<'a> {
    fn new(source: &'a mut dyn LiveSource, settings: &Settings, stop: &'a dyn Fn() -> bool) -> Self {
        Self {
            source,
            stop,
            limit: settings.batch.max(1),
            left: settings.count.unwrap_or(u64::MAX),
            time: settings.duration.map(TimeLimit::new),
            end: None,
            draining: None,
            last: false,
            scrap: Batch::default(),
            counters: Counters::default(),
            board: settings.board.clone(),
        }
    }

    /// Whether the tracker is to look at questions, though nothing came.
    fn is_asked(&self) -> bool {
        self.board.as_ref().is_some_and(|board| board.is_asked())
    }

    /// Reads the next batch; a larger one when the stages `lag`.
    fn next(&mut self, batch: &mut Batch, lag: bool) -> Next {
        if self.is_over() {
            return Next::End;
        }
        let limit = if lag { self.limit.max(CATCH_UP) } else { self.limit };
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(limit);
        let wait = if self.draining.is_some() { DRAIN_WAIT } else { WAIT };
        match self.source.read(batch, limit, wait) {
            Arrival::Packets => {
                self.cut(batch);
                Next::Batch
            }
            Arrival::Idle(now) => {
                self.last = self.is_past(now);
                Next::Idle(now)
            }
        }
    }

    /// Whether nothing is to be read any more. Of a run that was told to stop, what is left when its time is up is
    /// dropped here.
    fn is_over(&mut self) -> bool {
        if self.last || self.left == 0 {
            return true;
        }
        self.look_for_the_end();
        if self.draining.is_some_and(|since| elapsed(since) > DRAIN) {
            self.counters.unread += self.scrap(usize::MAX);
            self.last = true;
        }
        self.last
    }

    /// Told to stop: what is captured from now on is not of this run.
    fn look_for_the_end(&mut self) {
        if self.draining.is_none() && (self.stop)() {
            self.draining = Some(clock());
            self.end = Some(self.source.now());
        }
    }

    /// What the source counted, for the board.
    fn told(&mut self) -> SourceTold {
        let interfaces = self.source.counters();
        SourceTold { interfaces, live: self.counters, ..SourceTold::default() }
    }

    /// Nothing came until `now`: whether that is the end. Only then is the ring empty of what was captured before: the kernel
    /// may still hold some back.
    fn is_past(&mut self, now: Timestamp) -> bool {
        let is_over = self.time.as_mut().is_some_and(|time| time.is_over_at(now));
        is_over || self.end.is_some_and(|end| now > end)
    }

    /// The place of the first packet that comes after the end.
    fn late(&mut self, packets: &[Packet]) -> Option<usize> {
        let of_time = self.time.as_mut().and_then(|time| time.late(packets));
        let before = packets.get(..of_time.unwrap_or(packets.len())).unwrap_or_default();
        self.end.and_then(|end| before.iter().position(|packet| packet.timestamp > end)).or(of_time)
    }

    /// Leaves out what comes after the end.
    fn cut(&mut self, batch: &mut Batch) {
        if let Some(count) = self.late(batch.packets()) {
            batch.truncate(count);
            self.last = true;
        }
        self.left -= batch.packets().len() as u64;
    }

    /// Reads what is there, at most so many batches, and keeps none of it; counts what was captured before the end.
    fn scrap(&mut self, batches: usize) -> u64 {
        let mut count = 0;
        for _ in 0..batches {
            let mut scrap = std::mem::take(&mut self.scrap);
            let arrival = self.source.read(&mut scrap, CATCH_UP, Duration::ZERO);
            let late = self.late(scrap.packets());
            let read = scrap.packets().len();
            self.scrap = scrap;
            if let Arrival::Idle(now) = arrival {
                self.last = self.is_past(now);
                break;
            }
            if let Some(before) = late {
                self.last = true;
                return count + before as u64;
            }
            count += read as u64;
        }
        count
    }
}

fn inline(feed: &mut Feed<'_>, mut stages: Stages, listener: &mut dyn Listener) -> Stages {
    let mut staged = Staged::new(1);
    let mut outputs = vec![Messages::default()];
    let mut batch = Batch::default();
    loop {
        match feed.next(&mut batch, false) {
            Next::Batch => stages.intake.take(batch.view(), &mut staged),
            Next::Idle(now) => stages.intake.idle(now, &mut staged),
            Next::End => break,
        }
        stages.intake.tell(|| feed.told());
        if !staged.is_empty() || feed.is_asked() {
            step(&mut stages, &staged, batch.view(), &mut outputs, listener);
        }
    }
    stages.intake.finish(&mut staged);
    stages.intake.tell(|| feed.told());
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
        while let Some((mut shared, lag)) = spare(feed, &recycled) {
            let Shared { batch, staged } = &mut shared;
            let more = loop {
                match feed.next(batch, lag) {
                    Next::Batch => intake.take(batch.view(), staged),
                    Next::Idle(now) => intake.idle(now, staged),
                    Next::End => break false,
                }
                intake.tell(|| feed.told());
                if !staged.is_empty() || feed.is_asked() {
                    break true;
                }
            };
            if !more {
                break;
            }
            intake.sent();
            // A stage that is gone has panicked; joining it below says so.
            if !running.send(shared) {
                break;
            }
        }
        let mut last = Shared::new(lanes);
        intake.finish(&mut last.staged);
        intake.tell(|| feed.told());
        intake.sent();
        running.send(last);
        let (workers, order) = running.join();
        Stages { intake, workers, order }
    })
}

/// A batch that is free, and whether it had to be waited for; none when the run is over before, or a stage is gone.
fn spare(feed: &mut Feed<'_>, recycled: &Receiver<Shared>) -> Option<(Shared, bool)> {
    if let Ok(shared) = recycled.try_recv() {
        return Some((shared, false));
    }
    let since = clock();
    loop {
        match recycled.recv_timeout(PATIENCE) {
            Ok(shared) => return Some((shared, true)),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if elapsed(since) >= JAM {
            feed.counters.queue_full += feed.scrap(SCRAP);
        }
        if feed.is_over() {
            return None;
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "how long a thread has waited is no packet time")]
fn clock() -> Instant {
    Instant::now()
}

fn elapsed(since: Instant) -> Duration {
    clock().duration_since(since)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::VecDeque;
    use std::os::fd::OwnedFd;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;
    use crate::call::{self, CallRecord, CallResult, Delivery, Wants};
    use crate::capture::LinkType;
    use crate::capture::live::InterfaceCounters;
    use crate::pipeline::Ask;
    use crate::{defrag, media, reassembly, sip};

    /// A wire on which packets come at these seconds; when all came, each read takes a second more.
    struct Script {
        packets: VecDeque<u64>,
        clock: u64,
        frame: Vec<u8>,
    }

    impl Script {
        fn new(seconds: impl IntoIterator<Item = u64>) -> Self {
            let text = "INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
                From: <sip:alice@example.org>;tag=1\r\nTo: <sip:bob@example.org>\r\nCall-ID: script\r\n\
                CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
            // RFC 791 and RFC 768; nobody looks at the checksums.
            let (ip, udp) = (28 + text.len() as u16, 8 + text.len() as u16);
            let mut frame = vec![0x45, 0, (ip >> 8) as u8, ip as u8, 0, 1, 0, 0, 64, 17, 0, 0];
            frame.extend([
                192,
                0,
                2,
                1,
                192,
                0,
                2,
                2,
                0x13,
                0xc4,
                0x13,
                0xc4,
                (udp >> 8) as u8,
                udp as u8,
                0,
                0,
            ]);
            frame.extend(text.as_bytes());
            Self { packets: seconds.into_iter().collect(), clock: 0, frame }
        }
    }

    impl LiveSource for Script {
        fn read(&mut self, batch: &mut Batch, limit: usize, _: Duration) -> Arrival {
            batch.clear();
            for seconds in self.packets.drain(..limit.min(self.packets.len())) {
                self.clock = seconds;
                let timestamp = Timestamp::new(seconds, 0);
                let packet = Packet { timestamp, link: LinkType::RAW, ..Packet::default() };
                batch.push(packet, &self.frame);
            }
            if batch.packets().is_empty() {
                self.clock += 1;
                return Arrival::Idle(Timestamp::new(self.clock, 0));
            }
            Arrival::Packets
        }

        fn counters(&mut self) -> Vec<(String, InterfaceCounters)> {
            Vec::new()
        }

        fn now(&self) -> Timestamp {
            Timestamp::new(self.clock, 0)
        }
    }

    /// Keeps records, and is slow once.
    #[derive(Default)]
    struct Slow {
        first: Duration,
        records: Vec<CallRecord>,
    }

    impl Listener for Slow {
        fn wants(&self) -> Wants {
            Wants { frames: true, events: false, audit: false, records: true }
        }
        fn message(&mut self, _: u32, _: &Delivery<'_>) {
            std::thread::sleep(std::mem::take(&mut self.first));
        }
        fn closed(&mut self, _: u32, _: bool, record: Option<CallRecord>) {
            self.records.extend(record);
        }
    }

    fn settings() -> Settings {
        Settings {
            log_streams: false,
            is_last: false,
            board: None,
            defrag: defrag::Limits {
                max_datagrams: 10,
                max_bytes: 1 << 20,
                timeout: Duration::from_secs(30),
                keep_frames: false,
            },
            reassembly: reassembly::Limits::default(),
            streams: sip::StreamSettings::default(),
            call_limits: call::Limits {
                max_dialogs: 10,
                max_waiting: 100,
                idle_timeout: Duration::from_secs(14_400),
                media: media::Limits {
                    max_flows: 10,
                    max_unclaimed: 10,
                    unclaimed_timeout: Duration::from_secs(10),
                    backlog_bytes: 1 << 20,
                },
            },
            calls: call::Settings::default(),
            filter: None,
            batch: 256,
            workers: 0,
            count: None,
            duration: None,
        }
    }

    /// A wire on which nothing ever comes, and whose time stands still: a read ends when the bell rings.
    struct Silence {
        bell: Arc<OwnedFd>,
    }

    impl LiveSource for Silence {
        fn read(&mut self, batch: &mut Batch, _: usize, wait: Duration) -> Arrival {
            batch.clear();
            let wait = if wait < WAIT { wait } else { Duration::from_secs(20) };
            let timeout = Timespec::try_from(wait).unwrap();
            if poll(&mut [PollFd::new(&self.bell, PollFlags::IN)], Some(&timeout)).unwrap() > 0 {
                rustix::io::read(&self.bell, &mut [0; 8]).unwrap();
            }
            Arrival::Idle(self.now())
        }

        fn counters(&mut self) -> Vec<(String, InterfaceCounters)> {
            Vec::new()
        }

        fn now(&self) -> Timestamp {
            Timestamp::new(1_000, 0)
        }
    }

    #[test]
    fn a_question_on_a_silent_wire_is_answered_at_once() {
        for threads in EVERY {
            let board = Arc::new(Board::new(threads, false));
            let (asker, stop) = (Arc::clone(&board), AtomicBool::new(false));
            let ask = || asker.page(Ask::Calls { cursor: 0, limit: 10 }, Duration::from_secs(10));
            let settings = Settings { board: Some(Arc::clone(&board)), ..settings() };
            let told = || stop.load(Ordering::Relaxed);
            std::thread::scope(|scope| {
                let run = scope.spawn(|| {
                    let mut source = Silence { bell: board.bell().unwrap() };
                    run_live(&mut source, settings, threads, &mut Slow::default(), &told)
                });
                let clients: Vec<_> =
                    (0..12).map(|_| scope.spawn(|| (0..10).filter_map(|_| ask()).count())).collect();
                let answers: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
                stop.store(true, Ordering::Relaxed);
                let _ = ask();
                run.join().unwrap();
                assert_eq!(answers, 120, "{threads:?}");
            });
        }
    }

    const EVERY: [Threads; 3] = [Threads::Inline, Threads::Pair, Threads::Workers(2)];

    /// A run that is told to stop when it asked so often.
    fn run(script: &mut Script, settings: Settings, threads: Threads, asks: u32) -> (Outcome, Slow) {
        let (mut listener, left) = (Slow::default(), Cell::new(asks));
        let stop = || left.replace(left.get().saturating_sub(1)) == 0;
        let outcome = run_live(script, settings, threads, &mut listener, &stop);
        (outcome, listener)
    }

    /// RFC 3261 17.1.1.2: an INVITE without any answer is given up after 64*T1, 32 s.
    #[test]
    fn time_goes_on_while_nothing_comes() {
        for threads in EVERY {
            let (outcome, listener) = run(&mut Script::new([1000]), settings(), threads, 60);
            let results: Vec<CallResult> = listener.records.iter().map(|record| record.result).collect();
            assert_eq!(results, [CallResult::Timeout], "{threads:?}");
            assert_eq!(outcome.intake.packets, 1);
        }
    }

    #[test]
    fn what_is_nothing_to_the_stages_is_not_under_way_for_ever() {
        for threads in EVERY {
            let board = Arc::new(Board::new(threads, false));
            board.ask();
            let mut script = Script::new(std::iter::repeat_n(1000, 50));
            script.frame = vec![0];
            let settings = Settings { board: Some(Arc::clone(&board)), batch: 1, ..settings() };
            let (outcome, _) = run(&mut script, settings, threads, 60);
            assert_eq!(outcome.intake.packets, 50);
            let snapshot = board.snapshot();
            let (sent, applied) = snapshot.gauges.batches;
            assert!(snapshot.behind == 0 && sent == applied && sent > 0, "{threads:?}: {snapshot:?}");
        }
    }

    /// And it is the one that was sent, for the tracker is its last owner. Whom the sender wakes is through before the
    /// sender goes on: they share a processor, and the sender gives way.
    fn batches_come_back(workers: usize) {
        let allowed = rustix::thread::sched_getaffinity(None).unwrap();
        let mut one = rustix::thread::CpuSet::new();
        one.set((0..rustix::thread::CpuSet::MAX_CPU).rfind(|cpu| allowed.is_set(*cpu)).unwrap());
        rustix::thread::sched_setaffinity(None, &one).unwrap();
        let mut listener = Slow::default();
        let stages = stages(Settings { workers, ..settings() }, &listener);
        let lanes = stages.workers.len();
        std::thread::scope(|scope| {
            let (recycle, recycled) = bounded::<Shared>(1);
            let running = match workers {
                0 => Running::pair(scope, stages.workers, stages.order, recycle, &mut listener),
                _ => Running::pool(scope, stages.workers, stages.order, recycle, &mut listener),
            };
            rustix::process::setpriority_process(None, 10).unwrap();
            let mut shared = Shared::new(lanes);
            let memory = shared.staged.lanes.as_ptr();
            for round in 0..200 {
                assert!(running.send(shared));
                let back = recycled.recv_timeout(Duration::from_secs(10));
                shared = back.unwrap_or_else(|_| panic!("{workers} workers: lost in round {round}"));
                let again = shared.staged.lanes.as_ptr() == memory;
                assert!(again, "{workers} workers: another in round {round}");
            }
            running.join();
        });
    }

    #[test]
    fn every_batch_comes_back() {
        for workers in [0, 2] {
            // What is asked of the system here is for a thread and those that it starts.
            std::thread::spawn(move || batches_come_back(workers)).join().unwrap();
        }
    }

    #[test]
    fn the_end_is_a_time() {
        for threads in EVERY {
            // Told to stop after the first batch of 256, when its clock says 1: all of that second still counts.
            let stamps = std::iter::repeat_n(1, 700).chain(std::iter::repeat_n(2, 700));
            let (outcome, _) = run(&mut Script::new(stamps), settings(), threads, 1);
            assert_eq!(outcome.intake.packets, 700, "{threads:?}");
        }
    }

    /// One wild stamp, the first or another, neither ends a run nor puts off its end: that is 9 s of packets after the first
    /// that is believed, whether more packets come or none.
    #[test]
    fn a_wild_stamp_does_not_count_for_the_duration() {
        for threads in EVERY {
            for wild in [5, 3_000_000_000] {
                for place in [0, 1, 5] {
                    for more in [0, 100] {
                        let mut stamps: Vec<u64> = (1_000_000..1_000_005 + more).collect();
                        stamps.insert(place, wild);
                        let settings = Settings { duration: Some(Duration::from_secs(9)), ..settings() };
                        let (outcome, _) = run(&mut Script::new(stamps), settings, threads, u32::MAX);
                        let expected = if more == 0 { 6 } else { 11 };
                        assert_eq!(outcome.intake.packets, expected, "{threads:?} {wild} {place} {more}");
                    }
                }
            }
        }
    }

    #[test]
    fn count_and_duration_end_it() {
        for threads in EVERY {
            let stamps = || Script::new((0..100).map(|packet| 1000 + packet));
            let counted = Settings { count: Some(7), ..settings() };
            assert_eq!(run(&mut stamps(), counted, threads, u32::MAX).0.intake.packets, 7, "{threads:?}");
            let timed = |seconds| Settings { duration: Some(Duration::from_secs(seconds)), ..settings() };
            assert_eq!(run(&mut stamps(), timed(9), threads, u32::MAX).0.intake.packets, 10, "{threads:?}");
            assert_eq!(
                run(&mut stamps(), timed(500), threads, u32::MAX).0.intake.packets,
                100,
                "{threads:?}"
            );
        }
    }

    /// Stays in its first message until the last batch is sent, and longer than any run may take to end.
    struct Stuck {
        board: Arc<Board>,
        stuck: Arc<AtomicBool>,
        ended: bool,
    }

    impl Listener for Stuck {
        fn wants(&self) -> Wants {
            Wants { frames: true, events: false, audit: false, records: true }
        }
        fn message(&mut self, _: u32, _: &Delivery<'_>) {
            if !self.stuck.swap(true, Ordering::Relaxed) {
                self.ended = (0..1_000).any(|_| {
                    std::thread::sleep(Duration::from_millis(10));
                    self.board.snapshot().gauges.batches.0 > QUEUE as u64
                });
            }
        }
        fn closed(&mut self, _: u32, _: bool, _: Option<CallRecord>) {}
    }

    /// No batch is free, and none will be: the capturing thread reads and counts what is left, and ends.
    #[test]
    fn a_jam_does_not_keep_a_run_from_ending() {
        // More than can be dropped as a jam before the time is up, and less.
        for packets in [400_000, 10_000] {
            for threads in [Threads::Pair, Threads::Workers(2)] {
                let board = Arc::new(Board::new(threads, false));
                let stuck = Arc::new(AtomicBool::new(false));
                let mut listener =
                    Stuck { board: Arc::clone(&board), stuck: Arc::clone(&stuck), ended: false };
                let mut script = Script::new((0..packets).map(|_| 1));
                let settings = Settings { board: Some(board), batch: 16, ..settings() };
                let stop = || stuck.load(Ordering::Relaxed);
                let outcome = run_live(&mut script, settings, threads, &mut listener, &stop);
                assert!(listener.ended, "{threads:?}");
                assert_eq!(
                    outcome.intake.packets + outcome.live.queue_full + outcome.live.unread,
                    packets,
                    "{threads:?}"
                );
                assert!(outcome.live.unread > 0 || packets == 10_000, "{threads:?}: {:?}", outcome.live);
            }
        }
    }

    #[test]
    fn a_jam_is_counted_and_passes() {
        const PACKETS: u64 = 100_000;
        for threads in [Threads::Pair, Threads::Workers(2)] {
            let mut script = Script::new((0..PACKETS).map(|_| 1000));
            let mut listener = Slow { first: JAM * 3, ..Slow::default() };
            let left = Cell::new(2_000u32);
            let stop = || left.replace(left.get().saturating_sub(1)) == 0;
            let outcome = run_live(&mut script, settings(), threads, &mut listener, &stop);
            let (packets, dropped) = (outcome.intake.packets, outcome.live.queue_full);
            assert_eq!(packets + dropped + outcome.live.unread, PACKETS, "{threads:?}");
            assert!(dropped > 0 && packets > 1_000, "{threads:?}: {packets} {dropped}");
        }
    }
}
