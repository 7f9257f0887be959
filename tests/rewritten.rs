//! Messages in other words, and in another order than that in which they were sent, are the same calls: each capture is its
//! own witness.

use std::io::Write;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::classic::{Classic, Packet};
use crate::corpus::cases;
use crate::support::{Run, on_threads};
use crate::traffic::{capture, varied};
use crate::wire::checksum;

/// Long and compact names (RFC 3261 7.3.3, RFC 4028, RFC 3515).
const NAMES: [(&str, &str); 10] = [
    ("Via", "v"),
    ("From", "f"),
    ("To", "t"),
    ("Call-ID", "i"),
    ("Contact", "m"),
    ("Content-Type", "c"),
    ("Content-Length", "l"),
    ("Supported", "k"),
    ("Session-Expires", "x"),
    ("Refer-To", "r"),
];

/// Another way to write a field: its name and value.
type Field = fn(&str, &str) -> String;

/// Ways to write a message that change nothing in what it says: what is put before the start line, between two fields, and
/// each field with its line end.
const WAYS: [(&str, &str, Field); 7] = [
    // RFC 3261 7.5.
    ("line ends before it", "\r\n\r\n", |name, value| format!("{name}: {value}\r\n")),
    ("compact names", "", |name, value| format!("{}: {value}\r\n", compact(name))),
    // RFC 3261 7.3.1: white space around the colon, names in any case, folded lines.
    ("white space", "", |name, value| format!("{name} \t:\t {value} \r\n")),
    ("capitals", "", |name, value| format!("{}:{value}\r\n", name.to_uppercase())),
    ("folded", "", |name, value| format!("{name}:\r\n {}\r\n", folded(name, value))),
    ("line feeds alone", "", |name, value| format!("{name}: {value}\n")),
    ("strangers between", "", |name, value| {
        format!(
            "X-Via: SIP/2.0/UDP x;branch=z9hG4bKx\r\n{name}: {value}\r\nToo: <sip:x@x>;tag=x\r\nX-Empty:\r\n"
        )
    }),
];

fn compact(name: &str) -> &str {
    NAMES.iter().find(|(long, _)| long.eq_ignore_ascii_case(name)).map_or(name, |(_, short)| short)
}

/// These fields are folded at their white space, too.
fn folded(name: &str, value: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "user-agent" | "server" => value.replace(' ', " \r\n\t "),
        _ => value.to_owned(),
    }
}

/// The message in other words; none when it has lines that are no fields.
fn reworded(message: &str, (before, field): (&str, Field)) -> Option<String> {
    let (head, body) = message.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let mut out = format!("{before}{}\r\n", lines.next()?);
    for line in lines {
        let (name, value) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t']))?;
        out += &field(name.trim(), value.trim());
    }
    let end = if out.ends_with("\r\n") { "\r\n" } else { "\n" };
    Some(out + end + body)
}

/// Where IPv4 begins in a frame.
fn network(link: u32, frame: &[u8]) -> Option<usize> {
    let at = match link {
        1 if frame.get(12..14)? == [8, 0] => 14,
        113 if frame.get(14..16)? == [8, 0] => 16,
        101 => 0,
        _ => return None,
    };
    (frame.get(at)? >> 4 == 4).then_some(at)
}

/// A frame's link header, the headers of IPv4 and UDP, and the whole SIP message behind them.
fn message(link: u32, frame: &[u8]) -> Option<(&[u8], &[u8], &str)> {
    let (before, ip) = frame.split_at(network(link, frame)?);
    let length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let is_whole = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff == 0 && ip[9] == 17;
    let (headers, text) = ip.get(..length)?.split_at_checked(usize::from(ip[0] & 15) * 4 + 8)?;
    let text = std::str::from_utf8(text).ok().filter(|_| is_whole)?;
    let start = text.lines().next()?;
    (start.starts_with("SIP/2.0 ") || start.ends_with(" SIP/2.0")).then_some((before, headers, text))
}

/// The packet with other words in its message; none where there is no SIP over UDP in it that is whole.
fn other_words(link: u32, packet: &Packet, way: (&str, Field)) -> Option<Packet> {
    let (before, headers, text) = message(link, &packet.frame)?;
    let text = reworded(text, way)?;
    let (mut headers, udp) = (headers.to_vec(), headers.len() - 8);
    let length = |from: usize| u16::try_from(udp + 8 - from + text.len()).unwrap().to_be_bytes();
    headers[2..4].copy_from_slice(&length(0));
    headers[udp + 4..udp + 6].copy_from_slice(&length(udp));
    headers[udp + 6..].fill(0);
    headers[10..12].fill(0);
    let sum = checksum(&headers[..udp]).to_be_bytes();
    headers[10..12].copy_from_slice(&sum);
    Some(with_frame(packet, [before, &headers, text.as_bytes()].concat()))
}

fn with_frame(packet: &Packet, frame: Vec<u8>) -> Packet {
    Packet { original: u32::try_from(frame.len()).unwrap(), frame, ..packet.clone() }
}

/// A run over these packets instead.
fn run(capture: &Classic, packets: Vec<Packet>) -> Run {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&Classic { packets, ..capture.clone() }.bytes()).unwrap();
    Run::of(file.path(), &[])
}

/// What the words are not to change.
fn said(run: &Run) -> Value {
    let mut sip = run.summary["sip"].clone();
    sip.as_object_mut().unwrap().remove("malformed");
    json!({"records": run.records_without_paths(), "sip": sip, "calls": run.summary["calls"],
           "bindings": run.summary["bindings"], "performance": run.summary["performance"]})
}

/// The captures of the corpus that are classic ones, and a generated one.
fn captures() -> Vec<(String, Classic)> {
    let (file, _) = capture(&varied(&[("tcp", "0"), ("calls", "30"), ("rtp", "0.3"), ("b2bua", "0.3")]));
    let mut all = vec![("generated".to_owned(), Classic::read(file.path()).unwrap())];
    all.extend(cases().iter().filter_map(|case| Some((case.name.clone(), Classic::read(&case.input)?))));
    all
}

/// Where two values differ first.
fn difference(place: &str, ours: &Value, theirs: &Value) -> String {
    let deeper = match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find(|(key, value)| b[*key] != **value).map(|(key, value)| (key.clone(), value, &b[key]))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let at = a.iter().zip(b).position(|(a, b)| a != b);
            at.map(|at| (at.to_string(), &a[at], &b[at]))
        }
        _ => None,
    };
    match deeper {
        Some((key, ours, theirs)) => difference(&format!("{place}/{key}"), ours, theirs),
        None => format!("{place}: {ours} became {theirs}"),
    }
}

#[test]
fn other_words_say_the_same() {
    let wrong = on_threads(&captures(), |(name, capture)| {
        let once = said(&run(capture, capture.packets.clone()));
        let mut wrong = Vec::new();
        for (what, before, field) in WAYS {
            let mut changed = 0;
            let packets = capture.packets.iter().map(|packet| {
                let other = other_words(capture.link, packet, (before, field));
                changed += usize::from(other.is_some());
                other.unwrap_or_else(|| packet.clone())
            });
            let packets: Vec<_> = packets.collect();
            assert!(changed > 0 || name != "generated", "nothing was written in another way");
            let other = if changed > 0 { said(&run(capture, packets)) } else { continue };
            if once != other {
                wrong.push(difference(&format!("{name}, {what}: "), &once, &other));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn picked(value: &Value, keys: &[&str]) -> Vec<Value> {
    keys.iter().map(|key| value[key].clone()).collect()
}

/// Messages that follow each other within 3 ms in opposite directions, every other such pair in the other order.
fn overtaken(capture: &Classic, mut turn: usize) -> Vec<Packet> {
    let mut packets = capture.packets.clone();
    let microseconds = |packet: &Packet| {
        u64::from(packet.seconds) * 1_000_000
            + u64::from(packet.fraction) / if capture.nanoseconds { 1000 } else { 1 }
    };
    for at in 1..packets.len() {
        let [one, two] = [at - 1, at].map(|at| message(capture.link, &packets[at].frame));
        let ends = |(_, headers, _): (_, &[u8], _)| {
            let udp = headers.len() - 8;
            let end = |address: usize, port: usize| {
                [&headers[address..address + 4], &headers[port..port + 2]].concat()
            };
            (end(12, udp), end(16, udp + 2))
        };
        let (Some((from, to)), Some(other)) = (one.map(ends), two.map(ends)) else { continue };
        let gap = microseconds(&packets[at]).checked_sub(microseconds(&packets[at - 1]));
        if other == (to, from) && gap.is_some_and(|gap| gap < 3000) {
            turn += 1;
            if turn.is_multiple_of(2) {
                let later = with_frame(&packets[at], packets[at - 1].frame.clone());
                packets[at - 1] = with_frame(&packets[at - 1], packets[at].frame.clone());
                packets[at] = later;
            }
        }
    }
    packets
}

#[test]
fn an_answer_that_overtakes_its_request_is_its_answer() {
    let keys = ["call_id", "kind", "result", "status_code", "reason", "ended_by", "source", "destination"];
    let said = |run: &Run| json!(run.records.iter().map(|record| picked(record, &keys)).collect::<Vec<_>>());
    let wrong = on_threads(&captures(), |(name, capture)| {
        // There, a registration and a call have one Call-ID.
        let turns = if name == "sip-1" { 0..0 } else { 0..2 };
        let once = said(&run(capture, capture.packets.clone()));
        let others = turns.map(|turn| said(&run(capture, overtaken(capture, turn))));
        others.filter(|other| *other != once).map(|other| difference(name, &once, &other)).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
