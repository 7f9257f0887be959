//! SIP on the wire: framing, message heads, SDP (RFC 3261, 4566, 7118).
//!
//! In: datagrams, and ordered pieces of TCP streams. Out: [`Message`]s, parsed in place.

pub mod header;
pub mod payload;
pub mod sdp;
pub mod status;
pub mod uri;
pub mod websocket;
mod framer;
mod head;
mod message;
mod method;
mod multipart;
mod start_line;

pub use framer::{Frame, Framer, Probe, is_sip_datagram, probe};
pub use head::{ContentLength, Faults, Head, Span};
pub use message::{Carriage, Message, Messages, Share, SipTransport};
pub use method::Method;
pub use start_line::StartLine;
