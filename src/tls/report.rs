//! What is known of one connection that speaks TLS.

use std::fmt;

use crate::flow::Endpoint;
use crate::time::Timestamp;

/// One connection's handshake, when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Number of the packet or tick that decided it.
    pub sequence: u64,
    /// Time of that packet.
    pub timestamp: Timestamp,
    /// Who sent the `ClientHello`; unknown to be so when the beginning was not captured.
    pub client: Endpoint,
    /// Who was asked.
    pub server: Endpoint,
    /// The version agreed on.
    pub version: Option<Version>,
    /// The name that the client asked for (RFC 6066 3), printable ASCII, at most 255 bytes.
    pub server_name: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// The server's own certificate, where it was sent in the clear.
    pub certificate: Option<Certificate>,
}

/// What came of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides are encrypting: signalling that cannot be read.
    Established,
    /// The connection was up before the capture: the same, but the handshake was not seen.
    Joined,
    /// It failed.
    Failed(Failure),
    /// So many bytes of it are missing that nobody can tell.
    Unknown,
}

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// A fatal alert with this description (RFC 8446 6), from the server or not.
    Alert {
        /// Number of the description.
        description: u8,
        /// The server sent it.
        by_server: bool,
    },
    /// An alert that was encrypted already, where `Finished` belongs.
    EncryptedAlert {
        /// The server sent it.
        by_server: bool,
    },
    /// The connection ended in the middle.
    Closed,
    /// Nobody answered the `ClientHello`.
    Unanswered,
    /// The server answered something that is no TLS: a plain-text port, as a rule.
    NotTls,
}

impl Failure {
    /// The name under which it is counted: that of the alert in RFC 8446 6, or our own.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert { description, .. } => alert_name(description),
            Self::EncryptedAlert { .. } => "encrypted_alert",
            Self::Closed => "closed",
            Self::Unanswered => "unanswered",
            Self::NotTls => "not_tls",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |by_server: bool| if by_server { "server" } else { "client" };
        match *self {
            Self::Alert { description, by_server } => {
                write!(f, "the {} said {} ({description})", side(by_server), alert_name(description))
            }
            Self::EncryptedAlert { by_server } => {
                write!(f, "the {} gave up with an encrypted alert", side(by_server))
            }
            Self::Closed => f.write_str("the connection ended in the middle"),
            Self::Unanswered => f.write_str("the server did not answer"),
            Self::NotTls => f.write_str("the server does not speak TLS there"),
        }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u16);

impl Version {
    /// TLS 1.3.
    pub const TLS13: Self = Self(0x0304);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0x0300 => f.write_str("SSL 3.0"),
            0x0301 => f.write_str("TLS 1.0"),
            0x0302 => f.write_str("TLS 1.1"),
            0x0303 => f.write_str("TLS 1.2"),
            0x0304 => f.write_str("TLS 1.3"),
            other => write!(f, "TLS {other:#06x}"),
        }
    }
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its common name, else its first alternative name; printable ASCII, at most 255 bytes.
    pub subject: String,
    /// It is good until then.
    pub not_after: Timestamp,
}

/// Descriptions of alerts by number (RFC 8446 6, RFC 5246 7.2).
fn alert_name(description: u8) -> &'static str {
    match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "alert",
    }
}
