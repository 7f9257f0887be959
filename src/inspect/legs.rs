//! The other legs of a call's session, and how each is shown.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::call::LegRecord;

use super::screen::{Ink, Screen};
use super::summary::time_of_day;
use super::trace::Call;
use super::wanted::shown;

/// The command that draws a call of these captures; none where one of them is a pipe.
pub(crate) fn command(call_id: &str, files: &[PathBuf]) -> Option<String> {
    if files.iter().any(|file| file == Path::new("-")) {
        return None;
    }
    let files: Vec<String> = files.iter().map(|file| quoted(&file.to_string_lossy())).collect();
    // What begins with a hyphen (RFC 3261 25.1 lets a Call-ID) would be taken for a flag.
    let is_like_a_flag = call_id.starts_with('-');
    let (call_id, files) = (quoted(&shown(call_id.as_bytes())), files.join(" "));
    Some(if is_like_a_flag {
        format!("lippycat inspect call -r {files} -- {call_id}")
    } else {
        format!("lippycat inspect call {call_id} -r {files}")
    })
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    // `=ls` is a path to zsh.
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Writes the legs that have another Call-ID; those of the call itself are in its drawing.
pub(super) fn show(call: &Call, files: &[PathBuf], screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    let others: Vec<&LegRecord> =
        call.record.legs.iter().filter(|leg| leg.call_id != call.record.call_id).collect();
    if others.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", screen.paint(Ink::Strong, "Other legs"))?;
    let mut known: Vec<&str> = Vec::new();
    for leg in others {
        writeln!(out, "  {}", line(leg, screen))?;
        if known.contains(&leg.call_id.as_str()) {
            continue;
        }
        known.push(&leg.call_id);
        let call_id = shown(leg.call_id.as_bytes());
        let hint = command(&call_id, files).unwrap_or_else(|| format!("Call-ID {call_id}"));
        writeln!(out, "    {}", screen.text(&hint))?;
    }
    Ok(())
}

fn line(leg: &LegRecord, screen: &Screen) -> String {
    let arrow = screen.pick("→", "->");
    let answer = leg.status_code.map_or_else(|| "no final answer".to_owned(), |code| code.to_string());
    let joined = match (leg.joined_by.as_deref(), leg.score) {
        (None, _) => "the first".to_owned(),
        (Some("evidence"), Some(score)) => {
            format!("{score} of 100: {}", leg.evidence.join(", "))
        }
        (Some(by), _) => format!("by {by}"),
    };
    let joined = screen.text(&joined).into_owned();
    format!("{}  {} {arrow} {}  {answer}  {joined}", time_of_day(leg.start), leg.source, leg.destination)
}
