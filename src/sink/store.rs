//! A call's bytes on their way to disk: in memory, in an unfinished file, under the final name.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io::Errno;

use crate::sink::chunks::{Chain, Pool};
use crate::sink::descriptors::{Descriptors, Seat};
use crate::sink::directory::{Directories, PART, numbered, write_at};
use crate::sink::manifest::Manifest;
use crate::sink::throttle::Throttle;
use crate::time::Timestamp;

/// What happened to files and their frames. Frames in = written + unwritable + discarded + lost + still held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCounters {
    /// Files that have their final names.
    pub files_written: u64,
    /// Files of calls that were not wanted after all.
    pub files_discarded: u64,
    /// Files that found their name taken on disk and got a number.
    pub files_numbered: u64,
    /// Bytes on disk, of unfinished files too.
    pub bytes_written: u64,
    /// Frames taken in, those made of stream messages included.
    pub frames: u64,
    /// Frames made of stream messages.
    pub frames_made: u64,
    /// Frames on disk.
    pub frames_written: u64,
    /// Frames that lost their link-layer header because the file has another link type.
    pub frames_rewrapped: u64,
    /// Frames (and stream messages) that the file's format cannot hold.
    pub frames_unwritable: u64,
    /// Frames of discarded files.
    pub frames_discarded: u64,
    /// Frames that the disk did not take.
    pub frames_lost: u64,
    /// Times that the disk said no.
    pub write_errors: u64,
    /// Times that a file's bytes left memory before its call ended.
    pub spills: u64,
    /// Descriptors that are open now.
    pub open_files: u64,
    /// Bytes of memory that wait for the disk now.
    pub held_bytes: u64,
}

impl FileCounters {
    /// Adds those of another writer.
    pub fn add(&mut self, other: &Self) {
        self.files_written += other.files_written;
        self.files_discarded += other.files_discarded;
        self.files_numbered += other.files_numbered;
        self.bytes_written += other.bytes_written;
        self.frames += other.frames;
        self.frames_made += other.frames_made;
        self.frames_written += other.frames_written;
        self.frames_rewrapped += other.frames_rewrapped;
        self.frames_unwritable += other.frames_unwritable;
        self.frames_discarded += other.frames_discarded;
        self.frames_lost += other.frames_lost;
        self.write_errors += other.write_errors;
        self.spills += other.spills;
        self.open_files += other.open_files;
        self.held_bytes += other.held_bytes;
    }
}

/// One call's file.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct CallFile {
    /// Bytes that are not on disk yet: whole records.
    pub(super) held: Chain,
    /// Frames in them.
    pub(super) frames: u64,
    /// Its name below the directory, with extension.
    pub(super) name: String,
    part: Option<Part>,
}

/// A file that is on disk and may yet grow.
#[derive(Debug)]
struct Part {
    number: u32,
    /// It has its final name.
    is_named: bool,
    length: u64,
    frames: u64,
    seat: Seat,
}

impl Part {
    /// What stands behind its name.
    const fn suffix(&self) -> &'static str {
        if self.is_named { "" } else { PART }
    }
}

impl CallFile {
    /// Whether some of its bytes are on disk.
    pub(super) fn has_bytes(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part.length > 0)
    }
}

/// The disk did not take what a file held; it is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost;

/// Memory, descriptors and directories of all files.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) pool: Pool,
    pub(super) counters: FileCounters,
    /// For how often failures are told.
    pub(super) now: Timestamp,
    throttle: Throttle,
    directories: Directories,
    descriptors: Descriptors,
    manifest: Option<Arc<Manifest>>,
}

impl Store {
    pub(super) fn new(directories: Directories, max_open: usize, manifest: Option<Arc<Manifest>>) -> Self {
        Self {
            pool: Pool::new(),
            counters: FileCounters::default(),
            now: Timestamp::default(),
            throttle: Throttle::default(),
            directories,
            descriptors: Descriptors::new(max_open),
            manifest,
        }
    }

    /// Writes what `file` holds to its unfinished file, which is created when there is none yet.
    pub(super) fn spill(&mut self, key: u32, file: &mut CallFile) -> Result<(), Lost> {
        if file.held.length == 0 {
            return Ok(());
        }
        let appended = self.append(key, file);
        let outcome = self.settle(file, appended);
        self.counters.spills += u64::from(outcome.is_ok());
        self.counters.open_files = self.descriptors.open as u64;
        outcome
    }

    /// Ends `file`: all of it on disk under its final name. Tells the number of that name; none when there is no file.
    ///
    /// A file that never spilled is created under the final name and written by one call: only a kill between two
    /// adjacent system calls could leave it empty, and a temporary name would cost a third more (6.5 against 4.9 µs
    /// of CPU a file of 5,000 bytes, on tmpfs).
    pub(super) fn finish(&mut self, key: u32, file: &mut CallFile) -> Option<u32> {
        let _ = if file.part.is_some() { self.spill(key, file) } else { self.write_early(file) };
        self.rename(key, file)
    }

    /// Writes `file`, of which nothing is on disk yet, under its final name: its call has ended, and hardly anything
    /// will be appended. It needs no memory then until it is closed.
    pub(super) fn write_early(&mut self, file: &mut CallFile) -> Result<(), Lost> {
        if file.part.is_some() || file.held.length == 0 {
            return Ok(());
        }
        let frames = file.frames;
        let written = self.write_whole(file);
        let (length, number) = written.as_ref().copied().unwrap_or_default();
        self.settle(file, written.map(|_| length))?;
        file.part = Some(Part { number, is_named: true, length, frames, seat: Seat::default() });
        Ok(())
    }

    /// Ends `file` and leaves nothing of it.
    pub(super) fn discard(&mut self, key: u32, file: &mut CallFile) {
        self.counters.frames_discarded += file.frames;
        self.counters.files_discarded += 1;
        file.frames = 0;
        self.pool.release(&mut file.held);
        let Some(part) = file.part.take() else { return };
        self.close(key, &part);
        self.counters.frames_discarded += part.frames;
        self.counters.frames_written -= part.frames;
        self.dropped(&file.name, part.number);
        if let Err(error) = self.directories.remove(&file.name, part.number, part.suffix()) {
            self.report("remove", &file.name, &error);
        }
    }

    /// Counts what came of writing what `file` holds, and empties it: with the disk full, keeping it would only
    /// move the loss to the next calls.
    fn settle(&mut self, file: &mut CallFile, written: io::Result<u64>) -> Result<(), Lost> {
        let frames = std::mem::take(&mut file.frames);
        self.pool.release(&mut file.held);
        match written {
            Ok(length) => {
                self.counters.bytes_written += length;
                self.counters.frames_written += frames;
                self.throttle.worked(self.now, "call files are written");
                if let Some(part) = &mut file.part {
                    part.length += length;
                    part.frames += frames;
                }
                Ok(())
            }
            Err(error) => {
                self.counters.frames_lost += frames;
                self.report("write", &file.name, &error);
                Err(Lost)
            }
        }
    }

    fn write_whole(&mut self, file: &CallFile) -> io::Result<(u64, u32)> {
        let (descriptor, number) = self.make_room(|directories| directories.create(&file.name, ""))?;
        match write_at(descriptor, 0, self.pool.slices(&file.held)) {
            Ok(length) => Ok((length, number)),
            Err(error) => {
                // A piece of a record would make the file unreadable from there on.
                let _ = self.directories.remove(&file.name, number, "");
                Err(error)
            }
        }
    }

    fn append(&mut self, key: u32, file: &mut CallFile) -> io::Result<u64> {
        if let Some(part) = &mut file.part
            && !self.descriptors.keep(key, part.seat)
        {
            match self.make_room(|directories| directories.reopen(&file.name, part.number, part.suffix())) {
                Ok(descriptor) => part.seat = self.descriptors.put(key, descriptor),
                Err(error) => {
                    if error.kind() == io::ErrorKind::NotFound {
                        self.gone(key, file);
                    }
                    return Err(error);
                }
            }
        }
        let part = match &mut file.part {
            Some(part) => part,
            none => {
                let (descriptor, number) =
                    self.make_room(|directories| directories.create(&file.name, PART))?;
                if let Err(error) = begun(self.manifest.as_deref(), &file.name, number) {
                    let _ = self.directories.remove(&file.name, number, PART);
                    return Err(error);
                }
                let seat = self.descriptors.put(key, descriptor);
                none.insert(Part { number, is_named: false, length: 0, frames: 0, seat })
            }
        };
        let descriptor = self.descriptors.get(key, part.seat).ok_or(io::ErrorKind::NotFound)?;
        let written = write_at(descriptor, part.length, self.pool.slices(&file.held));
        if written.is_err() {
            let _ = rustix::fs::ftruncate(descriptor.as_fd(), part.length);
        }
        written
    }

    /// Somebody removed the unfinished file: what was in it is lost, and the next frames begin another.
    fn gone(&mut self, key: u32, file: &mut CallFile) {
        let Some(part) = file.part.take() else { return };
        self.close(key, &part);
        self.dropped(&file.name, part.number);
        self.counters.frames_written -= part.frames;
        self.counters.frames_lost += part.frames;
    }

    fn rename(&mut self, key: u32, file: &mut CallFile) -> Option<u32> {
        let part = file.part.take()?;
        self.close(key, &part);
        if part.is_named {
            self.named(&file.name, None, part.number);
            return Some(part.number);
        }
        if part.length == 0 {
            // Created, and then the disk took none of it.
            let _ = self.directories.remove(&file.name, part.number, PART);
            self.dropped(&file.name, part.number);
            return None;
        }
        match self.directories.finalise(&file.name, part.number) {
            Ok(number) => {
                self.named(&file.name, Some(part.number), number);
                Some(number)
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound {
                    self.counters.frames_written -= part.frames;
                    self.counters.frames_lost += part.frames;
                    self.dropped(&file.name, part.number);
                }
                self.report("rename", &file.name, &error);
                None
            }
        }
    }

    /// Opens a file; should the process be out of descriptors, those that wait for more bytes give way. When the
    /// directory was removed and had to be made again, what is open is in no directory any more.
    fn make_room<T>(&mut self, open: impl Fn(&mut Directories) -> io::Result<T>) -> io::Result<T> {
        let opened = match open(&mut self.directories) {
            Err(error) if is_out_of_descriptors(&error) => {
                self.descriptors.close_all();
                open(&mut self.directories)
            }
            opened => opened,
        };
        if self.directories.was_remade() {
            self.descriptors.close_all();
        }
        opened
    }

    fn close(&mut self, key: u32, part: &Part) {
        self.descriptors.close(key, part.seat);
        self.counters.open_files = self.descriptors.open as u64;
    }

    /// A file has its final name; `begun` is the number that it had while it was unfinished.
    fn named(&mut self, name: &str, begun: Option<u32>, number: u32) {
        self.counters.files_written += 1;
        self.counters.files_numbered += u64::from(number > 1);
        let Some(manifest) = self.manifest.clone() else { return };
        let (mut given, mut before) = (String::new(), String::new());
        below(&mut given, name, number);
        if let Some(number) = begun {
            below(&mut before, name, number);
        }
        let begun = begun.map(|_| before.as_str());
        if let Err(error) = manifest.done(begun, &given) {
            self.report("list", name, &error);
        }
    }

    fn dropped(&self, name: &str, number: u32) {
        if let Some(manifest) = &self.manifest {
            let mut given = String::new();
            below(&mut given, name, number);
            manifest.dropped(&given);
        }
    }

    /// Counts a failure and tells of it now and then: a full disk would otherwise fill the log as well.
    fn report(&mut self, what: &str, name: &str, error: &io::Error) {
        self.counters.write_errors += 1;
        self.throttle.failed(self.now, &format!("{what} capture file {name}"), error);
    }
}

/// Lists an unfinished file, before its first byte.
fn begun(manifest: Option<&Manifest>, name: &str, number: u32) -> io::Result<()> {
    let Some(manifest) = manifest else { return Ok(()) };
    let mut given = String::new();
    below(&mut given, name, number);
    manifest.begun(&given)
}

/// The `number`th form of a name below the directory.
fn below(out: &mut String, name: &str, number: u32) {
    numbered(out, name, number, "");
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
