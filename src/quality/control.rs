//! What the RTCP of a flow says: how a stream was received at its far end, and how long a round trip takes.

use std::time::Duration;

use smallvec::SmallVec;

use super::rtcp::{Compound, Extension, Packet, ReportBlock, VoipMetrics, extensions, report_blocks};
use crate::time::Timestamp;

/// Clocks remembered: reports are seconds apart, their answers a round trip.
const CLOCKS: usize = 4;

/// Streams of which one flow may report; an attacker may name any.
const MAX_HEARD: usize = 16;

/// A clock that comes again this soon was captured twice, maybe at a tap whose own clock is another: its time is that of the first. Reports
/// of a sender are seconds apart (RFC 3550 6.2).
const COPY_WINDOW: Duration = Duration::from_secs(1);

/// A clock that was sent, for the other side to name.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    clock: u32,
    at: Timestamp,
}

/// The RTCP that flows from one endpoint to another.
#[derive(Clone, Debug, Default)]
pub struct Control {
    clocks: [Clock; CLOCKS],
    sent: usize,
    /// What was said of each stream, and by whom.
    pub heard: SmallVec<[Heard; 1]>,
}

/// How one stream was received, as its receiver says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Heard {
    /// Source of the stream.
    pub ssrc: u32,
    /// Who says so: the source of what the receiver sends.
    pub reporter: u32,
    /// Report blocks seen.
    pub reports: u64,
    /// The latest of them.
    pub latest: ReportBlock,
    /// The largest loss between two of them, in 256ths.
    pub worst: u8,
    /// Round trip from where the capture was taken to the reporter and back, in nanoseconds: the least seen.
    pub round_trip: Option<u64>,
    /// The latest VoIP metrics (RFC 3611 4.7).
    pub voip: Option<VoipMetrics>,
}

impl Control {
    /// Takes the next compound packet; `reverse` is the RTCP of the other direction.
    pub fn observe(&mut self, compound: Compound<'_>, at: Timestamp, reverse: Option<&Self>) {
        for packet in compound {
            match packet {
                Packet::SenderReport { ssrc, clock, blocks } => {
                    self.remember(clock, at);
                    self.reported(ssrc, blocks, at, reverse);
                }
                Packet::ReceiverReport { ssrc, blocks } => self.reported(ssrc, blocks, at, reverse),
                Packet::Extended { ssrc, blocks } => self.extended(ssrc, blocks, at, reverse),
                Packet::Other => {}
            }
        }
    }

    fn remember(&mut self, clock: u32, at: Timestamp) {
        let is_copy = |sent: &Clock| sent.clock == clock && at.since(sent.at) < COPY_WINDOW;
        if self.clocks.iter().any(is_copy) {
            return;
        }
        if let Some(slot) = self.clocks.get_mut(self.sent % CLOCKS) {
            *slot = Clock { clock, at };
            self.sent = self.sent.wrapping_add(1);
        }
    }

    fn reported(&mut self, reporter: u32, blocks: &[u8], at: Timestamp, reverse: Option<&Self>) {
        for block in report_blocks(blocks) {
            let round_trip = reverse.and_then(|sender| sender.answered(block.last_report, block.delay, at));
            let Some(heard) = self.heard(block.ssrc, reporter) else { continue };
            heard.reports += 1;
            heard.latest = block;
            heard.worst = heard.worst.max(block.fraction_lost);
            heard.note_round_trip(round_trip);
        }
    }

    fn extended(&mut self, reporter: u32, blocks: &[u8], at: Timestamp, reverse: Option<&Self>) {
        for block in extensions(blocks) {
            match block {
                Extension::ReferenceTime(clock) => self.remember(clock, at),
                Extension::Delay(ssrc, clock, delay) => {
                    let round_trip = reverse.and_then(|sender| sender.answered(clock, delay, at));
                    self.heard(ssrc, reporter).into_iter().for_each(|it| it.note_round_trip(round_trip));
                }
                Extension::VoipMetrics(metrics) => {
                    self.heard(metrics.ssrc, reporter).into_iter().for_each(|it| it.voip = Some(metrics));
                }
            }
        }
    }

    /// How long ago a clock passed here, less the time that it waited at the other side (RFC 3550 6.4.1, A - LSR - DLSR,
    /// with the times of the capture in place of the sender's).
    fn answered(&self, clock: u32, delay: u32, at: Timestamp) -> Option<u64> {
        let sent =
            self.clocks.iter().filter(|sent| clock != 0 && sent.clock == clock).max_by_key(|sent| sent.at)?;
        let waited = (u64::from(delay) * 1_000_000_000) >> 16;
        at.0.checked_sub(sent.at.0)?.checked_sub(waited)
    }

    fn heard(&mut self, ssrc: u32, reporter: u32) -> Option<&mut Heard> {
        let known = self.heard.iter().position(|heard| (heard.ssrc, heard.reporter) == (ssrc, reporter));
        let index = known.unwrap_or(self.heard.len());
        if known.is_none() && self.heard.len() < MAX_HEARD {
            self.heard.push(Heard { ssrc, reporter, ..Heard::default() });
        }
        self.heard.get_mut(index)
    }
}

impl Heard {
    fn note_round_trip(&mut self, round_trip: Option<u64>) {
        self.round_trip = self.round_trip.into_iter().chain(round_trip).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(value: u32) -> [u8; 4] {
        value.to_be_bytes()
    }

    fn report(ssrc: u32, clock: u32, block: Option<[u32; 6]>) -> Vec<u8> {
        let blocks: Vec<u8> = block.into_iter().flatten().flat_map(word).collect();
        let length = (24 + blocks.len()) / 4;
        let mut packet = vec![0x80 | u8::from(!blocks.is_empty()), 200, 0, length as u8];
        packet.extend([ssrc, clock >> 16, clock << 16, 0, 0, 0].into_iter().flat_map(word));
        packet.extend(blocks);
        packet
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    /// The example of RFC 3550 6.4.1, figure 2: a report of clock 46,853.125 s is answered with a DLSR of 5.250 s, and
    /// the answer comes at 46,864.500 s by the same clock. That is a delay of 6.125 s.
    #[test]
    fn a_round_trip_is_that_of_the_rfc() {
        let mut there = Control::default();
        let mut back = Control::default();
        let sent = report(1, 0xb705_2000, None);
        there.observe(Compound::of(&sent).unwrap(), at(46_853_125), Some(&back));
        let answer = report(2, 7, Some([1, 0, 0, 0, 0xb705_2000, 0x0005_4000]));
        back.observe(Compound::of(&answer).unwrap(), at(46_864_500), Some(&there));
        assert_eq!(back.heard[0].round_trip, Some(6_125_000_000));
        assert_eq!((back.heard[0].ssrc, back.heard[0].reporter, back.heard[0].reports), (1, 2, 1));
    }

    #[test]
    fn reports_that_were_captured_twice_make_no_round_trip_shorter() {
        let (sent, answer) = (report(1, 10, None), report(2, 0, Some([1, 0, 0, 0, 10, 0])));
        for later in [3, 50, 300] {
            let (mut there, mut back) = (Control::default(), Control::default());
            let mut all = [(0, true), (later, true), (80, false), (80 + later, false)];
            all.sort_by_key(|one| one.0);
            for (ms, is_sent) in all {
                if is_sent {
                    there.observe(Compound::of(&sent).unwrap(), at(ms), None);
                } else {
                    back.observe(Compound::of(&answer).unwrap(), at(ms), Some(&there));
                }
            }
            assert_eq!(back.heard[0].round_trip, Some(80_000_000), "{later} ms later");
        }
    }

    #[test]
    fn the_least_round_trip_and_the_worst_loss_stay() {
        let (mut there, mut back) = (Control::default(), Control::default());
        for (clock, sent_at, answered_at, loss) in [(10, 0, 80, 3), (20, 5000, 5050, 40), (30, 9000, 9090, 1)]
        {
            let sent = report(1, clock, None);
            there.observe(Compound::of(&sent).unwrap(), at(sent_at), None);
            let answer = report(2, 0, Some([1, loss << 24, 0, 0, clock, 0]));
            back.observe(Compound::of(&answer).unwrap(), at(answered_at), Some(&there));
        }
        assert_eq!(back.heard[0].round_trip, Some(50_000_000));
        assert_eq!((back.heard[0].worst, back.heard[0].latest.fraction_lost), (40, 1));
    }

    #[test]
    fn a_clock_that_was_not_seen_says_nothing_and_streams_are_bounded() {
        let (mut there, mut back) = (Control::default(), Control::default());
        there.observe(Compound::of(&report(1, 10, None)).unwrap(), at(0), None);
        for ssrc in 0..100 {
            let answer = report(2, 0, Some([ssrc, 0, 0, 0, 11, 0]));
            back.observe(Compound::of(&answer).unwrap(), at(50), Some(&there));
        }
        assert_eq!(back.heard.len(), MAX_HEARD);
        assert!(back.heard.iter().all(|heard| heard.round_trip.is_none()));
    }
}
