//! What streams are told, what they count and what is told of their end.

use crate::counters::counters;
use crate::flow::Endpoint;
use crate::time::Timestamp;

/// How streams are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Bodies above this many bytes are skipped by count; the head is a message all the same.
    pub max_message: usize,
    /// Bytes of one direction of a stream joined in the middle that are searched for a message before it is given up.
    pub search_limit: u64,
    /// Note which captured segment brought how much of each message.
    pub keep_shares: bool,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self { max_message: 1 << 20, search_limit: 64 << 10, keep_shares: false }
    }
}

counters! {
    /// What was counted in streams.
    pub struct StreamCounters {
    /// Messages found.
    messages,
    /// Messages that were taken although something is wrong with them.
    faults,
    /// Messages whose body was too large to keep.
    oversize,
    /// Bytes of such bodies.
    oversize_bytes,
    /// Messages that had begun when their stream ended, and said too little to be told of.
    incomplete,
    /// Bytes of line ends between messages (RFC 5626 3.5.1).
    keepalive_bytes,
    /// Bytes that were no SIP, or the rest of a message of which a part was lost.
    skipped_bytes,
    /// Times that the next message had to be searched, because bytes were lost or made no sense.
    resynchronisations,
    /// WebSocket frames.
    websocket_frames,
    /// WebSocket messages that were no SIP.
    websocket_other,
    /// Connections that carry something else.
    rejected_streams,
    /// Of these, TLS.
    tls_streams,
    /// Connections that carried SIP.
    streams_created,
    /// Of these, those that ended and lost no byte.
    streams_completed,
    /// Of these, those that ended and had lost bytes.
    streams_failed,
    }
}

/// A stream that carried SIP is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// Number of the packet or tick that ended it.
    pub sequence: u64,
    /// Time of that packet or tick.
    pub timestamp: Timestamp,
    /// Number of the connection.
    pub connection: u64,
    /// One end: the sender of the direction that was open the longest.
    pub source: Endpoint,
    /// The other.
    pub destination: Endpoint,
    /// Messages it carried, in both directions.
    pub messages: u64,
    /// No byte of it was lost.
    pub complete: bool,
}
