//! Where captures come from: standard input, packed files, several files, and files that are none.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::classic::Classic;
use crate::service::wait_for;
use crate::support::{Run, is_root, lippycat};
use crate::traffic::{capture, profile};

/// A directory with a small capture in it, and what a plain run over that says.
struct Sample {
    directory: TempDir,
    capture: Classic,
    truth: Value,
}

impl Sample {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (file, _) = capture(&profile(&[("calls", "12"), ("tcp", "0.4"), ("rtp", "0.2"), ("hold", "2")]));
        let path = directory.path().join("all.pcap");
        fs::copy(file.path(), &path).unwrap();
        let truth = without_files(Run::of(&path, &[]).summary);
        Self { directory, capture: Classic::read(&path).unwrap(), truth }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// Every third packet, from the `n`th on, as a file.
    fn third(&self, n: usize) -> Vec<u8> {
        self.capture.with(self.capture.packets.iter().skip(n).step_by(3).cloned().collect()).bytes()
    }

    fn summary(&self, inputs: &[&Path]) -> Value {
        let run = Run::over(inputs, &["--registrations", "--options"]);
        assert_eq!(run.number("/files_written"), run.files.len() as u64);
        without_files(run.summary)
    }
}

/// The number of files says where packets came from, not what they were.
fn without_files(mut summary: Value) -> Value {
    summary.as_object_mut().unwrap().remove("files");
    summary
}

fn sniff(inputs: &[&Path]) -> Output {
    lippycat()
        .args(["sniff", "voip", "--summary", "json", "-r"])
        .args(inputs)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(output)))
}

#[test]
fn packed_files_are_unpacked_whatever_they_are_called() {
    let sample = Sample::new();
    let plain = sample.capture.bytes();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for (name, bytes) in [("a.pcap.gz", &gzip), ("a.pcap.zst", &zstd), ("gz.pcap", &gzip), ("zst.txt", &zstd)]
    {
        let path = sample.write(name, bytes);
        assert_eq!(sample.summary(&[&path]), sample.truth, "{name}");
    }
    let twice = sample.write("twice.gz", &{
        // Members behind each other are one file (RFC 1952 2.2).
        let (first, second) = plain.split_at(plain.len() / 2);
        let mut packed = Vec::new();
        for half in [first, second] {
            let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            member.write_all(half).unwrap();
            packed.extend(member.finish().unwrap());
        }
        packed
    });
    assert_eq!(sample.summary(&[&twice]), sample.truth, "two gzip members");
}

#[test]
fn standard_input_is_a_file_too() {
    let sample = Sample::new();
    for way in ["lippycat sniff voip -r - --summary json", "the same through cat"] {
        let mut command = lippycat();
        command.args(["sniff", "voip", "-r", "-", "--summary", "json"]);
        let output = if way.starts_with("lippycat") {
            command.stdin(fs::File::open(sample.path("all.pcap")).unwrap()).output().unwrap()
        } else {
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            let bytes = sample.capture.bytes();
            let feeder = std::thread::spawn(move || bytes.chunks(777).try_for_each(|it| input.write_all(it)));
            let output = child.wait_with_output().unwrap();
            feeder.join().unwrap().unwrap();
            output
        };
        assert_eq!(output.status.code(), Some(0), "{way}: {}", told(&output));
        assert_eq!(json(&output)["sip"], sample.truth["sip"], "{way}");
    }
}

#[test]
fn several_files_are_one_capture_in_packet_time() {
    let sample = Sample::new();
    let half = sample.capture.packets.len() / 2;
    let (first, second) = sample.capture.packets.split_at(half);
    let a = sample.write("halves/b.pcap", &sample.capture.with(first.to_vec()).bytes());
    let b = sample.write("halves/a.pcap", &sample.capture.with(second.to_vec()).bytes());
    assert_eq!(sample.summary(&[&a, &b]), sample.truth);
    assert_eq!(sample.summary(&[&b, &a]), sample.truth, "whatever their order");
    let thirds: Vec<PathBuf> =
        (0..3).map(|n| sample.write(&format!("thirds/{n}.pcap"), &sample.third(n))).collect();
    let thirds: Vec<&Path> = thirds.iter().map(PathBuf::as_path).collect();
    assert_eq!(sample.summary(&thirds), sample.truth, "interleaved");
    sample.write("thirds/readme.txt", b"no capture");
    sample.write("thirds/deeper/more.pcap", &sample.third(0));
    assert_eq!(sample.summary(&[&sample.path("thirds")]), sample.truth, "a directory");
    assert_eq!(sample.summary(&[&sample.path("thirds/*.pcap")]), sample.truth, "a pattern");
    assert_eq!(sample.summary(&[&sample.path("thirds/[0-2].pcap")]), sample.truth, "a pattern");
    assert_eq!(Run::over(&thirds, &[]).number("/files"), 3);
}

#[test]
fn a_capture_that_is_cut_is_used_as_far_as_it_goes() {
    let sample = Sample::new();
    let bytes = sample.capture.bytes();
    for less in [1, 15, 17, 60] {
        let path = sample.write("cut.pcap", &bytes[..bytes.len() - less]);
        let output = sniff(&[&path]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        let summary = json(&output);
        let whole = Classic::parse(&bytes).unwrap().packets.len() - 1;
        assert_eq!(summary["packets"], whole, "{less} bytes less");
        assert_eq!(summary["dropped"]["source"]["truncated"], 1, "and it is said");
    }
}

#[test]
fn a_header_without_packets_is_fine() {
    let sample = Sample::new();
    let output = sniff(&[&sample.write("none.pcap", &sample.capture.bytes()[..24])]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(json(&output)["packets"], 0);
    assert_eq!(json(&output)["first_packet"], Value::Null);
}

#[test]
fn what_is_no_capture_is_told_and_the_others_are_read() {
    let sample = Sample::new();
    let good = sample.path("all.pcap");
    let rows = [
        ("empty.pcap", b"".as_slice()),
        ("text.pcap", b"Session Initiation Protocol\n"),
        ("short.pcap", &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0]),
    ];
    for (name, bytes) in rows {
        let bad = sample.write(name, bytes);
        let alone = sniff(&[&bad]);
        assert_eq!(alone.status.code(), Some(1), "{name}");
        assert!(told(&alone).starts_with("error: ") && told(&alone).contains(name), "{}", told(&alone));
        let both = sniff(&[&bad, &good]);
        assert_eq!(both.status.code(), Some(1), "{name}");
        assert_eq!(json(&both)["sip"], sample.truth["sip"], "{name}");
    }
    for name in ["missing.pcap", "nothing-*.pcap"] {
        let output = sniff(&[&sample.path(name), &good]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(told(&output).contains(name), "{}", told(&output));
        assert_eq!(json(&output)["packets"], sample.truth["packets"]);
    }
}

#[cfg(unix)]
#[test]
fn a_capture_that_may_not_be_read_is_not_permitted() {
    use std::os::unix::fs::PermissionsExt;
    let sample = Sample::new();
    let secret = sample.write("secret.pcap", &sample.capture.bytes());
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(sample.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let output = if is_root() {
        // Root may read everything, so somebody else has to try, with a program that he can reach.
        let program = sample.path("lippycat");
        fs::copy(env!("CARGO_BIN_EXE_lippycat"), &program).unwrap();
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        nobody.env("HOME", "/nonexistent").args(["sniff", "voip", "-r"]).arg(&secret).output()
    } else {
        lippycat().args(["sniff", "voip", "-r"]).arg(&secret).output()
    };
    match output {
        Ok(output) if output.status.code() == Some(127) || told(&output).contains("setpriv:") => {
            eprintln!("skipped: cannot become another user: {}", told(&output));
        }
        Ok(output) => {
            assert_eq!(output.status.code(), Some(4), "{}", told(&output));
            assert!(told(&output).contains("secret.pcap"), "{}", told(&output));
        }
        Err(error) => eprintln!("skipped: {error}"),
    }
}

/// A pcapng with two interfaces of different links (draft-ietf-opsawg-pcapng 4.1 to 4.3).
fn pcapng(files: [&Classic; 2]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = u32::try_from(12 + body.len().next_multiple_of(4)).unwrap().to_le_bytes();
        out.extend(kind.to_le_bytes());
        out.extend(length);
        out.extend(body);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(length);
    };
    let mut section = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    section.extend([1, 0, 0, 0]);
    section.extend([0xff; 8]);
    block(0x0a0d_0d0a, &section);
    for file in files {
        let mut interface = file.link.to_le_bytes().to_vec();
        interface.extend([0; 4]);
        block(1, &interface);
    }
    let mut packets: Vec<_> = files
        .iter()
        .zip(0u32..)
        .flat_map(|(file, n)| file.packets.iter().map(move |packet| (n, packet)))
        .collect();
    packets.sort_by_key(|(_, packet)| (packet.seconds, packet.fraction));
    for (interface, packet) in packets {
        let time = u64::from(packet.seconds) * 1_000_000 + u64::from(packet.fraction);
        let length = u32::try_from(packet.frame.len()).unwrap();
        let mut body = interface.to_le_bytes().to_vec();
        let words = [(time >> 32) as u32, time as u32, length, packet.original];
        words.into_iter().for_each(|word| body.extend(word.to_le_bytes()));
        body.extend(&packet.frame);
        block(6, &body);
    }
    out
}

/// LINKTYPE_IEEE802_11_RADIOTAP of the registry of tcpdump.org: what a WLAN card gives in monitor mode.
#[test]
fn a_link_type_that_is_not_read_is_named() {
    let sample = Sample::new();
    let capture = Classic { link: 127, ..sample.capture.with(sample.capture.packets[..3].to_vec()) };
    let path = sample.write("radiotap.pcap", &capture.bytes());
    let output = sniff(&[&path]);
    assert_eq!(output.status.code(), Some(0));
    let line = "warning: 3 packets of a link type that is not read: 127 (IEEE802_11_RADIO)";
    assert!(told(&output).lines().any(|it| it == line), "{}", told(&output));
    assert!(!told(&sniff(&[&sample.path("all.pcap")])).contains("link type"));
}

#[test]
fn link_types_may_be_mixed() {
    let make = |knobs: &[(&str, &str)]| {
        let (file, _) = capture(&profile(&[&[("calls", "8"), ("hold", "1")], knobs].concat()));
        (Run::of(file.path(), &[]), Classic::read(file.path()).unwrap())
    };
    let (ethernet, first) = make(&[("seed", "11"), ("tcp", "0.5"), ("rtp", "0.3")]);
    // The generator's hosts are the same: media and connections would meet the other capture's.
    let (cooked, second) = make(&[("seed", "12"), ("link", "sll")]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mixed.pcapng");
    fs::write(&path, pcapng([&first, &second])).unwrap();
    for format in ["pcap", "pcapng"] {
        let mixed = Run::of(&path, &["--pcap-format", format]);
        for pointer in ["/packets", "/sip/messages", "/sip/call_ids", "/calls/total", "/rtp/packets"] {
            assert_eq!(mixed.number(pointer), ethernet.number(pointer) + cooked.number(pointer), "{pointer}");
        }
        assert_eq!(mixed.number("/files_written"), mixed.number("/sip/call_ids"));
        assert_eq!(mixed.summary["dropped"]["files"], Value::Null);
        if format == "pcap" {
            for (name, bytes) in ethernet.files.iter().chain(&cooked.files) {
                assert!(mixed.files.get(name) == Some(bytes), "{name} has other bytes");
            }
        }
    }
}

/// A run over captures asks for large pages (2 MiB) for its heap, as `hg` among the flags of that mapping says.
#[test]
#[cfg(target_env = "gnu")]
fn the_heap_of_a_run_over_captures_may_have_large_pages() {
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if enabled.is_empty() || enabled.contains("[never]") {
        println!("SKIP: this system has no large pages to give");
        return;
    }
    let mut child = lippycat()
        .args(["sniff", "voip", "-r", "-", "--format", "none"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let heaps = || {
        let maps = fs::read_to_string(format!("/proc/{}/smaps", child.id())).unwrap();
        let mut is_heap = false;
        let flags = maps.lines().filter(move |line| {
            is_heap = if line.contains(" rw-p ") { line.ends_with("[heap]") } else { is_heap };
            is_heap && line.starts_with("VmFlags:")
        });
        flags.map(str::to_owned).collect::<Vec<_>>()
    };
    wait_for("large pages", || heaps().iter().any(|flags| flags.split(' ').any(|flag| flag == "hg")));
    drop(child.stdin.take());
    child.wait().unwrap();
}
