//! SIP on the wire: framing, message heads, SDP (RFC 3261, 4566, 7118).
//!
//! In: datagrams, and ordered pieces of TCP streams. Out: [`Message`]s, parsed in place.

mod head;
mod message;
pub mod sdp;

pub use head::{ContentLength, Faults, Head, Method, Span, StartLine};
pub use message::{Carriage, Message, Messages, Share, SipTransport};
