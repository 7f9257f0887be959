//! Telephone events: digits and signals in packets of their own (RFC 4733).

/// Keys of a stream: an event is sent many times with one timestamp, its end three times (RFC 4733 2.5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Keys pressed: events 0 to 15 (RFC 4733 3.2).
    pub digits: u64,
    latest: Option<(u32, u8)>,
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
        self.digits += u64::from(!is_known && code < 16);
        if self.latest.is_none_or(|(known, _)| timestamp.wrapping_sub(known) as i32 > 0) {
            self.latest = Some((timestamp, code));
        }
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
        assert_eq!(events.digits, 3);
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
