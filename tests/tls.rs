//! SIP over TLS: what can be told of it from outside. The captures and their witnesses: `testdata/tls/README.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Run, lippycat, tshark};

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tls").join(name)
}

fn server<'a>(run: &'a Run, name: &str) -> &'a Value {
    let servers = run.summary["tls"]["servers"].as_array().unwrap();
    servers.iter().find(|server| server["server"] == name).unwrap_or_else(|| panic!("{name}: {servers:?}"))
}

#[test]
fn encrypted_signalling_is_counted_and_failures_are_named() {
    let run = Run::of(&capture("handshakes.pcap"), &[]);
    let tls = &run.summary["tls"];
    assert_eq!(tls["connections"], 8, "all but the one that says nothing of SIP: {tls}");
    assert_eq!(
        (&tls["established"], &tls["joined"], &tls["unknown"]),
        (&json!(3), &json!(0), &json!(0)),
        "{tls}"
    );
    assert_eq!(
        tls["failed"],
        json!({"unknown_ca": 2, "protocol_version": 1, "not_tls": 1, "decode_error": 1}),
        "{tls}"
    );
    assert_eq!(run.number("/sip/messages"), 0);
    for (name, version) in [
        ("192.0.2.10:5061", "TLS 1.2"),
        ("192.0.2.11:5061", "TLS 1.3"),
        ("192.0.2.12:5061", "TLS 1.2"),
        ("192.0.2.13:5061", "TLS 1.3"),
        ("192.0.2.18:7443", "TLS 1.3"),
    ] {
        assert_eq!(server(&run, name)["version"], version, "{name}");
    }
    assert_eq!(server(&run, "192.0.2.11:5061")["server_name"], "proxy.example.net");
    assert_eq!(server(&run, "192.0.2.12:5061")["last_failure"], "the client said unknown_ca (48)");
    assert_eq!(server(&run, "192.0.2.14:5061")["last_failure"], "the server said protocol_version (70)");
}

/// What tshark says of the alerts that are not encrypted.
#[test]
fn the_witness_sees_the_same_alerts() {
    let file = capture("handshakes.pcap");
    let Some(rows) = tshark(&file, "tls.alert_message.desc", &["tls.alert_message.desc"]) else { return };
    let mut alerts: BTreeMap<String, u64> = BTreeMap::new();
    // Behind a handshake, `close_notify` says good-bye.
    let failures = rows.into_iter().map(|row| row[0].clone()).filter(|description| description != "0");
    failures.for_each(|description| *alerts.entry(description).or_default() += 1);
    let run = Run::of(&file, &[]);
    let numbers = [("unknown_ca", "48"), ("protocol_version", "70"), ("decode_error", "50")];
    for (name, number) in numbers {
        assert_eq!(run.number(&format!("/tls/failed/{name}")), alerts.remove(number).unwrap_or(0), "{name}");
    }
    assert!(alerts.is_empty(), "{alerts:?}");
}

#[test]
fn a_certificate_that_ends_soon_is_named() {
    let file = capture("handshakes.pcap");
    let run = Run::of(&file, &[]);
    let sbc = server(&run, "192.0.2.10:5061");
    assert_eq!(sbc["certificate"], "sbc.example.net");
    assert!(sbc["not_after"].as_str().unwrap().starts_with("2026-12-08T"), "{sbc}");
    assert_eq!(sbc["days_left"], 11, "{sbc}");
    assert_eq!(server(&run, "192.0.2.11:5061").get("certificate"), None, "TLS 1.3 does not show it");
    let output = lippycat().args(["sniff", "voip", "--format", "none", "-r"]).arg(&file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for sentence in [
        "SIP over TLS (cannot be read)",
        "192.0.2.10:5061: the certificate of sbc.example.net ends in 11 days",
        "192.0.2.12:5061: 1 of 1 TLS handshakes failed, the last because the client said unknown_ca (48)",
        "192.0.2.15:5061: 1 of 1 TLS handshakes failed, the last because the server does not speak TLS there",
    ] {
        assert!(text.contains(sentence), "{sentence:?} in {text}");
    }
    assert!(!text.contains("the certificate of proxy.example.net"), "it has more than a year: {text}");
}

#[test]
fn a_connection_that_was_up_before_is_counted_too() {
    let run = Run::of(&capture("joined.pcap"), &[]);
    let tls = &run.summary["tls"];
    assert_eq!((&tls["connections"], &tls["joined"]), (&json!(1), &json!(1)), "{tls}");
    assert_eq!(server(&run, "192.0.2.10:5061")["connections"], 1);
}

/// Cut anywhere, by any number of threads, the connections are the same.
#[test]
fn threads_change_nothing() {
    let file = capture("handshakes.pcap");
    let alone = Run::of(&file, &[]);
    for workers in ["1", "2", "8"] {
        let run = Run::of(&file, &["--workers", workers]);
        assert_eq!(run.summary["tls"], alone.summary["tls"], "{workers} workers");
    }
}
