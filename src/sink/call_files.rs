//! One capture file per call, many calls at once.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::call::GROUP;
use crate::near::fetch;
use crate::sink::chunks::Tail;
use crate::sink::directory::Directories;
use crate::sink::encoder::{Encoder, Fate, FileFormat, FrameInfo};
use crate::sink::manifest::Manifest;
use crate::sink::reframe::{Reframer, StreamPiece, Streams};
use crate::sink::store::{CallFile, FileCounters, Store};
use crate::slots::Slots;
use crate::time::Timestamp;

/// What the writer of call files may use.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// Where the files go; created when missing.
    pub directory: PathBuf,
    /// Their format.
    pub format: FileFormat,
    /// Descriptors of unfinished files that may be open at once.
    pub max_open: usize,
    /// Bytes of memory that may wait for the disk, over all files, counted as allocated.
    pub buffer_limit: usize,
    /// Frames older than that are on disk, if only in an unfinished file; none: memory may hold them until the call
    /// ends.
    pub flush_after: Option<Duration>,
    /// Where files are listed, for retention.
    pub manifest: Option<Arc<Manifest>>,
}

impl Default for FileSettings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("."),
            format: FileFormat::Pcap,
            max_open: 64,
            buffer_limit: 96 << 20,
            flush_after: None,
            manifest: None,
        }
    }
}

/// Number of a file, chosen by the caller and used again after [`CallFiles::close`]: small numbers, for they are
/// indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey(pub u32);

/// A call that alone holds so much goes to disk: the most that one system call writes.
const LARGE: u64 = 1 << 20;

/// How long after the end of a call its file is written: the last acknowledgement and what the other side still said
/// have come by then. Anything later, until the call is closed, is appended.
const AFTERMATH: Duration = Duration::from_secs(1);

/// The least buffer: below it every frame would search for something to spill.
const LEAST_BUFFER: usize = 64 << 10;

/// What is known of a file. What every frame needs comes first: it fills two cache lines.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Slot {
    /// Tells this file from the one that had the key before.
    generation: u32,
    open: bool,
    /// It stands in [`CallFiles::waiting`].
    waiting: bool,
    /// It will be kept; of what may be discarded nothing goes to disk for its age.
    kept: bool,
    encoder: Encoder,
    file: CallFile,
    streams: Streams,
}

/// Something of a file is in memory since `since`.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Timestamp,
    key: u32,
    generation: u32,
}

/// Writes the files of calls.
///
/// A call's bytes wait in memory and are written at once when it ends. They go to `NAME.part` before that when all
/// files together hold more than the limit, when one grows large, or when they get old. What a file holds in the
/// end does not depend on that.
#[derive(Debug)]
pub struct CallFiles {
    settings: FileSettings,
    slots: Slots<Slot>,
    store: Store,
    reframer: Reframer,
    waiting: VecDeque<Waiting>,
    /// Files whose calls have ended, while nobody waits for what is in memory.
    ended: VecDeque<Waiting>,
    /// The last time that [`Self::flush_older`] was told.
    now: Timestamp,
    /// Where the search for files to spill goes on.
    hand: usize,
}

impl CallFiles {
    /// A writer without files.
    ///
    /// # Errors
    /// The directory is not there and cannot be made, or cannot be opened.
    pub fn new(settings: FileSettings) -> io::Result<Self> {
        let directories = Directories::listed(&settings.directory, settings.manifest.clone())?;
        let buffer_limit = settings.buffer_limit.max(LEAST_BUFFER);
        Ok(Self {
            store: Store::new(directories, settings.max_open, settings.manifest.clone()),
            settings: FileSettings { buffer_limit, ..settings },
            slots: Slots::default(),
            reframer: Reframer::default(),
            waiting: VecDeque::new(),
            ended: VecDeque::new(),
            now: Timestamp::default(),
            hand: 0,
        })
    }

    /// Begins the file of a call. `name` writes its name: relative to the directory, with its extension, and safe (see
    /// [`crate::sink::NameBook`]). Nothing is on disk yet. A file that still has the key is closed.
    /// What is not `kept` may yet be discarded: it stays in memory while there is room, until [`Self::keep`].
    pub fn open(&mut self, key: FileKey, kept: bool, name: impl FnOnce(&mut String)) {
        self.close(key);
        let index = key.0 as usize;
        while index >= self.slots.len() {
            self.slots.push(Slot::default());
        }
        let format = self.settings.format;
        if let Some(slot) = self.slots.get_mut(index) {
            slot.open = true;
            slot.waiting = false;
            slot.kept = kept;
            slot.generation = slot.generation.wrapping_add(1);
            slot.encoder = Encoder::new(format);
            slot.streams.clear();
            slot.file.name.clear();
            name(&mut slot.file.name);
        }
    }

    /// The name that the latest file of a key has, or would have.
    pub(super) fn name(&self, key: FileKey) -> &str {
        self.slots.get(key.0 as usize).map_or("", |slot| &slot.file.name)
    }

    /// The file will be kept.
    pub fn keep(&mut self, key: FileKey) {
        if let Some(slot) = open_slot(&mut self.slots, key) {
            slot.kept = true;
            self.grown(key);
        }
    }

    /// Fetches what the next frames of these files need.
    pub fn touch(&self, keys: impl Iterator<Item = FileKey> + Clone) {
        let slots = keys.filter_map(|key| self.slots.get(key.0 as usize));
        slots.clone().for_each(|slot| {
            fetch(&slot.generation);
            fetch(&slot.encoder);
            fetch(&slot.file.held);
        });
        slots.for_each(|slot| self.store.pool.touch(&slot.file.held));
    }

    /// Fetches the names of these files.
    fn touch_names(&self, keys: impl Iterator<Item = FileKey>) {
        let slots = keys.filter_map(|key| self.slots.get(key.0 as usize));
        slots.filter_map(|slot| slot.file.name.as_bytes().first()).for_each(fetch);
    }

    /// Adds a captured frame. Does nothing when no file has the key.
    pub fn frame(&mut self, key: FileKey, info: &FrameInfo, bytes: &[u8]) {
        let Some(slot) = open_slot(&mut self.slots, key) else { return };
        encode(slot, &mut self.store, info, bytes);
        self.grown(key);
    }

    /// Adds a message that came in a stream, as frames of a stream of this file's own (see
    /// [`crate::sink::reframe`]). Does nothing when no file has the key.
    pub fn stream(&mut self, key: FileKey, piece: &StreamPiece<'_>) {
        let Some(slot) = open_slot(&mut self.slots, key) else { return };
        let bound = slot.encoder.bound_to();
        let mut streams = std::mem::take(&mut slot.streams);
        let store = &mut self.store;
        let made = self.reframer.frames(&mut streams, bound, piece, |info, bytes| {
            store.counters.frames_made += 1;
            encode(slot, store, info, bytes);
        });
        slot.streams = streams;
        if made.is_none() {
            self.store.counters.frames += 1;
            self.store.counters.frames_unwritable += 1;
        }
        self.grown(key);
    }

    /// The call has ended; all that belongs to it has probably come in a moment.
    pub fn ended(&mut self, key: FileKey) {
        if self.settings.flush_after.is_none()
            && self.settings.manifest.is_none()
            && let Some(slot) = open_slot(&mut self.slots, key)
        {
            self.ended.push_back(Waiting { since: self.now, key: key.0, generation: slot.generation });
        }
    }

    /// Ends the file: all of it is written, under its final name. A file without frames is none. Tells which form of
    /// its name it has (`a.pcap`, `a~2.pcap`, …), when there is a file.
    pub fn close(&mut self, key: FileKey) -> Option<u32> {
        let slot = open_slot(&mut self.slots, key)?;
        slot.open = false;
        self.store.finish(key.0, &mut slot.file)
    }

    /// Ends the file and removes what is on disk of it.
    pub fn discard(&mut self, key: FileKey) {
        if let Some(slot) = open_slot(&mut self.slots, key) {
            slot.open = false;
            self.store.discard(key.0, &mut slot.file);
        }
    }

    /// Whether bytes are in memory that [`Self::flush_older`] will bring to disk.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What time it is: the age of what comes now is counted from here.
    pub fn set_time(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.store.now = self.now;
    }

    /// Brings to disk what has been in memory for [`FileSettings::flush_after`], and calls that have ended. To be
    /// called on every tick.
    pub fn flush_older(&mut self, now: Timestamp) {
        self.set_time(now);
        self.write_ended();
        let Some(age) = self.settings.flush_after else { return };
        while let Some(oldest) = self.waiting.front().copied() {
            if self.now.since(oldest.since) < age {
                break;
            }
            self.waiting.pop_front();
            let slot = open_slot(&mut self.slots, FileKey(oldest.key));
            if let Some(slot) = slot.filter(|slot| slot.generation == oldest.generation) {
                slot.waiting = false;
                spill(slot, oldest.key, &mut self.store);
            }
        }
    }

    /// Writes the files of calls that ended a while ago.
    fn write_ended(&mut self) {
        let is_past = |ended: &Waiting| self.now.since(ended.since) >= AFTERMATH;
        let past = self.ended.partition_point(is_past);
        let ended: SmallVec<[Waiting; 128]> = self.ended.drain(..past).collect();
        for group in ended.chunks(GROUP) {
            let files = group.iter().map(|ended| FileKey(ended.key));
            self.touch(files.clone());
            self.touch_names(files);
            for ended in group {
                let slot = open_slot(&mut self.slots, FileKey(ended.key));
                if let Some(slot) = slot.filter(|slot| slot.kept && slot.generation == ended.generation)
                    && self.store.write_early(&mut slot.file).is_err()
                {
                    slot.encoder.lost(false);
                }
            }
        }
    }

    /// Ends every file.
    pub fn finish(&mut self) {
        for key in 0..self.slots.len() {
            self.close(FileKey(u32::try_from(key).unwrap_or(u32::MAX)));
        }
        self.waiting.clear();
        self.ended.clear();
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> FileCounters {
        let held_bytes = self.store.pool.held() as u64;
        FileCounters { held_bytes, ..self.store.counters.clone() }
    }

    /// Keeps the limits after a file grew.
    #[inline]
    fn grown(&mut self, key: FileKey) {
        let Some(slot) = open_slot(&mut self.slots, key) else { return };
        if slot.file.held.length >= LARGE {
            spill(slot, key.0, &mut self.store);
        } else if self.settings.flush_after.is_some() && slot.kept && !slot.waiting {
            slot.waiting = true;
            self.waiting.push_back(Waiting { since: self.now, key: key.0, generation: slot.generation });
        }
        if self.store.pool.held() > self.settings.buffer_limit {
            self.relieve();
        }
    }

    /// Spills a quarter of the limit: first files that hold at least the mean, for a system call costs the same
    /// for few bytes as for many; should that not do, any.
    fn relieve(&mut self) {
        let target = self.settings.buffer_limit / 4 * 3;
        let holding = self.slots.iter().map(|(slot, _)| slot).filter(|slot| slot.file.held.chunks() > 0);
        let (files, chunks) = holding.fold((0usize, 0usize), |(files, chunks), slot| {
            (files + 1, chunks.saturating_add(slot.file.held.chunks()))
        });
        for least in [chunks / files.max(1), 1] {
            for _ in 0..self.slots.len() {
                if self.store.pool.held() <= target {
                    return;
                }
                self.hand = (self.hand + 1) % self.slots.len().max(1);
                if let Some(slot) = self.slots.get_mut(self.hand)
                    && slot.file.held.chunks() >= least.max(1)
                {
                    spill(slot, self.hand as u32, &mut self.store);
                }
            }
        }
    }
}

impl Drop for CallFiles {
    fn drop(&mut self) {
        self.finish();
    }
}

#[inline]
fn open_slot(slots: &mut Slots<Slot>, key: FileKey) -> Option<&mut Slot> {
    slots.get_mut(key.0 as usize).filter(|slot| slot.open)
}

#[inline]
fn encode(slot: &mut Slot, store: &mut Store, info: &FrameInfo, bytes: &[u8]) {
    let mut out = Tail { pool: &mut store.pool, chain: &mut slot.file.held };
    let fate = slot.encoder.frame(info, bytes, &mut out);
    store.counters.frames += 1;
    match fate {
        Fate::Written => slot.file.frames += 1,
        Fate::Rewrapped => {
            slot.file.frames += 1;
            store.counters.frames_rewrapped += 1;
        }
        Fate::Unwritable => store.counters.frames_unwritable += 1,
    }
}

fn spill(slot: &mut Slot, key: u32, store: &mut Store) {
    if store.spill(key, &mut slot.file).is_err() {
        slot.encoder.lost(slot.file.has_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::LinkType;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn settings(directory: &Path) -> FileSettings {
        FileSettings { directory: directory.to_owned(), ..FileSettings::default() }
    }

    fn named(text: impl Into<String>) -> impl FnOnce(&mut String) {
        |name| *name = text.into()
    }

    fn frame(files: &mut CallFiles, key: u32, length: usize, fill: u8) {
        let info = FrameInfo {
            timestamp: Timestamp::new(1_700_000_000, 0),
            nanosecond: false,
            link: LinkType::RAW,
            original: length as u32,
        };
        files.frame(FileKey(key), &info, &vec![fill; length]);
    }

    fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
            .collect()
    }

    fn balanced(counters: &FileCounters) -> bool {
        counters.frames
            == counters.frames_written
                + counters.frames_unwritable
                + counters.frames_discarded
                + counters.frames_lost
    }

    /// Deals `frames` (file, length) to files, with what happens between them; what each file holds in the end.
    fn run(settings: FileSettings, frames: &[(u32, usize)], flush: bool) -> BTreeMap<String, Vec<u8>> {
        let directory = settings.directory.clone();
        let mut files = CallFiles::new(settings).unwrap();
        for key in 0..40 {
            files.open(FileKey(key), true, named(format!("call{key}.pcap")));
        }
        for (step, &(key, length)) in frames.iter().enumerate() {
            frame(&mut files, key, length, step as u8);
            if key % 5 == 0 {
                files.ended(FileKey(key));
            }
            if flush {
                files.flush_older(Timestamp::new(step as u64, 0));
            }
        }
        files.discard(FileKey(7));
        files.finish();
        let counters = files.counters();
        assert!(balanced(&counters), "{counters:?}");
        assert_eq!((counters.held_bytes, counters.open_files, counters.write_errors), (0, 0, 0));
        let found = contents(&directory);
        assert_eq!(counters.files_written, found.len() as u64);
        assert_eq!(counters.frames_written + counters.frames_discarded, frames.len() as u64);
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// What a file holds does not depend on when it went to disk, or on how few descriptors there were.
        #[test]
        fn bytes_do_not_depend_on_spills(frames in prop::collection::vec((0u32..40, 0usize..9_000), 0..300)) {
            let home = tempfile::tempdir().unwrap();
            let calm = run(settings(&home.path().join("calm")), &frames, false);
            let tight = FileSettings { max_open: 2, buffer_limit: 0, ..settings(&home.path().join("tight")) };
            let hasty = FileSettings {
                flush_after: Some(Duration::from_secs(3)), max_open: 1, ..settings(&home.path().join("hasty"))
            };
            for (key, expected) in &calm {
                prop_assert!(key.ends_with(".pcap") && key != "call7.pcap" && expected.len() >= 40);
            }
            prop_assert!(calm == run(tight, &frames, false));
            prop_assert!(calm == run(hasty, &frames, true));
            let early = settings(&home.path().join("early"));
            prop_assert!(calm == run(early, &frames, true));
        }
    }

    #[test]
    fn a_call_that_ended_is_on_disk_and_what_comes_late_is_appended() {
        let home = tempfile::tempdir().unwrap();
        let mut files = CallFiles::new(settings(home.path())).unwrap();
        let at = |seconds| Timestamp::new(seconds, 0);
        files.flush_older(at(10));
        for (key, kept) in [(0, true), (1, true), (2, false), (3, true)] {
            files.open(FileKey(key), kept, named(format!("{key}.pcap")));
            frame(&mut files, key, 100, 1);
        }
        std::fs::write(home.path().join("1.pcap"), "somebody else's").unwrap();
        (0..3).for_each(|key| files.ended(FileKey(key)));
        frame(&mut files, 0, 50, 2);
        files.flush_older(at(10));
        assert_eq!(contents(home.path()).len(), 1, "an acknowledgement may follow");
        files.flush_older(at(11));
        let early = contents(home.path());
        assert_eq!(early.keys().collect::<Vec<_>>(), ["0.pcap", "1.pcap", "1~2.pcap"], "2 may not be kept");
        assert_eq!(early["0.pcap"].len(), 24 + 16 + 100 + 16 + 50);
        assert_eq!((files.counters().files_written, files.counters().open_files), (0, 0));
        frame(&mut files, 0, 70, 3);
        frame(&mut files, 3, 70, 3);
        let numbers: Vec<_> = (0..4).map(|key| files.close(FileKey(key))).collect();
        assert_eq!(numbers, [Some(1), Some(2), Some(1), Some(1)]);
        let all = contents(home.path());
        assert_eq!(all["0.pcap"].len(), 24 + 16 + 100 + 16 + 50 + 16 + 70);
        assert_eq!(all["1.pcap"], b"somebody else's");
        let counters = files.counters();
        assert!(balanced(&counters), "{counters:?}");
        assert_eq!((counters.files_written, counters.files_numbered, counters.open_files), (4, 1, 0));
        // The key's next file has nothing to do with the one that ended.
        files.open(FileKey(0), true, named("next.pcap"));
        frame(&mut files, 0, 10, 4);
        files.ended(FileKey(0));
        files.discard(FileKey(0));
        files.open(FileKey(0), true, named("last.pcap"));
        frame(&mut files, 0, 10, 5);
        files.flush_older(at(20));
        assert!(!home.path().join("next.pcap").exists() && !home.path().join("last.pcap").exists());
        files.ended(FileKey(0));
        files.flush_older(at(30));
        assert!(home.path().join("last.pcap").exists());
        files.discard(FileKey(0));
        assert!(!home.path().join("last.pcap").exists(), "what is not to be kept after all goes");
        assert!(balanced(&files.counters()));
    }

    #[test]
    fn memory_and_descriptors_stay_below_their_limits() {
        let home = tempfile::tempdir().unwrap();
        let limit = 1 << 20;
        let mut files =
            CallFiles::new(FileSettings { max_open: 8, buffer_limit: limit, ..settings(home.path()) })
                .unwrap();
        for key in 0..2_000 {
            files.open(FileKey(key), true, named(format!("{key}.pcap")));
        }
        for _ in 0..4 {
            for key in 0..2_000 {
                frame(&mut files, key, 700, 1);
                let counters = files.counters();
                assert!(counters.held_bytes <= limit as u64 && counters.open_files <= 8, "{counters:?}");
            }
        }
        assert!(contents(home.path()).keys().all(|name| name.ends_with(".part")));
        files.finish();
        let found = contents(home.path());
        assert_eq!(found.len(), 2_000);
        assert!(found.iter().all(|(name, bytes)| name.ends_with(".pcap") && bytes.len() == 24 + 4 * 716));
    }

    #[test]
    fn a_large_call_is_spilled_and_a_discarded_one_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let mut files = CallFiles::new(settings(home.path())).unwrap();
        for (key, name) in [(0, "keep.pcap"), (1, "drop.pcap")] {
            files.open(FileKey(key), true, named(name));
            (0..10).for_each(|_| frame(&mut files, key, 200_000, 3));
        }
        assert!(home.path().join("keep.pcap.part").exists() && home.path().join("drop.pcap.part").exists());
        files.discard(FileKey(1));
        files.close(FileKey(0));
        frame(&mut files, 0, 10, 0);
        files.open(FileKey(0), true, named("keep.pcap"));
        files.close(FileKey(0));
        assert_eq!(contents(home.path()).keys().collect::<Vec<_>>(), ["keep.pcap"]);
        assert_eq!(contents(home.path())["keep.pcap"].len(), 24 + 10 * 200_016);
        assert!(balanced(&files.counters()));
    }

    #[test]
    fn a_key_used_again_is_another_file() {
        let home = tempfile::tempdir().unwrap();
        let flush_after = Some(Duration::from_secs(1));
        let mut files = CallFiles::new(FileSettings { flush_after, ..settings(home.path()) }).unwrap();
        for round in 0..3u64 {
            files.open(FileKey(0), true, named("same.pcap"));
            frame(&mut files, 0, 100, round as u8);
            files.close(FileKey(0));
        }
        files.open(FileKey(0), true, named("open.pcap"));
        frame(&mut files, 0, 100, 9);
        files.flush_older(Timestamp::new(1, 0));
        let found = contents(home.path());
        let names: Vec<&String> = found.keys().collect();
        assert_eq!(names, ["open.pcap.part", "same.pcap", "same~2.pcap", "same~3.pcap"]);
        for (round, name) in ["same.pcap", "same~2.pcap", "same~3.pcap"].into_iter().enumerate() {
            assert_eq!(found[name].last(), Some(&(round as u8)));
        }
        assert_eq!(files.counters().files_numbered, 2);
    }

    #[test]
    fn what_may_be_discarded_is_not_flushed() {
        let home = tempfile::tempdir().unwrap();
        let flush_after = Some(Duration::from_secs(1));
        let mut files = CallFiles::new(FileSettings { flush_after, ..settings(home.path()) }).unwrap();
        for key in 0..2 {
            files.open(FileKey(key), false, named(format!("{key}.pcap")));
            frame(&mut files, key, 100, 1);
        }
        files.flush_older(Timestamp::new(5, 0));
        assert!(contents(home.path()).is_empty());
        files.keep(FileKey(1));
        files.flush_older(Timestamp::new(7, 0));
        assert_eq!(contents(home.path()).keys().collect::<Vec<_>>(), ["1.pcap.part"]);
        files.discard(FileKey(0));
        files.close(FileKey(1));
        assert_eq!(contents(home.path()).keys().collect::<Vec<_>>(), ["1.pcap"]);
    }

    #[test]
    fn a_disk_that_says_no_costs_what_it_did_not_take() {
        let home = tempfile::tempdir().unwrap();
        let mut files = CallFiles::new(settings(home.path())).unwrap();
        // Neither superuser nor group may create a file below a file.
        std::fs::write(home.path().join("wall"), "").unwrap();
        for key in 0..10 {
            let below = if key % 2 == 0 { "wall/" } else { "" };
            files.open(FileKey(key), true, named(format!("{below}{key}.pcap")));
            frame(&mut files, key, 100, 1);
        }
        frame(&mut files, 0, 2_000_000, 1);
        (0..9).for_each(|_| frame(&mut files, 0, 200_000, 1));
        files.finish();
        let counters = files.counters();
        assert!(balanced(&counters), "{counters:?}");
        assert_eq!((counters.files_written, counters.held_bytes), (5, 0));
        assert!(counters.write_errors >= 5 && counters.frames_lost == 15);
        assert_eq!(contents(home.path()).len(), 6);
    }
}
