//! One open file, FIFO or standard input, and how much of it was read.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use super::super::SourceError;

/// As many first bytes as tell what a file is.
const MAGIC: usize = 6;

/// A file that is read from front to back, whose first bytes can be looked at without taking them.
#[derive(Debug)]
pub(in crate::capture) struct Descriptor {
    path: PathBuf,
    file: Option<File>,
    /// Device and inode.
    identity: (u64, u64),
    /// Bytes in the file; unknown of a pipe.
    length: Option<u64>,
    position: u64,
    parked: bool,
    magic: [u8; MAGIC],
    /// How many bytes of `magic` are there, and how many of these were taken.
    looked: usize,
    taken: usize,
}

impl Descriptor {
    /// Opens what the user named; `-` is standard input. Whoever reads a FIFO waits for its writer, too.
    ///
    /// # Errors
    ///
    /// The operating system's, and a device: opening some changes them, and a terminal would wait for
    /// keys.
    pub(super) fn open(path: &Path) -> Result<Self, SourceError> {
        let failed = |error| SourceError::from_io(path, error);
        let file = if path == Path::new("-") {
            File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?)
        } else {
            refuse_device(path, &fs::metadata(path).map_err(failed)?)?;
            open(path).map_err(failed)?
        };
        let metadata = file.metadata().map_err(failed)?;
        refuse_device(path, &metadata)?;
        Ok(Self {
            path: path.to_path_buf(),
            file: Some(file),
            identity: (metadata.dev(), metadata.ino()),
            length: metadata.is_file().then_some(metadata.len()),
            position: 0,
            parked: false,
            magic: [0; MAGIC],
            looked: 0,
            taken: 0,
        })
    }

    /// The first bytes, fewer in a shorter file. Before the first read only.
    pub(super) fn magic(&mut self) -> io::Result<&[u8]> {
        while self.looked < MAGIC {
            let mut more = [0; MAGIC];
            let room = more.get_mut(self.looked..).unwrap_or_default();
            match self.pull(room) {
                Ok(0) => break,
                Ok(count) => {
                    let new = self.magic.iter_mut().skip(self.looked).zip(more.into_iter().skip(self.looked));
                    new.take(count).for_each(|(kept, byte)| *kept = byte);
                    self.looked += count;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.magic.get(..self.looked).unwrap_or_default())
    }

    /// Holds no descriptor between reads from now on: thousands of files are merged with 1,024 descriptors.
    /// A pipe, which cannot be opened twice, stays open; so does standard input.
    pub(super) fn park(&mut self) {
        self.parked = !self.is_stream();
    }

    /// It can be read only once.
    pub(super) fn is_stream(&self) -> bool {
        self.length.is_none() || self.path == Path::new("-")
    }

    /// Bytes read of it.
    pub(in crate::capture) const fn position(&self) -> u64 {
        self.position
    }

    /// Bytes in it; unknown of a pipe.
    pub(super) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// The open file, unless it is parked.
    pub(in crate::capture) const fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    fn pull(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.reopen()?,
        };
        // A regular file never lets anybody wait; a pipe may be idle for hours, and Ctrl-C has to end that.
        let result = if self.length.is_some() || wait(&file)? { file.read(buffer) } else { Ok(0) };
        if !self.parked {
            self.file = Some(file);
        }
        self.position += *result.as_ref().unwrap_or(&0) as u64;
        result
    }

    fn reopen(&self) -> io::Result<File> {
        let mut file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        // A rotation may have put another file in its place: what was read of this one then is all of it.
        if (metadata.dev(), metadata.ino()) != self.identity {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "another file has taken its place"));
        }
        file.seek(SeekFrom::Start(self.position))?;
        Ok(file)
    }
}

/// Opens a file, or a FIFO that maybe nobody writes to yet: that is waited for where the end is seen.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags | OFlags::NONBLOCK, Mode::empty())?;
    rustix::fs::fcntl_setfl(&file, flags)?;
    Ok(file.into())
}

/// Set by whoever wants reading to end: pipes then end as if their writer had gone.
static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// The flag that ends reading. Files are read on until their reader stops asking; a pipe that is idle ends.
#[must_use]
pub fn stop_flag() -> Arc<AtomicBool> {
    Arc::clone(&STOP)
}

/// How long an idle pipe is waited for before the flag is looked at again.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Waits until there is something to read; false when reading is to end.
fn wait(file: &File) -> io::Result<bool> {
    while !STOP.load(Ordering::Relaxed) {
        match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&PATIENCE)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

impl Read for Descriptor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut seen = self.magic.get(self.taken..self.looked).unwrap_or_default();
        if seen.is_empty() {
            return self.pull(buffer);
        }
        let count = seen.read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

fn refuse_device(path: &Path, metadata: &fs::Metadata) -> Result<(), SourceError> {
    let kind = metadata.file_type();
    if kind.is_char_device() || kind.is_block_device() {
        let reason = "it is a device; name a file, a directory or a FIFO, or pipe a capture in";
        return Err(SourceError::Unusable { path: path.to_path_buf(), reason });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn looking_takes_nothing_and_parking_changes_nothing() {
        for parked in [false, true] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(b"0123456789").unwrap();
            let mut descriptor = Descriptor::open(file.path()).unwrap();
            if parked {
                descriptor.park();
            }
            assert_eq!(descriptor.magic().unwrap(), b"012345");
            assert_eq!(descriptor.length(), Some(10));
            let mut text = String::new();
            descriptor.read_to_string(&mut text).unwrap();
            assert_eq!(text, "0123456789");
            assert_eq!(descriptor.position(), 10);
        }
    }

    #[test]
    fn a_parked_file_that_was_replaced_ends() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("a"), directory.path().join("b"));
        fs::write(&path, b"0123456789").unwrap();
        fs::write(&other, b"abcdefghij").unwrap();
        let mut descriptor = Descriptor::open(&path).unwrap();
        descriptor.park();
        descriptor.magic().unwrap();
        fs::rename(&other, &path).unwrap();
        let error = descriptor.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn devices_are_refused() {
        let refused = Descriptor::open(Path::new("/dev/null"));
        assert!(matches!(refused, Err(SourceError::Unusable { .. })));
    }
}
