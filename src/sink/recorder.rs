//! Everything that is written of calls, behind one listener: files, records, events.

use std::io::{self, Stdout};
use std::path::PathBuf;

use crate::call::{About, CallEvent, CallRecord, Delivery, Listener, MediaFrame, Wants};
use crate::capture::Packet;
use crate::sink::call_files::{CallFiles, FileKey};
use crate::sink::encoder::FrameInfo;
use crate::sink::events::EventWriter;
use crate::sink::names::{NameBook, NameFields};
use crate::sink::records::RecordWriter;
use crate::sink::reframe::StreamPiece;
use crate::sip::{Carriage, uri};

/// The per-call files of a run, with their names.
#[derive(Debug)]
pub struct NamedFiles {
    /// Where they are, as records tell it.
    pub directory: PathBuf,
    /// The files.
    pub files: CallFiles,
    /// Their names.
    pub names: NameBook,
}

/// Hears of calls and writes down what was asked for.
#[derive(Debug)]
pub struct Recorder {
    files: Option<NamedFiles>,
    records: Option<RecordWriter>,
    events: EventWriter<Stdout>,
    /// Names of the files that are open, by call.
    names: Vec<String>,
    failure: Option<io::Error>,
}

impl Recorder {
    /// A recorder of what there is a writer for.
    #[must_use]
    pub const fn new(
        files: Option<NamedFiles>,
        records: Option<RecordWriter>,
        events: EventWriter<Stdout>,
    ) -> Self {
        Self { files, records, events, names: Vec::new(), failure: None }
    }

    /// Brings everything to its place. Returns the files, for their counts.
    ///
    /// # Errors
    /// The first thing that could not be written to the records or to standard output.
    pub fn finish(mut self) -> (Option<CallFiles>, io::Result<()>) {
        let mut files = self.files.map(|named| named.files);
        if let Some(files) = &mut files {
            files.finish();
        }
        let flushed = self.records.as_mut().map_or(Ok(()), RecordWriter::flush).and(self.events.flush());
        (files, self.failure.map_or(flushed, Err))
    }

    /// The first failure is told at the end; the rest of the run goes on without that output.
    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }
}

impl Listener for Recorder {
    fn wants(&self) -> Wants {
        Wants {
            frames: self.files.is_some(),
            events: !self.events.is_silent(),
            records: self.records.is_some(),
        }
    }

    fn opened(&mut self, call: u32, about: &About<'_>) {
        let Some(named) = &mut self.files else { return };
        let index = call as usize;
        if index >= self.names.len() {
            self.names.resize_with(index + 1, String::new);
        }
        let Some(name) = self.names.get_mut(index) else { return };
        let fields = NameFields {
            call_id: about.call_id,
            from: uri::display(about.from),
            to: uri::display(about.to),
            carrier: b"",
            start: about.start,
        };
        named.names.assign(&fields, name);
        named.files.open(FileKey(call), name);
    }

    fn message(&mut self, call: u32, delivery: &Delivery<'_>) {
        let Some(NamedFiles { files, .. }) = &mut self.files else { return };
        let Delivery { message, bytes, messages, view } = *delivery;
        match message.carriage {
            Carriage::Frame(index) => {
                if let Some((packet, frame)) = view.packet(index) {
                    files.frame(FileKey(call), &info(packet), frame);
                }
            }
            Carriage::Datagram(index) => {
                for (packet, frame) in view.fragments(index) {
                    files.frame(FileKey(call), &info(packet), frame);
                }
            }
            Carriage::Stream { shares: (first, end), link, link_header, nanosecond, .. } => {
                let header = messages.arena.get(link_header.0 as usize..link_header.1 as usize);
                let piece = StreamPiece {
                    source: message.source,
                    destination: message.destination,
                    transport: message.transport,
                    timestamp: message.timestamp,
                    nanosecond,
                    link,
                    link_header: header.unwrap_or_default(),
                    shares: messages.shares.get(first as usize..end as usize).unwrap_or_default(),
                    bytes,
                };
                files.stream(FileKey(call), &piece);
            }
        }
    }

    fn media(&mut self, call: u32, frame: &MediaFrame<'_>) {
        if let Some(NamedFiles { files, .. }) = &mut self.files {
            files.frame(FileKey(call), &info(frame.packet), frame.frame);
        }
    }

    fn event(&mut self, _call: u32, event: &CallEvent) {
        let written = self.events.push(event);
        self.note(written);
    }

    fn closed(&mut self, call: u32, kept: bool, record: Option<CallRecord>) {
        let mut path = None;
        if let (Some(named), Some(name)) = (&mut self.files, self.names.get_mut(call as usize)) {
            if kept {
                named.files.close(FileKey(call));
                path = record.is_some().then(|| named.directory.join(&*name).to_string_lossy().into_owned());
            } else {
                named.files.discard(FileKey(call));
                named.names.release(name);
            }
        }
        if let (Some(records), Some(record)) = (&mut self.records, record) {
            let written = records.push(&CallRecord { pcap: path, ..record });
            self.note(written);
        }
    }
}

fn info(packet: &Packet) -> FrameInfo {
    FrameInfo {
        timestamp: packet.timestamp,
        nanosecond: packet.nanosecond,
        link: packet.link,
        original: packet.original,
    }
}
