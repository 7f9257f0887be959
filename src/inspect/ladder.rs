//! A call as a ladder: its parties as columns, its messages as arrows between them, its media as bars.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::call::{FaxRecord, MediaRecord};
use crate::flow::Endpoint;
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
    /// A stream, and whether it is one above, captured again.
    Stream(&'a MediaRecord, bool),
    Fax(&'a FaxRecord),
    Keys(Keys<'a>),
}

/// Keys pressed in a stream one after the other.
struct Keys<'a> {
    stream: &'a MediaRecord,
    at: Timestamp,
    /// Place of the first among those of the stream.
    first: usize,
    count: usize,
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
    if has(Again::Captured) || stream::copies(&call.record.media).contains(&true) {
        marks.push(format!("{} captured again", sign(Again::Captured, screen)));
    }
    // In ASCII the marks are words.
    if marks.is_empty() || !screen.unicode {
        return Ok(());
    }
    writeln!(out, "\n{}", screen.paint(Ink::Dim, &marks.join("   ")))
}

/// Messages in capture order, each stream before the first message that came after it began, and keys where they were
/// pressed.
fn rows(call: &Call) -> Vec<Row<'_>> {
    let mut media = media(call).into_iter().peekable();
    let mut rows = Vec::with_capacity(call.trace.messages.len() + media.len());
    for message in &call.trace.messages {
        while let Some(row) = media.next_if(|row| row.time() < message.at) {
            push(&mut rows, row);
        }
        rows.push(Row::Message(message));
    }
    media.for_each(|row| push(&mut rows, row));
    rows
}

/// All that is no message, by time.
fn media(call: &Call) -> Vec<Row<'_>> {
    let record = &call.record;
    let mut rows: Vec<Row<'_>> = record.fax.iter().map(Row::Fax).collect();
    for (stream, is_copy) in record.media.iter().zip(stream::copies(&record.media)) {
        rows.push(Row::Stream(stream, is_copy));
        let keys = stream.pressed.iter().enumerate().filter(|_| !is_copy);
        rows.extend(keys.map(|(first, &at)| Row::Keys(Keys { stream, at, first, count: 1 })));
    }
    rows.sort_by_key(Row::time);
    rows
}

/// Adds a row; a key that follows the one before is shown with it.
fn push<'a>(rows: &mut Vec<Row<'a>>, row: Row<'a>) {
    if let (Some(Row::Keys(before)), Row::Keys(next)) = (rows.last_mut(), &row)
        && std::ptr::eq(before.stream, next.stream)
    {
        before.count += 1;
        return;
    }
    rows.push(row);
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
            Self::Stream(stream, _) => stream.start,
            Self::Fax(fax) => fax.start,
            Self::Keys(keys) => keys.at,
        }
    }

    const fn ends(&self) -> (Endpoint, Endpoint) {
        match self {
            Self::Message(message) => (message.source, message.destination),
            Self::Stream(stream, _) | Self::Keys(Keys { stream, .. }) => (stream.source, stream.destination),
            Self::Fax(fax) => (fax.source, fax.destination),
        }
    }

    /// Whether, and how, it was there before.
    const fn again(&self) -> Again {
        match self {
            Self::Message(message) => message.again,
            Self::Stream(_, true) => Again::Captured,
            Self::Stream(..) | Self::Fax(_) | Self::Keys(_) => Again::No,
        }
    }

    fn arrow(&self, columns: &Columns<'_>, screen: &Screen) -> Arrow {
        let (source, destination) = self.ends();
        let (labels, ink) = match self {
            Self::Message(message) => (message_labels(message, screen), ink(message)),
            Self::Stream(stream, is_copy) => {
                (stream_labels(stream, screen), if *is_copy { Ink::Dim } else { Ink::Media })
            }
            Self::Fax(fax) => {
                let packets = stream::count(fax.packets, "packet");
                (vec![format!("T.38 fax {packets}"), "T.38 fax".to_owned()], Ink::Media)
            }
            Self::Keys(keys) => (vec![keys.label()], Ink::Media),
        };
        let is_media = !matches!(self, Self::Message(_));
        Arrow { from: columns.find(source), to: columns.find(destination), labels, ink, is_media }
    }

    /// CSeq, the transport when it is not UDP, and whether it was there before.
    fn right(&self, screen: &Screen) -> String {
        let mut text = String::new();
        if let Self::Message(message) = self {
            text.push_str(&format!("{} {}", message.cseq, screen.text(&message.method)));
            if message.transport != SipTransport::Udp {
                text.push_str(&format!(" {}", message.transport.name()));
            }
        }
        if self.again() != Again::No {
            text.push_str(&format!(" {}", sign(self.again(), screen)));
        }
        text.trim_start().to_owned()
    }
}

impl Keys<'_> {
    /// `DTMF 911`, or how many where they are not to be told. Those that are only counted came after the last that is known.
    fn label(&self) -> String {
        let end = self.first + self.count;
        let more = if end == self.stream.pressed.len() { stream::keys_beyond(self.stream, end) } else { 0 };
        let told = self.stream.dtmf.as_ref().and_then(|dtmf| dtmf.get(self.first..end));
        told.map_or_else(
            || format!("DTMF {}", stream::count(self.count as u64 + more, "key")),
            |keys| format!("DTMF {}", stream::keys_and_more(keys, more)),
        )
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
    if let Some(key) = &message.key {
        return vec![format!("{whole} ({key})"), whole];
    }
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
