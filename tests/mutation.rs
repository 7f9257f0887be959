//! Damaged captures through the whole program, in this process: nothing may panic, nothing may vanish, and threads
//! may not make a difference.

use std::path::Path;
use std::time::Duration;

use lippycat::call::{self, Filter};
use lippycat::capture::{LinkType, Packet, PacketBatch, PacketSource, Progress, SourceCounters, SourceError};
use lippycat::pipeline::{self, Continue};
use lippycat::sink::{
    CallFiles, CallIds, EventFormat, EventWriter, FileFormat, FileSettings, Lines, NameBook, NameSettings,
    NameTemplate, NamedFiles, RecordWriter, Recorder, Reopen,
};
use lippycat::time::Timestamp;
use lippycat::{defrag, media, reassembly, sip};
use serde_json::Value;

use crate::classic::Classic;
use crate::corpus::cases;

/// xorshift64*: the same damage in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        ((self.next() >> 16) % limit.max(1) as u64) as usize
    }
}

/// Packets in memory as a source.
struct Memory {
    arena: Vec<u8>,
    packets: Vec<Packet>,
    at: usize,
}

impl Memory {
    fn of(capture: &Classic) -> Self {
        let scale = if capture.nanoseconds { 1 } else { 1000 };
        let mut memory = Self { arena: Vec::new(), packets: Vec::new(), at: 0 };
        for packet in &capture.packets {
            memory.packets.push(Packet {
                timestamp: Timestamp::new(packet.seconds.into(), packet.fraction.saturating_mul(scale)),
                offset: u32::try_from(memory.arena.len()).unwrap(),
                captured: u32::try_from(packet.frame.len()).unwrap(),
                original: packet.original,
                link: LinkType(u16::try_from(capture.link).unwrap()),
                nanosecond: capture.nanoseconds,
            });
            memory.arena.extend(&packet.frame);
        }
        memory
    }
}

impl PacketSource for Memory {
    fn next_batch(&mut self, limit: usize) -> Result<Option<PacketBatch<'_>>, SourceError> {
        let end = (self.at + limit.max(1)).min(self.packets.len());
        let packets = &self.packets[self.at..end];
        self.at = end;
        Ok((!packets.is_empty()).then_some(PacketBatch::new(&self.arena, packets)))
    }

    fn progress(&self) -> Progress {
        Progress { packets: self.at as u64, ..Progress::default() }
    }

    fn counters(&self) -> SourceCounters {
        SourceCounters { files: 1, packets: self.at as u64, ..SourceCounters::default() }
    }
}

fn settings(workers: usize, batch: usize) -> pipeline::Settings {
    pipeline::Settings {
        defrag: defrag::Limits {
            max_datagrams: 1000,
            max_bytes: 16 << 20,
            timeout: Duration::from_secs(30),
            keep_frames: true,
        },
        reassembly: reassembly::Limits::default(),
        streams: sip::StreamSettings { keep_shares: true, ..sip::StreamSettings::default() },
        call_limits: call::Limits {
            max_dialogs: 10_000,
            max_waiting: 1_000,
            idle_timeout: Duration::from_secs(14_400),
            media: media::Limits {
                max_flows: 10_000,
                max_unclaimed: 1_000,
                unclaimed_timeout: Duration::from_secs(10),
                backlog_bytes: 1 << 20,
            },
        },
        calls: call::Settings {
            filter: Filter::default(),
            registrations: true,
            others: true,
            media_frames: true,
            digits: true,
            legs: call::LegSettings::default(),
            is_asked: true,
        },
        filter: None,
        batch,
        workers,
        count: None,
        duration: None,
        board: None,
        log_streams: false,
        is_last: false,
    }
}

/// Everything that is written, in `directory`.
fn recorder(directory: &Path, format: FileFormat) -> Recorder {
    let files = CallFiles::new(FileSettings {
        directory: directory.to_path_buf(),
        format,
        ..FileSettings::default()
    });
    let names = NameBook::new(NameSettings {
        directory: directory.to_path_buf(),
        prefix: String::new(),
        template: NameTemplate::default(),
        format,
        max_filename_length: 100,
    });
    let named = NamedFiles::new(directory.to_path_buf(), files.unwrap(), names.unwrap());
    let records = RecordWriter::create(Path::new("/dev/null")).unwrap();
    let events = EventWriter::new(EventFormat::None, CallIds::Whole);
    Recorder::inline(Some(named), Lines::new(Some(records), None, events, Reopen::default()).unwrap())
}

/// The summary of a run over `capture`.
fn run(capture: &Classic, workers: usize, batch: usize, format: FileFormat) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let mut recorder = recorder(directory.path(), format);
    let mut memory = Memory::of(capture);
    let outcome = pipeline::run(&mut memory, settings(workers, batch), &mut recorder, &mut |_| Continue::Yes);
    let written = recorder.finish();
    written.outcome.unwrap();
    let summary = outcome.summary(written.files.as_ref());
    let mut text = Vec::new();
    summary.print_json(&mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Damages a capture as wires, taps and enemies do.
fn damage(capture: &Classic, random: &mut Random) -> Classic {
    let mut packets = capture.packets.clone();
    for _ in 0..1 + random.below(12) {
        let at = random.below(packets.len());
        let packet = &mut packets[at];
        let length = packet.frame.len();
        match random.below(8) {
            0..=2 if length > 0 => packet.frame[random.below(length)] ^= 1 << random.below(8),
            3 if length > 0 => {
                packet.frame[random.below(length)] = [0, 0xff, b'\r', b'\n', b';'][random.below(5)]
            }
            // Most that decides anything is in the first bytes.
            4 if length > 0 => packet.frame[random.below(length.min(64))] = random.next() as u8,
            5 => packet.frame.truncate(random.below(length + 1)),
            6 => {
                let copy = packet.clone();
                packets.insert(random.below(at + 1), copy);
            }
            _ => {
                let other = random.below(packets.len());
                packets.swap(at, other);
            }
        }
    }
    capture.with(packets)
}

#[test]
fn no_damage_to_a_capture_breaks_the_program() {
    let captures: Vec<(String, Classic)> = cases()
        .into_iter()
        .filter_map(|case| Some((case.name, Classic::read(&case.input)?)))
        .filter(|(_, capture)| !capture.packets.is_empty() && capture.packets.len() < 2000)
        .collect();
    assert!(captures.len() >= 25, "{}", captures.len());
    let mut random = Random(0x6c69_7070_7963_6174);
    for round in 0..10 {
        for (name, capture) in &captures {
            let damaged = damage(capture, &mut random);
            let format = if round % 2 == 0 { FileFormat::Pcap } else { FileFormat::PcapNg };
            let inline = run(&damaged, 0, 64, format);
            let sum: u64 = inline["packets_by"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
            assert_eq!(inline["packets"], sum, "{name}, round {round}: {}", inline["packets_by"]);
            if round % 4 == 0 {
                assert_eq!(run(&damaged, 2, 5, format), inline, "{name}, round {round}: two workers");
            }
        }
    }
}
