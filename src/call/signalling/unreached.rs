//! Where datagrams of a dialog did not arrive, as ICMP errors say (RFC 792, RFC 4443 3.1).
//!
//! An error quotes the header of the datagram and, of the rest, as much as its sender likes. A SIP message names its dialog by
//! its Call-ID; RTP is of the calls that its flow or its receiver belongs to. Where the ports are all that is quoted, a
//! dialog that nothing answered is told of by the addresses of its first request. Errors are easily made up: they change
//! nothing but what is told here.

use std::time::Duration;

use crate::call::dialog::{Dialog, TRANSACTION_TIMEOUT};
use crate::call::findings::Finding;
use crate::call::record::CallState;
use crate::call::tracker::Tracker;
use crate::decode::Unreachable;
use crate::flow::Endpoint;
use crate::sip::{Head, Method, StartLine, certain, is_sip_datagram, may_begin_sip};
use crate::time::Timestamp;

/// Ways on which datagrams of a dialog did not arrive. Attack: errors that quote a Call-ID with ever other addresses.
const MAX_UNREACHED: usize = 8;

/// Ways of datagrams of which nothing but the ports was quoted, of all dialogs.
const MAX_UNNAMED: usize = 64;

/// So long they are kept: a dialog is told of when nothing has answered it, and nothing comes late.
const KEPT: Duration = Duration::from_secs(4 * TRANSACTION_TIMEOUT.as_secs());

/// So long RTP does not arrive before that is told: some is on its way when a port is closed, and before it is opened.
const LASTS: Duration = Duration::from_secs(1);

/// Fewer bytes do not tell what a payload is: an RTP header has so many (RFC 3550 5.1), and a start line more.
const START: usize = 12;

/// A UDP datagram that was not delivered.
#[derive(Clone, Copy, Debug)]
pub struct Undelivered<'a> {
    /// When the error was captured that says so.
    pub at: Timestamp,
    /// Who sent it.
    pub source: Endpoint,
    /// To whom.
    pub destination: Endpoint,
    /// Why not.
    pub why: Unreachable,
    /// The beginning of its payload, as much as is quoted; maybe nothing.
    pub payload: &'a [u8],
}

/// A way on which datagrams did not arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreached {
    source: Endpoint,
    destination: Endpoint,
    /// What the first of them was.
    what: What,
    /// Why the latest did not.
    why: Unreachable,
    first: Timestamp,
    last: Timestamp,
    count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Request(Method),
    Response(u16, Method),
    Rtp,
    /// Nothing of its payload was quoted.
    Unnamed,
}

impl What {
    fn of(head: &Head) -> Self {
        match head.start {
            StartLine::Request { method, .. } => Self::Request(method),
            StartLine::Response { status, .. } => Self::Response(status, head.cseq_method),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Request(method) => method.name().to_owned(),
            Self::Response(status, method) => format!("{status} to {}", method.name()),
            Self::Rtp => "RTP".to_owned(),
            Self::Unnamed => "UDP".to_owned(),
        }
    }
}

impl Unreached {
    const fn new(lost: &Undelivered<'_>, what: What) -> Self {
        let Undelivered { at, source, destination, why, .. } = *lost;
        Self { source, destination, what, why, first: at, last: at, count: 1 }
    }

    /// Takes one more error if it is about the same way.
    fn adds(&mut self, lost: &Undelivered<'_>, what: What) -> bool {
        let is_it = (self.source, self.destination) == (lost.source, lost.destination)
            && (self.what == What::Rtp) == (what == What::Rtp);
        if is_it {
            (self.why, self.last) = (lost.why, lost.at);
            self.count = self.count.saturating_add(1);
        }
        is_it
    }

    fn finding(&self) -> Finding {
        let Self { source, destination, what, why, count, .. } = *self;
        let (name, why) = (what.name(), why.name());
        let text = match (what, count) {
            (What::Rtp, _) => {
                let seconds = self.last.since(self.first).as_secs_f64();
                format!(
                    "RTP from {source} to {destination} does not arrive: {why} (ICMP), {count} times in {seconds:.1} s"
                )
            }
            (_, 1) => format!("the {name} from {source} to {destination} did not arrive: {why} (ICMP)"),
            _ => format!(
                "messages from {source} to {destination} did not arrive, first the {name}: {why} (ICMP), {count} times"
            ),
        };
        Finding { code: "unreachable", text, time: Some(self.first), message: Some(name) }
    }

    /// As it is told of a dialog's first request, which it may not be alone of.
    fn finding_of(&self, dialog: &Dialog) -> Finding {
        let Self { source, destination, why, .. } = *self;
        let (method, why) = (dialog.method.name(), why.name());
        let text = format!(
            "datagrams from {source} to {destination}, as the {method} went, did not arrive: {why} (ICMP)"
        );
        let time = Some(self.first.max(dialog.start));
        Finding { code: "unreachable", text, time, message: Some(method.to_owned()) }
    }
}

/// The latest ways of datagrams of which nothing but the ports was quoted.
#[derive(Debug, Default)]
pub(in crate::call) struct Unnamed(Vec<Unreached>);

impl Unnamed {
    fn note(&mut self, lost: &Undelivered<'_>) {
        self.0.retain(|known| lost.at.since(known.last) <= KEPT);
        if self.0.iter_mut().any(|known| known.adds(lost, What::Unnamed)) {
            return;
        }
        if self.0.len() >= MAX_UNNAMED {
            self.0.remove(0);
        }
        self.0.push(Unreached::new(lost, What::Unnamed));
    }

    /// What is known of the way of a dialog's first request, which nothing answered.
    fn of(&self, dialog: &Dialog) -> Option<&Unreached> {
        if dialog.signalling.responded || !dialog.request_seen() {
            return None;
        }
        let way = (dialog.source, dialog.destination);
        self.0.iter().find(|known| {
            (known.source, known.destination) == way
                && known.last >= dialog.start
                && known.first.since(dialog.last) < LASTS
        })
    }
}

impl Dialog {
    fn note_unreached(&mut self, lost: &Undelivered<'_>, what: What) {
        let known = &mut self.signalling.rare().unreached;
        if !known.iter_mut().any(|known| known.adds(lost, what)) && known.len() < MAX_UNREACHED {
            known.push(Unreached::new(lost, what));
        }
    }
}

impl Tracker {
    /// A datagram was not delivered: the dialog that it is of is told.
    pub fn undelivered(&mut self, lost: &Undelivered<'_>) {
        if is_sip_datagram(lost.payload)
            && let Some(head) =
                Head::parse(certain(lost.payload), true).filter(|head| !head.call_id.is_empty())
        {
            let slot = self.find(head.keys.call_id);
            if let Some(dialog) = slot.and_then(|slot| self.dialogs.get_mut(slot as usize)) {
                dialog.note_unreached(lost, What::of(&head));
            }
            return;
        }
        let calls = self.media.calls_of_lost(lost.source, lost.destination, lost.payload);
        for call in calls.as_slice() {
            let dialog = self.dialogs.get_mut(call.slot as usize);
            let Some(dialog) = dialog.filter(|dialog| dialog.is_of(call.generation)) else { continue };
            let mut endpoints = dialog.endpoints.iter();
            let is_rtcp = endpoints.any(|known| known.is_rtcp && known.endpoint == lost.destination);
            // Who hangs up closes the port while RTP is on its way.
            if dialog.state != Some(CallState::Ended) && !is_rtcp {
                dialog.note_unreached(lost, What::Rtp);
            }
        }
        if calls.is_empty() && (lost.payload.len() < START || may_begin_sip(lost.payload)) {
            self.unnamed.note(lost);
        }
    }

    /// What of a dialog did not arrive.
    pub(in crate::call) fn unreached(&self, dialog: &Dialog) -> Vec<Finding> {
        let rare = dialog.signalling.rare.as_ref();
        let ways = rare.map_or(&[][..], |rare| &rare.unreached);
        let is_told = |way: &&Unreached| way.what != What::Rtp || way.last.since(way.first) >= LASTS;
        let named = ways.iter().filter(is_told).map(Unreached::finding);
        let has_named = ways.iter().any(|way| way.what != What::Rtp);
        let unnamed = self.unnamed.of(dialog).filter(|_| !has_named);
        named.chain(unnamed.map(|way| way.finding_of(dialog))).collect()
    }
}
