//! One file of a followed directory: what was read of it, and whether there is more.

use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::super::file::{CaptureFile, Reading};
use super::super::{SourceCounters, SourceError};
use super::watch::now;
use crate::time::Timestamp;

/// How a file's first packet is read.
const FIRST: Reading = Reading { block: 4 << 10, parked: false };

/// How a file is read while few are open, and how while many are: those hold no descriptor between reads.
const FEW: Reading = Reading { block: 64 << 10, parked: false };
const MANY: Reading = Reading { block: 16 << 10, parked: true };
const FEW_FILES: usize = 64;

/// Packets taken from a file at once.
const RUN: usize = 256;

/// Smaller files are no captures yet: a classic file header has 24 bytes.
const SMALLEST: u64 = 24;

/// A packed file that does not change for so long is finished.
const SETTLED: Duration = Duration::from_secs(2);

/// As many first bytes as tell one content of a file from the next: file header and first packet.
const HEAD: usize = 1_024;

/// Size and change of a file when it was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    size: u64,
    changed: (i64, i64),
}

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }
}

/// The first bytes of a file: a ring of captures writes over its own files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    length: usize,
    hash: u64,
}

impl Head {
    fn of(file: &File, length: usize) -> io::Result<Self> {
        let mut bytes = [0; HEAD];
        let mut filled = 0;
        while filled < length.min(HEAD) {
            let room = bytes.get_mut(filled..length.min(HEAD)).unwrap_or_default();
            match file.read_at(room, filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        let mut hasher = DefaultHasher::new();
        bytes.get(..filled).hash(&mut hasher);
        Ok(Self { length: filled, hash: hasher.finish() })
    }
}

/// A file that is being read.
struct Opened {
    file: CaptureFile,
    /// How many packets of its batch were handed out.
    next: usize,
    /// How many of its packets were handed out when it was open before.
    skip: u64,
    grew: Instant,
}

enum State {
    /// Nothing is known to be in it that was not handed out.
    Quiet,
    /// The time of its next packet is known; it is opened when that time comes.
    Due,
    /// Open: at its end, or with the time of its next packet known.
    Open(Box<Opened>),
    /// No capture, damaged, or a copy.
    Other,
}

/// What became of a file that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Its next packet was captured then.
    Packet(Timestamp),
    /// No packet that is new.
    Nothing,
    /// It is not there any more, or another is in its place.
    Gone,
}

/// One file.
pub(super) struct Lane {
    pub(super) path: PathBuf,
    /// Device and inode.
    pub(super) identity: (u64, u64),
    pub(super) seen: u64,
    looked: Look,
    since: Instant,
    head: Head,
    consumed: u64,
    delivered: u64,
    told: bool,
    /// It has packets that were not handed out.
    owed: bool,
    /// It is among the open ones.
    pub(super) counted: bool,
    /// It was counted as cut.
    cut: bool,
    state: State,
}

/// Device and inode.
pub(super) fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The name without the ending of a packed file, if it has one.
pub(super) fn unpacked(path: &Path) -> Option<PathBuf> {
    let packed = path.extension().is_some_and(|it| it == "gz" || it == "zst");
    packed.then(|| path.with_extension(""))
}

impl Lane {
    pub(super) fn new(path: PathBuf, metadata: &Metadata) -> Self {
        Self {
            path,
            identity: identity(metadata),
            seen: 0,
            looked: Look::default(),
            since: now(),
            head: Head::default(),
            consumed: 0,
            delivered: 0,
            told: false,
            owed: false,
            counted: false,
            cut: false,
            state: State::Quiet,
        }
    }

    /// It is read, or will be when its turn comes.
    pub(super) fn is_read(&self) -> bool {
        self.delivered > 0 || matches!(self.state, State::Due | State::Open(_))
    }

    /// Its next packet's time may be among the turns.
    pub(super) const fn is_quiet(&self) -> bool {
        matches!(self.state, State::Quiet | State::Other)
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// It holds what another file has too.
    pub(super) fn ignore(&mut self) {
        self.state = State::Other;
    }

    /// It holds what is nowhere else, of which so much was handed out.
    pub(super) fn take_over(&mut self, delivered: u64) {
        if matches!(self.state, State::Other) {
            (self.state, self.delivered, self.looked) = (State::Quiet, delivered, Look::default());
        }
    }

    pub(super) const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// It has packets that were not handed out.
    pub(super) const fn is_owed(&self) -> bool {
        self.owed
    }

    /// A quiet file, and what the directory says of it now: is there anything to read?
    pub(super) fn look(&mut self, metadata: &Metadata, counters: &mut SourceCounters) -> Found {
        let look = Look::of(metadata);
        match self.state {
            State::Other if look.size < self.looked.size => self.restart(),
            State::Quiet => {}
            State::Other | State::Due | State::Open(_) => return Found::Nothing,
        }
        let is_packed = unpacked(&self.path).is_some();
        if look != self.looked {
            (self.looked, self.since) = (look, now());
        } else if !is_packed || self.consumed > 0 {
            return Found::Nothing;
        }
        if look.size < SMALLEST {
            if self.consumed > look.size {
                self.restart();
            }
            return Found::Nothing;
        }
        if is_packed && !self.is_settled(metadata) {
            return Found::Nothing;
        }
        let found = self.start(counters);
        found.unwrap_or_else(|error| self.refuse(&error, counters))
    }

    /// Nobody writes it any more, as far as can be seen. When all of a copy is written, gzip and zstd give it the time of
    /// what it is a copy of: an earlier one than that of this change.
    fn is_settled(&self, metadata: &Metadata) -> bool {
        let is_dated = (metadata.mtime(), metadata.mtime_nsec()) < (metadata.ctime(), metadata.ctime_nsec());
        let age = metadata.modified().ok().and_then(|at| wall_clock().duration_since(at).ok());
        is_dated || now().duration_since(self.since) >= SETTLED || age.is_some_and(|age| age >= SETTLED)
    }

    fn refuse(&mut self, error: &SourceError, counters: &mut SourceCounters) -> Found {
        match error {
            SourceError::Missing { .. } => return Found::Gone,
            SourceError::Unusable { .. } if unpacked(&self.path).is_some() => self.spoil(error, counters),
            // Its header is not whole yet.
            SourceError::Empty { .. } | SourceError::Unusable { .. } => {}
            SourceError::NotACapture { .. } => self.state = State::Other,
            _ => self.tell(error),
        }
        Found::Nothing
    }

    /// It is damaged before its first packet.
    fn spoil(&mut self, error: &SourceError, counters: &mut SourceCounters) {
        counters.bad_record += u64::from(!self.told);
        self.tell(error);
    }

    fn tell(&mut self, error: &SourceError) {
        if !self.told {
            tracing::warn!("a file of the followed directory is left out: error: {error}");
        }
        self.told = true;
    }

    /// Other bytes are in it than before.
    fn restart(&mut self) {
        (self.state, self.head, self.consumed, self.delivered) = (State::Quiet, Head::default(), 0, 0);
        (self.cut, self.told) = (false, false);
    }

    fn open(&mut self, reading: Reading) -> Result<CaptureFile, SourceError> {
        let mut file = CaptureFile::open(&self.path, reading)?;
        if unpacked(&self.path).is_none() {
            file.grows();
        }
        let path = self.path.clone();
        let failed = |error| SourceError::from_io(&path, error);
        let below = match file.descriptor().file() {
            Some(file) => file.try_clone(),
            None => File::open(&self.path),
        };
        let below = below.map_err(failed)?;
        let metadata = below.metadata().map_err(failed)?;
        if identity(&metadata) != self.identity {
            return Err(SourceError::Missing { path: self.path.clone() });
        }
        self.looked = Look::of(&metadata);
        if self.is_other(&below).map_err(failed)? || metadata.len() < self.consumed {
            self.restart();
        }
        if self.head.length < HEAD {
            self.head = Head::of(&below, HEAD).map_err(failed)?;
        }
        Ok(file)
    }

    /// Whether its first bytes are others than before.
    fn is_other(&self, file: &File) -> io::Result<bool> {
        Ok(self.head.length > 0 && Head::of(file, self.head.length)? != self.head)
    }

    /// Finds the time of the first packet that was not handed out.
    fn start(&mut self, counters: &mut SourceCounters) -> Result<Found, SourceError> {
        let mut file = self.open(FIRST)?;
        if self.delivered > 0 {
            if self.looked.size <= self.consumed {
                return Ok(Found::Nothing);
            }
            return self.resume(file, counters);
        }
        match file.read(1) {
            Ok(true) => {}
            Ok(false) => {
                self.nothing(&file, counters);
                return Ok(Found::Nothing);
            }
            Err(error @ SourceError::Unusable { .. }) => {
                // What comes behind a record that is none cannot be told.
                self.state = State::Other;
                self.spoil(&error, counters);
                return Ok(Found::Nothing);
            }
            Err(error) => return Err(error),
        }
        (self.state, self.owed) = (State::Due, true);
        Ok(file.batch().packets.first().map_or(Found::Nothing, |it| Found::Packet(it.timestamp)))
    }

    /// No packet is in it yet, and of a packed file, which is finished, none at all.
    fn nothing(&mut self, file: &CaptureFile, counters: &mut SourceCounters) {
        if unpacked(&self.path).is_none() {
            return;
        }
        self.consumed = self.looked.size;
        if file.counters().truncated == 0 {
            counters.files += 1;
            return;
        }
        let reason = "its packed data is damaged or cut before the first packet";
        self.spoil(&SourceError::Unusable { path: self.path.clone(), reason }, counters);
    }

    /// Its turn has come, or it grew again: it is opened, and its next packet looked for.
    pub(super) fn begin(&mut self, open: usize, counters: &mut SourceCounters) -> Found {
        self.state = State::Quiet;
        let reading = if open < FEW_FILES { FEW } else { MANY };
        let found = self.open(reading).and_then(|file| self.resume(file, counters));
        if matches!(found, Err(SourceError::Missing { .. })) {
            // It may have another name by now.
            self.looked = Look::default();
        }
        found.unwrap_or_else(|error| self.refuse(&error, counters))
    }

    fn resume(&mut self, file: CaptureFile, counters: &mut SourceCounters) -> Result<Found, SourceError> {
        if self.delivered == 0 {
            counters.files += 1;
        }
        if self.cut {
            counters.truncated = counters.truncated.saturating_sub(1);
            self.cut = false;
        }
        let skip = self.delivered;
        self.owed = false;
        self.state = State::Open(Box::new(Opened { file, next: 0, skip, grew: now() }));
        self.following(counters)
    }

    /// An open file, and whether its next packet is here; reads on where need be.
    fn following(&mut self, counters: &mut SourceCounters) -> Result<Found, SourceError> {
        let State::Open(opened) = &mut self.state else { return Ok(Found::Nothing) };
        loop {
            if let Some(packet) = opened.file.batch().packets.get(opened.next) {
                return Ok(Found::Packet(packet.timestamp));
            }
            opened.next = 0;
            let before = opened.file.descriptor().position();
            let some = opened.file.read(RUN);
            if opened.file.descriptor().position() != before {
                opened.grew = now();
            }
            match some {
                Ok(true) => {
                    let length = opened.file.batch().packets.len() as u64;
                    let skipped = opened.skip.min(length);
                    opened.skip -= skipped;
                    opened.next = skipped as usize;
                }
                Ok(false) if opened.file.is_over() => {
                    self.end(counters);
                    return Ok(Found::Nothing);
                }
                Ok(false) => return Ok(Found::Nothing),
                Err(error) => {
                    self.end(counters);
                    return Err(error);
                }
            }
        }
    }

    /// Its reader will give no more: the end of a packed file, or damage.
    fn end(&mut self, counters: &mut SourceCounters) {
        let State::Open(opened) = &self.state else { return };
        let of_file = opened.file.counters();
        self.consumed = opened.file.descriptor().position();
        let rewritten = File::open(&self.path).is_ok_and(|file| self.is_other(&file).unwrap_or(false));
        self.cut = of_file.truncated > 0;
        counters.truncated += of_file.truncated;
        if rewritten {
            // What made no sense were the bytes of another capture.
            self.restart();
            self.looked = Look::default();
        } else {
            counters.bad_record += of_file.bad_record;
            self.state = if of_file.bad_record > 0 { State::Other } else { State::Quiet };
        }
    }

    /// Hands out the packet whose turn it is, and tells of the next.
    pub(super) fn take<T>(
        &mut self,
        counters: &mut SourceCounters,
        hand_out: impl FnOnce(&super::Packet, &[u8]) -> T,
    ) -> Found {
        if let State::Open(opened) = &mut self.state {
            let batch = opened.file.batch();
            if let Some(packet) = batch.packets.get(opened.next) {
                hand_out(packet, batch.frame(packet));
                self.delivered += 1;
            }
            opened.next += 1;
        }
        let found = self.following(counters);
        found.unwrap_or_else(|error| self.refuse(&error, counters))
    }

    /// An open file at its end: did it grow, was it written over?
    pub(super) fn look_again(&mut self, counters: &mut SourceCounters) -> Found {
        let State::Open(opened) = &self.state else { return Found::Nothing };
        let below = opened.file.descriptor().file();
        let Ok(metadata) = below.map_or_else(|| fs::metadata(&self.path), File::metadata) else {
            self.close(counters);
            return Found::Gone;
        };
        let look = Look::of(&metadata);
        if look == self.looked {
            return Found::Nothing;
        }
        let other = match below {
            Some(file) => self.is_other(file).unwrap_or(false),
            None => File::open(&self.path).is_ok_and(|file| self.is_other(&file).unwrap_or(false)),
        };
        if other || metadata.len() < opened.file.descriptor().position() {
            self.restart();
            return self.look(&metadata, counters);
        }
        if self.head.length < HEAD
            && let Some(Ok(head)) = below.map(|file| Head::of(file, HEAD))
        {
            self.head = head;
        }
        self.looked = look;
        let found = self.following(counters);
        found.unwrap_or_else(|error| self.refuse(&error, counters))
    }

    /// For how long an open file has not grown, and whether it has no name any more.
    pub(super) fn idle(&self) -> Option<(Duration, bool)> {
        let State::Open(opened) = &self.state else { return None };
        let below = opened.file.descriptor().file();
        let nameless = below.and_then(|file| file.metadata().ok()).is_some_and(|it| it.nlink() == 0);
        Some((now().duration_since(opened.grew), nameless))
    }

    /// Lets go of an open file at its end. Should it grow, it is opened again.
    pub(super) fn close(&mut self, counters: &mut SourceCounters) {
        let State::Open(opened) = &self.state else { return };
        self.consumed = opened.file.descriptor().position();
        self.cut = opened.file.is_cut();
        counters.truncated += u64::from(self.cut);
        self.state = State::Quiet;
    }
}

#[allow(clippy::disallowed_methods, reason = "how old a file is has nothing to do with its packets' time")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
