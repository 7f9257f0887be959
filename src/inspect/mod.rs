//! One call, or all of them, shown to a person.
//!
//! In: what a run over capture files tells its listener. Out: a table of the calls, or for one Call-ID the drawing
//! that voice engineers call a ladder, or its messages in full; as text for a terminal or a pipe.
//!
//! Invariants: nothing from the wire acts on a terminal; what is kept of a call is bounded, and what was left out
//! is said. Colour, character set and width come from [`Screen`] alone. Absent on purpose: reading captures (the
//! caller passes that in as a function) and the process's exit code.

mod columns;
mod drawing;
pub(crate) mod finding;
mod ladder;
mod layout;
mod messages;
mod screen;
mod stream;
mod summary;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod trace;
pub(crate) mod wanted;

pub use screen::{Ink, Screen};
pub(crate) use stream::count;
pub(crate) use summary::seconds;
pub use table::{Form, calls};
pub use wanted::Wanted;

use std::io::{self, Write};

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

/// Shows every call of the wanted Call-ID; `run` reads the capture with [`settings`].
///
/// # Errors
/// When `run` fails or `out` cannot be written to, and when no single Call-ID fits: the message says which come
/// close.
pub fn call(
    wanted: Wanted,
    view: View,
    privacy: Privacy,
    screen: &Screen,
    out: &mut dyn Write,
    run: impl FnOnce(&mut (dyn Listener + Send)) -> Result<()>,
) -> Result<()> {
    let text = if view == View::Text { trace::MAX_TEXT } else { 0 };
    let mut collector = Collector::new(wanted, text, privacy);
    run(&mut collector)?;
    let found = collector.finish().map_err(anyhow::Error::msg)?;
    show(&found, view, screen, out)?;
    Ok(())
}

fn show(found: &Found, view: View, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
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
    }
    if found.left_out > 0 {
        writeln!(out, "\n{} more dialogs have this Call-ID and are not shown", found.left_out)?;
    }
    out.flush()
}
