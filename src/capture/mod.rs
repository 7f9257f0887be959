//! Sources of packets: what comes in from files and from interfaces.
//!
//! Out: batches of packets in capture order, each packet with a timestamp, a link type and its bytes in the
//! batch's arena. Several inputs are one source, in packet time.
//!
//! - A batch ends anywhere: nothing may depend on where.
//! - Inputs fail one by one: an error is about one of them and the others go on.
//!
//! Nothing here looks inside a packet.

mod batch;
mod bpf;
mod error;
pub mod file;
pub mod live;
pub mod follow;
mod packet;

pub use batch::Batch;
pub use bpf::{FilterError, PacketFilter};
pub use error::SourceError;
pub use packet::{LinkType, Packet, PacketBatch};

/// Where packets come from.
pub trait PacketSource {
    /// The next packets in order, at least one and at most `limit` (0 counts as 1); `None` at the end.
    ///
    /// # Errors
    ///
    /// One input failed and is left behind; each failure is returned once. Call again to go on with the
    /// others: `None` still comes when they have ended.
    fn next_batch(&mut self, limit: usize) -> Result<Option<PacketBatch<'_>>, SourceError>;

    /// How far the source has come.
    fn progress(&self) -> Progress;

    /// What the source has counted so far.
    fn counters(&self) -> SourceCounters;
}

/// How far a source has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read of the inputs as they lie on disk (packed bytes where they are packed).
    pub bytes: u64,
    /// Bytes of all inputs; unknown when one of them is a pipe.
    pub total: Option<u64>,
    /// Packets handed out.
    pub packets: u64,
}

/// What a source has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounters {
    /// Captures opened.
    pub files: u64,
    /// Packets handed out.
    pub packets: u64,
    /// Captures that end in the middle of a record, or whose packed data does; all before it was used.
    pub truncated: u64,
    /// Captures given up in the middle at a record that cannot be one; all before it was used.
    pub bad_record: u64,
    /// Captures in a followed directory that were deleted before they were read.
    pub deleted: u64,
}

impl SourceCounters {
    /// Adds what `other` counted.
    pub const fn add(&mut self, other: &Self) {
        self.files = self.files.saturating_add(other.files);
        self.packets = self.packets.saturating_add(other.packets);
        self.truncated = self.truncated.saturating_add(other.truncated);
        self.bad_record = self.bad_record.saturating_add(other.bad_record);
        self.deleted = self.deleted.saturating_add(other.deleted);
    }
}
