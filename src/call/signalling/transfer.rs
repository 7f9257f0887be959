//! Transfers: REFER (RFC 3515), and what its NOTIFYs say became of it (RFC 3420).

use std::time::Duration;

use super::NamedDialog;
use super::record::{Side, TransferRecord};
use crate::call::dialog::{Dialog, Look};
use crate::sip::Span;
use crate::sip::header::{Name, NameAddress, number, parameter, text, values};
use crate::sip::uri::{self, until};
use crate::time::Timestamp;

/// For how long a subscription without `expires` is taken to go on: for as long as a proxy lets a phone ring (Timer C, RFC 3261 16.6).
const SUBSCRIBED: Duration = Duration::from_secs(180);

/// The longest that is waited for a NOTIFY. Attack: a call that is kept for years.
const LONGEST_SUBSCRIBED: Duration = Duration::from_secs(600);

/// Transfers told of one dialog.
const MAX_TRANSFERS: usize = 8;

/// A REFER.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    at: Timestamp,
    by: Side,
    to: Span,
    cseq: u32,
    is_attended: bool,
    /// 0 is none yet.
    status: u16,
    /// How long the subscription to what becomes of it goes on after its latest NOTIFY.
    subscribed: Duration,
    /// The dialog that it is to replace, until that is decided.
    replaces: Option<NamedDialog>,
}

impl Dialog {
    pub(super) fn refer(&mut self, look: &Look<'_>) {
        let (by, cseq) = (self.requester(look), look.head.cseq);
        let Some(value) = values(look.bytes, Name::ReferTo).next() else { return };
        let target = NameAddress::parse(value).uri;
        let is_attended = replaces_in(target).is_some();
        let target = until(target, b'?');
        let transfers = self.signalling.rare.as_ref().map_or(&[][..], |rare| rare.transfers.as_slice());
        let is_known = transfers.iter().any(|known| (known.by, known.cseq) == (by, cseq));
        // Asked for its credentials, it is the same one again.
        let is_repeated =
            transfers.last().is_some_and(|last| last.by == by && matches!(last.status, 401 | 407));
        if is_known || (transfers.len() >= MAX_TRANSFERS && !is_repeated) {
            return;
        }
        let to = self.keep(target);
        let (at, replaces) = (look.message.timestamp, replaced(look));
        let subscribed = Duration::ZERO;
        let transfer = Transfer { at, by, to, cseq, is_attended, status: 0, subscribed, replaces };
        let transfers = &mut self.signalling.rare().transfers;
        if is_repeated {
            transfers.pop();
        }
        transfers.push(transfer);
    }

    pub(super) fn transfer_refused(&mut self, look: &Look<'_>, status: u16) {
        let by = self.requester(look);
        let Some(rare) = &mut self.signalling.rare else { return };
        let mut transfers = rare.transfers.iter_mut();
        if let Some(it) = transfers.find(|known| (known.by, known.cseq) == (by, look.head.cseq)) {
            it.status = status;
        }
    }

    /// A NOTIFY with a piece of SIP: the status of what the transferee was asked to do.
    pub(super) fn progress_of_transfer(&mut self, look: &Look<'_>) {
        let Some(status) = fragment_status(look.head.body.of(look.bytes)) else { return };
        let by = self.requester(look).other();
        let Some(rare) = &mut self.signalling.rare else { return };
        // The one that it names, or else the first that is under way; a late word about one that is decided changes nothing.
        let named = named_refer(look);
        let place = |is_it: &dyn Fn(&Transfer) -> bool| {
            rare.transfers.iter().position(|known| known.by == by && is_it(known))
        };
        let is_open = |known: &Transfer| known.status < 200;
        let place = place(&|known| named == Some(known.cseq)).or_else(|| place(&is_open));
        let known = place.and_then(|place| rare.transfers.get_mut(place));
        if let Some(known) = known.filter(|known| is_open(known)) {
            (known.status, known.subscribed) = (status, subscribed(look));
        }
    }

    /// How long a NOTIFY may still take that says what became of a transfer: the subscription outlives the BYE (RFC 3515 2.4.4,
    /// RFC 5057 4.2).
    pub(in crate::call) fn transfer_may_take(&self) -> Duration {
        let transfers = self.signalling.rare.iter().flat_map(|rare| &rare.transfers);
        let open = transfers.filter(|known| known.status < 200).map(|known| known.subscribed);
        open.max().unwrap_or_default()
    }

    /// The dialog that a transfer was to replace which has just been decided, and whether it does.
    pub(in crate::call) fn decided_transfer(&mut self) -> Option<(NamedDialog, bool)> {
        let mut decided = self.signalling.rare.as_mut()?.transfers.iter_mut().filter(|it| it.status >= 200);
        decided.find_map(|it| Some((it.replaces.take()?, it.status < 300)))
    }

    pub(super) fn transfers(&self) -> Vec<TransferRecord> {
        let transfers = self.signalling.rare.iter().flat_map(|rare| &rare.transfers);
        transfers
            .map(|transfer| TransferRecord {
                time: transfer.at,
                by: transfer.by,
                to: text(uri::display(self.kept(transfer.to))),
                attended: transfer.is_attended,
                status_code: (transfer.status > 0).then_some(transfer.status),
            })
            .collect()
    }
}

/// What `<sip:carol@example.com?Replaces=...>` says: the header fields of the INVITE to come (RFC 3261 19.1.1), escaped.
fn replaces_in(target: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"replaces=";
    let fields = target.get(until(target, b'?').len()..)?;
    fields.split(|byte| matches!(byte, b'?' | b'&')).find_map(|field| {
        let (name, value) = field.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    })
}

/// The dialog that the INVITE which a REFER asks for replaces.
pub(super) fn replaced(look: &Look<'_>) -> Option<NamedDialog> {
    let value = values(look.bytes, Name::ReferTo).next()?;
    // Attack: a header field of 64 KiB; a Call-ID is kept as far as this, too.
    let escaped = replaces_in(NameAddress::parse(value).uri)?;
    Some(NamedDialog::by(&unescaped(escaped.get(..MAX_ESCAPED).unwrap_or(escaped))))
}

/// Bytes looked at of an escaped Replaces.
const MAX_ESCAPED: usize = 3 * 1024;

/// `%40` as `@` (RFC 3261 19.1.2); what is no escape stays.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| first == b'%').and_then(|it| std::str::from_utf8(it).ok());
        let is_hex = |it: &&str| it.bytes().all(|byte| byte.is_ascii_hexdigit());
        let escaped = digits.filter(is_hex).and_then(|it| u8::from_str_radix(it, 16).ok());
        out.push(escaped.unwrap_or(first));
        rest = behind.get(if escaped.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    out
}

/// CSeq number of the REFER that a NOTIFY is about, where it says so: `Event: refer;id=93809823` (RFC 3515 2.4.6).
fn named_refer(look: &Look<'_>) -> Option<u32> {
    let id = parameter(values(look.bytes, Name::Event).next()?, b"id")?;
    number(id).and_then(|id| u32::try_from(id).ok())
}

/// How long the subscription goes on that a NOTIFY is of (RFC 6665 4.1.3).
fn subscribed(look: &Look<'_>) -> Duration {
    let state = values(look.bytes, Name::SubscriptionState).next().unwrap_or_default();
    if until(state, b';').trim_ascii().eq_ignore_ascii_case(b"terminated") {
        return Duration::ZERO;
    }
    let expires = parameter(state, b"expires").and_then(number).map(Duration::from_secs);
    expires.unwrap_or(SUBSCRIBED).min(LONGEST_SUBSCRIBED)
}

/// The status of a `message/sipfrag` that is a response.
fn fragment_status(body: &[u8]) -> Option<u16> {
    let digits = body.trim_ascii_start().strip_prefix(b"SIP/2.0 ")?.get(..3)?;
    number(digits).and_then(|status| u16::try_from(status).ok()).filter(|status| (100..700).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_a_uri() {
        // RFC 3891 6.1 and RFC 3261 19.1.2; what is no escape stays as it is.
        for (escaped, plain) in [
            ("12345%40192.168.118.3%3Bto-tag%3D12345", "12345@192.168.118.3;to-tag=12345"),
            ("%4a%4A", "JJ"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%+1%%41", "%zz%+1%A"),
        ] {
            assert_eq!(text(&unescaped(escaped.as_bytes())), plain);
        }
        let target = b"sip:bob@b.example?Subject=x&replaces=a%40b";
        assert_eq!(replaces_in(target), Some(&b"a%40b"[..]));
        assert_eq!((replaces_in(b"sip:bob@b.example"), replaces_in(b"")), (None, None));
    }
}
