//! Session descriptions: where media will flow and in which codecs (RFC 4566, RFC 3264).

use crate::flow::Endpoint;
use smallvec::SmallVec;

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

/// Appends the media of a message's session description to `out`: nothing when there is none.
pub fn parse(message: &[u8], head: &crate::sip::Head, out: &mut Vec<Media>) {
    let _ = (message, head, out);
}
