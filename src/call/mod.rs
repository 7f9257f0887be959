//! Messages and media become calls.
//!
//! In: messages, media packets and ticks in capture order. Out, to a [`Listener`]: which frame belongs to which
//! call, what happens to a call, and its record when it is over. Everything is in packet time, and nothing
//! depends on how packets were batched. Absent on purpose: files, names, output formats.

mod census;
mod deadlines;
mod dialog;
mod filter;
mod listener;
mod record;
mod report;
mod seen;
#[cfg(test)]
mod tests;
mod tracker;

pub use census::Census;
pub use filter::{Filter, Pattern};
pub use listener::{About, Delivery, Listener, MediaFrame, Wants};
pub use record::{CallEvent, CallKind, CallRecord, CallResult, CallState, EndedBy, MediaRecord};
pub(crate) use seen::CAPTURED_TWICE;
pub use tracker::{Limits, MediaPacket, Settings, Tracker};
