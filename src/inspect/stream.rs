//! Media in a few words: what an SDP offers, and how an RTP stream went.

use std::time::Duration;

use crate::call::MediaRecord;
use crate::sip::sdp::{Media, MediaFlow, MediaKind};
use crate::time::Timestamp;

/// Codecs named of one message; offers of twenty are common.
const MAX_CODECS: usize = 4;

/// What a session description offers: `PCMU,opus`, with the direction when it is not both (a call on hold).
/// None without a description.
pub(super) fn offer(media: &[Media]) -> Option<String> {
    let mut codecs: Vec<String> = Vec::new();
    for media in media.iter().filter(|media| media.endpoint.port != 0) {
        if media.kind == MediaKind::Image {
            note(&mut codecs, "T.38".to_owned());
            continue;
        }
        for format in &media.formats {
            let name = format.name.as_str();
            let is_known = !name.is_empty();
            note(&mut codecs, if is_known { name.to_owned() } else { format!("PT {}", format.payload_type) });
        }
    }
    let more = codecs.len().saturating_sub(MAX_CODECS);
    codecs.truncate(MAX_CODECS);
    let mut text = codecs.join(",");
    if more > 0 {
        text.push_str(&format!(",+{more}"));
    }
    match media.first()?.flow {
        MediaFlow::SendRecv => {}
        MediaFlow::SendOnly => text.push_str(" sendonly"),
        MediaFlow::RecvOnly => text.push_str(" recvonly"),
        MediaFlow::Inactive => text.push_str(" inactive"),
    }
    Some(text.trim_start().to_owned())
}

fn note(codecs: &mut Vec<String>, name: String) {
    if !codecs.contains(&name) {
        codecs.push(name);
    }
}

/// The codec of a stream, or its payload type.
pub(super) fn codec(stream: &MediaRecord) -> String {
    stream.codec.clone().unwrap_or_else(|| format!("PT {}", stream.payload_type))
}

/// `665 packets`.
pub(super) fn packets(stream: &MediaRecord) -> String {
    let (times, packets) = captured(stream);
    let text = count(packets, "packet");
    if times > 1 { format!("{text} captured {times} times") } else { text }
}

/// How many times each packet was captured, and how many packets those are. On an interface like `any`, or where a switch
/// mirrors both of its ports, all come twice; a few that did were sent so.
fn captured(stream: &MediaRecord) -> (u64, u64) {
    let packets = stream.packets.saturating_sub(stream.duplicates);
    let are_all = packets > 1 && stream.duplicates.saturating_mul(10) >= packets.saturating_mul(9);
    if are_all { ((stream.packets + packets / 2) / packets, packets) } else { (1, stream.packets) }
}

/// How far apart two captures of one stream may begin, and end.
const APART: Duration = Duration::from_secs(1);

/// Of each stream, in their order, whether it is one before it, captured at another place: in front of a NAT and behind it
/// one end of it has another address, and the other end has not. What a relay passes on has two other ends, and is a hop.
pub(super) fn copies(media: &[MediaRecord]) -> Vec<bool> {
    // A record has at most 256 streams.
    let is_copy = |(place, stream): (usize, &MediaRecord)| {
        media.iter().take(place).any(|known| {
            let has_same_end = (known.source == stream.source) != (known.destination == stream.destination);
            let is_same = (known.ssrc, known.payload_type) == (stream.ssrc, stream.payload_type);
            let are_near = |one: Timestamp, other: Timestamp| one.max(other).since(one.min(other)) <= APART;
            let most = known.packets.max(stream.packets);
            let is_as_long = most - known.packets.min(stream.packets) <= most / 10;
            has_same_end
                && is_same
                && is_as_long
                && are_near(known.start, stream.start)
                && are_near(known.end, stream.end)
        })
    };
    media.iter().enumerate().map(is_copy).collect()
}

/// Keys pressed: `pressed 911` where they may be told, else `3 keys`; none without.
pub(super) fn keys(stream: &MediaRecord) -> Option<String> {
    let keys = count(stream.digits, "key");
    let told = stream
        .dtmf
        .as_ref()
        .map(|dtmf| format!("pressed {}", keys_and_more(dtmf, keys_beyond(stream, dtmf.len()))));
    (stream.digits > 0).then(|| told.unwrap_or(keys))
}

/// How many keys were pressed beyond the first ones, which are known.
pub(super) fn keys_beyond(stream: &MediaRecord, known: usize) -> u64 {
    stream.digits.saturating_sub(known as u64)
}

/// `911`, or `911 and 3 more`.
pub(super) fn keys_and_more(keys: &str, more: u64) -> String {
    if more == 0 { keys.to_owned() } else { format!("{keys} and {more} more") }
}

/// `lost 2 (0.3 %)`: of the packets expected, as RFC 3550 A.3 counts them.
pub(super) fn lost(stream: &MediaRecord) -> String {
    if captured(stream).0 > 1 {
        return format!("lost {}", stream.missing);
    }
    if stream.lost <= 0 {
        return format!("lost {}", stream.lost);
    }
    format!("lost {} ({:.1} %)", stream.lost, 100.0 * loss(stream))
}

/// Lost packets as a part of those expected, 0 to 1.
fn loss(stream: &MediaRecord) -> f64 {
    let expected = stream.packets as f64 + stream.lost as f64;
    if stream.lost <= 0 || expected <= 0.0 { 0.0 } else { stream.lost as f64 / expected }
}

/// `1 packet`, `2 packets`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
