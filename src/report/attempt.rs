//! The further legs of a call under one Call-ID, as through a proxy: each is an attempt at who received its INVITE.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::condition::instant;
use super::records::Record;
use crate::config::Party;

/// A leg behind the first of its call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    record: &'a Record,
    leg: &'a Value,
}

/// Those of a record, in the order of their INVITEs: one for each receiver but that of the first. The same receiver again is the
/// same INVITE, captured in front of a NAT and behind it, or a call that comes back.
pub(super) fn attempts(record: &Record) -> Vec<Attempt<'_>> {
    let legs = record.value.get("legs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut receivers = vec![record.text("destination")];
    let mut attempts = Vec::new();
    for leg in legs.iter().filter(|leg| leg.get("call_id") == record.value.get("call_id")) {
        let receiver = text(leg, "destination");
        if !receivers.contains(&receiver) {
            receivers.push(receiver);
            attempts.push(Attempt { record, leg });
        }
    }
    attempts
}

fn text<'a>(leg: &'a Value, key: &str) -> &'a str {
    leg.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Attempt<'_> {
    /// Who received its INVITE, and the party that this is of; none when its sender is of the same.
    pub(super) fn receiver<'p>(&self, parties: &'p [Party]) -> Option<(&'p Party, IpAddr)> {
        let address = |key| text(self.leg, key).parse::<SocketAddr>().ok().map(|it| it.ip());
        let receiver = address("destination")?;
        let party = parties.iter().find(|party| party.has_address(receiver))?;
        let is_inside = !party.each && address("source").is_some_and(|sender| party.has_address(sender));
        (!is_inside).then_some((party, receiver))
    }

    /// Its final code.
    pub(super) fn code(&self) -> Option<u16> {
        self.leg.get("status_code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok())
    }

    /// It has a 2xx.
    pub(super) fn is_answered(&self) -> bool {
        self.code().is_some_and(|code| (200..300).contains(&code))
    }

    /// Nothing is said of it yet, and something may be: neither is the call over, nor did another leg answer it.
    pub(super) fn is_open(&self) -> bool {
        self.code().is_none()
            && self.record.text("result") == "open"
            && self.record.text("answered").is_empty()
    }

    /// It has a provisional answer other than 100.
    pub(super) fn has_rung(&self) -> bool {
        !text(self.leg, "ringing").is_empty()
    }

    /// Seconds from its INVITE to the first provisional answer other than 100, or to 2xx.
    pub(super) fn post_dial_delay(&self) -> Option<f64> {
        let [rang, answered] = [self.after("ringing"), self.setup()];
        rang.zip(answered).map(|(one, other)| one.min(other)).or(rang).or(answered)
    }

    /// Seconds from its INVITE to 2xx.
    pub(super) fn setup(&self) -> Option<f64> {
        self.after("final_response").filter(|_| self.is_answered())
    }

    fn after(&self, key: &str) -> Option<f64> {
        let (start, time) = (instant(text(self.leg, "start"))?, instant(text(self.leg, key))?);
        Some(time.since(start).as_secs_f64())
    }

    /// How often a message between its ends was sent again.
    pub(super) fn retransmissions(&self) -> u64 {
        let ends = |value| [text(value, "source"), text(value, "destination")];
        let [source, destination] = ends(self.leg);
        let hops = self.record.value.get("retransmissions_by_hop").and_then(Value::as_array);
        let own = hops.into_iter().flatten().filter(|hop| {
            let ends = ends(hop);
            ends == [source, destination] || ends == [destination, source]
        });
        own.filter_map(|hop| hop.get("retransmissions")?.as_u64()).fold(0, u64::saturating_add)
    }
}
