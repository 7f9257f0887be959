//! What a message's start line and header fields say, as places in the message.

use std::fmt;

/// A range of bytes of a message: offset and length. Empty when the thing is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset from the message's first byte.
    pub start: u32,
    /// Length in bytes.
    pub length: u32,
}

impl Span {
    /// The bytes in `message`; empty should they lie outside.
    #[must_use]
    #[inline]
    pub fn of(self, message: &[u8]) -> &[u8] {
        let start = self.start as usize;
        message.get(start..start.saturating_add(self.length as usize)).unwrap_or_default()
    }

    /// Whether the thing is absent (or present and empty).
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.length == 0
    }
}

/// A request method: those of the IANA registry, or any other token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are those of the registry")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Register,
    Options,
    Prack,
    Subscribe,
    Notify,
    Publish,
    Info,
    Refer,
    Message,
    Update,
    /// Not in the registry: the token stands in the message.
    #[default]
    Other,
}

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine {
    /// `METHOD URI SIP/2.0`
    Request {
        /// The method.
        method: Method,
        /// The method as sent.
        token: Span,
        /// The request URI.
        uri: Span,
    },
    /// `SIP/2.0 CODE REASON`
    Response {
        /// Status code, 100 to 699 in conforming messages; any three digits are taken.
        status: u16,
        /// Reason phrase.
        reason: Span,
    },
}

/// The Content-Length header field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentLength {
    /// Not there.
    #[default]
    Missing,
    /// Not a number, or several that disagree.
    Invalid,
    /// As given.
    Given(u64),
}

/// What is wrong with a message that was still taken.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults(pub u16);

impl Faults {
    /// Content-Length is not a number or contradicts itself.
    pub const CONTENT_LENGTH: Self = Self(1);
    /// A datagram is shorter than its Content-Length says.
    pub const TRUNCATED: Self = Self(1 << 1);
    /// A datagram has bytes after its body; they are ignored (RFC 3261 18.3).
    pub const EXTRA_BYTES: Self = Self(1 << 2);
    /// No Call-ID.
    pub const NO_CALL_ID: Self = Self(1 << 3);
    /// No CSeq, or one that is not a number (below 2^31) and a method.
    pub const CSEQ: Self = Self(1 << 4);
    /// The CSeq method is not the request's.
    pub const CSEQ_METHOD: Self = Self(1 << 5);
    /// No Via, From or To.
    pub const MISSING_HEADER: Self = Self(1 << 6);
    /// The header section is not closed by an empty line.
    pub const UNTERMINATED: Self = Self(1 << 7);
    /// The start line breaks the grammar (RFC 4475 3.1.2).
    pub const START_LINE: Self = Self(1 << 8);
    /// From, To or another header breaks the grammar.
    pub const HEADER: Self = Self(1 << 9);

    /// Whether any of `other`'s faults is here.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds a fault.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faults({:#x})", self.0)
    }
}

/// A parsed message head. All spans are relative to the message's first byte. Where a header field may stand
/// several times, the span is that of the first value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub start: StartLine,
    /// Call-ID.
    pub call_id: Span,
    /// The whole From value.
    pub from: Span,
    /// The URI in From, without brackets and header parameters.
    pub from_uri: Span,
    /// The tag parameter of From.
    pub from_tag: Span,
    /// The whole To value.
    pub to: Span,
    /// The URI in To.
    pub to_uri: Span,
    /// The tag parameter of To.
    pub to_tag: Span,
    /// The topmost Via value.
    pub via: Span,
    /// The branch parameter of the topmost Via.
    pub branch: Span,
    /// CSeq number.
    pub cseq: u32,
    /// CSeq method.
    pub cseq_method: Method,
    /// CSeq method as sent.
    pub cseq_token: Span,
    /// The first Contact value.
    pub contact: Span,
    /// User-Agent, or else Server.
    pub agent: Span,
    /// Reason (RFC 3326).
    pub reason: Span,
    /// P-Asserted-Identity (RFC 3325).
    pub asserted: Span,
    /// Content-Type.
    pub content_type: Span,
    /// Expires.
    pub expires: Span,
    /// Authorization or Proxy-Authorization is there.
    pub credentials: bool,
    /// Content-Length.
    pub content_length: ContentLength,
    /// The body, as far as it is there.
    pub body: Span,
    /// What is wrong with the message.
    pub faults: Faults,
}
