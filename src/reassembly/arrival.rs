//! What a direction is given, and to whom it delivers.

use crate::pipeline::Bytes;
use crate::reassembly::seq::Seq;
use crate::reassembly::{Chunk, Counters, Segment, Verdict};
use crate::time::Timestamp;

/// A segment as one direction sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    /// Of the first payload byte.
    pub(super) sequence: Seq,
    pub(super) payload: &'a [u8],
    pub(super) place: Option<Bytes>,
    pub(super) missing: u32,
    pub(super) fin: bool,
    pub(super) captured: Timestamp,
    pub(super) now: Timestamp,
}

impl<'a> Arrival<'a> {
    #[inline]
    pub(super) fn new(segment: &Segment<'a>, now: Timestamp) -> Self {
        let flags = segment.header.flags;
        Self {
            // The SYN takes the first sequence number (RFC 9293 3.4).
            sequence: Seq(segment.header.sequence).plus(u64::from(flags.syn())),
            payload: segment.payload,
            place: segment.place,
            missing: segment.missing,
            fin: flags.fin(),
            captured: segment.captured,
            now,
        }
    }
}

/// Whom a direction delivers to.
pub(super) trait Receiver {
    fn data(&mut self, chunk: &Chunk<'_>) -> Verdict;
    fn gap(&mut self, lost: u64);
    fn end(&mut self);
    fn counters(&mut self) -> &mut Counters;
}
