//! The log file: lines are appended, and it is opened anew after a rotation.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::LogError;

/// Others have no business in it: numbers that were called stand there.
const MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

pub(super) struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
    /// It was moved away and cannot be opened anew, which was told.
    is_stuck: AtomicBool,
}

impl LogFile {
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let file = create(path).map_err(|reason| LogError::File { path: path.to_owned(), reason })?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), is_stuck: AtomicBool::new(false) })
    }

    pub(super) fn reopen(&self) -> Result<(), LogError> {
        let file = create(&self.path).map_err(|reason| LogError::File { path: self.path.clone(), reason })?;
        *self.lock() = file;
        Ok(())
    }

    /// Opens it anew if another file, or none, has its name by now: not everybody who rotates logs says so. An error
    /// is told once, until it is over.
    pub(super) fn reopen_if_moved(&self) -> Result<(), LogError> {
        let reopened = if self.is_moved() { self.reopen() } else { Ok(()) };
        let was_stuck = self.is_stuck.swap(reopened.is_err(), Ordering::Relaxed);
        if was_stuck { Ok(()) } else { reopened }
    }

    fn is_moved(&self) -> bool {
        let identity = |it: Metadata| (it.dev(), it.ino());
        let open = self.lock().metadata().map(identity);
        open.is_ok_and(|open| fs::metadata(&self.path).map(identity).ok() != Some(open))
    }

    /// One write a line: lines of two processes do not mix.
    pub(super) fn append(&self, line: &[u8]) -> io::Result<()> {
        self.lock().write_all(line)
    }

    pub(super) fn give(&self, user: u32, group: u32) -> io::Result<()> {
        let file = self.lock();
        // A device, as /dev/stderr leads to, is nobody's to give.
        if file.metadata()?.is_file() {
            std::os::unix::fs::fchown(&*file, Some(user), Some(group))?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens or makes the file, and a directory for it.
fn create(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().append(true).create(true).mode(MODE).open(path);
    match (open(), path.parent()) {
        (Err(error), Some(directory)) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
            open()
        }
        (opened, _) => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn lines_are_appended_and_a_rotation_begins_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("a/log"), directory.path().join("a/log.1"));
        LogFile::open(&path).unwrap().append(b"before\n").unwrap();
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o27, 0);
        let log = LogFile::open(&path).unwrap();
        log.append(b"1\n").unwrap();
        fs::rename(&path, &old).unwrap();
        log.append(b"2\n").unwrap();
        log.reopen().unwrap();
        log.append(b"3\n").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "before\n1\n2\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    }

    #[test]
    fn a_rotation_that_nobody_tells_of_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("log"), directory.path().join("log.1"));
        let log = LogFile::open(&path).unwrap();
        log.reopen_if_moved().unwrap();
        log.append(b"1\n").unwrap();
        fs::rename(&path, &old).unwrap();
        log.reopen_if_moved().unwrap();
        log.append(b"2\n").unwrap();
        // A new file made by who rotates, as logrotate's `create` does.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "header\n").unwrap();
        log.reopen_if_moved().unwrap();
        log.append(b"3\n").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "1\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "header\n3\n");
    }

    #[test]
    fn a_rotation_that_cannot_be_followed_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = LogFile::open(&path).unwrap();
        for _ in 0..2 {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            assert!(log.reopen_if_moved().is_err());
            assert!(log.reopen_if_moved().is_ok(), "not every second");
            fs::remove_dir(&path).unwrap();
            log.reopen_if_moved().unwrap();
        }
    }

    #[test]
    fn what_cannot_be_opened_anew_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = LogFile::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = log.reopen().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}: the log cannot be written there: ", path.display())),
            "{error}"
        );
        log.append(b"still\n").unwrap();
    }
}
