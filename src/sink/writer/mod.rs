//! Threads between the tracker and slow disks, for live runs.
//!
//! In: what [`crate::sink::Recorder`] hears, put into mailboxes. Out: the same files, records and events that it would
//! have written itself. One thread or more own call files, by the call's number; one owns files of lines, one standard
//! output and one each FIFO, so that neither a stalled disk nor a stalled reader holds up another, or the tracker.
//!
//! Invariants: a mailbox holds a bounded number of bytes; what does not fit is counted and dropped on a live wire, or
//! waited for where the input waits too. A file that was begun is always ended: its end needs no room. At the end of a
//! run there is no wire to wait for: the records of all calls that are up find room, and everything that was put in is
//! written, unless nobody takes it.

mod block;
mod line_thread;
mod mailbox;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::call::{CallEvent, CallRecord};
use crate::sink::call_files::FileSettings;
use crate::sink::disk::DiskStatus;
use crate::sink::encoder::FrameInfo;
use crate::sink::event_log::Extract;
use crate::sink::lines::Lines;
use crate::sink::named_files::NamedFiles;
use crate::sink::recorder::Written;
use crate::sink::reframe::StreamPiece;
use crate::sink::store::FileCounters;
use crate::sink::template::NameFields;
use crate::time::Timestamp;

use block::{Actor, FileBlock, weight_of};
use line_thread::{Inlet, too_slow};
pub(super) use line_thread::{Line, LineThreads};
use mailbox::{Block as _, Mailbox, Taken, Taker, Wait};

/// What a full mailbox means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The wire does not wait: what does not fit is dropped, counted.
    #[default]
    Drop,
    /// The input waits.
    Wait,
}

impl WhenFull {
    /// Whether what finds no room now is to wait: of a run that is over no packet is missed meanwhile.
    fn waits(self, status: &DiskStatus) -> bool {
        self == Self::Wait || status.is_over()
    }
}

/// Bytes that may wait in the mailbox of one thread. Its twin is being written: twice that is the most.
pub const MAILBOX_BYTES: usize = 32 << 20;

/// Beyond it no file is begun, so that what must come (their ends) stays bounded too.
const OPENING_BYTES: usize = MAILBOX_BYTES + (8 << 20);

/// How long bytes stay in a file's memory. With the time between two looks, less than the promised second.
pub const FLUSH_AFTER: Duration = Duration::from_millis(500);

/// How often a thread that holds bytes looks at the time.
const LOOK: Duration = Duration::from_millis(100);

/// The threads, seen from the tracker.
#[derive(Debug)]
pub(super) struct Writers {
    files: Vec<(Arc<Mailbox<FileBlock>>, JoinHandle<Filed>)>,
    lines: LineThreads,
    when_full: WhenFull,
    /// Calls whose file could not be begun for lack of room.
    refused: Vec<bool>,
    calls_refused: u64,
    status: Arc<DiskStatus>,
}

/// What a thread of files says when it ends.
#[derive(Debug, Default)]
struct Filed {
    counters: FileCounters,
    refused: u64,
    records_refused: u64,
}

impl Writers {
    /// Starts a thread for each of `files`, and those that `lines` need.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(
        files: Vec<NamedFiles>,
        lines: Lines,
        when_full: WhenFull,
        status: &Arc<DiskStatus>,
    ) -> io::Result<Self> {
        let (to_files, mut apart) = lines.split();
        if !to_files.is_empty() {
            apart.push(to_files);
        }
        let lines = LineThreads::start(apart, when_full, status)?;
        let records = lines.records();
        let mut writers = Self {
            files: Vec::with_capacity(files.len()),
            lines,
            when_full,
            refused: Vec::new(),
            calls_refused: 0,
            status: Arc::clone(status),
        };
        for (number, named) in files.into_iter().enumerate() {
            let mailbox = Arc::new(Mailbox::default());
            let mut writer = FileWriter {
                named,
                records: records.clone(),
                status: Arc::clone(status),
                published: FileCounters::default(),
                refused: 0,
                records_refused: 0,
            };
            let taken = Arc::clone(&mailbox);
            let thread =
                thread::Builder::new().name(format!("files{number}")).spawn(move || writer.run(&taken))?;
            writers.files.push((mailbox, thread));
        }
        Ok(writers)
    }

    pub(super) fn open(&mut self, call: u32, fields: &NameFields<'_>, kept: bool) {
        let index = call as usize;
        if index >= self.refused.len() {
            self.refused.resize(index + 1, false);
        }
        let opened = self.put(call, 1, OPENING_BYTES, |block| block.open(call, fields, kept));
        if let Some(refused) = self.refused.get_mut(index) {
            *refused = !opened;
        }
        if !opened {
            self.calls_refused += 1;
            self.status.calls_refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The call has become one to keep: once in its life, and so there is always room for it.
    pub(super) fn keep(&mut self, call: u32) {
        if let Some(mailbox) = self.mailbox(call).filter(|_| !self.is_refused(call)) {
            mailbox.put(|block| block.keep(call));
        }
    }

    pub(super) fn frame(&mut self, call: u32, info: &FrameInfo, bytes: &[u8]) {
        if !self.is_refused(call) {
            let put = self.put(call, bytes.len(), MAILBOX_BYTES, |block| block.frame(call, info, bytes));
            self.count(call, put);
        }
    }

    pub(super) fn stream(&mut self, call: u32, piece: &StreamPiece<'_>) {
        if !self.is_refused(call) {
            let put = self.put(call, piece.bytes.len(), MAILBOX_BYTES, |block| block.stream(call, piece));
            self.count(call, put);
        }
    }

    /// The end of a call: of its file, and then its record, which tells the file's name.
    pub(super) fn close(&mut self, call: u32, kept: bool, record: Option<CallRecord>) {
        let record = record.map(Box::new);
        let Some(mailbox) = self.mailbox(call).filter(|_| !self.is_refused(call)) else {
            if let (Some(record), Some(records)) = (record, self.lines.records()) {
                records.put(Line::Record(record));
            }
            return;
        };
        let weight = record.as_ref().map_or(0, |record| weight_of(record));
        let fits = |block: &FileBlock| block.weight() + weight <= MAILBOX_BYTES;
        if self.when_full.waits(&self.status) {
            mailbox.put_when(fits, |_| ());
        }
        mailbox.put(|block| {
            let fits = record.is_none() || fits(block);
            block.records_refused += u64::from(!fits);
            block.close(call, kept, record.filter(|_| fits));
        });
    }

    pub(super) fn event(&self, event: &CallEvent, extract: Option<&Extract>) {
        self.lines.event(event, extract);
    }

    /// What was put in may go on.
    pub(super) fn ring(&self) {
        self.files.iter().for_each(|(mailbox, _)| mailbox.ring());
        self.lines.ring();
    }

    /// Waits until everything is written, or nobody takes it any more.
    pub(super) fn finish(mut self) -> Written {
        let mut written =
            Written { files: (!self.files.is_empty()).then(FileCounters::default), ..Written::default() };
        let mut records_refused = 0;
        self.files.iter().for_each(|(mailbox, _)| mailbox.close());
        for (_, thread) in std::mem::take(&mut self.files) {
            let filed = rethrow(thread.join());
            if let Some(sum) = &mut written.files {
                sum.add(&filed.counters);
            }
            written.queue_full += filed.refused;
            records_refused += filed.records_refused;
        }
        written.calls_refused = self.calls_refused;
        std::mem::take(&mut self.lines).finish(&mut written);
        written.lines.lost += records_refused;
        if records_refused > 0 {
            written.note(Err(too_slow()));
        }
        written
    }

    fn mailbox(&self, call: u32) -> Option<&Mailbox<FileBlock>> {
        let lane = (call as usize).checked_rem(self.files.len())?;
        self.files.get(lane).map(|(mailbox, _)| &**mailbox)
    }

    fn is_refused(&self, call: u32) -> bool {
        self.refused.get(call as usize).is_none_or(|refused| *refused)
    }

    /// Puts something of `size` bytes in while less than `limit` is there. False when there was no room.
    fn put(&self, call: u32, size: usize, limit: usize, put: impl FnOnce(&mut FileBlock)) -> bool {
        let Some(mailbox) = self.mailbox(call) else { return false };
        let has_room = |block: &FileBlock| block.is_empty() || block.weight().saturating_add(size) <= limit;
        match self.when_full {
            WhenFull::Wait => mailbox.put_when(has_room, put).is_some(),
            WhenFull::Drop => mailbox.put(|block| {
                let fits = has_room(block);
                if fits {
                    put(block);
                }
                fits
            }),
        }
    }

    fn count(&self, call: u32, put: bool) {
        if let Some(mailbox) = self.mailbox(call).filter(|_| !put) {
            mailbox.put(|block| block.frames_refused += 1);
            self.status.queue_full.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Writers {
    /// Without [`Self::finish`]: the threads end by themselves.
    fn drop(&mut self) {
        self.files.iter().for_each(|(mailbox, _)| mailbox.close());
        self.lines.close();
    }
}

fn rethrow<T>(joined: thread::Result<T>) -> T {
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What a thread takes for the time: since it began.
#[derive(Debug)]
struct Clock(Instant);

impl Clock {
    #[allow(
        clippy::disallowed_methods,
        reason = "bytes are promised to be on disk by the wall's clock, not the packets'"
    )]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now(&self) -> Timestamp {
        Timestamp::default().after(self.0.elapsed())
    }
}

/// A thread of files.
struct FileWriter {
    named: NamedFiles,
    /// Where the records go, once their files have names.
    records: Option<Inlet>,
    status: Arc<DiskStatus>,
    published: FileCounters,
    refused: u64,
    records_refused: u64,
}

impl FileWriter {
    fn run(&mut self, mailbox: &Mailbox<FileBlock>) -> Filed {
        let taker = Taker(mailbox);
        let clock = Clock::start();
        let mut block = FileBlock::default();
        loop {
            // A frame is as old as the moment at which it was taken out, within a look of when it came.
            let wait = if self.named.files.has_waiting() { Wait::Doze(LOOK) } else { Wait::ForWork };
            match mailbox.take(&mut block, wait) {
                Taken::Work => {
                    self.named.files.set_time(clock.now());
                    self.refused += block.frames_refused;
                    self.records_refused += block.records_refused;
                    self.status.lines_lost.fetch_add(block.records_refused, Ordering::Relaxed);
                    block.act(self);
                    if let Some(records) = &self.records {
                        records.ring();
                    }
                }
                Taken::Nothing => {}
                Taken::Closed => break,
            }
            self.named.files.flush_older(clock.now());
            self.publish();
        }
        drop(taker);
        self.named.files.finish();
        self.publish();
        Filed {
            counters: self.named.files.counters(),
            refused: self.refused,
            records_refused: self.records_refused,
        }
    }

    fn publish(&mut self) {
        let counters = self.named.files.counters();
        self.status.publish(&self.published, &counters);
        self.published = counters;
    }
}

impl Actor for FileWriter {
    fn open(&mut self, call: u32, fields: &NameFields<'_>, kept: bool) {
        self.named.open(call, fields, kept);
    }

    fn keep(&mut self, call: u32) {
        self.named.keep(call);
    }

    fn frame(&mut self, call: u32, info: &FrameInfo, bytes: &[u8]) {
        self.named.frame(call, info, bytes);
    }

    fn stream(&mut self, call: u32, piece: &StreamPiece<'_>) {
        self.named.stream(call, piece);
    }

    fn close(&mut self, call: u32, kept: bool, record: Option<Box<CallRecord>>) {
        let path = self.named.close(call, kept, record.is_some());
        if let (Some(records), Some(mut record)) = (&self.records, record) {
            record.pcap = path;
            records.put(Line::Record(record));
        }
    }
}

/// How the memory and descriptors of one writer are shared out among `writers`.
#[must_use]
pub fn share(settings: &FileSettings, writers: usize) -> FileSettings {
    let writers = writers.max(1);
    FileSettings {
        max_open: (settings.max_open / writers).max(1),
        buffer_limit: settings.buffer_limit / writers,
        ..settings.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::LinkType;
    use crate::sink::call_files::CallFiles;
    use crate::sink::names::{NameBook, NameSettings};
    use std::path::Path;

    fn named(directory: &Path) -> NamedFiles {
        let settings = FileSettings { directory: directory.to_owned(), ..FileSettings::default() };
        let names = NameSettings { directory: directory.to_owned(), ..NameSettings::default() };
        let files = CallFiles::new(share(&settings, 2)).unwrap();
        NamedFiles::new(directory.to_owned(), files, NameBook::new(names).unwrap())
    }

    fn fields(call_id: &str) -> NameFields<'_> {
        NameFields { call_id: call_id.as_bytes(), ..NameFields::default() }
    }

    fn info(length: usize) -> FrameInfo {
        FrameInfo {
            timestamp: Timestamp::new(1_700_000_000, 0),
            nanosecond: false,
            link: LinkType::RAW,
            original: length as u32,
        }
    }

    #[test]
    fn files_are_those_that_one_thread_would_write() {
        let home = tempfile::tempdir().unwrap();
        let (one, two) = (home.path().join("one"), home.path().join("two"));
        let status = Arc::new(DiskStatus::default());
        let mut alone = named(&one);
        let both = vec![named(&two), named(&two)];
        let mut writers = Writers::start(both, Lines::default(), WhenFull::Wait, &status).unwrap();
        for round in 0..3u8 {
            for call in 0..50 {
                alone.open(call, &fields(&format!("{round}-{call}")), true);
                writers.open(call, &fields(&format!("{round}-{call}")), true);
            }
            for step in 0..2_000u32 {
                let (call, bytes) = (step * 7 % 50, vec![round; (step % 1_400) as usize]);
                alone.frame(call, &info(bytes.len()), &bytes);
                writers.frame(call, &info(bytes.len()), &bytes);
            }
            writers.ring();
            for call in 0..50 {
                alone.close(call, call != 13, false);
                writers.close(call, call != 13, None);
            }
        }
        drop(alone);
        let written = writers.finish();
        let files = written.files.unwrap();
        assert_eq!((files.files_written, files.files_discarded, files.frames_discarded), (147, 3, 120));
        assert_eq!((written.queue_full, written.calls_refused, status.figures().files_written), (0, 0, 147));
        for entry in std::fs::read_dir(&one).unwrap() {
            let entry = entry.unwrap();
            assert!(
                std::fs::read(entry.path()).unwrap() == std::fs::read(two.join(entry.file_name())).unwrap()
            );
        }
        assert_eq!(std::fs::read_dir(&two).unwrap().count(), 147);
    }

    /// Counts commands, and checks that they come in order.
    #[derive(Default)]
    struct Seen {
        open: std::collections::BTreeSet<u32>,
        frames: usize,
        opened: usize,
    }

    impl Actor for Seen {
        fn keep(&mut self, _: u32) {}

        fn open(&mut self, call: u32, fields: &NameFields<'_>, _: bool) {
            assert_eq!(fields.call_id, call.to_string().as_bytes());
            assert!(self.open.insert(call));
            self.opened += 1;
        }

        fn frame(&mut self, call: u32, info: &FrameInfo, bytes: &[u8]) {
            assert!(self.open.contains(&call) && info.original as usize == bytes.len());
            assert!(bytes.iter().all(|&byte| byte == call as u8));
            self.frames += 1;
        }

        fn stream(&mut self, _: u32, _: &StreamPiece<'_>) {}

        fn close(&mut self, call: u32, _: bool, _: Option<Box<CallRecord>>) {
            assert!(self.open.remove(&call), "{call} was begun and is ended once");
        }
    }

    #[test]
    fn a_stalled_disk_costs_frames_then_calls_and_never_an_end() {
        let status = Arc::new(DiskStatus::default());
        let mut writers = Writers::start(Vec::new(), Lines::default(), WhenFull::Drop, &status).unwrap();
        let mailbox = Arc::new(Mailbox::default());
        // Nobody takes anything out.
        writers.files.push((Arc::clone(&mailbox), thread::spawn(Filed::default)));
        let mut frames = 0;
        for call in 0..300_000u32 {
            let text = call.to_string();
            writers.open(call, &fields(&text), true);
            writers.frame(call, &info(1_000), &[call as u8; 1_000]);
            frames += usize::from(!writers.is_refused(call));
            assert!(mailbox.put(|block| block.weight()) <= OPENING_BYTES + 1_200);
        }
        (0..300_000).for_each(|call| writers.close(call, true, None));
        let mut block = FileBlock::default();
        assert_eq!(mailbox.take(&mut block, Wait::ForWork), Taken::Work);
        let refused = block.frames_refused as usize;
        let mut seen = Seen::default();
        block.act(&mut seen);
        assert!(seen.open.is_empty() && seen.frames > 20_000 && seen.opened > seen.frames);
        assert_eq!(seen.opened as u64 + writers.calls_refused, 300_000);
        assert_eq!(seen.frames + refused, frames);
        let figures = status.figures();
        assert_eq!((figures.queue_full, figures.calls_refused), (refused as u64, writers.calls_refused));
        assert!(figures.calls_refused > 0);
    }
}
