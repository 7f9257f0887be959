//! Changes of media inside an established dialog: hold and resume (RFC 3264 8.4).

use std::time::Duration;

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
}

impl Hold {
    fn set(&mut self, held: bool, at: Timestamp) {
        match (held, self.since) {
            (true, None) => {
                self.count += 1;
                self.since = Some(at);
            }
            (false, Some(since)) => {
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

/// An offer that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    cseq: u32,
    method: Method,
    /// Who made it holds the other when it is accepted.
    held: bool,
}

impl Dialog {
    /// A message about INVITE or UPDATE of an answered call, seen for the first time, with the media that it describes.
    pub(in crate::call) fn change(&mut self, look: &Look<'_>, media: &[Media]) {
        let (method, requester) = (look.about(), self.requester(look));
        match look.head.start {
            // Without To-tag it is the first INVITE, over another hop.
            StartLine::Request { method: Method::Invite | Method::Update, .. } if !look.is_initial() => {
                if let Some(held) = holds(media) {
                    let offer = Offer { cseq: look.head.cseq, method, held };
                    let place = self.signalling.rare().offers.get_mut(requester as usize);
                    place.into_iter().for_each(|place| *place = Some(offer));
                }
            }
            StartLine::Response { status: 200..=299, .. } if !self.is_first_invite(look) => {
                self.offer_accepted(look, media);
            }
            _ => {}
        }
    }

    /// What is not accepted changes nothing.
    fn offer_accepted(&mut self, look: &Look<'_>, media: &[Media]) {
        let requester = self.requester(look);
        let is_it = |offer: &Offer| offer.cseq == look.head.cseq && offer.method == look.head.cseq_method;
        let offers = self.signalling.rare.as_ref().map(|rare| rare.offers).unwrap_or_default();
        let (by, held) = match offers.get(requester as usize).copied().flatten().filter(is_it) {
            Some(offer) => (requester, Some(offer.held)),
            // The request had none: this is the offer, and the ACK its answer.
            None => (requester.other(), holds(media)),
        };
        let Some(held) = held else { return };
        let at = look.message.timestamp;
        if let Some(hold) = self.signalling.rare().holds.get_mut(by as usize) {
            hold.set(held, at);
        }
    }
}

/// Whether an offer puts the other end on hold: its audio is not wanted, by direction or, as RFC 2543 had it, by the
/// address 0.0.0.0. With port 9 that is ICE that begins anew, and no hold (RFC 8839 4.2.5, 4.4.1.1.1). None without audio.
fn holds(media: &[Media]) -> Option<bool> {
    let audio = media.iter().filter(|media| media.kind == MediaKind::Audio && media.endpoint.port != 0);
    audio.fold(None, |held, media| {
        let Endpoint { address, port } = media.endpoint;
        let is_unwanted = matches!(media.flow, MediaFlow::SendOnly | MediaFlow::Inactive)
            || (address.is_unspecified() && port != DISCARD);
        Some(held.unwrap_or(true) && is_unwanted)
    })
}
