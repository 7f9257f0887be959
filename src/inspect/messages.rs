//! A call as the text of its messages.

use std::io::{self, Write};

use super::screen::{Ink, Screen};
use super::stream;
use super::summary;
use super::trace::{Again, Call, Line, Traced};

/// Writes what happened, and every message whole, each under a line that says when, from where to where, over what.
pub(super) fn show(call: &Call, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    summary::head(call, screen, out)?;
    for message in &call.trace.messages {
        writeln!(out)?;
        writeln!(out, "{}", screen.paint(Ink::Strong, &title(message, screen)))?;
        body(message, screen, out)?;
    }
    if call.trace.left_out > 0 {
        writeln!(out, "\n[{} more messages were not kept]", call.trace.left_out)?;
    }
    summary::streams(call, screen, out)
}

fn title(message: &Traced, screen: &Screen) -> String {
    let time = message.at.rfc3339().replace('T', " ").replace('Z', "");
    let line = match &message.line {
        Line::Request(method) => screen.text(method).into_owned(),
        Line::Response(status, reason) => format!("{status} {}", screen.text(reason)),
    };
    let again = match message.again {
        Again::No => "",
        Again::Sent => "  sent again",
        Again::Captured => "  captured again",
    };
    let (source, destination) = (message.source, message.destination);
    format!("{time}  {source} -> {destination}  {}  {}{again}", message.transport.name(), line.trim_end())
}

/// Line ends stay line ends; whatever else a terminal would act upon is spelled out.
fn body(message: &Traced, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    let text = message.text.strip_suffix(b"\n").unwrap_or(&message.text);
    for line in text.split(|byte| *byte == b'\n') {
        writeln!(out, "{}", screen.bytes(line.strip_suffix(b"\r").unwrap_or(line)))?;
    }
    if message.cut > 0 {
        writeln!(out, "[{} more were not kept]", stream::count(message.cut as u64, "byte"))?;
    }
    Ok(())
}
