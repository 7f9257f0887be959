//! TCP segments become two ordered byte streams per connection (RFC 9293).
//!
//! In: segments in capture order. Out: calls of an [`Application`], which sees every byte once and in order, or
//! is told how many are missing.

mod application;

pub use application::{Application, Chunk, Context, Direction, Segment, Verdict};
