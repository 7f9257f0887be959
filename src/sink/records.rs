//! Records of calls as lines of JSON (`schema/record.schema.json`).

use std::fs::Metadata;
use std::io;
use std::path::Path;

use crate::call::CallRecord;
use crate::escape::json_line;
use crate::sink::line_file::{Begin, LineFile};

/// Writes one line of JSON per call.
#[derive(Debug)]
pub struct RecordWriter {
    file: LineFile,
    /// Records taken.
    pub records: u64,
}

impl RecordWriter {
    /// Writes to a new file at `path`, over one that is there (a run over the same input gives the same file), or to
    /// standard output for `-`. Directories are made. What is there stays until [`super::Lines::new`].
    ///
    /// # Errors
    /// The directories or the file cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: LineFile::open(path, Begin::Anew)?, records: 0 })
    }

    /// Writes behind what the file at `path` holds: the log of a service. `-` and directories as with
    /// [`Self::create`].
    ///
    /// # Errors
    /// The directories or the file cannot be made or opened.
    pub fn append(path: &Path) -> io::Result<Self> {
        Ok(Self { file: LineFile::open(path, Begin::Behind)?, records: 0 })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Those of the file; the record is kept for the next try while there is room.
    pub fn push(&mut self, record: &CallRecord) -> io::Result<()> {
        self.records += 1;
        self.file.push(|out| json_line(out, record))
    }

    /// What the system says of the file; none when it is none, as standard output.
    #[must_use]
    pub fn about(&self) -> Option<Metadata> {
        self.file.about()
    }

    pub(super) const fn file(&self) -> &LineFile {
        &self.file
    }

    pub(super) const fn file_mut(&mut self) -> &mut LineFile {
        &mut self.file
    }
}

#[cfg(test)]
pub(super) use tests::full;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{
        BurstRecord, CallKind, CallResult, CauseRecord, EndedBy, FarEndRecord, FaxRecord, Finding,
        HoldRecord, HopRecord, InfoDtmfRecord, LegRecord, MediaRecord, RegistrationRecord,
        SessionTimerRecord, Side, SignallingRecord, TransferRecord,
    };
    use crate::flow::{Address, Endpoint};
    use crate::privacy::{HARMLESS, Privacy};
    use crate::quality::Pauses;
    use crate::time::Timestamp;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// A record with a value in every field.
    pub(in crate::sink) fn full() -> CallRecord {
        filled(&str::to_owned)
    }

    /// The same with texts of somebody else's choice: all that are no words of ours.
    fn filled(text: &dyn Fn(&str) -> String) -> CallRecord {
        let time = Timestamp::new(1_700_000_000, 123_456_000);
        let endpoint = Endpoint::new(Address::v4([192, 0, 2, 1]), 5060);
        CallRecord {
            call_id: text(&format!("a\u{202e}b\u{1b}[2J\"@192.0.2.1{}", crate::escape::hostile())),
            kind: CallKind::Call,
            from: text("alice"),
            to: text("bob"),
            request_uri: Some(text("sip:bob@example.com")),
            method: text("INVITE"),
            result: CallResult::Success,
            status_code: Some(200),
            reason: Some(text("OK")),
            start: time,
            ringing: Some(time),
            answered: Some(time),
            end: Some(time),
            duration_seconds: Some(12.5),
            setup_seconds: Some(1.0),
            post_dial_delay_seconds: Some(0.5),
            ended_by: Some(EndedBy::Callee),
            end_reason: Some(text("Q.850;cause=16")),
            transports: vec!["udp", "tcp"],
            source: endpoint,
            destination: endpoint,
            user_agents: vec![text("phone")],
            media: vec![stream(endpoint, time, text)],
            media_left_out: 4,
            media_endpoints: vec![text("192.0.2.1:4000")],
            codecs: vec![text("PCMA")],
            messages: 7,
            retransmissions: 1,
            duplicates: 0,
            rtp_packets: 100,
            rtcp_packets: 2,
            udptl_packets: 3,
            fax: vec![FaxRecord {
                source: endpoint,
                destination: endpoint,
                packets: 3,
                start: time,
                end: time,
            }],
            forks: 1,
            reinvites: 0,
            updates: 0,
            authenticated: true,
            signalling: signalling(endpoint, time, text),
            session: Some(text("first@192.0.2.1")),
            legs: [0, 1].map(|_| leg(endpoint, time, text)).into(),
            findings: vec![Finding {
                code: "no_ack",
                text: text("no ACK"),
                time: Some(time),
                message: Some(text("200 to INVITE")),
            }],
            pcap: Some(text("/tmp/a.pcap")),
        }
    }

    fn signalling(endpoint: Endpoint, time: Timestamp, text: &dyn Fn(&str) -> String) -> SignallingRecord {
        SignallingRecord {
            early_dialogs: 2,
            reliable_provisionals: 1,
            unacknowledged_provisionals: 1,
            holds: vec![HoldRecord { by: Side::Callee, count: 1, seconds: 2.5 }],
            glares: 1,
            transfers: vec![TransferRecord {
                time,
                by: Side::Caller,
                to: text("carol"),
                attended: true,
                status_code: Some(200),
            }],
            replaces: Some(text("other@192.0.2.9")),
            replaced_by: Some(text("third@192.0.2.1")),
            overlap_invites: 2,
            session_timer: Some(SessionTimerRecord {
                interval_seconds: Some(1800),
                refresher: Some(Side::Caller),
                refreshes: 1,
                min_seconds: Some(90),
            }),
            end_causes: vec![CauseRecord {
                protocol: text("Q.850"),
                cause: Some(16),
                text: Some(text("normal call clearing")),
            }],
            response_seconds: [("INVITE", 0.02)].into(),
            disconnect_seconds: Some(0.03),
            info_dtmf: vec![InfoDtmfRecord { by: Side::Caller, digits: 2, dtmf: Some(text("42")) }],
            retransmissions_by_hop: vec![HopRecord {
                source: endpoint,
                destination: endpoint,
                retransmissions: 1,
            }],
            registration: Some(RegistrationRecord {
                contact: Some(text("sip:alice@192.0.2.1")),
                expires_seconds: Some(3600),
                refreshes: 1,
                behind_nat: true,
                late_seconds: Some(12.0),
            }),
        }
    }

    fn leg(endpoint: Endpoint, time: Timestamp, text: &dyn Fn(&str) -> String) -> LegRecord {
        LegRecord {
            call_id: text("other@192.0.2.1"),
            source: endpoint,
            destination: endpoint,
            start: time,
            first_response: Some(time),
            ringing: Some(time),
            final_response: Some(time),
            status_code: Some(200),
            joined_by: Some("evidence".to_owned()),
            score: Some(80),
            evidence: vec!["address", "called number"],
        }
    }

    fn stream(endpoint: Endpoint, time: Timestamp, text: &dyn Fn(&str) -> String) -> MediaRecord {
        MediaRecord {
            ssrc: u32::MAX,
            source: endpoint,
            destination: endpoint,
            kind: Some("audio"),
            payload_type: 8,
            codec: Some(text("PCMA")),
            encrypted: false,
            packets: 100,
            expected: 97,
            lost: -3,
            missing: 1,
            lost_by_capture: 0,
            duplicates: 4,
            reordered: 2,
            discarded: 1,
            bursts: BurstRecord { count: 1, packets: 5, lost: 2 },
            restarts: 0,
            timestamp_leaps: 0,
            jitter_ms: Some(0.25),
            max_jitter_ms: Some(1.5),
            max_delta_ms: 40.0,
            packet_ms: Some(20.0),
            clock_drift_ppm: Some(-12.5),
            markers: 2,
            digits: 3,
            dtmf: Some(text("911")),
            mos: Some(4.2),
            r_factor: Some(87.5),
            mos_missing: None,
            delay_ms: 110.0,
            delay_source: "assumed",
            far_end: Some(FarEndRecord {
                reports: 2,
                lost: -1,
                worst_loss_percent: 5.08,
                jitter_ms: Some(1.25),
                round_trip_ms: Some(80.0),
                mos: Some(3.9),
                r_factor: Some(81),
                discarded_percent: Some(1.95),
            }),
            start: time,
            end: time,
            first_number: 1,
            codec_since: time,
            is_nothing: false,
            unannounced: false,
            pauses: Pauses::default(),
            pressed: vec![time],
        }
    }

    /// The same with null wherever that may stand.
    fn sparse() -> CallRecord {
        let mut record = full();
        record.result = CallResult::Open;
        record.request_uri = None;
        record.status_code = None;
        record.reason = None;
        record.ringing = None;
        record.answered = None;
        record.end = None;
        record.duration_seconds = None;
        record.setup_seconds = None;
        record.post_dial_delay_seconds = None;
        record.ended_by = None;
        record.end_reason = None;
        record.pcap = None;
        (record.udptl_packets, record.fax, record.media_left_out) = (0, Vec::new(), 0);
        record.signalling = SignallingRecord::default();
        (record.session, record.legs) = (None, Vec::new());
        record.findings.iter_mut().for_each(|finding| (finding.time, finding.message) = (None, None));
        record.media.iter_mut().for_each(|media| {
            (media.codec, media.jitter_ms, media.max_jitter_ms) = (None, None, None);
            (media.packet_ms, media.clock_drift_ppm) = (None, None);
            (media.mos, media.r_factor, media.mos_missing) = (None, None, Some("codec not known"));
            if let Some(far) = &mut media.far_end {
                (far.jitter_ms, far.round_trip_ms, far.mos) = (None, None, None);
                (far.r_factor, far.discarded_percent) = (None, None);
            }
        });
        record
    }

    fn schema() -> Value {
        serde_json::from_str(include_str!("../../schema/record.schema.json")).unwrap()
    }

    /// Every text in a value, with its key.
    fn leaves<'a>(key: &'a str, value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
        match value {
            Value::String(text) => found.push((key, text)),
            Value::Array(items) => items.iter().for_each(|item| leaves(key, item, found)),
            Value::Object(object) => object.iter().for_each(|(key, value)| leaves(key, value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_text_of_a_record_is_masked_or_known_to_be_harmless() {
        const NUMBER: &str = "+4930771199553";
        let masked = Privacy { masked: true, digits: true };
        let mut record = CallRecord { pcap: None, ..filled(&|_| NUMBER.to_owned()) };
        let open = serde_json::to_value(&record).unwrap();
        let mut texts = Vec::new();
        leaves("", &open, &mut texts);
        // Words of ours, times and addresses; whatever else is text comes from the wire.
        let ours = [
            "kind",
            "result",
            "ended_by",
            "transports",
            "by",
            "refresher",
            "code",
            "delay_source",
            "start",
            "ringing",
            "answered",
            "end",
            "time",
            "source",
            "destination",
            "first_response",
            "final_response",
            "joined_by",
            "evidence",
        ];
        for (key, text) in &texts {
            assert_eq!(*text == NUMBER, !ours.contains(key), "{key}: is it ours, or from the wire?");
        }
        masked.record(&mut record);
        let told = serde_json::to_value(&record).unwrap();
        let mut texts = Vec::new();
        leaves("", &told, &mut texts);
        for (key, _) in texts.iter().filter(|(_, text)| *text == NUMBER) {
            assert!(HARMLESS.contains(key), "{key} is neither masked nor harmless");
        }
        // A record that was written in full is masked alike when it is read.
        let mut read = open;
        assert!(masked.value(&mut read));
        assert_eq!(read, told);
    }

    fn keys(object: &Value) -> BTreeSet<&str> {
        object.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn lines_are_as_the_schema_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("some/where/calls.jsonl");
        let mut writer = RecordWriter::create(&path).unwrap();
        writer.push(&full()).unwrap();
        writer.push(&sparse()).unwrap();
        writer.file.flush().unwrap();
        let mut more = RecordWriter::append(&path).unwrap();
        more.push(&full()).unwrap();
        more.file.flush().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        crate::escape::assert_harmless(&text);
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        for line in &lines {
            let errors: Vec<String> = validator.iter_errors(line).map(|error| error.to_string()).collect();
            assert_eq!(errors, Vec::<String>::new());
        }
        assert_eq!(lines[0]["call_id"], full().call_id);
        let mut wrong = lines[0].clone();
        wrong["result"] = "won".into();
        assert!(!validator.is_valid(&wrong));
    }

    #[test]
    fn the_schema_describes_every_field_and_no_other() {
        let schema = schema();
        let line = serde_json::to_value(full()).unwrap();
        let least = serde_json::to_value(sparse()).unwrap();
        let (media, findings) =
            (&schema["properties"]["media"]["items"], &schema["properties"]["findings"]["items"]);
        let (stream, properties) = (&line["media"][0], &schema["properties"]);
        let item = |key: &str| (&line[key][0], &line[key][0], &properties[key]["items"]);
        let only = |key: &str| (&line[key], &line[key], &properties[key]);
        // A key that may be left out is one that a line with as little as can be does not have.
        for (object, least, described) in [
            (&line, &least, &schema),
            (stream, stream, media),
            (&stream["bursts"], &stream["bursts"], &media["properties"]["bursts"]),
            (&stream["far_end"], &stream["far_end"], &media["properties"]["far_end"]),
            (&line["findings"][0], &least["findings"][0], findings),
            item("fax"),
            item("holds"),
            item("info_dtmf"),
            item("transfers"),
            item("end_causes"),
            item("retransmissions_by_hop"),
            item("legs"),
            only("session_timer"),
            only("registration"),
        ] {
            assert_eq!(keys(object), keys(&described["properties"]));
            let required: BTreeSet<&str> =
                described["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
            assert_eq!(required, keys(least));
            for property in described["properties"].as_object().unwrap().values() {
                assert!(property["description"].is_string(), "{property}");
            }
        }
    }
}
