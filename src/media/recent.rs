//! Flows that had an RTP packet a moment ago: a comparison of all that are up looks at these, and not at every flow there
//! is. The attack is many flows that fell silent, and holes in a few others that call for a comparison ten times a second.

use std::time::Duration;

use crate::time::Timestamp;

/// A flow that was silent for so long is left out, and comes back with its next packet, which is not a usual one then: see
/// [`crate::quality::Stream::takes_next`].
pub(super) const SILENT: Duration = Duration::from_secs(1);

/// So many places of flows that are gone cost nothing.
const FEW: usize = 1024;

/// Slots and generations of flows.
#[derive(Debug, Default)]
pub(super) struct Recent {
    flows: Vec<(u32, u32)>,
    /// When those that are silent were left out last.
    tidied: Timestamp,
}

impl Recent {
    /// A flow, which is not there.
    pub(super) fn add(&mut self, slot: u32, generation: u32) {
        self.flows.push((slot, generation));
    }

    /// Whether more places than not are of flows that are gone, of which there are so many.
    pub(super) const fn is_stale(&self, flows: usize) -> bool {
        self.flows.len() > FEW + 2 * flows
    }

    /// Whether it is time to leave out those that are silent: once a second is often enough.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        now.since(self.tidied) >= SILENT
    }

    /// Keeps the flows that stay.
    pub(super) fn tidy(&mut self, now: Timestamp, mut stays: impl FnMut(u32, u32) -> bool) {
        self.tidied = now;
        self.flows.retain(|&(slot, generation)| stays(slot, generation));
    }

    /// Their slots; those that are gone may be another flow's by now.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.flows.iter().rev().copied()
    }
}

#[cfg(test)]
mod tests {
    use crate::flow::{Address, Endpoint, PairHasher};
    use crate::media::{CallRef, Claim, Datagram, Effects, FlowHint, Limits, MediaTable, Sighting};
    use crate::sip::sdp::{MediaKind, Srtp};
    use crate::time::{PacketTime, Timestamp};
    use std::time::Duration;

    const STREAMS: usize = 14;

    /// A table with one call, and what each stream sends next.
    struct Scene {
        table: MediaTable,
        next: [u16; STREAMS],
    }

    impl Scene {
        fn new() -> Self {
            let limits = Limits {
                max_flows: 100,
                max_unclaimed: 100,
                unclaimed_timeout: Duration::from_secs(10),
                backlog_bytes: 0,
            };
            let mut table = MediaTable::new(limits);
            table.begin(PacketTime::plain(at(0)));
            let claim =
                Claim { endpoint: receiver(), formats: &[], srtp: Srtp::Never, kind: MediaKind::Audio };
            table.claim(CallRef { slot: 0, generation: 1 }, &claim);
            Self { table, next: [0; STREAMS] }
        }

        /// Each of the first `count` streams sends a packet; of the first `lossy` the one before it is missing.
        fn send(&mut self, milliseconds: u64, count: usize, lossy: usize) {
            for (stream, next) in self.next.iter_mut().enumerate().take(count) {
                *next += 1 + u16::from(stream < lossy);
                let mut payload = vec![0x80, 0];
                payload.extend(next.to_be_bytes());
                payload.extend((u32::from(*next) * 160).to_be_bytes());
                payload.extend([0, 0, 0, 1, 0x55]);
                let source = Endpoint::new(Address::v4([192, 0, 2, 10 + stream as u8]), 5000);
                let hash = PairHasher::default().hash(source, receiver());
                let mut found = Vec::new();
                self.table.look_up([hash].into_iter(), &mut found);
                let seen = Sighting { hash, timestamp: at(milliseconds), payload: &payload };
                let datagram = Datagram { seen, source, destination: receiver(), is_whole: true };
                self.table.packet(
                    found.pop().unwrap_or(FlowHint::NONE),
                    &datagram,
                    &(),
                    &mut Effects::default(),
                );
            }
        }

        /// As many send every 20 ms, those of the last packet only behind a hole, and the moment passes.
        fn go_on(&mut self, (from, until): (u64, u64), count: usize, lossy: usize) -> (u64, u64) {
            for time in (from..until).step_by(20) {
                self.send(time, count, 0);
                self.table.expire(PacketTime::plain(at(time)));
            }
            self.send(until, count, lossy);
            self.table.expire(PacketTime::plain(at(until + 100)));
            self.table.counters().lost_by_capture
        }
    }

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp((1_000_000 + milliseconds) * 1_000_000)
    }

    fn receiver() -> Endpoint {
        Endpoint::new(Address::v4([192, 0, 2, 1]), 4000)
    }

    #[test]
    fn who_was_silent_is_compared_again_when_he_is_back() {
        let mut scene = Scene::new();
        assert_eq!(scene.go_on((0, 200), STREAMS, 0), (0, 0));
        assert_eq!(scene.go_on((220, 3000), 6, 6), (1, 6), "all that are up");
        assert_eq!(scene.go_on((3200, 3600), STREAMS, 6), (1, 6), "others are up and miss nothing");
        assert_eq!(scene.go_on((3800, 4200), STREAMS, STREAMS), (2, 6 + STREAMS as u64));
    }
}
