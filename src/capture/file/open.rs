//! One capture file, from its name to its packets.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::super::error::Shown;
use super::super::{Packet, PacketBatch, SourceCounters, SourceError};
use super::block::Block;
use super::classic::{Classic, FILE_HEADER};
use super::descriptor::Descriptor;
use super::packed::{Stream, is_damage};
use super::pcapng::Pcapng;
use super::record::{Format, Record};

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub(in crate::capture) struct Reading {
    /// Bytes of a block.
    pub(in crate::capture) block: usize,
    /// Hold no descriptor between reads.
    pub(in crate::capture) parked: bool,
}

/// Packets for which a batch's table is reserved at most; a larger batch lets it grow.
const RESERVED: usize = 4_096;

/// A capture file that is being read.
pub(in crate::capture) struct CaptureFile {
    path: PathBuf,
    block: Block<Stream>,
    format: Either,
    packets: Vec<Packet>,
    ended: bool,
    growing: bool,
    counters: SourceCounters,
}

enum Either {
    Classic(Classic),
    Pcapng(Pcapng),
}

/// Why a batch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It has as many packets as were asked for.
    Full,
    /// The block has no further whole record; the next has at least so many bytes.
    Need(usize),
    /// What comes next is no record.
    Bad,
}

impl CaptureFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    ///
    /// What [`Stream::open`] gives, anything that is not a capture, and a file header that is cut.
    pub(in crate::capture) fn open(path: &Path, reading: Reading) -> Result<Self, SourceError> {
        let mut block = Block::new(Stream::open(path, reading.parked)?, reading.block);
        let format = begin(path, &mut block)?;
        let counters = SourceCounters { files: 1, ..SourceCounters::default() };
        let packets = Vec::new();
        Ok(Self { path: path.to_path_buf(), block, format, packets, ended: false, growing: false, counters })
    }

    /// Somebody still writes it: its end is only where it ends now, and a record cut there is waited for.
    pub(in crate::capture) const fn grows(&mut self) {
        self.growing = true;
    }

    /// Whether it ends in the middle of a record, as far as it was read.
    pub(in crate::capture) const fn is_cut(&self) -> bool {
        !self.block.is_clean()
    }

    /// Whether it will give nothing more, however it grows.
    pub(in crate::capture) const fn is_over(&self) -> bool {
        self.ended
    }

    /// Reads the next packets, at most `limit`, for [`Self::batch`]; false at the end, where a growing file may be
    /// asked again.
    ///
    /// # Errors
    ///
    /// The operating system's, and a file that breaks before its first packet; the file is at its end then.
    pub(in crate::capture) fn read(&mut self, limit: usize) -> Result<bool, SourceError> {
        self.packets.clear();
        self.packets.reserve(limit.min(RESERVED));
        while !self.ended {
            let (block, packets) = (&mut self.block, &mut self.packets);
            let stop = match &mut self.format {
                Either::Classic(format) => gather(format, block, packets, limit.max(1)),
                Either::Pcapng(format) => gather(format, block, packets, limit.max(1)),
            };
            if !self.packets.is_empty() {
                self.counters.packets += self.packets.len() as u64;
                return Ok(true);
            }
            match stop {
                Stop::Full => {}
                Stop::Need(need) => {
                    if !self.fill(need)? {
                        return Ok(false);
                    }
                }
                Stop::Bad if self.changes() => {}
                Stop::Bad => self.give_up()?,
            }
        }
        Ok(false)
    }

    /// What the last `read` read.
    #[inline]
    pub(in crate::capture) fn batch(&self) -> PacketBatch<'_> {
        PacketBatch::new(self.block.bytes(), &self.packets)
    }

    /// Reads in blocks of at least `size` bytes from now on.
    pub(super) fn widen(&mut self, size: usize) {
        self.block.widen(size);
    }

    /// The file below.
    pub(in crate::capture) fn descriptor(&self) -> &Descriptor {
        self.block.input().descriptor()
    }

    /// What was counted in this file.
    pub(in crate::capture) const fn counters(&self) -> SourceCounters {
        self.counters
    }

    /// Reads on; false where the file ends.
    fn fill(&mut self, need: usize) -> Result<bool, SourceError> {
        match self.block.fill(need) {
            Ok(true) => return Ok(true),
            Ok(false) if self.growing => return Ok(false),
            Ok(false) => self.counters.truncated += u64::from(!self.block.is_clean()),
            Err(error) if is_damage(&error) => {
                self.counters.truncated += 1;
                if error.kind() != ErrorKind::UnexpectedEof {
                    let (path, packets) = (Shown(&self.path), self.counters.packets);
                    tracing::warn!(
                        "{path}: damaged, or packed in another way, behind packet {packets}; the rest of this file cannot be read"
                    );
                }
            }
            Err(error) => {
                self.ended = true;
                return Err(SourceError::from_io(&self.path, error));
            }
        }
        self.ended = true;
        Ok(false)
    }

    /// Whether a capture in the other format was appended there; it is read on in that.
    fn changes(&mut self) -> bool {
        let magic = self.block.unread().first_chunk().copied().unwrap_or_default();
        let is_other = match self.format {
            Either::Classic(_) => Pcapng::begins(magic),
            Either::Pcapng(_) => Classic::begins(magic),
        };
        let other = is_other.then(|| begin(&self.path, &mut self.block).ok()).flatten();
        other.is_some_and(|format| {
            self.format = format;
            true
        })
    }

    fn give_up(&mut self) -> Result<(), SourceError> {
        self.ended = true;
        self.counters.bad_record += 1;
        if self.counters.packets == 0 {
            let reason = "its first record is damaged; perhaps the writer mixed byte orders";
            return Err(SourceError::Unusable { path: self.path.clone(), reason });
        }
        let (path, packets) = (Shown(&self.path), self.counters.packets);
        tracing::warn!("{path}: damaged behind packet {packets}; the rest of this file cannot be read");
        Ok(())
    }
}

/// The whole records of a block as packets. The loop of the hot path: it allocates nothing, and the record
/// headers are all that it touches.
#[inline]
fn gather<F: Format>(
    format: &mut F,
    block: &mut Block<Stream>,
    packets: &mut Vec<Packet>,
    limit: usize,
) -> Stop {
    let base = block.start();
    let bytes = block.unread();
    // Blocks are far smaller than 4 GiB.
    let mut at = format.packets(bytes, base as u32, limit, packets);
    let mut beyond = 0;
    let stop = loop {
        if packets.len() >= limit {
            break Stop::Full;
        }
        match format.record(bytes.get(at..).unwrap_or_default()) {
            Record::Packet { packet, length } => {
                packets.push(Packet { offset: packet.offset + (base + at) as u32, ..packet });
                at += length;
            }
            Record::Other { length } if length <= (bytes.len() - at) as u64 => at += length as usize,
            Record::Other { length } => {
                beyond = length;
                break Stop::Need(1);
            }
            Record::Partial { need } => break Stop::Need(need),
            Record::Bad => break Stop::Bad,
        }
    };
    block.take((at as u64).saturating_add(beyond));
    stop
}

/// Finds out the format and reads its file header.
fn begin(path: &Path, block: &mut Block<Stream>) -> Result<Either, SourceError> {
    let other = || SourceError::NotACapture { path: path.to_path_buf() };
    if !filled(path, block, 4)? {
        let nothing = block.unread().is_empty();
        return Err(if nothing { SourceError::Empty { path: path.to_path_buf() } } else { other() });
    }
    let magic = block.unread().first_chunk().copied().unwrap_or_default();
    let cut = || SourceError::Unusable { path: path.to_path_buf(), reason: "it ends inside its header" };
    if Pcapng::begins(magic) {
        // Held whole and not taken: the section header is a block among others.
        while let Record::Partial { need } = Pcapng::new().record(block.unread()) {
            if !filled(path, block, need)? {
                return Err(cut());
            }
        }
        return Ok(Either::Pcapng(Pcapng::new()));
    }
    if !Classic::begins(magic) {
        return Err(other());
    }
    if !filled(path, block, FILE_HEADER)? {
        return Err(cut());
    }
    let format = block.unread().first_chunk().and_then(Classic::new).ok_or_else(other)?;
    block.take(FILE_HEADER as u64);
    Ok(Either::Classic(format))
}

fn filled(path: &Path, block: &mut Block<Stream>, need: usize) -> Result<bool, SourceError> {
    block.fill(need).map_err(|error: io::Error| {
        if is_damage(&error) {
            let reason = "its packed data is damaged or cut before the first packet";
            SourceError::Unusable { path: path.to_path_buf(), reason }
        } else {
            SourceError::from_io(path, error)
        }
    })
}
