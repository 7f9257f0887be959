//! One stream on its way into a file: which codec each packet has, where it lies, and in which order it is decoded.

use std::io;

use super::codec::{Codec, Decoders};
use super::in_order::InOrder;
use super::resampler::Resampler;
use crate::call::MediaRecord;
use crate::flow::Endpoint;
use crate::media::rtp::RtpHeader;
use crate::sip::sdp::Format;
use crate::time::Timestamp;

/// Seconds by which timestamps may lead away from the time of capture before they are taken to have begun anew.
const LEAP: u64 = 2;

/// Comfort noise (RFC 3389); 19 is what it was before.
const COMFORT_NOISE: [u8; 2] = [13, 19];

/// A stream of the first reading, and where it goes.
pub(super) struct Track {
    source: Endpoint,
    destination: Endpoint,
    ssrc: u32,
    span: (Timestamp, Timestamp),
    payload_type: u8,
    name: String,
    /// What other payload types mean.
    formats: Vec<Format>,
    encrypted: bool,
    /// Number of its file, and which of the two channels there.
    pub(super) file: usize,
    pub(super) channel: usize,
    place: Option<Place>,
    queue: InOrder<Packet>,
    ready: Vec<Packet>,
    decoders: Decoders,
    resampler: Option<Resampler>,
    /// Where the next packet begins when nothing is missing.
    end: Option<u64>,
    samples: Vec<i16>,
}

/// Where a stream is on its time line.
#[derive(Clone, Copy)]
struct Place {
    timestamp: u32,
    sample: u64,
}

/// A packet that waits to be decoded. One without a place lies before the first.
struct Packet {
    codec: Codec,
    place: Option<u64>,
    payload: Vec<u8>,
}

/// Samples at the rate of the file, and where they begin.
#[derive(Default)]
pub(super) struct Piece {
    pub(super) place: Option<u64>,
    pub(super) samples: Vec<i16>,
}

impl Track {
    /// A stream that goes to this file and channel; `formats` are those that were announced for it.
    pub(super) fn new(stream: &MediaRecord, (file, channel): (usize, usize), formats: &[Format]) -> Self {
        Self {
            source: stream.source,
            destination: stream.destination,
            ssrc: stream.ssrc,
            span: (stream.start, stream.end),
            payload_type: stream.payload_type,
            name: stream.codec.clone().unwrap_or_default(),
            formats: formats.to_vec(),
            encrypted: stream.encrypted,
            file,
            channel,
            place: None,
            queue: InOrder::default(),
            ready: Vec::new(),
            decoders: Decoders::default(),
            resampler: None,
            end: None,
            samples: Vec::new(),
        }
    }

    /// Samples a second of its codec; those of G.711 when it is not decoded.
    pub(super) fn rate(&self) -> u32 {
        self.usual().map_or(8_000, Codec::rate)
    }

    fn usual(&self) -> Option<Codec> {
        Codec::of(&self.name)
    }

    /// Whether a packet is of this stream.
    pub(super) fn has(&self, source: Endpoint, destination: Endpoint, ssrc: u32, time: Timestamp) -> bool {
        (self.source, self.destination, self.ssrc) == (source, destination, ssrc)
            && self.span.0 <= time
            && time <= self.span.1
    }

    /// Whether its last packet is of that time: what waits for others waits in vain.
    pub(super) fn ends_at(&self, time: Timestamp) -> bool {
        self.span.1 <= time
    }

    /// How a packet is decoded: none for what is silence, else what it is that is not decoded here.
    pub(super) fn codec(&self, payload_type: u8, payload: &[u8]) -> Result<Option<Codec>, String> {
        let is_usual = payload_type == self.payload_type;
        let announced = self.formats.iter().find(|format| format.payload_type == payload_type);
        let name = match payload_type {
            0 => "PCMU",
            8 => "PCMA",
            9 => "G722",
            _ if COMFORT_NOISE.contains(&payload_type) => return Ok(None),
            _ if is_usual => self.name.as_str(),
            _ => announced.map(|format| format.name.as_str()).unwrap_or_default(),
        };
        let is_silence = ["CN", "TELEPHONE-EVENT"].iter().any(|it| name.eq_ignore_ascii_case(it));
        match Codec::of(name) {
            _ if self.encrypted => Err("SRTP".to_owned()),
            Some(codec) => Ok(Some(codec)),
            None if is_silence => Ok(None),
            // It keeps a path open (RFC 6263 4.6).
            None if name.is_empty() && payload.is_empty() => Ok(None),
            None if name.is_empty() => Err(format!("payload type {payload_type}")),
            None => Err(name.to_owned()),
        }
    }

    /// Takes a packet; `file` is its time of capture, that of the file's begin, and the file's rate.
    pub(super) fn take(
        &mut self,
        codec: Codec,
        header: &RtpHeader,
        payload: &[u8],
        (time, begin, rate): (Timestamp, Timestamp, u32),
    ) {
        let by_clock = time.since(begin).as_nanos() * u128::from(rate) / 1_000_000_000;
        let place = u64::try_from(by_clock).ok().and_then(|it| self.locate(header.timestamp, it, rate));
        let packet = Packet { codec, place, payload: payload.to_vec() };
        self.queue.push(header.sequence, packet, &mut self.ready);
    }

    /// The sample at which a packet begins, which the time of capture puts at `by_clock`; none for what lies before the
    /// first.
    fn locate(&mut self, timestamp: u32, by_clock: u64, rate: u32) -> Option<u64> {
        let anew = Place { timestamp, sample: by_clock };
        let Some(before) = self.place else {
            self.place = Some(anew);
            return Some(by_clock);
        };
        let clock = self.usual().map_or(8_000, Codec::clock);
        let ticks = i64::from(timestamp.wrapping_sub(before.timestamp) as i32);
        let ahead = ticks * i64::from(rate) / i64::from(clock);
        let there = before.sample.checked_add_signed(ahead);
        let sample = there.filter(|sample| sample.abs_diff(by_clock) <= LEAP * u64::from(rate));
        let is_leap = sample.is_none() && there.is_some();
        let place = sample.map(|sample| Place { timestamp, sample }).or(is_leap.then_some(anew))?;
        // One that comes late is not where the next is counted from.
        if is_leap || ahead > 0 {
            self.place = Some(place);
        }
        Some(place.sample)
    }

    /// Decodes the packets whose turn it is, at the end all, and gives their samples at this rate; instead of a damaged
    /// packet's the name of its codec.
    pub(super) fn decode(
        &mut self,
        rate: u32,
        is_end: bool,
        mut put: impl FnMut(Result<&Piece, &str>) -> io::Result<()>,
    ) -> io::Result<()> {
        if is_end {
            self.queue.flush(&mut self.ready);
        }
        let mut piece = Piece::default();
        for packet in std::mem::take(&mut self.ready) {
            self.samples.clear();
            if self.decoders.decode(packet.codec, &packet.payload, &mut self.samples).is_err() {
                put(Err(&self.name))?;
                continue;
            }
            let from = packet.codec.rate();
            if self.end != packet.place || !self.resampler.as_ref().is_some_and(|it| it.fits(from, rate)) {
                self.put_rest(&mut put)?;
                self.resampler = Some(Resampler::new(from, rate));
            }
            let Some(resampler) = &mut self.resampler else { continue };
            let length = self.samples.len() as u64 * u64::from(rate) / u64::from(from);
            let left_out = resampler.push(&self.samples, &mut piece.samples);
            self.end = packet.place.map(|place| place + length);
            piece.place = packet.place.map(|place| behind(place, left_out, resampler));
            put(Ok(&piece))?;
        }
        if is_end { self.put_rest(&mut put) } else { Ok(()) }
    }

    /// What the resampler still has belongs right behind what it gave.
    fn put_rest(&mut self, put: &mut impl FnMut(Result<&Piece, &str>) -> io::Result<()>) -> io::Result<()> {
        let Some(mut resampler) = self.resampler.take() else { return Ok(()) };
        let mut piece = Piece::default();
        let left_out = resampler.flush(&mut piece.samples);
        piece.place = self.end.map(|end| behind(end, left_out, &resampler));
        if piece.place.is_some() && !piece.samples.is_empty() { put(Ok(&piece)) } else { Ok(()) }
    }
}

/// Where samples begin that a resampler gives for those at `place`.
fn behind(place: u64, left_out: usize, resampler: &Resampler) -> u64 {
    (place + left_out as u64).saturating_sub(resampler.delay() as u64)
}
