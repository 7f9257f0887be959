//! SIP on the wire: framing, message heads, SDP (RFC 3261, 4566, 7118).
//!
//! In: datagrams, and ordered pieces of TCP streams. Out: [`Message`]s, parsed in place: a [`Head`] holds places in
//! the message, nothing is copied.
//!
//! What a sender got wrong is noted in [`Faults`] and otherwise forgiven, as long as there is a start line; a message
//! out of the wire is never refused for its header fields. Values are untrusted bytes: who shows them escapes them.
//!
//! Absent on purpose: transactions and dialogs (see [`crate::call`]), building messages, decoding of escapes, and
//! whatever header field nobody above asks for.

mod cut;
mod framer;
mod head;
pub mod header;
mod keys;
mod media_type;
mod message;
mod method;
mod multipart;
mod payload;
mod plain;
pub mod sdp;
mod search;
mod start_line;
pub mod status;
mod stream;
#[cfg(test)]
mod torture;
pub mod uri;
pub mod websocket;

pub use cut::certain;
pub use framer::{Frame, Framer, Probe, is_sip_datagram, may_begin_sip, probe, sip_datagram};
pub use head::{ContentLength, Faults, Head, Rare, Span};
pub use keys::{Keys, call_id_key};
pub use media_type::is_media_type;
pub use message::{Carriage, FrameHeader, Message, Messages, Share, SipTransport};
pub use method::Method;
pub use start_line::{Glimpse, StartLine, asks_again, line_ends};
pub use stream::{SipStream, StreamCounters, StreamEnd, StreamSettings, may_resume};
