//! A writer by hand: rotation, rings, records in pieces, copies, names that come and go.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// File header: microseconds, little-endian, version 2.4, snapshot length 0x40000, Ethernet.
const HEADER: [u8; 24] = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

/// A record of three bytes, captured at that second.
fn record(second: u32) -> Vec<u8> {
    let mut record = second.to_le_bytes().to_vec();
    record.extend([0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]);
    record.extend([b'x', second as u8, (second >> 8) as u8]);
    record
}

fn capture(seconds: impl IntoIterator<Item = u32>) -> Vec<u8> {
    HEADER.into_iter().chain(seconds.into_iter().flat_map(record)).collect()
}

struct Scene {
    directory: TempDir,
    follow: Follow,
}

impl Scene {
    fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(directory.path().join(name), bytes).unwrap());
        let mut follow = Follow::open(directory.path(), None).unwrap();
        // The flag is the process's: a test must not end the others.
        follow.stop = Arc::default();
        Self { directory, follow }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> File {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// What comes until nothing comes for `rounds` times the patience.
    fn seconds_for(&mut self, rounds: usize) -> Vec<u64> {
        let (mut seconds, mut idle) = (Vec::new(), 0);
        while idle < rounds {
            let batch = self.follow.next_batch(3).unwrap().unwrap();
            idle = if batch.packets.is_empty() { idle + 1 } else { 0 };
            for packet in batch.packets {
                let second = packet.timestamp.0 / 1_000_000_000;
                assert_eq!(batch.frame(packet), [b'x', second as u8, (second >> 8) as u8]);
                seconds.push(second);
            }
        }
        seconds
    }

    fn seconds(&mut self) -> Vec<u64> {
        self.seconds_for(2)
    }

    /// As if a slow poll were due.
    fn look_through(&mut self) {
        self.follow.watch.doubt();
    }
}

#[test]
fn what_is_there_comes_in_packet_time_and_then_what_is_written() {
    let mut scene =
        Scene::new(&[("b.pcap", capture([3, 4])), ("a.pcap", capture([1, 5])), ("note.txt", vec![b'n'; 90])]);
    assert_eq!(scene.seconds(), [1, 3, 4, 5]);
    scene.write("b.pcap", &record(6));
    assert_eq!(scene.seconds(), [6]);
    scene.write("c.pcap", &capture([7]));
    scene.write("a.pcap", &record(8));
    assert_eq!(scene.seconds(), [7, 8]);
    assert_eq!(scene.seconds(), [] as [u64; 0]);
    assert_eq!(scene.follow.counters(), SourceCounters { files: 3, packets: 7, ..SourceCounters::default() });
}

#[test]
fn a_file_comes_byte_by_byte() {
    let mut scene = Scene::new(&[("a.pcap0", vec![])]);
    assert_eq!(scene.seconds(), [] as [u64; 0]);
    let mut found = Vec::new();
    for byte in capture([1, 2]) {
        scene.write("a.pcap0", &[byte]);
        let batch = scene.follow.next_batch(9).unwrap().unwrap();
        found.extend(batch.packets.iter().map(|packet| packet.timestamp.0 / 1_000_000_000));
    }
    found.extend(scene.seconds());
    assert_eq!(found, [1, 2]);
    assert_eq!((scene.follow.counters.truncated, scene.follow.counters.bad_record), (0, 0));
}

#[test]
fn a_ring_is_written_over() {
    let mut scene = Scene::new(&[("r0", capture([1, 2, 3])), ("r1", capture([4]))]);
    assert_eq!(scene.seconds(), [1, 2, 3, 4]);
    // As fopen(.., "w") does it: the same inode, and shorter at first.
    fs::write(scene.path("r0"), []).unwrap();
    assert_eq!(scene.seconds(), [] as [u64; 0]);
    scene.write("r0", &capture([5]));
    assert_eq!(scene.seconds(), [5]);
    // Longer than what was read of it, in one go: the first bytes tell.
    fs::write(scene.path("r1"), capture([6, 7, 8])).unwrap();
    assert_eq!(scene.seconds(), [6, 7, 8]);
    // Another file under the same name.
    fs::write(scene.path("new"), capture([9, 10])).unwrap();
    assert_eq!(scene.seconds(), [9, 10]);
    fs::rename(scene.path("new"), scene.path("r0")).unwrap();
    scene.write("r0", &record(11));
    assert_eq!(scene.seconds(), [11]);
    assert_eq!(scene.follow.counters.bad_record, 0);
}

#[test]
fn deleted_files_are_read_to_their_end_and_forgotten() {
    let mut scene = Scene::new(&[("a", capture([1]))]);
    assert_eq!(scene.seconds(), [1]);
    let mut file = scene.write("a", &[]);
    fs::remove_file(scene.path("a")).unwrap();
    file.write_all(&record(2)).unwrap();
    scene.look_through();
    assert_eq!(scene.seconds(), [2]);
    // The same name again, and perhaps the same inode.
    scene.write("a", &capture([3]));
    assert_eq!(scene.seconds(), [3]);
    assert_eq!(scene.follow.counters.deleted, 0);
}

#[test]
fn deleted_before_its_turn_is_counted() {
    let mut scene = Scene::new(&[("a", capture(1..9)), ("b", capture([20]))]);
    assert_eq!(scene.follow.next_batch(2).unwrap().unwrap().packets.len(), 2);
    fs::remove_file(scene.path("b")).unwrap();
    assert_eq!(scene.seconds(), [3, 4, 5, 6, 7, 8]);
    scene.look_through();
    scene.seconds();
    assert_eq!(scene.follow.counters.deleted, 1);
    assert!(scene.follow.identities.len() == 1 && scene.follow.names.len() == 1);
}

#[test]
fn renamed_before_its_turn_is_read_under_its_new_name() {
    let mut scene = Scene::new(&[("a", capture(1..9)), ("b", capture([20]))]);
    assert_eq!(scene.follow.next_batch(2).unwrap().unwrap().packets.len(), 2);
    fs::rename(scene.path("b"), scene.path("c")).unwrap();
    scene.look_through();
    assert_eq!(scene.seconds(), [3, 4, 5, 6, 7, 8, 20]);
    assert_eq!(scene.follow.counters.deleted, 0);
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn packed_files_are_read_when_finished_and_copies_never() {
    let whole = packed(&capture([3, 4]));
    let mut scene = Scene::new(&[
        ("a.pcap", capture([1])),
        ("a.pcap.gz", packed(&capture([1]))),
        ("c.gz", whole[..whole.len() / 2].to_vec()),
    ]);
    assert_eq!(scene.seconds(), [1], "one is a copy, one not finished");
    scene.write("c.gz", &whole[whole.len() / 2..]);
    fs::remove_file(scene.path("a.pcap")).unwrap();
    scene.look_through();
    assert_eq!(scene.seconds(), [] as [u64; 0]);
    std::thread::sleep(Duration::from_millis(2100));
    scene.look_through();
    assert_eq!(scene.seconds(), [3, 4]);
    assert_eq!(scene.follow.counters.truncated, 0);
}

/// As `tcpdump -G … -z gzip` leaves it, whose next capture has begun: it was written to its end, then dated.
#[test]
fn what_was_just_packed_comes_in_its_turn() {
    let mut scene = Scene::new(&[("b.pcap", capture([5, 6]))]);
    let file = scene.write("a.pcap.gz", &packed(&capture([1, 2])));
    let written = file.metadata().unwrap().modified().unwrap();
    file.set_modified(written - Duration::from_millis(100)).unwrap();
    assert_eq!(scene.seconds(), [1, 2, 5, 6]);
}

#[test]
fn a_copy_stands_in_for_what_was_deleted_unread() {
    let mut scene = Scene::new(&[("a", capture(1..9)), ("b", capture([20, 21]))]);
    assert_eq!(scene.follow.next_batch(2).unwrap().unwrap().packets.len(), 2);
    let file = scene.write("b.gz", &packed(&capture([20, 21])));
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(scene.follow.next_batch(2).unwrap().unwrap().packets.len(), 2);
    scene.look_through();
    assert_eq!(scene.follow.next_batch(1).unwrap().unwrap().packets.len(), 1);
    fs::remove_file(scene.path("b")).unwrap();
    assert_eq!(scene.seconds(), [6, 7, 8, 20, 21]);
    assert_eq!(scene.follow.counters.deleted, 0);
}

#[test]
fn quiet_files_are_closed_and_go_on_where_they_were() {
    let names: Vec<String> = (0..40).map(|number| format!("f{number:02}")).collect();
    let mut scene = Scene::new(&[]);
    for (second, name) in (0u32..).zip(&names) {
        scene.write(name, &capture([second]));
    }
    assert_eq!(scene.seconds(), (0..40).collect::<Vec<u64>>());
    assert!(scene.follow.open <= OPEN && scene.follow.waiting.len() <= OPEN, "{}", scene.follow.open);
    let cut = record(40).len() / 2;
    scene.write("f00", &record(40)[..cut]);
    assert_eq!(scene.seconds(), [] as [u64; 0]);
    scene.write("f00", &record(40)[cut..]);
    assert_eq!(scene.seconds(), [40]);
    assert_eq!(scene.follow.counters, SourceCounters { files: 40, packets: 41, ..SourceCounters::default() });
}

#[test]
fn damage_ends_a_file_and_nothing_else() {
    let mut bad = capture([1]);
    bad.extend([0xff; 40]);
    let mut scene = Scene::new(&[("a", bad), ("b", capture([2]))]);
    assert_eq!(scene.seconds(), [1, 2]);
    scene.write("a", &record(3));
    scene.write("b", &record(4));
    assert_eq!(scene.seconds(), [4]);
    assert_eq!(scene.follow.counters.bad_record, 1);
}

#[test]
fn what_can_never_be_read_is_counted_once() {
    let garbage = [&HEADER[..], &[0xff; 40]].concat();
    let mut torn = packed(&capture(1..500));
    // RFC 1952 2.3: the header has 10 bytes; what follows is no block of RFC 1951 any more.
    torn[10..40].fill(0xff);
    // Not even its tables of codes are whole (RFC 1951 3.2.7).
    let mut cut = packed(&capture(1..500));
    cut.truncate(40);
    let mut scene = Scene::new(&[("good", capture([3])), ("bad", garbage), ("half", HEADER[..23].to_vec())]);
    for (name, bytes) in [("torn.gz", torn), ("cut.gz", cut)] {
        scene.write(name, &bytes).set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    assert_eq!(scene.seconds(), [3]);
    assert_eq!(scene.follow.counters.bad_record, 3);
    scene.write("bad", &record(4));
    scene.look_through();
    assert_eq!(scene.seconds(), [] as [u64; 0]);
    assert_eq!(scene.follow.counters.bad_record, 3, "once");
    // Another capture in its place.
    fs::write(scene.path("bad"), capture([5])).unwrap();
    assert_eq!(scene.seconds(), [5]);
    assert_eq!(scene.follow.counters.bad_record, 3);
}

#[test]
fn a_directory_may_go_and_come_back() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("captures");
    fs::create_dir(&path).unwrap();
    let mut follow = Follow::open(&path, None).unwrap();
    follow.stop = Arc::default();
    fs::remove_dir(&path).unwrap();
    follow.watch.doubt();
    assert_eq!(follow.next_batch(1).unwrap().unwrap().packets.len(), 0);
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a"), capture([1])).unwrap();
    follow.watch.doubt();
    assert_eq!(follow.next_batch(1).unwrap().unwrap().packets.len(), 1);
}

#[test]
fn it_ends_when_asked_or_when_its_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a"), capture([1])).unwrap();
    let mut follow = Follow::open(directory.path(), Some(Duration::from_millis(1))).unwrap();
    follow.stop = Arc::default();
    assert_eq!(follow.next_batch(9).unwrap().unwrap().packets.len(), 1);
    std::thread::sleep(Duration::from_millis(2));
    assert!(follow.next_batch(9).unwrap().is_none());
    let mut follow = Follow::open(directory.path(), None).unwrap();
    follow.stop = Arc::new(AtomicBool::new(true));
    assert_eq!(follow.next_batch(9).unwrap().unwrap().packets.len(), 1, "what is there is not lost");
    assert!(follow.next_batch(9).unwrap().is_none());
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = |path: &Path| Follow::open(path, None).err().unwrap().to_string();
    assert!(error(file.path()).contains("not a directory; name the one"));
    assert!(error(Path::new("/nonexistent")).contains("no such file"));
}
