//! A stream that begins on a flow of several calls' ports may be of another call than the one before it.
//!
//! By then more is known than the flow's ends: the SSRC, which descriptions may name, and the payload type. And where one that
//! was heard before does not go on, while another call got somewhere, the end of the first may have been missed.

use super::flow::PAUSE;
use super::{Effects, Flow, MediaTable, Owners, Signs, Standings};
use crate::media::endpoints::next_port;
use crate::media::rtp::RtpHeader;
use crate::time::Timestamp;

impl MediaTable {
    /// Decides anew whose a flow is, before the packet is counted: with it a stream begins there.
    #[cold]
    pub(super) fn settle_onset(
        &mut self,
        slot: u32,
        header: &RtpHeader,
        known: &dyn Standings,
        effects: &mut Effects,
    ) {
        let Some(flow) = self.flows.get_mut(slot as usize) else { return };
        if !flow.owners.as_slice().iter().any(|&owner| self.calls.shares(owner)) {
            return;
        }
        let signs = Signs { known, begins: Some((header.ssrc, header.payload_type)) };
        if !flow.had_packets() {
            // Nothing was known but its ends.
            flow.owners = Owners::default();
            self.own(slot, signs);
            return;
        }
        let (ports, before) = ((flow.source, flow.destination), flow.owners);
        self.settle(slot, signs, effects);
        if self.owners(slot) != before
            && let Some((source, destination)) = next_port(ports.0).zip(next_port(ports.1))
            && let Some(control) = self.find_flow(&source, &destination)
        {
            self.settle(control, signs, effects);
        }
    }
}

impl Flow {
    /// Whether a stream begins with a packet: its SSRC is new, or was silent and does not go on. Attack: an SSRC for each
    /// packet, which begin nothing when there are too many.
    pub(super) fn begins_with(&self, header: &RtpHeader, at: Timestamp) -> bool {
        if self.stream.is_some() && self.stream.ssrc == header.ssrc {
            let (pause, _) = PAUSE;
            return at.since(self.stream.latest()) >= pause && !self.stream.may_go_on_with(header.sequence);
        }
        self.left_out().streams == 0 && !self.has_stream(header.ssrc)
    }
}
