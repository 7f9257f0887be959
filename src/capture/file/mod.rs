//! Capture files as sources of packets.
//!
//! In: what the user named: files, FIFOs, directories, patterns, `-`. Out: the packets of all of them in
//! packet time. The way of the bytes:
//!
//! ```text
//! inputs ─► descriptor ─► packed ─► block ─► classic | pcapng ─► merge
//! names     read(2)       unpack    window   records             several files
//! ```
//!
//! - What a file is, its first bytes tell, never its name.
//! - Packets of a single file are used where they were read to; several files cost one copy.
//! - A record that cannot be one ends its file, as does the end in the middle of one: what came before is
//!   used, and counted which it was. Before the first packet it is an error: nothing of the file was usable.
//! - Memory does not depend on what a file says: a record is at most 1 MiB.
//!
//! Absent on purpose: libpcap, measured slower; memory maps, of which `block` tells why; other formats than
//! pcap and pcapng.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{PacketBatch, PacketSource, Progress, SourceCounters, SourceError};

mod block;
mod classic;
mod descriptor;
mod inputs;
mod merge;
mod open;
mod order;
mod packed;
mod pcapng;
mod record;
mod resolution;
#[cfg(test)]
mod samples;

pub use descriptor::stop_flag;
use merge::Merge;
pub(super) use open::{CaptureFile, Reading};

/// How a file is read that is the only one. A block and what becomes of it have to fit into the second level of
/// caches: a block of 1 MiB costs a tenth more.
const ALONE: Reading = Reading { block: 128 << 10, parked: false };

/// All packets of some capture files, in packet time.
pub struct CaptureFiles(Kind);

enum Kind {
    One(Box<CaptureFile>),
    Many(Box<Merge>),
}

/// Opens everything that `inputs` stand for: capture files and FIFOs (plain or packed with gzip or zstd), `-`
/// for standard input, directories (the captures directly in them) and patterns.
///
/// The errors are about inputs that cannot be read; the source has all others, perhaps none.
#[must_use]
pub fn open(inputs: &[PathBuf]) -> (CaptureFiles, Vec<SourceError>) {
    let (mut files, mut errors) = inputs::expand(inputs);
    if let [file] = files.as_slice() {
        match CaptureFile::open(file, ALONE) {
            Ok(file) => return (CaptureFiles(Kind::One(Box::new(file))), errors),
            Err(error) => errors.push(error),
        }
        files.clear();
    }
    let (merge, more) = Merge::new(files);
    errors.extend(more);
    (CaptureFiles(Kind::Many(Box::new(merge))), errors)
}

/// The files that `inputs` stand for, as far as they are there; `-` as it is.
#[must_use]
pub fn named(inputs: &[PathBuf]) -> Vec<PathBuf> {
    inputs::expand(inputs).0
}

/// The bytes of one file that is no capture, or of standard input for `-`: unpacked where they are packed.
///
/// # Errors
/// As for a capture.
pub fn unpacked(path: &Path) -> Result<impl Read, SourceError> {
    packed::Stream::open(path, false)
}

impl PacketSource for CaptureFiles {
    fn next_batch(&mut self, limit: usize) -> Result<Option<PacketBatch<'_>>, SourceError> {
        match &mut self.0 {
            Kind::One(file) => Ok(file.read(limit)?.then(|| file.batch())),
            Kind::Many(merge) => merge.next_batch(limit),
        }
    }

    fn progress(&self) -> Progress {
        match &self.0 {
            Kind::One(file) => Progress {
                bytes: file.descriptor().position(),
                total: file.descriptor().length(),
                packets: file.counters().packets,
            },
            Kind::Many(merge) => merge.progress(),
        }
    }

    fn counters(&self) -> SourceCounters {
        match &self.0 {
            Kind::One(file) => file.counters(),
            Kind::Many(merge) => merge.counters(),
        }
    }
}

#[cfg(test)]
mod tests;
