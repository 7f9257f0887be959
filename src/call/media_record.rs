//! What is told of one RTP stream of a call.

use serde::Serialize;

use super::record::{display, rfc3339};
use crate::flow::Endpoint;
use crate::media::{FaxReport, StreamReport};
use crate::quality::{BurstFigures, Heard, Pauses, rate};
use crate::sip::sdp::MediaKind;
use crate::time::Timestamp;

/// One RTP stream of a call, in one direction, as it was where it was captured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MediaRecord {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Sender.
    #[serde(serialize_with = "display")]
    pub source: Endpoint,
    /// Receiver.
    #[serde(serialize_with = "display")]
    pub destination: Endpoint,
    /// What it carries as its SDP says: `audio`, `video`, `text`; null when that is not known.
    pub kind: Option<&'static str>,
    /// Its payload type: the latest, comfort noise and DTMF aside.
    pub payload_type: u8,
    /// Its encoding name from SDP or RFC 3551; null when unknown.
    pub codec: Option<String>,
    /// It is SRTP, as SDP says.
    pub encrypted: bool,
    /// Packets received.
    pub packets: u64,
    /// From the first sequence number to the highest (RFC 3550 A.3).
    pub expected: u64,
    /// Expected minus received; negative with duplicates (as tshark counts).
    pub lost: i64,
    /// Sequence numbers that never came.
    pub missing: u64,
    /// Of these, packets that the capture lost and not the network: the streams of all senders missed packets then. What
    /// was heard was better than `mos` says.
    pub lost_by_capture: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after one with a higher sequence number.
    pub reordered: u64,
    /// Packets that came too late for the playout buffer.
    pub discarded: u64,
    /// Missing and discarded packets where they cluster.
    pub bursts: BurstRecord,
    /// How often the sender began anew with its sequence numbers.
    pub restarts: u64,
    /// How often its timestamps leapt.
    pub timestamp_leaps: u64,
    /// Mean of the RFC 3550 jitter estimator, in milliseconds; null when the clock rate is unknown.
    pub jitter_ms: Option<f64>,
    /// Its maximum.
    pub max_jitter_ms: Option<f64>,
    /// The longest time between two packets, silences aside.
    pub max_delta_ms: f64,
    /// Media in a packet; null when not known.
    pub packet_ms: Option<f64>,
    /// How much faster than the capture's the sender's clock is; null for less than half a minute.
    pub clock_drift_ppm: Option<f64>,
    /// Packets with the marker bit: beginnings of talkspurts (RFC 3551 4.1), ends of pictures.
    pub markers: u64,
    /// Keys pressed (RFC 4733).
    pub digits: u64,
    /// Which, the first 64; null when there were none, and where they are not to be told.
    pub dtmf: Option<String>,
    /// Mean opinion score of the E-model (ITU-T G.107, G.107.1), 1 to 4.5; null when there is none.
    pub mos: Option<f64>,
    /// Transmission rating factor, of which it is made.
    pub r_factor: Option<f64>,
    /// Why there is no score.
    pub mos_missing: Option<&'static str>,
    /// One way from mouth to ear, for which the score is.
    pub delay_ms: f64,
    /// Where the network's part of it is from: `rtcp`, or `assumed`.
    pub delay_source: &'static str,
    /// How it was received, as its receiver says in RTCP; null when it says nothing.
    pub far_end: Option<FarEndRecord>,
    /// Time of its first packet.
    #[serde(serialize_with = "rfc3339")]
    pub start: Timestamp,
    /// Time of its last packet.
    #[serde(serialize_with = "rfc3339")]
    pub end: Timestamp,
    /// Sequence number of its first packet.
    #[serde(skip)]
    pub first_number: u16,
    /// Time of the first packet of `codec`.
    #[serde(skip)]
    pub codec_since: Timestamp,
    /// All of its packets were empty, and of a payload type that means nothing (RFC 6263 4.6).
    #[serde(skip)]
    pub is_nothing: bool,
    /// Its receiver has announced another payload type, and not this one.
    #[serde(skip)]
    pub unannounced: bool,
    /// When its sender sent nothing.
    #[serde(skip)]
    pub pauses: Pauses,
    /// When each of the first 64 keys was pressed. A ladder draws them; not told otherwise.
    #[serde(skip)]
    pub pressed: Vec<Timestamp>,
}

/// T.38 over UDPTL in one direction of a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaxRecord {
    /// Sender.
    #[serde(serialize_with = "display")]
    pub source: Endpoint,
    /// Receiver.
    #[serde(serialize_with = "display")]
    pub destination: Endpoint,
    /// Packets.
    pub packets: u64,
    /// Time of the first.
    #[serde(serialize_with = "rfc3339")]
    pub start: Timestamp,
    /// Time of the last.
    #[serde(serialize_with = "rfc3339")]
    pub end: Timestamp,
}

impl From<&FaxReport> for FaxRecord {
    fn from(report: &FaxReport) -> Self {
        Self {
            source: report.source,
            destination: report.destination,
            packets: report.packets,
            start: report.first,
            end: report.latest,
        }
    }
}

/// Where losses cluster (RFC 3611 4.7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BurstRecord {
    /// Bursts.
    pub count: u64,
    /// Packets in them.
    pub packets: u64,
    /// Of these, packets missing or discarded.
    pub lost: u64,
}

/// What a receiver says in RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FarEndRecord {
    /// Report blocks (RFC 3550 6.4.1) seen.
    pub reports: u64,
    /// Expected minus received, as the latest says.
    pub lost: i32,
    /// The largest loss between two of them, in per cent.
    pub worst_loss_percent: f64,
    /// The jitter estimator as the latest says; null when the clock rate is unknown.
    pub jitter_ms: Option<f64>,
    /// Round trip between sender and receiver: the least that reports show, else what the receiver says; null when
    /// neither is there.
    pub round_trip_ms: Option<f64>,
    /// Its conversational score (RFC 3611 4.7.5).
    pub mos: Option<f64>,
    /// Its R.
    pub r_factor: Option<u8>,
    /// Its discards, in per cent (4.7.1).
    pub discarded_percent: Option<f64>,
}

impl MediaRecord {
    /// A stream, with what RTCP of its call says.
    pub(super) fn of(report: &StreamReport, heard: &[Heard]) -> Self {
        let stream = &report.stream;
        let figures = stream.figures();
        let codec = stream.codec();
        let far = heard.iter().filter(|heard| heard.ssrc == stream.ssrc).max_by_key(|heard| heard.reports);
        let round_trip = far.and_then(|far| round_trip(stream.ssrc, far, heard));
        let quality = rate(&figures, codec.as_str(), round_trip.map(|round_trip| round_trip / 2.0));
        let rating = quality.rating.ok();
        Self {
            ssrc: stream.ssrc,
            source: report.source,
            destination: report.destination,
            kind: report.kind.and_then(MediaKind::name),
            payload_type: stream.payload_type(),
            codec: (!codec.is_empty()).then(|| codec.as_str().to_owned()),
            encrypted: report.encrypted,
            packets: figures.packets,
            expected: figures.expected,
            lost: figures.lost,
            missing: figures.missing,
            lost_by_capture: figures.lost_by_capture,
            duplicates: figures.duplicates,
            reordered: figures.reordered,
            discarded: figures.discarded,
            bursts: figures.bursts.into(),
            restarts: figures.restarts,
            timestamp_leaps: figures.leaps,
            jitter_ms: figures.jitter_ms.map(thousandths),
            max_jitter_ms: figures.max_jitter_ms.map(thousandths),
            max_delta_ms: thousandths(figures.max_delta_ms),
            packet_ms: figures.frame_ms.map(thousandths),
            clock_drift_ppm: figures.drift_ppm.map(|drift| (drift * 10.0).round() / 10.0),
            markers: figures.markers,
            digits: report.events.digits.into(),
            dtmf: Some(report.events.keys()).filter(|keys| !keys.is_empty()),
            mos: rating.map(|rating| (rating.mos * 100.0).round() / 100.0),
            r_factor: rating.map(|rating| (rating.r * 10.0).round() / 10.0),
            mos_missing: quality.rating.err().map(|why| why.reason()),
            delay_ms: thousandths(quality.delay_ms),
            delay_source: if quality.is_measured { "rtcp" } else { "assumed" },
            far_end: far.map(|far| FarEndRecord {
                round_trip_ms: round_trip.map(thousandths),
                jitter_ms: stream.milliseconds(far.latest.jitter).map(thousandths),
                ..FarEndRecord::of(far)
            }),
            start: stream.first(),
            end: stream.latest(),
            first_number: stream.first_number(),
            codec_since: stream.codec_since(),
            is_nothing: stream.is_nothing(),
            unannounced: report.announced == Some(false),
            pauses: stream.pauses(),
            pressed: report.events.times().collect(),
        }
    }
}

impl FarEndRecord {
    fn of(heard: &Heard) -> Self {
        let per_cent = |share: f64| (share * 1e4).round() / 100.0;
        Self {
            reports: heard.reports,
            lost: heard.latest.lost,
            worst_loss_percent: per_cent(f64::from(heard.worst) / 256.0),
            jitter_ms: None,
            round_trip_ms: None,
            mos: heard.voip.and_then(|voip| voip.mos_cq),
            r_factor: heard.voip.and_then(|voip| voip.r_factor),
            discarded_percent: heard.voip.map(|voip| per_cent(voip.discard_rate)),
        }
    }
}

/// The round trip between a stream's sender and its receiver in milliseconds: from the capture to each of them and
/// back. When only one of them has answered, that is most of it, for who captures is near the other.
fn round_trip(ssrc: u32, far: &Heard, heard: &[Heard]) -> Option<f64> {
    let near = heard.iter().filter(|near| near.reporter == ssrc && near.ssrc == far.reporter);
    let near = near.filter_map(|near| near.round_trip).min();
    let said = far.voip.map(|voip| f64::from(voip.round_trip_ms)).filter(|said| *said > 0.0);
    let parts: Vec<u64> = near.into_iter().chain(far.round_trip).collect();
    let seen = (!parts.is_empty()).then(|| parts.iter().sum::<u64>() as f64 / 1e6);
    seen.or(said)
}

impl From<BurstFigures> for BurstRecord {
    fn from(figures: BurstFigures) -> Self {
        Self { count: figures.bursts, packets: figures.packets, lost: figures.lost }
    }
}

/// To a thousandth: captures know no more.
fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
