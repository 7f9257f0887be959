//! Which messages a call has already seen: tells a first copy from a retransmission and from a second capture.

use std::time::Duration;

use wide::u32x4;

use super::mark::Mark;
use crate::near::fetch;
use crate::sip::{Message, SipTransport};
use crate::time::Timestamp;

/// Messages remembered per call. A plain call through a proxy has 13, with authentication 16.
const REMEMBERED: usize = 20;

/// As often as so many are kept besides of a call that has many at a time: 2.5 KiB, the INVITE, its answers, the CANCEL and its
/// answers of 48 phones. Attack: an INVITE with any number of answers.
const MAX_EARLIER: usize = 16;

/// A copy that follows this soon was captured twice (`any`, both sides of a router): the shortest
/// retransmission timer in use is ten times as long (RFC 3261 17.1.1.1: T1, 500 ms).
pub(crate) const CAPTURED_TWICE: Duration = Duration::from_millis(20);

/// A copy in the stream of the other side of a firewall comes this soon, however far the clocks of the two captures are apart:
/// nobody sends a message again in a stream before T1 (RFC 3261 13.3.1.4).
const ON_THE_OTHER_SIDE: Duration = Duration::from_millis(400);

/// A datagram that is known to be the same was captured twice, however far clocks are apart, but for those whose distance a
/// retransmission may have, too (T1).
const SAME_DATAGRAM: Duration = ON_THE_OTHER_SIDE;

/// Messages of which it is known which datagram brought them: of a usual call, those of half a second. The ring of all is several
/// times as long.
const MARKED: usize = 10;

const _: () = assert!(REMEMBERED.is_multiple_of(MARKED));

/// The marks of the latest messages.
pub(crate) type Marks<const COUNT: usize = MARKED> = [Mark; COUNT];

/// When another copy of a message was captured twice.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Capture {
    /// If it comes this soon; none when every copy was sent again, because a stream delivers bytes once.
    pub(crate) soon: Option<Duration>,
    /// Or if it is the same datagram.
    pub(crate) mark: Mark,
}

impl Capture {
    /// How soon a copy after one with that mark was captured twice.
    pub(crate) fn within(self, known: Mark) -> Option<Duration> {
        if known.is_again(self.mark) { Some(SAME_DATAGRAM) } else { self.soon }
    }
}

/// How soon a copy of that message was captured twice, whatever datagram brought it.
pub(crate) const fn captured_twice_within(message: &Message) -> Option<Duration> {
    match message.transport {
        SipTransport::Udp | SipTransport::Sctp => Some(CAPTURED_TWICE),
        _ if message.is_of_both_sides() => Some(ON_THE_OTHER_SIDE),
        _ => None,
    }
}

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

/// The latest messages of one call: 32 bits of what makes each itself, and when its latest copy came, in milliseconds
/// since the call began. Two cache lines.
#[derive(Clone, Debug)]
#[repr(C, align(8))]
pub(crate) struct Seen {
    identities: [u32; REMEMBERED],
    /// They begin anew every 65.5 s: `fresh` tells which may be compared.
    times: [u16; REMEMBERED],
    /// Bits of those whose time is in `quarter` or the one before.
    fresh: u32,
    /// Quarter of 65.5 s, counted from the call's begin, in which the latest message came.
    quarter: u16,
    count: u8,
    /// [`Earlier`] has all marks, and messages that came before.
    is_continued: bool,
}

const _: () = assert!(size_of::<Seen>() == 128);

impl Default for Seen {
    fn default() -> Self {
        Self {
            identities: [0; REMEMBERED],
            times: [0; REMEMBERED],
            fresh: 0,
            quarter: 0,
            count: 0,
            is_continued: false,
        }
    }
}

/// Nanoseconds of the unit of [`Seen::times`].
const UNIT: i64 = 1_000_000;

/// Bits of a time that tell where in its quarter it is.
const QUARTER: u32 = 14;

/// Where in time that is, in units from `start` on. Before it too: what was captured earlier may be handed over later.
#[inline]
const fn since(at: Timestamp, start: Timestamp) -> i64 {
    (at.0.wrapping_sub(start.0) as i64).div_euclid(UNIT)
}

/// How far two times are apart. Two interfaces need not agree on which copy was first.
#[inline]
const fn apart(one: u16, other: u16) -> Duration {
    let (there, back) = (one.wrapping_sub(other), other.wrapping_sub(one));
    Duration::from_millis(if there < back { there } else { back } as u64)
}

impl Seen {
    /// Takes a message's identity and tells whether it came before; `capture` says which copy was captured twice. The call
    /// began at `start`. What finds no room in the call's own memory, or its mark none in `marks`, goes to `earlier`.
    pub(crate) fn observe(
        &mut self,
        identity: u64,
        (at, start): (Timestamp, Timestamp),
        capture: Capture,
        marks: &mut Marks,
        earlier: &mut Option<Box<Earlier>>,
    ) -> Copy {
        let (identity, at) = (identity as u32, since(at, start));
        if self.is_continued
            && let Some(earlier) = earlier
        {
            return earlier.observe(self, identity, at, capture);
        }
        if let Some(copy) = self.find(identity, at, capture, marks) {
            return copy;
        }
        if self.is_outgrown(at as u16, marks) {
            return earlier.insert(Earlier::behind(self, marks)).observe(self, identity, at, capture);
        }
        self.remember(identity, at as u16, capture.mark, marks);
        Copy::First
    }

    /// What a message is that is among these.
    #[inline]
    fn find<const COUNT: usize>(
        &mut self,
        identity: u32,
        at: i64,
        capture: Capture,
        marks: &mut Marks<COUNT>,
    ) -> Option<Copy> {
        self.age((at >> QUARTER) as u16);
        let index = self.position(identity)?;
        let mark = marks.get_mut(index % COUNT).filter(|_| self.is_marked::<COUNT>(index));
        let soon = mark.as_ref().map_or(capture.soon, |known| capture.within(**known));
        mark.into_iter().for_each(|mark| *mark = mark.after(capture.mark));
        Some(self.again(index, at as u16, soon))
    }

    /// Whether a message is one of the latest, which have marks.
    fn is_marked<const COUNT: usize>(&self, index: usize) -> bool {
        // How many came since, and it: the ring may be full.
        let since = (usize::from(self.count) + REMEMBERED - 1 - index) % REMEMBERED;
        since < COUNT
    }

    /// Whether the next message takes the place of one that may come again, or its mark that of one which another tap may still bring.
    #[inline]
    fn is_outgrown(&self, at: u16, marks: &Marks) -> bool {
        usize::from(self.count) >= MARKED && (self.is_full_of_fresh() || self.loses_mark(at, marks))
    }

    /// Whether the next message takes the place of one that may come again: of one whose latest copy came a quarter ago, 16.4 s, that
    /// is not to be expected (RFC 3261 17.1.1.2: 32*T1 lie between the last two).
    #[inline]
    const fn is_full_of_fresh(&self) -> bool {
        self.count >= REMEMBERED as u8 && self.fresh & 1 << (self.count % REMEMBERED as u8) != 0
    }

    /// Whether the next mark takes the place of one that may still tell a second capture.
    fn loses_mark(&self, at: u16, marks: &Marks) -> bool {
        let index = (usize::from(self.count) + REMEMBERED - MARKED) % REMEMBERED;
        let is_known = marks.get(index % MARKED).is_some_and(|mark| *mark != Mark::default());
        let is_fresh = self.fresh & 1 << index != 0;
        let is_recent = self.times.get(index).is_some_and(|time| apart(at, *time) <= SAME_DATAGRAM);
        is_known && is_fresh && is_recent
    }

    /// What another copy of a message is.
    #[inline]
    fn again(&mut self, index: usize, at: u16, soon: Option<Duration>) -> Copy {
        let Some(time) = self.times.get_mut(index) else { return Copy::Retransmission };
        let apart = apart(at, *time);
        *time = at;
        let is_fresh = self.fresh & 1 << index != 0;
        self.fresh |= 1 << index;
        let is_soon = is_fresh && soon.is_some_and(|soon| apart <= soon);
        if is_soon { Copy::Duplicate } else { Copy::Retransmission }
    }

    /// Remembers a message.
    #[inline]
    fn remember<const COUNT: usize>(&mut self, identity: u32, at: u16, mark: Mark, marks: &mut Marks<COUNT>) {
        // Twice round the ring is as good as once: the count stays small and still says that the ring is full.
        self.count = if self.count >= 2 * REMEMBERED as u8 { REMEMBERED as u8 } else { self.count };
        let index = usize::from(self.count) % REMEMBERED;
        if let (Some(place), Some(time)) = (self.identities.get_mut(index), self.times.get_mut(index)) {
            (*place, *time) = (identity, at);
            self.fresh |= 1 << index;
        }
        marks.get_mut(index % COUNT).into_iter().for_each(|known| *known = mark);
        self.count += 1;
    }

    /// A message comes in that quarter: times of two quarters ago or longer are not compared any more.
    #[inline]
    fn age(&mut self, quarter: u16) {
        match quarter.wrapping_sub(self.quarter) {
            // One that was captured a little earlier, and handed over later.
            0 | u16::MAX => return,
            1 => self.keep_latest_quarter(),
            _ => self.fresh = 0,
        }
        self.quarter = quarter;
    }

    fn keep_latest_quarter(&mut self) {
        for (index, time) in self.times.iter().enumerate() {
            let is_latest = time >> QUARTER == self.quarter & 3;
            self.fresh &= !(u32::from(!is_latest) << index);
        }
    }

    /// Where an identity is remembered, four looked at together.
    #[inline]
    fn position(&self, identity: u32) -> Option<usize> {
        let wanted = u32x4::splat(identity);
        let (fours, _) = self.identities.as_chunks::<4>();
        let used = fours.iter().take(usize::from(self.count).div_ceil(4));
        let found = used.zip(0..).find_map(|(four, index)| {
            let marks = u32x4::new(*four).simd_eq(wanted).to_bitmask();
            (marks != 0).then(|| index * 4 + marks.trailing_zeros() as usize)
        });
        found.filter(|&index| index < usize::from(self.count))
    }

    /// Fetches it.
    #[inline]
    pub(crate) fn touch(&self) {
        fetch(&self.identities);
        fetch(&self.count);
    }

    /// Forgets everything.
    pub(crate) const fn clear(&mut self) {
        (self.count, self.fresh, self.quarter, self.is_continued) = (0, 0, 0, false);
    }
}

/// What a call that has many messages at a time, by many hops or of the phones of a ring group, needs besides [`Seen`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Earlier {
    /// The marks of all messages in [`Seen`].
    marks: Marks<REMEMBERED>,
    /// The messages before these, the latest last.
    kept: Vec<(Seen, Marks<REMEMBERED>)>,
}

impl Earlier {
    /// Behind what was seen, with those marks.
    #[cold]
    #[inline(never)]
    fn behind(seen: &mut Seen, marks: &Marks) -> Box<Self> {
        seen.is_continued = true;
        let mark = |index| marks.get(index % MARKED).filter(|_| seen.is_marked::<MARKED>(index)).copied();
        Box::new(Self {
            marks: std::array::from_fn(|index| mark(index).unwrap_or_default()),
            kept: Vec::new(),
        })
    }

    /// As [`Seen::observe`].
    #[inline(never)]
    fn observe(&mut self, seen: &mut Seen, identity: u32, at: i64, capture: Capture) -> Copy {
        let Self { marks, kept } = self;
        let known = seen.find(identity, at, capture, marks).or_else(|| {
            kept.iter_mut().rev().find_map(|(seen, marks)| seen.find(identity, at, capture, marks))
        });
        known.unwrap_or_else(|| {
            if seen.is_full_of_fresh() {
                self.keep(seen);
            }
            seen.remember(identity, at as u16, capture.mark, &mut self.marks);
            Copy::First
        })
    }

    /// Keeps what was seen, which is empty then but for what time it is, in the place of the earliest where there is no room.
    fn keep(&mut self, seen: &mut Seen) {
        if self.kept.len() >= MAX_EARLIER {
            self.kept.remove(0);
        }
        self.kept.reserve_exact(1);
        let next = Seen { quarter: seen.quarter, is_continued: true, ..Seen::default() };
        self.kept.push((std::mem::replace(seen, next), self.marks));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: Option<Duration> = Some(CAPTURED_TWICE);

    fn observe(
        seen: &mut Seen,
        identity: u64,
        at: Timestamp,
        start: Timestamp,
        soon: Option<Duration>,
    ) -> Copy {
        let capture = Capture { soon, mark: Mark::default() };
        seen.observe(identity, (at, start), capture, &mut Marks::default(), &mut None)
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp(millis * 1_000_000)
    }

    #[test]
    fn a_timer_makes_a_retransmission_and_a_second_tap_a_duplicate() {
        let mut seen = Seen::default();
        assert_eq!(observe(&mut seen, 7, at(0), at(0), UDP), Copy::First);
        assert_eq!(observe(&mut seen, 7, at(1), at(0), UDP), Copy::Duplicate);
        assert_eq!(observe(&mut seen, 7, at(501), at(0), UDP), Copy::Retransmission);
        assert_eq!(observe(&mut seen, 7, at(502), at(0), UDP), Copy::Duplicate);
        assert_eq!(
            observe(&mut seen, 7, at(503), at(0), None),
            Copy::Retransmission,
            "a stream delivers bytes once"
        );
    }

    #[test]
    fn neither_disorder_nor_an_hour_makes_a_copy_something_else() {
        let mut seen = Seen::default();
        for start in [1_000, 3_600_000] {
            assert_eq!(observe(&mut seen, start, at(start), at(0), UDP), Copy::First);
            assert_eq!(
                observe(&mut seen, start, at(start - 3), at(0), UDP),
                Copy::Duplicate,
                "from another interface"
            );
            assert_eq!(observe(&mut seen, start, at(start), at(0), UDP), Copy::Duplicate);
            for later in [21, 500, 32_000, 65_000, 66_000, 130_000] {
                let again = at(start + later);
                assert_eq!(observe(&mut seen, start, again, at(0), UDP), Copy::Retransmission, "{later}");
                assert_eq!(
                    observe(&mut seen, start, at(start), at(0), UDP),
                    Copy::Retransmission,
                    "{later} back"
                );
            }
        }
    }

    /// RFC 3261 17.1.1.2: the INVITE with which a call begins comes again after T1; what was sent first may be handed over last.
    #[test]
    fn what_came_before_the_call_began_is_as_far_from_it_as_it_is() {
        for (before, copy) in [(500, Copy::Retransmission), (21, Copy::Retransmission), (3, Copy::Duplicate)]
        {
            let mut seen = Seen::default();
            let start = at(1_000_000);
            assert_eq!(observe(&mut seen, 7, start, start, UDP), Copy::First);
            assert_eq!(observe(&mut seen, 7, at(1_000_000 - before), start, UDP), copy, "{before}");
        }
    }

    /// RFC 3261 13.3.1.1: a provisional answer comes again every minute, or a little later, for as long as it rings.
    #[test]
    fn no_time_is_taken_for_another() {
        let between: [&[u64]; 4] = [&[], &[2], &[3, 2], &[20, 10, 5, 4, 3, 2]];
        for later in (21..70_000).chain(131_000..132_000).chain(262_000..263_000) {
            for parts in between {
                for begin in [0, 16_383, 40_000] {
                    let mut seen = Seen::default();
                    assert_eq!(observe(&mut seen, 7, at(begin), at(0), UDP), Copy::First);
                    for (other, part) in parts.iter().enumerate() {
                        observe(&mut seen, 100 + other as u64, at(begin + later / part), at(0), UDP);
                    }
                    let told = observe(&mut seen, 7, at(begin + later), at(0), UDP);
                    assert_eq!(told, Copy::Retransmission, "{later} ms after {begin}, with {parts:?}");
                    let again = observe(&mut seen, 7, at(begin + later + 20), at(0), UDP);
                    assert_eq!(again, Copy::Duplicate, "{later} ms after {begin}, with {parts:?}");
                }
            }
        }
    }

    #[test]
    fn the_latest_are_remembered() {
        let mut seen = Seen::default();
        for identity in 0..1000 {
            assert_eq!(observe(&mut seen, identity, at(identity * 1000 * 2), at(0), UDP), Copy::First);
        }
        assert!(!seen.is_continued, "nothing comes again after so long");
        assert_eq!(observe(&mut seen, 999, at(2_000_000), at(0), UDP), Copy::Retransmission);
        assert_eq!(observe(&mut seen, 980, at(2_000_000), at(0), UDP), Copy::Retransmission);
        assert_eq!(observe(&mut seen, 900, at(2_000_000), at(0), UDP), Copy::First);
    }

    /// Each message is sent again after 500 ms, and all is captured at two taps: the numbers of datagrams tell, or their ways.
    #[test]
    fn the_latest_are_known_by_their_datagrams() {
        for (later, is_numbered) in [21, 50, 300, 400].into_iter().flat_map(|it| [(it, true), (it, false)]) {
            let (mut seen, mut marks, mut earlier) = (Seen::default(), Marks::default(), None);
            for number in 0..200 {
                let mark = |again: u8, tap: u8| {
                    Mark::from_bits(if is_numbered {
                        0x80 | ((number as u8).wrapping_mul(2).wrapping_add(again)) & 0x7f
                    } else {
                        1 + tap
                    })
                };
                for (after, mark, expected) in [
                    (0, mark(0, 0), Copy::First),
                    (later, mark(0, 1), Copy::Duplicate),
                    (501, mark(1, 0), Copy::Retransmission),
                    (501 + later, mark(1, 1), Copy::Duplicate),
                ] {
                    let capture = Capture { soon: UDP, mark };
                    let times = (at(number * 4_000 + after), at(0));
                    let told = seen.observe(number, times, capture, &mut marks, &mut earlier);
                    assert_eq!(told, expected, "{number}, {after} of {later} ms, {is_numbered}");
                }
            }
            assert!(earlier.is_none(), "a message every four seconds needs no more memory");
        }
    }

    /// RFC 3261 16.7 step 10: with the answer of one phone a proxy cancels all others. What is told of 300 messages in 300 ms, and
    /// of what comes again after T1, is the same as of three; of any number it is told with bounded memory.
    #[test]
    fn many_at_a_time_are_known_by_their_datagrams() {
        let counts = [3, 11, 21, 60, 300].into_iter().flat_map(|it| [(it, 3), (it, 50), (it, 300)]);
        let cases = counts.flat_map(|it| [0, 16_300, 20_000, 40_000, 66_000].map(|into| (it, into)));
        for ((count, later), into) in cases {
            let (mut seen, mut marks, mut earlier) = (Seen::default(), Marks::default(), None);
            let mut frames: Vec<_> = (0..count)
                .flat_map(|number| {
                    let begin = into + number * 300 / count;
                    [(0, Copy::First), (500, Copy::Retransmission)].into_iter().flat_map(
                        move |(sent, copy)| {
                            let mark = Mark::from_bits(0x80 | (number * 2 + u64::from(sent > 0)) as u8);
                            let tap = |later, copy| (begin + sent + later, number, mark, copy);
                            [tap(0, copy), tap(later, Copy::Duplicate)]
                        },
                    )
                })
                .collect();
            frames.sort_by_key(|frame| frame.0);
            for (time, number, mark, expected) in frames {
                let capture = Capture { soon: UDP, mark };
                let told = seen.observe(number, (at(time), at(0)), capture, &mut marks, &mut earlier);
                assert_eq!(
                    told, expected,
                    "{number} of {count}, {time}, {later} ms apart, {into} ms into it"
                );
            }
            assert_eq!(earlier.is_some(), count > 10, "{count}");
        }
        let (mut seen, mut marks, mut earlier) = (Seen::default(), Marks::default(), None);
        for number in 0..100_000 {
            let capture = Capture { soon: UDP, mark: Mark::default() };
            let told = seen.observe(number, (at(number / 100), at(0)), capture, &mut marks, &mut earlier);
            assert_eq!(told, Copy::First);
        }
        assert_eq!(earlier.unwrap().kept.capacity(), MAX_EARLIER);
    }
}
