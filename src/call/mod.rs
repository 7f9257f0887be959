//! Messages and media become calls.
//!
//! In: messages, media packets and ticks in capture order. Out: call events, records, and which frame belongs
//! to which call.

mod record;

pub use record::{CallEvent, CallKind, CallRecord, CallResult, CallState, EndedBy, MediaRecord};
