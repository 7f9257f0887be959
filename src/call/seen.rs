//! Which messages a call has already seen: tells a first copy from a retransmission and from a second capture.

use std::time::Duration;

use crate::time::Timestamp;

/// Messages remembered per call. A plain call through a proxy has 13, with authentication 16.
const REMEMBERED: usize = 24;

/// A copy that follows this soon was captured twice (`any`, both sides of a router): the shortest
/// retransmission timer in use is ten times as long (RFC 3261 17.1.1.1: T1, 500 ms).
pub(crate) const CAPTURED_TWICE: Duration = Duration::from_millis(20);

/// What a message is to its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copy {
    /// Seen for the first time.
    First,
    /// Sent again.
    Retransmission,
    /// Captured again.
    Duplicate,
}

#[derive(Clone, Copy, Debug, Default)]
struct Message {
    /// Hash of what makes a message itself: method or status, CSeq, branch, To-tag, sender and receiver.
    identity: u64,
    /// When its latest copy came.
    at: Timestamp,
}

/// The latest messages of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    messages: [Message; REMEMBERED],
    count: u32,
}

impl Seen {
    /// Takes a message's identity and tells whether it came before.
    pub(crate) fn observe(&mut self, identity: u64, at: Timestamp, datagram: bool) -> Copy {
        let known = (self.count as usize).min(REMEMBERED);
        let before = self.messages.iter_mut().take(known).find(|message| message.identity == identity);
        if let Some(message) = before {
            let again = at.since(message.at);
            message.at = at;
            return if datagram && again <= CAPTURED_TWICE { Copy::Duplicate } else { Copy::Retransmission };
        }
        // Twice round the ring is as good as once: the count stays small and still says that the ring is full.
        self.count = if self.count as usize >= 2 * REMEMBERED { REMEMBERED as u32 } else { self.count };
        if let Some(message) = self.messages.get_mut(self.count as usize % REMEMBERED) {
            *message = Message { identity, at };
        }
        self.count += 1;
        Copy::First
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp(millis * 1_000_000)
    }

    #[test]
    fn a_timer_makes_a_retransmission_and_a_second_tap_a_duplicate() {
        let mut seen = Seen::default();
        assert_eq!(seen.observe(7, at(0), true), Copy::First);
        assert_eq!(seen.observe(7, at(1), true), Copy::Duplicate);
        assert_eq!(seen.observe(7, at(501), true), Copy::Retransmission);
        assert_eq!(seen.observe(7, at(502), true), Copy::Duplicate);
        assert_eq!(seen.observe(7, at(503), false), Copy::Retransmission, "a stream delivers bytes once");
    }

    #[test]
    fn the_latest_are_remembered() {
        let mut seen = Seen::default();
        for identity in 0..1000 {
            assert_eq!(seen.observe(identity, at(identity * 1000), true), Copy::First);
        }
        assert_eq!(seen.observe(999, at(2_000_000), true), Copy::Retransmission);
        assert_eq!(seen.observe(980, at(2_000_000), true), Copy::Retransmission);
        assert_eq!(seen.observe(900, at(2_000_000), true), Copy::First);
    }
}
