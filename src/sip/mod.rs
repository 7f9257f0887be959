//! SIP on the wire: framing, message heads, SDP (RFC 3261, 4566, 7118).
//!
//! In: datagrams, and ordered pieces of TCP streams. Out: [`Message`]s, parsed in place.

mod framer;
mod head;
mod message;
mod method;
mod parse;
pub mod sdp;
mod stream;
pub mod uri;
pub mod websocket;

pub use framer::{Frame, Framer, Probe, is_sip_datagram, probe};
pub use head::{ContentLength, Faults, Head, Method, Span, StartLine};
pub use message::{Carriage, FrameHeader, Message, Messages, Share, SipTransport};
pub use stream::{SipStream, StreamCounters, StreamEnd, StreamSettings};
