//! Media that is planned packet by packet: stretches of a stream, and what becomes of their packets.

use super::frame::Endpoint;
use super::ledger::{self, Entry, Ledger};
use super::media::{EVENT, Fortune, NOISE, Stream};
use super::message::{Identity, payload_type};
use super::rng::{Rng, mix};
use super::script::{MILLISECOND, SECOND};

/// Where an end sends from, or is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// What its first description says.
    Announced,
    /// Another port of the same host: telephones that send from one port and receive at another.
    OtherPort,
    /// Another host.
    Elsewhere,
}

impl Place {
    /// The endpoint of an end of a call.
    pub(crate) fn of(self, identity: &Identity, end: usize) -> Endpoint {
        let media = identity.media[end];
        match self {
            Self::Announced => media,
            Self::OtherPort => media.at(60_002 + media.port % 5_000),
            Self::Elsewhere => identity.elsewhere(end),
        }
    }
}

/// What becomes of the packets of a stretch. A number says how many packets, at random places but neither the first nor
/// the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Whole,
    Lost(u64),
    /// Overtaken by the next one.
    Overtaken(u64),
    Twice(u64),
    /// Each up to so many milliseconds late, one behind the other.
    Jitter(u64),
    /// One queue of so many milliseconds, which drains.
    Queue(u64),
}

impl Fate {
    /// What becomes of the next packet, when so many come after it.
    pub(super) fn next(&mut self, behind: u64, rng: &mut Rng) -> Fortune {
        let (left, fortune) = match self {
            Self::Lost(left) => (left, Fortune::Lost),
            Self::Overtaken(left) => (left, Fortune::Overtaken),
            Self::Twice(left) => (left, Fortune::Twice),
            Self::Whole | Self::Jitter(_) | Self::Queue(_) => return Fortune::Sent,
        };
        // Each packet that is left has the same chance; the last two of a stretch have none.
        if rng.below(behind.saturating_sub(1).max(1)) >= *left {
            return Fortune::Sent;
        }
        *left -= 1;
        fortune
    }

    /// Nanoseconds by which packet `number` comes late.
    pub(super) fn delay(&self, number: u64, rng: &mut Rng) -> u64 {
        match *self {
            Self::Jitter(most) => rng.below(most * MILLISECOND),
            Self::Queue(length) if number == 30 => length * MILLISECOND,
            _ => 0,
        }
    }
}

/// What a stretch is coded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// What the call talks in: one of the two laws of G.711.
    Usual,
    OtherLaw,
    /// A payload type.
    Number(u8),
}

impl Format {
    fn payload_type(self, identity: &Identity) -> u8 {
        let usual = payload_type(identity);
        match self {
            Self::Usual => usual,
            Self::OtherLaw => 8 - usual,
            Self::Number(number) => number,
        }
    }
}

/// Packets of one sender, one each 20 ms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// The end that sends them.
    pub(crate) end: usize,
    /// Nanoseconds after the dialog's begin.
    pub(crate) begin: u64,
    pub(crate) packets: u64,
    pub(crate) from: Place,
    pub(crate) to: Place,
    /// Which of its sender's sources they are of: each has an SSRC of its own.
    pub(crate) source: u8,
    /// The first one's sequence number.
    pub(crate) sequence: u16,
    pub(crate) format: Format,
    pub(crate) fate: Fate,
}

/// Nanoseconds from one packet to the next.
pub(crate) const PACKET: u64 = 20 * MILLISECOND;

impl Stretch {
    /// Packets of an end from here to there in time.
    pub(crate) fn between(end: usize, begin: u64, until: u64) -> Self {
        let packets = until.saturating_sub(begin) / PACKET;
        Self {
            end,
            begin,
            packets,
            from: Place::Announced,
            to: Place::Announced,
            source: 0,
            sequence: 1_000,
            format: Format::Usual,
            fate: Fate::Whole,
        }
    }

    /// The same, with another fate.
    pub(crate) fn fate(self, fate: Fate) -> Self {
        Self { fate, ..self }
    }

    /// The same, in another payload format.
    pub(crate) fn format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// When the packet behind its last one would be sent.
    pub(crate) fn end_time(self) -> u64 {
        self.begin + self.packets * PACKET
    }

    /// What comes behind it: the same source, its numbers go on.
    pub(crate) fn then(self, begin: u64, until: u64) -> Self {
        let next = Self::between(self.end, begin, until);
        let sequence = self.sequence.wrapping_add(self.packets as u16);
        Self { begin, packets: next.packets, sequence, format: Format::Usual, ..self }
    }

    /// As a stream of a call that began at `start`; none without packets.
    pub(crate) fn stream(
        &self,
        identity: &Identity,
        start: u64,
        entry: Entry,
        ledger: &mut Ledger,
    ) -> Option<Stream> {
        let ssrc = |end: usize| mix(identity.key ^ (0xaa + end as u64) ^ u64::from(self.source) << 32) as u32;
        let (from, to) = (self.from.of(identity, self.end), self.to.of(identity, 1 - self.end));
        let payload_type = self.format.payload_type(identity);
        let listed = ledger::Stream {
            ssrc: ssrc(self.end),
            source: from.to_string(),
            destination: to.to_string(),
            payload_type,
            ..ledger::Stream::default()
        };
        // Media time is that of the dialog, so that the stretches of a source fit together.
        let age = self.begin / (SECOND / 8_000);
        (self.packets > 0).then(|| Stream {
            from,
            to,
            entry,
            index: ledger.stream(entry, listed, matches!(payload_type, EVENT | NOISE)),
            ssrc: ssrc(self.end),
            peer_ssrc: ssrc(1 - self.end),
            payload_type,
            begin: start + self.begin,
            numbered: 0,
            total: self.packets,
            sent: 0,
            first_sequence: self.sequence,
            first_timestamp: (mix(identity.key) as u32).wrapping_add(age as u32),
            held: None,
            next_report: u64::MAX,
            fate: Some(self.fate),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_packets_have_that_fate() {
        let mut rng = Rng::new(3);
        for (wanted, total) in [(1, 10), (5, 150), (40, 150)] {
            let mut fate = Fate::Lost(wanted);
            // As a stream asks: for all but the first two and the last two.
            let lost =
                (2..total - 2).filter(|number| fate.next(total - 1 - number, &mut rng) == Fortune::Lost);
            assert_eq!(lost.count() as u64, wanted, "of {total}");
        }
    }
}
