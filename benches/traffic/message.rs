//! Writes SIP messages: a step of a script and the identity of its dialog become text. The same step gives the same
//! bytes, so that a retransmission is one.

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};

use super::frame::Endpoint;
use super::rng::mix;
use super::step::{Extra, Method, Step};

/// How a dialog's messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    WebSocket,
}

impl Transport {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::WebSocket => "ws",
        }
    }

    /// As Via has it.
    fn token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::WebSocket => "WS",
        }
    }
}

/// Who talks to whom, and in which style.
#[derive(Clone)]
pub(crate) struct Identity {
    /// Tags, branches and names come from it.
    pub(crate) key: u64,
    /// The Call-ID comes from it: two calls that share it have the same.
    pub(crate) call_key: u64,
    pub(crate) transport: Transport,
    /// The end that opens the dialog, then the other one.
    pub(crate) ends: [Endpoint; 2],
    pub(crate) media: [Endpoint; 2],
    /// User parts of From and To, where they are not to be drawn.
    pub(crate) people: Option<[String; 2]>,
    /// The sessions of its descriptions come from it (RFC 8866 5.2).
    pub(crate) session_key: u64,
    /// More header fields of the INVITE that begins it, each with its line end.
    pub(crate) fields: String,
    pub(crate) compact: bool,
    pub(crate) lf_only: bool,
    pub(crate) content_length: bool,
}

impl Identity {
    /// The Call-ID, in one of the three shapes that are common.
    pub(crate) fn call_id(&self) -> String {
        let a = mix(self.call_key);
        let b = mix(a);
        match a % 3 {
            0 => format!("{a:016x}@192.0.2.{}", b % 256),
            1 => {
                let (high, low) = (a >> 32, a & 0xffff);
                format!(
                    "{high:08x}-{low:04x}-4{:03x}-8{:03x}-{:012x}",
                    b >> 52,
                    b & 0xfff,
                    b & 0xffff_ffff_ffff
                )
            }
            _ => format!("{}-{}@sip.example.net", a >> 20, b % 100_000),
        }
    }

    /// User part of From (0) or To (1).
    pub(crate) fn user(&self, end: usize) -> String {
        if let Some(people) = &self.people {
            return people[end].clone();
        }
        let number = mix(self.key.wrapping_add(end as u64 * 77));
        match number % 8 {
            0 => format!("user{}", number % 10_000),
            _ => format!("+1555{:07}", number % 10_000_000),
        }
    }

    /// Where the media of an end is when it is not on the end's own host.
    pub(crate) fn elsewhere(&self, end: usize) -> Endpoint {
        let host = (self.key % 250) as u8 + 1;
        let ip = match self.media[end].ip {
            IpAddr::V4(_) => IpAddr::from([203, 0, 113, host]),
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, host.into())),
        };
        Endpoint { ip, ..self.media[end] }
    }

    fn tag(&self, end: usize, leg: u8) -> u64 {
        mix(self.key ^ ((u64::from(leg) << 8) | (end as u64 + 1))) >> 20
    }

    fn transport_parameter(&self) -> &'static str {
        match self.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::WebSocket => ";transport=ws",
        }
    }
}

/// Renders messages into buffers that it keeps.
#[derive(Default)]
pub(crate) struct Renderer {
    body: Vec<u8>,
    out: Vec<u8>,
}

/// Appends a line; writing to memory cannot fail.
macro_rules! line {
    ($out:expr, $($argument:tt)*) => {{
        let _ = write!($out, $($argument)*);
        $out.extend_from_slice(b"\r\n");
    }};
}

impl Renderer {
    /// The text of a step.
    pub(crate) fn render(&mut self, identity: &Identity, step: &Step) -> &[u8] {
        self.out.clear();
        self.body.clear();
        if step.sdp {
            let direction = if let Extra::Direction(direction) = step.extra { direction } else { "sendrecv" };
            let end = usize::from(!step.forward);
            let media =
                if step.extra == Extra::Elsewhere { identity.elsewhere(end) } else { identity.media[end] };
            self.session(identity, media, direction);
        }
        if let Extra::Fragment(code) = step.extra {
            line!(self.body, "SIP/2.0 {code} {}", reason(code));
        }
        match step.code {
            None => self.request(identity, step),
            Some(code) => self.response(identity, step, code),
        }
        self.content(identity, step);
        if identity.lf_only {
            self.out.retain(|&byte| byte != b'\r');
        }
        &self.out
    }

    fn request(&mut self, identity: &Identity, step: &Step) {
        let sender = usize::from(!step.forward);
        let (from, to) = (identity.ends[sender], identity.ends[1 - sender]);
        let out = &mut self.out;
        let method = step.method.name();
        let parameter = identity.transport_parameter();
        if step.method == Method::Register {
            line!(out, "REGISTER sip:sip.example.net SIP/2.0");
        } else {
            line!(out, "{method} sip:{}@{to}{parameter} SIP/2.0", identity.user(1 - sender));
        }
        self.common(identity, step, sender);
        let out = &mut self.out;
        line!(out, "Max-Forwards: {}", 69 + identity.key % 2);
        if step.leg > 0 && step.method != Method::Ack {
            line!(out, "Route: <sip:{};lr;ftag={:x}>", to, identity.tag(0, 0));
        }
        match step.method {
            Method::Register => line!(out, "Expires: 3600"),
            Method::Prack => line!(out, "RAck: 1 1 INVITE"),
            Method::Invite => {
                line!(out, "P-Asserted-Identity: <sip:{}@sip.example.net>", identity.user(sender));
                if !matches!(step.extra, Extra::Timer(_)) {
                    line!(out, "Session-Expires: 1800;refresher=uac");
                }
            }
            _ => {}
        }
        extra(out, step.extra);
        if step.method == Method::Invite && step.leg == 0 {
            out.extend_from_slice(identity.fields.as_bytes());
        }
        if step.credentials {
            credentials(out, identity, step);
        }
        let contact = if identity.compact { "m" } else { "Contact" };
        line!(out, "{contact}: <sip:{}@{from}{parameter}>", identity.user(sender));
        line!(out, "User-Agent: {}", AGENTS[identity.key as usize % AGENTS.len()]);
        if step.method != Method::Ack {
            abilities(out, identity);
        }
    }

    fn response(&mut self, identity: &Identity, step: &Step, code: u16) {
        let requester = usize::from(step.forward);
        line!(self.out, "SIP/2.0 {code} {}", reason(code));
        self.common(identity, step, requester);
        let out = &mut self.out;
        let responder = identity.ends[1 - requester];
        if code == 401 || code == 407 {
            let name = if code == 401 { "WWW" } else { "Proxy" };
            let nonce = mix(identity.key ^ 0x4e);
            line!(
                out,
                "{name}-Authenticate: Digest realm=\"sip.example.net\", nonce=\"{nonce:032x}\", algorithm=MD5, qop=\"auth\""
            );
        }
        if code == 100 {
            return;
        }
        if identity.key.is_multiple_of(3) && step.method == Method::Invite {
            line!(out, "Record-Route: <sip:{};lr;ftag={:x}>", responder, identity.tag(0, 0));
        }
        extra(out, step.extra);
        if code == 183 {
            line!(out, "Require: 100rel\r\nRSeq: 1");
        }
        let contact = if identity.compact { "m" } else { "Contact" };
        match step.method {
            Method::Register => {
                line!(out, "{contact}: <sip:{}@{}>;expires=3600", identity.user(0), identity.ends[requester]);
            }
            _ => line!(out, "{contact}: <sip:{}@{}>", identity.user(1 - requester), responder),
        }
        line!(out, "Server: {}", SERVERS[identity.key as usize % SERVERS.len()]);
        abilities(out, identity);
    }

    /// Via, From, To, Call-ID, CSeq: as the request has them, in both directions.
    fn common(&mut self, identity: &Identity, step: &Step, requester: usize) {
        let [via, from_name, to_name, call_id] =
            if identity.compact { ["v", "f", "t", "i"] } else { ["Via", "From", "To", "Call-ID"] };
        let out = &mut self.out;
        let branch = mix(identity.key ^ u64::from(step.branch) << 16);
        let end = identity.ends[requester];
        let token = identity.transport.token();
        line!(out, "{via}: SIP/2.0/{token} {end};branch=z9hG4bK{branch:016x};rport");
        // The one who opened the dialog has a tag from the start, the other one from its first answer.
        let (from, to) = (requester, 1 - requester);
        let leg_of = |end: usize| if end == 0 { 0 } else { step.leg };
        line!(
            out,
            "{from_name}: \"{0}\" <sip:{0}@sip.example.net>;tag={1:x}",
            identity.user(from),
            identity.tag(from, leg_of(from))
        );
        let called = if step.method == Method::Register { from } else { to };
        let _ = write!(out, "{to_name}: <sip:{}@sip.example.net>", identity.user(called));
        if step.leg > 0 {
            let _ = write!(out, ";tag={:x}", identity.tag(to, leg_of(to)));
        }
        out.extend_from_slice(b"\r\n");
        line!(out, "{call_id}: {}", identity.call_id());
        line!(out, "CSeq: {} {}", step.cseq, step.method.name());
    }

    /// The headers about the body, the empty line, the body.
    fn content(&mut self, identity: &Identity, step: &Step) {
        let out = &mut self.out;
        if step.large {
            // A header of the kind that makes INVITEs large today: a signed identity (RFC 8224).
            let missing = 1_650_usize.saturating_sub(out.len() + self.body.len()).max(200);
            let _ = write!(out, "Identity: eyJhbGciOiJFUzI1NiJ9.");
            let mut word = identity.key;
            for _ in 0..missing.div_ceil(16) {
                word = mix(word.wrapping_add(1));
                let _ = write!(out, "{word:016x}");
            }
            line!(out, ";info=<https://cert.example.net/a.pem>;alg=ES256;ppt=shaken");
        }
        let [content_type, length] =
            if identity.compact { ["c", "l"] } else { ["Content-Type", "Content-Length"] };
        if !self.body.is_empty() {
            let is_fragment = matches!(step.extra, Extra::Fragment(_));
            let kind = if is_fragment { "message/sipfrag;version=2.0" } else { "application/sdp" };
            line!(out, "{content_type}: {kind}");
        }
        if identity.lf_only {
            self.body.retain(|&byte| byte != b'\r');
        }
        if identity.content_length {
            line!(out, "{length}: {}", self.body.len());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
    }

    /// An SDP of an end with this media: G.711 and telephone events (RFC 8866, RFC 3551, RFC 4733).
    fn session(&mut self, identity: &Identity, media: Endpoint, direction: &str) {
        let body = &mut self.body;
        let version = if media.ip.is_ipv4() { "IP4" } else { "IP6" };
        let session = mix(identity.session_key ^ 0x5d) % 1_000_000_000;
        let (first, second) = if payload_type(identity) == 0 { ("0", "8") } else { ("8", "0") };
        line!(body, "v=0");
        line!(body, "o=- {session} {session} IN {version} {}", media.ip);
        line!(body, "s=-");
        line!(body, "c=IN {version} {}", media.ip);
        line!(body, "t=0 0");
        line!(body, "m=audio {} RTP/AVP {first} {second} 101", media.port);
        line!(body, "a=rtpmap:0 PCMU/8000");
        line!(body, "a=rtpmap:8 PCMA/8000");
        line!(body, "a=rtpmap:101 telephone-event/8000");
        line!(body, "a=fmtp:101 0-16");
        line!(body, "a=ptime:20");
        line!(body, "a={direction}");
    }
}

/// PCMU or PCMA, the same for both ends of a call.
pub(crate) fn payload_type(identity: &Identity) -> u8 {
    if identity.key.is_multiple_of(2) { 0 } else { 8 }
}

fn credentials(out: &mut Vec<u8>, identity: &Identity, step: &Step) {
    let name = if step.method == Method::Register { "Authorization" } else { "Proxy-Authorization" };
    let nonce = mix(identity.key ^ 0x4e);
    let [a, b] = [mix(nonce), mix(nonce ^ 1)];
    line!(
        out,
        "{name}: Digest username=\"{}\", realm=\"sip.example.net\", nonce=\"{nonce:032x}\", \
         uri=\"sip:sip.example.net\", response=\"{a:016x}{b:016x}\", algorithm=MD5, qop=auth, cnonce=\"{:08x}\", nc=00000001",
        identity.user(0),
        a as u32
    );
}

/// The header fields of what a message has that others have not.
fn extra(out: &mut Vec<u8>, extra: Extra) {
    match extra {
        Extra::Timer(seconds) => line!(out, "Session-Expires: {seconds};refresher=uac"),
        Extra::LeastTimer(seconds) => line!(out, "Min-SE: {seconds}"),
        Extra::ReferTo(whom) => line!(out, "Refer-To: <sip:{whom}@sip.example.net>"),
        Extra::Cause(cause) => line!(out, "Reason: Q.850;cause={cause}"),
        Extra::Fragment(_) => line!(out, "Event: refer\r\nSubscription-State: active;expires=60"),
        Extra::None | Extra::Direction(_) | Extra::Elsewhere => {}
    }
}

fn abilities(out: &mut Vec<u8>, identity: &Identity) {
    line!(out, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY");
    line!(out, "{}: timer, replaces, path", if identity.compact { "k" } else { "Supported" });
}

const AGENTS: [&str; 5] = [
    "Example-Phone/7.2.1 (build 8842)",
    "PBX-One 18.4.0",
    "SoftTalk 3.9 desktop/x86_64 (stack 2.14)",
    "gateway-e1/5.0",
    "Example SBC R9.3.0 (Build 1127)",
];

const SERVERS: [&str; 3] = ["proxy-core/5.7.4 (x86_64/linux)", "Switch-B2BUA 1.10", "Example SBC R9.3.0"];

/// The reason phrases of RFC 3261 21.
fn reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        302 => "Moved Temporarily",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        422 => "Session Interval Too Small",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        _ => "Service Unavailable",
    }
}
