//! What a run saw, in one object: the end of a file run.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use crate::call::BindingCounts;
use crate::escape::{json_line, terminal};
use crate::sink::performance::PerformanceSummary;
use crate::sink::tls::TlsSummary;
use crate::time::Timestamp;

/// The end-of-run summary. Its JSON keys are a promise to scripts: keys are added, never changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Input files read.
    pub files: u64,
    /// Packets read.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Time of the first packet; null without packets.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub first_packet: Option<Timestamp>,
    /// Time of the last packet.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub last_packet: Option<Timestamp>,
    /// Packets by what they were; their sum is `packets`.
    pub packets_by: PacketKinds,
    /// SIP messages.
    pub sip: SipCounts,
    /// Calls.
    pub calls: CallCounts,
    /// Registration dialogs.
    pub registrations: u64,
    /// What became of bindings.
    pub bindings: BindingCounts,
    /// How well calls and registrations are set up.
    pub performance: PerformanceSummary,
    /// RTP that belongs to a call.
    pub rtp: RtpCounts,
    /// RTCP that belongs to a call.
    pub rtcp: RtcpCounts,
    /// IP fragments.
    pub fragments: FragmentCounts,
    /// TCP streams.
    pub tcp: TcpCounts,
    /// What the capture lost and the network did not.
    pub capture_loss: CaptureLoss,
    /// SIP over TLS, which cannot be read.
    pub tls: TlsSummary,
    /// Call files written.
    pub files_written: u64,
    /// What was not looked at, by stage and reason; reasons that did not occur are left out.
    #[serde(serialize_with = "occurred")]
    pub dropped: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Packets by what they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the summary's keys")]
pub struct PacketKinds {
    pub sip: u64,
    pub rtp: u64,
    pub rtcp: u64,
    pub tcp_other: u64,
    pub udp_other: u64,
    pub fragment: u64,
    /// ICMP, SCTP without SIP, and every other IP protocol.
    pub ip_other: u64,
    pub non_ip: u64,
    /// Not what the capture filter asks for.
    pub filtered: u64,
    pub error: u64,
}

/// SIP messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SipCounts {
    /// Whole messages seen, retransmissions and duplicate captures included.
    pub messages: u64,
    /// Requests by method as sent; beyond a limit of different ones, `OTHER`.
    pub requests: BTreeMap<String, u64>,
    /// Responses by status code.
    pub responses: BTreeMap<u16, u64>,
    /// Messages by what carried them.
    pub transports: TransportCounts,
    /// Retransmitted messages.
    pub retransmissions: u64,
    /// Messages captured twice.
    pub duplicates: u64,
    /// Messages that break the grammar.
    pub malformed: u64,
    /// Messages quoted in ICMP errors; not among `messages`.
    pub quoted_in_icmp: u64,
    /// Messages with a session description.
    pub with_sdp: u64,
    /// Different Call-IDs.
    pub call_ids: u64,
    /// `call_ids` is an estimate; the key is there only then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub call_ids_estimated: bool,
}

/// SIP messages by what carried them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of crate::sip::SipTransport")]
pub struct TransportCounts {
    pub udp: u64,
    pub tcp: u64,
    pub tls: u64,
    pub ws: u64,
    pub wss: u64,
    pub sctp: u64,
}

/// Calls: dialogs that an INVITE began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallCounts {
    /// All.
    pub total: u64,
    /// Those of which there are files, records and events, as `-u`, `--from`, `--method` and `--invert` have it; all that are over,
    /// without.
    pub kept: u64,
    /// Those that got a 2xx.
    pub answered: u64,
    /// All, by result.
    pub by_result: ResultCounts,
}

/// Calls by [`crate::call::CallResult`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of crate::call::CallResult")]
pub struct ResultCounts {
    pub success: u64,
    pub failed: u64,
    pub timeout: u64,
    pub cancelled: u64,
    pub busy: u64,
    pub redirected: u64,
    pub open: u64,
}

/// RTP that belongs to a call through SDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RtpCounts {
    pub packets: u64,
    pub streams: u64,
}

/// RTCP that belongs to a call through SDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the name says it")]
pub struct RtcpCounts {
    pub packets: u64,
}

const TLS_TITLE: &str = "SIP over TLS (cannot be read)";
const ICMP_TITLE: &str = "quoted in ICMP";
const LOSS_TITLE: &str = "Lost by the capture, not by the network";

/// What is counted as dropped and takes nothing from a call: what is no SIP, TLS that is counted apart, second copies,
/// times that are not believed.
const NO_LIMIT: [(&str, &str); 11] = [
    ("source", "stamp_backward"),
    ("source", "stamp_wild"),
    ("defrag", "overlaps"),
    ("defrag", "duplicates"),
    ("tcp", "overlap_bytes"),
    ("tcp", "strange_segments"),
    ("tcp", "not_sip_streams"),
    ("tcp", "tls_streams"),
    ("sip", "extra_bytes"),
    ("calls", "bindings_evicted"),
    ("media", "unclaimed_flows"),
];

/// IP fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FragmentCounts {
    /// Fragments.
    pub seen: u64,
    /// Datagrams put together.
    pub reassembled: u64,
    /// Datagrams that stayed incomplete or contradicted themselves.
    pub failed: u64,
}

/// TCP streams that were followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TcpCounts {
    /// Connections.
    pub streams: u64,
    /// Holes that never filled.
    pub gaps: u64,
    /// Connections whose beginning was not captured.
    pub midstream: u64,
    /// Segments that brought nothing new.
    pub retransmitted_segments: u64,
    /// Segments that came before their turn.
    pub out_of_order_segments: u64,
}

/// What the network delivered and the capture has not, as far as the packets show it. The capture's own counters say what
/// the kernel and the card know of; a mirror port that is too slow, nobody counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CaptureLoss {
    /// Holes in TCP streams whose bytes the receiver acknowledged.
    pub tcp_holes: u64,
    /// Moments at which the RTP streams of all senders missed packets.
    pub rtp_moments: u64,
    /// The RTP packets missing then.
    pub rtp_packets: u64,
}

impl CallCounts {
    /// Counts a call that ended, or is open at the end.
    pub fn count(&mut self, result: crate::call::CallResult, answered: bool) {
        use crate::call::CallResult as Call;
        let by = &mut self.by_result;
        let place = match result {
            Call::Success => &mut by.success,
            Call::Failed => &mut by.failed,
            Call::Timeout => &mut by.timeout,
            Call::Cancelled => &mut by.cancelled,
            Call::Busy => &mut by.busy,
            Call::Redirected => &mut by.redirected,
            Call::Open => &mut by.open,
        };
        *place += 1;
        self.total += 1;
        self.answered += u64::from(answered);
    }
}

impl TransportCounts {
    /// The count of `transport`.
    pub fn of(&mut self, transport: crate::sip::SipTransport) -> &mut u64 {
        use crate::sip::SipTransport as Sip;
        match transport {
            Sip::Udp => &mut self.udp,
            Sip::Tcp => &mut self.tcp,
            Sip::Tls => &mut self.tls,
            Sip::Ws => &mut self.ws,
            Sip::Wss => &mut self.wss,
            Sip::Sctp => &mut self.sctp,
        }
    }
}

impl Summary {
    /// Notes that `stage` did not look at `count` things because of `reason`.
    pub fn dropped(&mut self, stage: &str, reason: &str, count: u64) {
        if count > 0 {
            let reasons = self.dropped.entry(stage.to_owned()).or_default();
            let total = reasons.entry(reason.to_owned()).or_default();
            *total = total.saturating_add(count);
        }
    }

    /// Writes the summary as one line of JSON.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn print_json(&self, out: &mut impl Write) -> io::Result<()> {
        json_line(out, self)
    }

    /// Writes the same for people: a section a subject, zeros of rare things left out.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn print_text(&self, out: &mut impl Write) -> io::Result<()> {
        self.print_packets(out)?;
        self.print_sip(out)?;
        self.print_calls(out)?;
        self.performance.print(out)?;
        self.print_bindings(out)?;
        let media = [
            ("RTP packets", self.rtp.packets),
            ("RTP streams", self.rtp.streams),
            ("RTCP packets", self.rtcp.packets),
        ];
        section(out, "Media", &media, &[])?;
        let (fragments, tcp) = (self.fragments, self.tcp);
        let rows = [
            ("fragments", fragments.seen),
            ("reassembled", fragments.reassembled),
            ("incomplete", fragments.failed),
            ("TCP streams", tcp.streams),
            ("gaps", tcp.gaps),
            ("joined midway", tcp.midstream),
            ("sent again", tcp.retransmitted_segments),
            ("out of order", tcp.out_of_order_segments),
        ];
        section(out, "Fragments and TCP", &[], &rows)?;
        let loss = self.capture_loss;
        if loss != CaptureLoss::default() {
            let rows = [("acknowledged holes", loss.tcp_holes), ("RTP packets", loss.rtp_packets)];
            section(out, LOSS_TITLE, &rows, &[])?;
        }
        self.print_tls(out)?;
        self.print_dropped(out)
    }

    /// What kept the run from seeing all of its calls, a sentence each, in the words of the summary.
    #[must_use]
    pub fn limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        let mut say = |what: &str, counts: &[(&str, u64)]| {
            let counts: Vec<String> = counts
                .iter()
                .filter(|(_, count)| *count > 0)
                .map(|(name, count)| format!("{name} {}", grouped(*count)))
                .collect();
            if !counts.is_empty() {
                limits.push(format!("{what}: {}", counts.join(", ")));
            }
        };
        let failed = self.tls.failed.values().sum();
        say(TLS_TITLE, &[("connections", self.tls.connections), ("failed", failed)]);
        say("SIP", &[(ICMP_TITLE, self.sip.quoted_in_icmp)]);
        let loss = self.capture_loss;
        say(LOSS_TITLE, &[("acknowledged holes", loss.tcp_holes), ("RTP packets", loss.rtp_packets)]);
        let dropped: Vec<(String, u64)> = self
            .dropped
            .iter()
            .flat_map(|(stage, reasons)| reasons.iter().map(move |(reason, count)| (stage, reason, *count)))
            .filter(|(stage, reason, _)| !NO_LIMIT.contains(&(stage.as_str(), reason.as_str())))
            .map(|(stage, reason, count)| (dropped_name(stage, reason), count))
            .collect();
        let dropped: Vec<(&str, u64)> = dropped.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        say("Dropped", &dropped);
        limits
    }

    fn print_packets(&self, out: &mut impl Write) -> io::Result<()> {
        let by = self.packets_by;
        let all = [("files", self.files), ("packets", self.packets), ("bytes", self.bytes)];
        let kinds = [
            ("SIP", by.sip),
            ("RTP", by.rtp),
            ("RTCP", by.rtcp),
            ("other TCP", by.tcp_other),
            ("other UDP", by.udp_other),
            ("fragments", by.fragment),
            ("other IP", by.ip_other),
            ("not IP", by.non_ip),
            ("filtered out", by.filtered),
            ("errors", by.error),
        ];
        // Live there are none.
        let all = all.get(usize::from(self.files == 0)..).unwrap_or_default();
        section(out, "Packets", all, &kinds)?;
        if let Some((first, last)) = self.first_packet.zip(self.last_packet) {
            let seconds = last.since(first).as_secs_f64();
            writeln!(out, "  {:<18} {} to {} ({seconds:.1} s)", "captured", first.rfc3339(), last.rfc3339())?;
        }
        Ok(())
    }

    fn print_sip(&self, out: &mut impl Write) -> io::Result<()> {
        let (sip, by) = (&self.sip, self.sip.transports);
        let call_ids = if sip.call_ids_estimated { "Call-IDs (about)" } else { "Call-IDs" };
        let rare = [
            ("with SDP", sip.with_sdp),
            ("retransmissions", sip.retransmissions),
            ("captured twice", sip.duplicates),
            ("malformed", sip.malformed),
            (ICMP_TITLE, sip.quoted_in_icmp),
        ];
        section(out, "SIP", &[("messages", sip.messages), (call_ids, sip.call_ids)], &rare)?;
        let transports = [
            ("UDP", by.udp),
            ("TCP", by.tcp),
            ("TLS", by.tls),
            ("WS", by.ws),
            ("WSS", by.wss),
            ("SCTP", by.sctp),
        ];
        list(out, "transports", transports.into_iter().filter(|(_, count)| *count > 0))?;
        let requests = sip.requests.iter().map(|(method, &count)| (terminal(method.as_bytes()), count));
        list(out, "requests", requests)?;
        list(out, "responses", sip.responses.iter().map(|(code, &count)| (code, count)))
    }

    fn print_calls(&self, out: &mut impl Write) -> io::Result<()> {
        let by = self.calls.by_result;
        let (total, kept) = (self.calls.total, self.calls.kept);
        let mut all = vec![("total", total), ("answered", self.calls.answered)];
        if kept != total {
            // Of the others there is nothing to be found.
            all.insert(1, ("kept", kept));
        }
        let rest = [
            ("success", by.success),
            ("failed", by.failed),
            ("timeout", by.timeout),
            ("cancelled", by.cancelled),
            ("busy", by.busy),
            ("redirected", by.redirected),
            ("still open", by.open),
            ("registrations", self.registrations),
            ("files written", self.files_written),
        ];
        section(out, "Calls", &all, &rest)
    }

    fn print_bindings(&self, out: &mut impl Write) -> io::Result<()> {
        let bindings = self.bindings;
        if bindings == BindingCounts::default() {
            return Ok(());
        }
        let rows = [
            ("added", bindings.added),
            ("refreshed", bindings.refreshed),
            ("removed", bindings.removed),
            ("not refreshed", bindings.expired),
            ("came back late", bindings.returned),
        ];
        section(out, "Bindings", &[("active", bindings.active)], &rows)
    }

    fn print_tls(&self, out: &mut impl Write) -> io::Result<()> {
        let tls = &self.tls;
        if tls.connections == 0 {
            return Ok(());
        }
        let failed = tls.failed.values().sum();
        let rows = [
            ("established", tls.established),
            ("joined midway", tls.joined),
            ("failed", failed),
            ("not known", tls.unknown),
        ];
        section(out, TLS_TITLE, &[("connections", tls.connections)], &rows)?;
        tls.warnings().try_for_each(|warning| writeln!(out, "  {}", terminal(warning.as_bytes())))
    }

    fn print_dropped(&self, out: &mut impl Write) -> io::Result<()> {
        let mut title = "Dropped\n";
        for (stage, reasons) in &self.dropped {
            for (reason, count) in reasons.iter().filter(|(_, count)| **count > 0) {
                let name = dropped_name(stage, reason);
                writeln!(out, "{title}  {:<34} {:>16}", terminal(name.as_bytes()), grouped(*count))?;
                title = "";
            }
        }
        Ok(())
    }
}

fn dropped_name(stage: &str, reason: &str) -> String {
    format!("{stage}: {}", reason.replace('_', " "))
}

/// A title, all of `rows`, and those of `rare` that are not zero; nothing when nothing is left.
fn section(out: &mut impl Write, title: &str, rows: &[(&str, u64)], rare: &[(&str, u64)]) -> io::Result<()> {
    let shown = rows.iter().chain(rare.iter().filter(|(_, count)| *count > 0));
    let mut heading = format!("{title}\n");
    for (name, count) in shown {
        writeln!(out, "{heading}  {name:<18} {:>16}", grouped(*count))?;
        heading.clear();
    }
    Ok(())
}

/// A line of names and counts; nothing when there are none.
fn list<N: std::fmt::Display>(
    out: &mut impl Write,
    title: &str,
    entries: impl Iterator<Item = (N, u64)>,
) -> io::Result<()> {
    let entries: Vec<String> = entries.map(|(name, count)| format!("{name} {}", grouped(count))).collect();
    if entries.is_empty() { Ok(()) } else { writeln!(out, "  {title:<18} {}", entries.join(", ")) }
}

/// `1234567` as `1,234,567`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn rfc3339_or_null<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_str(&time.rfc3339()),
        None => serializer.serialize_none(),
    }
}

fn occurred<S: Serializer>(
    dropped: &BTreeMap<String, BTreeMap<String, u64>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let stages = dropped.iter().filter_map(|(stage, reasons)| {
        let reasons: BTreeMap<&String, &u64> = reasons.iter().filter(|(_, count)| **count > 0).collect();
        (!reasons.is_empty()).then_some((stage, reasons))
    });
    serializer.collect_map(stages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(summary: &Summary) -> String {
        let mut out = Vec::new();
        summary.print_text(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_limits_the_view_is_told_in_the_words_of_the_summary() {
        let mut summary = Summary::default();
        assert_eq!(summary.limits(), [""; 0]);
        summary.tls.connections = 1200;
        summary.tls.failed.insert("unknown_ca", 2);
        summary.sip.quoted_in_icmp = 1;
        summary.capture_loss.rtp_packets = 3;
        for (stage, reason) in [("source", "truncated"), ("sip", "truncated"), ("tcp", "not_sip_streams")] {
            summary.dropped(stage, reason, 4);
        }
        let expected = [
            "SIP over TLS (cannot be read): connections 1,200, failed 2",
            "SIP: quoted in ICMP 1",
            "Lost by the capture, not by the network: RTP packets 3",
            "Dropped: sip: truncated 4, source: truncated 4",
        ];
        assert_eq!(summary.limits(), expected);
        let text = text(&summary);
        for words in
            ["SIP over TLS (cannot be read)", "quoted in ICMP", "sip: truncated", "source: truncated"]
        {
            assert!(text.contains(words), "{words}\n{text}");
        }
    }

    #[test]
    fn keys_stand_as_documented() {
        let mut summary = Summary::default();
        summary.sip.requests.insert("INVITE".to_owned(), 0);
        summary.sip.responses.insert(200, 0);
        summary.dropped.insert("decode".to_owned(), BTreeMap::from([("ipv4".to_owned(), 0)]));
        let mut out = Vec::new();
        summary.print_json(&mut out).unwrap();
        let expected = r#"{"files":0,"packets":0,"bytes":0,"first_packet":null,"last_packet":null,
"packets_by":{"sip":0,"rtp":0,"rtcp":0,"tcp_other":0,"udp_other":0,"fragment":0,"ip_other":0,"non_ip":0,"filtered":0,"error":0},
"sip":{"messages":0,"requests":{"INVITE":0},"responses":{"200":0},"transports":{"udp":0,"tcp":0,"tls":0,"ws":0,"wss":0,"sctp":0},
"retransmissions":0,"duplicates":0,"malformed":0,"quoted_in_icmp":0,"with_sdp":0,"call_ids":0},
"calls":{"total":0,"kept":0,"answered":0,"by_result":{"success":0,"failed":0,"timeout":0,"cancelled":0,"busy":0,"redirected":0,"open":0}},
"registrations":0,"bindings":{"active":0,"added":0,"refreshed":0,"removed":0,"expired":0,"returned":0},
"performance":{"attempts":0,"asr_percent":null,"ner_percent":null,"ser_percent":null,"seer_percent":null,"isa_percent":null,"scr_percent":null,
"session_request_delay":null,"failed_session_request_delay":null,"session_disconnect_delay":null,"session_duration":null,
"registration_attempts":0,"ira_percent":null,"registration_delay":null,"registration_failures":{},"response_delay":{}},
"rtp":{"packets":0,"streams":0},"rtcp":{"packets":0},
"fragments":{"seen":0,"reassembled":0,"failed":0},"tcp":{"streams":0,"gaps":0,"midstream":0,"retransmitted_segments":0,"out_of_order_segments":0},"capture_loss":{"tcp_holes":0,"rtp_moments":0,"rtp_packets":0},
"tls":{"connections":0,"established":0,"joined":0,"unknown":0,"failed":{},"servers":[]},
"files_written":0,"dropped":{}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected.replace('\n', "") + "\n");
    }

    #[test]
    fn counts_find_their_places() {
        let mut summary = Summary::default();
        for transport in crate::sip::SipTransport::ALL {
            *summary.sip.transports.of(transport) += 1;
        }
        let json = serde_json::to_value(&summary).unwrap();
        for transport in crate::sip::SipTransport::ALL {
            assert_eq!(json["sip"]["transports"][transport.name()], 1);
        }
        summary.calls.count(crate::call::CallResult::Busy, false);
        summary.calls.count(crate::call::CallResult::Success, true);
        let calls = serde_json::to_value(summary.calls).unwrap();
        assert_eq!((&calls["by_result"]["busy"], &calls["by_result"]["success"]), (&1.into(), &1.into()));
        assert_eq!((summary.calls.total, summary.calls.answered), (2, 1));
    }

    #[test]
    fn people_read_the_same() {
        let mut summary = Summary { files: 1, packets: 1_234_567, ..Summary::default() };
        summary.packets_by.sip = 1_234_567;
        summary.first_packet = Some(Timestamp::new(482_196_050, 0));
        summary.last_packet = Some(Timestamp::new(482_196_052, 500_000_000));
        summary.sip.requests.insert("INVITE".to_owned(), 12);
        summary.sip.requests.insert("EVIL\u{1b}[2J".to_owned(), 1);
        summary.sip.responses.extend([(180, 3), (200, 4_000)]);
        summary.sip.transports.tcp = 16;
        summary.dropped("defrag", "time_out", 0);
        summary.dropped("decode", "ipv4_bad_length", 7);
        let text = text(&summary);
        for line in [
            "  packets                   1,234,567",
            "  requests           EVIL\\x1b[2J 1, INVITE 12",
            "  responses          180 3, 200 4,000",
            "  transports         TCP 16",
            "  decode: ipv4 bad length                           7",
            "  captured           1985-04-12T23:20:50.000000Z to 1985-04-12T23:20:52.500000Z (2.5 s)",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
        assert!(!text.contains("defrag") && !text.contains("RTP  "), "{text}");
        assert!(!text.contains("malformed"), "{text}");
    }
}
