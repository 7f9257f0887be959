//! Packet time: the only clock that the stages know.
//!
//! In: the timestamp of each packet, as the capture gives it. Out: a time that never goes back.
//! Absent on purpose: the wall clock. A file replays its time-outs exactly.

use std::time::Duration;

/// Nanoseconds since the Unix epoch, as stamped by the capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

impl Timestamp {
    /// A time from whole seconds and nanoseconds; saturates instead of wrapping.
    #[must_use]
    pub const fn new(seconds: u64, nanoseconds: u32) -> Self {
        Self(seconds.saturating_mul(SECOND).saturating_add(nanoseconds as u64))
    }

    /// Time since `earlier`, zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time moved forward by `duration`; saturates.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Self {
        let nanos = duration.as_nanos();
        if nanos > u64::MAX as u128 { Self(u64::MAX) } else { Self(self.0.saturating_add(nanos as u64)) }
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / SECOND
    }

    /// The nanoseconds within the second.
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        (self.0 % SECOND) as u32
    }

    /// RFC 3339 in UTC with microseconds: `2026-11-20T23:09:17.182345Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let micros = i64::try_from(self.0 / 1_000).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_microsecond(micros) {
            Ok(time) => format!("{time:.6}"),
            Err(_) => format!("@{}", self.seconds()),
        }
    }
}

/// How far packet time may jump forward before a second packet has to agree (one wild timestamp must not
/// end every call).
const WILD_JUMP: Duration = Duration::from_secs(3600);

/// How far apart two packets' times may be and still agree about a jump.
const AGREEMENT: Duration = Duration::from_secs(60);

/// Turns packet timestamps into a time that never goes back and does not follow a single wild stamp.
#[derive(Clone, Debug, Default)]
pub struct PacketClock {
    now: Timestamp,
    started: bool,
    doubted: Option<Timestamp>,
    /// Packets stamped earlier than one before them.
    pub backward: u64,
    /// Forward jumps of more than an hour that no second packet confirmed.
    pub wild: u64,
}

impl PacketClock {
    /// Takes the next packet's stamp when there is nothing to say of it: it is not before the one before, and before
    /// `limit`, a time for which [`Self::is_sure`] was asked.
    #[inline]
    pub fn follow(&mut self, stamp: Timestamp, limit: Timestamp) -> bool {
        let follows = self.now <= stamp && stamp < limit;
        if follows {
            self.now = stamp;
        }
        follows
    }

    /// Whether every stamp from now until `limit` is to be believed.
    #[must_use]
    pub fn is_sure(&self, limit: Timestamp) -> bool {
        self.started && self.doubted.is_none() && limit.since(self.now) <= WILD_JUMP
    }

    /// Takes the next packet's stamp and tells what time it is now.
    #[inline]
    pub fn observe(&mut self, stamp: Timestamp) -> Timestamp {
        // Nearly every stamp is a little later than the one before.
        let ahead = stamp.0.wrapping_sub(self.now.0);
        if ahead <= WILD_JUMP.as_nanos() as u64 && self.doubted.is_none() && self.started {
            self.now = stamp;
            return stamp;
        }
        self.observe_strange(stamp)
    }

    /// Time goes on without a packet: a clock of the machine says so.
    pub fn advance(&mut self, time: Timestamp) -> Timestamp {
        if self.started && time <= self.now { self.now } else { self.observe(time) }
    }

    #[inline(never)]
    fn observe_strange(&mut self, stamp: Timestamp) -> Timestamp {
        if !self.started {
            self.started = true;
            self.now = stamp;
        } else if stamp < self.now {
            self.backward = self.backward.saturating_add(1);
        } else if stamp.since(self.now) <= WILD_JUMP || self.agrees(stamp) {
            // The one that was doubted was right.
            self.wild -= u64::from(self.agrees(stamp));
            self.now = stamp;
            self.doubted = None;
        } else {
            self.doubted = Some(stamp);
            self.wild = self.wild.saturating_add(1);
        }
        self.now
    }

    /// The time now: that of the latest packet that was believed.
    #[must_use]
    #[inline]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    fn agrees(&self, stamp: Timestamp) -> bool {
        self.doubted.is_some_and(|doubted| stamp.since(doubted).max(doubted.since(stamp)) <= AGREEMENT)
    }
}

/// Distance of the grid lines of packet time at which stages expire what they hold.
pub const TICK: Duration = Duration::from_millis(100);

/// Nanoseconds from grid line to grid line.
const STEP: u64 = TICK.as_nanos() as u64;

/// The number of the last grid line at or before `time`.
#[must_use]
pub const fn tick_number(time: Timestamp) -> u64 {
    time.0 / STEP
}

/// The last grid line at or before `time`.
#[must_use]
pub const fn grid(time: Timestamp) -> Timestamp {
    Timestamp(tick_number(time) * STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back() {
        let mut clock = PacketClock::default();
        assert_eq!(clock.observe(Timestamp::new(100, 0)), Timestamp::new(100, 0));
        assert_eq!(clock.observe(Timestamp::new(99, 0)), Timestamp::new(100, 0));
        assert_eq!(clock.backward, 1);
    }

    #[test]
    fn one_wild_stamp_is_not_believed_two_are() {
        let mut clock = PacketClock::default();
        clock.observe(Timestamp::new(100, 0));
        assert_eq!(clock.observe(Timestamp::new(9_000_000, 0)), Timestamp::new(100, 0));
        assert_eq!(clock.observe(Timestamp::new(101, 0)), Timestamp::new(101, 0));
        assert_eq!(clock.observe(Timestamp::new(9_000_001, 0)), Timestamp::new(101, 0));
        assert_eq!(clock.wild, 2);
        assert_eq!(clock.observe(Timestamp::new(9_000_002, 0)), Timestamp::new(9_000_002, 0));
        assert_eq!(clock.wild, 1, "the second of them was right");
    }

    #[test]
    fn what_follows_is_taken_as_it_would_be_observed() {
        let mut clock = PacketClock::default();
        let limit = Timestamp::new(100, 100);
        assert!(!clock.is_sure(limit), "it has not started");
        clock.observe(Timestamp::new(100, 0));
        assert!(clock.is_sure(limit) && !clock.is_sure(Timestamp::new(9_000, 0)));
        assert!(clock.follow(Timestamp::new(100, 50), limit));
        assert_eq!(clock.now(), Timestamp::new(100, 50));
        assert!(!clock.follow(Timestamp::new(100, 49), limit) && !clock.follow(limit, limit));
        assert_eq!((clock.now(), clock.backward), (Timestamp::new(100, 50), 0));
        clock.observe(Timestamp::new(9_000_000, 0));
        assert!(!clock.is_sure(limit), "a stamp is in doubt");
    }

    #[test]
    fn prints_rfc3339_with_microseconds() {
        // RFC 3339 section 5.8 gives this instant as an example, with two digits of fraction.
        assert_eq!(Timestamp::new(482_196_050, 520_000_000).rfc3339(), "1985-04-12T23:20:50.520000Z");
    }
}
