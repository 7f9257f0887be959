//! The messages of the call that was asked for, kept while a capture is read.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::call::{About, CAPTURED_TWICE, CallEvent, CallRecord, Delivery, Listener, MediaFrame, Wants};
use crate::flow::Endpoint;
use crate::sip::{Message, Messages, Method, SipTransport, StartLine};
use crate::time::Timestamp;

use super::stream;
use super::wanted::{Fit, Wanted, shown};

/// Messages kept, of all calls with the Call-ID: a flood under one Call-ID must not fill the memory.
const MAX_MESSAGES: usize = 10_000;
/// Bytes kept of one message.
const MAX_TEXT: usize = 64 << 10;
/// Bytes kept of all messages.
const MAX_TEXTS: usize = 64 << 20;
/// Bytes kept of a reason phrase or of a method.
const MAX_PHRASE: usize = 256;
/// Calls shown that share the Call-ID.
const MAX_CALLS: usize = 256;
/// Call-IDs named when none fits.
const MAX_NAMES: usize = 8;
/// Media endpoints remembered with the one who announced them.
const MAX_ANNOUNCED: usize = 1024;

/// Whether a message came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It did not.
    No,
    /// It was sent again.
    Sent,
    /// It was captured again.
    Captured,
}

/// A message's first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A request of this method.
    Request(String),
    /// A response.
    Response(u16, String),
}

/// A kept message.
#[derive(Clone, Debug)]
pub(super) struct Traced {
    pub(super) at: Timestamp,
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    pub(super) transport: SipTransport,
    pub(super) line: Line,
    pub(super) cseq: u32,
    pub(super) method: String,
    /// What its SDP offers, when it has one.
    pub(super) media: Option<String>,
    /// It is a request with credentials.
    pub(super) credentials: bool,
    pub(super) again: Again,
    /// Its bytes, when they are to be shown.
    pub(super) text: Vec<u8>,
    /// Its bytes that were not kept.
    pub(super) cut: usize,
}

/// A call with its messages.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) record: CallRecord,
    pub(super) trace: Trace,
}

/// What is kept of a call until its record comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    pub(super) messages: Vec<Traced>,
    /// Messages that were not kept.
    pub(super) left_out: u64,
    /// Media endpoints and the SIP endpoint that announced each first.
    pub(super) announced: HashMap<Endpoint, Endpoint>,
    seen: HashMap<u64, Timestamp>,
}

/// The calls that were asked for, in the order of their ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) calls: Vec<Call>,
    /// Calls that were not kept.
    pub(super) left_out: u64,
}

/// Call-IDs to suggest, and how many there were beyond.
#[derive(Debug, Default)]
struct Names {
    list: Vec<String>,
    more: u64,
}

impl Names {
    fn add(&mut self, name: String) {
        if self.list.contains(&name) {
            return;
        }
        if self.list.len() < MAX_NAMES { self.list.push(name) } else { self.more += 1 }
    }

    fn lines(&self) -> String {
        let mut text: String = self.list.iter().map(|name| format!("\n  {name}")).collect();
        if self.more > 0 {
            text.push_str(&format!("\n  and {} more", self.more));
        }
        text
    }
}

/// Keeps the calls of one Call-ID: those of the whole one if they occur, else those of the only one that begins so.
pub(super) struct Collector {
    wanted: Wanted,
    keep_text: bool,
    /// The whole Call-ID occurred; others are of no interest any more.
    exact: bool,
    parts: Names,
    near: Names,
    open: HashMap<u32, Trace>,
    found: Found,
    messages: usize,
    texts: usize,
    hasher: RandomState,
}

impl Collector {
    pub(super) fn new(wanted: Wanted, keep_text: bool) -> Self {
        Self {
            wanted,
            keep_text,
            exact: false,
            parts: Names::default(),
            near: Names::default(),
            open: HashMap::new(),
            found: Found::default(),
            messages: 0,
            texts: 0,
            hasher: RandomState::new(),
        }
    }

    /// The calls, or what to tell a person who asked for a Call-ID that does not occur.
    pub(super) fn finish(self) -> Result<Found, String> {
        if !self.found.calls.is_empty() {
            return Ok(self.found);
        }
        let text = self.wanted.text();
        if self.parts.list.len() > 1 {
            return Err(format!("several Call-IDs begin like {text}; which one?{}", self.parts.lines()));
        }
        let hint = format!("no call {text}; inspect calls -r FILE lists them");
        let near = if self.near.list.is_empty() { "" } else { "; these come close:" };
        Err(format!("{hint}{near}{}", self.near.lines()))
    }

    /// What was kept is not what was asked for.
    fn drop_all(&mut self) {
        self.open.clear();
        self.found = Found::default();
        (self.messages, self.texts) = (0, 0);
    }

    /// Whether this dialog's messages are to be kept.
    fn is_kept(&mut self, call_id: String) -> bool {
        match self.wanted.fit(&call_id) {
            Fit::Whole => {
                if !std::mem::replace(&mut self.exact, true) {
                    self.drop_all();
                }
                true
            }
            Fit::Part if !self.exact => {
                self.parts.add(call_id);
                let is_only = self.parts.list.len() == 1;
                if !is_only {
                    self.drop_all();
                }
                is_only
            }
            Fit::Near => {
                self.near.add(call_id);
                false
            }
            _ => false,
        }
    }
}

impl Listener for Collector {
    fn wants(&self) -> Wants {
        Wants { frames: true, events: false, audit: false, records: true }
    }

    fn opened(&mut self, call: u32, about: &About<'_>) {
        self.open.remove(&call);
        if !self.is_kept(shown(about.call_id)) {
            return;
        }
        if self.found.calls.len() + self.open.len() < MAX_CALLS {
            self.open.insert(call, Trace::default());
        } else {
            self.found.left_out += 1;
        }
    }

    fn message(&mut self, call: u32, delivery: &Delivery<'_>) {
        let Some(trace) = self.open.get_mut(&call) else { return };
        if self.messages >= MAX_MESSAGES {
            trace.left_out += 1;
            return;
        }
        self.messages += 1;
        let room = if self.keep_text { MAX_TEXT.min(MAX_TEXTS - self.texts) } else { 0 };
        let identity = self.hasher.hash_one(identity(delivery.message, delivery.bytes));
        let again = trace.again(identity, delivery.message);
        let traced = traced(delivery, again, room);
        self.texts += traced.text.len();
        trace.announce(delivery.message, delivery.messages);
        trace.messages.push(traced);
    }

    fn media(&mut self, _: u32, _: &MediaFrame<'_>) {}

    fn event(&mut self, _: u32, _: &CallEvent) {}

    fn closed(&mut self, call: u32, _: bool, record: Option<CallRecord>) {
        if let (Some(trace), Some(record)) = (self.open.remove(&call), record) {
            self.found.calls.push(Call { record, trace });
        }
    }
}

impl Trace {
    /// Tells retransmissions from second captures as [`crate::call`] does.
    fn again(&mut self, identity: u64, message: &Message) -> Again {
        let Some(before) = self.seen.insert(identity, message.timestamp) else { return Again::No };
        let is_soon = message.timestamp.since(before) <= CAPTURED_TWICE;
        if message.transport == SipTransport::Udp && is_soon { Again::Captured } else { Again::Sent }
    }

    fn announce(&mut self, message: &Message, messages: &Messages) {
        for media in descriptions(message, messages) {
            if self.announced.len() < MAX_ANNOUNCED {
                self.announced.entry(media.endpoint).or_insert(message.source);
            }
        }
    }
}

/// What makes a message itself within its call: another copy has the same.
fn identity<'a>(message: &Message, bytes: &'a [u8]) -> impl std::hash::Hash + use<'a> {
    let head = &message.head;
    let start = match head.start {
        StartLine::Request { token, .. } => (0, token.of(bytes)),
        StartLine::Response { status, .. } => (status, head.cseq_token.of(bytes)),
    };
    (start, head.cseq, head.branch.of(bytes), head.to_tag.of(bytes), message.source, message.destination)
}

fn descriptions<'a>(message: &Message, messages: &'a Messages) -> &'a [crate::sip::sdp::Media] {
    let (first, end) = message.media;
    messages.media.get(first as usize..end as usize).unwrap_or_default()
}

fn traced(delivery: &Delivery<'_>, again: Again, room: usize) -> Traced {
    let Delivery { message, bytes, messages, .. } = *delivery;
    let head = &message.head;
    let line = match head.start {
        StartLine::Request { token, .. } => Line::Request(phrase(token.of(bytes))),
        StartLine::Response { status, reason } => Line::Response(status, phrase(reason.of(bytes))),
    };
    let method = match head.cseq_method {
        Method::Other => phrase(head.cseq_token.of(bytes)),
        known => known.name().to_owned(),
    };
    let text = bytes.get(..room.min(bytes.len())).unwrap_or_default().to_vec();
    Traced {
        at: message.timestamp,
        source: message.source,
        destination: message.destination,
        transport: message.transport,
        credentials: head.credentials && matches!(line, Line::Request(_)),
        line,
        cseq: head.cseq,
        method,
        media: stream::offer(descriptions(message, messages)),
        again,
        cut: bytes.len() - text.len(),
        text,
    }
}

fn phrase(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..bytes.len().min(MAX_PHRASE)).unwrap_or_default()).into_owned()
}
