//! What the disks say, for others to ask while a run goes on: errors, space, descriptors.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::sink::line_file::LineCounts;
use crate::sink::store::FileCounters;

/// Figures of all writers of a run, kept up to date by them. Reading them asks no disk. Writers hear here that the run is over.
#[derive(Debug, Default)]
pub struct DiskStatus {
    pub(super) write_errors: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    pub(super) files_written: AtomicU64,
    pub(super) open_files: AtomicU64,
    pub(super) held_bytes: AtomicU64,
    pub(super) frames_lost: AtomicU64,
    pub(super) queue_full: AtomicU64,
    pub(super) calls_refused: AtomicU64,
    pub(super) lines_lost: AtomicU64,
    pub(super) line_errors: AtomicU64,
    pub(super) free_bytes: AtomicU64,
    pub(super) total_bytes: AtomicU64,
    pub(super) retained_files: AtomicU64,
    pub(super) retained_bytes: AtomicU64,
    pub(super) deleted_files: AtomicU64,
    pub(super) deleted_bytes: AtomicU64,
    over: AtomicBool,
}

/// [`DiskStatus`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskFigures {
    /// Times that the disk said no to a call file.
    pub write_errors: u64,
    /// Bytes of call files on disk, of unfinished ones too.
    pub bytes_written: u64,
    /// Call files that have their final names.
    pub files_written: u64,
    /// Descriptors of unfinished call files.
    pub open_files: u64,
    /// Bytes that wait in memory for the disk, without those in mailboxes.
    pub held_bytes: u64,
    /// Frames that the disk did not take.
    pub frames_lost: u64,
    /// Frames and messages that found the mailbox of a slow disk full.
    pub queue_full: u64,
    /// Calls that have no file for the same reason.
    pub calls_refused: u64,
    /// Records and events that were lost.
    pub lines_lost: u64,
    /// Times that a disk said no to records or the event log.
    pub line_errors: u64,
    /// Bytes that may still be written below the directory of call files; none when that is not known.
    pub free_bytes: Option<u64>,
    /// Bytes of its file system.
    pub total_bytes: Option<u64>,
    /// Call files that retention looks after, and their bytes.
    pub retained_files: u64,
    /// Their bytes.
    pub retained_bytes: u64,
    /// Call files that retention has deleted.
    pub deleted_files: u64,
    /// Their bytes.
    pub deleted_bytes: u64,
}

impl DiskFigures {
    /// Times that a disk said no, whatever was to be written.
    #[must_use]
    pub const fn refusals(&self) -> u64 {
        self.write_errors.saturating_add(self.line_errors)
    }

    /// Frames, calls and lines that found no room, and lines that a disk never took.
    #[must_use]
    pub const fn not_taken(&self) -> u64 {
        self.queue_full.saturating_add(self.calls_refused).saturating_add(self.lines_lost)
    }
}

impl DiskStatus {
    /// Nothing more is captured: what is still told may wait for a disk.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The figures now.
    #[must_use]
    pub fn figures(&self) -> DiskFigures {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let total = Some(get(&self.total_bytes)).filter(|&total| total > 0);
        DiskFigures {
            write_errors: get(&self.write_errors),
            bytes_written: get(&self.bytes_written),
            files_written: get(&self.files_written),
            open_files: get(&self.open_files),
            held_bytes: get(&self.held_bytes),
            frames_lost: get(&self.frames_lost),
            queue_full: get(&self.queue_full),
            calls_refused: get(&self.calls_refused),
            lines_lost: get(&self.lines_lost),
            line_errors: get(&self.line_errors),
            free_bytes: total.map(|_| get(&self.free_bytes)),
            total_bytes: total,
            retained_files: get(&self.retained_files),
            retained_bytes: get(&self.retained_bytes),
            deleted_files: get(&self.deleted_files),
            deleted_bytes: get(&self.deleted_bytes),
        }
    }

    /// A writer's counters went from `before` to `now`.
    pub(super) fn publish(&self, before: &FileCounters, now: &FileCounters) {
        // Wrapping makes a difference that is negative come out right, too.
        let add = |value: &AtomicU64, before: u64, now: u64| {
            if now != before {
                value.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
            }
        };
        add(&self.write_errors, before.write_errors, now.write_errors);
        add(&self.bytes_written, before.bytes_written, now.bytes_written);
        add(&self.files_written, before.files_written, now.files_written);
        add(&self.open_files, before.open_files, now.open_files);
        add(&self.held_bytes, before.held_bytes, now.held_bytes);
        add(&self.frames_lost, before.frames_lost, now.frames_lost);
    }

    /// The same of lines.
    pub(super) fn publish_lines(&self, before: LineCounts, now: LineCounts) {
        self.lines_lost.fetch_add(now.lost - before.lost, Ordering::Relaxed);
        self.line_errors.fetch_add(now.errors - before.errors, Ordering::Relaxed);
    }

    pub(super) fn set_space(&self, space: Space) {
        self.free_bytes.store(space.free, Ordering::Relaxed);
        self.total_bytes.store(space.total, Ordering::Relaxed);
    }
}

/// Space of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that a user without privileges may still write.
    pub free: u64,
    /// All of its bytes.
    pub total: u64,
}

/// The space of the file system that `path` is on.
///
/// # Errors
/// The path is not there, or the file system does not say.
pub fn space(path: &Path) -> io::Result<Space> {
    let about = rustix::fs::statvfs(path)?;
    Ok(Space {
        free: about.f_bavail.saturating_mul(about.f_frsize),
        total: about.f_blocks.saturating_mul(about.f_frsize),
    })
}

/// Raises the number of descriptors that this process may have to what the system lets it, and tells how many that
/// is.
pub fn raise_descriptor_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = if limit.current == limit.maximum || setrlimit(Resource::Nofile, raised).is_err() {
        limit
    } else {
        raised
    };
    now.current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_add_up_over_writers() {
        let status = DiskStatus::default();
        let at =
            |open_files, bytes_written| FileCounters { open_files, bytes_written, ..FileCounters::default() };
        status.publish(&at(0, 0), &at(5, 100));
        status.publish(&at(0, 0), &at(7, 20));
        status.publish(&at(5, 100), &at(2, 130));
        let figures = status.figures();
        assert_eq!((figures.open_files, figures.bytes_written), (9, 150));
        assert_eq!((figures.free_bytes, figures.total_bytes), (None, None));
        let space = space(Path::new("/")).unwrap();
        status.set_space(space);
        assert!(space.free <= space.total && status.figures().total_bytes == Some(space.total));
    }

    #[test]
    fn the_limit_of_descriptors_is_raised_to_what_is_allowed() {
        let limit = raise_descriptor_limit();
        assert!(limit >= 64);
        assert_eq!(raise_descriptor_limit(), limit);
    }
}
