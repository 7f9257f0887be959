//! The traffic generator against tshark: what the ledger says is in a capture is what another reader finds there.
//!
//! Where tshark is not installed these tests pass without a comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;

use generator::{Ledger, Profile};
use tempfile::NamedTempFile;

#[path = "../benches/traffic/mod.rs"]
pub(crate) mod generator;

/// A profile with some knobs turned.
pub(crate) fn profile(knobs: &[(&str, &str)]) -> Profile {
    let mut profile = Profile::default();
    for (name, value) in knobs {
        profile.set(name, value).unwrap();
    }
    profile
}

/// The outcomes and shapes that dialogs can have, all in one capture.
pub(crate) const VARIED: [(&str, &str); 19] = [
    ("calls", "150"),
    ("registrations", "20"),
    ("options", "20"),
    ("rate", "50"),
    ("auth", "0.5"),
    ("not_found", "0.1"),
    ("busy", "0.1"),
    ("unavailable", "0.05"),
    ("redirected", "0.05"),
    ("cancelled", "0.1"),
    ("unanswered", "0.05"),
    ("open", "0.05"),
    ("registration_refused", "0.3"),
    ("reinvites", "0.3"),
    ("updates", "0.3"),
    ("pracks", "0.3"),
    ("forks", "0.3"),
    ("reused", "0.1"),
    ("large", "0.3"),
];

/// Knobs on top of [`VARIED`], by what they are for.
pub(crate) const CASES: [(&str, &[(&str, &str)]); 14] = [
    ("udp", &[("sip_retransmitted", "0.1"), ("no_content_length", "0.2"), ("compact", "0.2")]),
    ("two legs", &[("b2bua", "0.5"), ("lookalikes", "0.6"), ("ipv6", "0.3"), ("user_agents", "9")]),
    ("lf only, raw ip", &[("lf_only", "0.3"), ("link", "raw")]),
    (
        "fragments",
        &[
            ("fragmented", "0.3"),
            ("fragments_shuffled", "0.5"),
            ("fragments_duplicated", "0.2"),
            ("ipv6", "0.4"),
        ],
    ),
    ("tcp", &[("tcp", "1"), ("cut", "0.3"), ("pipelined", "0.8"), ("keepalive", "2"), ("ipv6", "0.5")]),
    (
        "tcp, one trunk",
        &[("tcp", "1"), ("connections", "1"), ("pipelined", "1"), ("cut", "1"), ("rate", "500")],
    ),
    (
        "tcp, disorder",
        &[
            ("tcp", "1"),
            ("cut", "0.3"),
            ("pipelined", "0.5"),
            ("out_of_order", "0.1"),
            ("retransmitted", "0.1"),
        ],
    ),
    (
        "tcp, overlaps",
        &[
            ("tcp", "1"),
            ("cut", "0.5"),
            ("pipelined", "0.9"),
            ("retransmitted", "0.2"),
            ("overlapped", "0.9"),
        ],
    ),
    ("tcp without handshakes", &[("tcp", "1"), ("syn", "false"), ("fin", "false"), ("connections", "20")]),
    ("websocket", &[("tcp", "1"), ("websocket", "1"), ("keepalive", "5"), ("cut", "0.2")]),
    ("mixed transports", &[("tcp", "0.5"), ("ipv6", "0.5"), ("vlans", "1"), ("nanoseconds", "true")]),
    ("noise", &[("noise", "0.9"), ("tcp", "0.3"), ("link", "sll"), ("big_endian", "true")]),
    ("noise that was up before", &[("noise", "0.9"), ("tcp", "0.3"), ("noise_joined", "0.5")]),
    ("qinq in pcapng", &[("vlans", "2"), ("format", "pcapng"), ("big_endian", "true"), ("rtp", "0.3")]),
];

pub(crate) fn varied(knobs: &[(&str, &str)]) -> Profile {
    profile(&[&VARIED, knobs].concat())
}

/// A capture in a file, and the truth about it.
pub(crate) fn capture(profile: &Profile) -> (NamedTempFile, Ledger) {
    let mut file = NamedTempFile::new().unwrap();
    let ledger = generator::generate(profile, &mut file).unwrap();
    file.flush().unwrap();
    (file, ledger)
}

/// What tshark prints; none where it is not installed.
fn tshark(file: &Path, arguments: &[&str]) -> Option<String> {
    let run = Command::new("tshark").arg("-n").arg("-r").arg(file).args(arguments).output();
    let output = match run {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        run => run.unwrap(),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

const FIELDS: [&str; 14] = [
    "frame.time_epoch",
    "sip.Method",
    "sip.Status-Code",
    "sip.Call-ID",
    "rtp.ssrc",
    "rtcp.pt",
    "ip.flags.mf",
    "ip.frag_offset",
    "ipv6.fraghdr.offset",
    // Its name for a repetition of one last byte.
    "tcp.analysis.keep_alive",
    "tcp.analysis.out_of_order",
    "tcp.analysis.retransmission",
    "tcp.port",
    "tcp.len",
];

/// One frame as tshark reads it.
struct Frame {
    fields: Vec<String>,
}

impl Frame {
    fn field(&self, name: &str) -> &str {
        &self.fields[FIELDS.iter().position(|field| *field == name).unwrap()]
    }

    fn has(&self, name: &str) -> bool {
        !self.field(name).is_empty()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.field(name).split(',').filter(|value| !value.is_empty())
    }

    fn is_fragment(&self) -> bool {
        let flags: Vec<&str> = self.all("ip.flags.mf").collect();
        self.has("ipv6.fraghdr.offset")
            || flags.contains(&"1")
            || self.all("ip.frag_offset").any(|at| at != "0")
    }
}

fn frames(file: &Path) -> Option<Vec<Frame>> {
    let mut arguments = vec!["-2", "-T", "fields", "-o", "tcp.reassemble_out_of_order:TRUE"];
    for field in FIELDS {
        arguments.extend(["-e", field]);
    }
    let text = tshark(file, &arguments)?;
    let frame = |line: &str| Frame { fields: line.split('\t').map(str::to_owned).collect() };
    Some(text.lines().map(frame).collect())
}

fn tally<'a>(values: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let mut tally = BTreeMap::new();
    for value in values {
        *tally.entry(value.to_owned()).or_default() += 1;
    }
    tally
}

/// What tshark calls a packet that is not as it should be.
const WRONG: &str = "ip.checksum.status==0 || tcp.checksum.status==0 || udp.checksum.status==0 || \
    (_ws.malformed && (sip || rtp || rtcp) && !(ip.addr == 172.16.0.0/16))";

fn nothing_is_wrong(case: &str, file: &Path) {
    let checks = [
        "ip.check_checksum:TRUE",
        "tcp.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
        "tcp.reassemble_out_of_order:TRUE",
    ];
    let mut arguments = vec!["-Y", WRONG];
    for check in &checks {
        arguments.extend(["-o", check]);
    }
    assert_eq!(tshark(file, &arguments).unwrap(), "", "{case}");
}

#[test]
fn tshark_finds_what_the_ledger_says() {
    for (case, knobs) in CASES {
        let (file, ledger) = capture(&varied(knobs));
        let Some(frames) = frames(file.path()) else {
            return;
        };
        assert_eq!(frames.len() as u64, ledger.packets, "{case}: packets");
        let requests: BTreeMap<String, u64> =
            ledger.sip.requests.iter().map(|(method, count)| (method.to_string(), *count)).collect();
        let responses: BTreeMap<String, u64> =
            ledger.sip.responses.iter().map(|(code, count)| (code.to_string(), *count)).collect();
        assert_eq!(tally(frames.iter().flat_map(|frame| frame.all("sip.Method"))), requests, "{case}");
        assert_eq!(tally(frames.iter().flat_map(|frame| frame.all("sip.Status-Code"))), responses, "{case}");
        let call_ids: BTreeSet<&str> = frames.iter().flat_map(|frame| frame.all("sip.Call-ID")).collect();
        assert_eq!(call_ids.len() as u64, ledger.sip.call_ids, "{case}: Call-IDs");
        let fragments = frames.iter().filter(|frame| frame.is_fragment()).count();
        assert_eq!(fragments as u64, ledger.fragments.seen, "{case}: fragments");
        let rtcp = frames.iter().filter(|frame| frame.has("rtcp.pt")).count();
        assert!(rtcp as u64 >= ledger.rtcp.packets, "{case}: RTCP");
        nothing_is_wrong(case, file.path());
    }
}

#[test]
fn tshark_sees_the_same_disorder() {
    for (case, knobs) in CASES.iter().filter(|(case, _)| case.starts_with("tcp")) {
        let (file, ledger) = capture(&varied(knobs));
        let Some(frames) = frames(file.path()) else {
            return;
        };
        let names = ["tcp.analysis.out_of_order", "tcp.analysis.retransmission", "tcp.analysis.keep_alive"];
        let again = |frame: &&Frame| names.iter().any(|name| frame.has(name));
        let found = frames.iter().filter(again).count() as u64;
        assert_eq!(found, ledger.tcp.out_of_order + ledger.tcp.retransmitted, "{case}");
        let data =
            frames.iter().filter(|frame| frame.has("tcp.len") && frame.field("tcp.len") != "0").count();
        assert_eq!(data as u64, ledger.tcp.data_segments, "{case}");
        assert_eq!(ledger.packets, ledger.tcp.segments, "{case}");
    }
}

#[test]
fn the_ends_of_a_capture_joined_midstream_are_not_messages() {
    let knobs = [("tcp", "1"), ("midstream", "true"), ("connections", "10"), ("fin", "false")];
    let (file, ledger) = capture(&varied(&knobs));
    assert_eq!(ledger.tcp.midstream, 10);
    let Some(frames) = frames(file.path()) else {
        return;
    };
    let messages =
        frames.iter().flat_map(|frame| frame.all("sip.Method").chain(frame.all("sip.Status-Code")));
    assert_eq!(messages.count() as u64, ledger.sip.messages);
}

/// Nanoseconds of what tshark prints as seconds with nine decimals.
fn nanoseconds(text: &str) -> u64 {
    let (seconds, fraction) = text.split_once('.').unwrap();
    seconds.parse::<u64>().unwrap() * 1_000_000_000 + fraction.parse::<u64>().unwrap()
}

#[test]
fn calls_begin_and_end_where_tshark_completes_their_messages() {
    let udp: &[_] =
        &[("fragmented", "0.3"), ("fragments_shuffled", "0.5"), ("nanoseconds", "true"), ("reused", "0")];
    let tcp: &[_] = &[("tcp", "1"), ("cut", "0.3"), ("out_of_order", "0.1"), ("reused", "0")];
    for knobs in [udp, tcp] {
        let (file, ledger) = capture(&varied(knobs));
        let Some(frames) = frames(file.path()) else {
            return;
        };
        for call in &ledger.list {
            let of_call = |frame: &&Frame| frame.all("sip.Call-ID").any(|id| id == call.call_id);
            let first = |name: &str, value: &str| {
                let found =
                    frames.iter().filter(of_call).find(|frame| frame.all(name).any(|all| all == value));
                found.map(|frame| nanoseconds(frame.field("frame.time_epoch")))
            };
            assert_eq!(first("sip.Method", "INVITE"), Some(call.start), "{}", call.call_id);
            let messages = frames.iter().filter(of_call).count() as u64;
            assert_eq!(messages, call.messages, "{}", call.call_id);
            let ended = match (call.result, call.status_code) {
                ("success", _) => first("sip.Method", "BYE"),
                ("open" | "timeout", _) => None,
                (_, code) => first("sip.Status-Code", &code.unwrap().to_string()),
            };
            assert_eq!(ended, call.end, "{} {}", call.result, call.call_id);
        }
    }
}

/// A line of `-z rtp,streams`: SSRC, packets, lost.
fn rtp_streams(text: &str) -> BTreeMap<u32, (u64, i64)> {
    let mut streams = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(place) = words.iter().position(|word| word.starts_with("0x")) else {
            continue;
        };
        let ssrc = u32::from_str_radix(words[place].trim_start_matches("0x"), 16).unwrap();
        streams.insert(ssrc, (words[place + 2].parse().unwrap(), words[place + 3].parse().unwrap()));
    }
    streams
}

#[test]
fn tshark_counts_the_same_media() {
    let knobs = [
        ("calls", "20"),
        ("hold", "12"),
        ("rtp", "1"),
        ("rtp_lost", "0.02"),
        ("rtp_reordered", "0.01"),
        ("rtp_duplicated", "0.01"),
        ("ipv6", "0.3"),
    ];
    let (file, ledger) = capture(&profile(&knobs));
    assert_eq!(ledger.rtp.streams, 40);
    let Some(text) = tshark(file.path(), &["-q", "-z", "rtp,streams"]) else {
        return;
    };
    let found = rtp_streams(&text);
    let streams: Vec<_> = ledger.list.iter().flat_map(|call| &call.streams).collect();
    assert_eq!(found.len(), streams.len());
    for stream in &streams {
        // tshark's "lost" is expected minus received: second copies make up for losses.
        let lost = stream.lost as i64 - stream.duplicated as i64;
        assert_eq!(found.get(&stream.ssrc), Some(&(stream.packets, lost)), "{}", stream.source);
    }
    assert_eq!(streams.iter().map(|stream| stream.packets).sum::<u64>(), ledger.rtp.packets);
    assert!(ledger.rtp.lost > 0 && ledger.rtp.reordered > 0 && ledger.rtp.duplicated > 0);
    let reports = tshark(file.path(), &["-Y", "rtcp.pt==200"]).unwrap();
    assert_eq!(reports.lines().count() as u64, ledger.rtcp.packets);
    nothing_is_wrong("media", file.path());
}

#[test]
fn a_seed_means_the_same_bytes() {
    let write = |seed: &str| {
        let mut bytes = Vec::new();
        let knobs =
            [("seed", seed), ("tcp", "0.5"), ("rtp", "0.1"), ("noise", "0.5"), ("out_of_order", "0.1")];
        generator::generate(&varied(&knobs), &mut bytes).unwrap();
        bytes
    };
    assert_eq!(write("7"), write("7"));
    assert_ne!(write("7"), write("8"));
}

#[test]
fn the_ledger_adds_up() {
    for (case, knobs) in CASES {
        let mut bytes = Vec::new();
        let ledger = generator::generate(&varied(knobs), &mut bytes).unwrap();
        let sip = &ledger.sip;
        let kinds = sip.requests.values().sum::<u64>() + sip.responses.values().sum::<u64>();
        assert_eq!(kinds, sip.messages, "{case}");
        assert_eq!(sip.transports.values().sum::<u64>(), sip.messages, "{case}");
        assert_eq!(ledger.calls.by_result.values().sum::<u64>(), ledger.calls.total, "{case}");
        let calls = &ledger.calls;
        assert_eq!(calls.total, 150 + calls.reused_call_ids + calls.seconds, "{case}");
        assert_eq!(ledger.list.len() as u64, ledger.calls.total, "{case}");
        let dialogs = ledger.calls.total + ledger.registrations + ledger.options;
        assert_eq!(sip.call_ids, dialogs - ledger.calls.reused_call_ids, "{case}");
        let udp = sip.transports.get("udp").copied().unwrap_or_default();
        let datagrams = udp - ledger.fragments.datagrams + ledger.fragments.seen;
        let other = ledger.tcp.segments + ledger.rtp.packets + ledger.rtcp.packets + ledger.noise.packets;
        assert_eq!(datagrams + other, ledger.packets, "{case}");
    }
}

#[test]
fn a_snap_length_cuts_frames_and_is_counted() {
    let (file, ledger) = capture(&varied(&[("snaplen", "200"), ("link", "sll2")]));
    assert!(ledger.cut > 0 && ledger.bytes < ledger.wire_bytes);
    let Some(cut) = tshark(file.path(), &["-Y", "frame.cap_len < frame.len"]) else {
        return;
    };
    assert_eq!(cut.lines().count() as u64, ledger.cut);
}
