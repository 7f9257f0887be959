//! What the record of a call is told of its media.

use super::{Flow, MediaTable};
use crate::flow::Endpoint;
use crate::media::endpoints::{CallRef, EndpointId, next_port};
use crate::quality::{Events, Heard, Stream};
use crate::sip::sdp::MediaKind;
use crate::time::Timestamp;

/// One stream of a call, as it was.
#[derive(Clone, Debug)]
pub struct StreamReport {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// What it was like.
    pub stream: Stream,
    /// Keys pressed in it.
    pub events: Events,
    /// It is SRTP, as both ends had agreed when it began.
    pub encrypted: bool,
    /// What it carries as SDP says; none when several kinds share the endpoint, or nothing is announced.
    pub kind: Option<MediaKind>,
    /// Its receiver has announced its payload type; none when the receiver has announced nothing.
    pub announced: Option<bool>,
}

/// The media of a call.
#[derive(Clone, Debug, Default)]
pub struct CallMedia {
    /// Its streams.
    pub streams: Vec<StreamReport>,
    /// Other streams of it, which are not told of: those were too many.
    pub left_out: u64,
    /// What RTCP says of them.
    pub heard: Vec<Heard>,
    /// RTP packets.
    pub rtp: u64,
    /// RTCP packets.
    pub rtcp: u64,
    /// UDPTL packets (T.38).
    pub udptl: u64,
    /// The flows that they are of.
    pub faxes: Vec<FaxReport>,
}

/// The UDPTL packets (T.38) of one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaxReport {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// Packets.
    pub packets: u64,
    /// When the first came.
    pub first: Timestamp,
    /// When the last came.
    pub latest: Timestamp,
}

impl MediaTable {
    /// Adds the media of a call at one endpoint. A flow between two endpoints of one call is reported at its
    /// receiver's.
    pub fn report(&self, call: CallRef, endpoint: EndpointId, media: &mut CallMedia) {
        let Some(entry) = self.endpoints.get(endpoint.0) else { return };
        let next = next_port(entry.endpoint).and_then(|next| self.endpoints.find(next));
        let next = next.and_then(|next| self.endpoints.get(next)).filter(|next| !next.is_announced());
        for entry in [Some(entry), next].into_iter().flatten() {
            for &slot in &entry.flows {
                let Some(flow) = self.flows.get(slot as usize) else { continue };
                if flow.owners.as_slice().contains(&call)
                    && flow.had_packets_for(call)
                    && !self.is_told_elsewhere(call, flow, entry.endpoint)
                {
                    self.add(flow, call, media);
                }
            }
        }
    }

    /// Adds what a flow had while it was that call's.
    pub(super) fn add(&self, flow: &Flow, call: CallRef, media: &mut CallMedia) {
        media.rtp += flow.rtp_for(call);
        media.rtcp += flow.rtcp;
        // The next call at its ends has announced them anew, and maybe no fax.
        if flow.other > 0 && (flow.fax_began().is_some() || self.is_fax(flow)) {
            media.udptl += flow.other;
            media.faxes.push(flow.fax());
        }
        media.streams.extend(self.reports(flow, call));
        media.left_out += flow.left_out_for(call);
        media.heard.extend(flow.control.iter().flat_map(|control| control.heard.iter().copied()));
    }

    /// What the streams were like that had packets while the flow was that call's.
    fn reports<'a>(&'a self, flow: &'a Flow, call: CallRef) -> impl Iterator<Item = StreamReport> + 'a {
        let terms = self.terms(flow);
        let events = flow.aside.as_ref().map(|aside| &aside.events);
        flow.streams_for(call).map(move |stream| StreamReport {
            source: flow.source,
            destination: flow.destination,
            stream: stream.clone(),
            // The keys of one sender; which of its streams they are in is not worth a table.
            events: events.filter(|_| stream.ssrc == flow.stream.ssrc).cloned().unwrap_or_default(),
            encrypted: stream.is_srtp().unwrap_or(terms.is_srtp),
            kind: terms.kind,
            announced: terms.has(stream.payload_type()),
        })
    }

    /// Whether a flow in the list of `endpoint` is reported at its other end: where it ends, unless it is the call's or is
    /// in the list only where it begins.
    fn is_told_elsewhere(&self, call: CallRef, flow: &Flow, endpoint: Endpoint) -> bool {
        let is_told_at = |end: Endpoint| {
            flow.is_listed_at(end) && self.owner_of(end, flow.is_rtcp).is_some_and(|entry| entry.has(call))
        };
        let (source, destination) = (flow.source, flow.destination);
        if source == endpoint {
            source != destination && is_told_at(destination)
        } else {
            !is_told_at(destination) && is_told_at(source)
        }
    }

    /// The stamp of the latest packet that a call's endpoint saw. One that is far off does not count.
    #[must_use]
    pub fn last_packet(&self, endpoint: EndpointId) -> Option<Timestamp> {
        self.last_at(endpoint, |_| true)
    }

    /// The same of packets that are the call's.
    #[must_use]
    pub fn last_packet_of(&self, call: CallRef, endpoint: EndpointId) -> Option<Timestamp> {
        self.last_at(endpoint, |flow| flow.owners.as_slice().contains(&call))
    }

    fn last_at(&self, endpoint: EndpointId, is_it: impl Fn(&Flow) -> bool) -> Option<Timestamp> {
        let flows = &self.endpoints.get(endpoint.0)?.flows;
        let flows = flows.iter().filter_map(|&slot| self.flows.get(slot as usize));
        flows.filter(|flow| is_it(flow)).filter_map(|flow| flow.last(self.time)).max()
    }
}
