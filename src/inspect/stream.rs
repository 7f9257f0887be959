//! Media in a few words: what an SDP offers, and how an RTP stream went.

use crate::call::MediaRecord;
use crate::sip::sdp::{Media, MediaFlow, MediaKind};

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
    count(stream.packets, "packet")
}

/// `lost 2 (0.3 %)`: of the packets expected, as RFC 3550 A.3 counts them.
pub(super) fn lost(stream: &MediaRecord) -> String {
    if stream.lost <= 0 {
        return format!("lost {}", stream.lost);
    }
    format!("lost {} ({:.1} %)", stream.lost, 100.0 * loss(stream))
}

/// Lost packets as a part of those expected, 0 to 1.
pub(super) fn loss(stream: &MediaRecord) -> f64 {
    let expected = stream.packets as f64 + stream.lost as f64;
    if stream.lost <= 0 || expected <= 0.0 { 0.0 } else { stream.lost as f64 / expected }
}

/// `1 packet`, `2 packets`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
