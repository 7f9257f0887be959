//! What traffic to make: every knob and its default.
//!
//! A share is a probability from 0 to 1. The defaults are plain: UDP, Ethernet, classic pcap, nothing lost, nothing odd.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Every knob. On the command line `--out-of-order 0.01` sets `out_of_order`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Profile {
    #[serde(flatten)]
    pub(crate) load: Load,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
    #[serde(flatten)]
    pub(crate) shape: Shape,
    #[serde(flatten)]
    pub(crate) bridge: Bridge,
    #[serde(flatten)]
    pub(crate) text: Text,
    #[serde(flatten)]
    pub(crate) datagrams: Datagrams,
    #[serde(flatten)]
    pub(crate) tcp: Tcp,
    #[serde(flatten)]
    pub(crate) media: Media,
    #[serde(flatten)]
    pub(crate) wire: Wire,
    #[serde(flatten)]
    pub(crate) noise: Noise,
}

/// How much, how fast, between whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) seed: u64,
    pub(crate) calls: u64,
    pub(crate) registrations: u64,
    pub(crate) options: u64,
    /// Calls begun per second, on average (registrations and OPTIONS come on top in proportion).
    pub(crate) rate: f64,
    /// Seconds from answer to BYE: uniform from half to one and a half times this.
    pub(crate) hold: f64,
    pub(crate) user_agents: u64,
    pub(crate) servers: u64,
    /// The ledger lists every call: for tests, it takes memory.
    pub(crate) list: bool,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            seed: 1,
            calls: 20,
            registrations: 0,
            options: 0,
            rate: 10.0,
            hold: 5.0,
            user_agents: 50,
            servers: 4,
            list: true,
        }
    }
}

/// How dialogs end: shares of all calls (of all registrations where it says so). The rest succeeds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Challenged with 407 and repeated with credentials, whatever comes then.
    pub(crate) auth: f64,
    /// 404.
    pub(crate) not_found: f64,
    /// 486.
    pub(crate) busy: f64,
    /// 503.
    pub(crate) unavailable: f64,
    /// 302.
    pub(crate) redirected: f64,
    /// CANCEL while it rings, 487.
    pub(crate) cancelled: f64,
    /// No answer at all; on UDP with the seven INVITEs of RFC 3261 17.1.1.2.
    pub(crate) unanswered: f64,
    /// Answered and never ended.
    pub(crate) open: f64,
    /// Registrations refused with 403.
    pub(crate) registration_refused: f64,
}

/// What happens inside answered calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// A second INVITE inside the dialog, of either side.
    pub(crate) reinvites: f64,
    /// UPDATE (RFC 3311) inside the dialog.
    pub(crate) updates: f64,
    /// 183 with 100rel and PRACK (RFC 3262).
    pub(crate) pracks: f64,
    /// Two 180 with different To-tags, the second one answers.
    pub(crate) forks: f64,
    /// Calls with a fault in their signalling, or with what looks like one and is none; UDP only.
    pub(crate) faults: f64,
    /// Calls with a fault in their media, or with what looks like one and is none; UDP only.
    pub(crate) media_faults: f64,
    /// After its end a new call uses the Call-ID again; these calls come on top of `calls`.
    pub(crate) reused: f64,
}

/// Calls of two legs; UDP only, and not with RTP.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bridge {
    /// Calls that go through a B2BUA and on under another Call-ID; the second leg comes on top of `calls`.
    pub(crate) b2bua: f64,
    /// Of the rest, calls that come with another one that looks like their other leg and is none.
    pub(crate) lookalikes: f64,
    /// All calls through a B2BUA are between the same two numbers, as in a load test.
    pub(crate) identical: bool,
}

/// How messages are written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Text {
    /// Dialogs with the compact header names of RFC 3261 7.3.3.
    pub(crate) compact: f64,
    /// Dialogs whose lines end with a bare LF.
    pub(crate) lf_only: f64,
    /// Dialogs without Content-Length; UDP only.
    pub(crate) no_content_length: f64,
    /// INVITEs padded beyond the MTU.
    pub(crate) large: f64,
}

/// What happens to UDP.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Datagrams {
    /// Repetitions of INVITE, its 200 and BYE after T1.
    pub(crate) sip_retransmitted: f64,
    /// SIP datagrams cut into fragments although they would fit.
    pub(crate) fragmented: f64,
    /// Fragmented datagrams whose fragments leave in another order.
    pub(crate) fragments_shuffled: f64,
    /// Fragmented datagrams of which one fragment comes twice.
    pub(crate) fragments_duplicated: f64,
}

/// SIP over TCP and WebSocket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tcp {
    /// Dialogs over TCP.
    pub(crate) tcp: f64,
    /// Connections over which these dialogs are spread.
    pub(crate) connections: u64,
    /// Connections that carry WebSocket (RFC 7118).
    pub(crate) websocket: f64,
    /// The capture has the handshakes.
    pub(crate) syn: bool,
    /// The capture begins inside messages (and has no handshakes). Not for WebSocket.
    pub(crate) midstream: bool,
    /// The connections are closed at the end.
    pub(crate) fin: bool,
    /// Messages cut at a random byte into two segments.
    pub(crate) cut: f64,
    /// Messages held back up to 20 ms for company in one segment.
    pub(crate) pipelined: f64,
    /// Segments with data that are overtaken by the next one of their direction.
    pub(crate) out_of_order: f64,
    /// Segments with data that come again.
    pub(crate) retransmitted: f64,
    /// Of these, the ones cut differently: a part comes again, or old bytes in front of new ones.
    pub(crate) overlapped: f64,
    /// Seconds between CRLF keep-alives (RFC 5626 3.5.1) of a connection, or pings of a WebSocket; 0 is none.
    pub(crate) keepalive: u64,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            tcp: 0.0,
            connections: 4,
            websocket: 0.0,
            syn: true,
            midstream: false,
            fin: true,
            cut: 0.0,
            pipelined: 0.0,
            out_of_order: 0.0,
            retransmitted: 0.0,
            overlapped: 0.0,
            keepalive: 0,
        }
    }
}

/// RTP and RTCP.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Media {
    /// Answered calls with RTP in both directions, from ACK until shortly before BYE.
    pub(crate) rtp: f64,
    /// Packets per second and direction; the payload is G.711, 8 bytes per millisecond.
    pub(crate) rtp_rate: u64,
    /// RTP packets that were lost before they reached the capture.
    pub(crate) rtp_lost: f64,
    /// RTP packets overtaken by the next one.
    pub(crate) rtp_reordered: f64,
    /// RTP packets that come twice.
    pub(crate) rtp_duplicated: f64,
    /// Seconds between RTCP sender reports of a stream; 0 is none.
    pub(crate) rtcp: u64,
}

impl Default for Media {
    fn default() -> Self {
        Self { rtp: 0.0, rtp_rate: 50, rtp_lost: 0.0, rtp_reordered: 0.0, rtp_duplicated: 0.0, rtcp: 5 }
    }
}

/// Link, network and file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wire {
    pub(crate) link: Link,
    /// VLAN tags on every frame: 0, 1 (802.1Q) or 2 (802.1ad); Ethernet and the two SLL only.
    pub(crate) vlans: u8,
    /// Hosts and connections with IPv6 addresses.
    pub(crate) ipv6: f64,
    pub(crate) mtu: usize,
    pub(crate) format: Format,
    pub(crate) nanoseconds: bool,
    pub(crate) big_endian: bool,
    /// Bytes kept of each frame; 0 keeps all.
    pub(crate) snaplen: u32,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            link: Link::Ethernet,
            vlans: 0,
            ipv6: 0.0,
            mtu: 1500,
            format: Format::Pcap,
            nanoseconds: false,
            big_endian: false,
            snaplen: 0,
        }
    }
}

/// The link layer of the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Link {
    Ethernet,
    Sll,
    Sll2,
    Raw,
}

/// The file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Pcap,
    Pcapng,
}

/// Traffic that is no telephony.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Noise {
    /// Share of all packets.
    pub(crate) noise: f64,
    /// HTTP uploads now and then carry a log of SIP messages: text that looks like SIP and is not.
    pub(crate) noise_sip_text: bool,
    /// Share of the first connections that were up before the capture; they stay, and are in the middle of a transfer.
    pub(crate) noise_joined: f64,
}

impl Default for Noise {
    fn default() -> Self {
        Self { noise: 0.0, noise_sip_text: true, noise_joined: 0.0 }
    }
}

impl Profile {
    /// Multiplies the number of dialogs, and of connections where that shrinks them; the rate stays.
    pub(crate) fn scale(&mut self, factor: f64) {
        let scaled = |count: u64| (count as f64 * factor).round() as u64;
        self.load.calls = scaled(self.load.calls);
        self.load.registrations = scaled(self.load.registrations);
        self.load.options = scaled(self.load.options);
        if factor < 1.0 {
            self.tcp.connections = scaled(self.tcp.connections).max(1);
        }
    }

    /// Every knob with its value.
    pub(crate) fn knobs(&self) -> serde_json::Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(knobs)) => knobs,
            _ => serde_json::Map::new(),
        }
    }

    /// Sets one knob from text.
    ///
    /// # Errors
    /// The name is no knob, or the value is not of its kind.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let mut knobs = self.knobs();
        let Some(knob) = knobs.get_mut(name) else {
            let known: Vec<&str> = knobs.keys().map(String::as_str).collect();
            return Err(format!("no knob is called {name}; there are {}", known.join(", ")));
        };
        let value = if knob.is_string() { Ok(Value::from(text)) } else { serde_json::from_str(text) };
        *knob = value.map_err(|error| format!("{name}: {text}: {error}"))?;
        *self = serde_json::from_value(Value::Object(knobs)).map_err(|error| format!("{name}: {error}"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_are_set_by_name() {
        let mut profile = Profile::default();
        profile.set("out_of_order", "0.25").unwrap();
        profile.set("calls", "7").unwrap();
        profile.set("auth", "1").unwrap();
        profile.set("syn", "false").unwrap();
        profile.set("link", "sll").unwrap();
        assert_eq!(profile.tcp.out_of_order, 0.25);
        assert_eq!(profile.load.calls, 7);
        assert_eq!(profile.outcome.auth, 1.0);
        assert!(!profile.tcp.syn);
        assert_eq!(profile.wire.link, Link::Sll);
        assert!(profile.set("cals", "7").unwrap_err().contains("calls"));
        assert!(profile.set("calls", "many").is_err());
        assert!(profile.set("link", "token-ring").is_err());
    }
}
