//! The latest packets of streams that no SDP has announced yet, kept for the call's PCAP.
//!
//! Early media and the 200 OK that comes over another path precede their SDP by little: half a second is kept.
//! The attack is a flood of packets that look like RTP, so the bytes are capped and the oldest go first. To take out a
//! flow's packets costs as much as they are many: descriptions that announce thousands of flows are small.

use std::collections::VecDeque;
use std::time::Duration;

use crate::capture::Packet;
use crate::time::Timestamp;

/// How long a packet is kept.
const KEPT: Duration = Duration::from_millis(500);

/// A packet that waits for its call.
#[derive(Clone, Debug)]
pub struct StoredPacket {
    pub(crate) generation: u32,
    /// What the capture says of it.
    pub packet: Packet,
    /// Its frame.
    pub frame: Vec<u8>,
}

/// A place in the queue, whose packet may have been taken out.
#[derive(Debug)]
struct Place {
    /// When its packet came, in packet time.
    came: Timestamp,
    /// Number of the place of the packet before it of the same flow; 0 when there was none.
    before: u64,
    stored: Option<StoredPacket>,
}

/// The waiting packets, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    places: VecDeque<Place>,
    /// Places that have gone. The first one has the number 1.
    gone: u64,
    /// By flow: number of the place of its latest packet, which may have gone; 0 when there was none.
    latest: Vec<u64>,
    spare: Vec<Vec<u8>>,
    /// Of frames, and of places whose frame was taken out.
    bytes: usize,
}

/// Frame buffers kept for reuse.
const SPARE: usize = 1024;

/// Bytes of a frame of audio: 30 ms of G.711 and its headers fit in. Only buffers of that size are kept: kept with what
/// the longest frame made of them, they would grow for days.
const USUAL: usize = 320;

impl Backlog {
    /// Keeps a packet of a flow (its slot, and which one there) that came at that time, at most `limit` bytes of them in
    /// all.
    pub(crate) fn keep(
        &mut self,
        (flow, generation): (u32, u32),
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
        if self.latest.len() <= flow as usize {
            self.latest.resize(flow as usize + 1, 0);
        }
        let number = self.gone + self.places.len() as u64 + 1;
        let latest = self.latest.get_mut(flow as usize);
        let before = latest.map(|latest| std::mem::replace(latest, number)).unwrap_or_default();
        let stored = StoredPacket { generation, packet: *packet, frame };
        self.places.push_back(Place { came, before, stored: Some(stored) });
    }

    /// Drops what is older than half a second.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while self.places.front().is_some_and(|oldest| now.since(oldest.came) > KEPT) {
            self.drop_oldest();
        }
    }

    /// Takes out a flow's packets, in capture order.
    pub(crate) fn take(&mut self, (flow, generation): (u32, u32), taken: &mut Vec<StoredPacket>) {
        let first = taken.len();
        let mut number = self.latest.get_mut(flow as usize).map(std::mem::take).unwrap_or_default();
        while number > self.gone {
            let Some(place) = self.places.get_mut((number - self.gone - 1) as usize) else { break };
            number = place.before;
            // Packets of whoever had the number before are behind all of this flow.
            let is_its = |stored: &mut StoredPacket| stored.generation == generation;
            let Some(stored) = place.stored.take_if(is_its) else { break };
            self.bytes = self.bytes.saturating_sub(stored.frame.capacity()) + size_of::<Place>();
            taken.push(stored);
        }
        taken.get_mut(first..).into_iter().for_each(<[_]>::reverse);
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(place) = self.places.pop_front() else { return false };
        self.gone += 1;
        let Some(stored) = place.stored else {
            self.bytes = self.bytes.saturating_sub(size_of::<Place>());
            return true;
        };
        self.bytes = self.bytes.saturating_sub(stored.frame.capacity());
        if self.spare.len() < SPARE && stored.frame.capacity() == USUAL {
            self.spare.push(stored.frame);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(backlog: &mut Backlog, flow: (u32, u32), milliseconds: u64, bytes: &[u8], limit: usize) {
        let packet = Packet::default();
        backlog.keep(flow, Timestamp(milliseconds * 1_000_000), (&packet, bytes), limit);
    }

    fn taken(backlog: &mut Backlog, flow: u32, generation: u32) -> Vec<u8> {
        let mut taken = Vec::new();
        backlog.take((flow, generation), &mut taken);
        taken.iter().map(|stored| stored.frame[0]).collect()
    }

    #[test]
    fn each_flow_has_its_own_of_the_last_half_second() {
        let mut backlog = Backlog::default();
        for number in 0..100u8 {
            keep(&mut backlog, (u32::from(number % 3), 1), u64::from(number) * 10, &[number], 1 << 20);
        }
        // 490 ms to 990 ms.
        let of = |flow: u8| (49..100).filter(|number| number % 3 == flow).collect::<Vec<u8>>();
        assert_eq!(taken(&mut backlog, 1, 1), of(1));
        assert_eq!(taken(&mut backlog, 1, 1), [0; 0], "once");
        keep(&mut backlog, (1, 1), 995, &[200], 1 << 20);
        assert_eq!(taken(&mut backlog, 0, 1), of(0));
        assert_eq!(taken(&mut backlog, 1, 1), [200]);
        backlog.expire(Timestamp(1_600_000_000));
        assert_eq!(taken(&mut backlog, 2, 1), [0; 0], "too old");
        assert_eq!(backlog.bytes, 0);
    }

    #[test]
    fn a_flow_has_nothing_of_another_with_its_number() {
        let mut backlog = Backlog::default();
        for (generation, number) in [(1, 1), (1, 2), (2, 3), (2, 4)] {
            keep(&mut backlog, (7, generation), u64::from(number), &[number], 1 << 20);
        }
        assert_eq!(taken(&mut backlog, 7, 2), [3, 4]);
        assert_eq!(taken(&mut backlog, 7, 1), [0; 0], "it is gone");
        assert_eq!(taken(&mut backlog, 9000, 1), [0; 0], "never seen");
    }

    /// Flows of one moment whose packets are taken at once: their places are bounded, too.
    #[test]
    fn all_that_is_kept_is_bounded() {
        let mut backlog = Backlog::default();
        let limit = 1 << 16;
        for flow in 0..10_000 {
            keep(&mut backlog, (flow, 1), 1, &[1; 300], limit);
            assert!(flow % 2 == 0 || taken(&mut backlog, flow, 1) == [1]);
        }
        assert!(backlog.bytes <= limit + USUAL);
        assert!(backlog.places.len() * size_of::<Place>() <= limit);
        let left: Vec<u8> = (0..10_000).flat_map(|flow| taken(&mut backlog, flow, 1)).collect();
        assert!((100..limit / 300).contains(&left.len()), "{}", left.len());
    }
}
