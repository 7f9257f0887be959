//! Telephone events: digits and signals in packets of their own (RFC 4733).

use std::time::Duration;

use crate::time::Timestamp;

/// Keys remembered of a stream, or of an end of a dialog; those beyond are counted.
pub const MAX_KEYS: usize = 64;

/// Names of events 0 to 15 (RFC 4733 3.2).
const NAMES: [u8; 16] = *b"0123456789*#ABCD";

/// The key that an event from 0 to 15 is.
#[must_use]
pub fn key_name(event: u8) -> Option<u8> {
    NAMES.get(usize::from(event)).copied()
}

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    name: u8,
    /// Milliseconds since the first.
    after: u32,
}

/// Keys of a stream: an event is sent many times with one timestamp, its end three times (RFC 4733 2.5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Keys pressed: events 0 to 15 (RFC 4733 3.2).
    pub digits: u32,
    latest: Option<(u32, u8)>,
    /// When the first was.
    began: Timestamp,
    /// The first [`MAX_KEYS`]: most streams have none. Attack: a key in each of very many flows; one takes 32 bytes.
    keys: Vec<Key>,
}

impl Events {
    /// Counts the event of a packet that was captured `at` that time, if it is a new one; `payload` is what follows the
    /// RTP header.
    pub fn observe(&mut self, timestamp: u32, payload: &[u8], at: Timestamp) {
        let Some(&code) = payload.first().filter(|_| payload.len() >= 4) else { return };
        // A late packet of an event before the latest has an earlier timestamp. An event that is longer than its
        // duration can tell goes on with a timestamp that is later by that much (2.5.1.3).
        let is_known = self.latest.is_some_and(|(known, before)| {
            let since = timestamp.wrapping_sub(known) as i32;
            since <= 0 || (code == before && since == i32::from(u16::MAX))
        });
        if let Some(name) = key_name(code).filter(|_| !is_known) {
            self.press(name, at);
        }
        if self.latest.is_none_or(|(known, _)| timestamp.wrapping_sub(known) as i32 > 0) {
            self.latest = Some((timestamp, code));
        }
    }

    fn press(&mut self, name: u8, at: Timestamp) {
        if self.keys.is_empty() {
            self.began = at;
        }
        if self.keys.len() < MAX_KEYS {
            let after = u32::try_from(at.since(self.began).as_millis()).unwrap_or(u32::MAX);
            self.keys.push(Key { name, after });
        }
        self.digits = self.digits.saturating_add(1);
    }

    /// The keys pressed, the first 64 of them, as on a telephone; empty when there were none.
    #[must_use]
    pub fn keys(&self) -> String {
        self.keys.iter().map(|key| char::from(key.name)).collect()
    }

    /// When each of these was pressed, to a millisecond.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.keys.iter().map(|key| self.began.after(Duration::from_millis(key.after.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_one_one() {
        let packets: [(u32, [u8; 4]); 9] = [
            (11200, [9, 7, 0x01, 0x90]),
            (11200, [9, 7, 0x03, 0x20]),
            (11200, [9, 0x87, 0x06, 0x40]),
            (11200, [9, 0x87, 0x06, 0x40]),
            (11200, [9, 0x87, 0x06, 0x40]),
            (17600, [1, 7, 0x01, 0x90]),
            (17600, [1, 0x87, 0x04, 0xb0]),
            (24000, [1, 7, 0x01, 0x90]),
            (24000, [1, 0x87, 0x03, 0x20]),
        ];
        let mut events = Events::default();
        // The RFC's clock has 8000 ticks a second: as if each packet came when its event began.
        let at = |timestamp: u32| Timestamp(u64::from(timestamp) * 125_000);
        packets.iter().for_each(|(timestamp, payload)| events.observe(*timestamp, payload, at(*timestamp)));
        assert_eq!((events.digits, events.keys().as_str()), (3, "911"));
        assert_eq!(events.times().collect::<Vec<_>>(), [11_200, 17_600, 24_000].map(at));
        events.observe(40_000, &[1, 2, 3], at(40_000));
        assert_eq!(events.digits, 3, "cut");
    }

    #[test]
    fn late_and_long_ones_are_not_new() {
        let mut events = Events::default();
        for (timestamp, code) in [(100, 1), (50, 4), (100 + 65_535, 1), (70_000, 16)] {
            events.observe(timestamp, &[code, 0, 0, 0], Timestamp(1));
        }
        assert_eq!(events.digits, 1, "16 is a flash");
    }

    #[test]
    fn a_flood_of_keys_is_counted_and_not_kept() {
        let mut events = Events::default();
        // The second comes before the first, as stamps of a capture may: it was pressed with it.
        (0..1000u32).for_each(|n| {
            let at = if n == 1 { 5 } else { 10 + u64::from(n) };
            events.observe(n * 800, &[7, 0x80, 0, 80], Timestamp(at * 1_000_000));
        });
        assert_eq!((events.digits, events.keys().len(), events.times().count()), (1000, MAX_KEYS, MAX_KEYS));
        assert_eq!(events.times().take(3).map(|at| at.0 / 1_000_000).collect::<Vec<_>>(), [10, 10, 12]);
    }
}
