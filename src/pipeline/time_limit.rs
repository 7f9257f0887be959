//! For how long a run goes on.

use std::time::Duration;

use crate::capture::Packet;
use crate::time::{PacketClock, Timestamp};

/// An end after so much packet time. A single wild stamp neither brings it near nor puts it off.
#[derive(Debug)]
pub(super) struct TimeLimit {
    duration: Duration,
    clock: PacketClock,
}

impl TimeLimit {
    pub(super) fn new(duration: Duration) -> Self {
        Self { duration, clock: PacketClock::default() }
    }

    /// The place of the first of the packets to come that is too late.
    pub(super) fn late(&mut self, packets: &[Packet]) -> Option<usize> {
        packets.iter().position(|packet| {
            self.clock.observe(packet.timestamp);
            self.is_over()
        })
    }

    /// Nothing came until `now`: whether it is too late for whatever comes.
    pub(super) fn is_over_at(&mut self, now: Timestamp) -> bool {
        self.clock.advance(now);
        self.is_over()
    }

    fn is_over(&self) -> bool {
        self.clock.elapsed() > self.duration
    }
}
