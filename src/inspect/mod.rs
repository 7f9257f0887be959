//! One call, or all of them, shown to a person.
//!
//! In: what a run over capture files tells its listener. Out: a table of the calls, or for one Call-ID the drawing
//! that voice engineers call a ladder, or its messages in full; as text for a terminal or a pipe.
//!
//! Invariants: nothing from the wire acts on a terminal; what is kept of a call is bounded, and what was left out
//! is said. Colour, character set and width come from [`Screen`] alone. Absent on purpose: reading captures (the
//! caller passes that in as a function) and the process's exit code.

mod before;
mod columns;
mod drawing;
mod elsewhere;
pub(crate) mod finding;
mod ladder;
mod layout;
mod legs;
mod messages;
mod screen;
mod stream;
mod summary;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod trace;
pub(crate) mod wanted;

pub(crate) use before::Before;
pub(crate) use elsewhere::elsewhere;
pub(crate) use legs::command;
pub use screen::{Ink, Screen};
pub(crate) use stream::count;
pub(crate) use summary::seconds;
pub use table::{Form, calls};
pub use wanted::Wanted;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;

use crate::call::{Listener, Settings};
use crate::cli::View;
use crate::privacy::Privacy;
use trace::{Collector, Found};

/// What the tracker has to keep: every dialog, without the frames of its media; `digits`: keys pressed are told.
#[must_use]
pub fn settings(digits: bool) -> Settings {
    Settings { registrations: true, others: true, digits, ..Settings::default() }
}

/// How much could be read of the captures that were named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All.
    Whole,
    /// Some of it.
    Part,
    /// None.
    Nothing,
}

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// Which call.
    pub wanted: Wanted,
    /// How it is to be shown.
    pub view: View,
    /// What may be told of it.
    pub privacy: Privacy,
    /// The captures, as the commands that show its other legs are to name them.
    pub files: &'a [PathBuf],
}

/// Shows every call of the wanted Call-ID; `run` reads the captures with [`settings`], and tells how much of them could be read.
///
/// # Errors
/// When `run` fails or `out` cannot be written to, and when no single Call-ID fits: the message says which come
/// close.
pub fn call(
    asked: Asked<'_>,
    screen: &Screen,
    out: &mut dyn Write,
    run: impl FnOnce(&mut (dyn Listener + Send)) -> Result<Extent>,
) -> Result<()> {
    let text = if asked.view == View::Text { trace::MAX_TEXT } else { 0 };
    let mut collector = Collector::new(asked.wanted, text, asked.privacy);
    let read = run(&mut collector)?;
    let found = collector.finish(read).map_err(anyhow::Error::msg)?;
    show(&found, (asked.view, asked.files), screen, out)?;
    Ok(())
}

fn show(
    found: &Found,
    (view, files): (View, &[PathBuf]),
    screen: &Screen,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (number, call) in found.calls.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        if found.calls.len() > 1 {
            let title = format!("{} of {} with this Call-ID", number + 1, found.calls.len());
            writeln!(out, "{}", screen.paint(Ink::Strong, &title))?;
        }
        match view {
            View::Ladder => ladder::show(call, screen, out)?,
            View::Text => messages::show(call, screen, out)?,
        }
        legs::show(call, files, screen, out)?;
    }
    if found.left_out > 0 {
        writeln!(out, "\n{} more dialogs have this Call-ID and are not shown", found.left_out)?;
    }
    out.flush()
}
