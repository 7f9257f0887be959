//! What the ends of a flow have announced, as the record of its call is to tell it.

use super::{Flow, MediaTable};
use crate::media::endpoints::CallRef;
use crate::sip::sdp::{MediaKind, Srtp};

/// What the ends of a flow have announced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// What it carries; none when several kinds share the endpoint, or nothing is announced.
    pub(super) kind: Option<MediaKind>,
    /// Somebody wants SRTP there.
    pub(super) is_srtp: bool,
    /// One of them for T.38.
    pub(super) is_fax: bool,
    /// The payload types of its receiver: bit *n* is *n*.
    payload_types: u128,
}

impl Terms {
    /// Whether the receiver has announced a payload type; none when it has announced nothing.
    pub(super) fn has(&self, payload_type: u8) -> Option<bool> {
        (self.payload_types != 0).then(|| self.payload_types & bit(payload_type) != 0)
    }
}

fn bit(payload_type: u8) -> u128 {
    1u128.checked_shl(payload_type.into()).unwrap_or_default()
}

impl MediaTable {
    /// What the ends of a flow have announced, before another call did so anew if its own are over.
    pub(super) fn terms(&self, flow: &Flow) -> Terms {
        if let Some(terms) = flow.terms() {
            return *terms;
        }
        let receiver = self.endpoints.claimed(flow.destination);
        let either = receiver.or_else(|| self.endpoints.claimed(flow.source));
        let formats = receiver.map(|entry| self.endpoints.formats(entry)).unwrap_or_default();
        Terms {
            kind: either.and_then(|entry| entry.kinds.only()),
            is_srtp: either.is_some_and(|entry| entry.srtp != Srtp::Never),
            is_fax: self.is_fax(flow),
            payload_types: formats.iter().fold(0, |all, format| all | bit(format.payload_type)),
        }
    }

    /// Whether one end of a flow was announced for T.38.
    pub(super) fn is_fax(&self, flow: &Flow) -> bool {
        let announced = || {
            let mut ends = [flow.destination, flow.source].into_iter();
            ends.any(|end| self.endpoints.claimed(end).is_some_and(|entry| entry.fax))
        };
        flow.terms().map_or_else(announced, |terms| terms.is_fax)
    }

    /// A call is about to announce an endpoint. What was announced there is forgotten with that if all who did so are over;
    /// their flows keep it, for their records are made later.
    pub(super) fn keep_terms(&mut self, endpoint: u32, call: CallRef) {
        let entry = self.endpoints.get(endpoint).filter(|entry| !entry.flows.is_empty());
        let Some(entry) = entry.filter(|entry| entry.is_left_to(call, &self.calls)) else { return };
        let is_over = |owner: &CallRef| *owner != call && self.calls.has_ended(*owner);
        let kept: Vec<(u32, Terms)> = entry
            .flows
            .iter()
            .filter_map(|&slot| Some((slot, self.flows.get(slot as usize)?)))
            .filter(|(_, flow)| !flow.owners.is_empty() && flow.owners.as_slice().iter().all(is_over))
            .filter(|(_, flow)| flow.had_packets() && flow.terms().is_none())
            .map(|(slot, flow)| (slot, self.terms(flow)))
            .collect();
        for (slot, terms) in kept {
            if let Some(flow) = self.flows.get_mut(slot as usize) {
                flow.aside_mut().terms = Some(terms);
            }
        }
    }
}
