//! What is kept of a dialog for those who are told of it later than when it begins: in records, events and answers to
//! questions. Where nobody is, there is none of it.

use smallvec::SmallVec;

use super::dialog::Look;
use crate::sip::header::{Name, values};
use crate::sip::sdp::CodecName;
use crate::sip::{Span, StartLine};

/// Text kept per dialog; a header longer than its share is cut.
const MAX_TEXT: usize = 16 * 1024;

/// Text of a usual dialog.
const USUAL_TEXT: usize = 384;

/// Longest text kept of one header field.
pub(super) const MAX_VALUE: usize = 1024;

/// Different User-Agent values and codecs kept. Phones offer up to about 20; a call that is forked has the agents of all branches.
const MAX_KINDS: usize = 32;

/// Reason values kept of a message.
const MAX_REASONS: usize = 8;

/// Text of a dialog, and what only a record of it says.
#[derive(Debug, Default)]
pub(super) struct Told {
    text: Vec<u8>,
    pub(super) call_id: Span,
    pub(super) from: Span,
    pub(super) to: Span,
    pub(super) request_uri: Span,
    pub(super) token: Span,
    pub(super) reason: Span,
    pub(super) end_reason: Span,
    /// User-Agent and Server values, and the low bits of their hashes.
    agents: SmallVec<[(Span, u32); 2]>,
    codecs: SmallVec<[CodecName; 4]>,
}

impl Told {
    /// Empties it for the next dialog, with its memory.
    pub(super) fn reset(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        // Call-ID, two URIs, a tag, a request URI and a User-Agent: one allocation instead of six.
        text.reserve(USUAL_TEXT);
        *self = Self { text, ..Self::default() };
    }

    /// Keeps what the first message of a dialog says.
    pub(super) fn begin(&mut self, look: &Look<'_>) {
        let head = look.head;
        self.call_id = self.keep(head.call_id.of(look.bytes));
        self.from = self.keep(head.from_uri.of(look.bytes));
        self.to = self.keep(head.to_uri.of(look.bytes));
        match head.start {
            StartLine::Request { .. } => self.keep_request(look),
            StartLine::Response { .. } => self.token = self.keep(head.cseq_token.of(look.bytes)),
        }
    }

    /// Keeps what a request asks for.
    pub(super) fn keep_request(&mut self, look: &Look<'_>) {
        if let StartLine::Request { token, uri, .. } = look.head.start {
            self.token = self.keep(token.of(look.bytes));
            self.request_uri = self.keep(uri.of(look.bytes));
        }
    }

    /// Keeps whom an INVITE with more digits is for.
    pub(super) fn dial_further(&mut self, look: &Look<'_>) {
        if let StartLine::Request { uri, .. } = look.head.start {
            self.request_uri = self.keep(uri.of(look.bytes));
        }
        self.to = self.keep(look.head.to_uri.of(look.bytes));
    }

    /// All Reason fields of a message, as one list.
    pub(super) fn keep_reason(&mut self, look: &Look<'_>) -> Span {
        if look.head.reason.is_empty() {
            return Span::default();
        }
        let all: Vec<&[u8]> = values(look.bytes, Name::Reason).take(MAX_REASONS).collect();
        self.keep(&all.join(&b", "[..]))
    }

    /// Remembers who sent a message.
    pub(super) fn note_agent(&mut self, look: &Look<'_>) {
        let is_known = self.agents.iter().any(|(_, hash)| *hash == look.head.keys.agent);
        if !is_known && self.agents.len() < MAX_KINDS {
            let span = self.keep(look.head.agent.of(look.bytes));
            self.agents.push((span, look.head.keys.agent));
        }
    }

    /// Remembers an announced codec.
    pub(super) fn note_codec(&mut self, codec: CodecName) {
        if !codec.is_empty() && self.codecs.len() < MAX_KINDS && !self.codecs.contains(&codec) {
            self.codecs.push(codec);
        }
    }

    pub(super) fn keep(&mut self, value: &[u8]) -> Span {
        let room = MAX_TEXT.saturating_sub(self.text.len()).min(MAX_VALUE);
        let value = value.get(..room).unwrap_or(value);
        let span = Span { start: self.text.len() as u32, length: value.len() as u32 };
        self.text.extend_from_slice(value);
        span
    }

    /// What [`Self::keep`] kept.
    pub(super) fn kept(&self, span: Span) -> &[u8] {
        span.of(&self.text)
    }

    pub(super) fn agents(&self) -> impl Iterator<Item = &[u8]> {
        self.agents.iter().map(|(span, _)| self.kept(*span))
    }

    pub(super) fn codecs(&self) -> &[CodecName] {
        &self.codecs
    }
}
