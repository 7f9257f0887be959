//! Standard output: how much of it was taken, and whether anybody still reads it.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::Errno;

use crate::capture::file::stop_flag;

/// Bytes that are written at once: a reader that is slow is to be told from one that reads no more.
const PIECE: usize = 8 << 10;

static TAKEN: AtomicU64 = AtomicU64::new(0);
static READER_LEFT: AtomicBool = AtomicBool::new(false);
static IS_ALL: AtomicBool = AtomicBool::new(false);

/// Standard output is all that the run is for: it ends when whoever reads it leaves (`| head`).
pub fn end_with_reader() {
    IS_ALL.store(true, Ordering::Relaxed);
}

/// Writes some of `bytes`, and waits for room.
pub(super) fn write(bytes: &[u8]) -> rustix::io::Result<usize> {
    let piece = bytes.get(..PIECE).unwrap_or(bytes);
    let written = rustix::io::write(io::stdout().as_fd(), piece);
    match written {
        Ok(count) => drop(TAKEN.fetch_add(count as u64, Ordering::Relaxed)),
        Err(Errno::PIPE) if !READER_LEFT.swap(true, Ordering::Relaxed) => left(),
        Err(_) => {}
    }
    written
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
