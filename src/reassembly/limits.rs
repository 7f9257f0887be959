//! What reassembly may use.

use std::time::Duration;

/// Caps and time-outs. Caps marked *global* hold for all reassemblers that share a [`crate::reassembly::Budget`].
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections known at once (global); about 220 bytes each, twice that in the moment in which the table grows, and
    /// what the application needs. The least recently used goes, those that are over first.
    pub max_connections: usize,
    /// A connection without a packet for this long is over.
    pub stream_timeout: Duration,
    /// A connection of which one direction is over, without a packet for this long, is over.
    pub closing_timeout: Duration,
    /// A hole that is not filled after this long is a gap.
    pub gap_timeout: Duration,
    /// Out-of-order bytes, as allocated, that one direction may hold before its first hole is a gap.
    pub max_direction_bytes: usize,
    /// Out-of-order segments that one direction may hold before its first hole is a gap.
    pub max_direction_segments: usize,
    /// Bytes allocated for out-of-order segments and partial messages (global).
    pub memory_limit: usize,
    /// Connections that hold bytes at once (global); none: only memory counts.
    pub max_holding: Option<usize>,
    /// Connections that may hold bytes beyond `max_holding` for `max_queue_time` (global).
    pub queue: usize,
    /// How long a connection may hold bytes beyond `max_holding`.
    pub max_queue_time: Duration,
    /// At `max_holding` the connection that is least recently active gives up its bytes, and the new one has its place.
    pub backpressure: bool,
    /// Out-of-order segments held (global); none: only memory counts.
    pub max_buffers: Option<usize>,
    /// A connection that holds bytes and had no packet for this long gives them up.
    pub buffer_max_age: Duration,
    /// How often `buffer_max_age` is looked at.
    pub cleanup_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1_000_000,
            stream_timeout: Duration::from_secs(600),
            closing_timeout: Duration::from_secs(60),
            gap_timeout: Duration::from_secs(1),
            max_direction_bytes: 4 << 20,
            max_direction_segments: 4096,
            memory_limit: 100 << 20,
            max_holding: None,
            queue: 500,
            max_queue_time: Duration::from_secs(120),
            backpressure: true,
            max_buffers: None,
            buffer_max_age: Duration::from_secs(300),
            cleanup_interval: Duration::from_secs(60),
        }
    }
}
