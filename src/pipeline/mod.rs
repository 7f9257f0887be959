//! The stages wired together: inline on one thread, or over worker threads with the same result.

pub mod bytes;

pub use bytes::{Bytes, FragmentFrames, Place, View};
