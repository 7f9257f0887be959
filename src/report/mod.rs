//! What happened, told of many calls or of one.
//!
//! In: records, from files, from a run over captures, or from the running sniffer. Out: lists, figures of groups,
//! the story of one call, as text, CSV or JSON.
//!
//! Invariants: a record is looked at once, and memory does not grow with their number but for what is sorted or
//! drawn as a table, up to a cap that is told; what is no record is counted; nothing acts on a terminal or in a
//! spreadsheet. Fields are those of the schema, and no list of them is kept here. Absent on purpose: opening inputs and
//! the process's exit code.

mod attempt;
mod audio;
mod calls;
mod condition;
mod field;
mod figures;
mod groups;
mod legs;
mod proof;
mod records;
mod rows;
mod signalling;
mod story;

pub use audio::{Audio, Heard};
pub use calls::{Calls, Listing, Unshown};
pub use condition::{Condition, Selection, time};
pub use field::Field;
pub use figures::Figures;
pub use groups::{By, Grouped, Grouping, Groups};
pub use records::{Go, OfCapture, ReadError, Record, Taker, Told, offer, read};
pub use rows::{Format, MAX_ROWS};
pub(crate) use story::FIRST_LINE;
pub use story::{Finder, Story};
