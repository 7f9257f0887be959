//! What is told of a dialog's signalling. Whatever did not happen is left out of the line.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::call::record::{display, rfc3339};
use crate::flow::Endpoint;
use crate::time::Timestamp;

/// An end of a dialog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Who sent the first request.
    #[default]
    Caller,
    /// Who it was for.
    Callee,
}

impl Side {
    /// The word used in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
        }
    }

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// The signalling of one dialog.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SignallingRecord {
    /// Different To-tags in provisional answers to the INVITE: early dialogs (RFC 3261 12.1).
    #[serde(skip_serializing_if = "is_zero")]
    pub early_dialogs: u32,
    /// Provisional answers that were sent reliably (RFC 3262).
    #[serde(skip_serializing_if = "is_zero")]
    pub reliable_provisionals: u32,
    /// Of these, how many no PRACK acknowledged.
    #[serde(skip_serializing_if = "is_zero")]
    pub unacknowledged_provisionals: u32,
    /// Who put whom on hold, and for how long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HoldRecord>,
    /// Offers that were refused with 491: both ends asked at once (RFC 3261 14.1).
    #[serde(skip_serializing_if = "is_zero")]
    pub glares: u32,
    /// Transfers (RFC 3515), in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<TransferRecord>,
    /// Call-ID of the dialog that this one takes the place of (RFC 3891).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Call-ID of the dialog that takes the place of this one: its INVITE names this one, and was not refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// Overlap dialling (RFC 3578): INVITEs after the first that had more digits of the number.
    #[serde(skip_serializing_if = "is_zero")]
    pub overlap_invites: u32,
    /// The session timer that was agreed on (RFC 4028).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_timer: Option<SessionTimerRecord>,
    /// Why it ended, as the Reason fields (RFC 3326) of what ended it say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub end_causes: Vec<CauseRecord>,
    /// Seconds from a request to its first answer, by method; the longest of each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub response_seconds: BTreeMap<&'static str, f64>,
    /// Seconds from the BYE to its answer (RFC 6076 4.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnect_seconds: Option<f64>,
    /// Keys pressed that went by INFO; those in RTP are told of its streams.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub info_dtmf: Vec<InfoDtmfRecord>,
    /// Where messages were sent again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retransmissions_by_hop: Vec<HopRecord>,
    /// What became of a REGISTER dialog's binding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<RegistrationRecord>,
}

/// How often and how long one end put the other on hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HoldRecord {
    /// Who did not want to hear.
    pub by: Side,
    /// How often.
    pub count: u32,
    /// In all, in seconds.
    pub seconds: f64,
}

/// Keys that one end pressed, sent by INFO.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InfoDtmfRecord {
    /// Who pressed them.
    pub by: Side,
    /// How many.
    pub digits: u32,
    /// Which, the first 64; null where they are not to be told.
    pub dtmf: Option<String>,
}

/// A REFER inside the dialog.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TransferRecord {
    /// When it was asked for.
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// Who asked for it.
    pub by: Side,
    /// To whom: user part of Refer-To; the whole URI when it has none.
    pub to: String,
    /// Refer-To names a dialog to replace: the transferor has spoken with the target (RFC 5589 7).
    pub attended: bool,
    /// What became of it: the latest status of its NOTIFYs (RFC 3420), or that of the REFER's refusal; null when none
    /// was seen.
    pub status_code: Option<u16>,
}

impl TransferRecord {
    /// Whether it came to nothing.
    pub(in crate::call) fn is_refused(&self) -> bool {
        self.status_code.is_some_and(|status| status >= 300)
    }
}

/// A session timer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SessionTimerRecord {
    /// Session-Expires of the latest 2xx, in seconds; null when the call did not get that far.
    pub interval_seconds: Option<u32>,
    /// Who is to refresh.
    pub refresher: Option<Side>,
    /// Refreshes that were accepted; those that were asked for, where nothing of who accepts them was captured.
    pub refreshes: u32,
    /// Min-SE of a 422, in seconds; null when there was none.
    pub min_seconds: Option<u32>,
}

/// One value of Reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CauseRecord {
    /// Whose number it is: `SIP`, `Q.850`.
    pub protocol: String,
    /// The number.
    pub cause: Option<u16>,
    /// The text that came with it, or else ITU-T Q.850's.
    pub text: Option<String>,
}

/// Two neighbours, one direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HopRecord {
    /// Sender.
    #[serde(serialize_with = "display")]
    pub source: Endpoint,
    /// Receiver.
    #[serde(serialize_with = "display")]
    pub destination: Endpoint,
    /// Messages sent again.
    pub retransmissions: u32,
}

/// What became of a REGISTER.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegistrationRecord {
    /// Contact of the latest REGISTER that had one; null when none had: they asked for the bindings (RFC 3261 10.2.3).
    pub contact: Option<String>,
    /// For how long the registrar took it, in seconds: as its answer lists that contact, or else the longest of those listed. 0 when
    /// it was taken away or refused, null when it was only asked for bindings.
    pub expires_seconds: Option<u32>,
    /// REGISTERs that were accepted while the one before held; one that takes the binding away is none.
    pub refreshes: u32,
    /// The contact is an address that the REGISTER did not come from, to the first proxy that it names: there is a NAT between.
    pub behind_nat: bool,
    /// How long the binding had been over when it was made anew, in seconds; null when it was not.
    pub late_seconds: Option<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}
