//! Messages as the stream worker hands them on.

use smallvec::SmallVec;

use crate::capture::LinkType;
use crate::flow::Endpoint;
use crate::pipeline::{Bytes, Place};
use crate::reassembly::Space;
use crate::sip::Head;
use crate::sip::header::via;
use crate::sip::sdp::{Media, Sections};
use crate::sip::stream::{Partial, StreamCounters, StreamEnd, StreamSettings};
use crate::time::Timestamp;
use crate::tls;

/// What carried a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are those of RFC 3261 and 7118")]
pub enum SipTransport {
    #[default]
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
    Sctp,
}

impl SipTransport {
    /// All of them, in the order of the summary.
    pub const ALL: [Self; 6] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss, Self::Sctp];

    /// The name used in summaries and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Sctp => "sctp",
        }
    }

    /// The one over TLS that a Via value names (RFC 3261 20.42, RFC 7118 5): plain TLS where it names none.
    #[must_use]
    pub fn over_tls(value: &[u8]) -> Self {
        match via(value) {
            Some((name, _)) if name.eq_ignore_ascii_case(b"WS") => Self::Ws,
            Some((name, _)) if name.eq_ignore_ascii_case(b"WSS") => Self::Wss,
            _ => Self::Tls,
        }
    }
}

/// One SIP message, whole unless its end was not captured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message {
    /// Number of the packet that completed it.
    pub sequence: u64,
    /// Time of that packet.
    pub timestamp: Timestamp,
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// What carried it.
    pub transport: SipTransport,
    /// Its bytes, start line to end of body.
    pub bytes: Bytes,
    /// Its head.
    pub head: Head,
    /// Its media descriptions: from the first to before the second index of [`Messages::media`].
    pub media: (u32, u32),
    /// It has a session description.
    pub sdp: bool,
    /// It is a message that was told before as far as it had come, and is whole now.
    pub completes: bool,
    /// How it travelled, for those who write it down again.
    pub carriage: Carriage,
}

impl Default for Carriage {
    fn default() -> Self {
        Self::Frame(0)
    }
}

impl Message {
    /// Number of the connection that carried it; 0 for a datagram.
    #[must_use]
    pub const fn connection(&self) -> u64 {
        match self.carriage {
            Carriage::Stream { connection, .. } => connection,
            Carriage::Frame(_) | Carriage::Datagram(_) => 0,
        }
    }

    /// Whether it came, or will come, in the stream of the other side of a firewall, too.
    #[must_use]
    pub const fn is_of_both_sides(&self) -> bool {
        matches!(self.carriage, Carriage::Stream { both_sides: true, .. })
    }
}

/// How a message travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// Alone in the frame of that index in the batch.
    Frame(u32),
    /// In the fragments of the reassembled datagram of that index in the batch.
    Datagram(u32),
    /// In a TCP stream, or in SCTP bundled with others or in pieces.
    Stream {
        /// Number of the connection; see [`crate::reassembly::Context::connection`].
        connection: u64,
        /// Which captured segments brought how much of it: from the first to before the second index of
        /// [`Messages::shares`]; empty unless [`StreamSettings::keep_shares`].
        shares: (u32, u32),
        /// Bytes behind it that were not captured, as far as known; 0 when it is whole.
        missing: u32,
        /// Link type of the frame that brought it.
        link: LinkType,
        /// Its link-layer header: from the first to before the second offset in [`Messages::arena`] (empty when the
        /// frame came out of a tunnel).
        link_header: (u32, u32),
        /// The stamps came with nanoseconds.
        nanosecond: bool,
        /// The connection was captured on both sides of a firewall, and is two: see [`Space`].
        both_sides: bool,
    },
}

impl Carriage {
    /// That of a message which came in a stream, the last of it in a frame with that header, which goes into `arena`.
    pub(crate) fn stream(
        arena: &mut Vec<u8>,
        (connection, space): (u64, Space),
        (shares, missing): ((u32, u32), u32),
        frame: &FrameHeader,
    ) -> Self {
        let start = arena.len() as u32;
        arena.extend_from_slice(&frame.header);
        let link_header = (start, arena.len() as u32);
        let FrameHeader { link, nanosecond, .. } = *frame;
        let both_sides = space != Space::Only;
        Self::Stream { connection, shares, missing, link, link_header, nanosecond, both_sides }
    }
}

/// What one captured segment brought of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// When the segment was captured.
    pub timestamp: Timestamp,
    /// How many bytes of the message it brought.
    pub length: u32,
}

/// The link layer of a captured frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// How the header is to be read.
    pub link: LinkType,
    /// The bytes before the IP header; empty when the frame came out of a tunnel.
    pub header: SmallVec<[u8; 32]>,
    /// The stamp came with nanoseconds.
    pub nanosecond: bool,
}

/// What a stream worker makes of one batch. Cleared and used again.
#[derive(Debug, Default)]
pub struct Messages {
    /// Bytes of messages that had to be put together ([`crate::pipeline::Place::Streams`]).
    pub arena: Vec<u8>,
    /// The messages, in the order of [`Message::sequence`].
    pub list: Vec<Message>,
    /// Media descriptions of the messages' SDP.
    pub media: Vec<Media>,
    /// Shares of messages that came in streams; kept only when someone writes them down.
    pub shares: Vec<Share>,
    /// Streams that carried SIP and are over, in the order of the packets or ticks that ended them.
    pub ended: Vec<StreamEnd>,
    /// What became known of connections that carry SIP over TLS, in the order of the packets or ticks that told it.
    pub tls: Vec<tls::Report>,
    /// What was counted in streams since the last [`Messages::clear`].
    pub counters: StreamCounters,
    /// How streams are to be read. Stays when cleared.
    pub settings: StreamSettings,
    /// The frame of the packet at hand: set before each segment when shares are kept. Stays when cleared.
    pub frame: Option<FrameHeader>,
    /// A message that says nothing: cheaper to copy to where the next one is read than to make there.
    pub(crate) empty: [Message; 1],
    /// Sections of session descriptions read before. Stays when cleared.
    pub sections: Sections,
    /// Buffers for partial messages that are not in use now.
    pub(super) spare: Vec<Partial>,
}

impl Messages {
    /// Copies a message into the arena; none when that has no room that a [`Bytes`] could name.
    pub(crate) fn store(&mut self, message: &[u8]) -> Option<Bytes> {
        let start = u32::try_from(self.arena.len()).ok()?;
        let length = u32::try_from(message.len()).ok()?;
        start.checked_add(length)?;
        self.arena.extend_from_slice(message);
        Some(Bytes { place: Place::Streams, start, length })
    }

    /// Empties it, keeping its memory and settings.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.list.clear();
        self.media.clear();
        self.shares.clear();
        self.ended.clear();
        self.tls.clear();
        self.counters = StreamCounters::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_via_names_what_is_over_tls() {
        for (via, transport) in [
            ("SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks", SipTransport::Wss),
            ("SIP / 2.0 / ws a;branch=b", SipTransport::Ws),
            ("SIP/2.0/TLS 192.0.2.1", SipTransport::Tls),
            ("SIP/2.0/UDP a/WSS", SipTransport::Tls),
            ("SIP/2.0", SipTransport::Tls),
            ("", SipTransport::Tls),
        ] {
            assert_eq!(SipTransport::over_tls(via.as_bytes()), transport, "{via}");
        }
    }
}
