//! TCP segments become two ordered byte streams per connection (RFC 9293), pieces of SCTP user messages the messages
//! ([`UserMessages`], which has bounds of its own).
//!
//! In: segments in capture order, and ticks of packet time. Out: calls of an [`Application`], which sees every byte
//! once and in order, or is told how many are missing.
//!
//! Invariants: payload bytes in = delivered + retransmitted + overlapped + rejected + dropped + held
//! ([`Counters`]). What is held is counted by allocation and capped, for all workers together ([`Budget`]). No
//! time-out looks at anything but packet time and the connection itself, so results do not depend on how
//! connections fell to workers while no cap is hit. What answers something that waits behind a hole comes after it.
//! Two spaces of sequence numbers between the same endpoints are two connections ([`Space`]).
//!
//! Absent on purpose: checksums (captures on a sending host have none yet), acknowledgements without data as a
//! proof that a hole is lost (taps reorder), urgent data as anything but data.

mod answers;
mod application;
mod arrival;
mod budget;
mod caps;
mod connection;
mod counters;
mod direction;
mod ending;
mod holders;
mod limits;
mod reassembler;
mod sctp;
mod seen;
mod seq;
mod spaces;
mod store;
mod stray;
mod waiting;
#[cfg(test)]
mod tests;

pub use crate::flow::Direction;
pub use application::{Application, Chunk, Context, Segment, Space, Verdict};
pub use budget::Budget;
pub use counters::Counters;
pub use limits::Limits;
pub use reassembler::Reassembler;
pub use sctp::{Taken, UserMessages};
