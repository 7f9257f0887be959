//! Per-call files as tshark sees them: the call, the whole call and nothing but the call, and nothing wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use serde_json::json;
use tempfile::NamedTempFile;

use crate::classic::Classic;
use crate::corpus::{Case, cases, counts};
use crate::support::{Run, has_tshark, on_threads, tshark};
use crate::traffic::{capture, profile};

type Knobs = &'static [(&'static str, &'static str)];

/// What nobody wants to see in a file that was written for one call.
const GAPS: &str = "tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || tcp.analysis.retransmission \
                    || tcp.analysis.out_of_order";
const CHECKSUMS: &str = "tcp.checksum.status == \"Bad\" || ip.checksum.status == \"Bad\" \
                         || udp.checksum.status == \"Bad\"";

const FIELDS: [&str; 15] = [
    "frame.number",
    "frame.time_epoch",
    "sip.Call-ID",
    "rtp.ssrc",
    "rtp.seq",
    "rtp.timestamp",
    "rtcp.pt",
    "_ws.malformed",
    "tcp.analysis.lost_segment",
    "tcp.analysis.ack_lost_segment",
    "tcp.analysis.retransmission",
    "tcp.analysis.out_of_order",
    "tcp.checksum.status",
    "ip.checksum.status",
    "udp.checksum.status",
];

/// A frame with SIP or media, or with something wrong.
struct Frame {
    number: usize,
    call_ids: Vec<String>,
    /// SSRC, sequence number, RTP time and time of capture.
    rtp: Option<String>,
    malformed: bool,
    flagged: bool,
    /// When it was captured, if its IP or UDP checksum is wrong: cards fill that in behind the capture.
    bad_checksum: Option<String>,
}

/// One pass of tshark over a file.
fn frames(file: &Path) -> Vec<Frame> {
    let filter = format!("(sip && !icmp) || rtp || _ws.malformed || {GAPS} || {CHECKSUMS}");
    let rows = tshark(file, &filter, &FIELDS).expect("tshark");
    let frame = |row: &Vec<String>| {
        let bad = |status: &String| status.split(';').any(|one| one == "0");
        Frame {
            number: row[0].parse().unwrap(),
            call_ids: row[2].split(';').filter(|id| !id.is_empty()).map(str::to_owned).collect(),
            rtp: (!row[3].is_empty()).then(|| format!("{} {} {} {}", row[3], row[4], row[5], row[1])),
            malformed: !row[7].is_empty(),
            flagged: row[8..12].iter().any(|flag| !flag.is_empty()) || bad(&row[12]),
            bad_checksum: (bad(&row[13]) || bad(&row[14])).then(|| row[1].clone()),
        }
    };
    rows.iter().map(frame).collect()
}

/// What the files of a run hold together.
#[derive(Default)]
struct Union {
    messages: BTreeMap<String, u64>,
    /// RTP per Call-ID.
    rtp: BTreeMap<String, BTreeSet<String>>,
    /// Times of frames with a wrong IP or UDP checksum.
    bad_checksums: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Union {
    /// Adds the frames of one call's file.
    fn add<'a>(&mut self, what: &str, frames: impl Iterator<Item = &'a Frame>, check_malformed: bool) {
        let mut calls = BTreeSet::new();
        let mut rtp = BTreeSet::new();
        for frame in frames {
            for call_id in &frame.call_ids {
                *self.messages.entry(call_id.clone()).or_default() += 1;
                calls.insert(call_id.clone());
            }
            rtp.extend(frame.rtp.clone());
            self.bad_checksums.extend(frame.bad_checksum.clone());
            if frame.flagged || (check_malformed && frame.malformed) {
                self.wrong.push(format!("{what}: frame {} is flagged", frame.number));
            }
        }
        if calls.len() > 1 {
            self.wrong.push(format!("{what}: several calls: {calls:?}"));
        }
        if let Some(call_id) = calls.pop_first() {
            self.rtp.entry(call_id).or_default().extend(rtp);
        } else if !rtp.is_empty() {
            self.wrong.push(format!("{what}: RTP without a call"));
        }
    }

    /// All RTP, each packet once: two legs of a call may have announced the same endpoint.
    fn all_rtp(&self) -> BTreeSet<&String> {
        self.rtp.values().flatten().collect()
    }
}

/// Every file on its own: calls that share a connection cannot be looked at together.
fn one_by_one(run: &Run, check_malformed: bool) -> Union {
    let mut union = Union::default();
    for path in run.paths() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        union.add(&name, frames(&path).iter(), check_malformed);
    }
    union
}

/// All files behind each other in one, which takes one run of tshark: for calls over UDP.
fn behind_each_other(run: &Run) -> Union {
    let mut ends = Vec::new();
    let mut all: Option<Classic> = None;
    for (name, bytes) in &run.files {
        let file = Classic::parse(bytes).expect("a classic pcap");
        let all = all.get_or_insert_with(|| file.with(Vec::new()));
        assert_eq!((all.link, all.nanoseconds), (file.link, file.nanoseconds), "{name}");
        all.packets.extend(file.packets);
        ends.push((name, all.packets.len()));
    }
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&all.expect("files").bytes()).unwrap();
    let frames = frames(file.path());
    let mut union = Union::default();
    let mut begin = 0;
    for (name, end) in ends {
        let of_call = frames.iter().filter(|frame| (begin + 1..=end).contains(&frame.number));
        union.add(name, of_call, true);
        begin = end;
    }
    union
}

#[test]
fn every_pcap_of_the_corpus_holds_its_call_and_nothing_else() {
    if !has_tshark() {
        return;
    }
    let wrong = on_threads(&cases(), |Case { name, input, expected }| {
        let run = Run::of(input, &[]);
        let union = one_by_one(&run, expected["malformed_frames"] == 0);
        let mut wrong: Vec<String> = union.wrong.iter().map(|it| format!("{name}: {it}")).collect();
        // In the files, as in the capture, tshark waits for fragments that are in neither: `differs.json` does not count.
        let alone = std::fs::read_to_string(input.with_file_name("expected.json")).unwrap();
        let alone: serde_json::Value = serde_json::from_str(&alone).unwrap();
        let truth = counts(&alone["messages_per_call_id"]);
        if union.messages != truth {
            wrong.push(format!("{name}: messages {}, tshark {}", json!(union.messages), json!(truth)));
        }
        let rtp = union.all_rtp();
        let capture = frames(input);
        let captured: BTreeSet<&String> = capture.iter().filter_map(|frame| frame.rtp.as_ref()).collect();
        let bad: BTreeSet<String> = capture.iter().filter_map(|frame| frame.bad_checksum.clone()).collect();
        if !union.bad_checksums.is_subset(&bad) {
            wrong.push(format!("{name}: wrong IP or UDP checksums that are not in the capture"));
        }
        if json!(rtp.len()) != expected["rtp_packets_sdp"] || !rtp.is_subset(&captured) {
            let truth = &expected["rtp_packets_sdp"];
            wrong.push(format!("{name}: {} RTP packets, {truth} of {}", rtp.len(), captured.len()));
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Calls and media of some generated traffic; the files have to have what the capture and the ledger have.
fn generated(knobs: Knobs, more: &[&str]) -> Vec<String> {
    const FEW: Knobs =
        &[("calls", "9"), ("registrations", "2"), ("options", "1"), ("rate", "20"), ("hold", "1")];
    const MIXED: Knobs = &[("cancelled", "0.2"), ("auth", "0.3"), ("reinvites", "0.3"), ("forks", "0.3")];
    let (input, ledger) = capture(&profile(&[FEW, MIXED, knobs].concat()));
    let run = Run::of(input.path(), more);
    let merge = !ledger.sip.transports.contains_key("tcp")
        && !ledger.sip.transports.contains_key("ws")
        && !more.contains(&"pcapng");
    let union = if merge { behind_each_other(&run) } else { one_by_one(&run, true) };
    let mut wrong: Vec<String> = union.wrong.iter().map(|it| format!("{knobs:?}: {it}")).collect();
    if !union.bad_checksums.is_empty() {
        wrong.push(format!("{knobs:?}: wrong IP or UDP checksums at {:?}", union.bad_checksums));
    }
    let mut captured: BTreeMap<String, u64> = BTreeMap::new();
    for call_id in frames(input.path()).into_iter().flat_map(|frame| frame.call_ids) {
        *captured.entry(call_id).or_default() += 1;
    }
    if union.messages != captured {
        wrong.push(format!("{knobs:?}: messages {:?}, in the capture {captured:?}", union.messages));
    }
    for call in &ledger.list {
        let messages = union.messages.get(&call.call_id).copied().unwrap_or(0);
        let rtp = union.rtp.get(&call.call_id).map_or(0, BTreeSet::len) as u64;
        if (messages, rtp) != (call.messages, call.rtp_packets) {
            wrong.push(format!(
                "{knobs:?}: {}: {messages} messages and {rtp} RTP, ledger {} and {}",
                call.call_id, call.messages, call.rtp_packets
            ));
        }
    }
    wrong
}

#[test]
fn every_pcap_of_generated_traffic_holds_its_call_and_nothing_else() {
    if !has_tshark() {
        return;
    }
    let pcapng = ["--pcap-format", "pcapng"].as_slice();
    let traffic: [(Knobs, &[&str]); 14] = [
        (&[("rtp", "1"), ("sip_retransmitted", "0.2")], &[]),
        (&[("rtp", "0.5"), ("rtp_lost", "0.02"), ("rtp_reordered", "0.02"), ("ipv6", "1")], &[]),
        (&[("fragmented", "0.7"), ("fragments_shuffled", "0.5"), ("ipv6", "0.5"), ("large", "0.5")], &[]),
        (&[("vlans", "2"), ("rtp", "0.3"), ("nanoseconds", "true")], &[]),
        (&[("link", "sll"), ("rtp", "0.3"), ("big_endian", "true")], &[]),
        (&[("link", "sll2"), ("format", "pcapng"), ("rtp", "0.3"), ("nanoseconds", "true")], pcapng),
        (&[("tcp", "1"), ("pipelined", "1"), ("cut", "0.7"), ("connections", "2")], &[]),
        (&[("tcp", "1"), ("out_of_order", "0.2"), ("cut", "0.3"), ("rtp", "0.3")], &[]),
        (&[("tcp", "1"), ("retransmitted", "0.3"), ("overlapped", "0.5"), ("cut", "0.3")], &[]),
        (&[("tcp", "1"), ("syn", "false"), ("ipv6", "1"), ("vlans", "1"), ("large", "1")], &[]),
        (&[("tcp", "1"), ("websocket", "1"), ("keepalive", "1"), ("pipelined", "0.5"), ("cut", "0.3")], &[]),
        (&[("tcp", "1"), ("link", "raw"), ("ipv6", "0.5"), ("nanoseconds", "true")], &[]),
        (&[("tcp", "0.6"), ("link", "sll"), ("format", "pcapng"), ("big_endian", "true")], pcapng),
        (&[("tcp", "0.5"), ("websocket", "0.5"), ("noise", "0.5"), ("fragmented", "0.3")], &[]),
    ];
    let wrong = on_threads(&traffic, |(knobs, more)| generated(knobs, more));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
