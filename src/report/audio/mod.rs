//! `report call --wav`: what was said, as files to listen to.
//!
//! In: a call with its streams, as the first reading of a capture found them, and its media frames of a second one. Out: a
//! file for each pair of parties that media went between, one channel a direction, each packet at the place that its
//! RTP timestamp says; gaps, comfort noise and keys are silence. A file has the highest rate of what is in it.
//!
//! Invariants: memory does not grow with the call; a file is never overwritten and never larger than 1 GiB; what was not
//! decoded is told. Absent on purpose: playout buffers and concealment. One listens for what was on the wire.

mod codec;
mod g711;
mod in_order;
mod opus;
mod resampler;
mod timeline;
mod track;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::call::{About, CallRecord, Listener, MediaFrame, MediaRecord, Wants};
use crate::decode::{Decoded, Transport, decode};
use crate::flow::Endpoint;
use crate::inspect::trace::Call;
use crate::media::rtp::{self, Look};
use crate::sink::NameTemplate;
use crate::sip::header;
use crate::time::Timestamp;
use timeline::Timeline;
use track::{Piece, Track};

/// Files of one Call-ID.
const MAX_FILES: usize = 32;

/// Longest name without extension.
const MAX_NAME: usize = 100;

/// What became of the audio of a call.
#[derive(Debug, Default)]
pub struct Heard {
    /// Files, each with the seconds that it plays.
    pub files: Vec<(PathBuf, f64)>,
    /// Packets that were not decoded, by what they are in.
    pub undecoded: BTreeMap<String, u64>,
    /// Samples that came too late, or beyond the largest file.
    pub dropped: u64,
}

/// A file to be.
struct Sheet {
    name: String,
    begin: Timestamp,
    /// Samples a second.
    rate: u32,
    line: Option<Timeline>,
    path: PathBuf,
}

impl Sheet {
    /// Puts samples at their place in the file, which is made when there is something to put.
    fn put(&mut self, directory: &Path, channel: usize, piece: &Piece) -> io::Result<()> {
        let line = match &mut self.line {
            Some(line) => line,
            none => {
                let (path, line) = create(directory, &self.name, self.rate)?;
                self.path = path;
                none.insert(line)
            }
        };
        match piece.place {
            Some(place) => line.put(place, channel, piece.samples.iter().copied())?,
            None => line.dropped += piece.samples.len() as u64,
        }
        Ok(())
    }
}

/// Writes the audio of the calls of one Call-ID.
pub struct Audio {
    directory: PathBuf,
    call_id: Vec<u8>,
    tracks: Vec<Track>,
    sheets: Vec<Sheet>,
    calls: HashSet<u32>,
    heard: Heard,
    outcome: io::Result<()>,
}

impl Audio {
    /// Prepares files in `directory` for the calls that were found.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub(crate) fn new(directory: &Path, found: &[Call]) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let call_id = found.first().map(|call| call.record.call_id.clone()).unwrap_or_default();
        let mut audio = Self {
            directory: directory.to_owned(),
            call_id: call_id.into_bytes(),
            tracks: Vec::new(),
            sheets: Vec::new(),
            calls: HashSet::new(),
            heard: Heard::default(),
            outcome: Ok(()),
        };
        found.iter().for_each(|call| audio.plan(call));
        Ok(audio)
    }

    /// Gives each stream its file and its channel.
    fn plan(&mut self, call: &Call) {
        let mut pairs: Vec<(Pair, usize)> = Vec::new();
        for stream in &call.record.media {
            let pair = Pair::of(stream);
            let known = pairs.iter().find(|(it, _)| *it == pair).map(|(_, file)| *file);
            let file = known.or_else(|| self.sheet(stream).inspect(|file| pairs.push((pair, *file))));
            let Some(file) = file else { continue };
            let announced = |end: &Endpoint| call.trace.announced.get(end);
            let announcer = announced(&stream.destination).or_else(|| announced(&stream.source));
            let formats = announcer.map(|it| it.formats.as_slice()).unwrap_or_default();
            let track = Track::new(stream, (file, channel(call, stream)), formats);
            if let Some(sheet) = self.sheets.get_mut(file) {
                sheet.rate = sheet.rate.max(track.rate());
            }
            self.tracks.push(track);
        }
    }

    fn sheet(&mut self, stream: &MediaRecord) -> Option<usize> {
        if self.sheets.len() >= MAX_FILES {
            return None;
        }
        let number = self.sheets.len();
        let mut name = NameTemplate::default().name(&self.call_id, MAX_NAME);
        if number > 0 {
            name.push_str(&format!("-{}", number + 1));
        }
        let (begin, path) = (stream.start, PathBuf::new());
        self.sheets.push(Sheet { name, begin, rate: 0, line: None, path });
        Some(number)
    }

    /// Brings all files to their ends, and tells what became of them.
    ///
    /// # Errors
    /// The first failure to write.
    pub fn finish(mut self) -> io::Result<Heard> {
        std::mem::replace(&mut self.outcome, Ok(()))?;
        for index in 0..self.tracks.len() {
            self.write(index, true)?;
        }
        for sheet in self.sheets {
            if let Some(line) = sheet.line {
                self.heard.dropped += line.dropped;
                let samples = line.finish()?;
                self.heard.files.push((sheet.path, samples as f64 / f64::from(sheet.rate)));
            }
        }
        Ok(self.heard)
    }

    fn packet(&mut self, frame: &MediaFrame<'_>) -> io::Result<()> {
        let time = frame.packet.timestamp;
        let Ok(Decoded::Unit(unit)) = decode(frame.packet.link, frame.frame) else { return Ok(()) };
        if unit.transport != Transport::Udp {
            return Ok(());
        }
        let (start, length) = (unit.start as usize, unit.length as usize);
        let payload = frame.frame.get(start..start.saturating_add(length)).unwrap_or_default();
        let Look::Rtp(header) = rtp::look(payload) else { return Ok(()) };
        let audio = rtp::audio(payload);
        let is_it = |track: &Track| track.has(unit.source, unit.destination, header.ssrc, time);
        let Some(index) = self.tracks.iter().position(is_it) else { return Ok(()) };
        let Some(track) = self.tracks.get_mut(index) else { return Ok(()) };
        let Some(sheet) = self.sheets.get(track.file) else { return Ok(()) };
        match track.codec(header.payload_type, audio) {
            Ok(Some(codec)) => {
                track.take(codec, &header, audio, (time, sheet.begin, sheet.rate));
                let is_end = track.ends_at(time);
                self.write(index, is_end)
            }
            Ok(None) => Ok(()),
            Err(codec) => {
                *self.heard.undecoded.entry(codec).or_default() += 1;
                Ok(())
            }
        }
    }

    /// Decodes what a track has in order, or all that it has, and puts it into its file.
    fn write(&mut self, index: usize, is_end: bool) -> io::Result<()> {
        let Some(track) = self.tracks.get_mut(index) else { return Ok(()) };
        let Some(sheet) = self.sheets.get_mut(track.file) else { return Ok(()) };
        let channel = track.channel;
        let undecoded = &mut self.heard.undecoded;
        track.decode(sheet.rate, is_end, |piece| match piece {
            Ok(piece) => sheet.put(&self.directory, channel, piece),
            Err(name) => {
                *undecoded.entry(format!("damaged {name}")).or_default() += 1;
                Ok(())
            }
        })
    }
}

/// Two parties that media went between: their addresses, or on one host their ports too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair(Endpoint, Endpoint);

impl Pair {
    /// Many devices send from another port than they receive on.
    fn of(stream: &MediaRecord) -> Self {
        let (one, other) = (stream.source, stream.destination);
        let plain = |it: Endpoint| match one.address == other.address {
            true => it,
            false => Endpoint::new(it.address, 0),
        };
        let (one, other) = (plain(one), plain(other));
        let key = |it: &Endpoint| (it.address.bytes(), it.port);
        if key(&one) <= key(&other) { Self(one, other) } else { Self(other, one) }
    }
}

/// The left channel has who called, of each hop, as far as descriptions tell; else who was heard first.
fn channel(call: &Call, stream: &MediaRecord) -> usize {
    let is_caller = |endpoint: &Endpoint| call.trace.announced.get(endpoint).map(|it| it.is_caller);
    let from_caller = is_caller(&stream.source).or_else(|| is_caller(&stream.destination).map(|it| !it));
    let first =
        call.record.media.iter().filter(|it| Pair::of(it) == Pair::of(stream)).min_by_key(|it| it.start);
    let is_first_s = first.is_none_or(|first| {
        let is_one_host = stream.source.address == stream.destination.address;
        if is_one_host {
            first.source == stream.source
        } else {
            first.source.address == stream.source.address
        }
    });
    usize::from(!from_caller.unwrap_or(is_first_s))
}

/// A new file; a name that is taken gets `~2`, `~3`.
fn create(directory: &Path, name: &str, rate: u32) -> io::Result<(PathBuf, Timeline)> {
    let mut number = 1;
    loop {
        let suffix = if number > 1 { format!("~{number}") } else { String::new() };
        let path = directory.join(format!("{name}{suffix}.wav"));
        match Timeline::create(&path, rate) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 10_000 => number += 1,
            made => return Ok((path, made?)),
        }
    }
}

impl Listener for Audio {
    fn wants(&self) -> Wants {
        Wants { frames: true, events: false, audit: false, records: false }
    }

    fn opened(&mut self, call: u32, about: &About<'_>) {
        self.calls.remove(&call);
        if header::text(about.call_id).as_bytes() == self.call_id {
            self.calls.insert(call);
        }
    }

    fn media(&mut self, call: u32, frame: &MediaFrame<'_>) {
        if self.calls.contains(&call) && self.outcome.is_ok() {
            self.outcome = self.packet(frame);
        }
    }

    fn closed(&mut self, call: u32, _: bool, _: Option<CallRecord>) {
        self.calls.remove(&call);
    }
}
