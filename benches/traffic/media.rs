//! RTP and RTCP streams (RFC 3550): one packet after the other, with losses, swaps and copies that are counted.

use std::io;

use super::frame::Endpoint;
use super::ledger::{self, Entry, Ledger};
use super::network::Network;
use super::profile::Media;
use super::rng::{Rng, mix};
use super::script::{MILLISECOND, SECOND};
use super::stretch::Fate;

/// From 1900 to 1970, for NTP times (RFC 3550 4).
const NTP_OFFSET: u64 = 2_208_988_800;

/// Telephone events (RFC 4733), as every description of ours numbers them.
pub(super) const EVENT: u8 = 101;

/// Comfort noise (RFC 3389).
pub(super) const NOISE: u8 = 13;

/// Payloads are cut from this many random bytes.
const SOUND: usize = 8_192;

/// One direction of a call's media.
pub(crate) struct Stream {
    pub(super) from: Endpoint,
    pub(super) to: Endpoint,
    pub(super) entry: Entry,
    /// Which of the call's streams it is.
    pub(super) index: usize,
    pub(super) ssrc: u32,
    pub(super) peer_ssrc: u32,
    pub(super) payload_type: u8,
    pub(super) begin: u64,
    /// Packets numbered so far, and how many there will be.
    pub(super) numbered: u64,
    pub(super) total: u64,
    pub(super) sent: u32,
    pub(super) first_sequence: u16,
    pub(super) first_timestamp: u32,
    /// A packet that waits to be overtaken.
    pub(super) held: Option<u64>,
    pub(super) next_report: u64,
    /// What becomes of its packets; none leaves that to the knobs.
    pub(super) fate: Option<Fate>,
}

/// What becomes of one packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fortune {
    Sent,
    Lost,
    /// The next one overtakes it.
    Overtaken,
    Twice,
}

/// What the two streams of a call share.
pub(crate) struct Talk {
    pub(crate) key: u64,
    pub(crate) ends: [Endpoint; 2],
    pub(crate) payload_type: u8,
    pub(crate) begin: u64,
    /// Nanoseconds.
    pub(crate) length: u64,
    pub(crate) entry: Entry,
}

impl Talk {
    /// The stream of one end; none when the talk is shorter than a packet.
    pub(crate) fn stream(&self, end: usize, knobs: &Media, ledger: &mut Ledger) -> Option<Stream> {
        let total = self.length * knobs.rtp_rate / SECOND;
        if total == 0 {
            return None;
        }
        let dice = mix(self.key ^ (0x55 + end as u64));
        let ssrc = |end: u64| mix(self.key ^ (0xaa + end)) as u32;
        // The two ends do not tick together.
        let begin = self.begin + dice % (20 * MILLISECOND);
        let report = knobs.rtcp * SECOND;
        let stream = Stream {
            from: self.ends[end],
            to: self.ends[1 - end],
            entry: self.entry,
            index: end,
            ssrc: ssrc(end as u64),
            peer_ssrc: ssrc(1 - end as u64),
            payload_type: self.payload_type,
            begin,
            numbered: 0,
            total,
            sent: 0,
            first_sequence: dice as u16,
            first_timestamp: (dice >> 16) as u32,
            held: None,
            next_report: if report == 0 { u64::MAX } else { begin + report },
            fate: None,
        };
        ledger.rtp.streams += 1;
        if let Some(call) = ledger.call(self.entry) {
            call.streams.push(ledger::Stream {
                ssrc: stream.ssrc,
                source: stream.from.to_string(),
                destination: stream.to.to_string(),
                payload_type: stream.payload_type,
                ..ledger::Stream::default()
            });
        }
        Some(stream)
    }
}

impl Stream {
    /// When its first packet is due.
    pub(crate) fn begin(&self) -> u64 {
        self.begin
    }
}

/// Sends the packets of all streams.
pub(crate) struct Studio {
    knobs: Media,
    rng: Rng,
    sound: Vec<u8>,
    packet: Vec<u8>,
    size: usize,
}

impl Studio {
    pub(crate) fn new(knobs: &Media, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x6d65_6469);
        let size = (8_000 / knobs.rtp_rate.max(1)) as usize;
        let mut sound = vec![0; SOUND + size];
        rng.fill(&mut sound);
        Self { knobs: knobs.clone(), rng, sound, packet: Vec::new(), size }
    }

    /// Sends what is due of a stream and returns when to come back; none when the stream has ended.
    pub(crate) fn tick(
        &mut self,
        now: u64,
        stream: &mut Stream,
        network: &mut Network<'_>,
    ) -> io::Result<Option<u64>> {
        if now >= stream.next_report {
            stream.next_report += self.knobs.rtcp * SECOND;
            self.report(now, stream, network)?;
        }
        let number = stream.numbered;
        stream.numbered += 1;
        // A loss at either end of a stream cannot be seen in its numbers, and a swap there changes where it begins.
        let inside = number > 1 && number + 2 < stream.total && stream.held.is_none();
        let fortune = if inside { self.fortune(stream) } else { Fortune::Sent };
        match fortune {
            Fortune::Lost => count(network, stream, |ledger| &mut ledger.rtp.lost, |listed| &mut listed.lost),
            Fortune::Overtaken => stream.held = Some(number),
            Fortune::Sent | Fortune::Twice => {
                self.packet(now, stream, number, network)?;
                if let Some(late) = stream.held.take() {
                    count(
                        network,
                        stream,
                        |ledger| &mut ledger.rtp.reordered,
                        |listed| &mut listed.reordered,
                    );
                    self.packet(now + 100_000, stream, late, network)?;
                }
                if fortune == Fortune::Twice {
                    count(
                        network,
                        stream,
                        |ledger| &mut ledger.rtp.duplicated,
                        |listed| &mut listed.duplicated,
                    );
                    self.packet(now + 50_000, stream, number, network)?;
                }
            }
        }
        if stream.numbered == stream.total {
            return Ok(None);
        }
        let jitter = self.rng.below(2 * MILLISECOND);
        let due = stream.begin + stream.numbered * SECOND / self.knobs.rtp_rate + jitter;
        let Some(fate) = &mut stream.fate else { return Ok(Some(due)) };
        let late = fate.delay(stream.numbered, &mut self.rng);
        // Packets queue up behind one that is late.
        Ok(Some((due + late).max(now + MILLISECOND / 2)))
    }

    /// What becomes of the next packet.
    fn fortune(&mut self, stream: &mut Stream) -> Fortune {
        if let Some(fate) = &mut stream.fate {
            return fate.next(stream.total - stream.numbered, &mut self.rng);
        }
        if self.rng.share(self.knobs.rtp_lost) {
            Fortune::Lost
        } else if self.rng.share(self.knobs.rtp_reordered) {
            Fortune::Overtaken
        } else if self.rng.share(self.knobs.rtp_duplicated) {
            Fortune::Twice
        } else {
            Fortune::Sent
        }
    }

    fn packet(
        &mut self,
        at: u64,
        stream: &mut Stream,
        number: u64,
        network: &mut Network<'_>,
    ) -> io::Result<()> {
        let marker = if number == 0 { 0x80 } else { 0 };
        // The timestamp of an event stands still (RFC 4733 2.1).
        let age = if stream.payload_type == EVENT { 0 } else { number * self.size as u64 };
        let timestamp = stream.first_timestamp.wrapping_add(age as u32);
        let sequence = stream.first_sequence.wrapping_add(number as u16);
        self.packet.clear();
        self.packet.extend_from_slice(&[0x80, marker | stream.payload_type]);
        self.packet.extend_from_slice(&sequence.to_be_bytes());
        self.packet.extend_from_slice(&timestamp.to_be_bytes());
        self.packet.extend_from_slice(&stream.ssrc.to_be_bytes());
        match stream.payload_type {
            EVENT => {
                let [high, low] = ((number + 1) as u16 * 160).to_be_bytes();
                let last = if number + 3 >= stream.total { 0x80 } else { 0 };
                self.packet.extend_from_slice(&[5, last | 10, high, low]);
            }
            NOISE => self.packet.push(0x40),
            _ => {
                let place = mix(number ^ u64::from(stream.ssrc)) as usize % SOUND;
                self.packet.extend_from_slice(&self.sound[place..place + self.size]);
            }
        }
        network.datagram(at, stream.from, stream.to, &self.packet)?;
        stream.sent = stream.sent.wrapping_add(1);
        count(network, stream, |ledger| &mut ledger.rtp.packets, |listed| &mut listed.packets);
        if let Some(call) = network.ledger.call(stream.entry) {
            call.rtp_packets += 1;
        }
        Ok(())
    }

    /// A sender report with one report block, and the CNAME that must go with it (RFC 3550 6.1).
    fn report(&mut self, now: u64, stream: &Stream, network: &mut Network<'_>) -> io::Result<()> {
        let seconds = now / SECOND + NTP_OFFSET;
        let fraction = ((now % SECOND) << 32) / SECOND;
        let media_time = ((now - stream.begin) / MILLISECOND * 8) as u32;
        let words = [
            0x81c8_000c,
            stream.ssrc,
            seconds as u32,
            fraction as u32,
            stream.first_timestamp.wrapping_add(media_time),
            stream.sent,
            stream.sent.wrapping_mul(self.size as u32),
            stream.peer_ssrc,
            0,
            stream.sent,
            12,
            0,
            0,
            // SDES: one chunk, CNAME of 10 bytes, padded with zeros.
            0x81ca_0005,
            stream.ssrc,
        ];
        self.packet.clear();
        for word in words {
            self.packet.extend_from_slice(&word.to_be_bytes());
        }
        self.packet.extend_from_slice(&[1, 10]);
        self.packet.extend_from_slice(format!("{:010x}", stream.ssrc).as_bytes());
        self.packet.truncate(words.len() * 4 + 12);
        self.packet.extend_from_slice(&[0; 4]);
        let (from, to) = (stream.from.at(stream.from.port + 1), stream.to.at(stream.to.port + 1));
        network.datagram(now, from, to, &self.packet)?;
        network.ledger.rtcp.packets += 1;
        if let Some(call) = network.ledger.call(stream.entry) {
            call.rtcp_packets += 1;
        }
        Ok(())
    }
}

/// Counts in the totals and, where there is one, in the list's stream.
fn count(
    network: &mut Network<'_>,
    stream: &Stream,
    total: fn(&mut Ledger) -> &mut u64,
    listed: fn(&mut ledger::Stream) -> &mut u64,
) {
    *total(&mut network.ledger) += 1;
    let streams = network.ledger.call(stream.entry).map(|call| &mut call.streams);
    if let Some(entry) = streams.and_then(|streams| streams.get_mut(stream.index)) {
        *listed(entry) += 1;
    }
}
