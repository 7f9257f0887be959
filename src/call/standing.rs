//! What the signalling of calls tells of media that no description names.

use super::dialog::Dialog;
use super::record::CallState;
use crate::media::{CallRef, Sought, Standing, Standings};
use crate::sip::sdp::{Format, Media};
use crate::slots::Slots;

/// SSRCs kept of one dialog, the latest: of either end a dozen. Attack: ever other ones in each description.
const MAX_SOURCES: usize = 32;

/// Payload types: bit *n* is *n* and 64 + *n*, one of which is in use at most: static ones are below 35, those of the dynamic
/// range from 96 on (RFC 3551 6).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PayloadTypes(u64);

impl PayloadTypes {
    const DYNAMIC: u64 = u64::MAX << 32;

    /// Silence may not be sent. The bit is of a payload type that nobody has (RFC 3551 6: 24 is unassigned).
    const SILENCE: Self = Self::of(24);

    const fn of(payload_type: u8) -> Self {
        Self(1 << (payload_type % 64))
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// How many of the two sides have not named what one sends and the other gets. Who sends, sends what its own description
    /// names too (RFC 3264 6.1), which may have another number for what is in the dynamic range.
    const fn misses(self, from: Self, to: Self) -> u8 {
        let has_own_numbers = from.0 & Self::DYNAMIC & !to.0 != 0 && self.0 & Self::DYNAMIC != 0;
        let is_sent = from.is_empty() || from.has(self) || has_own_numbers;
        let is_heard = to.is_empty() || to.has(self);
        !is_sent as u8 + !is_heard as u8
    }
}

impl Slots<Dialog> {
    fn of(&self, call: CallRef) -> Option<&Dialog> {
        self.get(call.slot as usize).filter(|dialog| dialog.is_of(call.generation))
    }
}

impl Standings for Slots<Dialog> {
    fn standing(&self, call: CallRef, sought: &Sought) -> Standing {
        self.of(call).map(|dialog| dialog.standing(sought)).unwrap_or_default()
    }

    fn names(&self, call: CallRef, ssrc: u32) -> bool {
        self.of(call).is_some_and(|dialog| dialog.names(ssrc))
    }

    fn may_be_legs(&self, one: CallRef, other: CallRef) -> bool {
        let Some((one, other)) = self.of(one).zip(self.of(other)) else { return false };
        let (first, later) = if one.born <= other.born { (one, other) } else { (other, one) };
        first.answered.is_none_or(|answered| later.born <= answered)
    }
}

impl Dialog {
    /// Remembers what streams are known by that one side describes.
    pub(super) fn note_media(&mut self, by_caller: bool, media: &[Media]) {
        let [caller, called] = &mut self.formats;
        let formats = if by_caller { caller } else { called };
        for media in media {
            for format in &media.formats {
                formats.0 |= PayloadTypes::of(format.payload_type).0;
            }
            let is_noise = |format: &Format| format.name.is("CN");
            if media.suppresses_silence || media.formats.iter().any(is_noise) {
                formats.0 |= PayloadTypes::SILENCE.0;
            }
        }
        for &ssrc in media.iter().flat_map(|media| &media.sources) {
            if self.names(ssrc) {
                continue;
            }
            let sources = &mut self.media.get_or_insert_default().sources;
            if sources.len() >= MAX_SOURCES {
                sources.remove(0);
            }
            sources.push(ssrc);
        }
    }

    /// Whether both sides have announced comfort noise (RFC 3389 4), or that they suppress silence (RFC 3108 5.6.4.2).
    pub(super) fn has_comfort_noise(&self) -> bool {
        self.formats.iter().all(|formats| formats.has(PayloadTypes::SILENCE))
    }

    /// Whether a description named that SSRC.
    fn names(&self, ssrc: u32) -> bool {
        self.media.as_ref().is_some_and(|media| media.sources.contains(&ssrc))
    }

    fn standing(&self, sought: &Sought) -> Standing {
        let announced = || self.endpoints.iter();
        let is_under_way = self.state != Some(CallState::Calling);
        let by_caller = announced().find(|it| it.endpoint == sought.end).is_some_and(|it| it.by_caller);
        let [caller, called] = self.formats;
        let (from, to) = if by_caller == sought.is_heard { (called, caller) } else { (caller, called) };
        let payload_type = sought.stream.map(|(_, payload_type)| PayloadTypes::of(payload_type));
        Standing {
            misses: payload_type.map_or(0, |payload_type| payload_type.misses(from, to)),
            knows_other: announced().any(|it| it.endpoint.address == sought.other)
                || [self.source, self.destination].iter().any(|it| it.address == sought.other),
            is_under_way,
            since: if is_under_way { self.last } else { self.start },
            announced_by: if by_caller { self.source.address } else { self.destination.address },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(numbers: &[u8]) -> PayloadTypes {
        PayloadTypes(numbers.iter().map(|&number| PayloadTypes::of(number).0).fold(0, |all, one| all | one))
    }

    /// RFC 3264 6.1: numbers are those of who receives, and the other side names the format too.
    #[test]
    fn sides_that_do_not_name_a_payload_type_are_counted() {
        for (from, to, sent, misses) in [
            (&[0, 8][..], &[0, 8][..], 8, 0),
            (&[8], &[0, 8], 0, 1),
            (&[0], &[8], 0, 1),
            (&[8], &[8], 0, 2),
            (&[], &[8], 0, 1),
            (&[], &[], 0, 0),
            (&[96], &[0], 96, 1),
            (&[0, 96], &[0, 111], 111, 0),
            (&[0, 96], &[0, 111], 8, 2),
            (&[0, 101], &[0, 111, 101], 111, 1),
        ] {
            let of = PayloadTypes::of(sent);
            assert_eq!(of.misses(formats(from), formats(to)), misses, "{sent} from {from:?} to {to:?}");
        }
    }
}
