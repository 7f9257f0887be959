//! `report call --wav`: what was said, as files to listen to.
//!
//! In: a call with its streams, as the first reading of a capture found them, and its media frames of a second one. Out: a
//! file for each pair of parties that media went between, one channel a direction, each packet at the place that its
//! RTP timestamp says; gaps, comfort noise and keys are silence.
//!
//! Invariants: memory does not grow with the call; a file is never overwritten and never larger than 1 GiB; what was not
//! decoded is told. Absent on purpose: playout buffers and concealment. One listens for what was on the wire.

mod g711;
mod timeline;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::call::{About, CallRecord, Listener, MediaFrame, MediaRecord, Wants};
use crate::decode::{Decoded, Transport, decode};
use crate::flow::Endpoint;
use crate::inspect::trace::Call;
use crate::media::rtp::{self, Look, RtpHeader};
use crate::sink::NameTemplate;
use crate::time::Timestamp;
use g711::Law;
use timeline::Timeline;

/// Samples a second of G.711, and of its RTP clock (RFC 3551 4.5.14).
const RATE: u32 = 8_000;

/// Files of one Call-ID.
const MAX_FILES: usize = 32;

/// How far timestamps may lead away from the time of capture before they are taken to have begun anew: two seconds.
const LEAP: u64 = 2 * RATE as u64;

/// Longest name without extension.
const MAX_NAME: usize = 100;

/// Comfort noise (RFC 3389); 19 is what it was before.
const COMFORT_NOISE: [u8; 2] = [13, 19];

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

/// A stream of the first reading, and where it goes.
struct Track {
    source: Endpoint,
    destination: Endpoint,
    ssrc: u32,
    span: (Timestamp, Timestamp),
    payload_type: u8,
    codec: String,
    encrypted: bool,
    file: usize,
    channel: usize,
    place: Option<Place>,
}

/// Where a stream is on its time line.
#[derive(Clone, Copy)]
struct Place {
    timestamp: u32,
    sample: u64,
}

/// A file to be.
struct Sheet {
    name: String,
    begin: Timestamp,
    line: Option<Timeline>,
    path: PathBuf,
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
            self.tracks.push(Track {
                source: stream.source,
                destination: stream.destination,
                ssrc: stream.ssrc,
                span: (stream.start, stream.end),
                payload_type: stream.payload_type,
                codec: stream.codec.clone().unwrap_or_default(),
                encrypted: stream.encrypted,
                file,
                channel: channel(call, stream),
                place: None,
            });
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
        self.sheets.push(Sheet { name, begin: stream.start, line: None, path: PathBuf::new() });
        Some(number)
    }

    /// Brings all files to their ends, and tells what became of them.
    ///
    /// # Errors
    /// The first failure to write.
    pub fn finish(mut self) -> io::Result<Heard> {
        self.outcome?;
        for sheet in self.sheets {
            if let Some(line) = sheet.line {
                self.heard.dropped += line.dropped;
                let samples = line.finish()?;
                self.heard.files.push((sheet.path, samples as f64 / f64::from(RATE)));
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
        let is_it = |track: &&mut Track| {
            let is_stream =
                (track.source, track.destination, track.ssrc) == (unit.source, unit.destination, header.ssrc);
            is_stream && track.span.0 <= time && time <= track.span.1
        };
        let Some(track) = self.tracks.iter_mut().find(is_it) else { return Ok(()) };
        let law = match track.law(header.payload_type) {
            Ok(Some(law)) => law,
            Ok(None) => return Ok(()),
            Err(codec) => {
                *self.heard.undecoded.entry(codec).or_default() += 1;
                return Ok(());
            }
        };
        let Some(sheet) = self.sheets.get_mut(track.file) else { return Ok(()) };
        let place = track.place(&header, time, sheet.begin);
        let line = match &mut sheet.line {
            Some(line) => line,
            none => {
                let (path, line) = create(&self.directory, &sheet.name)?;
                sheet.path = path;
                none.insert(line)
            }
        };
        let samples = rtp::audio(payload).iter().map(|code| law.decode(*code));
        match place {
            Some(place) => line.put(place, track.channel, samples),
            None => {
                line.dropped += samples.len() as u64;
                Ok(())
            }
        }
    }
}

impl Track {
    /// How a packet is decoded: none for what is silence, else what it is that is not decoded here.
    fn law(&self, payload_type: u8) -> Result<Option<Law>, String> {
        let is_usual = payload_type == self.payload_type;
        let codec = match payload_type {
            0 => "PCMU",
            8 => "PCMA",
            _ if COMFORT_NOISE.contains(&payload_type) => return Ok(None),
            _ if is_usual => self.codec.as_str(),
            // Keys (RFC 4733) and noise are what a stream has besides, under numbers of the session's.
            96.. => return Ok(None),
            _ => "",
        };
        match codec.to_ascii_uppercase().as_str() {
            _ if self.encrypted => Err("SRTP".to_owned()),
            "PCMU" => Ok(Some(Law::Mu)),
            "PCMA" => Ok(Some(Law::A)),
            "CN" | "TELEPHONE-EVENT" => Ok(None),
            "" => Err(format!("payload type {payload_type}")),
            _ => Err(codec.to_owned()),
        }
    }

    /// The sample at which a packet begins; none for what lies before the first.
    fn place(&mut self, header: &RtpHeader, time: Timestamp, begin: Timestamp) -> Option<u64> {
        let by_clock = u64::try_from(time.since(begin).as_nanos() * u128::from(RATE) / 1_000_000_000).ok()?;
        let anew = Place { timestamp: header.timestamp, sample: by_clock };
        let Some(before) = self.place else {
            self.place = Some(anew);
            return Some(by_clock);
        };
        let ahead = i64::from(header.timestamp.wrapping_sub(before.timestamp) as i32);
        let sample =
            before.sample.checked_add_signed(ahead).filter(|sample| sample.abs_diff(by_clock) <= LEAP);
        let is_leap = sample.is_none() && before.sample.checked_add_signed(ahead).is_some();
        let place = sample.map(|sample| Place { timestamp: header.timestamp, sample });
        let place = place.or(is_leap.then_some(anew))?;
        // One that comes late is not where the next is counted from.
        if is_leap || ahead > 0 {
            self.place = Some(place);
        }
        Some(place.sample)
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

/// The left channel has who called, as far as descriptions tell; else who was heard first.
fn channel(call: &Call, stream: &MediaRecord) -> usize {
    let caller = call.record.source.address;
    let announced_by =
        |endpoint: &Endpoint| call.trace.announced.get(endpoint).map(|it| it.address == caller);
    let from_caller =
        announced_by(&stream.source).or_else(|| announced_by(&stream.destination).map(|it| !it));
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
fn create(directory: &Path, name: &str) -> io::Result<(PathBuf, Timeline)> {
    let mut number = 1;
    loop {
        let suffix = if number > 1 { format!("~{number}") } else { String::new() };
        let path = directory.join(format!("{name}{suffix}.wav"));
        match Timeline::create(&path, RATE) {
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
        if about.call_id == self.call_id {
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
