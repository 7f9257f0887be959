//! The messages of the call that was asked for, kept while a capture is read.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::call::{
    About, CallRecord, Capture, Delivery, Listener, Mark, STILL_RINGING, Wants, captured_twice_within,
    key_of_info,
};
use crate::flow::Endpoint;
use crate::privacy::{Privacy, free_text};
use crate::sip::sdp::Format;
use crate::sip::{Head, Message, Messages, Method, SipTransport, StartLine};
use crate::time::Timestamp;

use super::wanted::{Search, Verdict, Wanted, shown};
use super::{Extent, stream};

/// Messages kept, of all calls with the Call-ID: a flood under one Call-ID must not fill the memory.
const MAX_MESSAGES: usize = 10_000;
/// Bytes kept of one message.
pub(crate) const MAX_TEXT: usize = 64 << 10;
/// Bytes kept of all messages.
const MAX_TEXTS: usize = 64 << 20;
/// Bytes kept of a reason phrase or of a method.
const MAX_PHRASE: usize = 256;
/// Calls shown that share the Call-ID.
const MAX_CALLS: usize = 256;
/// Media endpoints remembered with the one who announced them.
const MAX_ANNOUNCED: usize = 1024;
/// From-tags remembered of who began a call: it has one for each B2BUA that keeps the Call-ID.
const MAX_CALLERS: usize = 64;

/// Whether a message came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It did not.
    No,
    /// It was sent again.
    Sent,
    /// It was captured again.
    Captured,
}

/// A message's first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A request of this method.
    Request(String),
    /// A response.
    Response(u16, String),
}

/// A kept message.
#[derive(Clone, Debug)]
pub(crate) struct Traced {
    pub(crate) at: Timestamp,
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    pub(crate) transport: SipTransport,
    pub(crate) line: Line,
    pub(crate) cseq: u32,
    pub(crate) method: String,
    /// The key that it tells of, in the words that are to be shown: it is an INFO.
    pub(crate) key: Option<String>,
    /// What its SDP offers, when it has one.
    pub(crate) media: Option<String>,
    /// It is a request with credentials.
    pub(crate) credentials: bool,
    pub(crate) again: Again,
    /// Its bytes, when they are to be shown.
    pub(crate) text: Vec<u8>,
    /// Its bytes that were not kept.
    pub(crate) cut: usize,
}

/// A call with its messages.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) record: CallRecord,
    pub(crate) trace: Trace,
}

/// What is kept of a call until its record comes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) messages: Vec<Traced>,
    /// Messages that were not kept.
    pub(crate) left_out: u64,
    /// Media endpoints, and who announced each first.
    pub(crate) announced: HashMap<Endpoint, Announcer>,
    /// Hashes of the From-tags of those who began the call, one for each leg that has its own.
    callers: Vec<u64>,
    /// When the latest copy of each message came, and in which datagram.
    seen: HashMap<u64, (Timestamp, Mark)>,
}

/// Who announced a media endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Announcer {
    /// Its SIP endpoint.
    pub(crate) endpoint: Endpoint,
    /// It is on the caller's side, of its hop.
    pub(crate) is_caller: bool,
    /// What payload types mean there. Of each, the latest meaning.
    pub(crate) formats: Vec<Format>,
}

/// The calls that were asked for, in the order of their ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) calls: Vec<Call>,
    /// Calls that were not kept.
    pub(crate) left_out: u64,
}

/// Keeps the calls of one Call-ID: those of the whole one if they occur, else those of the only one that begins so.
pub(crate) struct Collector {
    search: Search,
    /// Bytes kept of each message.
    text: usize,
    privacy: Privacy,
    open: HashMap<u32, Trace>,
    found: Found,
    messages: usize,
    texts: usize,
    hasher: RandomState,
}

impl Collector {
    /// Keeps at most `text` bytes of each message, and of these what may be shown.
    pub(crate) fn new(wanted: Wanted, text: usize, privacy: Privacy) -> Self {
        Self {
            search: Search::new(wanted),
            text: text.min(MAX_TEXT),
            privacy,
            open: HashMap::new(),
            found: Found::default(),
            messages: 0,
            texts: 0,
            hasher: RandomState::new(),
        }
    }

    /// The calls, or what to tell a person who asked for a Call-ID that does not occur in what was read. Of nothing there
    /// is nothing to tell.
    pub(crate) fn finish(self, read: Extent) -> Result<Found, String> {
        if !self.found.calls.is_empty() || read == Extent::Nothing {
            return Ok(self.found);
        }
        Err(self.search.missing(read == Extent::Whole, "inspect calls -r FILE lists them"))
    }

    /// What was kept is not what was asked for.
    fn drop_all(&mut self) {
        self.open.clear();
        self.found = Found::default();
        (self.messages, self.texts) = (0, 0);
    }

    /// Whether this dialog's messages are to be kept.
    fn is_kept(&mut self, call_id: String) -> bool {
        let verdict = self.search.consider(call_id);
        if matches!(verdict, Verdict::Instead | Verdict::Several) {
            self.drop_all();
        }
        matches!(verdict, Verdict::Keep | Verdict::Instead)
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
        let room = self.text.min(MAX_TEXTS.saturating_sub(self.texts));
        let identity = self.hasher.hash_one(identity(delivery.message, delivery.bytes));
        let again = trace.again(identity, delivery);
        let traced = traced(delivery, again, room, self.privacy);
        self.texts += traced.text.len();
        trace.announce(delivery.message, delivery.messages);
        trace.messages.push(traced);
    }

    fn closed(&mut self, call: u32, _: bool, record: Option<CallRecord>) {
        if let (Some(trace), Some(record)) = (self.open.remove(&call), record) {
            self.found.calls.push(Call { record, trace });
        }
    }
}

impl Trace {
    /// Tells retransmissions from second captures as [`crate::call`] does.
    fn again(&mut self, identity: u64, delivery: &Delivery<'_>) -> Again {
        let (message, mark) = (delivery.message, Mark::of(delivery));
        let known = self.seen.get(&identity).copied();
        let kept = known.map_or(mark, |(_, known)| known.after(mark));
        self.seen.insert(identity, (message.timestamp, kept));
        let Some((before, known)) = known else { return Again::No };
        let passed = message.timestamp.since(before);
        let within = Capture { soon: captured_twice_within(message), mark }.within(known);
        if message.head.may_be_given_again() && passed >= STILL_RINGING {
            Again::No
        } else if within.is_some_and(|within| passed <= within) {
            Again::Captured
        } else {
            Again::Sent
        }
    }

    fn announce(&mut self, message: &Message, messages: &Messages) {
        let is_caller = self.is_from_caller(&message.head);
        for media in descriptions(message, messages) {
            if self.announced.len() < MAX_ANNOUNCED || self.announced.contains_key(&media.endpoint) {
                let new = || Announcer { endpoint: message.source, is_caller, formats: Vec::new() };
                self.announced.entry(media.endpoint).or_insert_with(new).learn(&media.formats);
            }
        }
    }

    /// Whether a message is from the caller's side. Over every hop an INVITE without a To-tag begins the call (RFC 3261 12.1),
    /// else the first message that was captured does; what answers it has the same From-tag.
    fn is_from_caller(&mut self, head: &Head) -> bool {
        let tag = head.keys.from_tag;
        let request = if let StartLine::Request { method, .. } = head.start { Some(method) } else { None };
        let begins = self.callers.is_empty() || (request == Some(Method::Invite) && head.to_tag.is_empty());
        if begins && self.callers.len() < MAX_CALLERS && !self.callers.contains(&tag) {
            self.callers.push(tag);
        }
        self.callers.contains(&tag) == request.is_some()
    }
}

impl Announcer {
    fn learn(&mut self, formats: &[Format]) {
        for format in formats {
            match self.formats.iter_mut().find(|known| known.payload_type == format.payload_type) {
                Some(known) => *known = *format,
                None => self.formats.push(*format),
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

fn traced(delivery: &Delivery<'_>, again: Again, room: usize, privacy: Privacy) -> Traced {
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
    // Not more of a message is looked at than could be shown: it may be a megabyte.
    let mut text = match room {
        0 => Vec::new(),
        room => privacy.message(bytes.get(..room.min(bytes.len())).unwrap_or_default()),
    };
    text.truncate(room);
    let line = match line {
        Line::Response(status, reason) if privacy.masked => Line::Response(status, free_text(&reason)),
        line => line,
    };
    let key = matches!(head.start, StartLine::Request { method: Method::Info, .. })
        .then(|| key_of_info(head, bytes))
        .flatten();
    let key =
        key.map(|key| if privacy.digits { format!("key {}", char::from(key)) } else { "key".to_owned() });
    Traced {
        at: message.timestamp,
        key,
        source: message.source,
        destination: message.destination,
        transport: message.transport,
        credentials: head.credentials && matches!(line, Line::Request(_)),
        line,
        cseq: head.cseq,
        method,
        media: stream::offer(descriptions(message, messages)),
        again,
        cut: bytes.len().saturating_sub(room),
        text,
    }
}

fn phrase(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..bytes.len().min(MAX_PHRASE)).unwrap_or_default()).into_owned()
}
