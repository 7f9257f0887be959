//! Signals as flags.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

use crate::capture::file;

/// What a shell expects of a program that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// What was asked for since it was looked at last.
pub(super) struct Signals {
    end: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    reopen: Arc<AtomicBool>,
}

impl Signals {
    /// SIGINT and SIGTERM end the run, a second one at once; SIGHUP reloads, SIGUSR1 opens files anew.
    pub(super) fn hear() -> io::Result<Self> {
        let signals = Self { end: end_on_signals()?, reload: Arc::default(), reopen: Arc::default() };
        flag::register(SIGHUP, Arc::clone(&signals.reload))?;
        flag::register(SIGUSR1, Arc::clone(&signals.reopen))?;
        Ok(signals)
    }

    pub(super) fn are_to_end(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// As if it had been asked for.
    pub(super) fn end(&self) {
        self.end.store(true, Ordering::Relaxed);
    }

    pub(super) fn wants_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    pub(super) fn wants_reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::Relaxed)
    }
}

/// The first SIGINT or SIGTERM finishes the run, the second ends the program at once. However often a program reads: what hears
/// them twice would take the first for the second.
pub(in crate::app) fn end_on_signals() -> io::Result<Arc<AtomicBool>> {
    static IS_HEARD: AtomicBool = AtomicBool::new(false);
    let end = file::stop_flag();
    if IS_HEARD.swap(true, Ordering::Relaxed) {
        return Ok(end);
    }
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&end))?;
        flag::register(signal, Arc::clone(&end))?;
    }
    Ok(end)
}

/// SIGHUP of a run that has no configuration to read again.
static HANGUP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// SIGHUP no longer ends the program: [`terminal_was_closed`] tells whether it is to end.
pub(in crate::app) fn hear_hangup() -> io::Result<()> {
    flag::register(SIGHUP, Arc::clone(&HANGUP)).map(drop)
}

/// Whether SIGHUP came, and because the terminal was closed.
pub(in crate::app) fn terminal_was_closed() -> bool {
    HANGUP.load(Ordering::Relaxed) && HANGUP.swap(false, Ordering::Relaxed) && terminal_is_gone()
}

/// SIGHUP is also what the kernel says when a terminal was closed. Nobody would see the run from then on.
pub(super) fn terminal_is_gone() -> bool {
    let stderr = io::stderr();
    if !stderr.is_terminal() {
        // A terminal that hung up is none any more; a pipe or a file never was one.
        return is_hung_up_terminal(&stderr);
    }
    is_hung_up(&stderr)
}

fn is_hung_up(fd: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(fd, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok_and(|count| count > 0)
        && polled.first().is_some_and(|it| it.revents().contains(PollFlags::HUP))
}

/// A character device that is at its end is a terminal whose other side went away; /dev/null never is.
fn is_hung_up_terminal(fd: &impl AsFd) -> bool {
    let about = rustix::fs::fstat(fd.as_fd());
    let is_device = about.is_ok_and(|about| {
        rustix::fs::FileType::from_raw_mode(about.st_mode) == rustix::fs::FileType::CharacterDevice
    });
    is_device && is_hung_up(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_taken_once() {
        let signals = Signals { end: Arc::default(), reload: Arc::default(), reopen: Arc::default() };
        assert!(!signals.wants_reload() && !signals.wants_reopen() && !signals.are_to_end());
        signals.reload.store(true, Ordering::Relaxed);
        assert!(signals.wants_reload() && !signals.wants_reload());
        signals.end();
        assert!(signals.are_to_end());
    }

    #[test]
    fn files_and_devices_are_no_terminals_that_went_away() {
        assert!(!is_hung_up_terminal(&std::fs::File::open("/dev/null").unwrap()));
        assert!(!is_hung_up_terminal(&tempfile::tempfile().unwrap()));
        let (_, writer) = io::pipe().unwrap();
        assert!(!is_hung_up_terminal(&writer), "a pipe without a reader");
    }
}
