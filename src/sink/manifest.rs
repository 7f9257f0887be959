//! The list of call files that this program wrote, kept beside them: what is not in it is never deleted.
//!
//! A hidden file of lines, oldest first, to which files are added as they are completed:
//!
//! ```text
//! + NAME                  an unfinished file was begun (NAME.part)
//! = SIZE MTIME NAME       a file was completed; its size and the time it was last written, in nanoseconds
//! / NAME                  a directory was made
//! ```
//!
//! Names are relative; control characters, `%` and what is not ASCII stand as `%HH`. Whoever can write to the directory
//! can write to the list, and a crash can tear a line. So a line is only a hint: a file is deleted when it lies below
//! the directory, without a link on the way, is a regular capture file, and has the size and time that the line says.
//! Lines are dead once their file is gone; when most are, the list is written anew.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};

/// Its name.
pub(super) const NAME: &str = ".lippycat-files";
/// The name of the next one while it is written.
const NEXT: &str = ".lippycat-files.new";

/// Longest line that is read.
const MAX_LINE: usize = 8 << 10;

/// Unfinished files and directories that are remembered. Beyond it a crash, or a directory, leaves more behind.
const MAX_REMEMBERED: usize = 1 << 20;

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Begun(String),
    Done(Entry),
    Made(String),
}

/// A completed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) modified: i128,
}

impl Line {
    /// Reads a line without its end. None when it is not one that this program wrote.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let (kind, rest) = text.split_at_checked(2)?;
        Some(match kind {
            "+ " => Self::Begun(decode(rest)?),
            "/ " => Self::Made(decode(rest)?),
            "= " => {
                let (size, rest) = rest.split_once(' ')?;
                let (modified, name) = rest.split_once(' ')?;
                let (size, modified) = (size.parse().ok()?, modified.parse().ok()?);
                Self::Done(Entry { name: decode(name)?, size, modified })
            }
            _ => return None,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let (head, name) = match self {
            Self::Begun(name) => ("+ ".to_owned(), name),
            Self::Made(name) => ("/ ".to_owned(), name),
            Self::Done(entry) => (format!("= {} {} ", entry.size, entry.modified), &entry.name),
        };
        out.extend_from_slice(head.as_bytes());
        for &byte in name.as_bytes() {
            if byte.is_ascii_graphic() && byte != b'%' || byte == b' ' {
                out.push(byte);
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out.push(b'\n');
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// The list of one directory. Writers share it.
#[derive(Debug)]
pub struct Manifest {
    base: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// Unfinished files.
    begun: BTreeSet<String>,
    /// Directories that were made and may be removed when they are empty.
    made: BTreeSet<String>,
    scratch: Vec<u8>,
}

impl Manifest {
    /// Opens the list in `directory`, both of which are made when missing, and reads it once.
    ///
    /// # Errors
    /// It cannot be made or opened, is no regular file, or another process has it.
    pub fn open(directory: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(if directory.as_os_str().is_empty() { Path::new(".") } else { directory })?;
        let base = super::directory::open_directory(directory)?;
        let file = open_list(base.as_fd(), NAME, OFlags::empty())?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("{NAME} is no regular file")));
        }
        lock_soon(&file).map_err(|_| {
            io::Error::other("another process keeps its files there: each needs a directory of its own")
        })?;
        let mut state = State { file, begun: BTreeSet::new(), made: BTreeSet::new(), scratch: Vec::new() };
        state.read()?;
        Ok(Self { base, state: Mutex::new(state) })
    }

    /// Every line is whole by itself, whatever happened to whom wrote the one before.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An unfinished file was begun.
    pub(super) fn begun(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        if state.begun.len() < MAX_REMEMBERED {
            state.begun.insert(name.to_owned());
        }
        state.append(&Line::Begun(name.to_owned()))
    }

    /// A directory was made.
    pub(super) fn made(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        if state.made.len() < MAX_REMEMBERED {
            state.made.insert(name.to_owned());
        }
        state.append(&Line::Made(name.to_owned()))
    }

    /// A file was completed under `name`; `begun` is the name it was begun under, if it was.
    pub(super) fn done(&self, begun: Option<&str>, name: &str) -> io::Result<()> {
        let found = Found::at(self.base.as_fd(), name)?;
        let mut state = self.lock();
        if let Some(begun) = begun {
            state.begun.remove(begun);
        }
        state.append(&Line::Done(found.entry(name)))
    }

    /// An unfinished file is gone.
    pub(super) fn dropped(&self, name: &str) {
        self.lock().begun.remove(name);
    }

    /// The unfinished files that the list had when it was opened, and those begun since.
    pub(super) fn unfinished(&self) -> BTreeSet<String> {
        self.lock().begun.clone()
    }

    /// The lines from `offset` on, as many as are whole in about 64 KiB, each with where the next begins.
    pub(super) fn lines(&self, offset: u64, out: &mut Vec<(Option<Line>, u64)>) -> io::Result<()> {
        out.clear();
        let mut state = self.lock();
        let State { file, scratch, .. } = &mut *state;
        let most = file.metadata()?.len().saturating_sub(offset).min(64 << 10);
        scratch.resize(usize::try_from(most).unwrap_or_default(), 0);
        file.read_exact_at(scratch, offset)?;
        let mut at = offset;
        for line in scratch.split_inclusive(|&byte| byte == b'\n') {
            if line.last() != Some(&b'\n') && line.len() < MAX_LINE {
                break;
            }
            at += line.len() as u64;
            let line = line.strip_suffix(b"\n").unwrap_or_default();
            out.push((Line::parse(line).filter(|_| line.len() < MAX_LINE), at));
        }
        Ok(())
    }

    /// Deletes a completed file, if it is still the one that was listed. Tells whether it was there.
    pub(super) fn delete(&self, entry: &Entry) -> io::Result<bool> {
        let Some((parent, file)) = parent(self.base.as_fd(), &entry.name)? else { return Ok(false) };
        match Found::at(parent.as_fd(), file) {
            Ok(found) if found.entry(&entry.name) == *entry => {}
            Ok(_) => return Ok(false),
            // Gone, or not a regular file any more.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        rustix::fs::unlinkat(&parent, file, AtFlags::empty())?;
        self.prune(&entry.name);
        Ok(true)
    }

    /// Whether a listed file is still there and the same.
    pub(super) fn holds(&self, entry: &Entry) -> bool {
        let Ok(Some((parent, file))) = parent(self.base.as_fd(), &entry.name) else { return false };
        Found::at(parent.as_fd(), file).is_ok_and(|found| found.entry(&entry.name) == *entry)
    }

    /// Removes the directories above `name` that were made for call files and are empty now.
    fn prune(&self, name: &str) {
        let mut name = name;
        while let Some((above, _)) = name.rsplit_once('/') {
            name = above;
            if !self.lock().made.contains(above) {
                return;
            }
            let Ok(Some((parent, last))) = parent(self.base.as_fd(), above) else { return };
            if rustix::fs::unlinkat(&parent, last, AtFlags::REMOVEDIR).is_err() {
                return;
            }
            self.lock().made.remove(above);
        }
    }

    /// Writes the list anew without what is before `offset`, which is dead. Tells where that place is then.
    pub(super) fn compact(&self, offset: u64) -> io::Result<u64> {
        let mut state = self.lock();
        let _ = rustix::fs::unlinkat(&self.base, NEXT, AtFlags::empty());
        let mut next = open_list(self.base.as_fd(), NEXT, OFlags::EXCL)?;
        rustix::fs::flock(&next, FlockOperation::NonBlockingLockExclusive)?;
        let made = state.made.iter().cloned().map(Line::Made);
        let begun = state.begun.iter().cloned().map(Line::Begun);
        let mut head = Vec::new();
        made.chain(begun).for_each(|line| line.write(&mut head));
        next.write_all(&head)?;
        let (mut at, end) = (offset, state.file.metadata()?.len());
        while at < end {
            let mut piece = vec![0; usize::try_from((end - at).min(1 << 20)).unwrap_or_default()];
            state.file.read_exact_at(&mut piece, at)?;
            next.write_all(&piece)?;
            at += piece.len() as u64;
        }
        next.sync_data()?;
        rustix::fs::renameat(&self.base, NEXT, &self.base, NAME)?;
        state.file = next;
        Ok(head.len() as u64)
    }
}

/// How often a lock is asked for, and the pause in between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Locks the list. Who had it may be about to end, or have ended while a child of its process, on its way to another
/// program, holds the list open for a moment.
fn lock_soon(file: &File) -> rustix::io::Result<()> {
    let try_lock = || rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
    for _ in 1..TRIES {
        if try_lock().is_ok() {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    try_lock()
}

impl State {
    /// Finds out what was unfinished, and which directories were made, when the program last ended.
    fn read(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = io::BufReader::with_capacity(256 << 10, &self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let took = io::BufRead::read_until(&mut (&mut reader).take(MAX_LINE as u64), b'\n', &mut line)?;
            if took == 0 {
                break;
            }
            match Line::parse(line.strip_suffix(b"\n").unwrap_or_default()) {
                Some(Line::Begun(name)) if self.begun.len() < MAX_REMEMBERED => {
                    self.begun.insert(name);
                }
                Some(Line::Made(name)) if self.made.len() < MAX_REMEMBERED => {
                    self.made.insert(name);
                }
                Some(Line::Done(entry)) => {
                    self.begun.remove(&entry.name);
                }
                _ => {}
            }
        }
        let mut last = [b'\n'];
        let length = self.file.metadata()?.len();
        if length > 0 && self.file.read_exact_at(&mut last, length - 1).is_ok() && last != [b'\n'] {
            self.file.write_all(b"\n")?;
        }
        Ok(())
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        self.scratch.clear();
        let mut bytes = std::mem::take(&mut self.scratch);
        line.write(&mut bytes);
        let written = self.file.write_all(&bytes);
        self.scratch = bytes;
        if written.is_err() {
            // Half a line must not become the beginning of the next; should this fail too, that is torn as well.
            let _ = self.file.write_all(b"\n");
        }
        written
    }
}

/// A regular file as it is found.
#[derive(Clone, Copy, Debug)]
struct Found {
    size: u64,
    modified: i128,
}

impl Found {
    fn at(directory: impl AsFd, name: &str) -> io::Result<Self> {
        let about = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let modified = i128::from(about.st_mtime) * 1_000_000_000 + i128::from(about.st_mtime_nsec);
        Ok(Self { size: u64::try_from(about.st_size).unwrap_or_default(), modified })
    }

    fn entry(self, name: &str) -> Entry {
        Entry { name: name.to_owned(), size: self.size, modified: self.modified }
    }
}

/// The directory that `name` lies in, reached from `base` without following a link, and the last component. None when
/// it is not a name below `base`, or the way is not there.
fn parent(base: impl AsFd, name: &str) -> io::Result<Option<(OwnedFd, &str)>> {
    let is_below = !name.contains('\0')
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
        && !name.is_empty()
        && !name.ends_with('/')
        && !name.contains("//");
    if !is_below {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut directory = rustix::fs::openat(&base, ".", flags, Mode::empty())?;
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return Ok(Some((directory, part)));
        }
        directory = match rustix::fs::openat(&directory, part, flags, Mode::empty()) {
            Ok(below) => below,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
    }
    Ok(None)
}

fn open_list(base: impl AsFd, name: &str, more: OFlags) -> io::Result<File> {
    let flags = OFlags::RDWR
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC
        | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::openat(base, name, flags | more, Mode::from_bits_truncate(0o600))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn all(manifest: &Manifest) -> Vec<Option<Line>> {
        let (mut found, mut page, mut at) = (Vec::new(), Vec::new(), 0);
        loop {
            manifest.lines(at, &mut page).unwrap();
            let Some(&(_, next)) = page.last() else { return found };
            at = next;
            found.extend(page.drain(..).map(|(line, _)| line));
        }
    }

    fn entry(manifest: &Manifest, name: &str) -> Entry {
        let done = all(manifest).into_iter().flatten().rev().find_map(|line| match line {
            Line::Done(entry) if entry.name == name => Some(entry),
            _ => None,
        });
        done.unwrap()
    }

    #[test]
    fn only_what_is_listed_as_it_is_goes() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("pcap");
        let manifest = Manifest::open(&directory).unwrap();
        for name in ["a.pcap", "b.pcap", "c.pcap", "day/d.pcap"] {
            fs::create_dir_all(directory.join(name).parent().unwrap()).unwrap();
            fs::write(directory.join(name), name).unwrap();
            manifest.done(None, name).unwrap();
        }
        manifest.made("day").unwrap();
        let listed: Vec<Entry> =
            ["a.pcap", "b.pcap", "c.pcap", "day/d.pcap"].map(|name| entry(&manifest, name)).into();
        // Another file took the name; a link did; a directory did.
        fs::write(directory.join("a.pcap"), "longer than before").unwrap();
        fs::rename(directory.join("b.pcap"), home.path().join("b.pcap")).unwrap();
        std::os::unix::fs::symlink(home.path().join("b.pcap"), directory.join("b.pcap")).unwrap();
        for (entry, is_gone) in listed.iter().zip([false, false, true, true]) {
            assert_eq!(manifest.holds(entry), is_gone, "{entry:?}");
            assert_eq!(manifest.delete(entry).unwrap(), is_gone, "{entry:?}");
        }
        assert!(home.path().join("b.pcap").exists() && directory.join("a.pcap").exists());
        assert!(!directory.join("c.pcap").exists() && !directory.join("day").exists());
        assert!(!manifest.delete(&listed[2]).unwrap(), "gone already");
    }

    #[test]
    fn a_hostile_line_leads_nowhere() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("pcap");
        let manifest = Manifest::open(&directory).unwrap();
        fs::write(home.path().join("outside.pcap"), "x").unwrap();
        fs::create_dir(home.path().join("other")).unwrap();
        fs::write(home.path().join("other/e.pcap"), "x").unwrap();
        std::os::unix::fs::symlink(home.path().join("other"), directory.join("link")).unwrap();
        let absolute = home.path().join("outside.pcap").to_string_lossy().into_owned();
        for name in [
            "../outside.pcap",
            absolute.as_str(),
            "link/e.pcap",
            "./../outside.pcap",
            "",
            ".",
            "a\0b",
            "link/",
        ] {
            let target = home.path().join("outside.pcap");
            let found = Found::at(rustix::fs::CWD, target.to_str().unwrap()).unwrap();
            let entry = found.entry(name);
            assert!(!manifest.holds(&entry) && !manifest.delete(&entry).unwrap_or(false), "{name}");
        }
        assert!(home.path().join("outside.pcap").exists() && home.path().join("other/e.pcap").exists());
    }

    #[test]
    fn it_outlives_a_crash_and_is_written_anew() {
        let home = tempfile::tempdir().unwrap();
        let manifest = Manifest::open(home.path()).unwrap();
        assert!(Manifest::open(home.path()).is_err(), "one process a directory");
        manifest.begun("open.pcap").unwrap();
        manifest.begun("done.pcap").unwrap();
        fs::write(home.path().join("done.pcap"), "x").unwrap();
        manifest.done(Some("done.pcap"), "done.pcap").unwrap();
        manifest.made("day").unwrap();
        drop(manifest);
        let list = home.path().join(NAME);
        let mut text = fs::read(&list).unwrap();
        text.extend_from_slice(b"= 1 2 torn");
        fs::write(&list, &text).unwrap();
        let manifest = Manifest::open(home.path()).unwrap();
        assert_eq!(manifest.unfinished().into_iter().collect::<Vec<_>>(), ["open.pcap"]);
        fs::write(home.path().join("next.pcap"), "y").unwrap();
        manifest.done(None, "next.pcap").unwrap();
        let next = entry(&manifest, "next.pcap");
        let before: u64 = text.len() as u64 + 1;
        let at = manifest.compact(before).unwrap();
        let kept = [Line::Made("day".into()), Line::Begun("open.pcap".into()), Line::Done(next.clone())];
        assert_eq!(all(&manifest), kept.map(Some));
        let mut page = Vec::new();
        manifest.lines(at, &mut page).unwrap();
        assert_eq!(page.len(), 1);
        assert!(Manifest::open(home.path()).is_err(), "the new list is locked too");
        drop(manifest);
        assert!(Manifest::open(home.path()).unwrap().holds(&next));
    }

    proptest! {
        #[test]
        fn names_come_back_as_they_went(name in "\\PC{1,40}|[\\x00-\\xff]{1,40}", size: u64, modified: i64) {
            let line = Line::Done(Entry { name, size, modified: modified.into() });
            let mut text = Vec::new();
            line.write(&mut text);
            prop_assert_eq!(text.iter().position(|&byte| byte == b'\n'), Some(text.len() - 1));
            prop_assert_eq!(Line::parse(&text[..text.len() - 1]), Some(line));
        }

        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>) {
            let home = tempfile::tempdir().unwrap();
            fs::write(home.path().join(NAME), &bytes).unwrap();
            let manifest = Manifest::open(home.path()).unwrap();
            for line in all(&manifest).into_iter().flatten() {
                if let Line::Done(entry) = line {
                    prop_assert!(!manifest.delete(&entry).unwrap_or(false));
                }
            }
        }
    }
}
