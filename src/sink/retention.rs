//! Old call files go: by age, by the size of all of them, by the space that is left.
//!
//! In: the list of completed files ([`Manifest`]), the clock, the file system's free space. Out: the oldest are deleted,
//! at a pace. Nothing is kept of a file in memory but one byte: the list is the queue, read at its end when files are
//! added and at its front when they go.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::sink::disk::{DiskStatus, Space, space};
use crate::sink::manifest::{Entry, Line, Manifest};
use crate::sink::throttle::Throttle;
use crate::time::Timestamp;

/// What is kept. Without any of these, everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionSettings {
    /// A file is deleted that long after its call ended.
    pub max_age: Option<Duration>,
    /// Bytes of all files together.
    pub max_total_size: Option<u64>,
    /// Bytes that are to stay free in the file system.
    pub min_free: Option<u64>,
}

impl RetentionSettings {
    /// Whether nothing is ever deleted.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

/// Files deleted in one go, and lines read: some tens of milliseconds of work.
const PACE: usize = 2_000;

/// Between two goes, when there is more to do; when there is not.
const BUSY: Duration = Duration::from_millis(50);
const CALM: Duration = Duration::from_secs(2);

/// Files that users deleted or changed are still in the sum: it is taken anew that often.
const RECOUNT: Duration = Duration::from_secs(3_600);

/// Tries before a file that must not be deleted is left alone.
const REFUSALS: u32 = 3;

/// Bytes of dead lines that are worth writing the list anew.
const DEAD: u64 = 1 << 20;

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Deletes what is not to be kept.
#[derive(Debug)]
pub(super) struct Retention {
    settings: RetentionSettings,
    manifest: Arc<Manifest>,
    /// Where the oldest file's line is, and where the first line is that was not read yet.
    head: u64,
    tail: u64,
    /// For each completed file between them: whether it counts in the sum.
    counted: VecDeque<bool>,
    files: u64,
    bytes: u64,
    /// How often the oldest could not be deleted.
    refusals: u32,
    front: Vec<(Option<Line>, u64)>,
    back: Vec<(Option<Line>, u64)>,
}

impl Retention {
    pub(super) fn new(settings: RetentionSettings, manifest: Arc<Manifest>) -> Self {
        let (front, back) = (Vec::new(), Vec::new());
        Self {
            settings,
            manifest,
            head: 0,
            tail: 0,
            counted: VecDeque::new(),
            files: 0,
            bytes: 0,
            refusals: 0,
            front,
            back,
        }
    }

    /// One go. Tells what went and whether there is more to do.
    pub(super) fn step(&mut self, now: SystemTime, space: Option<Space>) -> io::Result<(Gone, bool)> {
        let more_lines = self.read()?;
        let mut gone = Gone::default();
        for _ in 0..PACE {
            let Some((line, next)) = self.oldest()? else { return self.rest(gone, more_lines) };
            let Some(Line::Done(entry)) = line else {
                self.head = next;
                continue;
            };
            if !self.is_over(&entry, now, space, gone.bytes) {
                return self.rest(gone, more_lines);
            }
            match self.manifest.delete(&entry) {
                Ok(true) => {
                    gone.files += 1;
                    gone.bytes = gone.bytes.saturating_add(entry.size);
                }
                Ok(false) => {}
                // One file that must not be deleted is not to keep all that are younger.
                Err(error)
                    if error.kind() == io::ErrorKind::PermissionDenied && self.refusals >= REFUSALS => {}
                Err(error) => {
                    self.refusals += 1;
                    return if gone.files > 0 { Ok((gone, false)) } else { Err(error) };
                }
            }
            self.refusals = 0;
            self.head = next;
            self.forget(&entry);
        }
        Ok((gone, true))
    }

    /// Takes the sum anew.
    pub(super) fn recount(&mut self) {
        self.tail = self.head;
        self.counted.clear();
        (self.files, self.bytes) = (0, 0);
    }

    fn rest(&mut self, gone: Gone, more: bool) -> io::Result<(Gone, bool)> {
        let unread = self.tail.saturating_sub(self.head);
        if self.head >= DEAD && self.head >= unread && !more {
            let head = self.manifest.compact(self.head)?;
            self.tail = head + unread;
            self.head = head;
            self.front.clear();
        }
        Ok((gone, more))
    }

    /// Reads lines that were added. True when there are more.
    fn read(&mut self) -> io::Result<bool> {
        let mut left = PACE;
        while left > 0 {
            let mut lines = std::mem::take(&mut self.back);
            let read = self.manifest.lines(self.tail, &mut lines);
            let count = lines.len();
            for (line, next) in lines.drain(..) {
                self.tail = next;
                if let Some(Line::Done(entry)) = line {
                    let counts = self.manifest.holds(&entry);
                    self.counted.push_back(counts);
                    if counts {
                        self.files += 1;
                        self.bytes = self.bytes.saturating_add(entry.size);
                    }
                }
            }
            self.back = lines;
            read?;
            if count == 0 {
                return Ok(false);
            }
            left = left.saturating_sub(count);
        }
        Ok(true)
    }

    /// The oldest line, of those that were read at the end too.
    fn oldest(&mut self) -> io::Result<Option<(Option<Line>, u64)>> {
        if self.head >= self.tail {
            return Ok(None);
        }
        // A page of lines, the next one last.
        while self.front.last().is_some_and(|(_, next)| *next <= self.head) {
            self.front.pop();
        }
        if self.front.is_empty() {
            self.manifest.lines(self.head, &mut self.front)?;
            self.front.reverse();
        }
        Ok(self.front.last().cloned())
    }

    fn is_over(&self, entry: &Entry, now: SystemTime, space: Option<Space>, freed: u64) -> bool {
        let settings = &self.settings;
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let age = i128::try_from(now).unwrap_or(i128::MAX).saturating_sub(entry.modified);
        let is_old =
            settings.max_age.is_some_and(|most| age > i128::try_from(most.as_nanos()).unwrap_or(i128::MAX));
        let is_much = settings.max_total_size.is_some_and(|most| self.bytes > most);
        let free = space.map(|space| space.free.saturating_add(freed));
        let is_tight = settings.min_free.zip(free).is_some_and(|(least, free)| free < least);
        is_old || is_much || is_tight
    }

    fn forget(&mut self, entry: &Entry) {
        if self.counted.pop_front() == Some(true) {
            self.files = self.files.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(entry.size);
        }
    }
}

/// The thread that looks at the disk of call files: its space for [`DiskStatus`], and retention.
#[derive(Debug)]
pub struct DiskWatch {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl DiskWatch {
    /// Starts it for `directory`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(
        directory: PathBuf,
        settings: RetentionSettings,
        manifest: Option<Arc<Manifest>>,
        status: Arc<DiskStatus>,
    ) -> io::Result<Self> {
        let (stop, stopped) = bounded(1);
        let retention =
            manifest.filter(|_| !settings.is_off()).map(|manifest| Retention::new(settings, manifest));
        let mut watch = Watch { directory, settings, retention, status, ..Watch::default() };
        let thread = thread::Builder::new().name("disk".to_owned()).spawn(move || {
            let mut since_count = Duration::ZERO;
            loop {
                let pause = if watch.look() { BUSY } else { CALM };
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    watch.tell_untold();
                    return;
                }
                watch.up += pause;
                since_count += pause;
                if since_count >= RECOUNT {
                    since_count = Duration::ZERO;
                    watch.retention.iter_mut().for_each(Retention::recount);
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for DiskWatch {
    fn drop(&mut self) {
        let _ = self.stop.try_send(());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say; a panic has been printed.
            let _ = thread.join();
        }
    }
}

#[derive(Debug, Default)]
struct Watch {
    directory: PathBuf,
    settings: RetentionSettings,
    retention: Option<Retention>,
    status: Arc<DiskStatus>,
    up: Duration,
    throttle: Throttle,
    untold: Gone,
    told: Option<Duration>,
    is_tight: bool,
}

impl Watch {
    /// Looks once. True when there is more to do at once.
    fn look(&mut self) -> bool {
        let space = space(&self.directory).ok();
        if let Some(space) = space {
            self.status.set_space(space);
        }
        let Some(retention) = &mut self.retention else { return false };
        #[allow(clippy::disallowed_methods, reason = "a file's age is counted by the clock that stamped it")]
        let stepped = retention.step(SystemTime::now(), space);
        self.status.retained_files.store(retention.files, Ordering::Relaxed);
        self.status.retained_bytes.store(retention.bytes, Ordering::Relaxed);
        let now = Timestamp::default().after(self.up);
        match stepped {
            Ok((gone, more)) => {
                self.throttle.worked(now, "old call files are deleted");
                self.tell(gone);
                self.tell_tight(space, more);
                more
            }
            Err(error) => {
                self.throttle.failed(now, "delete old call files", &error);
                false
            }
        }
    }

    fn tell(&mut self, gone: Gone) {
        self.status.deleted_files.fetch_add(gone.files, Ordering::Relaxed);
        self.status.deleted_bytes.fetch_add(gone.bytes, Ordering::Relaxed);
        self.untold.files += gone.files;
        self.untold.bytes += gone.bytes;
        let is_due = self.told.is_none_or(|told| self.up.saturating_sub(told) >= Duration::from_secs(60));
        if is_due {
            self.tell_untold();
        }
    }

    fn tell_untold(&mut self) {
        let Gone { files, bytes } = std::mem::take(&mut self.untold);
        if files > 0 {
            let directory = self.directory.display();
            tracing::info!("{directory}: {files} old call files deleted, {bytes} bytes");
            self.told = Some(self.up);
        }
    }

    /// Says once when the disk is fuller than it should be and there is nothing of ours to delete.
    fn tell_tight(&mut self, space: Option<Space>, more: bool) {
        let free = space.map(|space| space.free);
        let is_tight = self.settings.min_free.zip(free).is_some_and(|(least, free)| free < least) && !more;
        let is_empty = self.retention.as_ref().is_some_and(|retention| retention.files == 0);
        if is_tight && is_empty && !self.is_tight {
            let directory = self.directory.display();
            tracing::warn!(
                "{directory}: less than pcap.min_free is free, and no call file is left to delete"
            );
        }
        self.is_tight = is_tight && is_empty;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn write(manifest: &Manifest, directory: &Path, name: &str, size: usize, age: u64) {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![7; size]).unwrap();
        let stamp = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age);
        fs::File::options().write(true).open(&path).unwrap().set_modified(stamp).unwrap();
        manifest.done(None, name).unwrap();
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries =
            fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    fn run(settings: RetentionSettings, free: u64) -> (Vec<String>, Gone, u64) {
        let home = tempfile::tempdir().unwrap();
        let manifest = Arc::new(Manifest::open(home.path()).unwrap());
        fs::write(home.path().join("foreign.pcap"), [0; 5_000]).unwrap();
        for (name, age) in [("a.pcap", 900), ("b.pcap", 800), ("c.pcap", 300), ("d.pcap", 10)] {
            write(&manifest, home.path(), name, 1_000, age);
        }
        fs::remove_file(home.path().join("b.pcap")).unwrap();
        let mut retention = Retention::new(settings, manifest);
        let space = Some(Space { free, total: 100_000 });
        let (gone, more) = retention.step(now(), space).unwrap();
        assert!(!more);
        (names(home.path()), gone, retention.bytes)
    }

    #[test]
    fn the_oldest_go_and_no_more_than_must() {
        let off = RetentionSettings::default();
        let keep = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let all = keep(&["a.pcap", "c.pcap", "d.pcap", "foreign.pcap"]);
        assert_eq!(run(off, 0), (all, Gone::default(), 3_000));
        let one = Gone { files: 1, bytes: 1_000 };
        let without_a = keep(&["c.pcap", "d.pcap", "foreign.pcap"]);
        let age = RetentionSettings { max_age: Some(Duration::from_secs(301)), ..off };
        assert_eq!(run(age, 0), (without_a.clone(), one, 2_000));
        let size = RetentionSettings { max_total_size: Some(2_500), ..off };
        assert_eq!(run(size, 0), (without_a.clone(), one, 2_000));
        let free = RetentionSettings { min_free: Some(10_500), ..off };
        assert_eq!(run(free, 9_600), (without_a, one, 2_000));
        assert_eq!(run(free, 0).0, ["foreign.pcap"], "all of ours, and nothing else");
    }

    #[test]
    fn it_goes_on_over_pages_restarts_and_a_list_written_anew() {
        let home = tempfile::tempdir().unwrap();
        let settings = RetentionSettings { max_total_size: Some(50), ..RetentionSettings::default() };
        let manifest = Arc::new(Manifest::open(home.path()).unwrap());
        let mut retention = Retention::new(settings, Arc::clone(&manifest));
        let long = "x".repeat(180);
        let mut deleted = 0;
        for round in 0..4 {
            for number in 0..3_000 {
                write(&manifest, home.path(), &format!("{round}/{long}{number}.pcap"), 10, 0);
            }
            manifest.made(&round.to_string()).unwrap();
            loop {
                let (gone, more) = retention.step(now(), None).unwrap();
                deleted += gone.files;
                if !more {
                    break;
                }
            }
        }
        assert_eq!((deleted, retention.files, retention.bytes), (11_995, 5, 50));
        assert_eq!(names(home.path()), ["3"], "directories that were made and emptied are gone");
        assert_eq!(names(&home.path().join("3")).len(), 5);
        let list = home.path().join(crate::sink::manifest::NAME);
        assert!(fs::metadata(&list).unwrap().len() < 1_500_000, "of 2.6 MB of lines");
        drop((retention, manifest));
        let manifest = Arc::new(Manifest::open(home.path()).unwrap());
        let mut retention =
            Retention::new(RetentionSettings { max_total_size: Some(30), ..settings }, manifest);
        while let (_, true) = retention.step(now(), None).unwrap() {}
        assert_eq!((retention.files, retention.bytes), (3, 30));
        retention.recount();
        while let (_, true) = retention.step(now(), None).unwrap() {}
        assert_eq!((retention.files, names(&home.path().join("3")).len()), (3, 3));
    }
}
