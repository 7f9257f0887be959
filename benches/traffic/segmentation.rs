//! How a stream is cut into segments, and in which order they leave.

use super::connection::World;
use super::ledger::Entry;
use super::step::Mark;

/// A part of the pending bytes that is sent as one segment.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The piece behind it was sent before.
    pub(crate) late: bool,
    /// Bytes at its start that were sent before.
    pub(crate) overlap: usize,
}

/// Cuts pending bytes into segments: full ones, at random places inside messages, swapped or overlapping.
pub(crate) fn plan(
    world: &mut World<'_, '_>,
    pending: &[u8],
    messages: &[(usize, Entry, Mark)],
    room: usize,
) -> Vec<Piece> {
    let knobs = world.knobs;
    let mut cuts: Vec<usize> = Vec::new();
    let mut begin = 0;
    for &(end, ..) in messages {
        if end - begin > 1 && world.rng.share(knobs.cut) {
            cuts.push(begin + 1 + world.rng.index(end - begin - 1));
        }
        begin = end;
    }
    cuts.push(pending.len());
    let mut pieces: Vec<Piece> = Vec::new();
    let mut start = 0;
    for cut in cuts {
        while start < cut {
            let end = cut.min(start + room);
            push(&mut pieces, world, start, end, room);
            start = end;
        }
    }
    pieces
}

/// Adds a segment as one piece, as two that overtake each other, or with old bytes in front.
fn push(pieces: &mut Vec<Piece>, world: &mut World<'_, '_>, start: usize, end: usize, room: usize) {
    let knobs = world.knobs;
    let plain = Piece { start, end, late: false, overlap: 0 };
    if end - start > 1 && world.rng.share(knobs.out_of_order) {
        let middle = start + 1 + world.rng.index(end - start - 1);
        pieces.push(Piece { start: middle, ..plain });
        pieces.push(Piece { end: middle, late: true, ..plain });
    } else if start > 1 && world.rng.share(knobs.retransmitted * knobs.overlapped * 0.5) {
        // From two bytes on: tshark takes a segment that begins one byte early for a keep-alive.
        let most = start.min(room - (end - start));
        let overlap = if most < 2 { 0 } else { 2 + world.rng.index(most - 1) };
        pieces.push(Piece { start: start - overlap, overlap, ..plain });
    } else {
        pieces.push(plain);
    }
}

/// How far a stream is whole, when at most one piece at a time is ahead of it.
#[derive(Default)]
pub(crate) struct Arrived {
    whole: usize,
    ahead: Option<(usize, usize)>,
}

impl Arrived {
    /// A piece arrives; returns how many bytes are whole now.
    pub(crate) fn add(&mut self, start: usize, end: usize) -> usize {
        if start > self.whole {
            self.ahead = Some((start, end));
            return self.whole;
        }
        self.whole = self.whole.max(end);
        if let Some((start, end)) = self.ahead.filter(|(start, _)| *start <= self.whole) {
            debug_assert!(start <= end);
            self.whole = self.whole.max(end);
            self.ahead = None;
        }
        self.whole
    }
}
