//! A TCP connection that carries SIP: what is said goes into a stream, the stream into segments, the segments on the
//! wire in the order, and as often, as the knobs say.
//!
//! A side sends what it holds back before it hears from the other side, so that no answer precedes its request.

use std::io;

use super::frame::{ACK, Endpoint, FIN, PSH, SYN, Segment};
use super::ledger::Entry;
use super::network::Network;
use super::profile::Tcp;
use super::rng::Rng;
use super::schedule::{Event, Schedule};
use super::script::MILLISECOND;
use super::segmentation::{Arrived, Piece, plan};
use super::step::Mark;
use super::websocket;

/// The client's side; the server's is 1.
pub(crate) const CLIENT: usize = 0;
/// The server's side.
pub(crate) const SERVER: usize = 1;

/// What an Ethernet with timestamps in TCP leaves for data; IPv6 has 20 bytes less.
const SEGMENT_SIZE: usize = 1_428;
/// Time between two segments that leave back to back.
const BACK_TO_BACK: u64 = 15_000;
/// From a SYN to its answer.
const ROUND_TRIP: u64 = 200_000;
/// How long a message waits for company.
const COMPANY: u64 = 20 * MILLISECOND;
/// How long an acknowledgement waits for data to travel with.
const DELAYED_ACK: u64 = 40 * MILLISECOND;

/// One connection.
pub(crate) struct Connection {
    number: u32,
    ends: [Endpoint; 2],
    pub(crate) websocket: bool,
    opened: bool,
    sides: [Side; 2],
    flush_due: bool,
}

#[derive(Default)]
struct Side {
    /// Sequence number of the next byte to send.
    next: u32,
    pending: Vec<u8>,
    /// Where in `pending` messages end, and whom the ledger tells when that byte is sent.
    messages: Vec<(usize, Entry, Mark)>,
    acknowledgement_due: bool,
}

/// What a connection needs of the world to act.
pub(crate) struct World<'a, 'w> {
    pub(crate) now: u64,
    pub(crate) knobs: &'a Tcp,
    pub(crate) rng: &'a mut Rng,
    pub(crate) network: &'a mut Network<'w>,
    pub(crate) schedule: &'a mut Schedule,
}

impl Connection {
    pub(crate) fn new(number: u32, ends: [Endpoint; 2], websocket: bool, rng: &mut Rng) -> Self {
        let mut side = || {
            // One connection in twenty wraps its sequence numbers soon.
            let next = if rng.share(0.05) { u32::MAX - rng.below(2_000) as u32 } else { rng.next() as u32 };
            Side { next, ..Side::default() }
        };
        let sides = [side(), side()];
        Self { number, ends, websocket, opened: false, sides, flush_due: false }
    }

    /// Its client, then its server.
    pub(crate) fn ends(&self) -> [Endpoint; 2] {
        self.ends
    }

    pub(crate) fn is_open(&self) -> bool {
        self.opened
    }

    /// Opens the connection; `tail` is the end of a message for captures that begin in the middle of things.
    pub(crate) fn open(&mut self, world: &mut World<'_, '_>, tail: &[u8]) -> io::Result<()> {
        self.opened = true;
        world.network.ledger.tcp.connections += 1;
        if world.knobs.midstream && !self.websocket {
            world.network.ledger.tcp.midstream += 1;
            for side in [CLIENT, SERVER] {
                self.sides[side].pending.extend_from_slice(tail);
                self.flush(world, side)?;
            }
        } else if world.knobs.syn {
            self.bare(world, CLIENT, SYN)?;
            self.sides[CLIENT].next = self.sides[CLIENT].next.wrapping_add(1);
            world.now += ROUND_TRIP;
            self.bare(world, SERVER, SYN | ACK)?;
            self.sides[SERVER].next = self.sides[SERVER].next.wrapping_add(1);
            world.now += BACK_TO_BACK;
            self.bare(world, CLIENT, ACK)?;
        }
        if self.websocket {
            self.sides[CLIENT].pending = websocket::upgrade(self.ends[SERVER]);
            self.flush(world, CLIENT)?;
            self.sides[SERVER].pending = websocket::accepted();
            self.flush(world, SERVER)?;
        }
        Ok(())
    }

    /// A side says a SIP message.
    pub(crate) fn say(
        &mut self,
        world: &mut World<'_, '_>,
        side: usize,
        message: &[u8],
        (entry, mark): (Entry, Mark),
    ) -> io::Result<()> {
        self.flush(world, 1 - side)?;
        let speaker = &mut self.sides[side];
        if self.websocket {
            websocket::message(&mut speaker.pending, world.rng, side == CLIENT, message);
        } else {
            speaker.pending.extend_from_slice(message);
        }
        speaker.messages.push((speaker.pending.len(), entry, mark));
        if !world.rng.share(world.knobs.pipelined) {
            return self.flush(world, side);
        }
        if !self.flush_due {
            self.flush_due = true;
            let wait = world.rng.between(MILLISECOND, COMPANY);
            world.schedule.push(world.now + wait, Event::Flush { connection: self.number });
        }
        Ok(())
    }

    /// A side says nothing but that it is there.
    pub(crate) fn keep_alive(&mut self, world: &mut World<'_, '_>, side: usize) -> io::Result<()> {
        self.flush(world, 1 - side)?;
        world.network.ledger.tcp.keepalives += 1;
        let pending = &mut self.sides[side].pending;
        if self.websocket {
            websocket::keepalive(pending, world.rng, side == CLIENT);
        } else {
            // RFC 5626 3.5.1: a double CRLF, answered with a single one.
            pending.extend_from_slice(if side == CLIENT { b"\r\n\r\n" } else { b"\r\n" });
        }
        self.flush(world, side)
    }

    /// Sends what either side holds back.
    pub(crate) fn flush_both(&mut self, world: &mut World<'_, '_>) -> io::Result<()> {
        self.flush_due = false;
        self.flush(world, CLIENT)?;
        self.flush(world, SERVER)
    }

    /// Acknowledges what a side got, unless data did so meanwhile.
    pub(crate) fn acknowledge(&mut self, world: &mut World<'_, '_>, side: usize) -> io::Result<()> {
        if !self.sides[side].acknowledgement_due {
            return Ok(());
        }
        self.bare(world, side, ACK)
    }

    /// Closes both directions.
    pub(crate) fn close(&mut self, world: &mut World<'_, '_>) -> io::Result<()> {
        for side in [CLIENT, SERVER] {
            self.bare(world, side, FIN | ACK)?;
            self.sides[side].next = self.sides[side].next.wrapping_add(1);
        }
        self.bare(world, CLIENT, ACK)
    }

    /// Sends a segment without data.
    fn bare(&mut self, world: &mut World<'_, '_>, side: usize, flags: u8) -> io::Result<()> {
        self.sides[side].acknowledgement_due = false;
        let segment = self.segment(side, 0, flags, world.now);
        world.network.ledger.tcp.segments += 1;
        world.network.segment(world.now, self.from(side), &segment, b"").map(|_| ())
    }

    fn flush(&mut self, world: &mut World<'_, '_>, side: usize) -> io::Result<()> {
        if self.sides[side].pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.sides[side].pending);
        let messages = std::mem::take(&mut self.sides[side].messages);
        let pieces = plan(world, &pending, &messages, self.room());
        let mut arrived = Arrived::default();
        let mut told = 0;
        let mut previous = 0;
        for (index, piece) in pieces.iter().enumerate() {
            let at = world.now + index as u64 * BACK_TO_BACK;
            let stamp = self.send(world, side, at, &pending, *piece)?;
            self.maybe_again(world, side, &pending, *piece, previous)?;
            previous = piece.start;
            let whole = arrived.add(piece.start, piece.end);
            while let Some((_, entry, mark)) = messages.get(told).filter(|(end, ..)| *end <= whole) {
                world.network.ledger.stamp(*entry, *mark, stamp);
                told += 1;
            }
        }
        self.sides[side].next = self.sides[side].next.wrapping_add(pending.len() as u32);
        self.sides[side].acknowledgement_due = false;
        let listener = &mut self.sides[1 - side];
        if !listener.acknowledgement_due {
            listener.acknowledgement_due = true;
            let event = Event::Acknowledge { connection: self.number, side: 1 - side };
            world.schedule.push(world.now + DELAYED_ACK, event);
        }
        // The buffers go back where they came from: a connection lives long.
        self.sides[side].pending = pending;
        self.sides[side].pending.clear();
        self.sides[side].messages = messages;
        self.sides[side].messages.clear();
        Ok(())
    }

    fn send(
        &self,
        world: &mut World<'_, '_>,
        side: usize,
        at: u64,
        pending: &[u8],
        piece: Piece,
    ) -> io::Result<u64> {
        let counted = &mut world.network.ledger.tcp;
        counted.segments += 1;
        counted.data_segments += 1;
        counted.out_of_order += u64::from(piece.late);
        counted.retransmitted += u64::from(piece.overlap > 0);
        counted.overlapped += u64::from(piece.overlap > 0);
        let segment = self.segment(side, piece.start, PSH | ACK, at);
        world.network.segment(at, self.from(side), &segment, &pending[piece.start..piece.end])
    }

    /// Lets a segment, or a part around it, come again some time later.
    fn maybe_again(
        &self,
        world: &mut World<'_, '_>,
        side: usize,
        pending: &[u8],
        piece: Piece,
        previous: usize,
    ) -> io::Result<()> {
        let exact = world.rng.share(world.knobs.retransmitted * (1.0 - world.knobs.overlapped));
        // The other half of the overlaps are those of `plan`, with new bytes.
        let other = !exact && world.rng.share(world.knobs.retransmitted * world.knobs.overlapped * 0.5);
        let frame = if exact {
            world.network.copy()
        } else if other && piece.end - piece.start > 1 {
            let low = previous.min(piece.start);
            let start = low + world.rng.index(piece.end - low - 1);
            let end = (piece.start.max(start) + 1 + world.rng.index(piece.end - piece.start.max(start)))
                .min(start + self.room());
            world.network.ledger.tcp.overlapped += 1;
            let segment = self.segment(side, start, PSH | ACK, world.now);
            world.network.prepare(self.from(side), &segment, &pending[start..end])
        } else {
            return Ok(());
        };
        let wait = world.rng.between(5 * MILLISECOND, 300 * MILLISECOND);
        world.schedule.push(world.now + wait, Event::Again { frame });
        Ok(())
    }

    fn segment(&self, side: usize, offset: usize, flags: u8, at: u64) -> Segment {
        let ack = if flags & ACK == 0 { 0 } else { self.sides[1 - side].next };
        let seq = self.sides[side].next.wrapping_add(offset as u32);
        Segment { seq, ack, flags, clock: (at / MILLISECOND) as u32 }
    }

    fn from(&self, side: usize) -> [Endpoint; 2] {
        [self.ends[side], self.ends[1 - side]]
    }

    fn room(&self) -> usize {
        if self.ends[CLIENT].ip.is_ipv4() { SEGMENT_SIZE } else { SEGMENT_SIZE - 20 }
    }
}

/// A segment that was sent before comes again.
pub(crate) fn again(network: &mut Network<'_>, at: u64, frame: &[u8]) -> io::Result<()> {
    let counted = &mut network.ledger.tcp;
    counted.segments += 1;
    counted.data_segments += 1;
    counted.retransmitted += 1;
    network.frame(at, frame).map(|_| ())
}
