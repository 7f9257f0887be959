//! What is wrong with a call's media, or strange, in the words of who has to repair it. What is wrong with its
//! signalling is found in `signalling`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::dialog::{Announced, Directions};
use super::media_record::MediaRecord;
use super::record::{CallKind, CallRecord, rfc3339_or_null};
use super::silence::{Directed, media_stops};
use crate::flow::Endpoint;
use crate::quality::{Unrated, impairment};
use crate::time::Timestamp;

/// Seconds that audio has to go on after the answer for the other direction to be missed.
const MISSED_AFTER: f64 = 2.0;

/// Seconds after the answer, or after audio was allowed, from which on a listener misses it.
const LATE_AFTER: f64 = 2.0;

/// Seconds after the end within which packets are still on their way.
const ON_THEIR_WAY: f64 = 1.0;

/// Share of missing and discarded packets from which on it is named: the usual limit of voice networks.
const NAMED_LOSS: f64 = 0.01;

/// Sources that nobody announced and that are named; of others it is told how many there are.
const NAMED_SOURCES: usize = 3;

/// Seconds within which both sides take up another codec.
const TAKEN_UP: f64 = 2.0;

/// Score below which nearly all users are dissatisfied (G.107 table B.1, R below 60).
const POOR: f64 = 3.1;

/// Something that a call shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which: a word for programs.
    pub code: &'static str,
    /// In a sentence.
    pub text: String,
    /// When the message came that shows it; media shows itself over time.
    #[serde(serialize_with = "rfc3339_or_null", skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// Which message that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

pub(super) fn finding(code: &'static str, text: String) -> Finding {
    Finding { code, text, time: None, message: None }
}

/// What a call's record, the endpoints that it announced and its later descriptions show.
pub(super) fn findings<'a>(
    record: &CallRecord,
    endpoints: impl IntoIterator<Item = &'a Announced>,
    directed: &Directed,
) -> Vec<Finding> {
    if record.kind != CallKind::Call {
        return Vec::new();
    }
    let endpoints: Vec<&Announced> = endpoints.into_iter().filter(|announced| !announced.is_rtcp).collect();
    let mut findings = Vec::new();
    findings.extend(no_rtp(record, &endpoints));
    findings.extend(one_way(record, &endpoints, directed));
    let all_known = !directed.has_forgotten;
    if all_known {
        findings.extend(late(record, &endpoints));
        findings.extend(astray(record, &endpoints));
    }
    findings.extend(media_stops(record, &endpoints, directed));
    if all_known {
        findings.extend(before_answer(record, &endpoints, directed));
    }
    findings.extend(after_end(record));
    if all_known {
        findings.extend(strangers(record, &endpoints, directed));
    }
    findings.extend(record.media.iter().filter_map(codec_not_announced));
    findings.extend(codecs_differ(record));
    findings.extend(sources(record));
    findings.extend(record.media.iter().filter_map(|stream| loss(stream, record)));
    findings.extend(record.media.iter().filter_map(capture_loss));
    findings.extend(record.media.iter().filter_map(|stream| poor(stream, record)));
    findings
}

pub(super) fn route(stream: &MediaRecord) -> String {
    format!("from {} to {}", stream.source, stream.destination)
}

pub(super) fn between(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).as_secs_f64()
}

/// Whether it is speech, or may be: video and text have their own times.
fn is_speech(stream: &MediaRecord) -> bool {
    !stream.is_nothing
        && stream.kind.is_none_or(|kind| kind == "audio")
        && impairment(stream.codec.as_deref().unwrap_or_default()) != Err(Unrated::NoSpeech)
}

/// Whether it is heard: speech, speech that is sent twice (RFC 2198), or the noise of who is silent (RFC 3389).
pub(super) fn is_audio(stream: &MediaRecord) -> bool {
    let has = |name: &str| stream.codec.as_ref().is_some_and(|codec| codec.eq_ignore_ascii_case(name));
    is_speech(stream) || (stream.kind == Some("audio") && (has("RED") || has("CN")))
}

fn no_rtp(record: &CallRecord, endpoints: &[&Announced]) -> Option<Finding> {
    let lasted = record.answered.and(record.duration_seconds)? >= MISSED_AFTER;
    let wanted = endpoints.iter().any(|announced| announced.may.send || announced.may.receive);
    // A fax may have begun with T.38.
    (lasted && wanted && record.media.is_empty() && record.udptl_packets == 0)
        .then(|| finding("no_rtp", "answered, but the capture has no RTP".to_owned()))
}

/// Audio that goes on after the answer, and nothing comes back, though both sides would have had it. Where nothing that one side
/// sends is captured, neither is its audio.
fn one_way(record: &CallRecord, endpoints: &[&Announced], directed: &Directed) -> Vec<Finding> {
    let Some(answered) = record.answered.filter(|_| !directed.is_one_sided()) else { return Vec::new() };
    let heard_after = |stream: &&MediaRecord| stream.end > answered && is_audio(stream);
    let streams: Vec<&MediaRecord> = record.media.iter().filter(heard_after).collect();
    let talks =
        |stream: &&&MediaRecord| directed.both_ways(stream.start.max(answered), stream.end) >= MISSED_AFTER;
    let unanswered = streams.iter().filter(talks).filter(|stream| {
        let may = |endpoint, default| {
            let known = endpoints.iter().find(|announced| announced.endpoint == endpoint);
            known.map_or(default, |announced| announced.may)
        };
        let is_wanted =
            may(stream.destination, Directions::BOTH).send && may(stream.source, Directions::BOTH).receive;
        // Who sends from where it does not receive is answered where it does.
        let is_stranger = !is_announced(stream.source, endpoints);
        let is_answer = |other: &&MediaRecord| {
            answers(stream, other) || (is_stranger && other.source.address == stream.destination.address)
        };
        is_wanted && !streams.iter().any(is_answer)
    });
    unanswered
        .map(|stream| finding("one_way_audio", format!("audio one way only: {}", route(stream))))
        .collect()
}

/// Whether `other` goes to where `one` comes from, or to the same group (RFC 3264 5.2). Ports count only on one host: many
/// devices send from another port than they receive on.
fn answers(one: &MediaRecord, other: &MediaRecord) -> bool {
    if is_to_group(one) {
        return other.destination == one.destination && other.source != one.source;
    }
    let is_back = other.destination.address == one.source.address;
    let is_local = one.source.address == one.destination.address;
    is_back && (!is_local || other.destination == one.source || other.source == one.destination)
}

/// Whether it goes to whoever listens there: descriptions name the group, and nobody who sends to it.
pub(super) fn is_to_group(stream: &MediaRecord) -> bool {
    stream.destination.address.ip().is_multicast()
}

/// Whether the caller's side listens to a stream; none when neither of its ends is announced.
pub(super) fn is_for_caller(stream: &MediaRecord, endpoints: &[&Announced]) -> Option<bool> {
    let is_caller_s = |end| endpoints.iter().find(|known| known.endpoint == end).map(|known| known.by_caller);
    is_caller_s(stream.destination).or_else(|| is_caller_s(stream.source).map(|by_caller| !by_caller))
}

/// When descriptions had allowed a stream: those of its ends, or what its listener had announced by then, whom a NAT has at
/// another address.
fn allowed(
    stream: &MediaRecord,
    for_caller: Option<bool>,
    endpoints: &[&Announced],
) -> impl Iterator<Item = Timestamp> {
    let is_known = endpoints.iter().any(|announced| announced.endpoint == stream.destination);
    let ends = endpoints.iter().filter(move |announced| {
        let is_listener_s = for_caller == Some(announced.by_caller) && announced.open_since() <= stream.start;
        [stream.source, stream.destination].contains(&announced.endpoint) || (!is_known && is_listener_s)
    });
    ends.map(|announced| announced.open_since())
}

/// A listener that both sides had let hear, and who hears nothing at first. Whoever heard something at another address missed
/// nothing before that ended.
fn late(record: &CallRecord, endpoints: &[&Announced]) -> Vec<Finding> {
    let Some(answered) = record.answered else { return Vec::new() };
    let heard = record.media.iter().filter(|stream| stream.end > answered && is_audio(stream));
    let heard: Vec<(&MediaRecord, Option<bool>)> =
        heard.map(|stream| (stream, is_for_caller(stream, endpoints))).collect();
    let mut first: BTreeMap<Endpoint, &MediaRecord> = BTreeMap::new();
    for &(stream, _) in &heard {
        let known = first.entry(stream.destination).or_insert(stream);
        if stream.start < known.start {
            *known = stream;
        }
    }
    let is_first = |stream: &MediaRecord| {
        first.get(&stream.destination).is_some_and(|first| std::ptr::eq(*first, stream))
    };
    let late = heard.iter().filter(|(stream, _)| is_first(stream)).filter_map(|&(stream, for_caller)| {
        let elsewhere = heard.iter().filter(|(other, is_for)| {
            let is_its_own = other.source.address == stream.destination.address;
            other.start < stream.start && for_caller.is_some() && *is_for == for_caller && !is_its_own
        });
        let waited_since =
            elsewhere.map(|(other, _)| other.end).chain(allowed(stream, for_caller, endpoints));
        let seconds = between(waited_since.fold(answered, Timestamp::max), stream.start);
        (seconds >= LATE_AFTER)
            .then(|| finding("late_media", format!("audio begins {seconds:.1} s late, {}", route(stream))))
    });
    late.collect()
}

/// Audio to a port that no description names, of a host that named others, to which nothing goes meanwhile: it is not heard. Who
/// sends from that port listens there (symmetric RTP, RFC 4961), and ICE finds ports that nobody named (RFC 8445 7.3.1.3).
fn astray(record: &CallRecord, endpoints: &[&Announced]) -> Vec<Finding> {
    let Some(answered) = record.answered else { return Vec::new() };
    if endpoints.iter().any(|known| known.is_candidate) {
        return Vec::new();
    }
    let missed = |stream: &MediaRecord| {
        let sender = endpoints.iter().find(|known| known.endpoint == stream.source)?;
        let is_used = |end: Endpoint| record.media.iter().any(|other| other.source == end);
        if endpoints.iter().any(|known| known.endpoint == stream.destination) || is_used(stream.destination) {
            return None;
        }
        let mut listener = endpoints
            .iter()
            .filter(|known| known.by_caller != sender.by_caller && known.may.receive)
            .map(|known| known.endpoint);
        let is_heard =
            |end| record.media.iter().any(|other| other.destination == end && other.end > stream.start);
        let missed = listener.clone().rfind(|end| end.address == stream.destination.address)?;
        (!listener.any(is_heard)).then_some(missed)
    };
    let lasts = |stream: &&MediaRecord| {
        between(stream.start.max(answered), stream.end) >= MISSED_AFTER && is_audio(stream)
    };
    let mut findings: Vec<Finding> = Vec::new();
    for stream in record.media.iter().filter(lasts) {
        let Some(missed) = missed(stream) else { continue };
        let text = format!("audio {}, which no SDP announces, and none to {missed}", route(stream));
        if findings.iter().all(|known| known.text != text) {
            findings.push(finding("unannounced_destination", text));
        }
    }
    findings
}

/// RTP before the answer between ends that had not both told of themselves: early media (RFC 3960 3) has a description
/// in a provisional answer.
fn before_answer(record: &CallRecord, endpoints: &[&Announced], directed: &Directed) -> Option<Finding> {
    let answered = record.answered.filter(|_| !directed.is_one_sided())?;
    let is_early_media = |stream: &MediaRecord| {
        [stream.source, stream.destination].into_iter().all(|end| {
            let known = endpoints.iter().filter(|announced| announced.endpoint.address == end.address);
            known.map(|announced| announced.since).min().is_some_and(|since| since <= stream.start)
        })
    };
    let first =
        record.media.iter().filter(|stream| !is_early_media(stream)).min_by_key(|stream| stream.start)?;
    let early = between(first.start, answered);
    (early > 0.0).then(|| {
        finding("media_before_answer", format!("RTP {early:.3} s before the answer, {}", route(first)))
    })
}

fn is_announced(endpoint: Endpoint, endpoints: &[&Announced]) -> bool {
    endpoints.iter().any(|announced| announced.endpoint.address == endpoint.address)
}

fn after_end(record: &CallRecord) -> Option<Finding> {
    let end = record.end?;
    let last = record.media.iter().max_by_key(|stream| stream.end)?;
    let late = between(end, last.end);
    (late > ON_THEIR_WAY)
        .then(|| finding("media_after_end", format!("RTP until {late:.3} s after the end, {}", route(last))))
}

/// Media from addresses that nobody announced, by where it goes: a NAT, a media server that was not told of, or strangers, of
/// whom there may be as many as streams are told of. What a side announces of which no message was captured is not known.
fn strangers(record: &CallRecord, endpoints: &[&Announced], directed: &Directed) -> Vec<Finding> {
    let mut routes: Vec<(Endpoint, Vec<Endpoint>)> = Vec::new();
    let is_of_unheard = |stream: &MediaRecord| {
        is_for_caller(stream, endpoints).is_some_and(|for_caller| directed.is_unheard(!for_caller))
    };
    let is_strange = |stream: &&MediaRecord| {
        !is_announced(stream.source, endpoints) && !is_to_group(stream) && !is_of_unheard(stream)
    };
    for stream in record.media.iter().filter(is_strange) {
        match routes.iter_mut().find(|(destination, _)| *destination == stream.destination) {
            Some((_, sources)) if sources.contains(&stream.source) => {}
            Some((_, sources)) => sources.push(stream.source),
            None => routes.push((stream.destination, vec![stream.source])),
        }
    }
    let text = |(destination, sources): (Endpoint, Vec<Endpoint>)| {
        if let [source] = sources.as_slice() {
            return format!("RTP from {source}, which no SDP announces");
        }
        let named: Vec<String> = sources.iter().take(NAMED_SOURCES).map(Endpoint::to_string).collect();
        let (count, named) = (sources.len(), named.join(", "));
        let more = match count.saturating_sub(NAMED_SOURCES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("RTP to {destination} from {count} sources that no SDP announces: {named}{more}")
    };
    routes.into_iter().map(|route| finding("unannounced_source", text(route))).collect()
}

fn codec_not_announced(stream: &MediaRecord) -> Option<Finding> {
    (stream.unannounced && !stream.is_nothing).then(|| {
        let text = format!(
            "payload type {} {}, which its receiver did not announce",
            stream.payload_type,
            route(stream)
        );
        finding("codec_mismatch", text)
    })
}

/// Two directions of one conversation in different codecs: allowed, and often not meant.
fn codecs_differ(record: &CallRecord) -> Option<Finding> {
    let codec = |stream: &MediaRecord| stream.codec.clone().filter(|_| is_speech(stream));
    record.media.iter().enumerate().find_map(|(index, one)| {
        let name = codec(one)?;
        let later = record.media.iter().skip(index + 1);
        let mut back = later.filter(|other| {
            let (from, to) = (one.codec_since.max(other.codec_since), one.end.min(other.end));
            (one.source, one.destination) == (other.destination, other.source)
                && between(from, to) >= TAKEN_UP
        });
        let other = back.find_map(codec).filter(|other| !other.eq_ignore_ascii_case(&name))?;
        let text = format!("{name} {}, {other} the other way", route(one));
        Some(finding("codec_mismatch", text))
    })
}

/// A sender that changed its source, or began its numbers anew, in the middle. Streams at the same time are several media
/// on one port (BUNDLE, RFC 8843), or what repairs one of them.
fn sources(record: &CallRecord) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Of each route: how many streams have followed on each other, and when the last of these ends.
    let mut routes: Vec<(_, u32, Timestamp)> = Vec::new();
    // They are in the order in which they begin.
    for stream in &record.media {
        let key = (stream.source, stream.destination, is_audio(stream));
        match routes.iter_mut().find(|(known, ..)| *known == key) {
            Some((_, count, end)) if stream.start >= *end => (*count, *end) = (*count + 1, stream.end),
            Some((_, _, end)) => *end = stream.end.min(*end),
            None => routes.push((key, 1, stream.end)),
        }
        let goes_on = detours(stream, record)
            .filter(|other| other.start < stream.end && stream.start < other.end)
            .count() as u64;
        let restarts = stream.restarts.saturating_sub(goes_on);
        if restarts > 0 {
            let times = if restarts == 1 { "once".to_owned() } else { format!("{restarts} times") };
            let text = format!("sequence numbers began anew {times}, {}", route(stream));
            findings.push(finding("sequence_restart", text));
        }
    }
    findings.extend(routes.into_iter().filter(|(_, count, _)| *count > 1).map(
        |((source, destination, _), count, _)| {
            finding(
                "ssrc_change",
                format!("{count} sources one after the other from {source} to {destination}"),
            )
        },
    ));
    findings
}

/// Streams that the numbers of one may go on in: media goes past a B2BUA for a while, or by another candidate.
fn detours<'a>(stream: &'a MediaRecord, record: &'a CallRecord) -> impl Iterator<Item = &'a MediaRecord> {
    record.media.iter().filter(|other| {
        let has_end = (other.source == stream.source) != (other.destination == stream.destination);
        has_end && other.ssrc == stream.ssrc
    })
}

/// Packets that are missing in a stream and came in such another one.
fn elsewhere(stream: &MediaRecord, record: &CallRecord) -> u64 {
    let between_its_own = |other: &MediaRecord| {
        // Numbers of the other that are before the first of the stream, or behind its last.
        let outside = if other.start < stream.start {
            let before = u64::from(stream.first_number.wrapping_sub(other.first_number));
            before + other.expected.saturating_sub(before).saturating_sub(stream.expected)
        } else {
            let after_first = u64::from(other.first_number.wrapping_sub(stream.first_number));
            (after_first + other.expected).saturating_sub(stream.expected)
        };
        other.expected.saturating_sub(other.missing).saturating_sub(outside)
    };
    let count = detours(stream, record).map(between_its_own).sum();
    // One that was sent to two has the same numbers in both.
    if count <= stream.missing { count } else { 0 }
}

fn loss(stream: &MediaRecord, record: &CallRecord) -> Option<Finding> {
    let elsewhere = elsewhere(stream, record);
    // What the capture lost, whoever listened heard.
    let missing = stream.missing.saturating_sub(elsewhere).saturating_sub(stream.lost_by_capture);
    // Pictures are not sent in the order of their timestamps (RFC 3550 5.1): the playout buffer is one for speech.
    let discarded = if is_audio(stream) { stream.discarded } else { 0 };
    let lost = missing + discarded;
    let share = lost as f64 / stream.expected.saturating_sub(elsewhere).max(1) as f64;
    (share >= NAMED_LOSS).then(|| {
        let text = format!(
            "{:.1} % of RTP lost or too late, {} ({missing} missing, {discarded} too late to be played)",
            share * 100.0,
            route(stream),
        );
        finding("packet_loss", text)
    })
}

fn capture_loss(stream: &MediaRecord) -> Option<Finding> {
    let lost = stream.lost_by_capture;
    (lost > 0).then(|| {
        let route = route(stream);
        let text = format!(
            "{lost} RTP packets missing from the capture and not lost by the network, {route}: streams of all senders have \
             a hole there. What was heard was better than the score says"
        );
        finding("capture_loss", text)
    })
}

fn poor(stream: &MediaRecord, record: &CallRecord) -> Option<Finding> {
    // The score counts what came elsewhere as lost.
    let mos = stream.mos.filter(|mos| *mos < POOR && elsewhere(stream, record) == 0)?;
    Some(finding("poor_quality", format!("MOS {mos:.2}, {}", route(stream))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::dialog::Dialog;
    use crate::call::record::EndedBy;
    use crate::flow::Address;
    use crate::media::{EndpointId, StreamReport};
    use crate::quality::{Arrival, Events, PayloadFormat, Playout, Stream};
    use crate::sip::sdp::CodecName;

    const BOTH: Directions = Directions::BOTH;

    fn at(ms: u64) -> Timestamp {
        Timestamp((1_000_000 + ms) * 1_000_000)
    }

    fn caller() -> Endpoint {
        Endpoint::new(Address::v4([192, 0, 2, 10]), 40_000)
    }

    fn callee() -> Endpoint {
        Endpoint::new(Address::v4([192, 0, 2, 20]), 50_000)
    }

    /// A stream of these milliseconds; `keep` says which packets arrive.
    fn stream(ends: (Endpoint, Endpoint), codec: &str, ms: (u64, u64), keep: fn(u64) -> bool) -> MediaRecord {
        let format = PayloadFormat { clock: 8000, name: CodecName::new(codec.as_bytes()) };
        let packet = |step: u64| Arrival {
            time: at(ms.0 + step * 20),
            sequence: step as u16,
            timestamp: step as u32 * 160,
            marker: false,
        };
        let mut stream = Stream::new(1, 0, &packet(0), format, Playout::default());
        (1..=(ms.1 - ms.0) / 20).filter(|step| keep(*step)).for_each(|step| {
            stream.observe(&packet(step));
        });
        let (source, destination) = ends;
        let (events, encrypted, announced) = (Events::default(), false, Some(true));
        let report = StreamReport { source, destination, stream, events, encrypted, kind: None, announced };
        MediaRecord::of(&report, &[])
    }

    fn out(ms: (u64, u64)) -> MediaRecord {
        stream((caller(), callee()), "PCMU", ms, |_| true)
    }

    fn back(ms: (u64, u64)) -> MediaRecord {
        stream((callee(), caller()), "PCMU", ms, |_| true)
    }

    fn announced(endpoint: Endpoint, may: Directions, since: Timestamp) -> Announced {
        let id = EndpointId::default();
        let by_caller = endpoint == caller();
        Announced {
            endpoint,
            id,
            is_rtcp: false,
            is_candidate: false,
            by_caller,
            may,
            is_current: true,
            described_by: 0,
            since,
            opened_after: 0,
        }
    }

    /// What is found of a call from 0 to 10 s that was answered at 1 s, with a description.
    fn found_with(media: Vec<MediaRecord>, endpoints: [Directions; 2]) -> Vec<&'static str> {
        let [first, second] = endpoints;
        found_between(media, [announced(caller(), first, at(0)), announced(callee(), second, at(1000))])
    }

    fn found_between(media: Vec<MediaRecord>, endpoints: [Announced; 2]) -> Vec<&'static str> {
        let record = CallRecord {
            kind: CallKind::Call,
            answered: Some(at(1000)),
            end: Some(at(10_000)),
            ended_by: Some(EndedBy::Caller),
            duration_seconds: Some(9.0),
            media,
            ..Dialog::default().record()
        };
        findings(&record, &endpoints, &Directed::default()).into_iter().map(|finding| finding.code).collect()
    }

    fn found(media: Vec<MediaRecord>) -> Vec<&'static str> {
        found_with(media, [BOTH, BOTH])
    }

    #[test]
    fn audio_one_way_is_missed_and_a_call_on_hold_is_not() {
        assert_eq!(found(vec![out((1000, 9990)), back((1010, 9990))]), [""; 0]);
        assert_eq!(found(vec![out((1000, 9990))]), ["one_way_audio"]);
        // The other way went silent with the answer: ringback only.
        assert_eq!(
            found(vec![out((1000, 9990)), back((500, 980))]),
            ["one_way_audio", "media_before_answer"]
        );
        // Too short for an answer to be missed; then the call is silent until 10 s.
        assert_eq!(found(vec![out((1000, 2500))]), ["media_stops"]);
        let send = Directions { send: true, receive: false };
        let receive = Directions { send: false, receive: true };
        assert_eq!(found_with(vec![out((1000, 9990))], [send, receive]), [""; 0], "music on hold");
    }

    #[test]
    fn a_device_behind_nat_answers_from_another_address() {
        let outside = Endpoint::new(Address::v4([198, 51, 100, 7]), 6000);
        let both = vec![
            stream((outside, callee()), "PCMU", (1000, 9990), |_| true),
            stream((callee(), outside), "PCMU", (1000, 9990), |_| true),
        ];
        assert_eq!(found(both), ["unannounced_source"]);
    }

    #[test]
    fn strangers_are_one_finding_for_each_end_that_they_send_to() {
        let from = |port| Endpoint::new(Address::v4([198, 51, 100, 7]), port);
        let strangers = |count| (0..count).map(|number| from(6000 + number));
        let text = |count| {
            let to_caller = strangers(count).map(|from| (from, caller()));
            let ways = to_caller.chain([(from(9000), callee())]);
            let mut media: Vec<_> = ways.map(|ends| stream(ends, "PCMU", (1000, 1100), |_| true)).collect();
            // Another stream of the first.
            media.extend(media.first().cloned());
            let record = CallRecord { kind: CallKind::Call, media, ..Dialog::default().record() };
            let found = findings(&record, &[announced(caller(), BOTH, at(0))], &Directed::default());
            let found = found.into_iter().filter(|found| found.code == "unannounced_source");
            found.map(|found| found.text).collect::<Vec<_>>()
        };
        let other = "RTP from 198.51.100.7:9000, which no SDP announces";
        assert_eq!(text(1), ["RTP from 198.51.100.7:6000, which no SDP announces", other]);
        let first = "198.51.100.7:6000, 198.51.100.7:6001, 198.51.100.7:6002";
        let told = |count: u16, more| {
            format!("RTP to 192.0.2.10:40000 from {count} sources that no SDP announces: {first}{more}")
        };
        assert_eq!(text(3), [told(3, ""), other.to_owned()]);
        assert_eq!(text(64), [told(64, " and 61 more"), other.to_owned()]);
    }

    #[test]
    fn no_rtp_is_told_when_audio_was_announced() {
        assert_eq!(found(vec![]), ["no_rtp"]);
        let none = Directions::default();
        assert_eq!(found_with(vec![], [none, none]), [""; 0], "T.38, or video alone");
    }

    #[test]
    fn media_out_of_its_time() {
        assert_eq!(found(vec![out((980, 9990)), back((1000, 9990))]), ["media_before_answer"]);
        assert_eq!(found(vec![out((1000, 10_980)), back((1000, 9990))]), [""; 0], "still on its way");
        assert_eq!(found(vec![out((1000, 11_020)), back((1000, 9990))]), ["media_after_end"]);
    }

    #[test]
    fn early_media_has_a_description_before_the_answer() {
        let early = || vec![out((1000, 9990)), back((500, 9990))];
        assert_eq!(found(early()), ["media_before_answer"]);
        let with = |since| {
            found_between(early(), [announced(caller(), BOTH, at(0)), announced(callee(), BOTH, at(since))])
        };
        assert_eq!(with(480), [""; 0], "a 183 with SDP");
        assert_eq!(with(520), ["media_before_answer"], "which came too late");
    }

    #[test]
    fn audio_that_begins_late_is_late_for_who_may_hear_it() {
        assert_eq!(found(vec![out((1000, 9990)), back((2980, 9990))]), [""; 0]);
        assert_eq!(found(vec![out((1000, 9990)), back((3000, 9990))]), ["late_media"]);
        assert_eq!(found(vec![out((3100, 9990)), back((3100, 9990))]), ["late_media", "late_media"]);
        // Another source of the same route is not what was waited for.
        let changed = vec![out((1000, 9990)), back((1000, 4000)), back((5000, 9990))];
        assert_eq!(found(changed), ["ssrc_change"]);
        // Taken up from hold at 4 s.
        let callee = Announced { opened_after: 3000, ..announced(callee(), BOTH, at(1000)) };
        let media = vec![out((4100, 9990)), back((4100, 9990))];
        assert_eq!(found_between(media, [announced(caller(), BOTH, at(0)), callee]), [""; 0]);
    }

    #[test]
    fn audio_that_stops_is_missed_from_5_s_before_the_end_on() {
        assert_eq!(found(vec![out((1000, 9990)), back((1000, 5020))]), [""; 0]);
        assert_eq!(found(vec![out((1000, 9990)), back((1000, 5000))]), ["media_stops"]);
        assert_eq!(found(vec![out((1000, 4000)), back((1000, 5000))]), ["media_stops"], "dead air");
    }

    #[test]
    fn who_sends_from_where_it_does_not_receive_is_answered() {
        let elsewhere = Endpoint::new(Address::v4([198, 51, 100, 7]), 6000);
        let from_elsewhere = stream((elsewhere, caller()), "PCMU", (1000, 9990), |_| true);
        assert_eq!(found(vec![out((1000, 9990)), from_elsewhere]), ["unannounced_source"]);
    }

    #[test]
    fn codecs_that_do_not_match() {
        let other = stream((callee(), caller()), "GSM", (1000, 9990), |_| true);
        assert_eq!(found(vec![out((1000, 9990)), other]), ["codec_mismatch"]);
        // One codec after the other, in both directions at the same time.
        let changed = vec![
            out((1000, 4990)),
            back((1000, 4990)),
            stream((caller(), callee()), "GSM", (5010, 9990), |_| true),
            stream((callee(), caller()), "GSM", (5010, 9990), |_| true),
        ];
        assert_eq!(found(changed), ["ssrc_change", "ssrc_change"]);
        let mut strange = out((1000, 9990));
        strange.unannounced = true;
        assert_eq!(found(vec![strange, back((1000, 9990))]), ["codec_mismatch"]);
    }

    #[test]
    fn sources_at_the_same_time_are_not_one_after_the_other() {
        let with = |codec, ms| stream((caller(), callee()), codec, ms, |_| true);
        let found = |mut media: Vec<MediaRecord>| {
            media.push(back((1000, 9990)));
            media.sort_by_key(|stream| stream.start);
            found(media)
        };
        assert_eq!(found(vec![out((1000, 9990)), with("PCMU", (2000, 8000))]), [""; 0]);
        assert_eq!(found(vec![out((1000, 9990)), with("VP8", (1000, 9990))]), [""; 0], "BUNDLE");
        assert_eq!(found(vec![out((1000, 6000)), with("VP8", (6020, 9990))]), [""; 0], "two media");
        let beside = vec![out((1000, 5000)), out((5020, 9990)), with("VP8", (1000, 9990))];
        assert_eq!(found(beside), ["ssrc_change"], "audio alone");
        // Of three the one in the middle overlaps both others.
        let text = |media: Vec<MediaRecord>| {
            let record = CallRecord { kind: CallKind::Call, media, ..Dialog::default().record() };
            findings(&record, &[], &Directed::default())
                .into_iter()
                .find(|found| found.code == "ssrc_change")
                .map(|found| found.text)
        };
        let three = vec![out((1000, 4000)), out((3000, 7000)), out((6000, 9000))];
        assert_eq!(
            text(three).unwrap(),
            "2 sources one after the other from 192.0.2.10:40000 to 192.0.2.20:50000"
        );
    }

    #[test]
    fn loss_from_one_per_cent_on_and_a_poor_score() {
        let lossy = |keep| vec![stream((caller(), callee()), "PCMU", (1000, 9990), keep), back((1000, 9990))];
        assert_eq!(found(lossy(|step| step % 110 != 50)), [""; 0], "4 of 450");
        assert_eq!(found(lossy(|step| step % 90 != 50)), ["packet_loss"], "5 of 450");
        assert_eq!(found(lossy(|step| step % 3 != 1)), ["packet_loss", "poor_quality"]);
    }
}
