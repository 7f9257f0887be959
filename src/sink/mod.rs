//! What leaves the program: per-call PCAPs, records, events, the summary.
//!
//! In: frames and messages with the number of the file they belong to; records; events; counts. Out: bytes on disk
//! and on stdout.
//!
//! Invariants: nothing that comes from the wire reaches a path or a terminal unescaped; a file that exists is never
//! overwritten; memory that waits for the disk is bounded; a file's bytes do not depend on when they were written;
//! a disk that says no costs what it did not take, is counted and told of once, and ends nothing.
//!
//! Absent on purpose: the decision which calls are kept; threads and clocks, but for those that live runs put between
//! the tracker and a slow disk (`writer`, [`DiskWatch`]).

mod call_files;
mod chunks;
mod descriptors;
mod directory;
mod disk;
mod encoder;
mod event_log;
mod events;
mod line_file;
mod lines;
mod link;
mod manifest;
mod named_files;
mod names;
mod packet;
mod performance;
pub mod pcap;
pub mod pcapng;
mod recorder;
mod records;
mod recover;
pub mod reframe;
mod retention;
mod stdout;
mod store;
mod summary;
mod template;
mod throttle;
#[cfg(test)]
mod tshark_tests;
mod tls;
mod websocket;
mod writer;

/// Permissions that files are made with: they hold numbers, keys that were pressed and conversations.
pub const FILE_MODE: u32 = 0o640;

pub use call_files::{CallFiles, FileKey, FileSettings};
pub use disk::{DiskFigures, DiskStatus, Space, raise_descriptor_limit, space};
pub use encoder::{Encoder, Fate, FileFormat, FrameInfo, Output};
pub use event_log::{EventFields, EventLog};
pub use events::{CallIds, EventFormat, EventWriter};
pub use line_file::{LineCounts, Reopen};
pub use lines::Lines;
pub use manifest::Manifest;
pub use named_files::NamedFiles;
pub use names::{NameBook, NameSettings};
pub use performance::{DelaySummary, PerformanceSummary};
pub use recorder::{Recorder, Written};
pub use records::RecordWriter;
pub use recover::{Recovered, recover};
pub use reframe::StreamPiece;
pub use retention::{DiskWatch, RetentionSettings};
pub(crate) use stdout::{PIECE_WITH_ROOM, without_waiting};
pub use stdout::{Stdout, end_with_reader, prepare_stdout, reader_left, reader_stalls};
pub use store::FileCounters;
pub use summary::{
    CallCounts, CaptureLoss, FragmentCounts, PacketKinds, ResultCounts, RtcpCounts, RtpCounts, SipCounts,
    Summary, TcpCounts, TransportCounts,
};
pub use template::{NAME_FIELDS, NameFields, NameTemplate, TemplateError};
pub use throttle::confined;
pub use tls::{TlsServer, TlsSummary};
pub use writer::{FLUSH_AFTER, MAILBOX_BYTES, WhenFull, share};
