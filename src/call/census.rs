//! Counts of everything that was seen: messages by what they are, calls by how they ended.

use std::collections::BTreeMap;

use super::bindings::BindingCounts;
use super::distinct::Distinct;
use super::performance::Performance;
use super::record::CallResult;
use crate::sip::{Faults, Message, Method, SipTransport, StartLine};

/// Methods outside the registry that are counted by name, and the longest name.
const MAX_OTHER_METHODS: usize = 64 - Method::REGISTERED.len();
const MAX_METHOD_NAME: usize = 64;

/// What was seen of SIP and of calls.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Whole messages, retransmissions and second captures too.
    pub messages: u64,
    methods: [u64; Method::REGISTERED.len()],
    other_methods: BTreeMap<Vec<u8>, u64>,
    too_many_methods: u64,
    /// Responses by status code.
    responses: ByStatus,
    /// Messages by transport, in the order of [`SipTransport::ALL`].
    pub transports: [u64; SipTransport::ALL.len()],
    /// Messages sent again.
    pub retransmissions: u64,
    /// Messages captured again.
    pub duplicates: u64,
    /// Messages that break RFC 3261 and were taken all the same.
    pub malformed: u64,
    /// Messages shorter than their Content-Length.
    pub truncated: u64,
    /// Datagrams with bytes after their body.
    pub extra_bytes: u64,
    /// Messages without a Call-ID: counted, but part of no call.
    pub without_call_id: u64,
    /// Messages with a session description.
    pub with_sdp: u64,
    /// Of these, messages whose description has no media that can be read: packed ones (Content-Encoding, RFC 3261 20.12), and
    /// parts in a Content-Transfer-Encoding.
    pub sdp_without_media: u64,
    call_ids: Distinct,
    /// Calls that began.
    pub calls: u64,
    /// Calls that are over and that the user wants, as the filter has it.
    pub kept: u64,
    /// Calls that were answered.
    pub answered: u64,
    /// Calls by result, in the order of [`CallResult::ALL`].
    pub results: [u64; CallResult::ALL.len()],
    /// REGISTER dialogs.
    pub registrations: u64,
    /// Dialogs that went because the table was full.
    pub evicted: u64,
    /// Legs that were not joined, or not looked for, because a table was full.
    pub legs_dropped: u64,
    /// Streams that records do not tell of, as they had too many; those that their flow had too many of aside.
    pub streams_left_out: u64,
    /// Media endpoints that had no room in their dialog, or had to give way although they may still have been in use.
    pub endpoints_left_out: u64,
    /// How well calls and registrations are set up.
    pub performance: Performance,
    /// What became of bindings.
    pub bindings: BindingCounts,
}

impl Census {
    /// Counts a message.
    pub(crate) fn message(&mut self, message: &Message, bytes: &[u8]) {
        self.messages += 1;
        if let Some(count) = self.transports.get_mut(message.transport as usize) {
            *count += 1;
        }
        match message.head.start {
            StartLine::Request { method, token, .. } => self.request(method, token.of(bytes)),
            StartLine::Response { status, .. } => self.responses.count(status),
        }
        let faults = message.head.faults;
        let mut harmless = Faults::EXTRA_BYTES;
        harmless.add(Faults::TRUNCATED);
        self.malformed += u64::from(faults.0 & !harmless.0 != 0);
        self.truncated += u64::from(faults.has(Faults::TRUNCATED));
        self.extra_bytes += u64::from(faults.has(Faults::EXTRA_BYTES));
        self.with_sdp += u64::from(message.sdp);
        self.sdp_without_media += u64::from(message.sdp && message.media.0 == message.media.1);
        self.without_call_id += u64::from(message.head.call_id.is_empty());
    }

    fn request(&mut self, method: Method, token: &[u8]) {
        if let Some(count) = self.methods.get_mut(method as usize) {
            *count += 1;
        } else if let Some(count) = self.other_methods.get_mut(token) {
            *count += 1;
        } else if token.len() <= MAX_METHOD_NAME && self.other_methods.len() < MAX_OTHER_METHODS {
            self.other_methods.insert(token.to_vec(), 1);
        } else {
            self.too_many_methods += 1;
        }
    }

    /// Responses by status code, those that were seen.
    #[must_use]
    pub fn responses(&self) -> BTreeMap<u16, u64> {
        let counts = (0..).zip(&self.responses.0);
        counts.filter(|(_, count)| **count > 0).map(|(status, &count)| (status, count)).collect()
    }

    /// Requests by method as sent, those that were seen.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        let registered = Method::REGISTERED.iter().zip(&self.methods);
        let registered = registered.map(|(method, &count)| (method.name().to_owned(), count));
        let others = self.other_methods.iter();
        let others = others.map(|(token, &count)| (String::from_utf8_lossy(token).into_owned(), count));
        let rest = [("OTHER".to_owned(), self.too_many_methods)];
        let mut requests = BTreeMap::new();
        for (method, count) in registered.chain(others).chain(rest).filter(|(_, count)| *count > 0) {
            *requests.entry(method).or_default() += count;
        }
        requests
    }

    /// The counts alone, without what is needed to count on: small, however many calls there were.
    #[must_use]
    pub(crate) fn counts(&self) -> Self {
        let call_ids = Distinct::counted(self.call_ids());
        Self {
            messages: self.messages,
            methods: self.methods,
            other_methods: self.other_methods.clone(),
            too_many_methods: self.too_many_methods,
            responses: self.responses.clone(),
            transports: self.transports,
            retransmissions: self.retransmissions,
            duplicates: self.duplicates,
            malformed: self.malformed,
            truncated: self.truncated,
            extra_bytes: self.extra_bytes,
            without_call_id: self.without_call_id,
            with_sdp: self.with_sdp,
            sdp_without_media: self.sdp_without_media,
            call_ids,
            calls: self.calls,
            kept: self.kept,
            answered: self.answered,
            results: self.results,
            registrations: self.registrations,
            evicted: self.evicted,
            legs_dropped: self.legs_dropped,
            streams_left_out: self.streams_left_out,
            endpoints_left_out: self.endpoints_left_out,
            performance: self.performance.clone(),
            bindings: self.bindings,
        }
    }

    pub(crate) fn call_id(&mut self, hash: u64) {
        self.call_ids.add(hash);
    }

    /// Different Call-IDs, and whether the number is an estimate.
    #[must_use]
    pub fn call_ids(&self) -> (u64, bool) {
        self.call_ids.count()
    }

    pub(crate) fn result(&mut self, result: CallResult) {
        if let Some(count) = self.results.get_mut(result as usize) {
            *count += 1;
        }
    }
}

/// Counts by status code: three digits.
#[derive(Clone, Debug)]
struct ByStatus(Box<[u64]>);

impl Default for ByStatus {
    fn default() -> Self {
        Self(vec![0; 1000].into_boxed_slice())
    }
}

impl ByStatus {
    #[inline]
    fn count(&mut self, status: u16) {
        self.0.get_mut(usize::from(status)).into_iter().for_each(|count| *count += 1);
    }
}
