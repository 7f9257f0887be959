//! Session descriptions: where media will flow and in which codecs (RFC 4566, RFC 3264).

use std::net::IpAddr;

use memchr::memchr;
use smallvec::SmallVec;

use super::Head;
use crate::flow::{Address, Endpoint};

/// One `m=` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// What it carries.
    pub kind: MediaKind,
    /// Where its sender wants to receive it: connection address and port. Port 0: refused (RFC 3264 6).
    pub endpoint: Endpoint,
    /// Where its sender wants to receive RTCP: `a=rtcp`, the same endpoint with `a=rtcp-mux`, else the next port.
    pub rtcp: Endpoint,
    /// RTP and RTCP may share a port (RFC 5761).
    pub rtcp_mux: bool,
    /// The profile is SAVP or SAVPF, over DTLS or not: SRTP.
    pub secure: bool,
    /// The direction attribute.
    pub flow: MediaFlow,
    /// The formats offered, with what is known of each.
    pub formats: SmallVec<[Format; 4]>,
}

/// The media type of an `m=` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of RFC 4566")]
pub enum MediaKind {
    Audio,
    Video,
    /// T.38 fax.
    Image,
    Application,
    Text,
    Message,
    Other,
}

/// `a=sendrecv` and its siblings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of RFC 4566")]
pub enum MediaFlow {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

/// One RTP payload format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// RTP clock rate in Hz; 0 when unknown.
    pub clock: u32,
    /// Encoding name, from `a=rtpmap` or the static table of RFC 3551.
    pub name: CodecName,
}

/// An encoding name of at most 16 bytes of printable ASCII; longer ones are cut.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CodecName([u8; 16]);

impl CodecName {
    /// Takes the printable ASCII of `name`, up to 16 bytes.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let printable = name.iter().copied().filter(u8::is_ascii_graphic);
        bytes.iter_mut().zip(printable).for_each(|(slot, byte)| *slot = byte);
        Self(bytes)
    }

    /// The name; empty when unknown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        std::str::from_utf8(self.0.get(..end).unwrap_or_default()).unwrap_or_default()
    }
}

impl std::fmt::Debug for CodecName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Media sections and formats taken of one message; an attacker's description has no end.
const MAX_MEDIA: usize = 16;
const MAX_FORMATS: usize = 32;

/// Appends the media of a message's session description to `out`: nothing when there is none.
///
/// The description is the body when Content-Type says `application/sdp`, or says nothing and the body begins
/// with `v=`; or the first such part of a `multipart` body (RFC 5621), also one level deeper.
pub fn parse(message: &[u8], head: &Head, out: &mut Vec<Media>) {
    let body = head.body.of(message);
    if let Some(description) = description(head.content_type.of(message), body, 2) {
        Description::default().read(description, out);
    }
}

fn description<'a>(content_type: &[u8], body: &'a [u8], depth: u8) -> Option<&'a [u8]> {
    let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/sdp") || (kind.is_empty() && body.starts_with(b"v=")) {
        return Some(body);
    }
    let is_multipart = kind.get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/"));
    if !is_multipart || depth == 0 {
        return None;
    }
    parts(body, boundary(content_type)?).find_map(|part| {
        let (content_type, body) = part_head(part);
        // A part without a type is text/plain (RFC 2046 5.1), not a description.
        (!content_type.is_empty()).then(|| description(content_type, body, depth - 1)).flatten()
    })
}

/// The boundary parameter, with or without quotes.
fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    content_type.split(|byte| *byte == b';').skip(1).find_map(|parameter| {
        let (name, value) = split_once(parameter, b'=')?;
        let value = value.trim_ascii();
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        (name.trim_ascii().eq_ignore_ascii_case(b"boundary") && !value.is_empty()).then_some(value)
    })
}

/// The parts between the boundaries of a multipart body (RFC 2046 5.1.1).
fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let finder = memchr::memmem::Finder::new(boundary).into_owned();
    let delimiters: Vec<usize> = finder
        .find_iter(body)
        .filter(|&at| at >= 2 && body.get(at - 2..at) == Some(b"--"))
        .take(MAX_MEDIA + 1)
        .collect();
    let length = boundary.len();
    let ends: Vec<usize> = delimiters.iter().skip(1).map(|at| at - 2).chain([body.len()]).collect();
    delimiters.into_iter().zip(ends).filter_map(move |(at, end)| body.get(at + length..end))
}

/// The Content-Type of a part, and its body.
fn part_head(part: &[u8]) -> (&[u8], &[u8]) {
    let mut content_type: &[u8] = b"";
    let mut rest = part;
    // The rest of the boundary's own line comes first.
    let mut is_first = true;
    while let Some((line, after)) = next_line(rest) {
        rest = after;
        if line.is_empty() && !is_first {
            break;
        }
        is_first = false;
        if let Some((name, value)) = split_once(line, b':') {
            let name = name.trim_ascii();
            if name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"c") {
                content_type = value.trim_ascii();
            }
        }
    }
    (content_type, rest)
}

/// A description while it is read: what the session level says holds for media that say nothing.
#[derive(Default)]
struct Description {
    address: Address,
    flow: MediaFlow,
}

impl Description {
    fn read(mut self, description: &[u8], out: &mut Vec<Media>) {
        let begun = out.len();
        let mut rest = description;
        while let Some((line, after)) = next_line(rest) {
            rest = after;
            let Some((kind, value)) = split_once(line, b'=') else { continue };
            match (kind, out.get_mut(begun..).and_then(<[Media]>::last_mut)) {
                (b"m", _) => {
                    if out.len() - begun >= MAX_MEDIA {
                        break;
                    }
                    out.extend(self.media(value));
                }
                (b"c", Some(media)) => {
                    let address = connection(value);
                    media.endpoint.address = address;
                    media.rtcp.address = address;
                }
                (b"c", None) => self.address = connection(value),
                (b"a", Some(media)) => attribute(value, media),
                (b"a", None) => self.flow = direction(value).unwrap_or(self.flow),
                _ => {}
            }
        }
        out.iter_mut().skip(begun).for_each(settle);
    }

    /// `m=audio 49170/2 RTP/AVP 0 8 97` (RFC 4566 5.14).
    fn media(&self, value: &[u8]) -> Option<Media> {
        let mut words = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let kind = words.next()?;
        let port = words.next()?.split(|byte| *byte == b'/').next()?;
        let port = number(port).and_then(|port| u16::try_from(port).ok())?;
        let protocol = words.next()?;
        let endpoint = Endpoint::new(self.address, port);
        let formats = words.filter_map(|word| number(word).and_then(|format| u8::try_from(format).ok()));
        let formats = formats.filter(|format| *format < 128).take(MAX_FORMATS);
        Some(Media {
            kind: media_kind(kind),
            endpoint,
            rtcp: Endpoint::new(self.address, 0),
            rtcp_mux: false,
            secure: memchr::memmem::find(protocol, b"SAVP").is_some(),
            flow: self.flow,
            formats: formats.map(|format| static_format(format).unwrap_or(unknown(format))).collect(),
        })
    }
}

fn attribute(value: &[u8], media: &mut Media) {
    if let Some(flow) = direction(value) {
        media.flow = flow;
    } else if value.trim_ascii() == b"rtcp-mux" {
        media.rtcp_mux = true;
    } else if let Some(map) = value.strip_prefix(b"rtpmap:") {
        rtpmap(map, media);
    } else if let Some(rtcp) = value.strip_prefix(b"rtcp:") {
        // RFC 3605: `a=rtcp:53020 IN IP4 126.16.64.4`, the address may be left out.
        let mut words = rtcp.splitn(2, |byte| *byte == b' ');
        let port = words.next().and_then(number).and_then(|port| u16::try_from(port).ok());
        media.rtcp.port = port.unwrap_or(media.rtcp.port);
        let address = words.next().map(connection).filter(|address| !address.is_unspecified());
        media.rtcp.address = address.unwrap_or(media.rtcp.address);
    }
}

/// `a=rtpmap:97 iLBC/8000` names a format of the `m=` line.
fn rtpmap(map: &[u8], media: &mut Media) {
    let Some((payload_type, encoding)) = split_once(map, b' ') else { return };
    let Some(payload_type) = number(payload_type).and_then(|number| u8::try_from(number).ok()) else {
        return;
    };
    let mut parts = encoding.trim_ascii().split(|byte| *byte == b'/');
    let name = CodecName::new(parts.next().unwrap_or_default());
    let clock = parts.next().and_then(number).unwrap_or(0);
    if let Some(format) = media.formats.iter_mut().find(|format| format.payload_type == payload_type) {
        *format = Format { payload_type, clock, name };
    }
}

/// Where RTCP goes when nothing says so: the next port, or with `a=rtcp-mux` the same.
fn settle(media: &mut Media) {
    if media.rtcp_mux {
        media.rtcp = media.endpoint;
    } else if media.rtcp.port == 0 {
        media.rtcp.port = media.endpoint.port.checked_add(1).unwrap_or(0);
    }
}

fn direction(value: &[u8]) -> Option<MediaFlow> {
    match value.trim_ascii() {
        b"sendrecv" => Some(MediaFlow::SendRecv),
        b"sendonly" => Some(MediaFlow::SendOnly),
        b"recvonly" => Some(MediaFlow::RecvOnly),
        b"inactive" => Some(MediaFlow::Inactive),
        _ => None,
    }
}

fn media_kind(kind: &[u8]) -> MediaKind {
    match kind.to_ascii_lowercase().as_slice() {
        b"audio" => MediaKind::Audio,
        b"video" => MediaKind::Video,
        b"image" => MediaKind::Image,
        b"application" => MediaKind::Application,
        b"text" => MediaKind::Text,
        b"message" => MediaKind::Message,
        _ => MediaKind::Other,
    }
}

/// The address of `IN IP4 224.2.36.42/127`; unspecified when it is a name or nonsense.
fn connection(value: &[u8]) -> Address {
    let address = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).nth(2);
    let address = address.and_then(|address| address.split(|byte| *byte == b'/').next());
    let address =
        address.and_then(|address| std::str::from_utf8(address.trim_ascii()).ok()?.parse::<IpAddr>().ok());
    address.map_or_else(|| Address::v4([0; 4]), Address::from)
}

/// What RFC 3551 section 6 says of a static payload type.
#[must_use]
pub fn static_format(payload_type: u8) -> Option<Format> {
    let (name, clock) = match payload_type {
        0 => ("PCMU", 8000),
        3 => ("GSM", 8000),
        4 => ("G723", 8000),
        5 => ("DVI4", 8000),
        6 => ("DVI4", 16_000),
        7 => ("LPC", 8000),
        8 => ("PCMA", 8000),
        9 => ("G722", 8000),
        10 | 11 => ("L16", 44_100),
        12 => ("QCELP", 8000),
        13 => ("CN", 8000),
        14 => ("MPA", 90_000),
        15 => ("G728", 8000),
        16 => ("DVI4", 11_025),
        17 => ("DVI4", 22_050),
        18 => ("G729", 8000),
        25 => ("CelB", 90_000),
        26 => ("JPEG", 90_000),
        28 => ("nv", 90_000),
        31 => ("H261", 90_000),
        32 => ("MPV", 90_000),
        33 => ("MP2T", 90_000),
        34 => ("H263", 90_000),
        _ => return None,
    };
    Some(Format { payload_type, clock, name: CodecName::new(name.as_bytes()) })
}

const fn unknown(payload_type: u8) -> Format {
    Format { payload_type, clock: 0, name: CodecName([0; 16]) }
}

/// The next line and what follows it; lines end with CRLF or LF.
fn next_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.is_empty() {
        return None;
    }
    let end = memchr(b'\n', text).unwrap_or(text.len());
    let line = text.get(..end)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Some((line, text.get(end + 1..).unwrap_or_default()))
}

fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr(separator, text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn number(text: &[u8]) -> Option<u32> {
    let text = text.trim_ascii();
    (!text.is_empty() && text.len() <= 9 && text.iter().all(u8::is_ascii_digit))
        .then(|| text.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}
