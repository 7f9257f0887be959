//! What is told of a call: one record at its end, events on the way.

use serde::{Serialize, Serializer};

use super::findings::Finding;
use super::legs::LegRecord;
use super::media_record::{FaxRecord, MediaRecord};
use super::signalling::SignallingRecord;
use crate::flow::Endpoint;
use crate::time::Timestamp;

/// What kind of dialog a Call-ID stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// INVITE and what belongs to it.
    Call,
    /// REGISTER.
    Registration,
    /// OPTIONS.
    Options,
    /// SUBSCRIBE and NOTIFY.
    Subscription,
    /// MESSAGE.
    Message,
    /// PUBLISH and everything else.
    Other,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallResult {
    /// Answered with 2xx.
    Success,
    /// A final 4xx to 6xx that is the network's fault.
    Failed,
    /// No final answer in time, or 408.
    Timeout,
    /// 487 after CANCEL.
    Cancelled,
    /// The called party did not want: 486, 600, 603.
    Busy,
    /// 3xx.
    Redirected,
    /// Not over when the capture was.
    Open,
}

impl CallResult {
    /// All of them, in the order of the summary.
    pub const ALL: [Self; 7] = [
        Self::Success,
        Self::Failed,
        Self::Timeout,
        Self::Cancelled,
        Self::Busy,
        Self::Redirected,
        Self::Open,
    ];

    /// The word used in summaries, records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::Redirected => "redirected",
            Self::Open => "open",
        }
    }
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words are those of RFC 3261")]
pub enum CallState {
    Calling,
    Ringing,
    Confirmed,
    Ended,
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The side that sent the first INVITE.
    Caller,
    /// The side that received it.
    Callee,
    /// Neither: a time-out.
    Network,
}

impl EndedBy {
    /// The word used in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
            Self::Network => "network",
        }
    }
}

/// Everything known of a finished (or still open) dialog. One JSON line of `--records`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallRecord {
    /// Call-ID.
    pub call_id: String,
    /// What kind of dialog it is.
    pub kind: CallKind,
    /// User part (or the whole URI without one) of From.
    pub from: String,
    /// User part (or the whole URI without one) of To.
    pub to: String,
    /// Request URI of the first request; null when none was seen.
    pub request_uri: Option<String>,
    /// Method of the first request (from CSeq when only responses were seen).
    pub method: String,
    /// How it ended.
    pub result: CallResult,
    /// The final status code of the first transaction.
    pub status_code: Option<u16>,
    /// The reason phrase of that answer.
    pub reason: Option<String>,
    /// Time of the first message.
    #[serde(serialize_with = "rfc3339")]
    pub start: Timestamp,
    /// Time of the first provisional answer other than 100 and 199.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub ringing: Option<Timestamp>,
    /// Time of the first 2xx to INVITE.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub answered: Option<Timestamp>,
    /// Time of the message that ended it; null when still open.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub end: Option<Timestamp>,
    /// Answer to end (or to the last packet seen of an open call), in seconds.
    pub duration_seconds: Option<f64>,
    /// INVITE to 200, in seconds.
    pub setup_seconds: Option<f64>,
    /// INVITE to the first 18x or 200, in seconds.
    pub post_dial_delay_seconds: Option<f64>,
    /// Who ended it.
    pub ended_by: Option<EndedBy>,
    /// The Reason header (RFC 3326) of what ended it.
    pub end_reason: Option<String>,
    /// Transports its messages used.
    pub transports: Vec<&'static str>,
    /// Sender of the first request.
    #[serde(serialize_with = "display")]
    pub source: Endpoint,
    /// Receiver of the first request.
    #[serde(serialize_with = "display")]
    pub destination: Endpoint,
    /// User-Agent and Server values, in order of appearance.
    pub user_agents: Vec<String>,
    /// RTP streams.
    pub media: Vec<MediaRecord>,
    /// Other RTP streams, which are not told of: those were too many.
    #[serde(skip_serializing_if = "is_zero")]
    pub media_left_out: u64,
    /// Endpoints announced in SDP, in order of appearance.
    pub media_endpoints: Vec<String>,
    /// Codec names announced in SDP, in order of appearance.
    pub codecs: Vec<String>,
    /// SIP messages, retransmissions included.
    pub messages: u64,
    /// Retransmitted messages.
    pub retransmissions: u64,
    /// Messages captured twice.
    pub duplicates: u64,
    /// RTP packets.
    pub rtp_packets: u64,
    /// RTCP packets.
    pub rtcp_packets: u64,
    /// UDPTL packets: T.38 fax.
    #[serde(skip_serializing_if = "is_zero")]
    pub udptl_packets: u64,
    /// The flows that these are of, in the order in which they begin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fax: Vec<FaxRecord>,
    /// Different To-tags in answers to the INVITE (RFC 3261 19.3), those that ask for another try (401, 407, 422) aside.
    pub forks: u32,
    /// INVITEs inside the dialog.
    pub reinvites: u32,
    /// UPDATEs inside the dialog.
    pub updates: u32,
    /// The request had credentials: repeated with them after 401 or 407, or at once.
    pub authenticated: bool,
    /// Its signalling; what did not happen is left out.
    #[serde(flatten)]
    pub signalling: SignallingRecord,
    /// Call-ID of the earliest call of its session; none when it is the only leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The legs of its session, if there is more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<LegRecord>,
    /// What is wrong with it, or strange.
    pub findings: Vec<Finding>,
    /// Path of its PCAP; null when none was written.
    pub pcap: Option<String>,
}

/// A step of a call, told when it happens (`--format`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallEvent {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub timestamp: Timestamp,
    /// Call-ID.
    pub call_id: String,
    /// What kind of dialog.
    pub kind: CallKind,
    /// `start`, `ringing`, `answered`, `end`.
    pub event: &'static str,
    /// Method of the dialog's first request.
    pub method: String,
    /// Caller.
    pub from: String,
    /// Called party.
    pub to: String,
    /// Sender of the first request.
    #[serde(serialize_with = "display")]
    pub source: Endpoint,
    /// Receiver of the first request.
    #[serde(serialize_with = "display")]
    pub destination: Endpoint,
    /// Status code that caused the step.
    pub status_code: Option<u16>,
    /// Reason phrase of that answer.
    pub reason: Option<String>,
    /// On `end`: the result.
    pub result: Option<CallResult>,
    /// On `end` of an answered call: seconds from answer to end.
    pub duration_seconds: Option<f64>,
    /// Request URI of the first request. This and what follows is for the event log.
    #[serde(skip)]
    pub request_uri: Option<String>,
    /// Who ended it, on `end`.
    #[serde(skip)]
    pub ended_by: Option<EndedBy>,
    /// The Reason header (RFC 3326) of what ended it.
    #[serde(skip)]
    pub end_reason: Option<String>,
    /// The request had credentials.
    #[serde(skip)]
    pub authenticated: bool,
    /// The last REGISTER took bindings away.
    #[serde(skip)]
    pub unregisters: bool,
    /// The dialog is one of those that the user asked for.
    #[serde(skip)]
    pub kept: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

pub(in crate::call) fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.rfc3339())
}

pub(super) fn rfc3339_or_null<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}

pub(in crate::call) fn display<S: Serializer>(endpoint: &Endpoint, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(endpoint)
}
