//! What becomes of a REGISTER (RFC 3261 10): for how long it holds, and whether it comes in time.

use std::net::IpAddr;
use std::time::Duration;

use super::record::RegistrationRecord;
use crate::call::bindings::Learned;
use crate::call::dialog::{Dialog, Look};
use crate::flow::Address;
use crate::sip::header::{Name, NameAddress, first_value, list, parameter, text, values, via};
use crate::sip::uri::until;
use crate::sip::{Faults, Span, uri};
use crate::time::Timestamp;

/// What a REGISTER dialog remembers.
#[derive(Debug, Default)]
pub(in crate::call) struct Registered {
    contact: Span,
    behind_nat: bool,
    /// Where the latest came from to the first proxy on its way, if it is captured behind that.
    from: Option<Address>,
    /// It holds: the latest that was accepted does not take it away.
    holds: bool,
    refreshes: u32,
    /// CSeq of the latest that was accepted, so that its other hops do not count again.
    cseq: Option<u32>,
    expires: u32,
    /// The longest that a binding had been over, and when it was made anew.
    late: Option<(Duration, Timestamp)>,
    /// The latest REGISTER has no contact: it asks for the bindings, and makes none (RFC 3261 10.2.3).
    is_query: bool,
}

impl Dialog {
    /// A REGISTER: whom it would have called, and whether that is where it comes from.
    pub(super) fn registers(&mut self, look: &Look<'_>) {
        let contact = NameAddress::parse(first_value(look.head.contact.of(look.bytes))).uri;
        // Where the capture cut the header section, the contact may have been behind the cut.
        let is_query = contact.is_empty() && !look.head.faults.has(Faults::UNTERMINATED);
        self.signalling.registered.get_or_insert_default().is_query = is_query;
        if look.message.source != self.source || contact.is_empty() {
            return;
        }
        let known = self.signalling.registered.as_ref().map(|known| known.contact);
        let span = match known {
            Some(known) if self.kept(known) == contact => known,
            _ => self.keep(contact),
        };
        let registered = self.signalling.registered.get_or_insert_default();
        registered.contact = span;
        registered.from = None;
        registered.behind_nat = is_elsewhere(contact, look.message.source.address);
        if !registered.behind_nat {
            return;
        }
        let mut vias = values(look.bytes, Name::Via).flat_map(list).skip(1);
        if let Some(via) = vias.next() {
            // It was forwarded: where the first proxy had it from.
            registered.from = sent_from(vias.last().unwrap_or(via));
            registered.behind_nat = registered.from.is_some_and(|from| is_elsewhere(contact, from));
        }
    }

    /// It was accepted. What takes a binding away refreshes nothing, nor does what makes it anew (RFC 3261 10.2.2, 10.2.4).
    pub(super) fn registered(&mut self, look: &Look<'_>) {
        let holds = !self.unregisters;
        let registered = self.signalling.registered.get_or_insert_default();
        if registered.cseq != Some(look.head.cseq) && !registered.is_query {
            registered.refreshes += u32::from(registered.holds && holds);
            (registered.cseq, registered.holds) = (Some(look.head.cseq), holds);
        }
    }

    /// What the registrar's answer, which came then, did to the bindings.
    pub(in crate::call) fn bound(&mut self, learned: &Learned, at: Timestamp) {
        let registered = self.signalling.registered.as_mut();
        let Some(registered) = registered.filter(|registered| !registered.is_query) else { return };
        let held = learned.own.unwrap_or(learned.longest);
        registered.expires = held.as_secs().try_into().unwrap_or(u32::MAX);
        let before = registered.late.map(|(late, _)| late);
        if let Some(late) = learned.late.filter(|_| learned.late > before) {
            registered.late = Some((late, at));
        }
    }

    /// The contact that it registers; empty where none is known.
    pub(in crate::call) fn contact(&self) -> &[u8] {
        let registered = self.signalling.registered.as_ref();
        registered.map(|registered| self.kept(registered.contact)).unwrap_or_default()
    }

    /// Where the latest REGISTER came from to the first of several proxies, as that says.
    pub(super) fn registered_from(&self) -> Option<Address> {
        self.signalling.registered.as_ref()?.from
    }

    /// When a binding was made anew that had been over.
    pub(super) fn registered_late(&self) -> Option<Timestamp> {
        let (_, at) = self.signalling.registered.as_ref()?.late?;
        Some(at)
    }

    pub(super) fn registration(&self) -> Option<RegistrationRecord> {
        let registered = self.signalling.registered.as_ref()?;
        let contact = self.kept(registered.contact);
        Some(RegistrationRecord {
            contact: (!contact.is_empty()).then(|| text(contact)),
            expires_seconds: (!contact.is_empty() || !registered.is_query).then_some(if self.unregisters {
                0
            } else {
                registered.expires
            }),
            refreshes: registered.refreshes,
            behind_nat: registered.behind_nat,
            late_seconds: registered.late.map(|(late, _)| late.as_secs_f64()),
        })
    }
}

/// Whether the host of a contact is an address, and not that one. Names tell nothing.
fn is_elsewhere(contact: &[u8], from: Address) -> bool {
    uri::host(contact).and_then(address).is_some_and(|address| address != from)
}

/// Where a request comes from by its Via: `received` is what the next hop adds when that is not the host that its sender
/// names (RFC 3261 18.2.1).
fn sent_from(value: &[u8]) -> Option<Address> {
    let (_, sent_by) = via(value)?;
    address(parameter(value, b"received").unwrap_or(sent_by))
}

/// The address that a host is, with or without a port behind it; none of a name.
fn address(host: &[u8]) -> Option<Address> {
    let host = host.trim_ascii();
    let host = match host.strip_prefix(b"[") {
        Some(host) => until(host, b']'),
        // An IPv6 address without brackets has more than one colon.
        None if host.iter().filter(|&&byte| byte == b':').count() == 1 => until(host, b':').trim_ascii_end(),
        None => host,
    };
    std::str::from_utf8(host).ok()?.parse::<IpAddr>().ok().map(Address::from)
}
