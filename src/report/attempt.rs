//! The legs of a call under one Call-ID, as through a proxy, that count by themselves: each is an attempt at who received its INVITE.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::condition::instant;
use super::records::Record;
use crate::config::Party;

/// A leg that counts by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    record: &'a Record,
    leg: &'a Value,
}

/// An attempt, the party that received it, at which address, and the streams that count there.
pub(super) type Share<'a, 'p> = (Attempt<'a>, &'p Party, IpAddr, Vec<&'a Value>);

/// The attempts of a call, in the order of their INVITEs.
pub(super) struct Attempts<'a, 'p> {
    all: Vec<Received<'a, 'p>>,
    /// The call's first leg is one of them.
    pub(super) has_first: bool,
}

/// An attempt and who received it.
struct Received<'a, 'p> {
    attempt: Attempt<'a>,
    receiver: Option<IpAddr>,
    /// None, too, where its sender is of the same.
    party: Option<&'p Party>,
}

impl<'a, 'p> Attempts<'a, 'p> {
    /// Those of a record: one for each receiver. The same receiver again is the same INVITE, captured in front of a NAT and behind it,
    /// a call that comes back, or another way there. The first leg is the call as a whole, and no attempt, where all others lie behind
    /// its receiver; where they do not, `host`, of the call's request URI, is that of the receiver.
    pub(super) fn of(record: &'a Record, parties: &'p [Party], host: Option<&str>) -> Self {
        let legs = record.value.get("legs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut all: Vec<Attempt<'a>> = Vec::new();
        for leg in legs.iter().filter(|leg| leg.get("call_id") == record.value.get("call_id")) {
            let attempt = Attempt { record, leg };
            match all.iter_mut().find(|known| known.destination() == attempt.destination()) {
                Some(known) if !known.is_answered() && attempt.is_answered() => *known = attempt,
                Some(_) => {}
                None => all.push(attempt),
            }
        }
        let is_first = |it: &Attempt<'_>| it.destination() == record.text("destination");
        let is_behind = |it: &Attempt<'_>| all.iter().any(|before| before.receiver() == it.sender());
        let has_first = all.iter().any(|it| !is_first(it) && !is_behind(it));
        let sends_on = |it: &Attempt<'_>| all.iter().any(|after| after.sender() == it.receiver());
        let received = |attempt: &Attempt<'a>| {
            let receiver = attempt.receiver();
            let by_address = parties.iter().find(|party| receiver.is_some_and(|it| party.has_address(it)));
            let host = host.filter(|_| is_first(attempt) && !sends_on(attempt));
            let by_host = || parties.iter().find(|party| host.is_some_and(|host| party.has_host(host)));
            let party = by_address.or_else(by_host).filter(|party| !attempt.is_inside(party));
            Received { attempt: *attempt, receiver, party }
        };
        let all = all.iter().filter(|it| has_first || !is_first(it)).map(received).collect();
        Self { all, has_first }
    }

    /// Those that a party received.
    pub(super) fn shares(&self) -> impl Iterator<Item = Share<'a, 'p>> {
        let share = |it: &Received<'a, 'p>| Some((it.attempt, it.party?, it.receiver?, self.media(it)));
        self.all.iter().filter_map(share)
    }

    /// The streams of an attempt. Who answered has all but those between others and who did not answer: that is early media, and
    /// theirs. Of several attempts at one party they count for the one that was answered, else for the last.
    fn media(&self, own: &Received<'a, 'p>) -> Vec<&'a Value> {
        let of_party = self.all.iter().filter(|it| it.is_same_party(own));
        let heir = of_party.max_by_key(|it| it.attempt.is_answered());
        if !heir.is_some_and(|heir| std::ptr::eq(heir, own)) {
            return Vec::new();
        }
        let is_answered = own.attempt.is_answered();
        let is_of_other =
            |stream: &Value| self.all.iter().any(|it| !it.attempt.is_answered() && it.has_end_of(stream));
        let is_own = |stream: &&Value| own.has_end_of(stream) || is_answered && !is_of_other(stream);
        let streams = own.attempt.record.value.get("media").and_then(Value::as_array);
        streams.into_iter().flatten().filter(is_own).collect()
    }
}

impl Received<'_, '_> {
    /// Whether a stream comes from, or goes to, who received it.
    fn has_end_of(&self, stream: &Value) -> bool {
        let party = self.party.filter(|party| !party.each);
        let ends = ["source", "destination"].into_iter().filter_map(|key| address(stream, key));
        ends.into_iter()
            .any(|end| self.receiver == Some(end) || party.is_some_and(|party| party.has_address(end)))
    }

    /// Whether both count in the same group.
    fn is_same_party(&self, other: &Self) -> bool {
        let parties = self.party.zip(other.party);
        parties.is_some_and(|(one, another)| {
            one.name == another.name && (!one.each || self.receiver == other.receiver)
        })
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn address(value: &Value, key: &str) -> Option<IpAddr> {
    text(value, key).parse::<SocketAddr>().ok().map(|it| it.ip())
}

impl<'a> Attempt<'a> {
    fn destination(&self) -> &'a str {
        text(self.leg, "destination")
    }

    fn sender(&self) -> Option<IpAddr> {
        address(self.leg, "source")
    }

    fn receiver(&self) -> Option<IpAddr> {
        address(self.leg, "destination")
    }

    /// Its sender is of that party, too.
    fn is_inside(&self, party: &Party) -> bool {
        !party.each && self.sender().is_some_and(|sender| party.has_address(sender))
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
