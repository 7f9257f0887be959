//! Waiting until something changes in a directory.
//!
//! The kernel tells of what this machine does to a directory (inotify(7)). It does not tell what other machines do to a
//! network file system, so all of it is looked through now and then as well.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{inotify, statfs};
use rustix::io::Errno;

/// How often everything is looked through where the kernel tells of changes, and where it does not.
const RARELY: Duration = Duration::from_secs(10);
const OFTEN: Duration = Duration::from_secs(2);

/// Changes taken from the kernel at once.
const EVENTS: usize = 16 << 10;

/// Names remembered between two looks. Beyond it all of the directory is looked through.
const NAMES: usize = 1_024;

/// File systems whose files other machines change too: NFS, SMB, CIFS, FUSE, 9P, Ceph, AFS, Coda (linux/magic.h).
const NETWORK: [u32; 8] =
    [0x6969, 0xfe53_4d42, 0xff53_4d42, 0x6573_5546, 0x0102_1997, 0x00c3_6400, 0x5346_414f, 0x7375_7245];

/// What is to be looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Changes {
    /// These names, perhaps none.
    Names(BTreeSet<OsString>),
    /// Anything may have changed.
    All,
}

/// Tells what changes in one directory.
#[derive(Debug)]
pub(super) struct Watch {
    directory: PathBuf,
    events: Option<OwnedFd>,
    period: Duration,
    looked: Option<Instant>,
}

impl Watch {
    pub(super) fn new(directory: &Path) -> Self {
        let mut watch =
            Self { directory: directory.to_path_buf(), events: None, period: OFTEN, looked: None };
        watch.listen();
        watch
    }

    /// The directory is there again: what the kernel told of was the old one.
    pub(super) fn listen(&mut self) {
        self.events = events(&self.directory)
            .inspect_err(|error| {
                tracing::warn!(
                    "{} is looked through every {} s: the kernel does not tell of changes there; error: {error}",
                    self.directory.display(),
                    OFTEN.as_secs()
                );
            })
            .ok();
        let is_remote = statfs(&self.directory).is_ok_and(|about| is_network(&about));
        self.period = if self.events.is_some() && !is_remote { RARELY } else { OFTEN };
    }

    /// All is to be looked through next.
    pub(super) const fn doubt(&mut self) {
        self.looked = None;
    }

    /// What changed, after at most `patience` if nothing did.
    pub(super) fn changes(&mut self, patience: Duration) -> Changes {
        if self.looked.is_none_or(|looked| now().duration_since(looked) >= self.period) {
            return self.everything();
        }
        let Some(events) = &self.events else {
            std::thread::sleep(patience);
            return Changes::Names(BTreeSet::new());
        };
        let patience = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        // A signal ends the wait, and whoever asked looks whether it is to stop.
        if !matches!(poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&patience)), Ok(count) if count > 0)
        {
            return Changes::Names(BTreeSet::new());
        }
        match names(events) {
            Some(names) => Changes::Names(names),
            None => self.everything(),
        }
    }

    fn everything(&mut self) -> Changes {
        self.looked = Some(now());
        Changes::All
    }
}

fn events(directory: &Path) -> rustix::io::Result<OwnedFd> {
    let events = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    let wanted = inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::CLOSE_WRITE
        | inotify::WatchFlags::ATTRIB
        | inotify::WatchFlags::ONLYDIR;
    inotify::add_watch(&events, directory, wanted)?;
    Ok(events)
}

/// The names that the kernel has to tell of; none when it lost count, or the watch, or there are too many.
fn names(events: &OwnedFd) -> Option<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    let mut buffer = [MaybeUninit::uninit(); EVENTS];
    let mut reader = inotify::Reader::new(events, &mut buffer);
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(Errno::AGAIN | Errno::INTR) => return Some(names),
            Err(_) => return None,
        };
        let lost = inotify::ReadFlags::QUEUE_OVERFLOW | inotify::ReadFlags::IGNORED;
        if event.events().intersects(lost) || names.len() >= NAMES {
            return None;
        }
        if let Some(name) = event.file_name() {
            names.insert(OsStr::from_bytes(name.to_bytes()).to_os_string());
        }
    }
}

fn is_network(about: &rustix::fs::StatFs) -> bool {
    // The magic numbers have 32 bits; the field has more on some machines.
    NETWORK.contains(&(about.f_type as u32))
}

/// The time by which people wait; that of packets has nothing to do with it.
#[allow(clippy::disallowed_methods, reason = "how long was waited for a file is no packet's time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn named(names: &[&str]) -> Changes {
        Changes::Names(names.iter().map(OsString::from).collect())
    }

    #[test]
    fn the_first_look_is_at_everything_and_then_at_what_changed() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(directory.path());
        assert_eq!(watch.changes(Duration::ZERO), Changes::All);
        assert_eq!(watch.changes(Duration::ZERO), named(&[]));
        fs::write(directory.path().join("a"), "x").unwrap();
        fs::write(directory.path().join("b"), "x").unwrap();
        assert_eq!(watch.changes(Duration::from_secs(5)), named(&["a", "b"]));
        fs::rename(directory.path().join("a"), directory.path().join("c")).unwrap();
        assert_eq!(watch.changes(Duration::from_secs(5)), named(&["c"]));
        assert_eq!(watch.changes(Duration::from_millis(1)), named(&[]));
    }

    #[test]
    fn without_the_kernel_s_help_everything_is_looked_through() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(directory.path());
        (watch.events, watch.period) = (None, Duration::from_millis(5));
        assert_eq!(watch.changes(Duration::ZERO), Changes::All);
        assert_eq!(watch.changes(Duration::from_millis(6)), named(&[]));
        assert_eq!(watch.changes(Duration::ZERO), Changes::All);
    }

    #[test]
    fn many_changes_are_everything() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(directory.path());
        watch.changes(Duration::ZERO);
        for number in 0..=NAMES {
            fs::write(directory.path().join(number.to_string()), "x").unwrap();
        }
        assert_eq!(watch.changes(Duration::from_secs(5)), Changes::All);
    }
}
