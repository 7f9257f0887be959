//! Alerts: what is read of the sample of a second, when it fires and when it clears again.
//!
//! In: [`Facts`], once a second. Out: [`Alert`]s, each fired and cleared once, in a bounded book. [`sniffer`] has the
//! rules about the sniffer itself. Rules about the telephone network give [`Reading`]s in the same way, with a subject
//! in their id. Absent on purpose: clocks. Time is a duration since the start, which the caller measures.

mod book;
mod settings;
pub mod sniffer;

pub use book::{Alert, Book, Change, Level, Reading};
pub use settings::{AlertSettings, DiskLimits, Levels, Limit};

use std::time::Duration;

use super::history::History;
use super::sample::{Caps, Sample};

/// What rules may look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Time since the start.
    pub now: Duration,
    /// The latest second.
    pub sample: &'a Sample,
    /// The last minutes.
    pub history: &'a History,
    /// What the run may use.
    pub caps: &'a Caps,
    /// How long health has been failing.
    pub unhealthy_for: Option<Duration>,
}
