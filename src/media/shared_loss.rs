//! Loss that the streams of all senders share at one moment.
//!
//! What they have in common is the place where they are captured: when nearly all streams that are up miss packets at the
//! same time, those were lost there, and whoever listened heard them. A network that loses packets seldom takes them from
//! all senders at once.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::flow::Address;
use crate::quality::Stream;
use crate::time::{PacketTime, Timestamp};

/// Within that time after the first hole each stream of usual audio has sent its next packet, and shows its own.
const WINDOW: Duration = Duration::from_millis(60);

/// Fewer streams may have lost packets together by chance.
const LEAST_STREAMS: usize = 6;

/// A moment at which a stream missed packets, until the others have been looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    since: Option<Timestamp>,
    holes: usize,
}

/// A moment that is over.
#[derive(Clone, Debug)]
pub(super) struct Past {
    /// From the first hole on.
    pub(super) times: RangeInclusive<Timestamp>,
    /// Holes since: no more streams than that have one.
    holes: usize,
}

impl Past {
    /// Whether so many streams have a hole that all may.
    pub(super) const fn may_be_shared(&self) -> bool {
        self.holes >= LEAST_STREAMS
    }
}

impl Moment {
    /// A stream misses packets.
    #[inline]
    pub(super) fn begin(&mut self, at: Timestamp) {
        self.since.get_or_insert(at);
        self.holes += 1;
    }

    /// The moment, when it is over; another one may begin then.
    pub(super) fn take_if_over(&mut self, time: PacketTime) -> Option<Past> {
        // Where stamps went back, it was before that, and what followed cannot be told from it.
        let is_over = |since: Timestamp| time.of(since).is_none_or(|since| time.now.since(since) > WINDOW);
        let since = self.since.take_if(|since| is_over(*since))?;
        Some(Past { times: since..=since.after(WINDOW), holes: std::mem::take(&mut self.holes) })
    }
}

/// Whether nine of ten streams that were up at that moment missed packets in it, and of more than one sender. Looks at
/// few streams when few had holes: losses of the network are common, and streams are many.
pub(super) fn is_shared<'a>(streams: impl Iterator<Item = (Address, &'a Stream)>, moment: &Past) -> bool {
    let (mut active, mut missing, mut first, mut several) = (0, 0, None, false);
    for (sender, stream) in streams.filter(|(_, stream)| stream.latest() >= *moment.times.start()) {
        active += 1;
        if !are_most(moment.holes, active) {
            return false;
        }
        if stream.missed_within(&moment.times) {
            missing += 1;
            several |= *first.get_or_insert(sender) != sender;
        }
    }
    several && missing >= LEAST_STREAMS && are_most(missing, active)
}

const fn are_most(missing: usize, active: usize) -> bool {
    missing * 10 >= active * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_over_when_stamps_go_back() {
        let at = |milliseconds: u64| Timestamp(1_000_000_000_000 + milliseconds * 1_000_000);
        let mut moment = Moment::default();
        moment.begin(at(10));
        assert!(moment.take_if_over(PacketTime::plain(at(70))).is_none());
        let times = |past: Option<Past>| past.map(|past| past.times);
        assert_eq!(times(moment.take_if_over(PacketTime::plain(at(71)))), Some(at(10)..=at(70)));
        moment.begin(at(5_000_000));
        let back = PacketTime { now: at(5_000_010), stamp: at(10) };
        assert!(moment.take_if_over(back).is_some());
        moment.begin(at(20));
        assert!(moment.take_if_over(back).is_none(), "another one");
    }
}
