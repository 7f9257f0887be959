//! What a crash left behind: unfinished files get their final names.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::sink::directory::{Directories, PART};
use crate::sink::manifest::Manifest;
use crate::sink::pcap::SNAPLEN;

/// What [`recover`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Unfinished files that got their final names.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these, files whose last record was incomplete; it was cut off.
    pub cut: u64,
    /// Listed files without a record, which are gone.
    pub empty: u64,
    /// Files that could not be dealt with; they are as they were.
    pub failed: u64,
    /// The first of them, by name and what the system said.
    pub first_error: Option<String>,
    /// Another process writes here; nothing was touched.
    pub busy: bool,
}

/// How deep directories below the one of call files are looked into: names lead no deeper than their prefix and
/// template, and those have a few levels.
const MAX_DEPTH: usize = 8;

/// Gives the unfinished files (`*.pcap.part`, `*.pcapng.part`) that a crash left in `directory` and below their final
/// names, unless another process is writing there. A directory that is not there holds none. What the manifest lists
/// as unfinished is listed as complete then.
///
/// # Errors
/// The directory cannot be read. A file that cannot be renamed is left as it is.
pub fn recover(directory: &Path, manifest: Option<&Manifest>) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let base = match rustix::fs::openat(CWD, directory, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(recovered),
        opened => opened?,
    };
    if rustix::fs::flock(&base, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        recovered.busy = true;
        return Ok(recovered);
    }
    let mut parts = Vec::new();
    find(&base, "", 0, &mut parts)?;
    let listed = manifest.map(Manifest::unfinished).unwrap_or_default();
    let mut directories = Directories::over(directory, base);
    for name in parts {
        if let Err(error) = finalise(&mut directories, &name, &listed, manifest, &mut recovered) {
            recovered.failed += 1;
            recovered.first_error.get_or_insert(format!("{name}{PART}: {error}"));
        }
    }
    if let Some(manifest) = manifest {
        listed.iter().for_each(|name| manifest.dropped(name));
    }
    Ok(recovered)
}

/// Names, without their ending, of unfinished files in an open directory and below.
fn find(
    directory: impl std::os::fd::AsFd,
    prefix: &str,
    depth: usize,
    out: &mut Vec<String>,
) -> io::Result<()> {
    let mut below = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        let is_directory = entry.file_type() == FileType::Directory;
        if is_directory && depth < MAX_DEPTH && !name.starts_with('.') {
            below.push(name.to_owned());
        } else if !is_directory && let Some(name) = name.strip_suffix(PART).filter(|name| is_capture(name)) {
            out.push(format!("{prefix}{name}"));
        }
    }
    for name in below {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(opened) = rustix::fs::openat(&directory, name.as_str(), flags, Mode::empty()) {
            find(&opened, &format!("{prefix}{name}/"), depth + 1, out)?;
        }
    }
    Ok(())
}

fn is_capture(name: &str) -> bool {
    name.ends_with(".pcap") || name.ends_with(".pcapng")
}

fn finalise(
    directories: &mut Directories,
    name: &str,
    listed: &BTreeSet<String>,
    manifest: Option<&Manifest>,
    recovered: &mut Recovered,
) -> io::Result<()> {
    let (parent, file) = directories.locate(name)?;
    let part = format!("{file}{PART}");
    let about = rustix::fs::statat(parent, part.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = File::from(rustix::fs::openat(parent, part.as_str(), flags, Mode::empty())?);
    let length = opened.metadata()?.len();
    let whole = whole_length(&opened)?;
    if whole == Some(0) {
        // Nothing is lost with it; but who knows whose it is, if it is not listed.
        if listed.contains(name) {
            directories.remove(name, 1, PART)?;
            recovered.empty += 1;
        }
        return Ok(());
    }
    if let Some(whole) = whole.filter(|&whole| whole < length) {
        opened.set_len(whole)?;
        recovered.cut += 1;
    }
    let number = directories.finalise(name, 1)?;
    recovered.files += 1;
    recovered.bytes = recovered.bytes.saturating_add(whole.unwrap_or(length));
    if let Some(manifest) = manifest.filter(|_| listed.contains(name)) {
        let mut given = String::new();
        crate::sink::directory::numbered(&mut given, name, number, "");
        manifest.done(Some(name), &given)?;
    }
    Ok(())
}

/// The longest block of a pcapng file that is believed.
const MAX_BLOCK: u32 = SNAPLEN + 1_024;

/// How many bytes of a capture file are whole records; 0 when there is none, none when it is no capture as this
/// program writes them: then nobody knows, and it stays as it is.
fn whole_length(file: &File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(64 << 10, file);
    reader.seek(SeekFrom::Start(0))?;
    let mut start = [0; 4];
    if length < 24 || reader.read_exact(&mut start).is_err() {
        return Ok(Some(0));
    }
    reader.seek(SeekFrom::Start(0))?;
    match u32::from_le_bytes(start) {
        0xa1b2_c3d4 | 0xa1b2_3c4d => classic(&mut reader, length).map(Some),
        0x0a0d_0d0a => pcapng(&mut reader, length).map(Some),
        _ => Ok(None),
    }
}

fn classic(reader: &mut BufReader<&File>, length: u64) -> io::Result<u64> {
    const HEADER: u64 = 24;
    let mut at = HEADER;
    reader.seek_relative(HEADER.cast_signed())?;
    let mut head = [0; 16];
    while at + 16 <= length {
        reader.read_exact(&mut head)?;
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = head;
        let captured = u32::from_le_bytes([a, b, c, d]);
        let next = at + 16 + u64::from(captured);
        // A crash of the machine may leave zeros behind.
        if head == [0; 16] || captured > SNAPLEN || next > length {
            break;
        }
        reader.seek_relative(i64::from(captured))?;
        at = next;
    }
    Ok(if at == HEADER { 0 } else { at })
}

fn pcapng(reader: &mut BufReader<&File>, length: u64) -> io::Result<u64> {
    let (mut at, mut packets) = (0, false);
    let mut head = [0; 8];
    while at + 12 <= length {
        reader.read_exact(&mut head)?;
        let [k, l, m, n, a, b, c, d] = head;
        let (kind, total) = (u32::from_le_bytes([k, l, m, n]), u32::from_le_bytes([a, b, c, d]));
        let next = at + u64::from(total);
        if !(12..=MAX_BLOCK).contains(&total) || !total.is_multiple_of(4) || next > length {
            break;
        }
        reader.seek_relative(i64::from(total) - 12)?;
        let mut tail = [0; 4];
        reader.read_exact(&mut tail)?;
        if tail != [a, b, c, d] {
            break;
        }
        packets |= kind == 6;
        at = next;
    }
    Ok(if packets { at } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::LinkType;
    use crate::sink::encoder::{Encoder, FileFormat, FrameInfo};
    use crate::time::Timestamp;
    use std::fs;

    fn capture(format: FileFormat, frames: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(format);
        for number in 0..frames {
            let info = FrameInfo {
                timestamp: Timestamp::new(1_700_000_000, 0),
                nanosecond: false,
                link: LinkType::RAW,
                original: 21 + number as u32,
            };
            encoder.frame(&info, &vec![0x45; 21 + number], &mut out);
        }
        out
    }

    #[test]
    fn leftovers_are_finalised_when_nobody_writes() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("day/one")).unwrap();
        let (pcap, pcapng) = (capture(FileFormat::Pcap, 3), capture(FileFormat::PcapNg, 3));
        let header = &pcap[..24];
        for (name, bytes) in [
            ("a.pcap.part", &pcap[..]),
            ("a.pcap", b"old"),
            ("day/one/b~2.pcapng.part", &pcapng[..pcapng.len() - 3]),
            ("c.pcap.part", header),
            ("d.pcap.part", b"not by this program, it seems"),
            ("notes.part", b"x"),
        ] {
            fs::write(path(name), bytes).unwrap();
        }
        std::os::unix::fs::symlink(path("notes.part"), path("link.pcap.part")).unwrap();
        let writer = Directories::open(root.path()).unwrap();
        assert!(recover(root.path(), None).unwrap().busy);
        drop(writer);
        let found = recover(root.path(), None).unwrap();
        let last = capture(FileFormat::PcapNg, 2).len();
        let bytes = (pcap.len() + last + 29) as u64;
        assert_eq!(found, Recovered { files: 3, bytes, cut: 1, ..Recovered::default() });
        assert_eq!(fs::read(path("a~2.pcap")).unwrap(), pcap);
        assert_eq!(fs::read(path("a.pcap")).unwrap(), b"old");
        assert_eq!(fs::read(path("day/one/b~2.pcapng")).unwrap(), pcapng[..last]);
        assert!(path("d.pcap").exists() && path("c.pcap.part").exists());
        assert!(path("notes.part").exists() && path("link.pcap.part").is_symlink());
        assert_eq!(recover(root.path(), None).unwrap(), Recovered::default());
        assert_eq!(recover(&root.path().join("absent"), None).unwrap(), Recovered::default());
    }

    #[test]
    fn a_file_cut_anywhere_ends_with_a_whole_record() {
        for format in [FileFormat::Pcap, FileFormat::PcapNg] {
            let ends: Vec<usize> = (1..5).map(|frames| capture(format, frames).len()).collect();
            let all = capture(format, 4);
            for cut in 0..=all.len() {
                let file = tempfile::tempfile().unwrap();
                io::Write::write_all(&mut &file, &all[..cut]).unwrap();
                let wanted = ends.iter().rev().find(|&&end| end <= cut).copied().unwrap_or(0);
                assert_eq!(whole_length(&file).unwrap(), Some(wanted as u64), "{format:?} {cut}");
            }
            let mut zeros = all.clone();
            zeros.resize(all.len() + 500, 0);
            let file = tempfile::tempfile().unwrap();
            io::Write::write_all(&mut &file, &zeros).unwrap();
            assert_eq!(whole_length(&file).unwrap(), Some(all.len() as u64));
        }
    }

    #[test]
    fn what_the_list_has_as_unfinished_is_listed_as_complete() {
        let root = tempfile::tempdir().unwrap();
        let manifest = Manifest::open(root.path()).unwrap();
        let pcap = capture(FileFormat::Pcap, 2);
        for name in ["ours.pcap", "foreign.pcap"] {
            fs::write(root.path().join(format!("{name}.part")), &pcap).unwrap();
        }
        manifest.begun("ours.pcap").unwrap();
        manifest.begun("gone.pcap").unwrap();
        manifest.begun("empty.pcap").unwrap();
        fs::write(root.path().join("empty.pcap.part"), &pcap[..24]).unwrap();
        let found = recover(root.path(), Some(&manifest)).unwrap();
        assert_eq!((found.files, found.empty), (2, 1));
        assert!(manifest.unfinished().is_empty());
        let text = fs::read_to_string(root.path().join(crate::sink::manifest::NAME)).unwrap();
        let done: Vec<&str> = text.lines().filter(|line| line.starts_with('=')).collect();
        assert!(done.len() == 1 && done[0].ends_with(" ours.pcap"), "{text}");
    }
}
