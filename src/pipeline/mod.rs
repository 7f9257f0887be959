//! The stages wired together: inline on one thread, or over worker threads with the same result.
//!
//! ```text
//!  source ─► intake ─► lane[n] ─► worker[n] ─► order ─► tracker ─► listener
//!            decode    by flow    streams,     by        calls      files,
//!            defrag               messages     sequence             records
//! ```
//!
//! In: a source and settings. Out: calls of a [`crate::call::Listener`], and an [`Outcome`] of counts in which no
//! packet is missing. A run does not depend on where batches end or on how many workers there are.

mod board;
mod bytes;
mod foreign;
mod intake;
mod live;
mod mailbox;
mod order;
mod run;
mod stream_log;
mod summary;
mod threads;
mod time_limit;
mod work;
mod worker;

pub use board::{Board, Gauges, Queue, Snapshot, Stage};
pub use bytes::{Bytes, FragmentFrames, Place, View};
pub use live::{Threads, run_live};
pub use mailbox::{Ask, BindingPage, Page};
pub use run::{Continue, Outcome, Settings, run};
pub use stream_log::STREAM_LOG;
