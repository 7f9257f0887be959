//! Standard output: how much of it was taken, and whether anybody still reads it.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::Errno;

/// Bytes that are written at once: a reader that is slow is to be told from one that reads no more.
const PIECE: usize = 8 << 10;

static TAKEN: AtomicU64 = AtomicU64::new(0);
static READER_LEFT: AtomicBool = AtomicBool::new(false);

/// Writes some of `bytes`, and waits for room.
pub(super) fn write(bytes: &[u8]) -> rustix::io::Result<usize> {
    let piece = bytes.get(..PIECE).unwrap_or(bytes);
    let written = rustix::io::write(io::stdout().as_fd(), piece);
    match written {
        Ok(count) => drop(TAKEN.fetch_add(count as u64, Ordering::Relaxed)),
        Err(Errno::PIPE) => READER_LEFT.store(true, Ordering::Relaxed),
        Err(_) => {}
    }
    written
}

/// Bytes that were taken so far.
pub(super) fn taken() -> u64 {
    TAKEN.load(Ordering::Relaxed)
}

/// Whether whoever read standard output has left (`| head`).
#[must_use]
pub fn reader_left() -> bool {
    READER_LEFT.load(Ordering::Relaxed)
}
