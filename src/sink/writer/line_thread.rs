//! The threads that write lines: what goes to them, and how they end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::mailbox::{Block, Mailbox, Taken, Taker, Wait};
use super::{Clock, WhenFull, rethrow};
use crate::call::{CallEvent, CallRecord};
use crate::capture::file::stop_flag;
use crate::sink::disk::DiskStatus;
use crate::sink::event_log::Extract;
use crate::sink::line_file::LineCounts;
use crate::sink::lines::Lines;
use crate::sink::recorder::Written;
use crate::sink::stdout::{self, LOOK, STALLED};

/// How often a thread looks whether files are to be opened anew.
const ROTATION_LOOK: Duration = Duration::from_millis(500);

/// Bytes that an event takes.
const EVENT: usize = 700;

/// Lines that may wait.
const MAX_LINES: usize = 16_384;

/// A line on its way.
#[derive(Debug)]
pub(in crate::sink) enum Line {
    Record(Box<CallRecord>),
    Event(Arc<(CallEvent, Option<Extract>)>),
}

/// Lines on their way.
#[derive(Debug, Default)]
struct LineBlock {
    lines: Vec<Line>,
    refused: u64,
}

impl Block for LineBlock {
    fn weight(&self) -> usize {
        self.lines.len() * EVENT
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.refused == 0
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.lines.shrink_to(1_024);
        self.refused = 0;
    }
}

/// Where lines are put in.
#[derive(Clone, Debug)]
pub(in crate::sink) struct Inlet {
    mailbox: Arc<Mailbox<LineBlock>>,
    when_full: WhenFull,
    status: Arc<DiskStatus>,
}

impl Inlet {
    /// A line that finds no room is lost, counted, unless it is to wait.
    pub(in crate::sink) fn put(&self, line: Line) {
        let fits = |block: &LineBlock| block.lines.len() < MAX_LINES;
        let put = |block: &mut LineBlock| {
            let fits = fits(block);
            if fits {
                block.lines.push(line);
            } else {
                block.refused += 1;
            }
            fits
        };
        let put = match self.when_full {
            WhenFull::Wait => self.mailbox.put_when(|block| fits(block) || is_to_end(), put).unwrap_or(false),
            WhenFull::Drop => self.mailbox.put(put),
        };
        if !put {
            self.status.lines_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn ring(&self) {
        self.mailbox.ring();
    }
}

/// Whether a signal asked for the end.
fn is_to_end() -> bool {
    stop_flag().load(Ordering::Relaxed)
}

/// The threads of a run: at most one whose lines go to files, and one for standard output.
#[derive(Debug, Default)]
pub(in crate::sink) struct LineThreads(Vec<LineThread>);

impl LineThreads {
    /// Starts a thread for what goes to files, and one for what goes to standard output, as far as there is any.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(in crate::sink) fn start(
        lines: Lines,
        when_full: WhenFull,
        status: &Arc<DiskStatus>,
    ) -> io::Result<Self> {
        let (to_files, to_stdout) = lines.split();
        let threads = [to_files, to_stdout].into_iter().filter(|lines| !lines.is_empty());
        threads.map(|lines| LineThread::start(lines, when_full, status)).collect::<io::Result<_>>().map(Self)
    }

    /// Where records go, if they go anywhere.
    pub(in crate::sink) fn records(&self) -> Option<Inlet> {
        self.0.iter().find(|thread| thread.takes_records).map(|thread| thread.inlet.clone())
    }

    /// An event goes to all that take events.
    pub(in crate::sink) fn event(&self, event: &CallEvent, extract: Option<&Extract>) {
        let mut takers = self.0.iter().filter(|thread| thread.takes_events).peekable();
        if takers.peek().is_some() {
            let event = Arc::new((event.clone(), extract.cloned()));
            takers.for_each(|thread| thread.inlet.put(Line::Event(Arc::clone(&event))));
        }
    }

    /// What was put in may go on.
    pub(in crate::sink) fn ring(&self) {
        self.0.iter().for_each(|thread| thread.inlet.mailbox.ring());
    }

    /// Nothing more comes; the threads end by themselves.
    pub(super) fn close(&self) {
        self.0.iter().for_each(|thread| thread.inlet.mailbox.close());
    }

    /// Waits until all is written, or nobody takes it, and adds what became of it to `written`.
    pub(in crate::sink) fn finish(self, written: &mut Written) {
        self.close();
        for thread in self.0 {
            let ended = thread.finish();
            written.lines.add(ended.counts);
            if written.outcome.is_ok() {
                written.outcome = ended.outcome;
            }
            written.stdout_stalls |= ended.is_stalled;
        }
    }
}

/// A thread, seen from where lines come from.
#[derive(Debug)]
struct LineThread {
    inlet: Inlet,
    takes_records: bool,
    takes_events: bool,
    is_stdout: bool,
    thread: JoinHandle<(LineCounts, io::Result<()>)>,
}

/// How a thread ended.
#[derive(Debug)]
struct Ended {
    counts: LineCounts,
    outcome: io::Result<()>,
    /// It did not: nobody takes what it writes.
    is_stalled: bool,
}

impl LineThread {
    fn start(lines: Lines, when_full: WhenFull, status: &Arc<DiskStatus>) -> io::Result<Self> {
        let inlet = Inlet { mailbox: Arc::default(), when_full, status: Arc::clone(status) };
        let (takes_records, takes_events) = (lines.has_records(), lines.has_events());
        let is_stdout = !lines.may_rotate();
        let (mailbox, status) = (Arc::clone(&inlet.mailbox), Arc::clone(status));
        let thread = thread::Builder::new()
            .name(if is_stdout { "stdout" } else { "lines" }.to_owned())
            .spawn(move || write_lines(&mailbox, lines, &status))?;
        Ok(Self { inlet, takes_records, takes_events, is_stdout, thread })
    }

    /// A run that was told to end does not wait for a reader of standard output that takes nothing.
    fn finish(self) -> Ended {
        let mut waited = Duration::ZERO;
        let mut before = stdout::taken();
        while self.is_stdout && !self.thread.is_finished() {
            if waited >= STALLED {
                // What it has in hand is not known.
                let lost = self.inlet.mailbox.put(|block| block.lines.len() as u64 + block.refused);
                let counts = LineCounts { lost, errors: 0 };
                return Ended { counts, outcome: Ok(()), is_stalled: true };
            }
            thread::sleep(LOOK);
            let taken = stdout::taken();
            waited = if is_to_end() && taken == before { waited + LOOK } else { Duration::ZERO };
            before = taken;
        }
        let (counts, outcome) = rethrow(self.thread.join());
        Ended { counts, outcome, is_stalled: false }
    }
}

/// Writes lines until nothing comes any more.
fn write_lines(
    mailbox: &Mailbox<LineBlock>,
    mut lines: Lines,
    status: &DiskStatus,
) -> (LineCounts, io::Result<()>) {
    let taker = Taker(mailbox);
    let clock = Clock::start();
    let mut block = LineBlock::default();
    let mut refused = 0;
    let mut before = LineCounts::default();
    loop {
        let wait = if lines.may_rotate() { Wait::AtMost(ROTATION_LOOK) } else { Wait::ForWork };
        let taken = mailbox.take(&mut block, wait);
        if taken == Taken::Closed {
            break;
        }
        lines.set_time(clock.now());
        refused += block.refused;
        for line in block.lines.drain(..) {
            match line {
                Line::Record(record) => lines.record(&record),
                Line::Event(told) => lines.event(&told.0, told.1.as_ref()),
            }
        }
        lines.flush();
        let counts = lines.counts();
        status.lines_lost.fetch_add(counts.lost - before.lost, Ordering::Relaxed);
        status.line_errors.fetch_add(counts.errors - before.errors, Ordering::Relaxed);
        before = counts;
    }
    drop(taker);
    let (counts, outcome) = lines.finish();
    (LineCounts { lost: counts.lost + refused, ..counts }, outcome)
}
