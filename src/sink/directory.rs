//! Names on disk: created exclusively, renamed without overwriting, never followed through a link.
//!
//! All work is relative to an open directory: the kernel walks one component per file instead of a whole path.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use smallvec::SmallVec;

use crate::sink::manifest::Manifest;

/// What stands behind the name of a file that is not complete.
pub(super) const PART: &str = ".part";

const PERMISSIONS: Mode = Mode::from_bits_truncate(super::FILE_MODE);

/// Names tried in a row (`NAME`, `NAME~2`, …) before numbers are drawn from a counter that never looks back: one
/// Call-ID used for every call must not make each call probe all names before it.
const NEARBY: u32 = 16;

/// The most names tried for one file.
const MAX_ATTEMPTS: u32 = 100_000;

/// Directories below the root that are kept open, for prefixes that hold some.
const MAX_OPEN: usize = 8;

/// The directory of the call files, and those below it that names lead into.
#[derive(Debug)]
pub(super) struct Directories {
    root: PathBuf,
    base: OwnedFd,
    others: SmallVec<[(String, OwnedFd); 1]>,
    drawn: u32,
    candidate: String,
    /// Hears of directories that are made.
    manifest: Option<Arc<Manifest>>,
    remade: bool,
}

impl Directories {
    /// Opens `root`, and creates it first when it is not there. Holds a shared lock on it, which tells
    /// [`super::recover`] of another process that unfinished files here have an owner.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let base = open_directory(root)?;
        // A file system without locks only loses that courtesy.
        let _ = rustix::fs::flock(&base, FlockOperation::NonBlockingLockShared);
        Ok(Self::over(root, base))
    }

    /// The same with a list that hears of directories that are made.
    pub(super) fn listed(root: &Path, manifest: Option<Arc<Manifest>>) -> io::Result<Self> {
        Ok(Self { manifest, ..Self::open(root)? })
    }

    pub(super) fn over(root: &Path, base: OwnedFd) -> Self {
        Self {
            root: root.to_owned(),
            base,
            others: SmallVec::new(),
            drawn: NEARBY,
            candidate: String::new(),
            manifest: None,
            remade: false,
        }
    }

    /// Whether the directory had to be made again since this was last asked.
    pub(super) fn was_remade(&mut self) -> bool {
        std::mem::take(&mut self.remade)
    }

    /// Whether nothing at all is in the root.
    pub(super) fn is_empty(&self) -> bool {
        let entries = rustix::fs::Dir::read_from(&self.base);
        entries.is_ok_and(|entries| {
            entries
                .into_iter()
                .all(|entry| entry.is_ok_and(|entry| matches!(entry.file_name().to_bytes(), b"." | b"..")))
        })
    }

    /// Whether something of that name is there.
    pub(super) fn holds(&self, name: &str) -> bool {
        rustix::fs::statat(&self.base, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Creates `name` + `suffix` for writing, or the first numbered form of it that is free. Tells the number.
    pub(super) fn create(&mut self, name: &str, suffix: &str) -> io::Result<(OwnedFd, u32)> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = self.first_free(name, suffix, 1, |directory, candidate| {
            rustix::fs::openat(directory, candidate, flags, PERMISSIONS)
        });
        match made {
            // The directory was removed under us: make it again, once.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.others.clear();
                self.base = open_directory(&self.root)?;
                let _ = rustix::fs::flock(&self.base, FlockOperation::NonBlockingLockShared);
                self.remade = true;
                self.first_free(name, suffix, 1, |directory, candidate| {
                    rustix::fs::openat(directory, candidate, flags, PERMISSIONS)
                })
            }
            made => made,
        }
    }

    /// Opens the file of that name, number and suffix again.
    pub(super) fn reopen(&mut self, name: &str, number: u32, suffix: &str) -> io::Result<OwnedFd> {
        let mut candidate = std::mem::take(&mut self.candidate);
        let (directory, file) = self.locate(name)?;
        numbered(&mut candidate, file, number, suffix);
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(directory, candidate.as_str(), flags, Mode::empty());
        self.candidate = candidate;
        Ok(opened?)
    }

    /// Gives the unfinished file its final name, or the first numbered form of it that is free.
    pub(super) fn finalise(&mut self, name: &str, number: u32) -> io::Result<u32> {
        let mut part = String::new();
        numbered(&mut part, name.rsplit('/').next().unwrap_or(name), number, PART);
        let renamed = self
            .first_free(name, "", number, |directory, candidate| rename(directory, part.as_str(), candidate));
        renamed.map(|((), number)| number)
    }

    /// Removes the file of that name and number.
    pub(super) fn remove(&mut self, name: &str, number: u32, suffix: &str) -> io::Result<()> {
        let mut candidate = std::mem::take(&mut self.candidate);
        let (directory, file) = self.locate(name)?;
        numbered(&mut candidate, file, number, suffix);
        let removed = rustix::fs::unlinkat(directory, candidate.as_str(), AtFlags::empty());
        self.candidate = candidate;
        Ok(removed?)
    }

    /// Does `attempt` with one candidate name after the other while it answers that the name is taken.
    fn first_free<T>(
        &mut self,
        name: &str,
        suffix: &str,
        from: u32,
        attempt: impl Fn(BorrowedFd<'_>, &str) -> rustix::io::Result<T>,
    ) -> io::Result<(T, u32)> {
        let mut candidate = std::mem::take(&mut self.candidate);
        let mut drawn = self.drawn;
        let (directory, file) = self.locate(name)?;
        let mut result = Err(io::Error::from(Errno::EXIST));
        for tried in 0..MAX_ATTEMPTS {
            let number = if tried < NEARBY {
                from.saturating_add(tried)
            } else {
                drawn = drawn.saturating_add(1);
                drawn
            };
            numbered(&mut candidate, file, number, suffix);
            match attempt(directory, candidate.as_str()) {
                Err(Errno::EXIST) => {}
                Err(error) => {
                    result = Err(error.into());
                    break;
                }
                Ok(made) => {
                    result = Ok((made, number));
                    break;
                }
            }
        }
        self.drawn = drawn;
        self.candidate = candidate;
        result
    }

    /// The open directory that `name` leads into, and the rest of it.
    pub(super) fn locate<'a>(&'a mut self, name: &'a str) -> io::Result<(BorrowedFd<'a>, &'a str)> {
        let slash = memchr::memrchr(b'/', name.as_bytes());
        let Some((path, file)) = slash.and_then(|at| Some((name.get(..at)?, name.get(at + 1..)?))) else {
            return Ok((self.base.as_fd(), name));
        };
        let known = self.others.iter().position(|(known, _)| known == path);
        let index = match known {
            Some(index) => index,
            None => {
                self.announce(path);
                let opened = open_directory(&self.root.join(if path.is_empty() { "/" } else { path }))?;
                if self.others.len() == MAX_OPEN {
                    self.others.remove(0);
                }
                self.others.push((path.to_owned(), opened));
                self.others.len() - 1
            }
        };
        let directory = self.others.get(index).map_or(self.base.as_fd(), |(_, directory)| directory.as_fd());
        Ok((directory, file))
    }
}

impl Directories {
    /// Makes those of the directories on the way of `path` that are missing, and lists them.
    fn announce(&self, path: &str) {
        let Some(manifest) = self.manifest.as_deref().filter(|_| !path.starts_with('/')) else { return };
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for made in ends.filter_map(|end| path.get(..end)).filter(|made| !made.is_empty()) {
            // Whatever is wrong, opening the whole says it.
            if rustix::fs::mkdirat(&self.base, made, Mode::from_bits_truncate(0o777)).is_ok() {
                let _ = manifest.made(made);
            }
        }
    }
}

/// Writes into `out` the `number`th form of `name` (`a.pcap`, `a~2.pcap`, …) and `suffix`.
pub(super) fn numbered(out: &mut String, name: &str, number: u32, suffix: &str) {
    out.clear();
    if number > 1 {
        let (stem, extension) = name.split_at(name.rfind('.').unwrap_or(name.len()));
        let _ = write!(out, "{stem}~{number}{extension}");
    } else {
        out.push_str(name);
    }
    out.push_str(suffix);
}

/// Writes all of `slices` at `offset` of the file; tells how many bytes that were.
pub(super) fn write_at<'a>(
    file: impl AsFd,
    mut offset: u64,
    slices: impl Iterator<Item = &'a [u8]>,
) -> io::Result<u64> {
    /// Fewer than any system's IOV_MAX.
    const VECTOR: usize = 1_000;
    let start = offset;
    let mut all: SmallVec<[IoSlice<'_>; 32]> = slices.map(IoSlice::new).collect();
    let mut left = all.as_mut_slice();
    while !left.is_empty() {
        let now = left.get(..VECTOR).unwrap_or(left);
        match rustix::io::pwritev(&file, now, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(offset - start)
}

pub(super) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Empty when the whole path was one file name.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            fs::create_dir_all(path)?;
            Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
        }
        opened => Ok(opened?),
    }
}

/// Renames within `directory`; a file that has the new name already is never replaced.
fn rename(directory: BorrowedFd<'_>, from: &str, to: &str) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(directory, from, directory, to, RenameFlags::NOREPLACE) {
        // A file system (NFS) or kernel without that flag: look first. Two writers could still meet there.
        Err(Errno::INVAL | Errno::NOSYS) => {
            if rustix::fs::statat(directory, to, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                return Err(Errno::EXIST);
            }
            rustix::fs::renameat(directory, from, directory, to)
        }
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nothing_is_ever_overwritten() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.pcap"), "old").unwrap();
        std::os::unix::fs::symlink("/nowhere", root.path().join("a~2.pcap")).unwrap();
        let mut directories = Directories::open(root.path()).unwrap();
        let (file, number) = directories.create("a.pcap", "").unwrap();
        assert_eq!(number, 3);
        assert_eq!(write_at(file, 0, [&b"one"[..], b"", b"two"].into_iter()).unwrap(), 6);
        assert_eq!(fs::read(root.path().join("a~3.pcap")).unwrap(), b"onetwo");
        let (_, part) = directories.create("a.pcap", PART).unwrap();
        assert_eq!(part, 1);
        assert_eq!(directories.finalise("a.pcap", part).unwrap(), 4);
        assert_eq!(fs::read(root.path().join("a.pcap")).unwrap(), b"old");
        directories.remove("a.pcap", 4, "").unwrap();
        assert!(!directories.holds("a~4.pcap") && directories.holds("a~2.pcap"));
    }

    #[test]
    fn one_name_for_everything_does_not_probe_all_names_each_time() {
        let root = tempfile::tempdir().unwrap();
        let mut directories = Directories::open(root.path()).unwrap();
        let numbers: BTreeSet<u32> = (0..200).map(|_| directories.create("a.pcap", "").unwrap().1).collect();
        assert_eq!(numbers.len(), 200);
        assert_eq!(directories.drawn, NEARBY + 200 - NEARBY);
    }

    #[test]
    fn directories_of_names_are_made_and_a_removed_root_comes_back() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("deep/er");
        let mut directories = Directories::open(&root).unwrap();
        for turn in 0..12 {
            directories.create(&format!("day{turn}/a.pcap"), "").unwrap();
        }
        assert!(root.join("day11/a.pcap").exists());
        fs::remove_dir_all(&root).unwrap();
        directories.create("b.pcap", "").unwrap();
        assert!(root.join("b.pcap").exists());
    }
}
