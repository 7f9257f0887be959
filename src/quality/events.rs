//! Telephone events: digits and signals in packets of their own (RFC 4733).

/// Keys remembered of a stream, or of an end of a dialog; those beyond are counted.
pub const MAX_KEYS: usize = 64;

/// Names of events 0 to 15 (RFC 4733 3.2).
const NAMES: [u8; 16] = *b"0123456789*#ABCD";

/// The key that an event from 0 to 15 is.
#[must_use]
pub fn key_name(event: u8) -> Option<u8> {
    NAMES.get(usize::from(event)).copied()
}

/// Keys of a stream: an event is sent many times with one timestamp, its end three times (RFC 4733 2.5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Keys pressed: events 0 to 15 (RFC 4733 3.2).
    pub digits: u32,
    latest: Option<(u32, u8)>,
    /// Which: most streams have none.
    keys: Option<Box<[u8; MAX_KEYS]>>,
}

impl Events {
    /// Counts the event of a packet, if it is a new one; `payload` is what follows the RTP header.
    pub fn observe(&mut self, timestamp: u32, payload: &[u8]) {
        let Some(&code) = payload.first().filter(|_| payload.len() >= 4) else { return };
        // A late packet of an event before the latest has an earlier timestamp. An event that is longer than its
        // duration can tell goes on with a timestamp that is later by that much (2.5.1.3).
        let is_known = self.latest.is_some_and(|(known, before)| {
            let since = timestamp.wrapping_sub(known) as i32;
            since <= 0 || (code == before && since == i32::from(u16::MAX))
        });
        if let Some(name) = key_name(code).filter(|_| !is_known) {
            self.press(name);
        }
        if self.latest.is_none_or(|(known, _)| timestamp.wrapping_sub(known) as i32 > 0) {
            self.latest = Some((timestamp, code));
        }
    }

    fn press(&mut self, name: u8) {
        let keys = self.keys.get_or_insert_with(|| Box::new([0; MAX_KEYS]));
        if let Some(place) = usize::try_from(self.digits).ok().and_then(|at| keys.get_mut(at)) {
            *place = name;
        }
        self.digits = self.digits.saturating_add(1);
    }

    /// The keys pressed, the first 64 of them, as on a telephone; empty when there were none.
    #[must_use]
    pub fn keys(&self) -> String {
        let keys = self.keys.iter().flat_map(|keys| keys.iter()).take_while(|key| **key != 0);
        keys.map(|key| char::from(*key)).collect()
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
        packets.iter().for_each(|(timestamp, payload)| events.observe(*timestamp, payload));
        assert_eq!((events.digits, events.keys().as_str()), (3, "911"));
        events.observe(40_000, &[1, 2, 3]);
        assert_eq!(events.digits, 3, "cut");
    }

    #[test]
    fn late_and_long_ones_are_not_new() {
        let mut events = Events::default();
        for (timestamp, code) in [(100, 1), (50, 4), (100 + 65_535, 1), (70_000, 16)] {
            events.observe(timestamp, &[code, 0, 0, 0]);
        }
        assert_eq!(events.digits, 1, "16 is a flash");
    }
}
