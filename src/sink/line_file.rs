//! A file of lines that a service appends to: whole lines, kept while the disk says no, reopened when rotated.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::{FILE_MODE, stdout};

/// Bytes that wait for the disk before they are written unasked.
const BUFFER: usize = 256 << 10;

/// Bytes that wait at most while the disk says no; lines beyond are lost, counted.
const MOST: usize = 1 << 20;

/// Asks for the files of records and events to be opened anew, as after logrotate has moved them.
/// Each clone hears of it once.
#[derive(Clone, Debug, Default)]
pub struct Reopen {
    asked: Arc<AtomicBool>,
    /// How often it was asked for, and how often that was heard of here.
    times: Arc<AtomicUsize>,
    heard: usize,
}

impl Reopen {
    /// Asks for it; it is done before the next line is written, and within a second.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// The flag, for a signal handler to raise.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Whether it was asked for since the last look.
    pub(super) fn taken(&mut self) -> bool {
        if self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::Relaxed) {
            self.times.fetch_add(1, Ordering::Relaxed);
        }
        let times = self.times.load(Ordering::Relaxed);
        std::mem::replace(&mut self.heard, times) != times
    }
}

/// What became of lines, of one output or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Lines that found no room, because the disk or the reader was too slow or said no.
    pub lost: u64,
    /// Times that the disk said no.
    pub errors: u64,
}

impl LineCounts {
    pub(super) const fn add(&mut self, more: Self) {
        self.lost += more.lost;
        self.errors += more.errors;
    }
}

/// Whether a file is begun anew or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Over what is there: a run over the same input gives the same file.
    Anew,
    /// Behind it.
    Behind,
}

/// An output of lines.
#[derive(Debug)]
pub(super) struct LineFile {
    /// None: standard output.
    path: Option<PathBuf>,
    file: Option<File>,
    begin: Begin,
    /// Whole lines, but for the first when part of it is written.
    buffer: Vec<u8>,
    is_torn: bool,
    /// A FIFO or a terminal: somebody has to take what is written.
    has_reader: bool,
    /// Who took nothing while the run was to end is not waited for again.
    is_given_up: bool,
    counts: LineCounts,
}

impl LineFile {
    /// Standard output.
    pub(super) fn stdout() -> Self {
        Self {
            path: None,
            file: None,
            begin: Begin::Behind,
            buffer: Vec::new(),
            is_torn: false,
            has_reader: true,
            is_given_up: false,
            counts: LineCounts::default(),
        }
    }

    /// Opens the file at `path`, or standard output for `-`. Directories are made. What is there stays as it is until
    /// [`Self::begin`].
    pub(super) fn open(path: &Path, begin: Begin) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::stdout());
        }
        let file = open(path, begin)?;
        let has_reader = has_reader(&file)?;
        Ok(Self { path: Some(path.to_owned()), file: Some(file), begin, has_reader, ..Self::stdout() })
    }

    /// What the system says of it; none when it is no file.
    pub(super) fn about(&self) -> Option<Metadata> {
        self.file.as_ref().and_then(|file| file.metadata().ok()).filter(Metadata::is_file)
    }

    /// Makes the file ready for the first line.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        let is_file = self.about().is_some();
        match &mut self.file {
            Some(file) if is_file && self.begin == Begin::Anew => file.set_len(0),
            Some(file) if is_file => end_line(file),
            _ => Ok(()),
        }
    }

    pub(super) const fn counts(&self) -> LineCounts {
        self.counts
    }

    /// Whether lines go to standard output.
    pub(super) const fn is_stdout(&self) -> bool {
        self.path.is_none()
    }

    /// Whether somebody has to take what is written, and may take his time.
    pub(super) const fn has_reader(&self) -> bool {
        self.has_reader
    }

    /// Whether the reader of standard output has left, or any was given up: lines go nowhere from then on.
    pub(super) fn is_unread(&self) -> bool {
        self.is_given_up() || self.is_stdout() && stdout::reader_left()
    }

    fn is_given_up(&self) -> bool {
        self.is_given_up || self.is_stdout() && stdout::reader_stalls()
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string())
    }

    /// Takes the line that `line` appends.
    ///
    /// # Errors
    /// What the disk said. The line is kept for the next try if there is room.
    pub(super) fn push(&mut self, line: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        if self.is_unread() {
            self.counts.lost += u64::from(self.is_given_up());
            return Ok(());
        }
        let before = self.buffer.len();
        let taken = line(&mut self.buffer);
        if taken.is_err() {
            self.buffer.truncate(before);
            return taken;
        }
        if self.buffer.len() < BUFFER {
            return Ok(());
        }
        let taken = self.buffer.len();
        let flushed = self.flush();
        if self.buffer.len() > MOST {
            let written = taken - self.buffer.len();
            self.buffer.truncate(before.saturating_sub(written));
            self.counts.lost += 1;
        }
        flushed
    }

    /// Brings all lines to the file.
    ///
    /// # Errors
    /// What the disk said; what it did not take is kept.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let (None, Some(path)) = (&self.file, &self.path) {
            (self.file, self.has_reader) = open_behind(path).inspect_err(|_| self.counts.errors += 1)?;
        }
        let mut written = 0;
        let outcome = loop {
            let rest = self.buffer.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            let wrote = match &self.file {
                Some(file) if self.has_reader => stdout::write_with_room(file.as_fd(), rest),
                Some(file) => rustix::io::write(file, rest),
                None => stdout::write(rest),
            };
            match wrote {
                Ok(0) => break Err(Errno::IO),
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(error) => break Err(error),
            }
        };
        if written > 0 {
            self.is_torn = self.buffer.get(written - 1) != Some(&b'\n');
            self.buffer.drain(..written);
        }
        match outcome {
            // As `| head`. A FIFO with a name may get another reader.
            Err(Errno::PIPE) if self.is_stdout() => {
                self.buffer = Vec::new();
                Ok(())
            }
            Err(Errno::TIMEDOUT) if self.has_reader => {
                self.give_up();
                self.is_given_up = true;
                // Of standard output that is said by who ends the run, and is no failure.
                if self.is_stdout() {
                    return Ok(());
                }
                Err(io::Error::new(ErrorKind::TimedOut, "the reader takes nothing"))
            }
            outcome => {
                self.counts.errors += u64::from(outcome.is_err());
                Ok(outcome?)
            }
        }
    }

    /// Counts as lost what is not written: there will be no other try.
    pub(super) fn give_up(&mut self) {
        // A line of which a part is written is lost, too.
        self.counts.lost += self.buffer.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.buffer = Vec::new();
    }

    /// Opens the file anew under its name: what is written from here on does not go where the old one was moved to.
    ///
    /// # Errors
    /// It cannot be opened; the next flush tries again.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        let flushed = self.flush();
        let Some(path) = &self.path else { return flushed };
        if self.is_torn {
            // Its beginning is in the old file.
            let end =
                self.buffer.iter().position(|&byte| byte == b'\n').map_or(self.buffer.len(), |at| at + 1);
            self.buffer.drain(..end);
            self.is_torn = false;
            self.counts.lost += 1;
        }
        self.file = None;
        (self.file, self.has_reader) = open_behind(path)?;
        Ok(())
    }
}

/// Opens a file to write behind what is there, also when another process does.
fn open(path: &Path, begin: Begin) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(FILE_MODE);
    match begin {
        Begin::Anew => options.open(path),
        // Not only for appending: the last byte is looked at.
        Begin::Behind => match options.read(true).open(path) {
            // A FIFO or a device that may only be written to.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => options.read(false).open(path),
            opened => opened,
        },
    }
}

/// The file, and whether it has a reader.
fn open_behind(path: &Path) -> io::Result<(Option<File>, bool)> {
    let mut file = open(path, Begin::Behind)?;
    if file.metadata().is_ok_and(|about| about.is_file()) {
        end_line(&mut file)?;
    }
    let has_reader = has_reader(&file)?;
    Ok((Some(file), has_reader))
}

/// Whether somebody has to take what is written to it. A write does not wait for him then: the end of the run would not be seen.
fn has_reader(file: &File) -> io::Result<bool> {
    let kind = file.metadata()?.file_type();
    let has_reader = kind.is_fifo() || kind.is_char_device();
    if has_reader {
        fcntl_setfl(file, fcntl_getfl(file)? | OFlags::NONBLOCK)?;
    }
    Ok(has_reader)
}

/// A crash tore the last line; the next must not become its end.
fn end_line(file: &mut File) -> io::Result<()> {
    let mut last = [b'\n'];
    let is_read = file.seek(SeekFrom::End(-1)).is_ok() && file.read_exact(&mut last).is_ok();
    if is_read && last != [b'\n'] { io::Write::write_all(file, b"\n") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn line(text: &str) -> impl FnOnce(&mut Vec<u8>) -> io::Result<()> + '_ {
        move |out| {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
            Ok(())
        }
    }

    #[test]
    fn a_torn_line_stays_alone_and_a_moved_file_is_let_go() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("below/calls.jsonl");
        fs::create_dir(home.path().join("below")).unwrap();
        fs::write(&path, "whole\nto").unwrap();
        let mut lines = LineFile::open(&path, Begin::Behind).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nto", "not before it is known to be free");
        lines.begin().unwrap();
        lines.push(line("one")).unwrap();
        lines.flush().unwrap();
        let moved = home.path().join("calls.jsonl.1");
        fs::rename(&path, &moved).unwrap();
        lines.push(line("two")).unwrap();
        lines.reopen().unwrap();
        lines.push(line("three")).unwrap();
        lines.flush().unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "whole\nto\none\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        let mut anew = LineFile::open(&path, Begin::Anew).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n", "not before it is known to be free");
        anew.begin().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn others_may_not_read_what_was_made_and_what_was_there_stays_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for begin in [Begin::Anew, Begin::Behind] {
            let (made, there) = (home.path().join("made"), home.path().join("there"));
            LineFile::open(&made, begin).unwrap();
            assert_eq!(mode(&made) & 0o137, 0, "{begin:?}");
            fs::write(&there, "").unwrap();
            fs::set_permissions(&there, fs::Permissions::from_mode(0o604)).unwrap();
            LineFile::open(&there, begin).unwrap();
            assert_eq!(mode(&there), 0o604, "{begin:?}");
            fs::remove_file(&made).unwrap();
        }
    }

    #[test]
    fn a_full_disk_costs_lines_beyond_the_most_and_no_memory() {
        let mut lines = LineFile::open(Path::new("/dev/full"), Begin::Anew).unwrap();
        let text = "x".repeat(1_000);
        let refused = (0..3_000).filter(|_| lines.push(line(&text)).is_err()).count();
        assert!(refused > 0 && lines.flush().is_err());
        assert!(lines.buffer.len() <= MOST && lines.buffer.ends_with(b"\n"));
        let kept = lines.buffer.len() / 1_001;
        assert_eq!(kept as u64 + lines.counts().lost, 3_000);
        assert!(lines.counts().errors > 0);
        // Space came back: what was kept is written.
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lines");
        lines.path = Some(path.clone());
        lines.file = None;
        lines.flush().unwrap();
        assert!(!lines.has_reader());
        assert_eq!(fs::read(&path).unwrap().len(), kept * 1_001);
    }
}
