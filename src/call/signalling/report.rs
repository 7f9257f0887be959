//! The signalling of a dialog as it is told.

use std::collections::BTreeMap;

use super::reason::causes;
use super::record::{HoldRecord, HopRecord, Side, SignallingRecord};
use super::{What, text};
use crate::call::dialog::Dialog;
use crate::time::Timestamp;

impl Dialog {
    /// Everything that is known when the dialog is over, or at the end of the capture.
    pub(in crate::call) fn signalling_record(&self) -> SignallingRecord {
        let signalling = &self.signalling;
        let seconds =
            |method: crate::sip::Method, waited: std::time::Duration| (method.name(), waited.as_secs_f64());
        let pace = signalling.pace.longest().map(|(method, waited)| seconds(method, waited));
        let record = SignallingRecord {
            early_dialogs: signalling.answer_tags.marked(super::EARLY),
            session_timer: signalling.timer.as_ref().and_then(|timer| timer.record()),
            end_causes: causes(self.end_reason()),
            response_seconds: pace.collect::<BTreeMap<_, _>>(),
            disconnect_seconds: signalling.disconnected().map(|took| took.as_secs_f64()),
            registration: self.registration(),
            ..SignallingRecord::default()
        };
        let Some(rare) = &signalling.rare else { return record };
        let hops = rare.hops.iter().map(|&(source, destination, retransmissions)| HopRecord {
            source,
            destination,
            retransmissions,
        });
        SignallingRecord {
            reliable_provisionals: rare.reliables,
            unacknowledged_provisionals: rare.reliable.len() as u32,
            holds: self.holds(self.end.unwrap_or(self.last)),
            glares: rare.notes.iter().filter(|note| note.what == What::Glare).count() as u32,
            info_dtmf: self.info_dtmf(),
            transfers: self.transfers(),
            replaces: self.replaces().map(text),
            replaced_by: Some(self.kept(rare.replaced_by)).filter(|by| !by.is_empty()).map(text),
            overlap_invites: rare.overlaps,
            retransmissions_by_hop: hops.collect(),
            ..record
        }
    }

    fn holds(&self, end: Timestamp) -> Vec<HoldRecord> {
        let holds = self.signalling.rare.iter().flat_map(|rare| &rare.holds);
        let told = [Side::Caller, Side::Callee].into_iter().zip(holds).filter(|(_, hold)| hold.count > 0);
        told.map(|(by, hold)| HoldRecord { by, count: hold.count, seconds: hold.total(end).as_secs_f64() })
            .collect()
    }
}
