//! Messages and media become calls.
//!
//! In: messages, media packets and ticks in capture order. Out, to a [`Listener`]: which frame belongs to which
//! call, what happens to a call, and its record when it is over. Everything is in packet time, and nothing
//! depends on how packets were batched. Absent on purpose: files, names, output formats.

mod announced;
mod bindings;
mod branches;
mod census;
mod deadlines;
mod dialog;
mod distinct;
mod filter;
mod findings;
mod firsts;
mod legs;
mod listener;
mod mark;
mod media_record;
mod performance;
mod query;
mod record;
mod report;
mod seen;
mod signalling;
mod silence;
mod standing;
mod tally;
mod told;
#[cfg(test)]
mod apart_tests;
#[cfg(test)]
mod b2bua_tests;
#[cfg(test)]
mod choice_tests;
#[cfg(test)]
mod forking_tests;
#[cfg(test)]
mod hop_tests;
#[cfg(test)]
mod outcome_tests;
#[cfg(test)]
mod overlap_tests;
#[cfg(test)]
mod registrar_tests;
#[cfg(test)]
mod ring_group_tests;
#[cfg(test)]
mod ringing_tests;
#[cfg(test)]
mod tests;
mod tracker;

pub use bindings::{Binding, BindingCounts, Bindings};
pub use census::Census;
pub(crate) use dialog::STILL_RINGING;
pub use filter::{Filter, Pattern};
pub use findings::Finding;
pub use legs::{LegRecord, LegSettings};
pub use listener::{About, Delivery, Listener, MediaFrame, Wants};
pub(crate) use mark::Mark;
pub use media_record::{BurstRecord, FarEndRecord, FaxRecord, MediaRecord};
pub(crate) use performance::percent;
pub use performance::{Delay, Performance, is_delivered};
pub use query::{ActiveCall, CallPage};
pub use record::{CallEvent, CallKind, CallRecord, CallResult, CallState, EndedBy};
pub(crate) use seen::{Capture, captured_twice_within};
pub(crate) use signalling::key_of_info;
pub use signalling::{
    CauseRecord, HoldRecord, HopRecord, InfoDtmfRecord, RegistrationRecord, SessionTimerRecord, Side,
    SignallingRecord, TransferRecord, Undelivered,
};
pub use tally::Tally;
pub(crate) use tracker::GROUP;
pub use tracker::{DialogHint, Limits, MediaPacket, Settings, Tracker, TrackerGauges};
