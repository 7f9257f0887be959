//! One call as a leg: what its first INVITE says, and the hops that it takes.

use foldhash::fast::RandomState;
use memchr::{memchr, memchr_iter, memmem};
use smallvec::SmallVec;
use std::hash::BuildHasher;

use super::links::Links;
use super::number::Number;
use crate::call::dialog::{EARLY_DIALOG_TERMINATED, Look};
use crate::flow::Endpoint;
use crate::sip::header::first_value;
use crate::sip::sdp::Media;
use crate::sip::uri::{addr_spec, user_part};
use crate::sip::{SipTransport, StartLine};
use crate::time::Timestamp;

/// Hops of one call. A loop has as many as Max-Forwards allows (RFC 3261 16.3: 70).
const MAX_HOPS: usize = 32;

/// The longest `o=` that is looked at.
const MAX_ORIGIN: usize = 256;

/// Where a call's leg is kept. With a generation: places are used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LegId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// A call whose INVITE was seen.
#[derive(Debug, Default)]
pub(super) struct Leg {
    pub(super) generation: u32,
    pub(super) in_use: bool,
    /// Slot of its dialog.
    pub(super) slot: u32,
    /// CSeq number of the latest INVITE.
    pub(super) cseq: u32,
    /// When its first INVITE came, and the latest: sent anew with credentials.
    pub(super) began: Timestamp,
    pub(super) invited: Timestamp,
    pub(super) parties: Parties,
    /// Where the caller wants media; port 0 is nowhere.
    pub(super) media: Endpoint,
    /// Hash of its `o=` without the version; 0 without one.
    pub(super) origin: u64,
    pub(super) hops: SmallVec<[Hop; 1]>,
    /// Number of its session plus 1; 0 is none.
    pub(super) session: u32,
    /// Calls that may be its other legs.
    pub(super) links: Option<Box<Links>>,
}

/// One way of the INVITE from a sender to a receiver.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hop {
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    /// When the INVITE was sent; when its first answer, the first that is provisional and not 100, and its final one came: 0
    /// is never.
    pub(super) start: Timestamp,
    pub(super) first: Timestamp,
    pub(super) ringing: Timestamp,
    pub(super) last: Timestamp,
    /// Status code of the final answer; 0 is none.
    pub(super) status: u16,
}

/// Who calls whom: in From and P-Asserted-Identity, in the request URI and To.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parties {
    pub(super) calling: [Number; 2],
    pub(super) called: [Number; 2],
}

impl Parties {
    /// Those of an INVITE.
    fn of(look: &Look<'_>, hasher: &RandomState) -> Self {
        let (head, bytes) = (look.head, look.bytes);
        let uri = if let StartLine::Request { uri, .. } = head.start { uri.of(bytes) } else { &[] };
        let asserted = addr_spec(first_value(head.asserted.of(bytes)));
        let number = |user: Option<&[u8]>| Number::of(user.unwrap_or_default(), hasher);
        let both = |first: &[u8], second: &[u8]| {
            let users = [first, second].map(user_part);
            // Most name the same twice.
            let [one, other] = users;
            [number(one), if one == other { Number::default() } else { number(other) }]
        };
        Self { calling: both(head.from_uri.of(bytes), asserted), called: both(uri, head.to_uri.of(bytes)) }
    }

    /// Whether it is for this number.
    pub(super) fn is_for(&self, number: Number) -> bool {
        self.called.iter().any(|called| called.is_same(number))
    }

    pub(super) fn is_same_called(&self, other: &Self) -> bool {
        other.called.iter().any(|&number| self.is_for(number))
    }

    pub(super) fn is_same_calling(&self, other: &Self) -> bool {
        other.calling.iter().any(|number| self.calling.iter().any(|calling| calling.is_same(*number)))
    }
}

impl Hop {
    /// Whether its last word is a 2xx.
    pub(super) fn is_answered(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Leg {
    /// Takes the first INVITE.
    pub(super) fn begin(&mut self, slot: u32, look: &Look<'_>, media: &[Media], hasher: &RandomState) {
        let at = look.message.timestamp;
        *self = Self {
            generation: self.generation.wrapping_add(1),
            in_use: true,
            slot,
            cseq: look.head.cseq,
            began: at,
            invited: at,
            parties: Parties::of(look, hasher),
            media: media.first().map(|media| media.endpoint).unwrap_or_default(),
            origin: origin(look.head.body.of(look.bytes), hasher),
            ..Self::default()
        };
    }

    /// Notes over which hop an INVITE went; true when it is a new one.
    pub(super) fn hop(&mut self, look: &Look<'_>) -> bool {
        let message = look.message;
        let hop = Hop {
            source: message.source,
            destination: message.destination,
            start: message.timestamp,
            ..Hop::default()
        };
        // A connection that is opened anew has another port at the client's end.
        let has_ports = message.transport == SipTransport::Udp;
        let is_it = |known: &Hop| {
            known.destination == hop.destination
                && known.source.address == hop.source.address
                && (!has_ports || known.source.port == hop.source.port)
        };
        if self.hops.iter().any(is_it) || self.hops.len() >= MAX_HOPS {
            return false;
        }
        self.hops.push(hop);
        true
    }

    /// Takes an answer to the INVITE that began the call.
    pub(super) fn answered(&mut self, look: &Look<'_>, status: u16) {
        let message = look.message;
        let (from, to) = (message.source, message.destination);
        let is_between = |hop: &&mut Hop| hop.destination == from && hop.source == to;
        let is_near =
            |hop: &&mut Hop| hop.destination.address == from.address && hop.source.address == to.address;
        let exact = self.hops.iter().position(|hop| hop.destination == from && hop.source == to);
        let hop = match exact {
            Some(_) => self.hops.iter_mut().find(is_between),
            // Answers may come from elsewhere and go to where Via says.
            None => self.hops.iter_mut().find(is_near),
        };
        let Some(hop) = hop else { return };
        if hop.first == Timestamp::default() {
            hop.first = message.timestamp;
        }
        if matches!(status, 101..EARLY_DIALOG_TERMINATED) && hop.ringing == Timestamp::default() {
            hop.ringing = message.timestamp;
        }
        // Of the answers of a fork, the one that accepts is the last word.
        if status >= 200 && !(200..300).contains(&hop.status) {
            hop.last = message.timestamp;
            hop.status = status;
        }
    }
}

/// Hash of `o=` (RFC 8866 5.2) without the version of the session, which a B2BUA may count on; 0 when there is none, or
/// one that many have alike.
fn origin(body: &[u8], hasher: &RandomState) -> u64 {
    // It is the second line, but for a body of several parts.
    let second = memchr(b'\n', body).and_then(|end| body.get(end + 1..)).unwrap_or_default();
    let line = match second.strip_prefix(b"o=") {
        Some(line) => line,
        None => memmem::find(body, b"\no=").and_then(|at| body.get(at + 3..)).unwrap_or_default(),
    };
    let line = line.get(..MAX_ORIGIN).unwrap_or(line);
    let line = line.get(..memchr(b'\n', line).unwrap_or(line.len())).unwrap_or_default().trim_ascii_end();
    let mut blanks = memchr_iter(b' ', line);
    let (Some(user), Some(session), Some(version)) = (blanks.next(), blanks.next(), blanks.next()) else {
        return 0;
    };
    // `- 0 0` and `user 1 1` are what is written without thinking.
    if session - user < 5 {
        return 0;
    }
    hasher.hash_one((line.get(..session), line.get(version..))) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8866 5.
    #[test]
    fn an_origin_is_the_same_whatever_its_version() {
        let hasher = RandomState::default();
        let of = |line: &str| origin(format!("v=0\r\n{line}\r\ns=-\r\n").as_bytes(), &hasher);
        let alice = of("o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1");
        assert_ne!(alice, 0);
        assert_eq!(of("o=jdoe 3724394400 3724394406 IN IP4 198.51.100.1"), alice);
        assert_ne!(of("o=jdoe 3724394400 3724394405 IN IP4 198.51.100.2"), alice);
        assert_ne!(of("o=jdoe 3724394401 3724394405 IN IP4 198.51.100.1"), alice);
        let parts = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n";
        let parts = format!("{parts}o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\ns=-\r\n--b--\r\n");
        assert_eq!(origin(parts.as_bytes(), &hasher), alice);
        for nothing in
            ["o=- 0 0 IN IP4 198.51.100.1", "o=user 1 1 IN IP4 198.51.100.1", "o=", "o=a b", "s=o=a 12345 1"]
        {
            assert_eq!(of(nothing), 0, "{nothing}");
        }
    }
}
