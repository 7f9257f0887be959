//! What is counted of one RTP stream, packet by packet: loss, reordering, duplicates and jitter as RFC 3550 defines
//! them (6.4.1, A.1, A.3, A.8), and which packets a receiver could have played.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::bursts::{BurstFigures, Bursts};
use super::hole::Hole;
use super::pauses::Pauses;
use super::playout::{LateRun, Playout};
use crate::near::fetch;
use crate::sip::sdp::CodecName;
use crate::time::Timestamp;

/// Clock rate and name of a payload type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadFormat {
    /// Clock rate in Hz; 0 when unknown.
    pub clock: u32,
    /// Encoding name; empty when unknown.
    pub name: CodecName,
}

/// What a packet is to the stream that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Of the stream's own payload type.
    Media,
    /// Comfort noise (RFC 3389): it has the stream's clock, and says nothing of how regular packets are sent.
    ComfortNoise,
    /// An event (RFC 4733): its timestamp stands still while it lasts.
    Event,
    /// Empty, to keep a path open (RFC 6263 4.6): it has a number, and its payload type and timestamp say nothing.
    Nothing,
}

impl Role {
    /// Whether its timestamp is that of what it carries.
    const fn has_time(self) -> bool {
        matches!(self, Self::Media | Self::ComfortNoise)
    }
}

/// A packet as its stream sees it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When it was captured.
    pub time: Timestamp,
    /// Sequence number.
    pub sequence: u16,
    /// Media time, in units of the payload's clock.
    pub timestamp: u32,
    /// The marker bit: the first packet after a silence (RFC 3551 4.1), the last of a picture.
    pub marker: bool,
}

/// A jump of the sequence number by this much, forward or back, is no loss (RFC 3550 A.1, `MAX_DROPOUT`): the sender
/// began again, if the next packet agrees.
const MAX_DROPOUT: u16 = 3000;

/// Packets in a round: how often the playout buffer is looked at, and sums of 32 bits become sums of 64.
const ROUND: u8 = 64;

/// A packet this far behind the highest or further is no late one (RFC 3550 A.1, `MAX_MISORDER`).
const MAX_MISORDER: u16 = 100;

/// In [`Stream::round`]: the next packet is not one of the usual ones, whatever it is like.
const CLOSER: u8 = 0x80;

/// Packets that can be told apart from the latest back.
const WINDOW: u32 = 32;

/// A usual packet comes within that many nanoseconds, 268 ms, of the one before it.
const SOON: u64 = 1 << 28;

/// Nanoseconds by which a packet has to miss its time, 4 s, for the timestamps to have begun anew.
const LEAP: u64 = 4_000_000_000;

/// Parts into which a nanosecond sum is cut: jitter is summed in units of 16 ns.
const COARSE: u32 = 16;

/// A copy that comes more than so many nanoseconds, 1 ms, after its packet was captured at another place, where the clock is
/// another.
const ELSEWHERE: u64 = 1_000_000;

/// A pause of this many nanoseconds, 1 s, in which the media time stood still: the receiver's buffer begins anew.
const PAUSE: u32 = 1_000_000_000;

/// Two clocks are compared over no less than this.
const LONG_ENOUGH: Duration = Duration::from_secs(30);

/// Bit of [`Stream::payload_type`] that no packet has: the stream has begun with an event or comfort noise.
const NO_MEDIA_YET: u8 = 0x80;

/// The floor before a packet of the round came.
const UNSEEN: i32 = i32::MAX;

/// One stream. What a usual packet needs (the next one, on time or not, of a talking sender) is one cache line; all
/// else lies elsewhere: with many thousands of streams, what is near is what a packet costs.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Stream {
    /// Time of the latest packet.
    last: Timestamp,
    /// How much later than the fastest packet of the round before it came, in nanoseconds.
    transit: i32,
    /// The least of it in this round.
    fastest: i32,
    /// The most that can still be played.
    deadline: i32,
    /// The estimator of RFC 3550 A.8 in nanoseconds, its sum in this round in units of 16 ns, and its maximum.
    jitter: u32,
    jitter_sum: u32,
    jitter_max: u32,
    /// The longest time between two packets, in nanoseconds, if it was a usual one.
    delta_max: u32,
    /// Bit *i*: the packet *i* before the highest came.
    received: u32,
    /// Bit *i*: and it could be played.
    played: u32,
    /// Highest sequence number, with wraps counted in the upper half.
    highest: u32,
    /// The timestamp that a usual packet has.
    next: u32,
    /// Nanoseconds of media in a usual packet.
    frame_ns: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Units of media time in a usual packet; 0 before it is known.
    frame: u16,
    /// Packets in this round, and [`CLOSER`].
    round: u8,
    /// The latest payload type, comfort noise and events aside.
    payload_type: u8,
    rest: Box<Rest>,
}

/// What is looked at once in a round, which is its first 64 bytes, and by packets that are not usual.
#[derive(Clone, Debug, Default)]
#[repr(C)]
struct Rest {
    /// Packets of the rounds before.
    packets: u64,
    /// Their jitter, in units of 16 ns; what packets that give no sample count is the mean so far.
    jitter_sum: u64,
    /// Transit time of the fastest packet of the latest round that had one, relative to the first packet's.
    floor: i64,
    /// When that round ended.
    floor_at: Timestamp,
    delay_sum: u64,
    rounds: u32,
    has_floor: bool,
    playout: Playout,
    /// The first such floor, and when its round ended.
    first_floor: (i64, Timestamp),
    /// Packets before the clock rate was known, and copies from elsewhere.
    unmeasured: u64,
    first: Timestamp,
    /// Extended sequence number of the first packet.
    base: u32,
    /// What a sender that begins again would send next.
    restart_at: Option<u16>,
    /// Nanoseconds in a unit of the clock, in 65,536ths; 0 when unknown.
    unit: u64,
    codec: CodecName,
    /// When the first packet of this codec came.
    codec_since: Timestamp,
    /// It is SRTP; none as long as that is not agreed.
    srtp: Option<bool>,
    /// A frame seen once: seen again, it is the usual one.
    candidate: u32,
    after_noise: bool,
    delta_max: u64,
    duplicates: u64,
    reordered: u64,
    restarts: u64,
    leaps: u64,
    markers: u64,
    /// How much later than its timestamp an event has come so far.
    held: i64,
    late: LateRun,
    bursts: Bursts,
    hole: Hole,
    discarded: u64,
    /// What copies took from the estimator, in nanoseconds, and how many packets there were besides copies then; 0 without.
    damped: (f64, u64),
    pauses: Pauses,
}

/// What the end of a round needs lies together.
const _: () = assert!(std::mem::offset_of!(Rest, first_floor) <= 64);

/// See [`Rest::unit`].
const fn unit(clock: u32) -> u64 {
    match (1_000_000_000u64 << 16).checked_div(clock as u64) {
        Some(unit) => unit,
        None => 0,
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            last: Timestamp::default(),
            transit: 0,
            fastest: UNSEEN,
            deadline: 0,
            jitter: 0,
            jitter_sum: 0,
            jitter_max: 0,
            delta_max: 0,
            received: u32::MAX,
            played: u32::MAX,
            highest: 0,
            next: 0,
            frame_ns: 0,
            ssrc: 0,
            frame: 0,
            round: CLOSER,
            payload_type: NO_MEDIA_YET,
            rest: Box::default(),
        }
    }
}

impl Stream {
    /// A stream that begins with this packet.
    #[must_use]
    pub fn new(
        ssrc: u32,
        payload_type: u8,
        arrival: &Arrival,
        format: PayloadFormat,
        playout: Playout,
    ) -> Self {
        // One turn of the sequence number is added, so that late packets before the first do not wrap below zero.
        let base = u32::from(arrival.sequence) | 1 << 16;
        Self {
            ssrc,
            payload_type,
            last: arrival.time,
            fastest: 0,
            deadline: playout.delay(0),
            highest: base,
            next: arrival.timestamp,
            round: 1 | CLOSER,
            rest: Box::new(Rest {
                unit: unit(format.clock),
                codec: format.name,
                codec_since: arrival.time,
                first: arrival.time,
                base,
                markers: u64::from(arrival.marker),
                playout,
                ..Rest::default()
            }),
            ..Self::default()
        }
    }

    /// Fetches what the next packet will need, unless it ends a round.
    #[inline]
    pub fn touch(&self) {
        fetch(&self.last);
    }

    /// Whether there is a stream at all.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.round & !CLOSER != 0 || self.rest.packets != 0
    }

    /// Whether packets of this source and payload type are media of this stream.
    #[must_use]
    #[inline]
    pub const fn takes(&self, ssrc: u32, payload_type: u8) -> bool {
        self.ssrc == ssrc && self.payload_type == payload_type
    }

    /// Whether a packet with that number may be the next one after a silence: it is ahead, and not far (RFC 3550 A.1).
    #[must_use]
    pub const fn may_go_on_with(&self, sequence: u16) -> bool {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        0 < ahead && ahead < MAX_DROPOUT
    }

    /// Its payload type: the latest, comfort noise and events aside.
    #[must_use]
    pub const fn payload_type(&self) -> u8 {
        self.payload_type & !NO_MEDIA_YET
    }

    /// Whether the clock rate is known.
    #[must_use]
    pub const fn has_clock(&self) -> bool {
        self.rest.unit != 0
    }

    /// Encoding name of the payload type; empty when unknown.
    #[must_use]
    pub const fn codec(&self) -> CodecName {
        self.rest.codec
    }

    /// When the first packet of that codec came.
    #[must_use]
    pub const fn codec_since(&self) -> Timestamp {
        self.rest.codec_since
    }

    /// Whether all of its packets were empty, to keep a path open: [`Role::Nothing`].
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.payload_type & NO_MEDIA_YET != 0 && self.rest.codec.is_empty()
    }

    /// Sequence number of its first packet.
    #[must_use]
    pub const fn first_number(&self) -> u16 {
        self.rest.base as u16
    }

    /// Whether it is SRTP, as was agreed first; none as long as nothing is.
    #[must_use]
    pub const fn is_srtp(&self) -> Option<bool> {
        self.rest.srtp
    }

    /// Both sides have agreed on SRTP, or that it is none. What they agree on later is for the streams that begin then.
    pub fn agree_on_srtp(&mut self, agreed: Option<bool>) {
        self.rest.srtp = self.rest.srtp.or(agreed);
    }

    /// Packets received.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.rest.packets + u64::from(self.round & !CLOSER)
    }

    /// Time of the first packet.
    #[must_use]
    pub const fn first(&self) -> Timestamp {
        self.rest.first
    }

    /// Time of the latest packet.
    #[must_use]
    pub const fn latest(&self) -> Timestamp {
        self.last
    }

    /// The stream began with a packet that is no media of its own: the first that is will tell its payload type.
    pub const fn set_aside(&mut self, payload_type: u8) {
        self.payload_type = payload_type | NO_MEDIA_YET;
    }

    /// It carries something from this packet on: those before said nothing of times.
    pub const fn begin_at(&mut self, arrival: &Arrival) {
        self.last = arrival.time;
        self.next = arrival.timestamp;
    }

    /// From then on the stream has this payload type.
    pub fn set_format(&mut self, payload_type: u8, format: PayloadFormat, at: Timestamp) {
        self.payload_type = payload_type;
        if self.rest.codec != format.name {
            self.rest.codec_since = at;
        }
        self.learn(format);
    }

    /// The payload type means this from now on.
    pub fn learn(&mut self, format: PayloadFormat) {
        if self.rest.unit == 0 {
            // The samples of before are none.
            self.rest.unmeasured = self.packets().saturating_sub(1);
        }
        self.rest.unit = unit(format.clock);
        self.rest.codec = format.name;
        self.next = self.media_time();
        (self.frame, self.frame_ns, self.rest.candidate) = (0, 0, 0);
        self.round |= CLOSER;
    }

    /// Counts a packet if it is a usual one: the next of the stream, on time, with as much media as those before it.
    /// `header` is the fixed part of an RTP header (RFC 3550 5.1).
    #[inline(always)]
    pub fn takes_next(&mut self, header: &[u8; 12], time: Timestamp) -> bool {
        let [a, b, c, d, t0, t1, t2, t3, s0, s1, s2, s3] = *header;
        let first = u32::from_be_bytes([a, b, c, d]);
        let timestamp = u32::from_be_bytes([t0, t1, t2, t3]);
        let ssrc = u32::from_be_bytes([s0, s1, s2, s3]);
        // Version 2, no contributing sources, no marker; padding and extension as they may be.
        let next = self.highest.wrapping_add(1) & 0xffff;
        let wanted = 0x8000_0000 | u32::from(self.payload_type) << 16 | next;
        let differs = ((first ^ wanted) & 0xcfff_ffff) | (timestamp ^ self.next) | (ssrc ^ self.ssrc);
        let wall = time.0.wrapping_sub(self.last.0);
        let is_usual = (differs == 0) & (self.round < CLOSER) & (wall < SOON);
        if is_usual {
            self.usual(time, wall as u32);
        }
        is_usual
    }

    /// Counts the next packet of the stream's payload type, and tells whether others are missing before it.
    #[inline]
    pub fn observe(&mut self, arrival: &Arrival) -> bool {
        let wall = arrival.time.0.wrapping_sub(self.last.0);
        let is_usual = (arrival.sequence == (self.highest as u16).wrapping_add(1))
            & (arrival.timestamp == self.next)
            & !arrival.marker
            & (self.round < CLOSER)
            & (wall < SOON);
        if is_usual {
            self.usual(arrival.time, wall as u32);
            return false;
        }
        self.unusual(arrival, Role::Media)
    }

    /// Counts a packet that is no media of its own.
    pub fn observe_aside(&mut self, arrival: &Arrival, role: Role) {
        self.unusual(arrival, role);
    }

    /// The next packet, with as much media as those before it.
    #[inline(always)]
    fn usual(&mut self, time: Timestamp, wall: u32) {
        let leaves = self.played >> (WINDOW - 1);
        if leaves == 0 {
            self.leave(1);
        }
        self.last = time;
        self.highest = self.highest.wrapping_add(1);
        self.next = self.next.wrapping_add(u32::from(self.frame));
        self.delta_max = self.delta_max.max(wall);
        let lag = wall as i32 - self.frame_ns as i32;
        self.transit = self.transit.saturating_add(lag);
        self.fastest = self.fastest.min(self.transit);
        self.estimate(lag.unsigned_abs());
        self.jitter_sum = self.jitter_sum.saturating_add(self.jitter / COARSE);
        self.jitter_max = self.jitter_max.max(self.jitter);
        self.received = self.received << 1 | 1;
        let in_time = self.transit <= self.deadline || self.begins_anew(time);
        self.played = self.played << 1 | u32::from(in_time);
        self.round += 1;
        if self.round == ROUND {
            self.end_round();
        }
    }

    /// A.8: J += (|D| - J) / 16. Rounded and not cut, so that it has no drift towards 0.
    #[inline]
    const fn estimate(&mut self, deviation: u32) {
        let change = (deviation as i64 - self.jitter as i64 + 8) >> 4;
        self.jitter = (self.jitter as i64 + change) as u32;
    }

    /// Every other packet.
    #[inline(never)]
    fn unusual(&mut self, arrival: &Arrival, role: Role) -> bool {
        let step = arrival.sequence.wrapping_sub(self.highest as u16);
        let is_ahead = (2..MAX_DROPOUT).contains(&step);
        if is_ahead {
            self.rest.hole.open(arrival.time, u32::from(step) - 1);
        }
        let back = u64::from(step.wrapping_neg());
        let came = back < u64::from(WINDOW) && back <= self.top() && self.received >> back & 1 == 1;
        if came && (back > 0 || arrival.time.0.abs_diff(self.last.0) > ELSEWHERE) {
            self.elsewhere();
            return false;
        }
        self.round &= !CLOSER;
        if back < u64::from(MAX_MISORDER) && back > self.top() {
            self.before_first();
            self.round += 1;
        } else if came {
            self.again(arrival, role);
        } else {
            self.follow(arrival, role, step == 1);
            self.round += 1;
        }
        self.rest.markers += u64::from(arrival.marker && role == Role::Media);
        self.rest.after_noise = role == Role::ComfortNoise;
        if self.round >= ROUND {
            self.end_round();
        }
        let is_known = self.frame != 0 && role == Role::Media && self.has_clock();
        self.round |= if is_known { 0 } else { CLOSER };
        is_ahead
    }

    /// A packet that was overtaken by the first: for Wireshark time begins with that one.
    fn before_first(&mut self) {
        self.rest.reordered += 1;
        self.no_sample();
    }

    /// A packet behind another one, in the order of arrival (RFC 3550 6.4.1).
    fn follow(&mut self, arrival: &Arrival, role: Role, is_next: bool) {
        self.note_pause(arrival, role);
        let (media, lag) = self.since_last(arrival, role);
        let begins_talk = is_next && self.begins_talk(arrival, media, role);
        self.move_transit(lag.unwrap_or_default(), role);
        let in_time = !role.has_time() || self.is_in_time(arrival, begins_talk);
        self.place(arrival.sequence, in_time);
        if is_next && media > 0 && role == Role::Media {
            self.learn_frame(media as u32);
        }
        self.moved_to(arrival, role);
    }

    /// Packets that are missing were sent, and took their time.
    fn note_pause(&mut self, arrival: &Arrival, role: Role) {
        let step = arrival.sequence.wrapping_sub(self.highest as u16);
        if role != Role::Nothing && (1..MAX_DROPOUT).contains(&step) && self.frame_ns > 0 {
            let sent = Duration::from_nanos(u64::from(step) * u64::from(self.frame_ns));
            self.rest.pauses.note(self.last.after(sent), arrival.time);
        }
    }

    /// By how much the timestamp of a packet moved on since the one before it, and its [lag](Self::lag), which is measured.
    fn since_last(&mut self, arrival: &Arrival, role: Role) -> (i32, Option<i64>) {
        if role == Role::Nothing {
            self.no_sample();
            return (0, None);
        }
        let wall = arrival.time.0.wrapping_sub(self.last.0) as i64;
        let media = arrival.timestamp.wrapping_sub(self.media_time()) as i32;
        // That of an event stands still, and that of the media behind it catches up.
        let media = if role == Role::Event { 0 } else { media };
        let lag = self.lag(wall, media, role);
        self.measure(arrival, role, (wall, lag));
        (media, lag)
    }

    /// The next packet is seen from this one.
    fn moved_to(&mut self, arrival: &Arrival, role: Role) {
        if role == Role::Nothing {
            return;
        }
        self.last = arrival.time;
        if role != Role::Event {
            self.next = arrival.timestamp.wrapping_add(u32::from(self.frame));
        }
    }

    /// A packet that came before. Its receiver throws it away: no round is longer by it, nothing is played sooner, and the
    /// buffer knows nothing of what it takes from the estimator, which follows it as Wireshark's does.
    fn again(&mut self, arrival: &Arrival, role: Role) {
        let heard = self.heard_jitter();
        let (_, lag) = self.since_last(arrival, role);
        let fastest = self.fastest;
        self.move_transit(lag.unwrap_or_default(), role);
        self.fastest = fastest;
        self.moved_to(arrival, role);
        self.rest.duplicates += 1;
        self.rest.packets += 1;
        self.rest.restart_at = None;
        self.rest.damped = (f64::from(heard) - f64::from(self.jitter), self.packets() - self.rest.duplicates);
    }

    /// A packet that came before was captured again at another place: when it came there says nothing of when packets come here.
    fn elsewhere(&mut self) {
        self.rest.unmeasured += 1;
        self.rest.duplicates += 1;
        self.rest.packets += 1;
        self.rest.restart_at = None;
    }

    /// The jitter as if nothing had come twice: of what copies took from the estimator every other packet gives a
    /// sixteenth back (RFC 3550 A.8).
    fn heard_jitter(&self) -> u32 {
        let (damped, since) = self.rest.damped;
        if since == 0 {
            return self.jitter;
        }
        let others = (self.packets() - self.rest.duplicates).saturating_sub(since);
        let left = damped * (15.0f64 / 16.0).powi(i32::try_from(others).unwrap_or(i32::MAX));
        (f64::from(self.jitter) + left).round() as u32
    }

    /// Timestamp of the latest packet, events aside.
    const fn media_time(&self) -> u32 {
        self.next.wrapping_sub(self.frame as u32)
    }

    /// How much later than its timestamp says a packet came, in nanoseconds, after the one before it; none without a
    /// clock, and when the timestamps began anew.
    fn lag(&mut self, wall: i64, media: i32, role: Role) -> Option<i64> {
        if !self.has_clock() {
            return None;
        }
        let lag = wall.saturating_sub(self.nanoseconds(media));
        let held = if role == Role::Event { 0 } else { self.rest.held };
        if lag.saturating_add(held).unsigned_abs() > LEAP {
            self.rest.leaps += 1;
            self.rest.held = 0;
            return None;
        }
        Some(lag)
    }

    fn nanoseconds(&self, media: i32) -> i64 {
        ((i128::from(media) * i128::from(self.rest.unit)) >> 16) as i64
    }

    /// Jitter and the time between packets. As in Wireshark, the estimator follows every packet with a clock, and its
    /// mean and maximum leave out what is no regular step: events, comfort noise and the packet behind it, the first
    /// of a talkspurt.
    fn measure(&mut self, arrival: &Arrival, role: Role, (wall, lag): (i64, Option<i64>)) {
        let is_step = !arrival.marker && role != Role::ComfortNoise && !self.rest.after_noise;
        if is_step {
            self.rest.delta_max = self.rest.delta_max.max(u64::try_from(wall).unwrap_or_default());
        }
        let Some(lag) = lag.filter(|_| role != Role::Event) else { return self.no_sample() };
        self.estimate(u32::try_from(lag.unsigned_abs()).unwrap_or(u32::MAX));
        if is_step {
            self.jitter_sum = self.jitter_sum.saturating_add(self.jitter / COARSE);
            self.jitter_max = self.jitter_max.max(self.jitter);
        } else {
            self.no_sample();
        }
    }

    /// A packet that is no sample weighs as much as the mean so far: the way in which Wireshark leaves it out.
    fn no_sample(&mut self) {
        if self.has_clock() {
            self.rest.jitter_sum += self.mean_jitter();
        } else {
            self.rest.unmeasured += 1;
        }
    }

    /// Packets whose jitter is in the sums.
    fn samples(&self) -> u64 {
        self.packets().saturating_sub(1).saturating_sub(self.rest.unmeasured)
    }

    /// The mean so far, in units of 16 ns.
    fn mean_jitter(&self) -> u64 {
        let sum = self.rest.jitter_sum + u64::from(self.jitter_sum);
        sum.checked_div(self.samples()).unwrap_or_default()
    }

    /// Whether a packet is the first behind a silence in which nothing was sent (RFC 3551 4.1), or only comfort noise.
    const fn begins_talk(&self, arrival: &Arrival, media: i32, role: Role) -> bool {
        let is_behind_silence = arrival.marker || self.rest.after_noise;
        is_behind_silence && matches!(role, Role::Media) && media > self.frame as i32
    }

    /// Whether a packet can be played. A receiver begins anew with talk, for nothing is heard to go on without a break.
    fn is_in_time(&mut self, arrival: &Arrival, begins_talk: bool) -> bool {
        if self.transit <= self.deadline {
            return true;
        }
        if begins_talk && self.rest.playout.is_adaptive() {
            self.anchor(self.transit);
            return true;
        }
        let step = arrival.sequence.wrapping_sub(self.highest as u16);
        (1..MAX_DROPOUT).contains(&step) && self.begins_anew(arrival.time)
    }

    /// A packet with a number above all others is too late; whether the buffer begins anew with it, so that it is not.
    #[cold]
    #[inline(never)]
    fn begins_anew(&mut self, at: Timestamp) -> bool {
        let follows = self.played & 1 == 0;
        let rest = &mut self.rest;
        if !rest.playout.is_adaptive() {
            return false;
        }
        let transit = rest.floor.saturating_add(i64::from(self.transit));
        let Some(least) = rest.late.add((at, transit), follows, self.deadline) else { return false };
        let above = least.saturating_sub(rest.floor);
        self.anchor(i32::try_from(above).unwrap_or(self.transit));
        true
    }

    /// Packets are played from now on as if the fastest was that much later, in nanoseconds.
    fn anchor(&mut self, later: i32) {
        self.rest.floor = self.rest.floor.saturating_add(i64::from(later));
        self.transit = self.transit.saturating_sub(later);
        self.fastest = 0;
    }

    /// When the packet came, relative to the fastest of the round before.
    fn move_transit(&mut self, lag: i64, role: Role) {
        if !role.has_time() {
            self.rest.held += lag;
            return;
        }
        // A receiver begins anew after a pause, as it does when timestamps leap.
        let lag = lag + std::mem::take(&mut self.rest.held);
        if let Some(lag) = i32::try_from(lag).ok().filter(|lag| lag.unsigned_abs() < PAUSE) {
            self.transit = self.transit.saturating_add(lag);
            self.fastest = self.fastest.min(self.transit);
        }
    }

    /// Finds the place of a sequence number (RFC 3550 A.1).
    fn place(&mut self, sequence: u16, in_time: bool) {
        let step = sequence.wrapping_sub(self.highest as u16);
        let back = step.wrapping_neg();
        if (1..MAX_DROPOUT).contains(&step) {
            self.advance(u32::from(step), in_time);
        } else if back < MAX_MISORDER {
            self.fill(back, in_time);
        } else if self.rest.restart_at == Some(sequence) {
            self.restart(sequence);
        } else {
            self.rest.restart_at = Some(sequence.wrapping_add(1));
            return;
        }
        self.rest.restart_at = None;
    }

    fn advance(&mut self, step: u32, in_time: bool) {
        let top = self.top();
        self.leave(step.min(WINDOW));
        if step > WINDOW {
            self.rest.bursts.lose(top + 1, u64::from(step - WINDOW));
        }
        self.highest = self.highest.wrapping_add(step);
        self.received = self.received.checked_shl(step).unwrap_or_default() | 1;
        self.played = self.played.checked_shl(step).unwrap_or_default() | u32::from(in_time);
    }

    /// Position of the highest sequence number; the first has position 0.
    const fn top(&self) -> u64 {
        self.highest.wrapping_sub(self.rest.base) as u64
    }

    /// The oldest places of the window leave it: what has not come by now is lost.
    #[inline(never)]
    fn leave(&mut self, count: u32) {
        for back in (WINDOW - count..WINDOW).rev() {
            let is_set = |bits: u32| bits >> back & 1 == 1;
            if !is_set(self.played) {
                self.rest.discarded += u64::from(is_set(self.received));
                self.rest.bursts.lose(self.top().saturating_sub(u64::from(back)), 1);
            }
        }
    }

    /// A packet that is late.
    fn fill(&mut self, back: u16, in_time: bool) {
        let place = 1u32.checked_shl(u32::from(back)).unwrap_or_default();
        self.rest.reordered += 1;
        self.rest.hole.fill();
        self.received |= place;
        self.played |= if in_time { place } else { 0 };
    }

    /// The sender began again at another number, as this packet and the one before it say: what was expected so far is
    /// carried over.
    fn restart(&mut self, sequence: u16) {
        self.leave(WINDOW);
        let expected = self.highest.wrapping_sub(self.rest.base).wrapping_add(2);
        self.highest = u32::from(sequence) | (self.highest & 0xffff_0000).wrapping_add(1 << 16);
        self.rest.base = self.highest.wrapping_sub(expected);
        (self.received, self.played) = (u32::MAX, u32::MAX);
        self.rest.restarts += 1;
    }

    /// How much media a usual packet has: what two packets in a row have.
    fn learn_frame(&mut self, media: u32) {
        let length = self.nanoseconds(media as i32);
        let (Ok(frame), Ok(frame_ns)) = (u16::try_from(media), u32::try_from(length)) else { return };
        if frame_ns == 0 || u64::from(frame_ns) >= SOON {
            return;
        }
        if self.frame == 0 || self.rest.candidate == media {
            (self.frame, self.frame_ns) = (frame, frame_ns);
        }
        self.rest.candidate = media;
    }

    #[inline(never)]
    fn end_round(&mut self) {
        let rest = &mut self.rest;
        rest.packets += u64::from(self.round & !CLOSER);
        self.round &= CLOSER;
        rest.jitter_sum += u64::from(std::mem::take(&mut self.jitter_sum));
        if self.fastest != UNSEEN {
            rest.floor += i64::from(self.fastest);
            self.transit = self.transit.saturating_sub(self.fastest);
            self.fastest = UNSEEN;
            rest.floor_at = self.last;
            if !rest.has_floor {
                rest.first_floor = (rest.floor, self.last);
                rest.has_floor = true;
            }
        }
        rest.delay_sum += u64::from(self.deadline.unsigned_abs());
        rest.rounds = rest.rounds.saturating_add(1);
        let playout = rest.playout;
        self.deadline = playout.delay(self.heard_jitter());
    }

    /// Whether packets were missing at that moment.
    #[must_use]
    pub fn missed_within(&self, moment: &RangeInclusive<Timestamp>) -> bool {
        self.rest.hole.is_within(moment)
    }

    /// Those packets were lost by the capture; tells how many.
    pub fn blame_capture(&mut self) -> u64 {
        self.rest.hole.blame_capture()
    }

    /// So many units of its media time in milliseconds; none when the clock rate is not known.
    #[must_use]
    pub fn milliseconds(&self, units: u32) -> Option<f64> {
        let nanoseconds = (u128::from(units) * u128::from(self.rest.unit)) >> 16;
        self.has_clock().then_some(nanoseconds as f64 / 1e6)
    }

    /// When its sender sent nothing.
    #[must_use]
    pub fn pauses(&self) -> Pauses {
        let mut pauses = self.rest.pauses.clone();
        pauses.ends_in_noise = self.rest.after_noise;
        pauses
    }

    /// What the stream was like up to here.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut done = self.clone();
        done.leave(WINDOW);
        let rest = &done.rest;
        let expected = done.top() + 1;
        let has_jitter = done.has_clock() && done.samples() > 0;
        let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        let jitter_sum = rest.jitter_sum + u64::from(done.jitter_sum);
        let mean = jitter_sum as f64 * f64::from(COARSE) / done.samples().max(1) as f64 / 1e6;
        let delays = rest.delay_sum + u64::from(done.deadline.unsigned_abs());
        Figures {
            packets: done.packets(),
            expected,
            lost: expected as i64 - done.packets() as i64,
            duplicates: rest.duplicates,
            reordered: rest.reordered,
            missing: rest.bursts.lost - rest.discarded,
            lost_by_capture: rest.hole.in_capture,
            discarded: rest.discarded,
            bursts: rest.bursts.figures(),
            burst_ratio: rest.bursts.ratio(expected),
            restarts: rest.restarts,
            leaps: rest.leaps,
            markers: rest.markers,
            jitter_ms: has_jitter.then_some(mean),
            max_jitter_ms: has_jitter.then(|| ms(u64::from(done.jitter_max))),
            max_delta_ms: ms(rest.delta_max.max(u64::from(done.delta_max))),
            frame_ms: (done.frame != 0).then(|| ms(u64::from(done.frame_ns))),
            playout_delay_ms: ms(delays) / (f64::from(rest.rounds) + 1.0),
            drift_ppm: rest.drift_ppm(),
        }
    }
}

impl Rest {
    /// How much faster than the clock of the capture the sender's runs, in parts per million: by how much less the
    /// fastest packets were under way at the end.
    fn drift_ppm(&self) -> Option<f64> {
        let (floor, at) = self.first_floor;
        let between = self.floor_at.since(at);
        let is_known = self.has_floor && between >= LONG_ENOUGH;
        is_known.then(|| (floor - self.floor) as f64 / between.as_nanos() as f64 * 1e6)
    }
}

/// What one stream was like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Packets received, duplicates too.
    pub packets: u64,
    /// Packets expected: from the first sequence number to the highest (RFC 3550 A.3).
    pub expected: u64,
    /// Expected less received; negative when packets came twice.
    pub lost: i64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after one with a higher sequence number.
    pub reordered: u64,
    /// Sequence numbers that never came, or more than 32 packets late.
    pub missing: u64,
    /// Of these, packets that the streams of other senders missed too at the same moment.
    pub lost_by_capture: u64,
    /// Packets that came too late for the playout buffer.
    pub discarded: u64,
    /// Missing and discarded packets where they cluster.
    pub bursts: BurstFigures,
    /// The burst ratio of ITU-T G.107, at least 1.
    pub burst_ratio: f64,
    /// How often the sequence numbers began anew.
    pub restarts: u64,
    /// How often the timestamps did.
    pub leaps: u64,
    /// Packets with the marker bit: talkspurts, or pictures.
    pub markers: u64,
    /// Mean of the RFC 3550 estimator in milliseconds; none without a clock rate or a second packet.
    pub jitter_ms: Option<f64>,
    /// Its maximum.
    pub max_jitter_ms: Option<f64>,
    /// The longest time between two packets in milliseconds, silences aside.
    pub max_delta_ms: f64,
    /// Media in a packet, in milliseconds; none when it is not known.
    pub frame_ms: Option<f64>,
    /// Mean delay of the playout buffer in milliseconds.
    pub playout_delay_ms: f64,
    /// How much faster than that of the capture the sender's clock runs, in parts per million; none for less than
    /// half a minute.
    pub drift_ppm: Option<f64>,
}

#[cfg(test)]
mod tests;
