//! 2xx to re-INVITEs that come again because no ACK arrives (RFC 3261 13.3.1.4, 14.2).

use super::finding::is_ack_missed;
use super::record::Side;
use crate::call::dialog::{Dialog, Look};
use crate::sip::{Method, StartLine};
use crate::time::Timestamp;

/// A 2xx that came again over one hop, as each has a branch of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reanswered {
    branch: u32,
    cseq: u32,
    /// Who sent the re-INVITE.
    pub(super) by: Side,
    pub(super) count: u32,
    pub(super) after_ack: u32,
    pub(super) is_acknowledged: bool,
    /// When it came again first.
    pub(super) at: Timestamp,
}

impl Reanswered {
    /// Whether its ACK did not arrive.
    pub(super) const fn is_told(&self) -> bool {
        is_ack_missed(self.is_acknowledged, (self.count, self.after_ack))
    }
}

impl Dialog {
    /// A message came again. Where the re-INVITE was not captured, the ACK, which comes from the same end, is not missed.
    pub(super) fn answered_again(&mut self, look: &Look<'_>) {
        let is_answer = matches!(look.head.start, StartLine::Response { status: 200..=299, .. });
        if !is_answer || look.head.cseq_method != Method::Invite {
            return;
        }
        let (by, cseq, branch) = (self.requester(look), look.head.cseq, look.head.keys.branch as u32);
        let Some(is_acknowledged) = self.acknowledged_change(look) else { return };
        let known = &mut self.signalling.rare().reanswered;
        if (known.cseq, known.by) != (cseq, by) {
            // The first of which that is told is kept.
            if known.is_told() {
                return;
            }
            let at = look.message.timestamp;
            *known = Reanswered { branch, cseq, by, is_acknowledged, at, ..Reanswered::default() };
        }
        if known.branch == branch {
            known.count += 1;
            known.after_ack += u32::from(known.is_acknowledged);
        }
    }

    /// An ACK of the answered call.
    pub(super) fn change_acknowledged(&mut self, look: &Look<'_>) {
        let by = self.requester(look);
        self.acknowledge_change(look);
        let known = self.signalling.rare.as_mut().map(|rare| &mut rare.reanswered);
        if let Some(known) = known.filter(|known| (known.cseq, known.by) == (look.head.cseq, by)) {
            known.is_acknowledged = true;
        }
    }
}
