//! Session descriptions: where media will flow and in which codecs (RFC 4566, RFC 3264).

mod bundle;
mod ice;
mod plain;
mod sections;
mod series;
mod sources;

use std::net::IpAddr;
use std::sync::LazyLock;

use memchr::memchr_iter;
use smallvec::SmallVec;

use self::bundle::Bundle;
pub use self::ice::Candidate;
pub use self::sections::Sections;
use super::search::{LineFeeds, after};

use super::Head;
use super::header::{digits, number};
use super::keys::mid_key;
use super::media_type::is_media_type;
use super::multipart::session_description;
use super::payload::static_payload;
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
    /// Whether it is SRTP.
    pub srtp: Srtp,
    /// The direction attribute.
    pub flow: MediaFlow,
    /// Silence may not be sent: `a=silenceSupp:on` (RFC 3108 5.6.4.2).
    pub suppresses_silence: bool,
    /// The formats offered, with what is known of each.
    pub formats: SmallVec<[Format; 4]>,
    /// Where it may flow beside that (ICE, BUNDLE, series of ports or groups); nowhere for most, which then need no memory for it.
    pub candidates: Vec<Candidate>,
    /// The SSRCs that its sender says it sends as (RFC 5576); few say so.
    pub sources: Vec<u32>,
    /// Hash of its `a=mid` (RFC 5888 4), by which later candidates name it; 0 without one.
    pub mid: u64,
    /// The `mid` of the section whose transport it shares (RFC 9143 7.2); 0 when it has its own.
    pub tagged: u64,
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

/// Whether RTP is to be encrypted (SRTP, RFC 3711), as one side says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Srtp {
    /// It is not.
    #[default]
    Never,
    /// As the other side likes: there are keys with the profile AVP (RFC 8643 3), or two sections for one port.
    Opportunistic,
    /// The profile is SAVP or SAVPF, over DTLS or not.
    Always,
}

impl Srtp {
    /// What two sides agreed on; none when they say what cannot go together.
    #[must_use]
    pub const fn agreed(self, other: Self) -> Option<bool> {
        match (self, other) {
            (Self::Always, Self::Never) | (Self::Never, Self::Always) => None,
            (Self::Never, _) | (_, Self::Never) => Some(false),
            _ => Some(true),
        }
    }
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
        if let Some(slots) = bytes.get_mut(..name.len())
            && name.iter().all(u8::is_ascii_graphic)
        {
            slots.copy_from_slice(name);
            return Self(bytes);
        }
        let printable = name.iter().copied().filter(u8::is_ascii_graphic);
        bytes.iter_mut().zip(printable).for_each(|(slot, byte)| *slot = byte);
        Self(bytes)
    }

    /// Whether it is unknown.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let [first, ..] = self.0;
        first == 0
    }

    /// The name; empty when unknown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Whether that is its name, in letters of either case (RFC 4855 3).
    #[must_use]
    #[inline]
    pub fn is(&self, name: &str) -> bool {
        self.as_bytes().eq_ignore_ascii_case(name.as_bytes())
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        let length = self.0.len() - u128::from_le_bytes(self.0).leading_zeros() as usize / 8;
        self.0.get(..length).unwrap_or_default()
    }
}

impl std::fmt::Debug for CodecName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The port of a section that says its place later, with the address 0.0.0.0 or `::` (RFC 8839 4.2.5, RFC 8840 9.2).
pub const DISCARD: u16 = 9;

/// How many `m=` sections of one description are read; real ones have a handful.
const MAX_MEDIA: usize = 16;

/// How many formats of one section are read; real ones have up to about 20.
const MAX_FORMATS: usize = 32;

/// Appends the media of a message's session description to `out`: nothing when there is none. The description is
/// the body, or a part of a multipart body, of type `application/sdp`; a body without a type that begins with `v=0`
/// is taken for one. True when there is a description, even one without media. `known` are the sections read before.
pub fn parse(message: &[u8], head: &Head, known: &mut Sections, out: &mut Vec<Media>) -> bool {
    read(message, head, false, known, out)
}

/// [`parse`] of a message whose end was not captured: as far as it is certain what its description says.
pub fn parse_cut(message: &[u8], head: &Head, known: &mut Sections, out: &mut Vec<Media>) -> bool {
    read(message, head, !head.has_whole_body(), known, out)
}

fn read(message: &[u8], head: &Head, is_cut: bool, known: &mut Sections, out: &mut Vec<Media>) -> bool {
    let there = |text| if is_cut { certain(text) } else { text };
    let (content_type, body) = (head.content_type.of(message), head.body.of(message));
    let Some(description) = session_description(content_type, body) else {
        // Candidates that were found after the offer or the answer (RFC 8840 9).
        if is_media_type(content_type, b"application", b"trickle-ice-sdpfrag") {
            parse_fragment(there(body), out);
        }
        return false;
    };
    parse_description(there(description), known, out);
    true
}

/// What is certain of a description that was cut: whole lines, without an `m=` section at their end that may go on with a
/// connection address of its own. That stands before the section's bandwidth, key and attributes (RFC 8866 5).
fn certain(description: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut at = 0;
    let mut is_open = false;
    for line_end in memchr_iter(b'\n', description).map(|feed| feed + 1) {
        match description.get(at..) {
            Some([b'm', b'=', ..]) => (end, is_open) = (at, true),
            Some([b'c' | b'b' | b'k' | b'a', b'=', ..]) => is_open = false,
            _ => {}
        }
        if !is_open {
            end = line_end;
        }
        at = line_end;
    }
    description.get(..end).unwrap_or_default()
}

/// Appends the media that later candidates are of. By their `a=mid` its `m=` lines only say which sections these are (RFC 8840
/// 9.2): what they have of ports and formats is no offer.
fn parse_fragment(fragment: &[u8], out: &mut Vec<Media>) {
    let first = out.len();
    parse_description(fragment, &mut Sections::default(), out);
    for media in out.iter_mut().skip(first) {
        media.endpoint = Endpoint::new(Address::default(), DISCARD);
        media.formats.clear();
    }
}

/// Appends the media of a session description to `out`. Lines that make no sense are passed over. `known` are the
/// sections read before.
pub fn parse_description(description: &[u8], known: &mut Sections, out: &mut Vec<Media>) {
    let mut bundle = Bundle::default();
    let first = out.len();
    read_sections(description, known, &mut bundle, out);
    bundle.share(out);
    offer_both(out.get_mut(first..).unwrap_or_default());
}

/// Who has two sections for one port leaves it to the other side which of them it is: it refuses one (RFC 3264 6).
fn offer_both(sections: &mut [Media]) {
    let mut rest = sections;
    while let Some((one, others)) = rest.split_first_mut() {
        let place = (one.kind, one.endpoint);
        for other in others.iter_mut().filter(|other| (other.kind, other.endpoint) == place) {
            if other.srtp != one.srtp {
                (one.srtp, other.srtp) = (Srtp::Opportunistic, Srtp::Opportunistic);
            }
        }
        rest = others;
    }
}

fn read_sections<'a>(
    description: &'a [u8],
    known: &mut Sections,
    bundle: &mut Bundle<'a>,
    out: &mut Vec<Media>,
) {
    let mut session = Level::default();
    // Of the last of `out`; none before the first `m=` line, and behind one that makes no sense.
    let mut section: Option<Section> = None;
    // Of the first section what is behind its port, when all before is written as usual.
    let mut first: Option<&[u8]> = None;
    let mut count = 0;
    let mut feeds = LineFeeds::new(0);
    let mut start = 0;
    while let Some(text @ [_, ..]) = description.get(start..) {
        let end = feeds.next(description).unwrap_or(description.len());
        let line = || trim_end(description.get(start..end).unwrap_or_default());
        match text {
            [b'm', b'=', ..] => {
                finish(section.take(), &session, out);
                if count == MAX_MEDIA {
                    return;
                }
                count += 1;
                let value = line().get(2..).unwrap_or_default();
                if count == 1
                    && let Some((port, formats)) = plain::section(value)
                {
                    first = description.get(start + 2 + value.len() - formats.len()..);
                    if let Some(section) = first.and_then(|text| known.find(text, port, out)) {
                        finish(Some(section), &session, out);
                        return;
                    }
                }
                section = Section::begin(value, out);
            }
            [b'a', b'=', b'g', ..] if count == 0 => bundle.take_group(line()),
            [b'a', b'=', b'm' | b'b', ..] if section.is_some() => {
                bundle.take(line(), out.len().saturating_sub(1));
                if let (Some(mid), Some(media)) = (line().strip_prefix(b"a=mid:"), out.last_mut()) {
                    media.mid = mid_key(mid);
                }
            }
            // Of the attributes those that are read, by their first letter: rtpmap, rtcp, sendrecv and its siblings, ssrc,
            // silenceSupp, candidates.
            [b'c', b'=', ..] | [b'a', b'=', b'r' | b's' | b'i' | b'c', ..] => {
                match (&mut section, out.last_mut()) {
                    (Some(section), Some(media)) => section.take(text, line, media),
                    _ if count == 0 => session.take(line()),
                    _ => {}
                }
            }
            _ => {}
        }
        start = end;
    }
    if count == 1
        && let (Some(text), Some(section), Some(media)) = (first, section, out.last())
    {
        known.remember(text, media, section);
    }
    finish(section, &session, out);
}

/// Completes the last of `out` when all lines of its section have been read.
fn finish(section: Option<Section>, session: &Level, out: &mut [Media]) {
    if let (Some(section), Some(media)) = (section, out.last_mut()) {
        section.finish(session, media);
    }
}

/// What may be said for the whole session, and again for one section.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// The connection address, and how many groups begin with it.
    address: Option<(Address, u8)>,
    flow: Option<MediaFlow>,
}

impl Level {
    #[inline]
    fn take(&mut self, line: &[u8]) {
        if let Some(value) = line.strip_prefix(b"c=") {
            // The first of several: the others are more multicast groups (RFC 4566 5.7).
            if self.address.is_none() {
                self.address =
                    connection_address(value).map(|address| (address, series::groups(value, address)));
            }
            return;
        }
        // Compared as a whole, where patterns compare byte by byte.
        let flow = if line == b"a=sendrecv" {
            MediaFlow::SendRecv
        } else if line == b"a=sendonly" {
            MediaFlow::SendOnly
        } else if line == b"a=recvonly" {
            MediaFlow::RecvOnly
        } else if line == b"a=inactive" {
            MediaFlow::Inactive
        } else {
            return;
        };
        self.flow = Some(flow);
    }
}

/// What the lines of one `m=` section said so far, beside what its [`Media`] says.
#[derive(Clone, Copy, Debug)]
struct Section {
    level: Level,
    /// Port and, where given, address of `a=rtcp` (RFC 3605).
    rtcp: Option<(u16, Option<Address>)>,
    /// What flows is RTP or UDPTL, so that somebody receives it at the endpoint.
    is_media: bool,
    /// How many pairs of ports begin with the one it names.
    pairs: u8,
}

impl Section {
    /// Reads `<media> <port>[/<count>] <protocol> <format>…` (RFC 4566 5.14) and appends what it says.
    fn begin(value: &[u8], out: &mut Vec<Media>) -> Option<Self> {
        if let Some((port, formats)) = plain::section(value) {
            return Some(Self::of_rtp(MediaKind::Audio, port, formats, Srtp::Never, out));
        }
        let mut words = Words(value);
        let kind = MediaKind::of(words.next()?);
        let (port, count) = digits(words.next()?);
        let port = u16::try_from(port.filter(|_| matches!(count, [] | [b'/', ..]))?).ok()?;
        let protocol = words.next()?;
        let has = |names: &[&[u8]]| {
            let mut parts = protocol.split(|&byte| byte == b'/');
            parts.any(|part| names.iter().any(|name| part.eq_ignore_ascii_case(name)))
        };
        let srtp = if has(&[b"SAVP", b"SAVPF"]) { Srtp::Always } else { Srtp::Never };
        if has(&[b"RTP"]) {
            let section = Self::of_rtp(kind, port, words.0, srtp, out);
            return Some(Self { pairs: series::pairs(count), ..section });
        }
        out.push(Media::new(kind, port, srtp));
        Some(Self { level: Level::default(), rtcp: None, is_media: has(&[b"UDPTL"]), pairs: 1 })
    }

    fn of_rtp(kind: MediaKind, port: u16, formats: &[u8], srtp: Srtp, out: &mut Vec<Media>) -> Self {
        out.push(Media::new(kind, port, srtp));
        if let Some(media) = out.last_mut() {
            let formats = PayloadTypes(formats).filter_map(Format::of).take(MAX_FORMATS);
            formats.for_each(|format| media.formats.push(format));
        }
        Self { level: Level::default(), rtcp: None, is_media: true, pairs: 1 }
    }

    /// Takes the line that `text` begins with.
    #[inline(always)]
    fn take<'a>(&mut self, text: &[u8], line: impl Fn() -> &'a [u8], media: &mut Media) {
        if let Some(value) = after(text, b"a=rtpmap:") {
            let plain = plain::mapping(value);
            if let Some((payload_type, name, clock)) = plain.or_else(|| mapping(line().get(9..)?)) {
                let mut formats = media.formats.iter_mut();
                let format = formats.find(|format| format.payload_type == payload_type);
                format
                    .into_iter()
                    .for_each(|format| (format.name, format.clock) = (name, rtp_clock(name, clock)));
            }
        } else {
            self.other(line(), media);
        }
    }

    fn other(&mut self, line: &[u8], media: &mut Media) {
        if let Some(value) = line.strip_prefix(b"a=rtcp:") {
            self.rtcp = rtcp_attribute(value).or(self.rtcp);
        } else if line == b"a=rtcp-mux" {
            media.rtcp_mux = true;
        } else if let Some(value) = line.strip_prefix(b"a=candidate:") {
            ice::candidate(value, media);
        } else if let Some(value) = line.strip_prefix(b"a=remote-candidates:") {
            ice::remote_candidates(value, media);
        } else if let Some(value) = line.strip_prefix(b"a=ssrc:") {
            sources::source(value, media);
        } else if line.starts_with(b"a=crypto:") || line.starts_with(b"a=setup:") {
            // Keys, or the DTLS that makes them (RFC 4568, RFC 5763 5).
            if media.srtp == Srtp::Never {
                media.srtp = Srtp::Opportunistic;
            }
        } else if line.starts_with(b"a=silenceSupp:on") {
            media.suppresses_silence = true;
        } else {
            self.level.take(line);
        }
    }

    fn finish(self, session: &Level, media: &mut Media) {
        media.flow = self.level.flow.or(session.flow).unwrap_or_default();
        if !self.is_media && media.kind != MediaKind::Application {
            // MSRP, say: nothing that could be claimed as this call's media, nor lend it its transport, as data channels do.
            media.endpoint = Endpoint::default();
            return;
        }
        let (address, groups) = self.level.address.or(session.address).unwrap_or((Address::default(), 1));
        let port = media.endpoint.port;
        media.endpoint = Endpoint::new(address, port);
        media.rtcp = match self.rtcp {
            Some((port, given)) => Endpoint::new(given.unwrap_or(address), port),
            None if media.rtcp_mux || port == 0 => media.endpoint,
            None => Endpoint::new(address, port.checked_add(1).unwrap_or_default()),
        };
        if port != 0 && (groups > 1 || self.pairs > 1) {
            series::add(media, groups, self.pairs);
        }
    }
}

/// The RTP clock rate of an encoding that is said to have this one. That of G.722 is 8,000 Hz, though it samples at 16,000
/// (RFC 3551 4.5.2): who says 16000 sends by 8000 all the same.
fn rtp_clock(name: CodecName, said: u32) -> u32 {
    if said != 8_000 && name.as_str().eq_ignore_ascii_case("G722") { 8_000 } else { said }
}

/// Payload type, encoding name and clock rate of `<payload type> <encoding name>/<clock rate>[/<channels>]` (RFC 4566 6).
fn mapping(value: &[u8]) -> Option<(u8, CodecName, u32)> {
    let mut words = Words(value);
    let payload_type = words.next().and_then(number_of::<u8>)?;
    let mut parts = words.next()?.splitn(3, |&byte| byte == b'/');
    let name = CodecName::new(parts.next()?);
    Some((payload_type, name, parts.next().and_then(number_of).unwrap_or_default()))
}

impl Media {
    /// A section of which the first line has been read, but for its formats.
    fn new(kind: MediaKind, port: u16, srtp: Srtp) -> Self {
        Self {
            kind,
            endpoint: Endpoint::new(Address::default(), port),
            rtcp: Endpoint::default(),
            rtcp_mux: false,
            srtp,
            flow: MediaFlow::SendRecv,
            suppresses_silence: false,
            formats: SmallVec::new(),
            candidates: Vec::new(),
            sources: Vec::new(),
            mid: 0,
            tagged: 0,
        }
    }
}

impl MediaKind {
    /// As the `m=` line has it; none for what is none of these.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Audio => Some("audio"),
            Self::Video => Some("video"),
            Self::Image => Some("image"),
            Self::Application => Some("application"),
            Self::Text => Some("text"),
            Self::Message => Some("message"),
            Self::Other => None,
        }
    }

    fn of(name: &[u8]) -> Self {
        if name == b"audio" {
            return Self::Audio;
        }
        let names: [(&[u8], Self); 6] = [
            (b"audio", Self::Audio),
            (b"video", Self::Video),
            (b"image", Self::Image),
            (b"application", Self::Application),
            (b"text", Self::Text),
            (b"message", Self::Message),
        ];
        names
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known))
            .map_or(Self::Other, |&(_, kind)| kind)
    }
}

impl Format {
    /// A payload type with what RFC 3551 says of it; none when it is not one.
    fn of(number: Option<u64>) -> Option<Self> {
        let payload_type = number.filter(|&payload_type| payload_type < 128)? as u8;
        let unknown = Self { payload_type, clock: 0, name: CodecName::default() };
        Some(static_format(payload_type).unwrap_or(unknown))
    }
}

/// Payload types that are not dynamic (RFC 3551 6).
const STATIC: usize = 35;

/// What RFC 3551 section 6 says of a static payload type.
#[must_use]
pub fn static_format(payload_type: u8) -> Option<Format> {
    static FORMATS: LazyLock<[Option<Format>; STATIC]> = LazyLock::new(|| {
        std::array::from_fn(|payload_type| {
            let payload_type = payload_type as u8;
            let (name, clock) = static_payload(payload_type)?;
            Some(Format { payload_type, clock, name: CodecName::new(name.as_bytes()) })
        })
    });
    FORMATS.get(usize::from(payload_type)).copied().flatten()
}

/// `<port> [<network type> <address type> <address>]` (RFC 3605 2.1).
fn rtcp_attribute(value: &[u8]) -> Option<(u16, Option<Address>)> {
    let value = value.trim_ascii_start();
    let (port, rest) = value.split_at(value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len()));
    Some((number_of(port)?, connection_address(rest)))
}

/// `<network type> <address type> <address>[/<ttl>][/<count>]` (RFC 4566 5.7). A name in place of an address is
/// the unspecified address: who it is cannot be told without asking the DNS. None when the line is not that.
fn connection_address(value: &[u8]) -> Option<Address> {
    // What nearly everybody writes.
    if let Some(address) = value.strip_prefix(b"IN IP4 ").and_then(plain::dotted_quad) {
        return Some(address);
    }
    let mut words = Words(value);
    let _network = words.next()?;
    let family = words.next()?;
    let text = words.next()?.split(|&byte| matches!(byte, b'/' | b'%')).next()?;
    let literal = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
    let nobody =
        || if family.eq_ignore_ascii_case(b"IP6") { Address::default() } else { Address::v4([0; 4]) };
    Some(literal.map_or_else(nobody, Address::from))
}

/// A line without its end, CRLF or LF (RFC 4566 5), and other white space there.
#[inline]
fn trim_end(line: &[u8]) -> &[u8] {
    match line.split_last_chunk() {
        Some((line @ [.., b'!'..=b'\xff'], b"\r\n")) => line,
        _ => line.trim_ascii_end(),
    }
}

/// The words of a line.
struct Words<'a>(&'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
        // Words are shorter than what a search looks at together.
        let end = self.0.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

/// The words of a line as numbers; none for those that are something else.
struct PayloadTypes<'a>(&'a [u8]);

impl Iterator for PayloadTypes<'_> {
    type Item = Option<u64>;

    #[inline]
    fn next(&mut self) -> Option<Option<u64>> {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
        let (number, rest) = digits(self.0);
        if let [] | [b' ' | b'\t', ..] = rest {
            let is_there = !self.0.is_empty();
            self.0 = rest;
            return is_there.then_some(number);
        }
        Words::next(&mut Words(self.0)).map(|word| {
            self.0 = self.0.get(word.len()..).unwrap_or_default();
            None
        })
    }
}

/// A decimal number that fits; none for anything else.
#[inline]
fn number_of<T: TryFrom<u64>>(digits: &[u8]) -> Option<T> {
    number(digits)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn media(description: &str) -> Vec<Media> {
        let mut out = Vec::new();
        parse_description(description.as_bytes(), &mut Sections::default(), &mut out);
        out
    }

    fn codecs(media: &Media) -> Vec<(u8, &str, u32)> {
        media.formats.iter().map(|format| (format.payload_type, format.name.as_str(), format.clock)).collect()
    }

    fn endpoints(media: &Media) -> (String, String) {
        (media.endpoint.to_string(), media.rtcp.to_string())
    }

    /// What RFC 8866 5 lets stand behind what is there may say something else.
    #[test]
    fn what_is_left_of_a_description_announces_no_other_endpoint() {
        let session =
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\na=sendrecv\r\n";
        let sections = "m=audio 40000 RTP/AVP 0 101\r\ni=one\r\nc=IN IP4 192.0.2.222\r\nb=AS:64\r\na=rtpmap:0 PCMU/8000\r\n\
             m=video 40002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 40004 RTP/AVP 8\r\nc=IN IP4 192.0.2.12\r\n";
        let text = format!("{session}{sections}");
        let whole = media(&text);
        let ends = |list: &[Media]| list.iter().map(|media| media.endpoint).collect::<Vec<_>>();
        for length in 0..=text.len() {
            let mut part = Vec::new();
            parse_description(certain(&text.as_bytes()[..length]), &mut Sections::default(), &mut part);
            assert!(ends(&whole).starts_with(&ends(&part)), "{}", &text[..length]);
            // A section is certain with the line behind its connection address, and the last one with that.
            let known = ["192.0.2.222\r\n", "H264/90000\r\n", "192.0.2.12\r\n"];
            let known = known.iter().filter(|line| text[..length].contains(**line)).count();
            assert_eq!(part.len(), known, "{}", &text[..length]);
        }
    }

    #[test]
    fn quads_are_read_as_the_standard_library_reads_them() {
        for text in [
            "192.0.2.1",
            "0.0.0.0",
            "255.255.255.255",
            "256.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1..2.3",
            "",
        ] {
            let expected = text.parse::<std::net::Ipv4Addr>().ok().map(|quad| Address::v4(quad.octets()));
            assert_eq!(plain::dotted_quad(text.as_bytes()), expected, "{text}");
        }
    }

    /// The example of RFC 4566 5, with the attributes of RFC 3551 and an own connection for the video.
    #[test]
    fn session_and_media_level() {
        let list = media(
            "v=0\r\no=jdoe 2890844526 2890842807 IN IP4 10.47.16.5\r\ns=SDP Seminar\r\nc=IN IP4 224.2.17.12/127\r\n\
             t=2873397496 2873404696\r\na=recvonly\r\nm=audio 49170 RTP/AVP 0 9 101\r\na=rtpmap:101 \
             telephone-event/8000\r\na=fmtp:101 0-15\r\nm=video 51372/2 RTP/AVP 99\r\nc=IN IP4 192.0.2.9\r\n\
             a=rtpmap:99 h263-1998/90000\r\na=sendrecv\r\n",
        );
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].kind, MediaKind::Audio);
        assert_eq!(list[0].flow, MediaFlow::RecvOnly);
        assert_eq!(endpoints(&list[0]), ("224.2.17.12:49170".into(), "224.2.17.12:49171".into()));
        assert_eq!(codecs(&list[0]), [(0, "PCMU", 8000), (9, "G722", 8000), (101, "telephone-event", 8000)]);
        assert_eq!(list[1].kind, MediaKind::Video);
        assert_eq!(list[1].flow, MediaFlow::SendRecv);
        assert_eq!(endpoints(&list[1]), ("192.0.2.9:51372".into(), "192.0.2.9:51373".into()));
        assert_eq!(codecs(&list[1]), [(99, "h263-1998", 90000)]);
    }

    /// RFC 3605 2.1 gives both forms; without an address it is that of the connection.
    #[test]
    fn where_rtcp_goes() {
        for (attribute, rtcp, mux) in [
            ("a=rtcp:53020", "192.0.2.1:53020", false),
            ("a=rtcp:53020 IN IP4 126.16.64.4", "126.16.64.4:53020", false),
            (
                "a=rtcp:53020 IN IP6 2001:2345:6789:ABCD:EF01:2345:6789:ABCD",
                "[2001:2345:6789:abcd:ef01:2345:6789:abcd]:53020",
                false,
            ),
            ("a=rtcp:53020 IN", "192.0.2.1:53020", false),
            ("a=rtcp:", "192.0.2.1:4001", false),
            ("a=rtcp:99999", "192.0.2.1:4001", false),
            ("a=rtcp-mux", "192.0.2.1:4000", true),
            ("a=rtcp-muxer", "192.0.2.1:4001", false),
        ] {
            let list = media(&format!("v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\n{attribute}\n"));
            assert_eq!(list[0].rtcp.to_string(), rtcp, "{attribute}");
            assert_eq!(list[0].rtcp_mux, mux, "{attribute}");
        }
    }

    #[test]
    fn protocols() {
        for (line, kind, is_secure, port, formats) in [
            ("audio 4000 RTP/SAVP 8", MediaKind::Audio, true, 4000, 1),
            ("AUDIO 9 UDP/TLS/RTP/SAVPF 111 103", MediaKind::Audio, true, 9, 2),
            ("image 4002 udptl t38", MediaKind::Image, false, 4002, 0),
            ("image 4002 UDPTL t38", MediaKind::Image, false, 4002, 0),
            ("message 7394 TCP/MSRP *", MediaKind::Message, false, 0, 0),
            ("application 9 UDP/DTLS/SCTP webrtc-datachannel", MediaKind::Application, false, 9, 0),
            ("text 11000 RTP/AVP 98 128 256 x", MediaKind::Text, false, 11000, 1),
            ("audio 0 RTP/AVP 0", MediaKind::Audio, false, 0, 1),
            ("control 4000 RTP/AVP 0", MediaKind::Other, false, 4000, 1),
        ] {
            let list = media(&format!("v=0\r\nc=IN IP4 192.0.2.1\r\nm={line}\r\n"));
            assert_eq!(list.len(), 1, "{line}");
            let srtp = if is_secure { Srtp::Always } else { Srtp::Never };
            assert_eq!((list[0].kind, list[0].srtp), (kind, srtp), "{line}");
            assert_eq!((list[0].endpoint.port, list[0].formats.len()), (port, formats), "{line}");
        }
    }

    /// RFC 3551 4.5.2: 8000, for static and dynamic payload types.
    #[test]
    fn the_clock_of_g722_is_8000() {
        for (payload_type, name) in
            [(9, "G722/8000"), (9, "G722/16000"), (98, "g722/16000/1"), (9, "G722/16000 ")]
        {
            let list = media(&format!(
                "m=audio 4000 RTP/AVP {payload_type}\r\na=rtpmap:{payload_type} {name}\r\na=x\r\n"
            ));
            let [(_, _, clock)] = codecs(&list[0])[..] else { panic!("{name}") };
            assert_eq!(clock, 8000, "{name}");
        }
        let wide = media("m=audio 4000 RTP/AVP 98\r\na=rtpmap:98 G7221/16000\r\na=x\r\n");
        assert_eq!(codecs(&wide[0]), [(98, "G7221", 16_000)], "RFC 5577");
    }

    /// RFC 8643 3: keys with the profile AVP are an offer of SRTP. RFC 3264 6: of two sections for one port one is refused.
    #[test]
    fn srtp_that_is_left_to_the_other_side() {
        let keys = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
        let dtls = "a=setup:actpass";
        for (sections, srtp) in [
            (format!("m=audio 4000 RTP/AVP 0\r\n{keys}\r\n"), &[Srtp::Opportunistic][..]),
            (format!("m=audio 4000 RTP/AVP 0\r\n{dtls}\r\n"), &[Srtp::Opportunistic]),
            (format!("m=audio 4000 RTP/SAVP 0\r\n{keys}\r\n"), &[Srtp::Always]),
            (
                format!("m=audio 4000 RTP/SAVP 0\r\n{keys}\r\nm=audio 4000 RTP/AVP 0\r\n"),
                &[Srtp::Opportunistic, Srtp::Opportunistic],
            ),
            (
                format!("m=audio 0 RTP/SAVP 0\r\n{keys}\r\nm=audio 4000 RTP/AVP 0\r\n"),
                &[Srtp::Always, Srtp::Never],
            ),
            (
                "m=audio 4000 RTP/SAVP 0\r\nm=video 4000 RTP/AVP 31\r\n".to_owned(),
                &[Srtp::Always, Srtp::Never],
            ),
        ] {
            let list = media(&format!("v=0\r\nc=IN IP4 192.0.2.1\r\n{sections}"));
            assert_eq!(list.iter().map(|media| media.srtp).collect::<Vec<_>>(), srtp, "{sections}");
        }
    }

    #[test]
    fn addresses() {
        for (line, address) in [
            ("IN IP4 0.0.0.0", "0.0.0.0"),
            ("IN IP6 2201:056D::112E:144A:1E24", "2201:56d::112e:144a:1e24"),
            ("IN IP6 FF15::101/3", "ff15::101"),
            ("IN IP6 fe80::1%eth0", "fe80::1"),
            ("IN IP4 media.example.com", "0.0.0.0"),
            ("IN IP6 media.example.com", "::"),
            ("IN IP4", "::"),
            ("", "::"),
        ] {
            let list = media(&format!("v=0\r\nm=audio 4000 RTP/AVP 0\r\nc={line}\r\n"));
            assert_eq!(list[0].endpoint.address.to_string(), address, "{line}");
        }
    }

    /// A broken `m=` line ends the section before it: its attributes are not that section's.
    #[test]
    fn broken_media_lines() {
        let list = media(
            "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 8\nm=video x RTP/AVP 31\nc=IN IP4 9.9.9.9\na=inactive\n",
        );
        assert_eq!(list.len(), 1);
        assert_eq!(endpoints(&list[0]).0, "192.0.2.1:4000");
        assert_eq!(list[0].flow, MediaFlow::SendRecv);
        assert!(media("m=\nm=audio\nm=audio 1\nm=audio 70000 RTP/AVP 0\n").is_empty());
    }

    #[test]
    fn is_bounded() {
        let section = format!("m=audio 65535 RTP/AVP{}\n", " 0".repeat(100));
        let list = media(&section.repeat(100));
        assert_eq!(list.len(), MAX_MEDIA);
        assert!(list.iter().all(|media| media.formats.len() == MAX_FORMATS && media.rtcp.port == 0));
        let long = media("m=audio 1 RTP/AVP 96\na=rtpmap:96 a-name-longer-than-sixteen/4294967296\n");
        assert_eq!(codecs(&long[0]), [(96, "a-name-longer-th", 0)]);
    }

    proptest::proptest! {
        #[test]
        fn takes_any_bytes(bytes in proptest::collection::vec(proptest::sample::select(&b"m=ca:rtp/ 019IN46\r\n%.AVP\xff"[..]), 0..300)) {
            let mut out = Vec::new();
            parse_description(&bytes, &mut Sections::default(), &mut out);
            proptest::prop_assert!(out.len() <= MAX_MEDIA);
        }
    }
}
