//! The streams of a flow beside that of its latest packet: those of other media on the same ports, and those before it.

use std::time::Duration;

use super::flow::PAUSE;
use crate::quality::Stream;
use crate::time::Timestamp;

/// Streams beside the latest packet's that any flow may have; more are drawn from what all flows share.
const OWN: usize = 15;

/// Streams that one flow may have beside the latest packet's: an IVR has an SSRC for each prompt, an SFU one for each sender.
const MOST: usize = 255;

/// Streams of all flows beyond [`OWN`] of each, of about 450 bytes. Attack: many flows, an SSRC for each packet.
const SHARED: usize = 65_536;

/// Streams that are looked at when one is to go: what an SSRC for each packet costs.
const LOOKED_AT: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Others {
    streams: Vec<Stream>,
    /// Their SSRCs, in the same order: these are gone through for each packet of another stream than the one before it.
    ssrcs: Vec<u32>,
    /// Where to look next for one that is to go.
    turn: usize,
    pub(super) left_out: LeftOut,
}

/// Streams that were more than can be followed, and their RTP packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftOut {
    pub(super) streams: u64,
    pub(super) packets: u64,
}

/// How many streams all flows have beyond [`OWN`] of each.
#[derive(Debug, Default)]
pub(super) struct Shared(usize);

impl Shared {
    /// Those of a flow are forgotten.
    pub(super) fn give_back(&mut self, others: Option<&Others>) {
        self.0 -= others.map_or(0, Others::shared).min(self.0);
    }
}

impl Others {
    fn shared(&self) -> usize {
        self.streams.len().saturating_sub(OWN)
    }

    pub(super) fn has(&self, ssrc: u32) -> bool {
        self.ssrcs.contains(&ssrc)
    }

    /// Puts the stream of an SSRC in front, if it is one of these, and that in front in its place.
    pub(super) fn swap(&mut self, front: &mut Stream, ssrc: u32) -> bool {
        let Some(index) = self.ssrcs.iter().position(|known| *known == ssrc) else { return false };
        if let (Some(stream), Some(known)) = (self.streams.get_mut(index), self.ssrcs.get_mut(index)) {
            *known = front.ssrc;
            std::mem::swap(stream, front);
        }
        true
    }

    /// Takes the stream that was in front until then. Where there is no room one goes: the oldest of those that are silent, else the
    /// one with the fewest packets.
    pub(super) fn add(&mut self, stream: Stream, now: Timestamp, shared: &mut Shared) {
        let count = self.streams.len();
        if count < OWN || (count < MOST && shared.0 < SHARED) {
            shared.0 += usize::from(count >= OWN);
            self.ssrcs.push(stream.ssrc);
            self.streams.push(stream);
            return;
        }
        let mut stream = stream;
        if let Some(index) = self.least(&stream, now)
            && let (Some(least), Some(ssrc)) = (self.streams.get_mut(index), self.ssrcs.get_mut(index))
        {
            *ssrc = stream.ssrc;
            std::mem::swap(least, &mut stream);
        }
        self.left_out.streams += 1;
        self.left_out.packets += stream.packets();
    }

    /// The least of those whose turn it is, if it is less than `stream`.
    fn least(&mut self, stream: &Stream, now: Timestamp) -> Option<usize> {
        let (_, pause): (_, Duration) = PAUSE;
        let weight = |stream: &Stream| {
            let is_silent = now.since(stream.latest()) > pause;
            (if is_silent { 0 } else { stream.packets() }, stream.latest())
        };
        let turn = self.turn;
        self.turn = (turn + LOOKED_AT) % self.streams.len().max(1);
        let places = (turn..turn + LOOKED_AT).map(|place| place % self.streams.len().max(1));
        let looked_at = places.filter_map(|place| Some((weight(self.streams.get(place)?), place)));
        let (least, place) = looked_at.min()?;
        (least < weight(stream)).then_some(place)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Stream> {
        self.streams.iter()
    }

    /// The streams, whose SSRCs stay what they are.
    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Stream> {
        self.streams.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::{Arrival, PayloadFormat, Playout};

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp((1_000_000 + milliseconds) * 1_000_000)
    }

    /// A stream with that many packets, 20 ms apart, the last at `end`.
    fn stream(ssrc: u32, packets: u64, end: u64) -> Stream {
        let arrival = |number: u64| Arrival {
            time: at(end - 20 * (packets - 1 - number)),
            sequence: number as u16,
            timestamp: 160 * number as u32,
            marker: false,
        };
        let mut stream = Stream::new(ssrc, 0, &arrival(0), PayloadFormat::default(), Playout::default());
        (1..packets).for_each(|number| _ = stream.observe(&arrival(number)));
        stream
    }

    fn ssrcs(others: &Others) -> Vec<u32> {
        assert!(others.iter().map(|stream| stream.ssrc).eq(others.ssrcs.iter().copied()));
        others.ssrcs.clone()
    }

    #[test]
    fn all_flows_share_what_one_has_beyond_its_own() {
        let mut shared = Shared(SHARED - 100);
        let (mut one, mut other) = (Others::default(), Others::default());
        (0..300).for_each(|ssrc| one.add(stream(ssrc, 1, 10), at(10), &mut shared));
        assert_eq!((one.streams.len(), shared.0), (115, SHARED));
        (0..300).for_each(|ssrc| other.add(stream(ssrc, 1, 10), at(10), &mut shared));
        assert_eq!((other.streams.len(), other.left_out.streams, other.left_out.packets), (15, 285, 285));
        shared.give_back(Some(&one));
        shared.give_back(Some(&other));
        assert_eq!(shared.0, SHARED - 100);
        let mut alone = Others::default();
        (0..300).for_each(|ssrc| alone.add(stream(ssrc, 1, 10), at(10), &mut Shared::default()));
        assert_eq!((alone.streams.len(), alone.left_out.streams), (255, 45));
    }

    /// Attack: an SSRC for each packet. Who speaks stays.
    #[test]
    fn who_speaks_stays_and_what_is_silent_goes_first() {
        let mut shared = Shared::default();
        let mut others = Others::default();
        (0..10).for_each(|ssrc| others.add(stream(ssrc, 500, 10_000), at(10_000), &mut shared));
        (100..2_000).for_each(|ssrc| others.add(stream(ssrc, 1, 10_000), at(10_000), &mut shared));
        assert!((0..10).all(|ssrc| others.has(ssrc)), "{:?}", ssrcs(&others));
        // Prompts one after the other: the latest are there.
        (5_000..5_300).for_each(|ssrc| {
            let end = 10_000 + u64::from(ssrc - 5_000) * 3_000;
            others.add(stream(ssrc, 100, end), at(end + 20), &mut shared);
        });
        assert!((5_290..5_300).all(|ssrc| others.has(ssrc)), "{:?}", ssrcs(&others));
        assert_eq!((ssrcs(&others).len(), others.left_out.streams), (255, 10 + 1_900 + 300 - 255));
        let mut front = stream(9_999, 1, 10);
        assert!(others.swap(&mut front, 5_299) && !others.swap(&mut front, 5_299));
        assert_eq!((front.ssrc, ssrcs(&others).len()), (5_299, 255));
        assert!(others.has(9_999));
    }
}
