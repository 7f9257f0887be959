//! One dialog, from its first message to its record: what it knows, and what a message does to it.

use std::time::Duration;

use smallvec::SmallVec;

use super::announced::Former;
use super::branches::Branches;
use super::deadlines::Armed;
use super::mark::Mark;
use super::record::{CallKind, CallResult, CallState, EndedBy};
use super::seen::{Capture, Copy, Earlier, Marks, Seen, captured_twice_within};
use super::signalling::{Challenge, OwnHop, Signalling};
use super::silence::Directed;
use super::standing::PayloadTypes;
use super::told::{MAX_VALUE, Told};
use crate::flow::Endpoint;
use crate::media::{CallMedia, EndpointId};
use crate::near::fetch;
use crate::sip::header::{Lines, Name, NameAddress, field, first_value, parameter};
use crate::sip::sdp::{CodecName, Media, MediaKind};
use crate::sip::{Faults, Head, Message, Method, Span, StartLine, asks_again, call_id_key, uri};
use crate::time::{Timestamp, WILD_JUMP};

/// 64*T1 (RFC 3261 17.1.1.1): a request without an answer has failed, and so has one that was cancelled (9.1); a call
/// that ended is past its last retransmission.
pub(crate) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(32);

/// When a request without an answer has been sent for the last time, 31.5 s after the first (RFC 3261 17.1.1.2, 17.1.2.2), as far
/// as timers are exact.
pub(crate) const ALL_SENT: Duration = Duration::from_secs(31);

/// Timer C (RFC 3261 16.6): a call that was answered with 100 has failed this long after the last word, and so has one
/// that waits for credentials: somebody may have to type them.
const PROCEEDING_TIMEOUT: Duration = Duration::from_secs(180);

/// A call that rings has no timer at who calls (RFC 3261 17.1.1.2), and proxies wait for longer than Timer C where they hear of it
/// each minute (13.3.1.1, 16.7 step 2), which a capture may miss: ten of these are enough.
const RINGING_TIMEOUT: Duration = Duration::from_secs(600);

/// T1 (RFC 3261 17.1.1.1): what is not acknowledged within is sent again. A fork sends its INVITEs within less; who sends
/// another later than that has waited for an answer.
pub(super) const T1: Duration = Duration::from_millis(500);

/// 484 (RFC 3261 21.4.22).
const TOO_FEW_DIGITS: u16 = 484;

/// T35 of Q.764, 15 to 20 s: for so long a network waits for the next digit. RFC 3578 has no time of its own.
const DIGITS_TIMEOUT: Duration = Duration::from_secs(20);

/// An early dialog is over, and the attempt goes on in others, if there are any (RFC 6228 4): nothing rings by it.
pub(crate) const EARLY_DIALOG_TERMINATED: u16 = 199;

/// A CANCEL or a BYE has ended the request (RFC 3261 21.4.25).
const REQUEST_TERMINATED: u16 = 487;

/// Within this after a BYE there is its answer, and what was under way.
const SOON: Duration = Duration::from_secs(1);

/// A provisional answer that comes again after so long keeps the attempt alive (RFC 3261 13.3.1.1: every minute). One that
/// answers an INVITE which came again follows the one before within 16 s (17.1.1.2: 32*T1).
pub(crate) const STILL_RINGING: Duration = Duration::from_secs(20);

/// A dialog as the tracker holds it. Slots are used again with their memory.
///
/// What every message needs comes first, in six cache lines: with thousands of dialogs up, the lines that a message touches are
/// what it costs.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Dialog {
    pub(crate) hash: u64,
    pub(crate) generation: u32,
    /// CSeq number of the latest initial request.
    pub(super) cseq: u32,
    pub(crate) armed: Armed,
    pub(crate) messages: u32,
    pub(crate) duplicates: u32,
    pub(crate) last: Timestamp,
    /// When the attempt last got anywhere: sent, sent anew, challenged or ringing.
    pub(super) progress: Timestamp,
    /// Hash of the From-tag of its first message.
    pub(super) from_tag: u64,
    /// None where nobody is told of dialogs.
    pub(super) told: Option<Box<Told>>,
    /// Time of its first message: where its other times are counted from.
    pub(super) born: Timestamp,
    pub(super) branch: u64,
    pub(crate) status: u16,
    pub(crate) in_use: bool,
    pub(crate) kind: Option<CallKind>,
    pub(crate) state: Option<CallState>,
    pub(crate) result: Option<CallResult>,
    pub(crate) ended_by: Option<EndedBy>,
    pub(crate) method: Method,
    pub(crate) transports: u8,
    /// The filter asks for it.
    pub(crate) wanted: bool,
    /// A message matched the filter.
    pub(crate) matched: bool,
    /// Who called gave up: with a CANCEL, or a BYE before the answer.
    cancelled: bool,
    /// It ended without a final answer, when the time for one was over.
    timed_out: bool,
    pub(crate) challenged: bool,
    pub(crate) authenticated: bool,
    /// The latest try had credentials, and what its challenge was about.
    pub(super) has_credentials: bool,
    pub(super) challenge: Challenge,
    /// The last REGISTER takes bindings away (RFC 3261 10.2.2).
    pub(crate) unregisters: bool,
    request_seen: bool,
    /// It was answered: `answered` says when.
    pub(super) is_answered: bool,
    /// Of the latest messages in `seen`.
    marks: Marks,
    /// The latest user agents that it is told of: most messages are from one of two.
    latest_agents: [u32; 2],
    seen: Seen,
    pub(super) signalling: Signalling,
    pub(super) branches: Branches,
    pub(crate) start: Timestamp,
    /// When what is tried now began: the start, or that of a request after the last one was decided.
    pub(super) attempted: Timestamp,
    pub(crate) ringing: Option<Timestamp>,
    pub(crate) answered: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
    /// What the first request, or the latest INVITE with more digits, asks for.
    dialled: Dialled,
    pub(crate) retransmissions: u32,
    pub(crate) reinvites: u32,
    pub(crate) updates: u32,
    /// Hash of the realm of the latest challenge; 0 is none.
    pub(super) realm: u32,
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    /// Payload types that its caller described, and that who was called did.
    pub(super) formats: [PayloadTypes; 2],
    /// What `seen` and `marks` have no room for.
    earlier: Option<Box<Earlier>>,
    /// Endpoints announced, in order.
    pub(crate) endpoints: SmallVec<[Announced; 2]>,
    pub(super) media: Option<Box<RareMedia>>,
    /// Branch of the hop before its own, as low bits of a hash: a message of its own hop has named it beneath. 0 where none did.
    hop_before: u32,
}

const _: () =
    assert!(std::mem::offset_of!(Dialog, seen) == 128 && std::mem::offset_of!(Dialog, signalling) == 256);
const _: () = assert!(std::mem::offset_of!(Dialog, source) == 512 && size_of::<Dialog>() == 704);
const _: () =
    assert!(std::mem::offset_of!(Dialog, endpoints) == 576 && std::mem::offset_of!(Dialog, media) == 680);

/// A request URI as far as INVITEs with more digits are to be told: its length, and the length and the hash of its user part.
#[derive(Clone, Copy, Debug, Default)]
struct Dialled {
    uri: u16,
    /// 0 where there is none.
    user: u16,
    hash: u64,
}

impl Dialled {
    fn by(uri: &[u8]) -> Self {
        let uri = uri.get(..MAX_VALUE).unwrap_or(uri);
        let user = uri::user_part(uri).unwrap_or_default();
        let hash = if user.is_empty() { 0 } else { call_id_key(user) };
        Self { uri: uri.len() as u16, user: user.len() as u16, hash }
    }

    /// Whether a URI may have more digits.
    const fn is_shorter(self, uri: Span) -> bool {
        uri.length > self.uri as u32
    }

    /// Whether a URI is the same but for more digits.
    fn goes_on_in(self, uri: &[u8]) -> bool {
        let dialled = uri::user_part(uri).unwrap_or_default();
        let known = dialled.get(..self.user.into()).filter(|known| !known.is_empty());
        dialled.len() > self.user.into() && known.is_some_and(|known| call_id_key(known) == self.hash)
    }
}

/// What few dialogs have of media.
#[derive(Debug, Default)]
pub(super) struct RareMedia {
    /// What flows were like that were others' before it ended, or whose endpoints gave way.
    pub(super) archived: CallMedia,
    /// Endpoints that gave way.
    pub(super) former: Former,
    /// The SSRCs that descriptions named.
    pub(super) sources: Vec<u32>,
    /// What later descriptions said of its audio.
    pub(super) directed: Directed,
}

/// An endpoint that a dialog announced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announced {
    pub(crate) endpoint: Endpoint,
    pub(crate) id: EndpointId,
    pub(crate) is_rtcp: bool,
    /// It is one of several at which the media of a section may flow.
    pub(crate) is_candidate: bool,
    /// Who began the dialog announced it.
    pub(crate) by_caller: bool,
    pub(crate) may: Directions,
    /// The latest description of who described it names it, who that is, and over which hop.
    pub(crate) is_current: bool,
    pub(crate) described_by: u32,
    /// Milliseconds from `since` to when `may` last became more.
    pub(crate) opened_after: u32,
    /// When it was announced first.
    pub(crate) since: Timestamp,
}

impl Announced {
    /// When the directions of its audio last became more.
    pub(crate) fn open_since(&self) -> Timestamp {
        self.since.after(Duration::from_millis(self.opened_after.into()))
    }
}

/// In which directions audio was ever to flow at an endpoint, as its owner sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directions {
    pub(crate) send: bool,
    pub(crate) receive: bool,
}

impl Directions {
    /// `sendrecv`.
    pub(crate) const BOTH: Self = Self { send: true, receive: true };
}

/// What happened to a dialog, as far as others want to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Ringing,
    Answered,
    Ended,
}

/// In which way a call is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Early,
    Confirmed,
}

/// A message as the dialog looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) message: &'a Message,
    pub(crate) head: &'a Head,
    pub(crate) bytes: &'a [u8],
}

impl Look<'_> {
    /// The method of a request.
    pub(super) fn method(&self) -> Option<Method> {
        match self.head.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The method that the message is about: its own, or that of the request it answers.
    pub(crate) fn about(&self) -> Method {
        self.method().unwrap_or(self.head.cseq_method)
    }

    pub(super) fn is_initial(&self) -> bool {
        self.head.to_tag.is_empty()
    }

    /// A REFER (RFC 3515 2.4.4) or an INFO (RFC 6086 4.2.1) that no dialog was there for.
    fn is_alone(&self) -> bool {
        matches!(self.method(), Some(Method::Refer | Method::Info)) && self.is_initial()
    }

    /// Whether the message is one of a call that is up: a request that only follows an answer, hardly anything else.
    fn is_within(&self) -> bool {
        let follows = matches!(self.about(), Method::Info | Method::Update | Method::Refer)
            || matches!(self.method(), Some(Method::Invite | Method::Ack));
        follows && !self.is_initial()
    }

    /// Whether it is a request that only the dialogs of calls have (RFC 3261 13.2.2.4, 14, 15, RFC 3262, RFC 3311,
    /// RFC 6086). What came before it in this dialog, a NOTIFY or an OPTIONS, was inside a call.
    fn is_of_call(&self) -> bool {
        let is_one = matches!(
            self.method(),
            Some(Method::Invite | Method::Ack | Method::Bye | Method::Prack | Method::Update | Method::Info)
        );
        is_one && !self.is_initial()
    }

    /// The branch of the Via beneath the topmost, as low bits of its hash; 0 where there is none. Each hop puts its own on top of those
    /// before it, and answers have those of their request (RFC 3261 16.6 step 8, 8.2.6.2).
    fn hop_before(&self) -> u32 {
        let Span { start, length } = self.head.via;
        let behind =
            self.bytes.get(start.saturating_add(length) as usize..).unwrap_or_default().trim_ascii_start();
        let beneath = match behind {
            [b',', rest @ ..] => Some(rest.trim_ascii_start()),
            // Most messages have no other: little is looked at to know.
            [b'V' | b'v', ..] => Lines::new(self.bytes, self.bytes.len() - behind.len())
                .next()
                .and_then(field)
                .and_then(|(name, value)| (name == Name::Via).then_some(value)),
            _ => None,
        };
        let branch = beneath.and_then(|via| parameter(first_value(via), b"branch"));
        branch.map_or(0, |branch| call_id_key(branch) as u32)
    }

    /// Hash of the tag of who was called, in a dialog that the caller with that tag began.
    const fn called_tag(&self, caller: u64) -> u64 {
        let keys = &self.head.keys;
        if keys.from_tag == caller { keys.to_tag } else { keys.from_tag }
    }
}

impl Dialog {
    /// What it has gone through so far, as its record tells: the beginning, which is none, and its steps, in order.
    pub(super) fn steps(&self) -> impl Iterator<Item = Option<Step>> + use<> {
        let steps = [
            (self.ringing.is_some(), Step::Ringing),
            (self.answered.is_some(), Step::Answered),
            (self.state == Some(CallState::Ended), Step::Ended),
        ];
        let gone_through =
            steps.into_iter().filter(|(is_through, _)| *is_through).map(|(_, step)| Some(step));
        std::iter::once(None).chain(gone_through)
    }

    /// Empties the slot for its next tenant.
    pub(crate) fn reset(&mut self, hash: u64, is_told: bool) {
        let told = is_told.then(|| {
            let mut told = self.told.take().unwrap_or_default();
            told.reset();
            told
        });
        self.seen.clear();
        let seen = std::mem::take(&mut self.seen);
        let generation = self.generation.wrapping_add(1);
        *self = Self { hash, generation, in_use: true, told, seen, ..Self::default() };
    }

    /// Begins the dialog with its first message.
    pub(crate) fn begin(&mut self, look: &Look<'_>) {
        let (head, message) = (look.head, look.message);
        self.born = message.timestamp;
        self.start = message.timestamp;
        self.attempted = message.timestamp;
        self.last = message.timestamp;
        self.progress = message.timestamp;
        let kind = if look.is_alone() { CallKind::Other } else { kind_of(look.about()) };
        self.kind = Some(kind);
        // A call whose INVITE was before the capture still is decided by the answers to it.
        self.method = if kind == CallKind::Call { Method::Invite } else { look.about() };
        self.state = Some(CallState::Calling);
        if kind == CallKind::Call && look.is_within() {
            // Who answered it, and when, was before the capture.
            self.state = Some(CallState::Confirmed);
            self.is_answered = true;
        }
        self.from_tag = look.head.keys.from_tag;
        self.told.iter_mut().for_each(|told| told.begin(look));
        (self.source, self.destination) = match head.start {
            StartLine::Request { uri, .. } => {
                self.request_seen = true;
                self.dialled = Dialled::by(uri.of(look.bytes));
                (message.source, message.destination)
            }
            StartLine::Response { .. } => (message.destination, message.source),
        };
        self.cseq = head.cseq;
        self.branch = look.head.keys.branch;
        self.hop_before = if self.method == Method::Invite { look.hop_before() } else { 0 };
        self.has_credentials = head.credentials;
    }

    /// Whether this message, though it has the Call-ID of this dialog, begins another one: an initial INVITE
    /// whose From-tag, or CSeq and branch, is new, after the call ended.
    pub(crate) fn is_reused_by(&self, look: &Look<'_>) -> bool {
        let is_over = self.state == Some(CallState::Ended) || self.waits_for_digits();
        if !is_over || look.method() != Some(Method::Invite) || !look.is_initial() {
            return false;
        }
        if self.is_dialled_further_by(look) {
            return false;
        }
        // A late copy of an earlier try, before the credentials, has a lower CSeq.
        !self.is_caller(look) || (look.head.cseq > self.cseq && look.head.keys.branch != self.branch)
    }

    /// Takes a message: counts it, and changes state when it is new. `identity` is what makes it itself, `mark` its datagram.
    pub(crate) fn observe(&mut self, look: &Look<'_>, identity: u64, mark: Mark) -> (Copy, Option<Step>) {
        let now = look.message.timestamp;
        let capture = Capture { soon: captured_twice_within(look.message), mark };
        let Self { seen, marks, earlier, .. } = self;
        let mut copy = seen.observe(identity, (now, self.born), capture, marks, earlier);
        if copy == Copy::Retransmission && self.still_rings(look) {
            copy = Copy::First;
        }
        self.hear(now);
        self.transports |= 1 << look.message.transport as u8;
        match copy {
            Copy::Duplicate => {
                self.duplicates = self.duplicates.saturating_add(1);
                return (copy, None);
            }
            Copy::Retransmission => self.retransmissions = self.retransmissions.saturating_add(1),
            Copy::First => {}
        }
        self.messages = self.messages.saturating_add(1);
        if matches!(look.head.start, StartLine::Response { status: 101..=199, .. }) {
            self.progress = now;
        }
        if copy == Copy::Retransmission {
            if now < self.start && look.is_initial() && look.method() == Some(self.method) {
                // What was sent first is told last.
                self.starts_at(now);
            }
            self.came_again(look);
            return (copy, None);
        }
        if let Some(told) = &mut self.told
            && look.head.keys.agent != 0
            && !self.latest_agents.contains(&look.head.keys.agent)
        {
            let [latest, _] = self.latest_agents;
            self.latest_agents = [look.head.keys.agent, latest];
            told.note_agent(look);
        }
        let step = match look.head.start {
            StartLine::Request { method, .. } => self.request(look, method),
            StartLine::Response { status, reason } => self.response(look, status, reason),
        };
        (copy, step)
    }

    /// Whether an answer that came before comes to say that the attempt goes on. Over several hops it comes several times.
    #[cold]
    fn still_rings(&mut self, look: &Look<'_>) -> bool {
        let now = look.message.timestamp;
        look.head.may_be_given_again()
            && self.signalling.still_rings(now, now.since(self.progress) >= STILL_RINGING)
    }

    fn request(&mut self, look: &Look<'_>, method: Method) -> Option<Step> {
        let head = look.head;
        if !self.request_seen {
            self.keep_request(look);
        }
        if self.kind != Some(CallKind::Call) && look.is_of_call() {
            self.join_call();
        }
        // Of a client that knows the nonce, the first request has them (RFC 7616 3.6).
        self.authenticated |= head.credentials && method == self.method;
        // Without a contact it only asks for the bindings (RFC 3261 10.2.3).
        if method == Method::Register && !head.contact.is_empty() {
            self.unregisters = unregisters(look);
        }
        self.requested(look, method);
        match method {
            Method::Invite if look.is_initial() => self.invite(look),
            Method::Invite => self.reinvites += u32::from(self.is_new_change(look)),
            Method::Update => self.updates += u32::from(self.is_new_change(look)),
            Method::Cancel => self.cancels(look),
            Method::Ack => return self.acknowledged(look),
            Method::Bye => return self.bye(look),
            other if other == self.method && head.cseq > self.cseq => self.repeat(look),
            _ => {}
        }
        None
    }

    /// Keeps what the request asks for, with which the dialog begins.
    fn keep_request(&mut self, look: &Look<'_>) {
        self.request_seen = true;
        if let StartLine::Request { uri, .. } = look.head.start {
            self.dialled = Dialled::by(uri.of(look.bytes));
        }
        self.told.iter_mut().for_each(|told| told.keep_request(look));
    }

    /// A call that was up before the capture, of which something else was heard first.
    fn join_call(&mut self) {
        self.kind = Some(CallKind::Call);
        self.method = Method::Invite;
        self.state = Some(CallState::Confirmed);
        self.is_answered = true;
        self.forget_status();
        self.forget_end_reason();
        (self.result, self.end, self.ended_by) = (None, None, None);
    }

    /// The ACK that it began with was none of a 2xx: it is tried again, after a challenge.
    fn is_tried_again_by(&self, look: &Look<'_>) -> bool {
        self.is_answered
            && self.answered.is_none()
            && self.state == Some(CallState::Confirmed)
            && self.is_caller(look)
            && look.head.cseq > self.cseq
    }

    /// An initial INVITE: the first, another hop of it, or the next try after a challenge.
    fn invite(&mut self, look: &Look<'_>) {
        if self.hop_before != 0 && self.comes_over_hop_before(look) {
            self.comes_from(look);
        }
        let is_earlier = self.kind == Some(CallKind::Call) && look.head.cseq < self.cseq;
        if self.is_tried_again_by(look) {
            (self.is_answered, self.state) = (false, Some(CallState::Calling));
            self.signalling.acknowledged = false;
        }
        if self.kind != Some(CallKind::Call) {
            // The Call-ID began with another method (a REGISTER, an OPTIONS): from here on it is a call.
            self.kind = Some(CallKind::Call);
            self.method = Method::Invite;
            self.start = look.message.timestamp;
            self.attempted = self.start;
            self.status = 0;
            self.result = None;
            self.end = None;
            self.state = Some(CallState::Calling);
        }
        if look.message.timestamp < self.start {
            self.begins_before(look);
        }
        let is_ours = self.is_beginner(look.message.source) || self.is_met_by(look);
        if is_ours && is_earlier {
            // Told late: the answer that is waited for is that of the try that followed it.
            return;
        }
        if !is_ours {
            self.goes_on(look);
        } else if look.head.cseq > self.cseq {
            if self.is_dialled_further_by(look) {
                self.dial_further(look);
            }
            self.repeat(look);
        }
        let is_new = self.branches.sent(look.head.keys.branch, is_ours);
        if look.head.cseq > self.cseq {
            self.branches.goes_ahead(look.head.keys.branch);
        }
        if is_new && is_ours {
            let now = look.message.timestamp;
            if now.since(self.progress) > T1 {
                self.branches.replace_silent(look.head.keys.branch);
            }
            self.progress = later(self.progress, now);
            if self.is_undone_by(look) {
                // The next end is tried, after one has refused.
                self.begin_again(now);
            }
            self.reconsider();
        }
    }

    /// The INVITE is told behind its answers: what there is of it has waited for its rest.
    #[cold]
    fn begins_before(&mut self, look: &Look<'_>) {
        self.starts_at(look.message.timestamp);
        self.keep_request(look);
    }

    /// Whether the INVITE went over the hop before the one taken for the caller's, as a message of that one says. Of the try before that
    /// one, which was challenged on the way, no more is known than that its sender is the first and where it went: the call is not gone
    /// back to that where it is over already, for who began it is told by what follows.
    #[cold]
    fn comes_over_hop_before(&self, look: &Look<'_>) -> bool {
        let is_named = || look.head.cseq == self.cseq && look.head.keys.branch as u32 == self.hop_before;
        let is_try_before = || {
            look.head.cseq < self.cseq
                && !(self.is_answered && self.state == Some(CallState::Ended))
                && look.head.keys.from_tag == self.from_tag
                && look.message.destination == self.source
                && look.hop_before() == 0
        };
        is_named() || is_try_before()
    }

    /// The INVITE is that of the hop before the one taken for the caller's, whose messages are stamped ahead: the caller's is this one,
    /// and what was said behind it a hint. Where it comes late it is sent again, and the first was not captured.
    #[cold]
    fn comes_from(&mut self, look: &Look<'_>) {
        self.keep_request(look);
        if look.message.timestamp.since(self.start) < T1 {
            self.starts_at(look.message.timestamp);
        }
        (self.source, self.destination) = (look.message.source, look.message.destination);
        self.branches.disown(look.head.cseq < self.cseq);
        (self.cseq, self.branch) = (look.head.cseq, look.head.keys.branch);
        self.hop_before = look.hop_before();
        self.has_credentials = look.head.credentials;
        self.signalling.own_hop = OwnHop::default();
    }

    fn starts_at(&mut self, at: Timestamp) {
        if self.attempted == self.start {
            self.attempted = at;
        }
        self.start = at;
    }

    /// Whether a request from there is from who began the dialog. Where the next hop is on the same host, the port tells; elsewhere it
    /// may be any, as each connection has its own.
    fn is_beginner(&self, source: Endpoint) -> bool {
        let is_one_host = self.source.address == self.destination.address;
        source == self.source || source.address == self.source.address && !is_one_host
    }

    /// Whether who began the dialog meets a challenge from another port or, behind a NAT, another address: where the try before went,
    /// and was refused, this one goes too. A proxy that meets a challenge of the next hop sends that on.
    fn is_met_by(&self, look: &Look<'_>) -> bool {
        look.head.cseq > self.cseq
            && asks_again(self.status)
            && look.head.keys.from_tag == self.from_tag
            && look.message.destination == self.destination
            && self.branches.has_failed(self.branch)
    }

    /// The INVITE passes another leg, where the caller may have another tag, and the number of a try that a challenge there made
    /// necessary: what became of the one before says nothing of the attempt.
    fn goes_on(&mut self, look: &Look<'_>) {
        let has_its_own_tag = look.head.keys.from_tag != self.from_tag;
        if has_its_own_tag {
            self.signalling.know_leg(look.head.keys.from_tag);
        }
        let is_another = has_its_own_tag || look.head.cseq > self.cseq;
        if is_another && !self.is_answered && asks_again(self.status) {
            self.forget_status();
            self.progress = look.message.timestamp;
        }
    }

    /// Whether the call ended, unanswered, with the try that a message is about: what was heard last is not the last
    /// word then.
    fn is_undone_by(&self, look: &Look<'_>) -> bool {
        self.state == Some(CallState::Ended)
            && self.kind == Some(CallKind::Call)
            && !self.is_answered
            && !self.is_released()
            && look.head.cseq == self.cseq
    }

    fn begin_again(&mut self, now: Timestamp) {
        self.go_on(now);
        self.forget_end_reason();
        if self.status == REQUEST_TERMINATED {
            self.forget_status();
        }
    }

    /// What it was taken to have come to was not the last word.
    fn go_on(&mut self, now: Timestamp) {
        self.state = Some(CallState::Calling);
        self.progress = now;
        self.timed_out = false;
        (self.result, self.end, self.ended_by) = (None, None, None);
    }

    /// What was given up may go on: on another branch, or in an early dialog beside the one that a BYE ended.
    fn reconsider(&mut self) {
        if self.cancelled && !self.branches.are_given_up() && !self.signalling.answer_tags.are_left() {
            self.cancelled = false;
            self.forget_end_reason();
        }
    }

    /// Whether an INVITE has more digits of the number than the one before: overlap dialling, under one Call-ID with the next
    /// CSeq number (RFC 3578 3.2). Of the attempts that are over, only one that had too few goes on.
    fn is_dialled_further_by(&self, look: &Look<'_>) -> bool {
        let StartLine::Request { uri, .. } = look.head.start else { return false };
        // Nearly all that are sent anew, those with credentials, have the same URI.
        let may_be = self.dialled.is_shorter(uri)
            && look.head.cseq > self.cseq
            && !self.is_answered
            && self.is_caller(look)
            && (self.state != Some(CallState::Ended) || self.status == TOO_FEW_DIGITS);
        may_be && self.dialled.goes_on_in(uri.of(look.bytes))
    }

    /// Whether a message is about an INVITE that one with more digits has followed: what becomes of it, be it refused or cancelled,
    /// says nothing of the attempt (RFC 3578 3.3, 3.4).
    fn is_of_fewer_digits(&self, look: &Look<'_>) -> bool {
        look.head.cseq < self.cseq && self.signalling.has_more_digits()
    }

    /// Whether the number had too few digits, and more may still come: the attempt is not over. Where the caller's own hop has not
    /// told yet, another branch may.
    fn waits_for_digits(&self) -> bool {
        self.status == TOO_FEW_DIGITS
            && self.kind == Some(CallKind::Call)
            && self.state != Some(CallState::Ended)
            && !self.is_answered
            && !self.cancelled
            && !self.branches.are_pending()
    }

    /// The attempt goes on, with what is known of the number by now. Its delays are those after the last digit.
    fn dial_further(&mut self, look: &Look<'_>) {
        if let StartLine::Request { uri, .. } = look.head.start {
            self.dialled = Dialled::by(uri.of(look.bytes));
        }
        self.told.iter_mut().for_each(|told| told.dial_further(look));
        self.attempted = look.message.timestamp;
        self.signalling.more_digits();
        self.begin_again(look.message.timestamp);
    }

    /// A CANCEL, or the answer to one that may not have been captured. It goes over one hop (RFC 3261 9.2, 16.10): a proxy cancels
    /// branches of its own, and the call goes on.
    fn cancels(&mut self, look: &Look<'_>) {
        if self.is_of_fewer_digits(look) || self.waits_for_digits() {
            return;
        }
        let is_request = look.method().is_some();
        let sender = if is_request { look.message.source } else { look.message.destination };
        self.branches.cancelled(look.head.keys.branch, self.is_beginner(sender));
        if self.was_terminated() {
            // The 487 has overtaken it.
            self.ended_by = Some(self.terminated_by());
        }
        if self.branches.are_given_up() && (is_request || !self.cancelled) {
            self.note_cancel(look);
            self.gives_up(look);
        }
    }

    /// Somebody gives up before the answer: the refusal that this makes is still to come. Why, a CANCEL says, and the refusal hardly
    /// ever (RFC 3326 2).
    fn gives_up(&mut self, look: &Look<'_>) {
        if self.state == Some(CallState::Ended) {
            self.gave_up(look);
            return;
        }
        if !self.is_answered {
            self.keep_first_end_reason(look);
        }
        self.cancelled = true;
        self.progress = look.message.timestamp;
    }

    /// The refusal has overtaken what made it: captures of several queues or cards have such an order, and nobody gives up who
    /// has the refusal (RFC 3261 9.1).
    fn gave_up(&mut self, look: &Look<'_>) {
        if !self.was_terminated() || !self.is_caller(look) || look.head.cseq < self.cseq {
            return;
        }
        self.keep_first_end_reason(look);
        (self.result, self.ended_by) = (Some(CallResult::Cancelled), Some(EndedBy::Caller));
    }

    /// Whether it has ended with a 487, and nobody who began it gave it up.
    fn was_terminated(&self) -> bool {
        self.result == Some(CallResult::Failed) && self.status == REQUEST_TERMINATED
    }

    /// An ACK on a branch of its own is for a 2xx, and one on the INVITE's for a refusal (RFC 3261 13.2.2.4, 17.1.1.3): if none was
    /// seen, it was not captured. What a proxy acknowledges with no Via but its own may be a refusal on a branch that is not known:
    /// that of a 2xx comes from who called, and goes where the INVITE went or has passed somebody.
    fn acknowledged(&mut self, look: &Look<'_>) -> Option<Step> {
        let branch = look.head.keys.branch;
        let is_open = !self.is_answered
            && self.signalling.invited
            && self.state != Some(CallState::Ended)
            && self.is_first_invite(look)
            && !look.is_initial();
        if is_open && self.is_own_branch(branch) {
            return self.was_refused(look);
        }
        let is_of_accepted = || {
            self.is_beginner(look.message.source)
                || !self.branches.was_sent(self.branch)
                || look.message.destination == self.destination
                || look.hop_before() != 0
        };
        let is_answered = is_open && self.status < 300 && !self.branches.may_have(branch) && is_of_accepted();
        is_answered.then(|| self.answer(look))
    }

    /// The caller acknowledges a refusal. Where only that was captured, it may be a challenge, which another try follows, unless
    /// other hops have told how the request was refused.
    fn was_refused(&mut self, look: &Look<'_>) -> Option<Step> {
        let branch = look.head.keys.branch;
        if self.branches.has_failed(branch) {
            return None;
        }
        self.branches.inferred(branch);
        self.progress = look.message.timestamp;
        let is_over = self.status >= 300
            && !asks_again(self.status)
            && !self.branches.are_pending()
            && !self.waits_for_digits();
        is_over.then(|| self.refuse(look))
    }

    /// It is answered, as far as a message tells: who gave up came too late.
    fn answer(&mut self, look: &Look<'_>) -> Step {
        self.forget_end_reason();
        (self.answered, self.is_answered) = (Some(look.message.timestamp), true);
        self.state = Some(CallState::Confirmed);
        Step::Answered
    }

    /// The request was sent anew, with another CSeq number.
    fn repeat(&mut self, look: &Look<'_>) {
        self.cseq = look.head.cseq;
        self.branch = look.head.keys.branch;
        // What the capture cut of a request that follows a challenge are the credentials, or what is behind them.
        let is_cut = look.head.faults.has(Faults::UNTERMINATED);
        self.has_credentials = look.head.credentials || is_cut && asks_again(self.status);
        self.progress = look.message.timestamp;
        self.sent_anew();
        self.branches.clear();
        if asks_again(self.status) {
            // Some give the next try a tag of its own.
            self.from_tag = look.head.keys.from_tag;
        }
        if !self.is_answered {
            self.forget_status();
        }
        if self.kind != Some(CallKind::Call) && self.state == Some(CallState::Ended) {
            self.state = Some(CallState::Calling);
            self.attempted = look.message.timestamp;
            self.result = None;
            self.end = None;
        }
    }

    /// Whose BYE a message is, or answers.
    pub(super) fn releaser(&self, look: &Look<'_>) -> EndedBy {
        if self.is_caller(look) { EndedBy::Caller } else { EndedBy::Callee }
    }

    fn bye(&mut self, look: &Look<'_>) -> Option<Step> {
        let by = self.releaser(look);
        if self.state == Some(CallState::Ended) {
            self.gave_up(look);
            self.hung_up_too(look, by);
            return None;
        }
        if self.signalling.invited && !self.is_answered && self.status == 0 {
            // It ends an early dialog (RFC 3261 15): the INVITE still has its answer, which is no 2xx where no other branch rings.
            self.signalling.answer_tags.leave(look.called_tag(self.from_tag));
            if self.signalling.answer_tags.are_left() {
                self.gives_up(look);
            }
            return None;
        }
        // Several have answered: who began the call keeps one of them (RFC 3261 13.2.2.4).
        let bye = (look.message.timestamp, by);
        if self.signalling.leaves_others(look.called_tag(self.from_tag), bye) {
            return None;
        }
        self.told.iter_mut().for_each(|told| told.end_reason = told.keep_reason(look));
        self.released();
        // A BYE whose call was not seen to be answered: the answer was not captured, or never came.
        let result = if self.is_answered || self.status == 0 { CallResult::Success } else { self.outcome() };
        Some(self.finish(look.message.timestamp, result, Some(by)))
    }

    fn response(&mut self, look: &Look<'_>, status: u16, reason: Span) -> Option<Step> {
        let head = look.head;
        if self.is_overtaken_by(look) {
            self.repeat(look);
        }
        // It had not failed: only what came of it took its time. Or it had, and how comes behind the ACK that told so.
        let is_late_word = self.timed_out && status > 100 && !asks_again(status)
            || status >= 300 && self.branches.is_inferred(head.keys.branch);
        if is_late_word && head.cseq_method == self.method && self.is_undone_by(look) {
            self.go_on(look.message.timestamp);
        }
        // An answer may come late, or on another branch than the one that was refused.
        let is_late = matches!(status, 200..=299) && self.is_undone_by(look);
        let is_own = head.cseq_method == self.method && (self.state != Some(CallState::Ended) || is_late);
        // What asks for another try comes from whom the call passes, not from whom it may reach.
        let is_answer = !head.to_tag.is_empty() && !asks_again(status) && status != TOO_FEW_DIGITS;
        // Somebody was called whose refusal is told behind the end, too.
        let is_for_invite = is_own || head.cseq_method == self.method && status >= 300;
        if is_for_invite && is_answer && self.method == Method::Invite && self.is_of_first(look) {
            self.signalling.answer_tags.know(head.keys.to_tag, matches!(status, 200..=299));
        }
        self.responded(look, status);
        if head.cseq_method == Method::Invite && !self.is_answered {
            self.branches.heard(head.keys.branch);
        }
        if head.cseq_method == Method::Bye && matches!(status, 200..=299) {
            return self.bye_accepted(look);
        }
        if head.cseq_method == Method::Cancel && matches!(status, 200..=299) {
            // It was sent, whether it was captured or not.
            self.cancels(look);
        }
        if !is_own {
            return None;
        }
        let now = look.message.timestamp;
        match status {
            0..=100 | EARLY_DIALOG_TERMINATED => None,
            101..=199 => {
                self.reconsider();
                self.rings_elsewhere(look);
                let is_first = self.ringing.is_none() && !self.is_answered;
                // The 200 may have overtaken it: who was answered does not begin to ring.
                let is_late = self.answered.is_some_and(|answered| now > answered);
                let (is_known, is_own) =
                    (self.ringing.is_some() || is_late, self.is_own_hop(look) && !is_late);
                if self.signalling.own_hop.decides(OwnHop::RINGING, is_known, is_own) {
                    self.ringing = Some(now);
                }
                if self.state == Some(CallState::Calling) {
                    self.state = Some(CallState::Ringing);
                }
                is_first.then_some(Step::Ringing)
            }
            _ if status >= 300 && self.is_of_fewer_digits(look) => None,
            // The challenge to a request that was sent anew since.
            401 | 407 if head.cseq != self.cseq && self.request_seen => None,
            200..=299 => self.success(look, status, reason),
            _ => self.failure(look, status, reason),
        }
    }

    /// A BYE that is accepted ends the call, whether it was captured or not.
    fn bye_accepted(&mut self, look: &Look<'_>) -> Option<Step> {
        if !self.is_answered {
            return None;
        }
        let step = self.bye(look);
        if step.is_some() {
            self.signalling.bye_was_not_captured();
        }
        step
    }

    /// What one branch was refused with is not the last word while another one rings after that.
    fn rings_elsewhere(&mut self, look: &Look<'_>) {
        let is_refused = self.status >= 300 && !asks_again(self.status) && self.status != TOO_FEW_DIGITS;
        let is_of_try = || look.head.cseq == self.cseq && !self.branches.has_failed(look.head.keys.branch);
        if is_refused && !self.is_answered && is_of_try() {
            self.forget_status();
        }
    }

    /// Whether a response tells of a request that was sent anew and comes after it: captures of several queues or cards have
    /// such an order.
    fn is_overtaken_by(&self, look: &Look<'_>) -> bool {
        let is_later =
            look.head.cseq > self.cseq && look.head.cseq_method == self.method && self.request_seen;
        // Who answers challenges on the way has numbers of his own there.
        let is_open = || {
            self.kind != Some(CallKind::Call)
                || !self.is_answered
                    && self.state != Some(CallState::Ended)
                    && self.is_beginner(look.message.destination)
        };
        is_later && is_open()
    }

    /// Whether a response answers the latest INVITE on the hop over which that was first seen: the one from the caller, as a
    /// capture that sees several knows it. Its branch is the request's (RFC 3261 17.1.3); where a fork gave the caller
    /// several branches, the others come back to it as well.
    pub(super) fn is_own_hop(&self, look: &Look<'_>) -> bool {
        self.is_first_invite(look)
            && (look.head.keys.branch == self.branch || look.message.destination == self.source)
    }

    /// Whether a response, to a request of any method, goes to who began the dialog.
    fn is_for_caller(&self, look: &Look<'_>) -> bool {
        self.is_own_branch(look.head.keys.branch) || look.message.destination == self.source
    }

    /// Whether who began the dialog sent the latest request, or the latest INVITE to one of several ends, on that branch. A proxy may
    /// have been seen to send it anew first.
    fn is_own_branch(&self, branch: u64) -> bool {
        self.branches.are_ours(branch) || branch == self.branch && !self.branches.was_sent(branch)
    }

    fn success(&mut self, look: &Look<'_>, status: u16, reason: Span) -> Option<Step> {
        let (is_known, is_own) = (self.is_answered, self.is_own_hop(look));
        let decides = self.signalling.own_hop.decides(OwnHop::ANSWERED, is_known, is_own);
        if self.is_answered {
            // Next hops had told of it before the caller heard.
            if decides && self.answered.is_some() {
                self.answered = Some(look.message.timestamp);
            }
            // The ACK may have overtaken it.
            if self.status == 0 && self.answered.is_some() && self.is_first_invite(look) {
                self.take_status(look, status, reason);
            }
            return None;
        }
        self.take_status(look, status, reason);
        let now = look.message.timestamp;
        if self.kind != Some(CallKind::Call) {
            return Some(self.finish(now, CallResult::Success, None));
        }
        self.begin_again(now);
        Some(self.answer(look))
    }

    fn take_status(&mut self, look: &Look<'_>, status: u16, reason: Span) {
        self.status = status;
        self.told.iter_mut().for_each(|told| told.reason = told.keep(reason.of(look.bytes)));
    }

    fn forget_status(&mut self) {
        self.status = 0;
        self.told.iter_mut().for_each(|told| told.reason = Span::default());
    }

    fn forget_end_reason(&mut self) {
        self.told.iter_mut().for_each(|told| told.end_reason = Span::default());
    }

    /// Why it ends, a message says, unless one before it has.
    fn keep_first_end_reason(&mut self, look: &Look<'_>) {
        let told = self.told.iter_mut().filter(|told| told.end_reason.is_empty());
        told.for_each(|told| told.end_reason = told.keep_reason(look));
    }

    fn failure(&mut self, look: &Look<'_>, status: u16, reason: Span) -> Option<Step> {
        if self.is_answered {
            return None;
        }
        let is_challenge = matches!(status, 401 | 407);
        self.branches.failed(look.head.keys.branch);
        // The caller's own hop decides, the last of its branches; what a proxy hears from the next one is a hint until then.
        let decides = !self.request_seen || self.is_for_caller(look) && !self.branches.are_pending();
        if self.status == 0 || decides {
            self.take_status(look, status, reason);
        }
        // Neither is the last word: the request comes anew, with credentials or with a longer session (RFC 4028 7.3).
        if is_challenge {
            self.note_challenge(look);
        }
        self.challenged |= is_challenge;
        if asks_again(status) || !decides || self.waits_for_digits() {
            self.progress = look.message.timestamp;
            return None;
        }
        let is_cancelled = self.outcome() == CallResult::Cancelled;
        if let Some(told) = &mut self.told {
            let reason = told.keep_reason(look);
            if !reason.is_empty() || !is_cancelled {
                told.end_reason = reason;
            }
        }
        Some(self.refuse(look))
    }

    /// The request was refused, as a message tells.
    fn refuse(&mut self, look: &Look<'_>) -> Step {
        let result = self.outcome();
        let by = match result {
            CallResult::Failed if self.status == REQUEST_TERMINATED => self.terminated_by(),
            _ => ended_by(result),
        };
        self.finish(look.message.timestamp, result, Some(by))
    }

    /// Who made the 487 that it ended with, where who called did not.
    fn terminated_by(&self) -> EndedBy {
        if self.branches.is_one_cancelled() { EndedBy::Network } else { EndedBy::Callee }
    }

    /// What the status code so far makes of an attempt that was not answered.
    fn outcome(&self) -> CallResult {
        if self.kind != Some(CallKind::Call) {
            return if self.status == 0 { CallResult::Timeout } else { CallResult::Failed };
        }
        match self.status {
            0 if self.cancelled => CallResult::Cancelled,
            // How it was refused was not captured.
            0 if self.branches.have_failed() => CallResult::Failed,
            0 | 408 => CallResult::Timeout,
            200..=299 => CallResult::Success,
            300..=399 => CallResult::Redirected,
            REQUEST_TERMINATED if self.cancelled || self.branches.are_cancelled() || !self.request_seen => {
                CallResult::Cancelled
            }
            486 | 600 | 603 => CallResult::Busy,
            _ => CallResult::Failed,
        }
    }

    fn finish(&mut self, now: Timestamp, result: CallResult, by: Option<EndedBy>) -> Step {
        self.state = Some(CallState::Ended);
        self.result = Some(result);
        self.end = Some(now);
        self.ended_by = by;
        Step::Ended
    }

    /// A packet of it was captured then.
    pub(crate) fn hear(&mut self, at: Timestamp) {
        self.last = later(self.last, at);
    }

    /// For how long the tracker need not look at the dialog, should nothing more come, and since which stamp.
    #[inline]
    pub(crate) fn waits(&self, idle_timeout: Duration) -> (Timestamp, Duration) {
        match self.state {
            Some(CallState::Ended) => (self.last, self.linger(idle_timeout)),
            Some(CallState::Confirmed)
                if self.signalling.left().is_some() && !self.signalling.was_left_at_once() =>
            {
                (self.last, TRANSACTION_TIMEOUT)
            }
            Some(CallState::Confirmed) => (self.last, idle_timeout),
            Some(CallState::Ringing | CallState::Calling) | None => (self.progress, self.patience()),
        }
    }

    /// How long an attempt may go nowhere.
    fn patience(&self) -> Duration {
        if self.waits_for_digits() {
            return DIGITS_TIMEOUT;
        }
        let is_under_way = matches!(self.kind, Some(CallKind::Call)) && self.signalling.responded;
        match self.state {
            _ if !is_under_way || self.cancelled => TRANSACTION_TIMEOUT,
            // Once all that rang were refused, the caller would have heard of it.
            Some(CallState::Ringing) if self.status < 300 || self.branches.ring_on() => RINGING_TIMEOUT,
            _ => PROCEEDING_TIMEOUT,
        }
    }

    /// Media flowed at that time: something goes on before the answer.
    pub(crate) fn hear_media(&mut self, at: Timestamp) {
        self.hear(at);
        if !self.cancelled && !self.waits_for_digits() {
            self.progress = later(self.progress, at);
        }
    }

    /// Whether it is a call that is up. Two bytes are looked at: this is asked for every message.
    #[inline]
    pub(crate) fn activity(&self) -> Option<Activity> {
        match (self.kind, self.state) {
            (Some(CallKind::Call), Some(CallState::Calling | CallState::Ringing)) => Some(Activity::Early),
            (Some(CallKind::Call), Some(CallState::Confirmed)) => Some(Activity::Confirmed),
            _ => None,
        }
    }

    /// How long an ended dialog waits for what still belongs to it. A subscription lives on between its NOTIFYs, that of a transfer too.
    fn linger(&self, idle_timeout: Duration) -> Duration {
        match self.kind {
            Some(CallKind::Subscription) => idle_timeout.min(Duration::from_secs(3600)),
            _ => TRANSACTION_TIMEOUT.saturating_add(self.transfer_may_take()),
        }
    }

    /// Its time is over without a final word: the attempt timed out, or the call went silent.
    pub(crate) fn time_out(&mut self, idle_timeout: Duration) -> Option<Step> {
        if self.state == Some(CallState::Ended) {
            return None;
        }
        let goes_on = |at| self.signalling.was_left_at_once() && self.last.since(at) >= SOON;
        if let Some((at, by)) = self.signalling.left().filter(|(at, _)| self.is_answered && !goes_on(*at)) {
            // Whoever else had answered was never heard of again: it was the BYE of the call.
            self.signalling.released = true;
            return Some(self.finish(at, CallResult::Success, Some(by)));
        }
        if self.is_answered {
            // It ended when it was last heard of, not when that was long enough ago.
            return Some(self.finish(self.last, CallResult::Success, Some(EndedBy::Network)));
        }
        let result = self.outcome();
        self.timed_out = true;
        if result != CallResult::Cancelled {
            self.forget_end_reason();
        }
        let by = Some(ended_by(result));
        // A challenge that nobody met, a refusal that another end might have made good, or one that was not captured.
        if self.status >= 300 || self.branches.have_failed() {
            return Some(self.finish(self.progress, result, by));
        }
        let (since, time) = self.waits(idle_timeout);
        Some(self.finish(since.after(time), result, by))
    }

    /// Nothing more of it comes, the input is over or its Call-ID is another call's: a call of which nothing was heard since a BYE of
    /// it has ended with that, an attempt that waits for digits with what asked for them, and one that was sent for the last time
    /// without an answer.
    pub(crate) fn conclude(&mut self, idle_timeout: Duration) -> Option<Step> {
        if self.waits_for_digits() || self.is_sent_in_vain(idle_timeout) {
            return self.time_out(idle_timeout);
        }
        let (at, _) = self.signalling.left()?;
        (self.last.since(at) < SOON).then(|| self.time_out(idle_timeout)).flatten()
    }

    /// Whether all has been sent that has no answer: the request, or what gave it up.
    fn is_sent_in_vain(&self, idle_timeout: Duration) -> bool {
        let (since, time) = self.waits(idle_timeout);
        matches!(self.state, Some(CallState::Calling | CallState::Ringing))
            && time == TRANSACTION_TIMEOUT
            && self.last.since(since) >= ALL_SENT
    }

    /// Whether it answers an INVITE that was to begin the dialog. Who answers a leg with another tag answers whoever sent that.
    fn is_of_first(&self, look: &Look<'_>) -> bool {
        !self.is_answered && !self.signalling.is_of_leg(look.head.keys.from_tag) || self.is_first_invite(look)
    }

    /// What flows were like that were others' before it ended.
    pub(super) fn archived(&self) -> Option<&CallMedia> {
        self.media.as_ref().map(|media| &media.archived)
    }

    /// Remembers the codecs of a section that may have media.
    pub(crate) fn note_codecs(&mut self, media: &Media) {
        let Some(told) = &mut self.told else { return };
        media.formats.iter().for_each(|format| told.note_codec(format.name));
        if matches!(media.kind, MediaKind::Image) {
            told.note_codec(CodecName::new(b"t38"));
        }
    }

    /// Whether the request that a message is, or answers, is from who began the dialog.
    pub(super) fn is_caller(&self, look: &Look<'_>) -> bool {
        let tag = look.head.keys.from_tag;
        tag == self.from_tag || self.signalling.is_of_leg(tag)
    }

    /// Keeps text for who is told of it; nothing where nobody is.
    pub(super) fn keep(&mut self, value: &[u8]) -> Span {
        self.told.as_mut().map(|told| told.keep(value)).unwrap_or_default()
    }

    /// Fetches what any message will need.
    #[inline]
    fn touch(&self) {
        fetch(&self.hash);
        fetch(&self.status);
        self.seen.touch();
        self.signalling.touch();
    }

    /// Fetches what this message will need: answers and BYE change its times, descriptions of
    /// media what it announced.
    #[inline]
    pub(super) fn touch_for(&self, message: &Message) {
        self.touch();
        match message.head.start {
            StartLine::Request { method: Method::Invite, .. } => {
                fetch(&self.branches);
                fetch(&self.source);
            }
            StartLine::Request { method: Method::Bye, .. } => {
                fetch(&self.start);
                fetch(&self.end);
                fetch(&self.endpoints);
            }
            StartLine::Response { .. } => {
                fetch(&self.branches);
                fetch(&self.answered);
            }
            StartLine::Request { .. } => {}
        }
        let (first, end) = message.media;
        if first != end {
            self.touch_announced();
        }
    }

    /// Fetches what it announced.
    #[inline]
    fn touch_announced(&self) {
        fetch(&self.formats);
        fetch(&self.endpoints);
        fetch(&self.media);
    }

    /// Whether it is the one that an entry of the wheel, or a [`CallRef`](crate::media::CallRef), of that generation was made for.
    pub(super) const fn is_of(&self, generation: u32) -> bool {
        self.in_use && self.generation == generation
    }

    /// Fetches all of it: the dialog is about to be closed, or to make room for another.
    #[inline]
    pub(crate) fn touch_all(&self) {
        self.touch();
        self.touch_announced();
        fetch(&self.start);
        fetch(&self.answered);
    }

    /// What [`Self::keep`] kept.
    pub(super) fn kept(&self, span: Span) -> &[u8] {
        self.told.as_ref().map(|told| told.kept(span)).unwrap_or_default()
    }

    /// Whether a request was seen, and not only answers.
    pub(super) const fn request_seen(&self) -> bool {
        self.request_seen
    }

    fn told(&self, span: impl Fn(&Told) -> Span) -> &[u8] {
        self.told.as_ref().map(|told| told.kept(span(told))).unwrap_or_default()
    }

    pub(crate) fn call_id(&self) -> &[u8] {
        self.told(|told| told.call_id)
    }

    pub(crate) fn from(&self) -> &[u8] {
        self.told(|told| told.from)
    }

    pub(crate) fn to(&self) -> &[u8] {
        self.told(|told| told.to)
    }

    pub(crate) fn request_uri(&self) -> &[u8] {
        self.told(|told| told.request_uri)
    }

    pub(crate) fn token(&self) -> &[u8] {
        self.told(|told| told.token)
    }

    pub(crate) fn reason(&self) -> &[u8] {
        self.told(|told| told.reason)
    }

    pub(crate) fn end_reason(&self) -> &[u8] {
        self.told(|told| told.end_reason)
    }

    pub(crate) fn agents(&self) -> impl Iterator<Item = &[u8]> {
        self.told.iter().flat_map(|told| told.agents())
    }

    pub(crate) fn codecs(&self) -> &[CodecName] {
        self.told.as_ref().map(|told| told.codecs()).unwrap_or_default()
    }
}

/// The later of two packets' stamps, of which one is known longer. Where stamps went back, the later packet has the earlier.
fn later(known: Timestamp, at: Timestamp) -> Timestamp {
    if known.since(at) > WILD_JUMP { at } else { known.max(at) }
}

/// Whether a REGISTER takes bindings away: it asks for no time, in its own field or in that of its first contact.
fn unregisters(look: &Look<'_>) -> bool {
    let contact = NameAddress::parse(first_value(look.head.contact.of(look.bytes)));
    parameter(contact.parameters, b"expires").unwrap_or(look.head.expires.of(look.bytes)) == b"0"
}

/// Who ended an attempt that came to that.
const fn ended_by(result: CallResult) -> EndedBy {
    match result {
        CallResult::Cancelled => EndedBy::Caller,
        CallResult::Timeout => EndedBy::Network,
        _ => EndedBy::Callee,
    }
}

const fn kind_of(method: Method) -> CallKind {
    match method {
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Prack
        | Method::Update
        | Method::Info
        | Method::Refer => CallKind::Call,
        Method::Register => CallKind::Registration,
        Method::Options => CallKind::Options,
        Method::Subscribe | Method::Notify => CallKind::Subscription,
        Method::Message => CallKind::Message,
        Method::Publish | Method::Other => CallKind::Other,
    }
}
