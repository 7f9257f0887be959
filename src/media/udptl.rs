//! Numbers of UDPTL packets (ITU-T T.38 annex D), by which a fax that lasts is told from RTP.
//!
//! A UDPTL packet begins with its number, and that of the 32,768th with what RTP calls its version: only what came before
//! it tells which of both it is.

/// How far the number of the next packet is ahead at most: packets get lost.
const AHEAD: u16 = 1_024;

/// Where numbers begin that may be taken for RTP.
const RTP: u16 = 0x8000;

/// The number of the latest packet of a flow that was neither RTP nor RTCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers(u16);

impl Numbers {
    /// Whether a payload is the next of a fax, or one of the next: there was a packet before that nobody takes for RTP.
    pub(super) fn go_on_with(self, payload: &[u8]) -> bool {
        number(payload).is_some_and(|number| self.is_before(number))
    }

    /// A packet that was neither RTP nor RTCP. What keeps a port open at a firewall has no number, and does not
    /// make those of a fax forgotten that have come so far.
    pub(super) fn note(&mut self, payload: &[u8]) {
        let number = number(payload).filter(|&number| self.0 < RTP - AHEAD || self.is_before(number));
        self.0 = number.unwrap_or(self.0);
    }

    const fn is_before(self, number: u16) -> bool {
        number.wrapping_sub(self.0) <= AHEAD
    }
}

fn number(payload: &[u8]) -> Option<u16> {
    payload.first_chunk().copied().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(before: &[u16]) -> Numbers {
        let mut numbers = Numbers::default();
        before.iter().for_each(|number| numbers.note(&number.to_be_bytes()));
        numbers
    }

    #[test]
    fn what_follows_is_known_by_its_number() {
        for (before, next, goes_on) in [
            (&[0x7ffe, 0x7fff][..], 0x8000, true),
            (&[0x7f00], 0x8000, true),
            (&[0x7f00], 0x8300, true),
            (&[0x7f00], 0x8301, false),
            (&[0x7fff, 0x8000, 0x8001], 0x8001, true),
            (&[0x7fff], 0x7ffe, false),
            // An empty STUN binding, line ends: neither has a number.
            (&[0x7fff, 0x8000, 0x0001, 0x0d0a], 0x8001, true),
            (&[0x0001], 0x8001, false),
            (&[], 0x8001, false),
            (&[0xffff, 0, 1], 2, true),
        ] {
            assert_eq!(after(before).go_on_with(&u16::to_be_bytes(next)), goes_on, "{before:x?} {next:x}");
        }
        assert!(!after(&[0x7fff]).go_on_with(&[0x80]));
    }
}
