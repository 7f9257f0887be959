//! Standard output, and whether anybody still reads it; how to write to what somebody has to take.

use std::io::{self, Write};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::capture::file::stop_flag;

/// As many have room in a pipe that has any (PIPE_BUF, pipe(7)): to write them does not wait.
pub(crate) const PIECE_WITH_ROOM: usize = 4 << 10;

/// How long a run that was told to end waits for a reader that takes nothing.
const STALLED: Duration = Duration::from_secs(2);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

static READER_LEFT: AtomicBool = AtomicBool::new(false);
static READER_STALLS: AtomicBool = AtomicBool::new(false);
static IS_ALL: AtomicBool = AtomicBool::new(false);

/// Standard output is all that the run is for: it ends when whoever reads it leaves (`| head`).
pub fn end_with_reader() {
    IS_ALL.store(true, Ordering::Relaxed);
}

/// Finds out what standard output is. To be called before files outside are out of reach.
pub fn prepare_stdout() {
    let _ = KIND.get_or_init(Kind::of_stdout);
}

/// Standard output: what would wait for more than 2 s after the run was told to end is given up, and all after it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(write(bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes some of `bytes`, and waits for room. A reader that takes nothing while the run is to end is given up: `TIMEDOUT`.
pub(super) fn write(bytes: &[u8]) -> rustix::io::Result<usize> {
    let stdout = io::stdout();
    let fd = match KIND.get_or_init(Kind::of_stdout) {
        Kind::File => return rustix::io::write(&stdout, bytes),
        _ if reader_stalls() => return Err(Errno::TIMEDOUT),
        Kind::Pipe => stdout.as_fd(),
        Kind::Terminal(own) => own.as_fd(),
    };
    let written = write_with_room(fd, bytes);
    match written {
        Err(Errno::PIPE) if !READER_LEFT.swap(true, Ordering::Relaxed) => left(),
        Err(Errno::TIMEDOUT) => READER_STALLS.store(true, Ordering::Relaxed),
        _ => {}
    }
    written
}

/// Writes some of `bytes` to what somebody has to take, once it has room; `TIMEDOUT` when it has none for 2 s after the run was
/// told to end.
pub(super) fn write_with_room(fd: BorrowedFd<'_>, bytes: &[u8]) -> rustix::io::Result<usize> {
    let piece = bytes.get(..PIECE_WITH_ROOM).unwrap_or(bytes);
    let look = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
    let mut waited = Duration::ZERO;
    while waited < STALLED {
        match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], Some(&look)) {
            Ok(0) => {}
            Ok(_) => match rustix::io::write(fd, piece) {
                // A terminal has room for one byte, and a line end needs two.
                Err(Errno::AGAIN) => std::thread::sleep(LOOK),
                written => return written,
            },
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error),
        }
        waited += if stop_flag().load(Ordering::Relaxed) { LOOK } else { Duration::ZERO };
    }
    Err(Errno::TIMEDOUT)
}

/// What standard output is, as far as somebody has to take what is written.
#[derive(Debug)]
enum Kind {
    /// Nobody has to.
    File,
    /// It takes [`PIECE_WITH_ROOM`] when it has room.
    Pipe,
    /// It may have room for less: opened once more, so as not to wait. To change what others have, too, is not for us.
    Terminal(OwnedFd),
}

static KIND: OnceLock<Kind> = OnceLock::new();

impl Kind {
    fn of_stdout() -> Self {
        let kind =
            rustix::fs::fstat(io::stdout().as_fd()).map(|about| FileType::from_raw_mode(about.st_mode));
        match kind {
            Ok(FileType::Fifo | FileType::Socket) => Self::Pipe,
            Ok(FileType::CharacterDevice) => {
                without_waiting(io::stdout().as_fd()).map_or(Self::Pipe, Self::Terminal)
            }
            _ => Self::File,
        }
    }
}

/// Opens a terminal once more, so as not to wait for it: a descriptor that others have, too, is not changed.
pub(crate) fn without_waiting(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty())?)
}

/// Whether whoever reads standard output took nothing for so long that it was given up.
#[must_use]
pub fn reader_stalls() -> bool {
    READER_STALLS.load(Ordering::Relaxed)
}

/// Who waits for a packet hears of it, too.
fn left() {
    if IS_ALL.load(Ordering::Relaxed) {
        stop_flag().store(true, Ordering::Relaxed);
    } else {
        tracing::warn!("nobody reads standard output any more; everything else goes on");
    }
}

/// Whether whoever read standard output has left.
#[must_use]
pub fn reader_left() -> bool {
    READER_LEFT.load(Ordering::Relaxed)
}
