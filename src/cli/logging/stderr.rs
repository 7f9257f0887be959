//! Stderr of a live run: it waits for nobody. A terminal may be stopped, and a reader may read no more, for ever.
//!
//! In: whole lines. Out: as much as there is room for, at once; the rest waits here, and what is too much is lost, counted.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use crate::sink::{PIECE_WITH_ROOM, without_waiting};

/// Bytes that may wait.
const MAX_WAITING: usize = 64 << 10;

/// How long the end of a run waits for a reader that takes nothing, and how often it looks.
const STALLED: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);

static LIVE: OnceLock<Stderr> = OnceLock::new();

/// From now on nothing that is written to stderr waits. To be said before files outside are out of reach.
pub(super) fn never_wait() {
    // Without a descriptor of its own, it is as before.
    if let Ok(stderr) = Stderr::of(io::stderr().as_fd()) {
        let _ = LIVE.set(stderr);
    }
}

/// Stderr, if it is not to wait.
pub(super) fn live() -> Option<&'static Stderr> {
    LIVE.get()
}

/// An output that does not wait.
pub(super) struct Stderr {
    out: OwnedFd,
    /// Nobody has to take what is written.
    is_file: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    lost: u64,
}

impl Stderr {
    fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(fstat(fd)?.st_mode);
        let own = || fd.try_clone_to_owned();
        let out =
            if kind == FileType::CharacterDevice { without_waiting(fd).or_else(|_| own()) } else { own() }?;
        let is_file = !matches!(kind, FileType::Fifo | FileType::Socket | FileType::CharacterDevice);
        Ok(Self { out, is_file, state: Mutex::default() })
    }

    /// Writes a line, behind those that wait.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        self.drain(&mut state);
        if state.waiting.len().saturating_add(line.len()) > MAX_WAITING {
            state.lost += 1;
            return;
        }
        state.waiting.extend_from_slice(line);
        self.drain(&mut state);
    }

    /// Writes what waits; once that is all written, tells how many lines were lost before, and forgets it.
    pub(super) fn settle(&self) -> u64 {
        let mut state = self.lock();
        self.drain(&mut state);
        if state.waiting.is_empty() { std::mem::take(&mut state.lost) } else { 0 }
    }

    /// Waits for whoever reads, as long as something is taken.
    pub(super) fn finish(&self) {
        let mut waited = Duration::ZERO;
        let mut before = usize::MAX;
        while waited < STALLED {
            self.settle();
            let left = self.lock().waiting.len();
            if left == 0 {
                return;
            }
            waited = if left == before { waited + LOOK } else { Duration::ZERO };
            before = left;
            std::thread::sleep(LOOK);
        }
    }

    fn drain(&self, state: &mut State) {
        let mut written = 0;
        while let Some(rest) = state.waiting.get(written..).filter(|rest| !rest.is_empty()) {
            match self.write_now(rest) {
                Ok(count) if count > 0 => written += count,
                Err(Errno::INTR) => {}
                Ok(_) | Err(Errno::AGAIN) => break,
                // Nobody reads any more.
                Err(_) => written = state.waiting.len(),
            }
        }
        state.waiting.drain(..written);
    }

    fn write_now(&self, bytes: &[u8]) -> rustix::io::Result<usize> {
        if self.is_file {
            return rustix::io::write(&self.out, bytes);
        }
        let mut polled = [PollFd::new(&self.out, PollFlags::OUT)];
        if poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
            return Err(Errno::AGAIN);
        }
        rustix::io::write(&self.out, bytes.get(..PIECE_WITH_ROOM).unwrap_or(bytes))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// pipe(7): a pipe has room for 64 KiB.
    #[test]
    fn who_does_not_read_is_not_waited_for_and_lines_stay_whole() {
        let (mut reader, writer) = io::pipe().unwrap();
        let stderr = Stderr::of(writer.as_fd()).unwrap();
        let line = |number: u64| format!("{number:>99}\n");
        for number in 0..10_000 {
            stderr.push(line(number).as_bytes());
        }
        assert_eq!(stderr.settle(), 0, "nobody could be told");
        let kept = |state: &State| 10_000 - state.lost;
        let kept = kept(&stderr.lock());
        assert!((1_200..1_320).contains(&kept), "{kept}");
        let mut text = vec![0; usize::try_from(kept).unwrap() * 100];
        for piece in text.chunks_mut(4_096) {
            stderr.push(b"");
            reader.read_exact(piece).unwrap();
        }
        let lines: Vec<u64> =
            String::from_utf8(text).unwrap().lines().map(|it| it.trim().parse().unwrap()).collect();
        assert_eq!(lines, (0..kept).collect::<Vec<_>>());
        assert_eq!((stderr.settle(), stderr.settle()), (10_000 - kept, 0), "told once");
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let stderr = Stderr::of(writer.as_fd()).unwrap();
        stderr.push(b"x\n");
        assert!(stderr.lock().waiting.is_empty());
        stderr.finish();
    }

    #[test]
    fn a_file_has_everything() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let stderr = Stderr::of(file.as_file().as_fd()).unwrap();
        (0..10_000).for_each(|_| stderr.push(b"0123456789\n"));
        assert_eq!((stderr.settle(), file.as_file().metadata().unwrap().len()), (0, 110_000));
    }
}
