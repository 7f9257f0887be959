//! What of a call leaves the program, whatever is asked of it: distinctive numbers, keys and credentials go in, and
//! every output is searched for them.

use std::fs;
use std::path::Path;

use crate::classic::Packet;
use crate::support::lippycat;
use crate::wire::{at, datagram, ethernet, rtp, udp};

const CALLER: &str = "+4930771199553";
const CALLEE: &str = "16505557788342";
const NAME: &str = "wolfeschlegel";
/// Whom calls are transferred to, who is called when that fails, and who registers.
const TARGET: &str = "+4315559876204";
const TARGET_NAME: &str = "zaphodbeeble";

/// What must not be told when numbers are masked: what is left of each with its beginning hidden.
const NUMBERS: [&str; 5] = ["199553", "788342", "olfesch", "876204", "aphodbe"];

/// A PASSporT (RFC 8225 5) that calls from the one number to the other.
const PASSPORT: &str = "eyJhbGciOiJFUzI1NiIsInBwdCI6InNoYWtlbiIsInR5cCI6InBhc3Nwb3J0In0.\
    eyJhdHRlc3QiOiJBIiwiZGVzdCI6eyJ0biI6WyIxNjUwNTU1Nzc4ODM0MiJdfSwib3JpZyI6eyJ0biI6IjQ5MzA3NzExOTk1NTMifX0.c2ln";

/// The name in hex, as User-to-User tells it (RFC 7433 4.1).
const NAME_IN_HEX: &str = "776f6c66657363686c6567656c";

/// What is left of numbers and names where they are encoded.
const ENCODED: [&str; 3] = ["ZGVzdCI6eyJ0biI6WyIxNjUw", "6IjQ5MzA3NzExOTk1NTMifX0", "6f6c6665736368"];

/// What must never be told.
const CREDENTIALS: [&str; 4] =
    ["n0nceOfServer", "a1f6deadbeef", "c1ientn0nce", "WVNfX19zZW1jdGwgKCkgewkyMjA"];

/// The keys that are pressed.
const KEYS: &str = "90210";

/// A call that is challenged, answered, has keys pressed in both ways, is transferred and hung up.
fn capture() -> Vec<Packet> {
    let sdp = |port: u16| {
        format!(
            "v=0\r\no={NAME} 1 1 IN IP4 192.0.2.1\r\ns={NAME}\r\nc=IN IP4 192.0.2.{}\r\nt=0 0\r\nm=audio {port} RTP/SAVP 0 101\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}|2^20|1:4\r\n",
            if port == 4000 { 1 } else { 2 },
            CREDENTIALS[3]
        )
    };
    let message = |start: &str, cseq: &str, more: &str, body: &str| {
        let is_sdp = body.starts_with("v=0");
        let kind = if is_sdp { "application/sdp" } else { "application/dtmf-relay" };
        let kind = if body.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{cseq_number}\r\nFrom: \"Hans {NAME}\" <sip:{CALLER}@example.com>;tag=a\r\n\
             To: <sip:{CALLEE}@example.net>;tag=b\r\nCall-ID: c1@192.0.2.1\r\nCSeq: {cseq}\r\nContact: <sip:{NAME}@192.0.2.1>\r\n\
             P-Asserted-Identity: \"{NAME}\" <tel:{CALLER}>\r\nX-Hazard: from {CALLER}\r\nIdentity: {PASSPORT};info=<https://example.org/c.pem>\r\n\
             Call-Info: <https://example.org/{NAME}.jpg>;purpose=icon\r\nSubject: {NAME} calls\r\nUser-to-User: {NAME_IN_HEX};encoding=hex\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len(),
            cseq_number = cseq.split(' ').next().unwrap(),
        )
        .into_bytes()
    };
    let invite = format!("INVITE sip:{CALLEE}@example.net;user=phone SIP/2.0");
    let challenge = format!("Proxy-Authenticate: Digest realm=\"x\", nonce=\"{}\"\r\n", CREDENTIALS[0]);
    let credentials = format!(
        "Proxy-Authorization: Digest username=\"{NAME}\", realm=\"x\", nonce=\"{}\",\r\n uri=\"sip:{CALLEE}@example.net\", cnonce=\"{}\", response=\"{}\"\r\n",
        CREDENTIALS[0], CREDENTIALS[2], CREDENTIALS[1]
    );
    let refer = format!(
        "Refer-To: <sip:{CALLEE}@example.org?From=%3Csip:{NAME}%40example.org%3E&Identity={PASSPORT}>\r\nReferred-By: <sip:{NAME}@example.org>\r\n"
    );
    let reason = format!("Reason: Q.850;cause=16;text=\"transferred to {CALLER}\"\r\n");
    // The event log has the header fields of the first message, credentials too.
    let steps = [
        (0, 1, message(&invite, "1 INVITE", &credentials, &sdp(4000))),
        (10, 2, message("SIP/2.0 407 Proxy Authentication Required", "1 INVITE", &challenge, "")),
        (15, 1, message(&invite.replacen("INVITE", "ACK", 1), "1 ACK", "", "")),
        // Line ends before a message are no part of it (RFC 3261 7.5).
        (20, 1, [b"\r\n\r\n".to_vec(), message(&invite, "2 INVITE", &credentials, &sdp(4000))].concat()),
        (30, 2, message(&format!("SIP/2.0 200 Hello {CALLER}"), "2 INVITE", "", &sdp(5000))),
        (40, 1, message(&invite.replacen("INVITE", "ACK", 1), "2 ACK", "", "")),
        (
            900,
            1,
            message(&invite.replacen("INVITE", "INFO", 1), "3 INFO", "", "Signal=7\r\nDuration=16090210\r\n"),
        ),
        (910, 2, message("SIP/2.0 200 OK", "3 INFO", "", "")),
        (2900, 1, message(&invite.replacen("INVITE", "REFER", 1), "4 REFER", &refer, "")),
        (2910, 2, message("SIP/2.0 202 Accepted", "4 REFER", "", "")),
        (3000, 1, message(&invite.replacen("INVITE", "BYE", 1), "5 BYE", &reason, "")),
        (3010, 2, message("SIP/2.0 200 OK", "5 BYE", "", "")),
    ];
    let mut packets: Vec<Packet> =
        steps.into_iter().map(|(time, from, text)| at(time, datagram(from, 3 - from, &text))).collect();
    for (number, key) in (0u16..).zip(KEYS.bytes()) {
        let time = 1000 + u32::from(number) * 200;
        let event = rtp(101, number, time * 8, 7, &[key - b'0', 0x8a, 3, 0x20]);
        packets.push(at(time, udp((1, 4000), (2, 5000), &event)));
    }
    packets.extend(troubled());
    packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
    packets
}

/// A message of one of these two dialogs.
fn message(call: &str, start: &str, cseq: &str, more: &str, (kind, body): (&str, &str)) -> Vec<u8> {
    let kind = if body.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
    let to_tag = if start.starts_with("INVITE") && cseq.starts_with("1 ") { "" } else { ";tag=b" };
    // What the callee asks for, says so in its CSeq.
    let is_callee = cseq.starts_with('9');
    let caller = format!("<sip:{CALLER}@example.com>");
    let callee = format!("<sip:{CALLEE}@example.net>");
    let (from, to) =
        if is_callee { (callee + ";tag=b", caller + ";tag=a") } else { (caller + ";tag=a", callee + to_tag) };
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{call}{}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call}@192.0.2.1\r\n\
         CSeq: {cseq}\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
        cseq.replace(' ', ""),
        body.len(),
    )
    .into_bytes()
}

/// A call with all that signalling tells of in its record (a session timer, a 18x without PRACK, holds, transfers that
/// fail, a cause of the network), and a phone behind a NAT whose REGISTER is refused, with numbers wherever there is room.
fn troubled() -> Vec<Packet> {
    let sdp = |direction: &str| {
        format!(
            "v=0\r\no={TARGET_NAME} 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\na={direction}\r\na=ssrc:99 cname:{TARGET_NAME}@192.0.2.1\r\n"
        )
    };
    let request = |method: &str| format!("{method} sip:{CALLEE}@example.net SIP/2.0");
    let said = |start: &str, cseq: &str, more: &str| message("c2", start, cseq, more, ("", ""));
    let offer = |start: &str, cseq: &str, more: &str, way: &str| {
        message("c2", start, cseq, more, ("application/sdp", &sdp(way)))
    };
    let refer = |to: &str| format!("Refer-To: <{to}>\r\nReferred-By: <sip:{NAME}@example.org>\r\n");
    let reason = format!(
        "Reason: Q.850;cause=34;text=\"no circuit to {TARGET}\", SIP;cause=503;text=\"sip:{TARGET_NAME}@x\"\r\n"
    );
    let register = format!("Contact: \"{NAME}\" <sip:{TARGET_NAME}@10.0.0.9:5060>\r\n");
    let fragment = format!("SIP/2.0 486 Busy {TARGET}\r\n");
    let fault = |start: &str, cseq: &str| {
        let start = format!("SIP/2.0 {start} {TARGET}");
        message("c2", &start, cseq, "", ("", ""))
    };
    let steps = [
        (5000, 1, offer(&request("INVITE"), "1 INVITE", "Session-Expires: 90\r\n", "sendrecv")),
        (5500, 1, offer(&request("INVITE"), "1 INVITE", "Session-Expires: 90\r\n", "sendrecv")),
        (
            5510,
            2,
            said(&format!("SIP/2.0 180 Ringing {TARGET}"), "1 INVITE", "Require: 100rel\r\nRSeq: 7\r\n"),
        ),
        (6600, 2, offer("SIP/2.0 200 OK", "1 INVITE", "Session-Expires: 90;refresher=uac\r\n", "sendrecv")),
        (6610, 1, said(&request("ACK"), "1 ACK", "")),
        (7000, 1, offer(&request("INVITE"), "2 INVITE", "", "sendonly")),
        (7010, 2, offer("SIP/2.0 200 OK", "2 INVITE", "Session-Expires: 90\r\n", "recvonly")),
        (7020, 1, said(&request("ACK"), "2 ACK", "")),
        (
            7500,
            1,
            said(&request("REFER"), "3 REFER", &refer(&format!("sip:{TARGET}@example.org?Replaces=x"))),
        ),
        (7510, 2, said("SIP/2.0 202 Accepted", "3 REFER", "")),
        (
            7600,
            2,
            message(
                "c2",
                &request("NOTIFY"),
                "91 NOTIFY",
                "Event: refer\r\n",
                ("message/sipfrag", &fragment),
            ),
        ),
        (7610, 1, said("SIP/2.0 200 OK", "91 NOTIFY", "")),
        (7700, 1, said(&request("REFER"), "4 REFER", &refer(&format!("sip:{TARGET_NAME}@example.org")))),
        (7710, 2, fault("403 Not to", "4 REFER")),
        (7800, 1, said(&request("REFER"), "5 REFER", &refer(&format!("tel:{TARGET}")))),
        (7810, 2, fault("603 Not to", "5 REFER")),
        (8000, 2, said(&request("BYE"), "92 BYE", &reason)),
        (8010, 1, said("SIP/2.0 200 OK", "92 BYE", "")),
        (9000, 1, message("c3", &request("REGISTER"), "1 REGISTER", &register, ("", ""))),
        (9010, 2, message("c3", &format!("SIP/2.0 403 No {TARGET} here"), "1 REGISTER", "", ("", ""))),
    ];
    steps.into_iter().map(|(time, from, text)| at(time, datagram(from, 3 - from, &text))).collect()
}

/// Every output there is of a run with these flags, each under its name; and the bytes of the call file.
fn outputs(directory: &Path, flags: &[&str]) -> (Vec<(String, String)>, Vec<u8>) {
    fs::create_dir_all(directory).unwrap();
    let input = directory.join("input.pcap");
    fs::write(&input, ethernet(capture()).bytes()).unwrap();
    let config = directory.join("lippycat.yaml");
    fs::write(&config, "events: {file: events.jsonl, headers: [X-Hazard, Proxy-Authorization, From, Identity, Call-Info, Subject, User-to-User]}\n")
        .unwrap();
    let mut told = Vec::new();
    let mut run = |line: &str| {
        let words: Vec<&str> = line.split(' ').chain(flags.iter().copied()).collect();
        let output = lippycat().current_dir(directory).args(&words).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        let text = [output.stdout, output.stderr].concat();
        told.push((line.to_owned(), String::from_utf8(text).unwrap()));
    };
    run(
        "sniff voip -c lippycat.yaml -r input.pcap --registrations -w --pcap-dir out --pcap-name {from}_{to}_{call_id} --records records.jsonl",
    );
    run("sniff voip -r input.pcap --registrations --options --format json --summary json --log-level trace");
    run("inspect calls -r input.pcap");
    run("inspect calls -r input.pcap --json");
    for call in ["c1", "c2", "c3"] {
        run(&format!("inspect call {call}@192.0.2.1 -r input.pcap"));
        run(&format!("inspect call {call}@192.0.2.1 --text -r input.pcap"));
    }
    for source in ["-r input.pcap", "--records records.jsonl"] {
        for format in ["table", "csv", "json"] {
            run(&format!("report calls --format {format} {source}"));
            run(&format!("report carriers --by prefix --digits 15 --format {format} {source}"));
            run(&format!("report targets --format {format} {source}"));
        }
        for call in ["c1", "c2", "c3"] {
            run(&format!("report call {call}@192.0.2.1 {source}"));
            run(&format!("report call {call}@192.0.2.1 --format json {source}"));
        }
        let fields = "transfers.to,transfers.status_code,end_causes.text,findings.text,findings.message,reason,end_reason";
        run(&format!("report calls --all --format csv --fields {fields} {source}"));
    }
    for name in ["records.jsonl", "events.jsonl"] {
        told.push((name.to_owned(), fs::read_to_string(directory.join(name)).unwrap()));
    }
    let mut files = fs::read_dir(directory.join("out")).unwrap().map(|file| file.unwrap());
    let file = files.find(|file| file.file_name().to_string_lossy().contains("c1")).unwrap();
    told.push(("name of the call file".to_owned(), file.file_name().into_string().unwrap()));
    (told, fs::read(file.path()).unwrap())
}

/// Where each of `words` is told.
fn found<'a>(told: &'a [(String, String)], words: &[&str]) -> Vec<(&'a str, String)> {
    let hits = told.iter().flat_map(|(name, text)| {
        let lines = text.lines().filter(|line| words.iter().any(|word| line.contains(word)));
        lines.map(move |line| (name.as_str(), line.to_owned()))
    });
    hits.collect()
}

#[test]
fn nothing_is_told_that_is_to_be_hidden() {
    let directory = tempfile::tempdir().unwrap();
    let (masked, file) = outputs(&directory.path().join("masked"), &["--numbers", "masked"]);
    assert_eq!(found(&masked, &NUMBERS), []);
    assert_eq!(found(&masked, &ENCODED), []);
    assert_eq!(found(&masked, &CREDENTIALS), []);
    assert_eq!(found(&masked, &[KEYS, "Signal=7"]), []);
    // Carriers are still told apart, and packets are as they were captured.
    assert!(
        !found(&masked, &["+493077******"]).is_empty() && !found(&masked, &["1650555*******"]).is_empty()
    );
    let has = |word: &str| file.windows(word.len()).any(|bytes| bytes == word.as_bytes());
    assert!(has(CALLER) && has(CREDENTIALS[1]), "call files hold packets as they are");
    let warned = found(&masked, &["the capture files of calls hold packets as they are"]);
    assert_eq!(warned.len(), 1, "{warned:?}");

    let (full, _) = outputs(&directory.path().join("full"), &["--numbers", "full", "--dtmf", "digits"]);
    assert_eq!(found(&full, &CREDENTIALS), []);
    let places = |words: &[&str]| {
        let mut names: Vec<&str> = found(&full, words).into_iter().map(|(name, _)| name).collect();
        names.dedup();
        names.len()
    };
    // The search finds what is there: nearly every output names the parties.
    assert!(places(&NUMBERS) >= 20, "{}", places(&NUMBERS));
    for encoded in ENCODED {
        assert!(places(&[encoded]) >= 2, "{encoded}: {}", places(&[encoded]));
    }
    assert!(places(&[KEYS]) >= 5, "{}", places(&[KEYS]));
    for target in [&NUMBERS[3], &NUMBERS[4]] {
        assert!(places(&[target]) >= 12, "{target}: {}", places(&[target]));
    }
    // It is what it seems: all that can name somebody is in its records.
    for told in [
        "\"transfers\":[{",
        "\"transfer_failed\"",
        "\"prack_missing\"",
        "\"network_fault\"",
        "\"registration_refused\"",
        "\"contact_behind_nat\"",
        "\"holds\":[{",
        "\"session_timer\":{",
        "\"info_dtmf\":[{",
    ] {
        assert!(found(&full, &[told]).iter().any(|(name, _)| *name == "records.jsonl"), "{told}");
        assert!(found(&masked, &[told]).iter().any(|(name, _)| *name == "records.jsonl"), "{told}");
    }
    assert!(!found(&masked, &["\"to\":\"+431555*******\""]).is_empty(), "a transfer's country and area stay");
    assert!(!found(&full, &["Signal=7"]).is_empty());
}

#[test]
fn a_number_is_found_in_full_where_it_is_told_masked() {
    let directory = tempfile::tempdir().unwrap();
    let (_, _) = outputs(directory.path(), &["--numbers", "full"]);
    for source in [["-r", "input.pcap"], ["--records", "records.jsonl"]] {
        let report = |words: &[&str]| {
            let mut command = lippycat();
            command.current_dir(directory.path()).arg("report").args(words).args(source);
            let output = command.args(["--numbers", "masked", "--format", "json"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        for (number, calls) in [(CALLEE, 2), (CALLER, 0), ("16505557******", 0)] {
            let told = report(&["calls", "--where", &format!("to={number}")]);
            assert_eq!(told.lines().count(), calls, "{source:?} {number}: {told}");
            assert!(NUMBERS.iter().all(|word| !told.contains(word)), "{told}");
        }
        let told = report(&["carriers", "--by", "prefix", "--where", &format!("from={CALLER}")]);
        assert!(told.contains("\"calls\":2"), "{source:?}: {told}");
    }
}

#[test]
fn records_that_were_written_in_full_are_masked_when_they_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let (_, _) = outputs(directory.path(), &["--dtmf", "digits"]);
    let report = |flags: &[&str]| {
        let mut command = lippycat();
        command.current_dir(directory.path()).args([
            "report",
            "calls",
            "--all",
            "--records",
            "records.jsonl",
            "--format",
            "json",
        ]);
        String::from_utf8(command.args(flags).output().unwrap().stdout).unwrap()
    };
    let written = fs::read_to_string(directory.path().join("records.jsonl")).unwrap();
    assert_eq!(report(&["--dtmf", "digits"]), written, "what is not masked is as it was");
    let masked = report(&["--numbers", "masked"]);
    assert!(
        NUMBERS[..2].iter().chain(&[KEYS]).all(|word| written.contains(word) && !masked.contains(word)),
        "{masked}"
    );
}
