//! The latest packets of streams that no SDP has announced yet, kept for the call's PCAP.
//!
//! Early media and the 200 OK that comes over another path precede their SDP by little: half a second is kept.
//! The attack is a flood of packets that look like RTP, so the bytes are capped and the oldest go first.

use std::collections::VecDeque;
use std::time::Duration;

use crate::capture::Packet;
use crate::time::Timestamp;

/// How long a packet is kept.
const KEPT: Duration = Duration::from_millis(500);

/// A packet that waits for its call.
#[derive(Clone, Debug)]
pub struct StoredPacket {
    /// Its flow, and which one in that slot.
    flow: (u32, u32),
    /// When it came, in packet time.
    came: Timestamp,
    /// What the capture says of it.
    pub packet: Packet,
    /// Its frame.
    pub frame: Vec<u8>,
}

/// The waiting packets, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    packets: VecDeque<StoredPacket>,
    spare: Vec<Vec<u8>>,
    bytes: usize,
}

/// Frame buffers kept for reuse.
const SPARE: usize = 1024;

/// Bytes of a frame of audio: 30 ms of G.711 and its headers fit in. Only buffers of that size are kept: kept with what
/// the longest frame made of them, they would grow for days.
const USUAL: usize = 320;

impl Backlog {
    /// Keeps a packet that came at that time, at most `limit` bytes of them in all.
    pub(crate) fn keep(
        &mut self,
        flow: (u32, u32),
        came: Timestamp,
        (packet, bytes): (&Packet, &[u8]),
        limit: usize,
    ) {
        self.expire(came);
        while self.bytes.saturating_add(bytes.len()) > limit && self.drop_oldest() {}
        if bytes.len() > limit {
            return;
        }
        let spare = if bytes.len() <= USUAL { self.spare.pop() } else { None };
        let mut frame = spare.unwrap_or_else(|| Vec::with_capacity(bytes.len().max(USUAL)));
        frame.clear();
        frame.extend_from_slice(bytes);
        self.bytes = self.bytes.saturating_add(frame.capacity());
        self.packets.push_back(StoredPacket { flow, came, packet: *packet, frame });
    }

    /// Drops what is older than half a second.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while self.packets.front().is_some_and(|oldest| now.since(oldest.came) > KEPT) {
            self.drop_oldest();
        }
    }

    /// Takes out a flow's packets, in capture order.
    pub(crate) fn take(&mut self, flow: (u32, u32), taken: &mut Vec<StoredPacket>) {
        let is_theirs = |stored: &StoredPacket| stored.flow == flow;
        if !self.packets.iter().any(is_theirs) {
            return;
        }
        for stored in std::mem::take(&mut self.packets) {
            if is_theirs(&stored) {
                self.bytes = self.bytes.saturating_sub(stored.frame.capacity());
                taken.push(stored);
            } else {
                self.packets.push_back(stored);
            }
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(stored) = self.packets.pop_front() else { return false };
        self.bytes = self.bytes.saturating_sub(stored.frame.capacity());
        if self.spare.len() < SPARE && stored.frame.capacity() == USUAL {
            self.spare.push(stored.frame);
        }
        true
    }
}
