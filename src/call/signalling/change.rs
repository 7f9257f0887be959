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

/// The latest re-INVITE or UPDATE of one end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    request: Passing,
    offer: Offer,
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
        let (requester, request) = (self.requester(look), Passing::new(look));
        let Some(latest) = self.signalling.rare().changes.get_mut(requester as usize) else { return false };
        let is_new = latest.is_none_or(|latest| !latest.request.is(request));
        if is_new {
            *latest = Some(Change { request, offer: Offer::None });
        }
        is_new
    }

    fn latest_change(&mut self, by: Side) -> Option<&mut Change> {
        self.signalling.rare.as_mut()?.changes.get_mut(by as usize)?.as_mut()
    }

    /// A final answer to a change.
    pub(super) fn change_is_over(&mut self, look: &Look<'_>) {
        let requester = self.requester(look);
        self.latest_change(requester).into_iter().for_each(|change| change.request.answered(look));
    }

    /// A message about INVITE or UPDATE of an answered call, seen for the first time, with the media that it describes.
    pub(in crate::call) fn change(&mut self, look: &Look<'_>, media: &[Media]) {
        let requester = self.requester(look);
        let Some(change) = self.latest_change(requester) else { return };
        match look.head.start {
            StartLine::Request { method: Method::Ack, .. } => self.answered_late(look, media),
            StartLine::Request { .. } if change.request.came_as(look) => {
                change.offer = holds(media).map_or(Offer::None, |holds| Offer::Made { holds });
            }
            StartLine::Response { status: 200..=299, .. } if change.request.has(look) => {
                self.offer_accepted(look, media);
            }
            _ => {}
        }
    }

    /// What is not accepted changes nothing.
    fn offer_accepted(&mut self, look: &Look<'_>, media: &[Media]) {
        let requester = self.requester(look);
        let Some(change) = self.latest_change(requester) else { return };
        if let Offer::Made { holds } = change.offer {
            self.hold(requester, holds, look);
        } else if let Some(holds) = holds(media) {
            change.offer = Offer::Late { sends: sends(media) };
            self.hold(requester.other(), holds, look);
        }
    }

    /// The answer to an offer that a 2xx made (RFC 3261 13.2.1, 14.1). To one that sends nothing, none may ask to receive (RFC 3264
    /// 6.1): that is no hold, and takes none back.
    fn answered_late(&mut self, look: &Look<'_>, media: &[Media]) {
        let requester = self.requester(look);
        let Some(Change { request, offer: Offer::Late { sends } }) = self.latest_change(requester) else {
            return;
        };
        let (is_its, sends) = (request.cseq == look.head.cseq, *sends);
        if let Some(holds) = holds(media).filter(|holds| is_its && (sends || !holds)) {
            self.hold(requester, holds, look);
        }
    }

    fn hold(&mut self, by: Side, holds: bool, look: &Look<'_>) {
        let hold = self.signalling.rare().holds.get_mut(by as usize);
        hold.into_iter().for_each(|hold| hold.set(holds, look.message.timestamp));
    }
}

/// Whether an offer has any audio sent.
fn sends(media: &[Media]) -> bool {
    let mut audio = media.iter().filter(|media| media.kind == MediaKind::Audio);
    audio.any(|media| matches!(media.flow, MediaFlow::SendRecv | MediaFlow::SendOnly))
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
