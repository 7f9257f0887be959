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

/// Bytes of a TCP stream that was joined in the middle, searched for SIP before it is given up.
pub const DETECTION_BYTES: usize = 64 << 10;

/// Calls known at once: about 1 KiB each without media, 1 GiB when full. Attack: INVITEs with random Call-IDs.
pub const CALLS: usize = 1_000_000;

/// Keys under which calls wait for their other leg, in each of two tables: 64 bytes each, about 18 MiB when both are full.
/// A call has three or more for four to eight seconds. Attack: INVITEs from random numbers to random numbers.
pub const WAITING_LEGS: usize = 131_072;

/// Media flows (who sends to whom) followed at once: about 300 bytes each, 150 MiB when full.
pub const MEDIA_FLOWS: usize = 500_000;

/// Of these, flows that look like RTP and that no SDP has announced: 5 MiB when full. Attack: a flood of them.
pub const UNCLAIMED_FLOWS: usize = 16_384;

/// How long such a flow is remembered without a packet.
pub const UNCLAIMED_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of frames of such flows, kept for half a second for the call's file.
pub const UNCLAIMED_BYTES: usize = 64 << 20;

/// Per-call files open at once when capture files are read. Many systems allow a process 256 descriptors.
pub const OPEN_FILES: usize = 128;

/// Per-call files open at once in live runs, at most: opening one anew for each write costs twice the write.
pub const LIVE_OPEN_FILES: usize = 8_192;

/// Descriptors that are left to the rest of the process.
pub const OTHER_DESCRIPTORS: u64 = 128;

/// Bytes of per-call files that wait in memory to be written in one go.
pub const FILE_BUFFERS: usize = 96 << 20;
