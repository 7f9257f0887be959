//! Several capture files as one source in packet time.
//!
//! Each file waits, closed, under the time of its first packet and is opened when that time comes: of files
//! that follow each other in time (the rotation of one capture) one is open at once. Of files that overlap
//! only the first few hold a large block and a descriptor.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::path::PathBuf;

use super::super::{Packet, PacketBatch, PacketSource, Progress, SourceCounters, SourceError};
use super::open::{CaptureFile, Reading};
use crate::time::Timestamp;

/// How files are read while few are open. What was read has to be in the second-level cache when it is looked at: blocks
/// of 1 MiB cost a seventh more of the CPU, on all traffic but SIP alone.
const FEW: Reading = Reading { block: 128 << 10, parked: false };

/// How files are read that are opened while many are open.
const MANY: Reading = Reading { block: 16 << 10, parked: true };

/// From how many open files on they are many: 2 MiB of blocks.
const FEW_FILES: usize = 16;

/// How a file's first packet is read.
const FIRST: Reading = Reading { block: 4 << 10, parked: false };

/// Packets taken from a file at once.
const RUN: usize = 256;

/// Bytes of a merged batch beyond which no packet is added.
const ARENA: usize = 1 << 20;

/// One file of a merge.
enum Lane {
    /// Not open; its first packet's time is known.
    Waiting(PathBuf),
    /// Open, with at least one packet that is not handed out.
    Open(Box<Opened>),
    /// Read to its end or given up.
    Done,
}

/// An open file of a merge.
struct Opened {
    file: CaptureFile,
    /// How many packets of its batch were handed out.
    next: usize,
    /// How many bytes read of it are in the progress.
    seen: u64,
}

/// When a lane's next packet was captured, and the lane's number: equal times go by the order of the files.
type Turn = Reverse<(Timestamp, u32)>;

/// Files merged packet by packet.
#[derive(Default)]
pub(super) struct Merge {
    lanes: Vec<Lane>,
    turns: BinaryHeap<Turn>,
    open: usize,
    failed: VecDeque<SourceError>,
    arena: Vec<u8>,
    packets: Vec<Packet>,
    bytes: u64,
    total: Option<u64>,
    counters: SourceCounters,
}

impl Merge {
    /// Reads the time of each file's first packet.
    pub(super) fn new(paths: Vec<PathBuf>) -> (Self, Vec<SourceError>) {
        let mut merge = Self { total: Some(0), ..Self::default() };
        let errors = paths.into_iter().filter_map(|path| merge.first(path).err()).collect();
        (merge, errors)
    }

    fn first(&mut self, path: PathBuf) -> Result<(), SourceError> {
        let mut file = CaptureFile::open(&path, FIRST)?;
        let some = file.read(1)?;
        let (length, seen) = (file.descriptor().length(), file.descriptor().position());
        self.total = self.total.zip(length).map(|(total, length)| total.saturating_add(length));
        let Some(packet) = file.batch().packets.first().filter(|_| some) else {
            self.bytes += seen;
            self.counters.add(&file.counters());
            return Ok(());
        };
        // More files than that cannot be named.
        let lane = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        self.turns.push(Reverse((packet.timestamp, lane)));
        if file.descriptor().is_stream() {
            file.widen(FEW.block);
            self.bytes += seen;
            self.open += 1;
            self.lanes.push(Lane::Open(Box::new(Opened { file, next: 0, seen })));
        } else {
            self.lanes.push(Lane::Waiting(path));
        }
        Ok(())
    }

    /// Lets the lane whose turn it is hand out a packet; false when no lane is left.
    fn step(&mut self) -> bool {
        let Some(&Reverse((_, number))) = self.turns.peek() else { return false };
        let following = match self.lanes.get_mut(number as usize) {
            Some(lane @ Lane::Waiting(_)) => start(lane, &mut self.open),
            Some(Lane::Open(opened)) => {
                let batch = opened.file.batch();
                if let Some(packet) = batch.packets.get(opened.next) {
                    let offset = self.arena.len() as u32;
                    self.arena.extend_from_slice(batch.frame(packet));
                    self.packets.push(Packet { offset, ..*packet });
                }
                opened.next += 1;
                opened.following(&mut self.bytes)
            }
            Some(Lane::Done) | None => Ok(None),
        };
        match following {
            Ok(Some(time)) => {
                if let Some(mut turn) = self.turns.peek_mut() {
                    turn.0.0 = time;
                }
            }
            Ok(None) => self.finish(number),
            Err(error) => {
                self.failed.push_back(error);
                self.finish(number);
            }
        }
        true
    }

    /// Ends the lane whose turn it is.
    fn finish(&mut self, number: u32) {
        self.turns.pop();
        let Some(lane) = self.lanes.get_mut(number as usize) else { return };
        if let Lane::Open(opened) = lane {
            self.open -= 1;
            self.counters.add(&SourceCounters { packets: 0, ..opened.file.counters() });
        }
        *lane = Lane::Done;
    }
}

/// Opens a lane that waited and tells when its first packet was captured, as it was found before.
fn start(lane: &mut Lane, open: &mut usize) -> Result<Option<Timestamp>, SourceError> {
    let Lane::Waiting(path) = lane else { return Ok(None) };
    let reading = if *open < FEW_FILES { FEW } else { MANY };
    let mut file = CaptureFile::open(path, reading)?;
    let some = file.read(RUN)?;
    let time = file.batch().packets.first().filter(|_| some).map(|packet| packet.timestamp);
    *lane = Lane::Open(Box::new(Opened { file, next: 0, seen: 0 }));
    *open += 1;
    Ok(time)
}

impl Opened {
    /// When its next packet was captured; reads on where need be. `None` at its end.
    fn following(&mut self, bytes: &mut u64) -> Result<Option<Timestamp>, SourceError> {
        if self.next >= self.file.batch().packets.len() {
            self.next = 0;
            let result = self.file.read(RUN);
            let position = self.file.descriptor().position();
            *bytes = bytes.saturating_add(position.saturating_sub(self.seen));
            self.seen = position;
            result?;
        }
        Ok(self.file.batch().packets.get(self.next).map(|packet| packet.timestamp))
    }
}

impl PacketSource for Merge {
    fn next_batch(&mut self, limit: usize) -> Result<Option<PacketBatch<'_>>, SourceError> {
        self.arena.clear();
        self.packets.clear();
        while self.failed.is_empty()
            && self.packets.len() < limit.max(1)
            && self.arena.len() < ARENA
            && self.step()
        {}
        self.counters.packets += self.packets.len() as u64;
        if !self.packets.is_empty() {
            return Ok(Some(PacketBatch::new(&self.arena, &self.packets)));
        }
        self.failed.pop_front().map_or(Ok(None), Err)
    }

    fn progress(&self) -> Progress {
        Progress { bytes: self.bytes, total: self.total, packets: self.counters.packets }
    }

    fn counters(&self) -> SourceCounters {
        self.counters
    }
}
