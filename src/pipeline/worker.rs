//! A stream worker: owns its flows alone, turns datagrams and segments into messages.

use super::work::{Task, Work};
use super::{Bytes, View};
use crate::decode::data_chunks;
use crate::reassembly::{Budget, Limits, Reassembler, Segment};
use crate::sip::sdp;
use crate::sip::{Carriage, FrameHeader, Head, Message, Messages, Share, SipStream, SipTransport, is_sip_datagram};
use std::sync::Arc;

/// Packets by what a worker found in them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// TCP segments that carried SIP.
    pub(crate) sip_segments: u64,
    /// Every other TCP segment.
    pub(crate) other_segments: u64,
    /// SCTP packets that carried SIP.
    pub(crate) sip_sctp: u64,
    /// Every other SCTP packet.
    pub(crate) other_sctp: u64,
    /// Pieces of SCTP user messages that were split over several chunks; they are not put together.
    pub(crate) sctp_pieces: u64,
}

/// One worker.
pub(crate) struct StreamWorker {
    reassembler: Reassembler<SipStream>,
    keep_shares: bool,
    counters: Counters,
}

impl StreamWorker {
    pub(crate) fn new(limits: Limits, budget: Arc<Budget>, keep_shares: bool) -> Self {
        Self { reassembler: Reassembler::new(limits, budget), keep_shares, counters: Counters::default() }
    }

    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) const fn reassembler(&self) -> &Reassembler<SipStream> {
        &self.reassembler
    }

    /// Does the work of one lane of one batch.
    pub(crate) fn process(&mut self, lane: &[Work], view: &View<'_>, messages: &mut Messages) {
        messages.clear();
        for work in lane {
            match work.task {
                Task::Tick => self.reassembler.expire(work.sequence, work.now, messages),
                Task::Finish => self.reassembler.finish(work.sequence, work.now, messages),
                Task::Datagram(transport) => datagram(work, transport, view, messages),
                Task::Segment(_) => self.segment(work, view, messages),
                Task::Chunks => self.chunks(work, view, messages),
                Task::Media => {}
            }
        }
    }

    fn segment(&mut self, work: &Work, view: &View<'_>, messages: &mut Messages) {
        let Task::Segment(header) = work.task else { return };
        let segment = Segment {
            source: work.source,
            destination: work.destination,
            header,
            payload: view.resolve(work.payload, &[]),
            place: work.payload,
            missing: work.missing,
        };
        if self.keep_shares {
            messages.frame = frame_header(work, view);
        }
        let _ = segment;
    }
}
