//! What leaves the program: per-call PCAPs, records, events, the summary.
//!
//! In: frames and messages with the number of the file they belong to; records; events; counts. Out: bytes on disk
//! and on stdout.
//!
//! Invariants: nothing that comes from the wire reaches a path or a terminal unescaped; a file that exists is never
//! overwritten; memory that waits for the disk is bounded; a file's bytes do not depend on when they were written;
//! a disk that says no costs what it did not take, is counted and told of once, and ends nothing.
//!
//! Absent on purpose: threads and clocks (a caller may put a queue before any of these), the decision which calls
//! are kept, retention.

mod call_files;
mod chunks;
mod descriptors;
mod directory;
mod encoder;
pub mod escape;
mod events;
mod link;
mod names;
mod packet;
pub mod pcap;
pub mod pcapng;
mod recorder;
mod records;
pub mod reframe;
mod store;
mod summary;
#[cfg(test)]
mod tshark_tests;
mod websocket;

pub use call_files::{CallFiles, FileKey, FileSettings};
pub use directory::{Recovered, recover};
pub use encoder::{Encoder, Fate, FileFormat, FrameInfo, Output};
pub use events::{EventFormat, EventWriter};
pub use names::{NameBook, NameFields, NameSettings, NameTemplate, TemplateError};
pub use recorder::{NamedFiles, Recorder};
pub use records::RecordWriter;
pub use reframe::StreamPiece;
pub use store::FileCounters;
pub use summary::{
    CallCounts, FragmentCounts, PacketKinds, ResultCounts, RtcpCounts, RtpCounts, SipCounts, Summary,
    TcpCounts, TransportCounts,
};
