//! What is told of the legs of a session.

use serde::Serialize;

use super::leg::Hop;
use super::names::Field;
use super::session::Join;
use crate::call::record::{display, rfc3339, rfc3339_or_null};
use crate::flow::Endpoint;
use crate::time::Timestamp;

/// Hops that are told of one call.
const MAX_TOLD: usize = 8;

/// One way of a session's INVITE from a sender to a receiver.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LegRecord {
    /// Call-ID of the call that it is a leg of.
    pub call_id: String,
    /// Who sent the INVITE.
    #[serde(serialize_with = "display")]
    pub source: Endpoint,
    /// Who received it.
    #[serde(serialize_with = "display")]
    pub destination: Endpoint,
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub start: Timestamp,
    /// Time of its first answer; null when none was seen.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub first_response: Option<Timestamp>,
    /// Time of its first provisional answer other than 100 and 199; null when none was seen.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub ringing: Option<Timestamp>,
    /// Time of its final answer.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub final_response: Option<Timestamp>,
    /// Status code of the final answer.
    pub status_code: Option<u16>,
    /// What joined it to the others: `same call-id`, a header field's name in lower case (`icid` for P-Charging-Vector), or
    /// `evidence`; null of the first.
    pub joined_by: Option<String>,
    /// How certain that is, from 0 to 100; null of the first.
    pub score: Option<u8>,
    /// What makes the score, where it is `evidence`.
    pub evidence: Vec<&'static str>,
}

/// A call on its way into a record: its Call-ID, its hops, and how it was joined.
pub(super) struct Call<'a> {
    pub(super) call_id: &'a [u8],
    pub(super) hops: &'a [Hop],
    pub(super) start: Timestamp,
    pub(super) join: Option<Join>,
}

/// The legs of these calls, in the order of their INVITEs; `configured` are the user's fields.
pub(super) fn legs(mut calls: Vec<Call<'_>>, configured: &[String]) -> Vec<LegRecord> {
    calls.sort_by_key(|call| call.start);
    let mut legs: Vec<LegRecord> = calls
        .iter()
        .flat_map(|call| {
            told(call.hops).enumerate().map(move |(place, hop)| leg(call, place, hop, configured))
        })
        .collect();
    legs.sort_by_key(|leg| leg.start);
    legs
}

/// The first hops of a call, and those over which it was answered.
fn told(hops: &[Hop]) -> impl Iterator<Item = &Hop> {
    let answered = hops.iter().filter(|hop| hop.is_answered()).count();
    let mut room = MAX_TOLD.saturating_sub(answered);
    let has_room = move |hop: &&Hop| {
        let is_told = hop.is_answered() || room > 0;
        room -= usize::from(is_told && !hop.is_answered());
        is_told
    };
    hops.iter().filter(has_room).take(MAX_TOLD)
}

fn leg(call: &Call<'_>, place: usize, hop: &Hop, configured: &[String]) -> LegRecord {
    let some = |time: Timestamp| (time != Timestamp::default()).then_some(time);
    let (joined_by, score, evidence) = match (place, call.join) {
        (1.., _) => (Some("same call-id".to_owned()), Some(100), Vec::new()),
        (_, None) => (None, None, Vec::new()),
        (_, Some(Join::Field(field))) => (Some(name(field, configured)), Some(100), Vec::new()),
        (_, Some(Join::Evidence(evidence))) => {
            let score = u8::try_from(evidence.points().clamp(0, 100)).unwrap_or_default();
            (Some("evidence".to_owned()), Some(score), evidence.words().collect())
        }
    };
    LegRecord {
        call_id: String::from_utf8_lossy(call.call_id).into_owned(),
        source: hop.source,
        destination: hop.destination,
        start: hop.start,
        first_response: some(hop.first),
        ringing: some(hop.ringing),
        final_response: some(hop.last),
        status_code: (hop.status != 0).then_some(hop.status),
        joined_by,
        score,
        evidence,
    }
}

fn name(field: Field, configured: &[String]) -> String {
    match field {
        Field::XCallId => "x-call-id".to_owned(),
        Field::XCid => "x-cid".to_owned(),
        Field::SessionId => "session-id".to_owned(),
        Field::Icid => "icid".to_owned(),
        Field::Configured(place) => {
            configured.get(usize::from(place)).map(|name| name.to_ascii_lowercase()).unwrap_or_default()
        }
    }
}
