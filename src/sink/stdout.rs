//! Standard output: how much of it was taken, and whether anybody still reads it.

use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::capture::file::stop_flag;

/// Bytes that are written at once: a reader that is slow is to be told from one that reads no more.
const PIECE: usize = 8 << 10;

/// As many have room in a pipe that has any (PIPE_BUF, pipe(7)): to write them does not wait.
const PIECE_WITH_ROOM: usize = 4 << 10;

/// How long a run that was told to end waits for a reader that takes nothing.
pub(super) const STALLED: Duration = Duration::from_secs(2);

/// How often it looks.
pub(super) const LOOK: Duration = Duration::from_millis(20);

static TAKEN: AtomicU64 = AtomicU64::new(0);
static READER_LEFT: AtomicBool = AtomicBool::new(false);
static READER_STALLS: AtomicBool = AtomicBool::new(false);
static IS_ALL: AtomicBool = AtomicBool::new(false);
static HAS_NO_THREAD: AtomicBool = AtomicBool::new(false);

/// Standard output is all that the run is for: it ends when whoever reads it leaves (`| head`).
pub fn end_with_reader() {
    IS_ALL.store(true, Ordering::Relaxed);
}

/// Lines are written by the thread that reads packets, as of files. When the run is told to end, nobody else sees that a reader
/// takes nothing.
pub fn write_without_thread() {
    HAS_NO_THREAD.store(true, Ordering::Relaxed);
}

/// Standard output of a thread that is to see the end: what would wait for more than 2 s after the run was told to end is given
/// up, and all after it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(write_with_room(bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes some of `bytes`, and waits for room. Without a thread of its own it may be given up, and says `TIMEDOUT` then.
pub(super) fn write(bytes: &[u8]) -> rustix::io::Result<usize> {
    if HAS_NO_THREAD.load(Ordering::Relaxed) { write_with_room(bytes) } else { write_piece(bytes, PIECE) }
}

fn write_with_room(bytes: &[u8]) -> rustix::io::Result<usize> {
    if !waits() {
        return write_piece(bytes, PIECE);
    }
    if !has_room()? {
        READER_STALLS.store(true, Ordering::Relaxed);
        return Err(Errno::TIMEDOUT);
    }
    write_piece(bytes, PIECE_WITH_ROOM)
}

fn write_piece(bytes: &[u8], most: usize) -> rustix::io::Result<usize> {
    let piece = bytes.get(..most).unwrap_or(bytes);
    let written = rustix::io::write(io::stdout().as_fd(), piece);
    match written {
        Ok(count) => drop(TAKEN.fetch_add(count as u64, Ordering::Relaxed)),
        Err(Errno::PIPE) if !READER_LEFT.swap(true, Ordering::Relaxed) => left(),
        Err(_) => {}
    }
    written
}

/// Whether somebody has to take what is written: it is a pipe, a socket or a terminal, and no file.
fn waits() -> bool {
    static WAITS: LazyLock<bool> = LazyLock::new(|| {
        let kind =
            rustix::fs::fstat(io::stdout().as_fd()).map(|about| FileType::from_raw_mode(about.st_mode));
        matches!(kind, Ok(FileType::Fifo | FileType::Socket | FileType::CharacterDevice))
    });
    *WAITS
}

/// Waits for room; none when the run was told to end, and nothing was taken for long.
fn has_room() -> rustix::io::Result<bool> {
    let stdout = io::stdout();
    let mut waited = Duration::ZERO;
    let look = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
    while !reader_stalls() && waited < STALLED {
        match poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], Some(&look)) {
            Ok(0) if stop_flag().load(Ordering::Relaxed) => waited += LOOK,
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
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

/// Bytes that were taken so far.
pub(super) fn taken() -> u64 {
    TAKEN.load(Ordering::Relaxed)
}

/// Whether whoever read standard output has left.
#[must_use]
pub fn reader_left() -> bool {
    READER_LEFT.load(Ordering::Relaxed)
}
