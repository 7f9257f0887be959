//! The threads that write lines: what goes to them, and how they end.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::block::weight_of;
use super::mailbox::{Block, Mailbox, Taken, Taker, Wait};
use super::{Clock, MAILBOX_BYTES, WhenFull, rethrow};
use crate::call::{CallEvent, CallRecord};
use crate::sink::disk::DiskStatus;
use crate::sink::event_log::Extract;
use crate::sink::line_file::LineCounts;
use crate::sink::lines::Lines;
use crate::sink::recorder::Written;
use crate::sink::throttle::Throttle;

/// How often a thread looks whether files are to be opened anew.
const ROTATION_LOOK: Duration = Duration::from_millis(500);

/// Bytes that an event takes.
const EVENT: usize = 700;

/// Bytes beyond which no event is taken: what remains of room is for records, of which each is all that is told of a call.
const EVENTS: usize = 16_384 * EVENT;

/// A line on its way.
#[derive(Debug)]
pub(in crate::sink) enum Line {
    Record(Box<CallRecord>),
    Event(Arc<(CallEvent, Option<Extract>)>),
}

impl Line {
    fn weight(&self) -> usize {
        match self {
            Self::Record(record) => weight_of(record),
            Self::Event(_) => EVENT,
        }
    }

    /// Bytes that may lie in the mailbox along with it.
    const fn most(&self) -> usize {
        match self {
            Self::Record(_) => MAILBOX_BYTES,
            Self::Event(_) => EVENTS,
        }
    }
}

/// Lines on their way.
#[derive(Debug, Default)]
struct LineBlock {
    lines: Vec<Line>,
    /// What they weigh.
    heavy: usize,
    refused: u64,
}

impl Block for LineBlock {
    fn weight(&self) -> usize {
        self.heavy
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.refused == 0
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.lines.shrink_to(1_024);
        (self.heavy, self.refused) = (0, 0);
    }
}

/// Where lines are put in.
#[derive(Clone, Debug)]
pub(in crate::sink) struct Inlet {
    mailbox: Arc<Mailbox<LineBlock>>,
    when_full: WhenFull,
    status: Arc<DiskStatus>,
    jam: Arc<Jam>,
}

impl Inlet {
    /// A line that finds no room is lost, counted, unless it is to wait. That takes no longer than whoever reads takes
    /// something: where nobody does, the thread gives up at the end of the run and makes room.
    pub(in crate::sink) fn put(&self, line: Line) {
        let (weight, most) = (line.weight(), line.most());
        let fits = |block: &LineBlock| block.heavy + weight <= most;
        let put = |block: &mut LineBlock| {
            let fits = fits(block);
            if fits {
                block.lines.push(line);
                block.heavy += weight;
            } else {
                block.refused += 1;
            }
            fits
        };
        let put = if self.when_full.waits(&self.status) {
            self.mailbox.put_when(fits, put).unwrap_or(false)
        } else {
            self.mailbox.put(put)
        };
        if !put {
            self.status.lines_lost.fetch_add(1, Ordering::Relaxed);
            self.jam.tell();
        }
    }

    pub(super) fn ring(&self) {
        self.mailbox.ring();
    }
}

/// Lines that find no room, as far as that is told.
#[derive(Debug)]
struct Jam {
    clock: Clock,
    throttle: Mutex<Throttle>,
}

impl Jam {
    fn tell(&self) {
        self.lock().failed(self.clock.now(), "take records and events", &too_slow());
    }

    fn is_over(&self) {
        self.lock().worked(self.clock.now(), "records and events are taken");
    }

    fn lock(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a line found no room.
pub(super) fn too_slow() -> io::Error {
    io::Error::other("the disk or the reader is too slow")
}

/// The threads of a run: at most one whose lines go to files, one for standard output, and one for each FIFO.
#[derive(Debug, Default)]
pub(in crate::sink) struct LineThreads(Vec<LineThread>);

impl LineThreads {
    /// Starts a thread for each of `lines`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(in crate::sink) fn start(
        lines: Vec<Lines>,
        when_full: WhenFull,
        status: &Arc<DiskStatus>,
    ) -> io::Result<Self> {
        let start = |lines| LineThread::start(lines, when_full, status);
        lines.into_iter().map(start).collect::<io::Result<_>>().map(Self)
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
            let (counts, outcome) = rethrow(thread.thread.join());
            written.lines.add(counts);
            written.note(outcome);
        }
    }
}

/// A thread, seen from where lines come from.
#[derive(Debug)]
struct LineThread {
    inlet: Inlet,
    takes_records: bool,
    takes_events: bool,
    thread: JoinHandle<(LineCounts, io::Result<()>)>,
}

impl LineThread {
    fn start(lines: Lines, when_full: WhenFull, status: &Arc<DiskStatus>) -> io::Result<Self> {
        let jam = Arc::new(Jam { clock: Clock::start(), throttle: Mutex::default() });
        let inlet = Inlet { mailbox: Arc::default(), when_full, status: Arc::clone(status), jam };
        let (takes_records, takes_events) = (lines.has_records(), lines.has_events());
        let name = if lines.may_rotate() { "lines" } else { "stdout" };
        let outlet = inlet.clone();
        let write = move || write_lines(&outlet, lines);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(write)?;
        Ok(Self { inlet, takes_records, takes_events, thread })
    }
}

/// Writes lines until nothing comes any more.
fn write_lines(inlet: &Inlet, mut lines: Lines) -> (LineCounts, io::Result<()>) {
    let Inlet { mailbox, status, jam, .. } = inlet;
    let taker = Taker(mailbox);
    let mut block = LineBlock::default();
    let mut refused = 0;
    let mut before = LineCounts::default();
    loop {
        let wait = if lines.may_rotate() { Wait::AtMost(ROTATION_LOOK) } else { Wait::ForWork };
        let taken = mailbox.take(&mut block, wait);
        if taken == Taken::Closed {
            break;
        }
        lines.set_time(jam.clock.now());
        refused += block.refused;
        if block.refused == 0 {
            jam.is_over();
        }
        for line in block.lines.drain(..) {
            match line {
                Line::Record(record) => lines.record(&record),
                Line::Event(told) => lines.event(&told.0, told.1.as_ref()),
            }
        }
        lines.flush();
        let counts = lines.counts();
        status.publish_lines(before, counts);
        before = counts;
    }
    drop(taker);
    let is_file = lines.may_rotate();
    let (counts, outcome) = lines.finish();
    let outcome = if is_file && refused > 0 { outcome.and(Err(too_slow())) } else { outcome };
    (LineCounts { lost: counts.lost + refused, ..counts }, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::records::full;

    /// More than the calls that the tracker is promised to follow at once (README: 30,000).
    const MANY: usize = 40_000;

    fn record() -> Line {
        Line::Record(Box::new(full()))
    }

    /// Takes out all that is put in, and counts it.
    fn drain(inlet: &Inlet) -> usize {
        let taker = Taker(&inlet.mailbox);
        let (mut block, mut count) = (LineBlock::default(), 0);
        while inlet.mailbox.take(&mut block, Wait::ForWork) == Taken::Work {
            count += block.lines.len();
        }
        drop(taker);
        count
    }

    #[test]
    fn at_the_end_records_wait_for_room_and_before_it_they_are_counted() {
        let status = Arc::new(DiskStatus::default());
        let jam = Arc::new(Jam { clock: Clock::start(), throttle: Mutex::default() });
        let when_full = WhenFull::Drop;
        let inlet = Inlet { mailbox: Arc::default(), when_full, status: Arc::clone(&status), jam };
        // On a wire nobody waits for a disk, and memory is bounded.
        (0..MANY).for_each(|_| inlet.put(record()));
        let (kept, weight) = inlet.mailbox.put(|block| (block.lines.len(), block.weight()));
        assert!(weight <= MAILBOX_BYTES && weight + weight_of(&full()) > MAILBOX_BYTES);
        assert_eq!(status.figures().lines_lost, (MANY - kept) as u64);
        status.end();
        let taken = std::thread::scope(|scope| {
            let taken = scope.spawn(|| drain(&inlet));
            (0..MANY).for_each(|_| inlet.put(record()));
            inlet.mailbox.close();
            taken.join().unwrap()
        });
        assert_eq!(taken, kept + MANY);
        assert_eq!(status.figures().lines_lost, (MANY - kept) as u64, "no more than before");
    }

    /// What is told of a call's end, whoever takes it and whoever does not.
    #[test]
    fn each_reader_has_a_thread_of_its_own() {
        use crate::sink::{EventFields, EventFormat, EventLog, EventWriter, RecordWriter, Reopen};
        let home = tempfile::tempdir().unwrap();
        let fifo = home.path().join("events");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let events = EventWriter::new(EventFormat::None, crate::sink::CallIds::Whole);
        let records = RecordWriter::append(&home.path().join("records")).unwrap();
        let log = EventLog::append(&fifo, EventFields::default()).unwrap();
        let mut reopen = Reopen::default();
        let lines = Lines::new(Some(records), Some(log), events, reopen.clone()).unwrap();
        let (to_files, apart) = lines.split();
        assert!(to_files.has_records() && !to_files.has_events());
        assert!(matches!(&apart[..], [log] if log.has_events() && !log.has_records()));
        // Each of them hears that files are to be opened anew, once.
        let mut other = reopen.clone();
        reopen.ask();
        assert!(reopen.taken() && other.taken() && !reopen.taken() && !other.taken());
    }
}
