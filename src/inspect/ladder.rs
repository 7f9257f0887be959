//! A call as a ladder: its parties as columns, its messages as arrows between them, its media as bars.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::call::MediaRecord;
use crate::sip::SipTransport;
use crate::time::Timestamp;

use super::columns::Columns;
use super::drawing::{Arrow, Pen, letter};
use super::layout::{Layout, Need};
use super::screen::{Ink, Screen};
use super::stream;
use super::summary;
use super::trace::{Again, Call, Line, Traced};

/// What one line shows.
enum Row<'a> {
    Message(&'a Traced),
    Stream(&'a MediaRecord),
}

/// Draws a call: what happened, the ladder, the streams.
pub(super) fn show(call: &Call, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    summary::head(call, screen, out)?;
    writeln!(out)?;
    draw(call, screen, out)?;
    if call.trace.left_out > 0 {
        let note = format!("{} more messages are not shown", call.trace.left_out);
        writeln!(out, "{}", screen.paint(Ink::Warning, &note))?;
    }
    summary::streams(call, screen, out)
}

fn draw(call: &Call, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    let columns = Columns::new(call);
    let names = columns.names();
    let rows: Vec<(Row<'_>, Arrow, String)> = rows(call)
        .into_iter()
        .map(|row| {
            let (arrow, right) = (row.arrow(&columns, screen), row.right(screen));
            (row, arrow, right)
        })
        .collect();
    let right = rows.iter().map(|(_, _, right)| right.width() + 2).max().unwrap_or_default();
    let layout = Layout::new(&names, &needs(rows.iter().map(|(_, arrow, _)| arrow)), right, screen.width);
    let pen = Pen { screen, layout: &layout };
    writeln!(out, "{}", pen.header(&names))?;
    let mut before: Option<Timestamp> = None;
    for (row, arrow, right) in &rows {
        let time = row.time();
        let stamp = before.map_or_else(|| summary::time_of_day(time), |before| delta(before, time));
        writeln!(out, "{}", pen.row(&stamp, arrow, right))?;
        // Times are those between messages: a bar does not come between an answer and its ACK.
        if matches!(row, Row::Message(_)) {
            before = Some(time);
        }
    }
    if layout.letters {
        writeln!(out)?;
        for (index, name) in names.iter().enumerate() {
            writeln!(out, "  {}  {name}", screen.paint(Ink::Strong, &letter(index)))?;
        }
    }
    legend(call, screen, out)
}

fn legend(call: &Call, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    let has = |again| call.trace.messages.iter().any(|message| message.again == again);
    let mut marks = Vec::new();
    if has(Again::Sent) {
        marks.push(format!("{} sent again", sign(Again::Sent, screen)));
    }
    if has(Again::Captured) {
        marks.push(format!("{} captured again", sign(Again::Captured, screen)));
    }
    // In ASCII the marks are words.
    if marks.is_empty() || !screen.unicode {
        return Ok(());
    }
    writeln!(out, "\n{}", screen.paint(Ink::Dim, &marks.join("   ")))
}

/// Messages in capture order, each stream before the first message that came after it began.
fn rows(call: &Call) -> Vec<Row<'_>> {
    let mut streams: Vec<&MediaRecord> = call.record.media.iter().collect();
    streams.sort_by_key(|stream| stream.start);
    let mut streams = streams.into_iter().peekable();
    let mut rows = Vec::with_capacity(call.trace.messages.len() + streams.len());
    for message in &call.trace.messages {
        while let Some(stream) = streams.next_if(|stream| stream.start < message.at) {
            rows.push(Row::Stream(stream));
        }
        rows.push(Row::Message(message));
    }
    rows.extend(streams.map(Row::Stream));
    rows
}

/// What the labels need; short arrows first, as long ones gain from what those need.
fn needs<'a>(arrows: impl Iterator<Item = &'a Arrow>) -> Vec<Need> {
    let mut needs: Vec<Need> = arrows
        .filter(|arrow| arrow.from != arrow.to)
        .map(|arrow| Need {
            from: arrow.from.min(arrow.to),
            to: arrow.from.max(arrow.to),
            width: arrow.labels.first().map_or(0, |label| label.width()),
        })
        .collect();
    needs.sort_by_key(|need| need.to - need.from);
    needs
}

impl Row<'_> {
    const fn time(&self) -> Timestamp {
        match self {
            Self::Message(message) => message.at,
            Self::Stream(stream) => stream.start,
        }
    }

    fn arrow(&self, columns: &Columns<'_>, screen: &Screen) -> Arrow {
        let (source, destination, labels, ink) = match self {
            Self::Message(message) => {
                (message.source, message.destination, message_labels(message, screen), ink(message))
            }
            Self::Stream(stream) => {
                (stream.source, stream.destination, stream_labels(stream, screen), Ink::Media)
            }
        };
        let is_media = matches!(self, Self::Stream(_));
        Arrow { from: columns.find(source), to: columns.find(destination), labels, ink, is_media }
    }

    /// CSeq, the transport when it is not UDP, and whether the message came before.
    fn right(&self, screen: &Screen) -> String {
        let Self::Message(message) = self else { return String::new() };
        let mut text = format!("{} {}", message.cseq, screen.text(&message.method));
        if message.transport != SipTransport::Udp {
            text.push_str(&format!(" {}", message.transport.name()));
        }
        if message.again != Again::No {
            text.push_str(&format!(" {}", sign(message.again, screen)));
        }
        text
    }
}

fn sign<'a>(again: Again, screen: &Screen) -> &'a str {
    match again {
        Again::No => "",
        Again::Sent => screen.pick("↻", "(again)"),
        Again::Captured => screen.pick("≡", "(twice)"),
    }
}

fn ink(message: &Traced) -> Ink {
    match (&message.again, &message.line) {
        (Again::No, Line::Request(_)) => Ink::Plain,
        (Again::No, Line::Response(200..=299, _)) => Ink::Good,
        // A challenge is an invitation to try again, and so is a redirection (RFC 3261 22.1, 8.1.3.4).
        (Again::No, Line::Response(401 | 407 | 300..=399, _)) => Ink::Warning,
        (Again::No, Line::Response(400.., _)) => Ink::Bad,
        _ => Ink::Dim,
    }
}

fn message_labels(message: &Traced, screen: &Screen) -> Vec<String> {
    let (whole, short) = match &message.line {
        Line::Request(method) => (screen.text(method).into_owned(), screen.text(method).into_owned()),
        Line::Response(status, reason) => {
            (format!("{status} {}", screen.text(reason)).trim_end().to_owned(), status.to_string())
        }
    };
    match message.media.as_deref() {
        None => vec![whole],
        Some("") => vec![format!("{whole} (SDP)"), format!("{short} (SDP)")],
        Some(media) => {
            let media = screen.text(media);
            vec![format!("{whole} (SDP {media})"), format!("{whole} (SDP)"), format!("{short} (SDP)")]
        }
    }
}

fn stream_labels(stream: &MediaRecord, screen: &Screen) -> Vec<String> {
    let codec = format!("RTP {}", screen.text(&stream::codec(stream)));
    let packets = format!("{codec} {}", stream::packets(stream));
    let lost = format!("{packets}, {}", stream::lost(stream));
    let jitter = stream.jitter_ms.map(|jitter| format!("{lost}, jitter {jitter:.1} ms"));
    jitter.into_iter().chain([lost, packets, codec]).collect()
}

/// `+0.102`: seconds since the message before; negative when the capture is not in order.
fn delta(before: Timestamp, time: Timestamp) -> String {
    if time < before {
        return format!("-{:.3}", before.since(time).as_secs_f64());
    }
    format!("+{:.3}", time.since(before).as_secs_f64())
}
