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

    /// This time moved back by `duration`; saturates.
    #[must_use]
    pub const fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(Self(0).after(duration).0))
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

/// How far stamps may jump, forward or back, before a second packet has to agree (one wild stamp must not end every
/// call, nor stop time).
pub(crate) const WILD_JUMP: Duration = Duration::from_secs(3600);

/// How far apart two packets' times may be and still agree about a jump.
const AGREEMENT: Duration = Duration::from_secs(60);

/// The latest stamp that is believed, of the year 2400: packet time has room to go on from there.
const LATEST: Timestamp = Timestamp::new(13_569_465_600, 0);

/// Packet time at one moment, and what stamps mean then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketTime {
    /// The time. It never goes back.
    pub now: Timestamp,
    /// The same as packets are stamped: earlier, after stamps went back.
    pub stamp: Timestamp,
}

impl PacketTime {
    /// The time where stamps never went back.
    #[must_use]
    pub const fn plain(now: Timestamp) -> Self {
        Self { now, stamp: now }
    }

    /// How far packet time is ahead of stamps.
    #[must_use]
    pub const fn ahead(self) -> Duration {
        self.now.since(self.stamp)
    }

    /// The packet time of a stamp, at a tick or behind it and before the next. None of one that is still to come: it is
    /// wild, or was made before stamps went back.
    #[must_use]
    pub fn of(self, stamp: Timestamp) -> Option<Timestamp> {
        let at = stamp.after(self.ahead());
        (at <= self.now.after(TICK)).then_some(at)
    }

    /// The packet time of the stamp of a packet at hand; none when no such stamp would be believed alone.
    #[must_use]
    pub fn near(self, stamp: Timestamp) -> Option<Timestamp> {
        self.of(stamp).filter(|at| self.now.since(*at) <= WILD_JUMP)
    }

    /// The packet time of a packet at hand: that of its stamp, or of the tick when the stamp is far off.
    #[must_use]
    pub fn bound(self, stamp: Timestamp) -> Timestamp {
        self.near(stamp).unwrap_or(self.now)
    }
}

/// Turns stamps into a time that never goes back and does not follow a single wild stamp. When packets agree that stamps
/// went back, packet time goes on from where it was: it is ahead of stamps from then on, by whole seconds.
#[derive(Clone, Debug, Default)]
pub struct PacketClock {
    /// The latest stamp that was believed.
    latest: Timestamp,
    /// Nanoseconds that packet time is ahead of stamps.
    ahead: u64,
    started: bool,
    /// Packet time of the first packet that another one bore out; of the first while there is none.
    begun: Timestamp,
    /// No packet has borne out the first one yet.
    alone: bool,
    doubted: Option<Timestamp>,
    /// Packets stamped earlier than one before them; where stamps went back, the first of them.
    pub backward: u64,
    /// Packets stamped more than an hour later than those around them.
    pub wild: u64,
}

impl PacketClock {
    /// Takes the next packet's stamp when there is nothing to say of it: it is not before the one before, and before
    /// `limit`, which [`Self::sure_until`] gave.
    #[inline]
    pub fn follow(&mut self, stamp: Timestamp, limit: Timestamp) -> bool {
        let follows = self.latest <= stamp && stamp < limit;
        if follows {
            self.latest = stamp;
        }
        follows
    }

    /// The stamp at packet time `limit`, if every stamp from now until then is to be believed; else zero.
    #[must_use]
    pub fn sure_until(&self, limit: Timestamp) -> Timestamp {
        let is_sure = self.is_calm() && limit.since(self.now()) <= WILD_JUMP;
        if is_sure { self.at(limit).stamp } else { Timestamp::default() }
    }

    /// Takes the next packet's stamp and tells what time it is now.
    #[inline]
    pub fn observe(&mut self, stamp: Timestamp) -> Timestamp {
        // Nearly every stamp is a little later than the one before.
        let further = stamp.0.wrapping_sub(self.latest.0);
        if further <= WILD_JUMP.as_nanos() as u64 && self.is_calm() {
            self.latest = stamp;
        } else {
            self.observe_strange(stamp.min(LATEST));
        }
        self.now()
    }

    /// Time goes on without a packet: a clock of the machine says so, or that it was set back.
    pub fn advance(&mut self, time: Timestamp) -> Timestamp {
        if !self.started || time > self.latest {
            return self.observe(time);
        }
        if self.latest.since(time) > WILD_JUMP {
            self.doubt_back(time);
        } else {
            self.keep_on();
        }
        self.now()
    }

    /// Whether it waits for another packet to agree with this stamp of the future.
    #[must_use]
    pub fn doubts(&self, stamp: Timestamp) -> bool {
        self.doubted.is_some_and(|doubted| doubted == stamp.min(LATEST) && doubted > self.latest)
    }

    /// Whether it waits for a packet to agree with another.
    #[must_use]
    pub const fn is_in_doubt(&self) -> bool {
        self.doubted.is_some()
    }

    const fn is_calm(&self) -> bool {
        self.started && !self.alone && self.doubted.is_none()
    }

    #[inline(never)]
    fn observe_strange(&mut self, stamp: Timestamp) {
        if !self.started {
            (self.started, self.alone) = (true, true);
            (self.latest, self.begun) = (stamp, stamp);
        } else if self.latest.since(stamp) > WILD_JUMP {
            self.backward += u64::from(!self.doubt_back(stamp));
        } else if stamp < self.latest {
            self.backward += 1;
            self.keep_on();
        } else if stamp.since(self.latest) <= WILD_JUMP || self.agrees(stamp) {
            // The one that was doubted was right.
            self.wild -= u64::from(self.agrees(stamp));
            self.go_on(stamp);
        } else {
            self.doubted = Some(stamp);
            self.wild += 1;
        }
    }

    /// The next stamp is believed.
    fn go_on(&mut self, stamp: Timestamp) {
        let jump = stamp.since(self.latest);
        if jump > WILD_JUMP {
            // Stamps of two clocks may take turns: what they went back by is made up for before time jumps.
            self.ahead = self.ahead.saturating_sub(jump.as_secs() * SECOND);
            if self.alone {
                // The first packet was the strange one.
                self.begun = self.doubted.map_or(stamp, |doubted| doubted.min(stamp));
            }
        }
        self.latest = stamp;
        (self.alone, self.doubted) = (false, None);
    }

    /// A stamp is near the latest: stamps did not go back.
    fn keep_on(&mut self) {
        self.doubted = self.doubted.filter(|doubted| *doubted > self.latest);
    }

    /// A stamp is more than an hour before the latest. When the one before was so too and this one may follow it, stamps
    /// went back; true then.
    fn doubt_back(&mut self, stamp: Timestamp) -> bool {
        let follows =
            |doubted: Timestamp| stamp.since(doubted) <= WILD_JUMP && doubted.since(stamp) <= AGREEMENT;
        if !self.doubted.is_some_and(follows) {
            self.doubted = Some(stamp);
            return false;
        }
        if self.alone {
            // The first packet was the strange one.
            self.backward = self.backward.saturating_sub(1);
            self.wild += 1;
        }
        // Rounded up: packet time must not go back, and keeps its place within the second.
        let back = self.latest.0.saturating_sub(stamp.0).div_ceil(SECOND);
        self.ahead = self.ahead.saturating_add(back.saturating_mul(SECOND));
        self.latest = stamp;
        if self.alone {
            self.begun =
                self.now().before(self.doubted.map_or(Duration::ZERO, |doubted| stamp.since(doubted)));
        }
        (self.alone, self.doubted) = (false, None);
        true
    }

    /// The time now: that of the latest packet that was believed.
    #[must_use]
    #[inline]
    pub const fn now(&self) -> Timestamp {
        Timestamp(self.latest.0.saturating_add(self.ahead))
    }

    /// For how long packets came. A first stamp that no other bears out does not count.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.now().since(self.begun)
    }

    /// How far packet time is ahead of stamps.
    #[must_use]
    pub const fn ahead(&self) -> Duration {
        Duration::from_nanos(self.ahead)
    }

    /// Some packet time, as stamps are made now.
    #[must_use]
    pub const fn at(&self, time: Timestamp) -> PacketTime {
        PacketTime { now: time, stamp: time.before(self.ahead()) }
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
        let unsure = Timestamp::default();
        assert_eq!(clock.sure_until(limit), unsure, "it has not started");
        clock.observe(Timestamp::new(100, 0));
        assert_eq!(clock.sure_until(limit), unsure, "one packet may be wrong");
        clock.observe(Timestamp::new(100, 0));
        assert_eq!(clock.sure_until(limit), limit);
        assert_eq!(clock.sure_until(Timestamp::new(9_000, 0)), unsure);
        assert!(clock.follow(Timestamp::new(100, 50), limit));
        assert_eq!(clock.now(), Timestamp::new(100, 50));
        assert!(!clock.follow(Timestamp::new(100, 49), limit) && !clock.follow(limit, limit));
        assert_eq!((clock.now(), clock.backward), (Timestamp::new(100, 50), 0));
        clock.observe(Timestamp::new(9_000_000, 0));
        assert_eq!(clock.sure_until(limit), unsure, "a stamp is in doubt");
    }

    /// A clock that was told these seconds.
    fn told(seconds: &[u64]) -> PacketClock {
        let mut clock = PacketClock::default();
        seconds.iter().for_each(|&second| {
            clock.observe(Timestamp::new(second, 500));
        });
        clock
    }

    const DAY: u64 = 86_400;

    #[test]
    fn time_goes_on_where_stamps_went_back() {
        let mut clock = told(&[10 * DAY, 10 * DAY + 1, 9 * DAY]);
        assert_eq!(clock.now(), Timestamp::new(10 * DAY + 1, 500), "one stamp is not believed");
        clock.observe(Timestamp::new(9 * DAY, 400));
        assert_eq!((clock.now(), clock.backward), (Timestamp::new(10 * DAY + 2, 400), 1), "rounded up");
        assert_eq!(clock.observe(Timestamp::new(9 * DAY + 7, 700)), Timestamp::new(10 * DAY + 9, 700));
        let limit = Timestamp::new(10 * DAY + 10, 0);
        let stamp = clock.sure_until(limit);
        assert_eq!(stamp, Timestamp::new(9 * DAY + 8, 0), "a limit for stamps");
        assert!(clock.follow(Timestamp::new(9 * DAY + 7, 800), stamp));
        assert_eq!(clock.at(limit), PacketTime { now: limit, stamp });
        assert_eq!((clock.backward, clock.wild), (1, 0));
    }

    #[test]
    fn the_first_stamp_is_doubted_too() {
        let clock = told(&[4_000 * DAY, DAY, DAY + 1, DAY + 2]);
        assert_eq!((clock.backward, clock.wild), (0, 1));
        assert_eq!(clock.at(clock.now()).stamp, Timestamp::new(DAY + 2, 500));
        let far = told(&[u64::MAX, DAY, DAY, DAY + 9]);
        assert_eq!(far.at(far.now()).stamp, Timestamp::new(DAY + 9, 500));
        assert_eq!(far.now().since(told(&[u64::MAX, DAY, DAY]).now()), Duration::from_secs(9));
    }

    #[test]
    fn stamps_between_say_that_none_went_back() {
        for between in [10 * DAY, 10 * DAY - 5] {
            let clock = told(&[10 * DAY, 10 * DAY, 9 * DAY, between, 9 * DAY + 1]);
            assert_eq!((clock.now(), clock.backward > 1), (Timestamp::new(10 * DAY, 500), true));
        }
        // Far from each other.
        let clock = told(&[10 * DAY, 9 * DAY, 8 * DAY, 9 * DAY - 3_700]);
        assert_eq!((clock.now(), clock.backward), (Timestamp::new(10 * DAY, 500), 3));
    }

    #[test]
    fn the_machine_says_that_its_clock_was_set_back() {
        let mut clock = told(&[10 * DAY, 10 * DAY]);
        let says = |second| Timestamp::new(second, 500);
        assert_eq!(clock.advance(says(9 * DAY)), says(10 * DAY));
        clock.advance(says(9 * DAY));
        assert_eq!(clock.advance(says(9 * DAY + 3)), says(10 * DAY + 3));
        assert_eq!((clock.backward, clock.wild), (0, 0), "no packet did");
    }

    #[test]
    fn two_clocks_that_take_turns_do_not_drive_time_away() {
        let mut clock = told(&[10 * DAY]);
        for second in 0..1_000 {
            for stamp in [10 * DAY, 9 * DAY].map(|day| Timestamp::new(day + second, 0)) {
                clock.observe(stamp);
                clock.observe(stamp);
            }
        }
        assert_eq!(clock.now().seconds(), 10 * DAY + 999);
    }

    #[test]
    fn stamps_are_told_from_those_of_a_time_to_come() {
        let seconds = |second| Timestamp::new(second, 0);
        let time = PacketTime { now: seconds(10_000), stamp: seconds(6_000) };
        assert_eq!(time.of(seconds(5_999)), Some(seconds(9_999)));
        assert_eq!(time.of(Timestamp::new(6_000, 50_000_000)), Some(Timestamp::new(10_000, 50_000_000)));
        assert_eq!(time.of(seconds(6_001)), None);
        assert_eq!((time.near(seconds(2_400)), time.near(seconds(2_399))), (Some(seconds(6_400)), None));
        assert_eq!(
            (time.bound(seconds(5_000)), time.bound(seconds(2_000))),
            (seconds(9_000), seconds(10_000))
        );
    }

    #[test]
    fn prints_rfc3339_with_microseconds() {
        // RFC 3339 section 5.8 gives this instant as an example, with two digits of fraction.
        assert_eq!(Timestamp::new(482_196_050, 520_000_000).rfc3339(), "1985-04-12T23:20:50.520000Z");
    }
}
