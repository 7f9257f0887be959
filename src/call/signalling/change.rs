//! Changes of media inside an established dialog: hold and resume (RFC 3264 8.4).

use std::time::Duration;

use super::passing::Passing;
use super::record::Side;
use crate::call::dialog::{Dialog, Look};
use crate::flow::Endpoint;
use crate::sip::sdp::{DISCARD, Media, MediaFlow, MediaKind};
use crate::sip::{Method, StartLine};
use crate::time::Timestamp;

/// How one end holds the other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hold {
    pub(super) count: u32,
    total: Duration,
    /// Since when it does.
    pub(super) since: Option<Timestamp>,
    /// The leg on which it does.
    leg: u64,
}

impl Hold {
    /// Takes what a change that is accepted says.
    fn set(&mut self, held: bool, change: Change, at: Timestamp) {
        match (held, self.since) {
            (true, None) => {
                self.count += 1;
                (self.since, self.leg) = (Some(at), change.leg);
            }
            (false, Some(since)) if change.is_of(self.leg) => {
                self.total += at.since(since);
                self.since = None;
            }
            _ => {}
        }
    }

    /// For how long, until `end` if it still does then.
    pub(super) fn total(&self, end: Timestamp) -> Duration {
        self.total + self.since.map_or(Duration::ZERO, |since| end.since(since))
    }
}

/// The latest re-INVITE, or the latest UPDATE, of one end: while the first waits, the second may come (RFC 3311 5.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    request: Passing,
    offer: Offer,
    /// The leg on which it was seen first.
    leg: u64,
    /// It went on over another.
    is_of_all: bool,
    /// Its 2xx has an ACK.
    is_acknowledged: bool,
}

/// Changes that are remembered: for either end, one of each method.
pub(super) const KINDS: usize = 4;

impl Change {
    /// Whether it is one of that leg. A B2BUA has others on its other leg, to play music or to refresh the session (RFC 7092), which
    /// say nothing of who holds on this one.
    const fn is_of(&self, leg: u64) -> bool {
        self.is_of_all || self.leg == leg
    }
}

/// The offer of a change, as far as it was seen.
#[derive(Clone, Copy, Debug)]
enum Offer {
    /// The request has none: the 2xx makes it.
    None,
    /// The request makes it, and holds the other end or does not, when it is accepted.
    Made { holds: bool },
    /// The 2xx made it, and the ACK has the answer. Whether who is to hold by that is sent anything.
    Late { sends: bool },
}

impl Dialog {
    /// Takes a re-INVITE or an UPDATE; whether it is another one, and not the latest over its next hop.
    pub(in crate::call) fn is_new_change(&mut self, look: &Look<'_>) -> bool {
        let (kind, leg, request) = (self.kind_of_change(look), self.leg(look), Passing::new(look));
        let Some(latest) = self.signalling.rare().changes.get_mut(kind) else { return false };
        if let Some(latest) = latest.as_mut().filter(|latest| latest.request.is(request)) {
            latest.is_of_all |= latest.leg != leg;
            return false;
        }
        *latest = Some(Change { request, offer: Offer::None, leg, is_of_all: false, is_acknowledged: false });
        true
    }

    fn kind_of_change(&self, look: &Look<'_>) -> usize {
        2 * self.requester(look) as usize + usize::from(look.about() == Method::Update)
    }

    /// The leg that a message is of: hash of the caller's tag there.
    fn leg(&self, look: &Look<'_>) -> u64 {
        let keys = &look.head.keys;
        if self.is_caller(look) { keys.from_tag } else { keys.to_tag }
    }

    fn latest_change(&mut self, look: &Look<'_>) -> Option<&mut Change> {
        let kind = self.kind_of_change(look);
        self.signalling.rare.as_mut()?.changes.get_mut(kind)?.as_mut()
    }

    /// Whether the 2xx that a message is, to a re-INVITE that was captured, has an ACK.
    pub(super) fn acknowledged_change(&mut self, look: &Look<'_>) -> Option<bool> {
        self.latest_change(look)
            .filter(|change| change.request.has(look))
            .map(|change| change.is_acknowledged)
    }

    /// An ACK has the number of its INVITE (RFC 3261 13.2.2.4).
    pub(super) fn acknowledge_change(&mut self, look: &Look<'_>) {
        let change = self.latest_change(look).filter(|change| change.request.cseq == look.head.cseq);
        change.into_iter().for_each(|change| change.is_acknowledged = true);
    }

    /// A final answer to a change.
    pub(super) fn change_is_over(&mut self, look: &Look<'_>) {
        self.latest_change(look).into_iter().for_each(|change| change.request.answered(look));
    }

    /// A message about INVITE or UPDATE of an answered call, seen for the first time, with the media that it describes.
    pub(in crate::call) fn change(&mut self, look: &Look<'_>, media: &[Media]) {
        let may_hold = self.may_hold(self.requester(look));
        let Some(change) = self.latest_change(look) else { return };
        match look.head.start {
            StartLine::Request { method: Method::Ack, .. } => self.answered_late(look, media),
            StartLine::Request { .. } if change.request.came_as(look) => {
                let made = |holds| Offer::Made { holds: holds && may_hold };
                change.offer = holds(media).map_or(Offer::None, made);
            }
            StartLine::Response { status: 200..=299, .. } if change.request.has(look) => {
                self.offer_accepted(look, media);
            }
            _ => {}
        }
    }

    /// What is not accepted changes nothing. Who still holds answers neither `sendrecv` nor `recvonly` (RFC 3264 6.1, RFC 6337 5.3).
    fn offer_accepted(&mut self, look: &Look<'_>, media: &[Media]) {
        let requester = self.requester(look);
        let may_hold = self.may_hold(requester.other());
        let Some(change) = self.latest_change(look) else { return };
        let answer = holds(media);
        match (change.offer, answer) {
            (Offer::Made { holds }, _) => {
                let change = *change;
                self.hold(requester, holds, change, look);
                if answer == Some(false) {
                    self.hold(requester.other(), false, change, look);
                }
            }
            (_, Some(holds)) => {
                change.offer = Offer::Late { sends: sends(media) };
                let change = *change;
                self.hold(requester.other(), holds && may_hold, change, look);
            }
            _ => {}
        }
    }

    /// The answer to an offer that a 2xx made (RFC 3261 13.2.1, 14.1). To one that sends nothing, none may ask to receive (RFC 3264
    /// 6.1): that is no hold, and takes none back.
    fn answered_late(&mut self, look: &Look<'_>, media: &[Media]) {
        let Some(&mut change) = self.latest_change(look) else { return };
        let Offer::Late { sends } = change.offer else { return };
        let is_its = change.request.cseq == look.head.cseq;
        if let Some(holds) = holds(media).filter(|holds| is_its && (sends || !holds)) {
            let requester = self.requester(look);
            self.hold(requester, holds && self.may_hold(requester), change, look);
        }
    }

    fn hold(&mut self, by: Side, holds: bool, change: Change, look: &Look<'_>) {
        let hold = self.signalling.rare().holds.get_mut(by as usize);
        hold.into_iter().for_each(|hold| hold.set(holds, change, look.message.timestamp));
    }
}

/// Whether an offer has any audio sent.
fn sends(media: &[Media]) -> bool {
    let mut audio = media.iter().filter(|media| media.kind == MediaKind::Audio);
    audio.any(|media| matches!(media.flow, MediaFlow::SendRecv | MediaFlow::SendOnly))
}

/// Whether an offer puts the other end on hold: its audio is not wanted, by direction or, as RFC 2543 had it, by the
/// address 0.0.0.0. With port 9 that is ICE that begins anew, and no hold (RFC 8839 4.2.5, 4.4.1.1.1). None without audio.
pub(super) fn holds(media: &[Media]) -> Option<bool> {
    let audio = media.iter().filter(|media| media.kind == MediaKind::Audio && media.endpoint.port != 0);
    audio.fold(None, |held, media| {
        let Endpoint { address, port } = media.endpoint;
        let is_unwanted = matches!(media.flow, MediaFlow::SendOnly | MediaFlow::Inactive)
            || (address.is_unspecified() && port != DISCARD);
        Some(held.unwrap_or(true) && is_unwanted)
    })
}
