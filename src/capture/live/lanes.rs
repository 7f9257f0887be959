//! Packets of several interfaces in the order of their stamps.
//!
//! Each interface has a lane. A packet is handed out when every other lane either has a later one or cannot have an
//! earlier one any more: a lane that was found empty at some time has nothing left that was captured longer before
//! than twice the longest time that the kernel holds packets back. Equal stamps go by the order of the interfaces.
//!
//! Bounded: a lane is read from again only when it is empty, and holds one batch.

use std::time::{Duration, Instant};

use super::before;
use crate::capture::Batch;
use crate::time::Timestamp;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// This lane's next packet is the next of all.
    Take(usize),
    /// Another lane may still bring an earlier one, for so long.
    Hold(Duration),
    /// All lanes are empty.
    Nothing,
}

#[derive(Default)]
struct Lane {
    batch: Batch,
    next: usize,
    /// What was captured up to then is in the batch or was handed out; none: nothing can come at all.
    complete: Option<Timestamp>,
    /// It was read from and had nothing, in this round.
    looked: bool,
}

impl Lane {
    fn head(&self) -> Option<Timestamp> {
        self.batch.packets().get(self.next).map(|packet| packet.timestamp)
    }
}

/// The lanes of all interfaces.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    delay: Duration,
    /// Since when a packet waits for the others.
    held: Option<Instant>,
}

impl Lanes {
    /// `delay` is how long after its capture a packet may come.
    pub(super) fn new(count: usize, delay: Duration) -> Self {
        Self { lanes: (0..count).map(|_| Lane::default()).collect(), delay, held: None }
    }

    pub(super) fn is_empty(&self, place: usize) -> bool {
        self.lanes.get(place).is_none_or(|lane| lane.head().is_none())
    }

    /// A new round: empty lanes are looked at again.
    pub(super) fn begin(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.looked = false);
    }

    /// Whether a lane should be read for: it is empty, and was not found so in this round.
    pub(super) fn is_due(&self, place: usize) -> bool {
        self.lanes.get(place).is_some_and(|lane| lane.head().is_none() && !lane.looked)
    }

    /// Fills an empty lane with what `read` finds at the time `now` or later; it also says whether more can come.
    pub(super) fn refill(&mut self, place: usize, now: Timestamp, read: impl FnOnce(&mut Batch) -> bool) {
        let delay = self.delay;
        let Some(lane) = self.lanes.get_mut(place) else { return };
        lane.batch.clear();
        lane.next = 0;
        let more = read(&mut lane.batch);
        lane.looked = lane.head().is_none();
        // What was left in the ring may be older than that.
        lane.complete = more.then(|| if lane.looked { before(now, delay) } else { Timestamp::default() });
    }

    /// Whose turn it is.
    pub(super) fn turn(&mut self) -> Turn {
        let heads =
            self.lanes.iter().enumerate().filter_map(|(place, lane)| lane.head().map(|time| (time, place)));
        let Some((time, place)) = heads.min() else { return Turn::Nothing };
        let empty = self.lanes.iter().filter(|lane| lane.head().is_none());
        let Some(complete) = empty.filter_map(|lane| lane.complete).min().filter(|complete| *complete < time)
        else {
            self.held = None;
            return Turn::Take(place);
        };
        // A stamp of the future, or a clock that was set back, must not hold anything up for longer than that.
        let waited = waited(&mut self.held);
        if waited > self.delay { Turn::Take(place) } else { Turn::Hold(time.since(complete).min(self.delay)) }
    }

    /// Hands out the next packet of a lane.
    pub(super) fn hand_out(&mut self, place: usize, batch: &mut Batch) {
        let Some(lane) = self.lanes.get_mut(place) else { return };
        if let Some(packet) = lane.batch.packets().get(lane.next) {
            batch.push(*packet, lane.batch.view().frame(packet));
        }
        lane.next += 1;
    }
}

#[allow(clippy::disallowed_methods, reason = "how long something has waited is no packet time")]
fn waited(held: &mut Option<Instant>) -> Duration {
    let now = Instant::now();
    now.duration_since(*held.get_or_insert(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Packet;

    const DELAY: Duration = Duration::from_secs(10);

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    /// Fills a lane at `now` with packets of these stamps.
    fn fill(lanes: &mut Lanes, place: usize, now: u64, stamps: &[u64]) {
        lanes.refill(place, at(now), |batch| {
            for &stamp in stamps {
                batch.push(Packet { timestamp: at(stamp), ..Packet::default() }, &[place as u8]);
            }
            true
        });
    }

    /// Hands out what may go, as lane and stamp.
    fn out(lanes: &mut Lanes) -> Vec<(u8, u64)> {
        let mut batch = Batch::default();
        while let Turn::Take(place) = lanes.turn() {
            lanes.hand_out(place, &mut batch);
        }
        let view = batch.view();
        view.packets.iter().map(|packet| (view.frame(packet)[0], packet.timestamp.seconds())).collect()
    }

    #[test]
    fn packets_go_by_stamp_and_equal_ones_by_interface() {
        let mut lanes = Lanes::new(2, DELAY);
        fill(&mut lanes, 1, 100, &[1, 4, 4, 5]);
        fill(&mut lanes, 0, 100, &[2, 3, 4]);
        assert_eq!(out(&mut lanes), [(1, 1), (0, 2), (0, 3), (0, 4)]);
        assert!(lanes.is_due(0), "there may be more of 4");
        fill(&mut lanes, 0, 100, &[]);
        assert_eq!(out(&mut lanes), [(1, 4), (1, 4), (1, 5)]);
        assert_eq!(lanes.turn(), Turn::Nothing);
    }

    #[test]
    fn a_packet_waits_for_what_may_still_come_before_it() {
        let mut lanes = Lanes::new(2, DELAY);
        fill(&mut lanes, 0, 100, &[80, 95]);
        // Found empty at 100: all until 90 is there.
        fill(&mut lanes, 1, 100, &[]);
        assert_eq!(out(&mut lanes), [(0, 80)]);
        assert_eq!(lanes.turn(), Turn::Hold(Duration::from_secs(5)));
        lanes.begin();
        assert!(lanes.is_due(1) && !lanes.is_due(0));
        fill(&mut lanes, 1, 104, &[93]);
        assert_eq!(out(&mut lanes), [(1, 93)]);
        fill(&mut lanes, 1, 105, &[]);
        assert_eq!(out(&mut lanes), [(0, 95)]);
    }

    #[test]
    fn an_interface_that_is_down_holds_nothing_up() {
        let mut lanes = Lanes::new(2, DELAY);
        fill(&mut lanes, 0, 100, &[200]);
        lanes.refill(1, at(100), |_| false);
        assert_eq!(out(&mut lanes), [(0, 200)]);
    }

    #[test]
    fn a_stamp_of_the_future_is_not_held_for_long() {
        let mut lanes = Lanes::new(2, Duration::from_millis(5));
        fill(&mut lanes, 0, 100, &[4_000_000_000]);
        fill(&mut lanes, 1, 100, &[]);
        assert_eq!(out(&mut lanes), []);
        std::thread::sleep(Duration::from_millis(10));
        assert_eq!(out(&mut lanes), [(0, 4_000_000_000)]);
    }
}
