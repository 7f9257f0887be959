//! What is due when: events in order of time, and in order of their making where the time is the same.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something that happens. Numbers are places in the simulation's tables.
pub(crate) enum Event {
    /// The next dialog begins.
    Arrival,
    /// A call with the Call-ID of an ended one begins.
    Reuse { call_key: u64 },
    /// The next message of a dialog.
    Step { dialog: u32 },
    /// The next packet of a media stream.
    Media { stream: u32 },
    /// A connection sends what it held back.
    Flush { connection: u32 },
    /// A side of a connection acknowledges what it got.
    Acknowledge { connection: u32, side: usize },
    /// A client keeps its connection alive.
    KeepAlive { connection: u32 },
    /// The server answers that.
    Pong { connection: u32 },
    /// A TCP segment that was sent before comes again.
    Again { frame: Box<[u8]> },
}

/// The events to come.
#[derive(Default)]
pub(crate) struct Schedule {
    heap: BinaryHeap<Due>,
    made: u64,
}

impl Schedule {
    /// Something will happen at `at`.
    pub(crate) fn push(&mut self, at: u64, event: Event) {
        self.made += 1;
        self.heap.push(Due { at, order: self.made, event });
    }

    /// The next event and its time.
    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|due| (due.at, due.event))
    }
}

struct Due {
    at: u64,
    order: u64,
    event: Event,
}

impl Ord for Due {
    /// Reversed: the heap gives its greatest first, and that must be the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Due {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_making() {
        let mut schedule = Schedule::default();
        for (at, dialog) in [(5, 0), (3, 1), (5, 2), (1, 3)] {
            schedule.push(at, Event::Step { dialog });
        }
        let order: Vec<u32> = std::iter::from_fn(|| schedule.pop())
            .map(|(_, event)| match event {
                Event::Step { dialog } => dialog,
                _ => u32::MAX,
            })
            .collect();
        assert_eq!(order, [3, 1, 0, 2]);
    }
}
