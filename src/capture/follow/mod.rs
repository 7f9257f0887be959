//! A directory of rotating captures as one source of packets, as `tcpdump -G`, `-C` and `-W` or `dumpcap -b` write them.
//!
//! In: a directory. Out: the packets of all captures in it, in packet time as far as they are there; then those that
//! are written while it is followed.
//!
//! - Nothing is dropped: a file waits until it is read, unless its writer deletes it or writes over it. Deleted
//!   before it was begun, it is counted; deleted later, it is read to its end.
//! - A record that is not whole is waited for. A file that is not a capture yet is looked at again when it grows.
//! - Files are known by device and inode: a new name is no new file. A ring that is written over is noticed by size
//!   and first bytes. `NAME.gz` beside `NAME` is a copy; packed files are read when they do not change any more.
//! - A batch without packets says that nothing new came for a tenth of a second.
//!
//! Absent on purpose: order among files that several writers write at once, beyond that of their arrival: to wait for
//! each other's silence would be to guess.

mod lane;
#[cfg(test)]
mod tests;
mod watch;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Packet, PacketBatch, PacketSource, Progress, SourceCounters, SourceError, file};
use crate::time::Timestamp;
use lane::{Found, Lane, identity, unpacked};
use watch::{Changes, Watch, now};

/// How long is waited for something new before the caller is asked whether to go on.
const PATIENCE: Duration = Duration::from_millis(100);

/// How often growth is looked for while there is enough to read.
const GLANCE: Duration = Duration::from_millis(50);

/// Files that stay open although everything in them was read; those that have been quiet for longer are closed.
const OPEN: usize = 16;

/// How long a file without a name stays open: its disk space is wanted back.
const NAMELESS: Duration = Duration::from_secs(10);

/// Files known at once: some 300 bytes each.
const FILES: usize = 65_536;

/// Bytes of a batch beyond which no packet is added.
const ARENA: usize = 1 << 20;

/// A directory that is followed.
pub struct Follow {
    directory: PathBuf,
    watch: Watch,
    lanes: Vec<Option<Lane>>,
    free: Vec<usize>,
    names: HashMap<OsString, usize>,
    identities: HashMap<(u64, u64), usize>,
    /// When the next packet of a lane was captured; each lane once at most.
    turns: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Open lanes that are at their end.
    waiting: BTreeSet<usize>,
    open: usize,
    round: u64,
    glanced: Option<Instant>,
    until: Option<Instant>,
    is_lost: bool,
    is_crowded: bool,
    stop: Arc<AtomicBool>,
    arena: Vec<u8>,
    packets: Vec<Packet>,
    counters: SourceCounters,
    bytes: u64,
}

impl Follow {
    /// Follows `directory`. It ends when reading is to end ([`file::stop_flag`]), or when nothing comes once this
    /// much time has gone by.
    ///
    /// # Errors
    /// When there is no such directory, or it cannot be listed.
    pub fn open(directory: &Path, time: Option<Duration>) -> Result<Self, SourceError> {
        let failed = |error| SourceError::from_io(directory, error);
        if !fs::metadata(directory).map_err(failed)?.is_dir() {
            return Err(SourceError::NotADirectory { path: directory.to_path_buf() });
        }
        fs::read_dir(directory).map_err(failed)?;
        Ok(Self {
            directory: directory.to_path_buf(),
            watch: Watch::new(directory),
            lanes: Vec::new(),
            free: Vec::new(),
            names: HashMap::new(),
            identities: HashMap::new(),
            turns: BinaryHeap::new(),
            waiting: BTreeSet::new(),
            open: 0,
            round: 0,
            glanced: None,
            until: time.and_then(|time| now().checked_add(time)),
            is_lost: false,
            is_crowded: false,
            stop: file::stop_flag(),
            arena: Vec::new(),
            packets: Vec::new(),
            counters: SourceCounters::default(),
            bytes: 0,
        })
    }

    /// Looks at what changed.
    fn look(&mut self, patience: Duration) {
        match self.watch.changes(patience) {
            Changes::All => self.look_through(),
            // Copies after what they are copies of.
            Changes::Names(names) => {
                let (packed, plain): (Vec<_>, Vec<_>) =
                    names.into_iter().partition(|name| unpacked(Path::new(name)).is_some());
                plain.iter().chain(&packed).for_each(|name| self.look_at(name));
            }
        }
        for number in self.waiting.clone() {
            self.glance(number);
        }
        self.let_go();
        self.glanced = Some(now());
    }

    /// All of the directory.
    fn look_through(&mut self) {
        let names = match names(&self.directory) {
            Ok(names) => names,
            Err(error) => {
                if !self.is_lost {
                    let error = SourceError::from_io(&self.directory, error);
                    tracing::error!("the followed directory is gone, and waited for: error: {error}");
                }
                self.is_lost = true;
                return;
            }
        };
        if std::mem::take(&mut self.is_lost) {
            tracing::info!("the followed directory is there again: {}", self.directory.display());
            self.watch.listen();
        }
        self.round += 1;
        names.iter().for_each(|name| self.look_at(name));
        self.forget();
    }

    fn look_at(&mut self, name: &OsStr) {
        let path = self.directory.join(name);
        let Ok(metadata) = fs::metadata(&path) else { return };
        if !metadata.is_file() {
            return;
        }
        let known = self.identities.get(&identity(&metadata)).copied();
        let Some(number) = known.or_else(|| self.admit(&path, &metadata)) else { return };
        self.names.insert(name.to_os_string(), number);
        let Some(lane) = self.lanes.get_mut(number).and_then(Option::as_mut) else { return };
        if lane.path != path {
            if let Some(old) = lane.path.file_name().map(OsStr::to_os_string)
                && self.names.get(&old) == Some(&number)
            {
                self.names.remove(&old);
            }
            lane.path = path;
        }
        lane.seen = self.round;
        let found = lane.look(&metadata, &mut self.counters);
        self.settle(number, found);
    }

    /// A file that was not there before.
    fn admit(&mut self, path: &Path, metadata: &fs::Metadata) -> Option<usize> {
        if self.identities.len() >= FILES {
            if !self.is_crowded {
                tracing::error!(
                    "{}: error: more than {FILES} files; those that came last are not read",
                    self.directory.display()
                );
            }
            self.is_crowded = true;
            return None;
        }
        let mut lane = Lane::new(path.to_path_buf(), metadata);
        let original = unpacked(path).and_then(|path| self.names.get(path.file_name()?).copied());
        let is_read = |number: usize| self.lanes.get(number)?.as_ref().map(Lane::is_read);
        if original.and_then(is_read) == Some(true) {
            lane.ignore();
        }
        let number = self.free.pop().unwrap_or(self.lanes.len());
        match self.lanes.get_mut(number) {
            Some(slot) => *slot = Some(lane),
            None => self.lanes.push(Some(lane)),
        }
        self.identities.insert(identity(metadata), number);
        Some(number)
    }

    /// Puts a lane where it belongs after it was looked at.
    fn settle(&mut self, number: usize, found: Found) {
        let Some(lane) = self.lanes.get_mut(number).and_then(Option::as_mut) else { return };
        match found {
            Found::Packet(time) => self.turns.push(Reverse((time, number))),
            Found::Nothing => {}
            Found::Gone => self.watch.doubt(),
        }
        let has_turn = || self.turns.iter().any(|Reverse((_, it))| *it == number);
        if found == Found::Nothing && lane.is_open() && !has_turn() {
            self.waiting.insert(number);
        } else {
            self.waiting.remove(&number);
        }
        let is_open = lane.is_open();
        match (std::mem::replace(&mut lane.counted, is_open), is_open) {
            (false, true) => self.open += 1,
            (true, false) => self.open -= 1,
            _ => {}
        }
    }

    /// Forgets the files that are not there any more and are not open.
    fn forget(&mut self) {
        for number in 0..self.lanes.len() {
            let Some(slot) = self.lanes.get_mut(number) else { continue };
            let Some(lane) = slot.take_if(|lane| lane.seen != self.round && lane.is_quiet()) else {
                continue;
            };
            self.identities.remove(&lane.identity);
            let name = lane.path.file_name().unwrap_or_default();
            if self.names.get(name) == Some(&number) {
                self.names.remove(name);
            }
            self.free.push(number);
            self.is_crowded = false;
            if lane.is_owed() {
                self.miss(&lane);
            }
        }
    }

    /// A file that went before it was read: a packed copy may have what was in it.
    fn miss(&mut self, lane: &Lane) {
        for ending in [".gz", ".zst"] {
            let mut name = lane.path.file_name().unwrap_or_default().to_os_string();
            name.push(ending);
            let Some(&number) = self.names.get(&name) else { continue };
            if let Some(copy) = self.lanes.get_mut(number).and_then(Option::as_mut) {
                copy.take_over(lane.delivered());
                self.look_at(&name);
                return;
            }
        }
        self.counters.deleted += 1;
        tracing::warn!(
            "a file of the followed directory: error: deleted before it was read: {:?}",
            lane.path
        );
    }

    fn glance(&mut self, number: usize) {
        let Some(lane) = self.lanes.get_mut(number).and_then(Option::as_mut) else { return };
        let found = lane.look_again(&mut self.counters);
        self.settle(number, found);
    }

    /// Closes files that nobody writes any more.
    fn let_go(&mut self) {
        let idle = |number: &usize| {
            let (idle, nameless) = self.lanes.get(*number)?.as_ref()?.idle()?;
            Some((Reverse(idle), nameless, *number))
        };
        let mut idle: Vec<_> = self.waiting.iter().filter_map(idle).collect();
        idle.sort_unstable();
        for (place, (Reverse(time), nameless, number)) in idle.into_iter().rev().enumerate() {
            if (place >= OPEN || nameless && time >= NAMELESS)
                && let Some(Some(lane)) = self.lanes.get_mut(number)
            {
                lane.close(&mut self.counters);
                self.settle(number, Found::Nothing);
            }
        }
    }

    /// Lets the lane whose turn it is hand out a packet.
    fn step(&mut self) -> bool {
        let Some(Reverse((_, number))) = self.turns.pop() else { return false };
        let Some(lane) = self.lanes.get_mut(number).and_then(Option::as_mut) else { return true };
        if !lane.is_open() {
            let found = lane.begin(self.open, &mut self.counters);
            self.settle(number, found);
            return true;
        }
        let (arena, packets, bytes) = (&mut self.arena, &mut self.packets, &mut self.bytes);
        let found = lane.take(&mut self.counters, |packet, frame| {
            packets.push(Packet { offset: arena.len() as u32, ..*packet });
            arena.extend_from_slice(frame);
            *bytes += frame.len() as u64;
        });
        match found {
            Found::Packet(time) => self.turns.push(Reverse((time, number))),
            found => self.settle(number, found),
        }
        true
    }

    fn gather(&mut self, limit: usize) {
        while self.packets.len() < limit.max(1) && self.arena.len() < ARENA && self.step() {}
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.until.is_some_and(|until| now() >= until)
    }
}

/// Every name in a directory, those of packed files last.
fn names(directory: &Path) -> std::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name());
    }
    names.sort_unstable_by_key(|name| (unpacked(Path::new(name)).is_some(), name.clone()));
    Ok(names)
}

impl PacketSource for Follow {
    fn next_batch(&mut self, limit: usize) -> Result<Option<PacketBatch<'_>>, SourceError> {
        self.arena.clear();
        self.packets.clear();
        if self.glanced.is_none_or(|glanced| now().duration_since(glanced) >= GLANCE) {
            self.look(Duration::ZERO);
        }
        self.gather(limit);
        if self.packets.is_empty() {
            if self.is_over() {
                return Ok(None);
            }
            self.look(PATIENCE);
            self.gather(limit);
        }
        self.counters.packets += self.packets.len() as u64;
        Ok(Some(PacketBatch::new(&self.arena, &self.packets)))
    }

    fn progress(&self) -> Progress {
        Progress { bytes: self.bytes, total: None, packets: self.counters.packets }
    }

    fn counters(&self) -> SourceCounters {
        self.counters
    }
}
