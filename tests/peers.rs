//! Real peers: sipp calls sipp through a Kamailio, over UDP and over TCP, and the sniffer listens on the bridge between.
//!
//! Each call that fails for want of processor time fails the test: it wants a machine that does little else (`make test-peers`).
//! What is right comes from sipp's own statistics, from tcpdump on the same bridge, and from tshark.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::machine::{Machine, copy};
use crate::support::tshark;

/// Calls of a run, per second and in all; every tenth talks.
const RATE: u32 = 100;
const CALLS: u32 = 500;
const TALKING: u32 = CALLS / 10;

/// Frames of 20 ms that each side of a talking call plays.
const FRAMES: u32 = 25;

/// Where talking callers announce their media.
const MEDIA: &str = "udp.port >= 23000 && udp.port < 24000 && !icmp";

/// INVITE, 180, 200, ACK, BYE and its 200, each on both sides of the proxy, and the proxy's 100.
const MESSAGES: u64 = 13;

#[test]
#[ignore = "boots a machine that has to be quick enough for Kamailio: make test-peers"]
fn every_call_through_a_proxy_is_found_and_its_file_is_right() {
    let Some(machine) = Machine::boot() else { return };
    copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers")), &machine.shared("peers"));
    fs::write(machine.shared("tone.pcap"), tone()).unwrap();
    for side in ["caller", "called"] {
        let scenario = fs::read_to_string(machine.shared(&format!("peers/{side}.xml"))).unwrap();
        let play = "<nop><action><exec play_pcap_audio=\"/srv/tone.pcap\" /></action></nop>";
        let talking = scenario.replace("<!--MEDIA-->", play);
        fs::write(machine.shared(&format!("peers/talking-{side}.xml")), talking).unwrap();
    }
    machine.good("sh /srv/peers/network.sh");
    machine.good(
        "systemd-run --quiet --unit=proxy ip netns exec proxy kamailio -DD -E -m 64 -M 8 -f /srv/peers/kamailio.cfg -Y /tmp",
    );
    machine.until("ip netns exec proxy ss -Hlnt 'sport = :5060' | grep -q .");
    for transport in ["udp", "tcp"] {
        run(&machine, transport);
    }
    b2bua(&machine, "", "evidence");
    b2bua(&machine, "X-Call-ID: [call_id]\n", "x-call-id");
}

/// A sipp: who, whether it talks, its transport, and what else it is to do.
fn sipp(side: &str, talks: bool, transport: &str, more: &str) -> String {
    let scenario = if talks { format!("talking-{side}") } else { side.to_owned() };
    // Each party announces its own port, four apart, from here on.
    let (host, media) = if side == "caller" { (11, 20_000) } else { (13, 30_000) };
    let media = if talks { media + 3000 } else { media };
    let mode = if transport == "udp" { "u1" } else { "t1" };
    format!(
        "cd /srv/{transport} && exec ip netns exec {side} sipp -sf /srv/peers/{scenario}.xml -i 10.77.0.{host} \
         -mi 10.77.0.{host} -mp {media} -t {mode} -nostdin -trace_stat -fd 1 -stf {scenario}.csv -timeout 60 {more} \
         >{scenario}.screen 2>&1"
    )
}

fn run(machine: &Machine, transport: &str) {
    fs::create_dir(machine.shared(transport)).unwrap();
    machine.good(&format!(
        "systemd-run --quiet --unit=dump-{transport} tcpdump -i br0 -U -B 16384 -w /srv/{transport}/br0.pcap; \
         systemd-run --quiet --unit=sniffer-{transport} -p LimitNOFILE=20000 -p StandardError=journal \
         -p StandardOutput=file:/srv/{transport}/summary.json \
         /srv/lippycat sniff voip -i br0 -w --pcap-dir /srv/{transport}/pcap --records /srv/{transport}/records.jsonl \
         --format none --summary json"
    ));
    machine.until(&format!("test -s /srv/{transport}/br0.pcap && /srv/lippycat debug health"));
    for (unit, talks, port) in [("silent", false, 5060), ("talking", true, 5062)] {
        let called = sipp("called", talks, transport, &format!("-p {port}"));
        machine.good(&format!("systemd-run --quiet --unit={unit}-{transport} bash -c '{called}'"));
        machine.until(&format!("ip netns exec called ss -Hln -A udp,tcp 'sport = :{port}' | grep -q ."));
    }
    let caller = |talks: bool, user: u32, calls: u32, rate: u32| {
        let more = format!(
            "10.77.0.12:5060 -p {} -s {user} -r {rate} -m {calls} -l {calls} -d 700 -cid_str {user}-%u-%p@peers",
            user + 3000
        );
        machine.command(&sipp("caller", talks, transport, &more)).spawn().unwrap()
    };
    let mut silent = caller(false, 2002, CALLS - TALKING, RATE - RATE / 10);
    let mut talking = caller(true, 2003, TALKING, RATE / 10);
    assert!(silent.wait().unwrap().success() && talking.wait().unwrap().success(), "sipp's calls succeed");
    // Two seconds for what is still under way, here and in tcpdump.
    machine.good(&format!(
        "sleep 20; systemctl stop silent-{transport} talking-{transport} sniffer-{transport} dump-{transport}; \
         test -s /srv/{transport}/summary.json"
    ));
    check(machine, transport);
}

/// The last row of sipp's statistics.
fn ledger(path: &Path, column: &str) -> u32 {
    let text = fs::read_to_string(path).unwrap();
    let mut rows = text.lines().map(|line| line.split(';').collect::<Vec<_>>());
    let place = rows.next().unwrap().iter().position(|it| *it == column).unwrap();
    rows.next_back().unwrap()[place].parse().unwrap()
}

fn check(machine: &Machine, transport: &str) {
    let directory = machine.shared(transport);
    let calls = |name: &str| {
        let path = directory.join(name);
        assert_eq!(ledger(&path, "FailedCall(C)"), 0, "{name}");
        u64::from(ledger(&path, "SuccessfulCall(C)"))
    };
    let wanted = calls("caller.csv") + calls("talking-caller.csv");
    assert_eq!(wanted, u64::from(CALLS));

    let summary: Value = serde_json::from_slice(&fs::read(directory.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["calls"]["total"], wanted, "{transport}: {summary}");
    assert_eq!(summary["calls"]["by_result"]["success"], wanted, "{transport}: {summary}");
    assert_eq!(summary["files_written"], wanted, "{transport}: {summary}");
    let packets: u64 = summary["packets_by"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(summary["packets"], packets, "{transport}: {summary}");
    if let Some(rows) = tshark(&directory.join("br0.pcap"), MEDIA, &["frame.number"]) {
        assert_eq!(summary["rtp"]["packets"], rows.len(), "{transport}: {}", summary["rtp"]);
    }

    let records = fs::read_to_string(directory.join("records.jsonl")).unwrap();
    let records: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len() as u64, wanted);
    let retransmitted = summary["sip"]["retransmissions"].as_u64().unwrap();
    for record in &records {
        let talks = record["call_id"].as_str().unwrap().starts_with("2003-");
        let messages = record["messages"].as_u64().unwrap();
        assert!(messages == MESSAGES || retransmitted > 0 && messages > MESSAGES, "{transport}: {record}");
        assert_eq!(record["result"], "success", "{record}");
        assert_eq!(record["ended_by"], "caller", "{record}");
        assert_eq!(record["transports"], serde_json::json!([transport]), "{record}");
        assert_eq!(record["rtp_packets"], if talks { 2 * FRAMES } else { 0 }, "{record}");
        check_hops(record);
    }
    // Every file by its size, some by tshark, which takes half a second for each.
    let sample = records.iter().filter(|it| it["rtp_packets"] != 0).take(8).chain(records.iter().step_by(60));
    sample.for_each(|record| check_file(&directory, record));
    let files = fs::read_dir(directory.join("pcap")).unwrap().map(|it| it.unwrap());
    let small = files.filter(|it| it.metadata().unwrap().len() < 13 * 300).count();
    assert_eq!(small, 0, "{transport}: files without their messages");
}

/// The call has two legs: to the proxy and on from it, under one Call-ID.
fn check_hops(record: &Value) {
    let legs = record["legs"].as_array().unwrap_or_else(|| panic!("{record}"));
    let host = |value: &Value| value.as_str().unwrap().split(':').next().unwrap().to_owned();
    let ways: Vec<_> = legs.iter().map(|leg| (host(&leg["source"]), host(&leg["destination"]))).collect();
    let expected = [("10.77.0.11", "10.77.0.12"), ("10.77.0.12", "10.77.0.13")];
    assert_eq!(ways, expected.map(|(from, to)| (from.to_owned(), to.to_owned())), "{record}");
    assert_eq!(record["session"], record["call_id"]);
    assert!(legs[0]["joined_by"].is_null() && legs[1]["joined_by"] == "same call-id", "{record}");
    assert!(
        legs.iter().all(|leg| leg["call_id"] == record["call_id"] && leg["status_code"] == 200),
        "{record}"
    );
}

/// Calls through a sipp that is called and calls on under another Call-ID, which ends in the first one: the numbers stay, or
/// a header field names the other leg and nothing else is alike.
fn b2bua(machine: &Machine, names: &str, joined_by: &str) {
    const CALLS: u32 = 20;
    let name = format!("b2bua-{joined_by}");
    fs::create_dir(machine.shared(&name)).unwrap();
    let read = |file: &str| fs::read_to_string(machine.shared(&format!("peers/{file}.xml"))).unwrap();
    let write =
        |file: &str, text: String| fs::write(machine.shared(&format!("{name}/{file}.xml")), text).unwrap();
    let out = read("b2bua-out").replace("<!--NAMES-->", names);
    write("out", if names.is_empty() { out } else { out.replace("sip:[$caller]@", "sip:trunk@") });
    write("caller", read("caller").replace("sip:1001@", "sip:4930100[call_number]@"));
    let sniffer = format!(
        "systemd-run --quiet --unit=sniffer-{name} -p StandardError=journal -p StandardOutput=file:/srv/{name}/summary.json \
         /srv/lippycat sniff voip -i br0 --records /srv/{name}/records.jsonl --format none --summary json"
    );
    machine.good(&sniffer);
    machine.until("/srv/lippycat debug health");
    let sipp = |host: &str, address: u32, scenario: &str, more: &str| {
        format!(
            "exec ip netns exec {host} sipp -sf /srv/{scenario}.xml -i 10.77.0.{address} -mi 10.77.0.{address} -t u1 -nostdin \
             -timeout 60 {more} >/srv/{name}/{}.screen 2>&1",
            scenario.replace('/', "-")
        )
    };
    let twin = "-3pcc 127.0.0.1:6000";
    for (unit, command) in [
        ("called", sipp("called", 13, "peers/called", "-p 5070 -mp 30000")),
        (
            "out",
            sipp(
                "b2bua",
                14,
                &format!("{name}/out"),
                &format!("10.77.0.13:5070 -p 5070 -mp 31000 -s 2004 {twin}"),
            ),
        ),
        ("in", sipp("b2bua", 14, "peers/b2bua-in", &format!("-p 5060 -mp 32000 {twin}"))),
    ] {
        machine.good(&format!("systemd-run --quiet --unit={unit}-{name} bash -c '{command}'"));
        let waits = match unit {
            "out" => "ip netns exec b2bua ss -Hlnt 'sport = :6000' | grep -q .",
            "in" => "ip netns exec b2bua ss -Hlnu 'sport = :5060' | grep -q .",
            _ => "ip netns exec called ss -Hlnu 'sport = :5070' | grep -q .",
        };
        machine.until(waits);
    }
    let more = format!("10.77.0.14:5060 -p 5062 -mp 33000 -s 2004 -r 5 -m {CALLS} -l {CALLS} -d 700");
    machine.good(&sipp("caller", 11, &format!("{name}/caller"), &more));
    machine.good(&format!(
        "sleep 2; systemctl stop called-{name} out-{name} in-{name} sniffer-{name}; test -s /srv/{name}/summary.json"
    ));
    let records = fs::read_to_string(machine.shared(&format!("{name}/records.jsonl"))).unwrap();
    let records: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len() as u32, 2 * CALLS);
    for record in &records {
        let call_id = record["call_id"].as_str().unwrap();
        let first = call_id.strip_prefix("out///").unwrap_or(call_id);
        let legs = record["legs"].as_array().unwrap_or_else(|| panic!("{record}"));
        let told: Vec<&str> = legs.iter().map(|leg| leg["call_id"].as_str().unwrap()).collect();
        assert_eq!(told, [first, &format!("out///{first}")], "{record}");
        assert_eq!(record["session"], first, "{record}");
        assert_eq!(legs[1]["joined_by"], joined_by, "{record}");
    }
}

/// tshark finds this call's messages and media in its file, nothing else, and nothing wrong.
fn check_file(directory: &Path, record: &Value) {
    let name = Path::new(record["pcap"].as_str().unwrap()).file_name().unwrap();
    let path = directory.join("pcap").join(name);
    let Some(rows) = tshark(&path, "sip", &["sip.Call-ID", "sip.CSeq.method"]) else { return };
    let ids: Vec<&str> = rows.iter().flat_map(|row| row[0].split(';')).collect();
    assert_eq!(ids.len() as u64, record["messages"].as_u64().unwrap(), "{}: {rows:?}", path.display());
    assert!(ids.iter().all(|it| record["call_id"] == **it), "{}: {ids:?}", path.display());
    let media = tshark(&path, MEDIA, &["frame.number"]).unwrap();
    assert_eq!(media.len() as u64, record["rtp_packets"].as_u64().unwrap(), "{}", path.display());
    let wrong = "tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || tcp.analysis.retransmission || _ws.malformed";
    let wrong = tshark(&path, wrong, &["frame.number"]).unwrap();
    assert!(wrong.is_empty(), "{}: {wrong:?}", path.display());
}

/// Half a second of PCMA as sipp plays it: a pcap of RTP packets, of which it takes the payload of UDP.
fn tone() -> Vec<u8> {
    let mut pcap = Vec::new();
    pcap.extend([0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0]);
    for number in 0..FRAMES {
        // RFC 3550 5.1: version 2, payload type 8, a marker at the beginning of the talk.
        let mut rtp = vec![0x80, if number == 0 { 0x88 } else { 8 }];
        rtp.extend(u16::try_from(number).unwrap().to_be_bytes());
        rtp.extend((number * 160).to_be_bytes());
        rtp.extend(0x7e57_bed0_u32.to_be_bytes());
        rtp.extend([0xd5; 160]);
        let udp = 8 + u16::try_from(rtp.len()).unwrap();
        let mut frame = [&[0; 12][..], &[8, 0, 0x45, 0]].concat();
        frame.extend((20 + udp).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        frame.extend([0x17, 0x70, 0x17, 0x70]);
        frame.extend(udp.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(rtp);
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        for field in [[0; 4], (number * 20_000).to_le_bytes(), length, length] {
            pcap.extend(field);
        }
        pcap.extend(frame);
    }
    pcap
}
