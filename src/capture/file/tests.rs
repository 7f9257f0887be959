//! Files on disk, from their names to their packets.

use std::fs;
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::order::Order;
use super::samples::{Sample, block, bytes32, classic, enhanced, interface, pcapng, section};
use super::*;

/// Everything that a source gives: nanoseconds and bytes of each packet, and each error.
fn drain(source: &mut dyn PacketSource, limits: &[usize]) -> (Vec<Sample>, Vec<SourceError>) {
    let (mut packets, mut errors) = (Vec::new(), Vec::new());
    for limit in limits.iter().cycle() {
        match source.next_batch(*limit) {
            Ok(Some(batch)) => {
                assert!((1..=*limit).contains(&batch.packets.len()));
                let each =
                    batch.packets.iter().map(|packet| (packet.timestamp.0, batch.frame(packet).to_vec()));
                packets.extend(each);
            }
            Ok(None) => break,
            Err(error) => errors.push(error),
        }
    }
    assert!(source.next_batch(1).unwrap().is_none(), "the end stays the end");
    assert_eq!(source.counters().packets, packets.len() as u64);
    (packets, errors)
}

/// One file's content, read in blocks of `size` bytes; `None` when it cannot be opened or is not usable.
fn content(bytes: &[u8], size: usize, limits: &[usize]) -> Option<(Vec<Sample>, SourceCounters)> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let file = CaptureFile::open(file.path(), Reading { block: size, parked: false }).ok()?;
    let mut source = CaptureFiles(Kind::One(Box::new(file)));
    let (packets, errors) = drain(&mut source, limits);
    errors.is_empty().then(|| (packets, source.counters()))
}

/// What a file in microseconds should give.
fn nanoseconds(packets: &[Sample]) -> Vec<Sample> {
    packets.iter().map(|(time, bytes)| (time * 1_000, bytes.clone())).collect()
}

fn three() -> Vec<Sample> {
    vec![(1_000_001, b"first".to_vec()), (1_000_002, Vec::new()), (1_000_003, b"third one".to_vec())]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A directory with these files.
fn directory(files: &[(&str, Vec<u8>)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

/// The packets' bytes as text, and the errors, of what `names` in `directory` stand for.
fn texts(directory: &Path, names: &[&str]) -> (Vec<String>, Vec<SourceError>) {
    let inputs: Vec<_> = names.iter().map(|name| directory.join(name)).collect();
    let (mut source, mut errors) = open(&inputs);
    let (packets, more) = drain(&mut source, &[2]);
    errors.extend(more);
    (packets.into_iter().map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect(), errors)
}

/// A capture of packets one microsecond apart or as far as `times` says.
fn named(packets: &[(u64, &str)]) -> Vec<u8> {
    let packets: Vec<_> = packets.iter().map(|(time, text)| (*time, text.as_bytes().to_vec())).collect();
    classic(Order::Little, &packets)
}

fn any_packets() -> impl Strategy<Value = Vec<Sample>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    prop::collection::vec((0..4_000_000_000_000_000_u64, bytes), 0..30)
}

fn any_file() -> impl Strategy<Value = (Vec<Sample>, Vec<u8>)> {
    (any_packets(), any::<bool>(), any::<bool>()).prop_map(|(packets, next_generation, little)| {
        let order = if little { Order::Little } else { Order::Big };
        let file = if next_generation { pcapng(order, &packets) } else { classic(order, &packets) };
        (packets, file)
    })
}

proptest! {
    #[test]
    fn neither_blocks_nor_limits_change_the_packets(
        (packets, file) in any_file(),
        size in 1_usize..500,
        limits in prop::collection::vec(1_usize..10, 1..5),
    ) {
        let (found, counters) = content(&file, size, &limits).unwrap();
        prop_assert_eq!(found, nanoseconds(&packets));
        prop_assert_eq!((counters.files, counters.truncated, counters.bad_record), (1, 0, 0));
    }

    #[test]
    fn random_bytes_do_not_panic(kind in 0_usize..8, tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let order = Order::Little;
        let starts = [
            Vec::new(),
            classic(order, &[])[..20].to_vec(),
            classic(Order::Big, &[]),
            section(order),
            [section(order), interface(order, 1, 0, &[])].concat(),
            gzip(&classic(order, &three()))[..30].to_vec(),
            zstd::encode_all(&classic(order, &three())[..], 1).unwrap()[..12].to_vec(),
            bytes32(order, 0xa1b2_cd34).to_vec(),
        ];
        content(&[&starts[kind][..], &tail].concat(), 64, &[3]);
    }

    #[test]
    fn a_changed_byte_does_not_panic((_, mut file) in any_file(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        *at.get_mut(&mut file) = to;
        content(&file, 64, &[3]);
    }
}

#[test]
fn a_file_that_is_cut_anywhere_gives_the_packets_before() {
    for order in [Order::Little, Order::Big] {
        let expected = nanoseconds(&three());
        for (file, header, sizes) in
            [(classic(order, &three()), 24, [21, 16, 25]), (pcapng(order, &three()), 28, [40, 32, 44])]
        {
            for cut in 0..file.len() {
                let Some((found, counters)) = content(&file[..cut], 64, &[2]) else {
                    assert!(cut < header, "cut at {cut}");
                    continue;
                };
                assert!(cut >= header);
                let start = file.len() - sizes.iter().sum::<usize>();
                let ends: Vec<_> =
                    (1..=3).map(|count| start + sizes[..count].iter().sum::<usize>()).collect();
                let whole = ends.iter().filter(|end| **end <= cut).count();
                assert_eq!(found, expected[..whole], "cut at {cut}");
                let clean = cut == header || cut == start || ends.contains(&cut);
                assert_eq!(counters.truncated, u64::from(!clean), "cut at {cut}");
            }
        }
    }
}

#[test]
fn a_record_longer_than_the_block_is_read_and_one_longer_than_any_ends_the_file() {
    let mut packets = three();
    packets.push((2_000_000, vec![7; 262_144]));
    packets.push((2_000_001, b"after".to_vec()));
    assert_eq!(content(&classic(Order::Little, &packets), 4_096, &[9]).unwrap().0, nanoseconds(&packets));
    packets[3].1.push(7);
    let (found, counters) = content(&classic(Order::Little, &packets), 4_096, &[9]).unwrap();
    assert_eq!(found, nanoseconds(&three()));
    assert_eq!((counters.truncated, counters.bad_record), (0, 1));
}

#[test]
fn captures_that_were_appended_to_each_other_are_read_one_after_the_other() {
    let little = classic(Order::Little, &three());
    let mut big = classic(Order::Big, &[(5, b"big".to_vec()), (6, Vec::new()), (7, b"end".to_vec())]);
    // Raw IP, and a zone of 0 as all have it.
    big[20..24].copy_from_slice(&[0, 0, 0, 101]);
    let empty = classic(Order::Little, &[]);
    let file = [&little[..], &empty, &big, &little].concat();
    let expected: Vec<_> =
        [three(), vec![(5, b"big".to_vec()), (6, Vec::new()), (7, b"end".to_vec())], three()].concat();
    for size in [16, 64, 1 << 16] {
        let (found, counters) = content(&file, size, &[9, 2]).unwrap();
        assert_eq!(found, nanoseconds(&expected));
        assert_eq!((counters.truncated, counters.bad_record), (0, 0));
    }
    // Cut inside the second header.
    let (found, counters) = content(&file[..little.len() + 20], 64, &[9]).unwrap();
    assert_eq!((found, counters.truncated), (nanoseconds(&three()), 1));
    // A packet of no bytes in the year 2055 is one.
    let late = [(0xa1b2_c3d4 * 1_000_000 + 5, Vec::new()), (9, b"after".to_vec())];
    assert_eq!(content(&classic(Order::Little, &late), 64, &[9]).unwrap().0, nanoseconds(&late));
}

#[test]
fn a_capture_may_be_appended_to_one_in_another_format() {
    for (one, other) in [(Order::Little, Order::Big), (Order::Big, Order::Little)] {
        let (classic, ng) = (classic(one, &three()), pcapng(other, &three()));
        let same = pcapng(one, &three());
        let file = [&ng[..], &classic, &same, &classic, &classic, &ng].concat();
        for size in [16, 64, 1 << 16] {
            let (found, counters) = content(&file, size, &[9, 2]).unwrap();
            assert_eq!(found, nanoseconds(&vec![three(); 6].concat()));
            assert_eq!((counters.truncated, counters.bad_record), (0, 0));
        }
    }
    // A local block, to whose type the highest bit belongs, that is none.
    let order = Order::Little;
    let local = block(order, 0xa1b2_c3d4, b"something");
    let file = [pcapng(order, &three()), local, enhanced(order, 0, &(5, b"after".to_vec()))].concat();
    assert_eq!(content(&file, 64, &[9]).unwrap().0.len(), 4);
}

#[test]
fn a_long_unknown_block_is_skipped_and_a_cut_one_counts() {
    let order = Order::Little;
    let start = [section(order), interface(order, 1, 0, &[]), block(order, 10, &vec![1; 3 << 20])].concat();
    let packet = (5, b"after".to_vec());
    let file = [start.clone(), enhanced(order, 0, &packet)].concat();
    assert_eq!(content(&file, 1 << 16, &[9]).unwrap().0, nanoseconds(std::slice::from_ref(&packet)));
    // Behind packets that are given out before it is passed over.
    let file =
        [pcapng(order, &three()), block(order, 10, &vec![1; 3 << 20]), enhanced(order, 0, &packet)].concat();
    assert_eq!(content(&file, 1 << 16, &[9]).unwrap().0, nanoseconds(&[three(), vec![packet]].concat()));
    let (found, counters) = content(&start[..start.len() - 1], 1 << 16, &[9]).unwrap();
    assert_eq!((found.len(), counters.truncated), (0, 1));
}

#[test]
fn packed_files_are_told_by_their_bytes() {
    let file = classic(Order::Little, &three());
    let (front, back) = file.split_at(50);
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd(&file)].concat();
    for packed in [
        gzip(&file),
        [gzip(front), gzip(back)].concat(),
        [gzip(b""), gzip(&file), gzip(b"")].concat(),
        zstd(&file),
        [zstd(front), zstd(back)].concat(),
        skippable,
        gzip(&pcapng(Order::Big, &three())),
    ] {
        let (found, counters) = content(&packed, 64, &[2]).unwrap();
        assert_eq!(found, nanoseconds(&three()));
        assert_eq!(counters.truncated, 0);
    }
}

#[test]
fn a_packed_file_that_is_cut_or_damaged_is_used_as_far_as_it_goes() {
    // Numbers without a pattern, lest everything fits into one block of the packed data.
    let noise =
        |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(number as u32).to_be_bytes();
    let packets: Vec<_> =
        (0..20_000).map(|number| (number, [noise(number), noise(!number)].concat())).collect();
    let (file, all) = (classic(Order::Little, &packets), nanoseconds(&packets));
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(&file).unwrap();
    for packed in [gzip(&file), encoder.finish().unwrap()] {
        let middle = packed.len() * 3 / 4;
        let (found, counters) = content(&packed[..middle], 4_096, &[512]).unwrap();
        assert!(found.len() > all.len() / 2 && found.len() < all.len());
        assert_eq!(found, all[..found.len()]);
        assert_eq!((counters.truncated, counters.bad_record), (1, 0));

        let mut damaged = packed.clone();
        damaged[middle..middle + 8].copy_from_slice(&[0xff; 8]);
        let (found, counters) = content(&damaged, 4_096, &[512]).unwrap();
        assert_eq!(found[..all.len() / 2], all[..all.len() / 2]);
        assert_eq!(counters.truncated + counters.bad_record, 1);
    }
}

#[test]
fn progress_counts_packed_bytes() {
    let packed = gzip(&classic(Order::Little, &three()));
    let files = directory(&[("a", packed.clone()), ("b", packed.clone())]);
    for names in [&["a"][..], &["a", "b"]] {
        let inputs: Vec<_> = names.iter().map(|name| files.path().join(name)).collect();
        let (mut source, _) = open(&inputs);
        let total = (packed.len() * names.len()) as u64;
        assert_eq!(source.progress().total, Some(total));
        drain(&mut source, &[2]);
        assert_eq!(source.progress().bytes, total);
        assert_eq!(source.progress().packets, 3 * names.len() as u64);
    }
}

#[test]
fn each_input_fails_alone_and_says_why() {
    let big = classic(Order::Big, &[]);
    let little = named(&[(1, "x")]);
    let files = directory(&[
        ("good.pcap", named(&[(5, "good")])),
        ("empty.pcap", Vec::new()),
        ("header.pcap", classic(Order::Big, &[])),
        ("cut.pcap", little[..20].to_vec()),
        ("text", b"not a capture".to_vec()),
        ("text.gz", gzip(b"not a capture")),
        ("packed.xz", b"\xfd7zXZ\0rest".to_vec()),
        ("mixed.pcap", [&big[..], &little[24..], &[0; 99]].concat()),
    ]);
    let names = [
        "missing.pcap",
        "empty.pcap",
        "header.pcap",
        "cut.pcap",
        "text",
        "text.gz",
        "packed.xz",
        "mixed.pcap",
        "good.pcap",
    ];
    let (found, errors) = texts(files.path(), &names);
    assert_eq!(found, ["good"]);
    assert!(matches!(
        errors[..],
        [
            SourceError::Missing { .. },
            SourceError::Empty { .. },
            SourceError::Unusable { .. },
            SourceError::NotACapture { .. },
            SourceError::NotACapture { .. },
            SourceError::Packed { with: "xz", .. },
            SourceError::Unusable { .. },
        ]
    ));
    let (found, errors) = texts(files.path(), &["mixed.pcap"]);
    assert!(found.is_empty() && matches!(errors[..], [SourceError::Unusable { .. }]));
    let (found, errors) = texts(files.path(), &["header.pcap"]);
    assert!(found.is_empty() && errors.is_empty());
}

#[test]
fn a_directory_stands_for_the_captures_directly_in_it() {
    let files = directory(&[
        ("b.log", named(&[(1, "b")])),
        ("a.pcap.gz", gzip(&named(&[(1, "a")]))),
        ("notes.txt", b"text".to_vec()),
        ("new.pcap", Vec::new()),
        ("cut.pcap", named(&[])[..9].to_vec()),
    ]);
    fs::create_dir(files.path().join("below")).unwrap();
    fs::write(files.path().join("below/c.pcap"), named(&[(1, "c")])).unwrap();
    let (found, errors) = texts(files.path(), &[""]);
    assert_eq!(found, ["a", "b"]);
    assert!(matches!(&errors[..], [SourceError::Unusable { path, .. }] if path.ends_with("cut.pcap")));
    fs::create_dir(files.path().join("bare")).unwrap();
    assert!(matches!(texts(files.path(), &["bare"]).1[..], [SourceError::NoCaptures { .. }]));
}

#[test]
fn patterns_match_and_a_file_given_twice_counts_once() {
    let files = directory(&[("a1.pcap", named(&[(1, "a")])), ("a[2].pcap", named(&[(2, "b")]))]);
    assert_eq!(texts(files.path(), &["a*.pcap"]).0, ["a", "b"]);
    assert_eq!(texts(files.path(), &["a[2].pcap"]).0, ["b"]);
    assert_eq!(texts(files.path(), &["a1.pcap", "a*", ""]).0, ["a", "b"]);
    assert!(matches!(texts(files.path(), &["b*.pcap"]).1[..], [SourceError::NoMatch { .. }]));
    assert!(matches!(texts(files.path(), &["a***"]).1[..], [SourceError::Pattern { .. }]));
}

#[test]
fn a_file_is_one_by_whatever_way_it_is_named() {
    let files = directory(&[("a.pcap", named(&[(1, "a")]))]);
    fs::create_dir(files.path().join("below")).unwrap();
    for link in ["latest.pcap", "below/link.pcap"] {
        std::os::unix::fs::symlink(files.path().join("a.pcap"), files.path().join(link)).unwrap();
    }
    for names in [
        &["a.pcap", "./a.pcap", "below/../a.pcap"][..],
        &["a.pcap", "latest.pcap"],
        &["latest.pcap", "below"],
        &[""],
        &["*.pcap"],
        &["a.pcap", "", "below"],
    ] {
        let (found, errors) = texts(files.path(), names);
        assert!(errors.is_empty(), "{names:?}: {errors:?}");
        assert_eq!(found, ["a"], "{names:?}");
    }
}

#[test]
fn a_directory_without_captures_that_a_pattern_matches_does_not_end_it() {
    let files = directory(&[("a.pcap", named(&[(1, "a")])), ("z.pcap", named(&[(3, "z")]))]);
    for below in ["b", "c", "d"] {
        fs::create_dir(files.path().join(below)).unwrap();
    }
    fs::write(files.path().join("c/c.pcap"), named(&[(2, "c")])).unwrap();
    let (found, errors) = texts(files.path(), &["*"]);
    assert_eq!(found, ["a", "c", "z"]);
    let told: Vec<_> = errors.iter().map(|error| error.path().strip_prefix(files.path()).unwrap()).collect();
    assert_eq!(told, [Path::new("b"), Path::new("d")], "{errors:?}");
}

#[test]
fn a_fifo_is_read_as_a_stream() {
    let files = directory(&[("a.pcap", named(&[(2, "file")]))]);
    let fifo = files.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    for names in [&["fifo"][..], &["a.pcap", "fifo"]] {
        let writer = std::thread::spawn({
            let fifo = fifo.clone();
            move || {
                let mut pipe = fs::OpenOptions::new().write(true).open(fifo).unwrap();
                named(&[(1, "one"), (3, "three")]).chunks(1).for_each(|byte| pipe.write_all(byte).unwrap());
            }
        });
        let (found, errors) = texts(files.path(), names);
        assert!(errors.is_empty());
        assert_eq!(found, if names.len() == 1 { vec!["one", "three"] } else { vec!["one", "file", "three"] });
        writer.join().unwrap();
    }
}

#[test]
fn files_merge_in_time_and_ties_go_by_file() {
    let files = directory(&[
        ("a", named(&[(10, "a1"), (20, "a2"), (5, "a3 late"), (30, "a4")])),
        ("b", named(&[(10, "b1"), (20, "b2"), (40, "b3")])),
        ("c", named(&[(1, "c1")])),
    ]);
    let expected = ["c1", "a1", "b1", "a2", "a3 late", "b2", "a4", "b3"];
    assert_eq!(texts(files.path(), &["a", "b", "c"]).0, expected);
}

#[test]
fn more_files_than_descriptors_merge() {
    // Every file spans the whole time, so that all are open at once.
    let files = tempfile::tempdir().unwrap();
    let count = 1_500_u64;
    for number in 0..count {
        let (early, late) = (number.to_string(), (number + count).to_string());
        let bytes = named(&[(number, &early), (number + count, &late)]);
        fs::write(files.path().join(format!("{number:04}.pcap")), bytes).unwrap();
    }
    let (found, errors) = texts(files.path(), &[""]);
    assert!(errors.is_empty());
    assert_eq!(found, (0..2 * count).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn parked_files_are_read_on_in_several_blocks() {
    let long: Vec<_> = (0..3_000_u64).map(|number| (number * 10, vec![number as u8; 60])).collect();
    let names: Vec<_> = (0..24).map(|number| format!("{number:02}.pcap")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), classic(Order::Little, &long))).collect();
    let files = directory(&files);
    let (mut source, errors) = open(&[files.path().to_path_buf()]);
    assert!(errors.is_empty());
    let (found, errors) = drain(&mut source, &[1_000]);
    assert!(errors.is_empty());
    let expected: Vec<_> = nanoseconds(&long).into_iter().flat_map(|packet| vec![packet; 24]).collect();
    assert!(found == expected);
    assert_eq!(source.counters().files, 24);
}

#[test]
fn a_file_that_is_gone_when_its_time_comes_does_not_take_the_others_along() {
    let files = directory(&[
        ("a", named(&[(1, "a1"), (9, "a2")])),
        ("b", named(&[(5, "b1")])),
        ("c", named(&[(7, "c1")])),
    ]);
    let inputs: Vec<_> = ["a", "b", "c"].map(|name| files.path().join(name)).to_vec();
    let (mut source, errors) = open(&inputs);
    assert!(errors.is_empty());
    fs::remove_file(&inputs[1]).unwrap();
    let (found, errors) = drain(&mut source, &[10]);
    assert_eq!(found.iter().map(|(_, bytes)| &bytes[..]).collect::<Vec<_>>(), [b"a1", b"c1", b"a2"]);
    assert!(matches!(&errors[..], [SourceError::Missing { path }] if *path == inputs[1]));
}

#[test]
fn nothing_named_gives_nothing_and_a_source_can_change_threads() {
    fn sent<T: Send>(_: &T) {}
    let (mut source, errors) = open(&[]);
    sent(&source);
    assert!(errors.is_empty() && source.next_batch(0).unwrap().is_none());
    assert_eq!(source.counters(), SourceCounters::default());
}

#[test]
fn a_file_that_is_cut_while_it_is_read_ends_there() {
    let packets: Vec<Sample> = (0..40_000).map(|time| (time, vec![time as u8; 180])).collect();
    let file = directory(&[("a.pcap", classic(Order::Little, &packets))]);
    let path = file.path().join("a.pcap");
    let (mut source, _) = open(std::slice::from_ref(&path));
    let mut count = 0;
    while let Some(batch) = source.next_batch(64).unwrap() {
        fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        count += batch.packets.len();
    }
    assert!(count > 0 && count < packets.len(), "{count}");
    assert_eq!(source.counters().truncated, 1);
}
