//! Every cap of every table, and the memory it implies. Nothing here depends on how many workers there are.
//!
//! At a cap the oldest or least useful entry goes and is counted; input is never refused. What an operator may
//! want to change is a key ([`super::Settings`]); these are the rest. Stages get them in their own `Limits`.

use std::time::Duration;

/// Bytes of a configuration file. The example has 4 KiB.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Fragmented datagrams waiting for their other fragments. With [`DEFRAG_BYTES`]: 32 MiB.
pub const DEFRAG_DATAGRAMS: usize = 4_096;

/// Bytes allocated for fragments. Attack: first fragments of datagrams that never end.
pub const DEFRAG_BYTES: usize = 32 << 20;

/// How long a datagram waits for its fragments (RFC 791 3.2 asks for 15 s or more, RFC 8200 4.5 for 60 s; Linux takes 30 s).
pub const DEFRAG_TIMEOUT: Duration = Duration::from_secs(30);

/// TCP connections known at once: about 200 bytes each, 200 MiB when full. Attack: a SYN flood.
pub const CONNECTIONS: usize = 1_000_000;

/// How long a hole in a TCP stream may still be filled. Taps reorder, even behind the other side's ACK.
pub const GAP_TIMEOUT: Duration = Duration::from_secs(1);

/// Out-of-order bytes held for one direction: several of the largest messages. All directions together have
/// `voip.tcp_memory_limit`.
pub const DIRECTION_BYTES: usize = 4 << 20;

/// Bytes of a SIP message; of longer ones the head is kept and the body skipped by count.
pub const MESSAGE_BYTES: usize = 1 << 20;

/// Bytes of a message's start line and header fields. Attack: a head that never ends.
pub const HEAD_BYTES: usize = 64 << 10;

/// Bytes of a TCP stream that was joined in the middle, searched for SIP before it is given up.
pub const DETECTION_BYTES: usize = 64 << 10;

/// Media descriptions taken of one SDP body, and formats of each: about 4 KiB a message at worst.
pub const SDP_MEDIA: usize = 32;

/// Formats taken of one media description.
pub const SDP_FORMATS: usize = 32;

/// Calls known at once: about 1 KiB each without media, 1 GiB when full. Attack: INVITEs with random Call-IDs.
pub const CALLS: usize = 1_000_000;

/// How long what arrives late still joins an ended call: 64*T1 (RFC 3261 17.1.1.2).
pub const CALL_LINGER: Duration = Duration::from_secs(32);

/// Media endpoints that SDP announced, known at once: about 64 bytes each, 128 MiB when full.
pub const MEDIA_ENDPOINTS: usize = 2_000_000;

/// RTP streams of one call whose quality is kept: about 256 bytes each. Attack: a new SSRC in every packet.
pub const STREAMS_PER_CALL: usize = 64;

/// RTP streams seen before any SDP announced them: about 256 bytes each, 16 MiB when full.
pub const UNCLAIMED_STREAMS: usize = 65_536;

/// Bytes of unclaimed media kept for the call's file.
pub const UNCLAIMED_BYTES: usize = 64 << 20;

/// How much of unclaimed media is kept for the call's file.
pub const UNCLAIMED_TIME: Duration = Duration::from_millis(500);

/// Distinct methods counted by name; the rest is `OTHER`. Attack: a new method in every request.
pub const METHODS: usize = 64;

/// Bytes of a method that is counted by its name.
pub const METHOD_BYTES: usize = 64;

/// Call-IDs counted exactly, 8 bytes of hash each: 16 MiB when full. Beyond, their number is an estimate.
pub const CALL_IDS: usize = 1_000_000;

/// Per-call files open at once. Many systems allow a process 256 descriptors.
pub const OPEN_FILES: usize = 128;

/// Bytes of per-call files that wait in memory to be written in one go.
pub const FILE_BUFFERS: usize = 64 << 20;
