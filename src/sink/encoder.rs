//! One capture file in the making: which headers it has had, and what a frame becomes in it.

use smallvec::SmallVec;

use crate::capture::LinkType;
use crate::decode::network;
use crate::sink::{link, pcap, pcapng};
use crate::time::Timestamp;

/// The format of capture files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileFormat {
    /// Classic: one link type and one resolution, those of the first frame.
    #[default]
    Pcap,
    /// pcapng: every frame as it was captured.
    PcapNg,
}

impl FileFormat {
    /// The extension of its files, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Pcap => "pcap",
            Self::PcapNg => "pcapng",
        }
    }
}

/// What a capture file says of a frame besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct FrameInfo {
    /// When it was captured.
    pub timestamp: Timestamp,
    /// The stamp has nanoseconds, not microseconds.
    pub nanosecond: bool,
    /// Its link type.
    pub link: LinkType,
    /// How many bytes it had on the wire.
    pub original: u32,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Written as captured.
    Written,
    /// Its link-layer header was replaced by one of the file's link type.
    Rewrapped,
    /// Not written: not IP, or no header of the file's link type can be made for it.
    Unwritable,
}

/// Where an encoder's bytes go.
pub trait Output {
    /// Takes the next bytes of the file.
    fn put(&mut self, bytes: &[u8]);

    /// Takes a record's header and what follows it.
    fn put_record(&mut self, header: &[u8], parts: (&[u8], &[u8])) {
        [header, parts.0, parts.1].into_iter().for_each(|part| self.put(part));
    }
}

impl Output for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// The most interfaces of one pcapng file: a hostile capture could name every link type there is, and each frame
/// searches the list.
const MAX_INTERFACES: usize = 64;

/// Encodes frames into a file of either format, and its headers when they are due.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    format: FileFormat,
    /// Link types and resolutions described so far; a classic file has one.
    interfaces: SmallVec<[(LinkType, bool); 2]>,
}

impl Encoder {
    /// An encoder for a file that has no bytes yet.
    #[must_use]
    pub fn new(format: FileFormat) -> Self {
        Self { format, interfaces: SmallVec::new() }
    }

    /// Begins a new file.
    pub fn reset(&mut self) {
        self.interfaces.clear();
    }

    /// Whether the file has had no header yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.interfaces.is_empty()
    }

    /// Is told that what it made since the file's last good state was lost: `kept` tells whether the file has
    /// bytes. A pcapng file then goes on with a new section, for nobody knows which interfaces it still has.
    pub fn lost(&mut self, kept: bool) {
        if !kept || self.format == FileFormat::PcapNg {
            self.reset();
        }
    }

    /// The one link type that the file can hold; none while it can hold any.
    #[must_use]
    pub fn bound_to(&self) -> Option<LinkType> {
        match self.format {
            FileFormat::Pcap => self.interfaces.first().map(|&(link, _)| link),
            FileFormat::PcapNg => None,
        }
    }

    /// Appends a frame of link type `info.link`. Bytes beyond [`pcap::SNAPLEN`] are cut off.
    pub fn frame(&mut self, info: &FrameInfo, bytes: &[u8], out: &mut impl Output) -> Fate {
        let bytes = bytes.get(..pcap::SNAPLEN as usize).unwrap_or(bytes);
        match self.format {
            FileFormat::PcapNg => self.block(info, bytes, out),
            FileFormat::Pcap => {
                let (link, nanosecond) = self.first(info, out);
                if link == link::of_file(info.link) {
                    record(info, nanosecond, (&[], bytes), info.original, out);
                    Fate::Written
                } else {
                    rewrapped(info, (link, nanosecond), bytes, out)
                }
            }
        }
    }

    /// The link type and resolution of a classic file; its header is written before the first frame.
    fn first(&mut self, info: &FrameInfo, out: &mut impl Output) -> (LinkType, bool) {
        if let Some(&first) = self.interfaces.first() {
            return first;
        }
        let first = (link::of_file(info.link), info.nanosecond);
        out.put(&pcap::file_header(first.0, first.1));
        self.interfaces.push(first);
        first
    }

    fn block(&mut self, info: &FrameInfo, bytes: &[u8], out: &mut impl Output) -> Fate {
        let wanted = (info.link, info.nanosecond);
        let known = self.interfaces.iter().position(|&interface| interface == wanted);
        if known.is_none() && self.interfaces.len() == MAX_INTERFACES {
            return Fate::Unwritable;
        }
        let index = known.unwrap_or_else(|| {
            if self.interfaces.is_empty() {
                out.put(&pcapng::section_header());
            }
            out.put(&pcapng::interface(info.link, info.nanosecond));
            self.interfaces.push(wanted);
            self.interfaces.len() - 1
        });
        let lengths = (bytes.len() as u32, info.original.max(bytes.len() as u32));
        let block = pcapng::packet(index as u32, info.timestamp, info.nanosecond, lengths);
        out.put_record(&block.head, (bytes, block.tail()));
        Fate::Written
    }
}

/// Appends a record of the classic format whose packet is `parts` one after the other.
fn record(info: &FrameInfo, nanosecond: bool, parts: (&[u8], &[u8]), original: u32, out: &mut impl Output) {
    let captured = (parts.0.len() + parts.1.len()) as u32;
    let header = pcap::record_header(info.timestamp, nanosecond, captured, original.max(captured));
    out.put_record(&header, parts);
}

/// Appends a frame to a classic file of another link type: its IP packet behind a header of that type.
fn rewrapped(info: &FrameInfo, file: (LinkType, bool), bytes: &[u8], out: &mut impl Output) -> Fate {
    let Some(network) = network(info.link, bytes) else { return Fate::Unwritable };
    let Some(header) = link::made_up(file.0, network.v6) else { return Fate::Unwritable };
    let packet = bytes.get(network.offset..).unwrap_or_default();
    let packet = packet.get(..pcap::SNAPLEN as usize - header.len()).unwrap_or(packet);
    let original = (u64::from(info.original) + header.len() as u64)
        .saturating_sub(network.offset as u64)
        .min(u32::MAX.into());
    let mut header: SmallVec<[u8; link::LONGEST]> = SmallVec::from_slice(header);
    link::fit(file.0, &mut header, original as u32);
    record(info, file.1, (&header, packet), original as u32, out);
    Fate::Rewrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(link: LinkType, nanosecond: bool) -> FrameInfo {
        FrameInfo { timestamp: Timestamp::new(1_700_000_000, 1_234_567), nanosecond, link, original: 100 }
    }

    #[test]
    fn the_first_frame_decides_what_a_classic_file_is() {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(FileFormat::Pcap);
        assert_eq!(encoder.frame(&info(LinkType::RAW, true), b"\x45aa", &mut out), Fate::Written);
        assert_eq!(out.len(), 24 + 16 + 3);
        assert_eq!(encoder.bound_to(), Some(LinkType::RAW));
        let ethernet = b"\0\0\0\0\0\0\0\0\0\0\0\0\x08\x00\x45bb";
        assert_eq!(encoder.frame(&info(LinkType::ETHERNET, false), ethernet, &mut out), Fate::Rewrapped);
        assert_eq!(out[out.len() - 3..], *b"\x45bb");
        assert_eq!(out[out.len() - 7..out.len() - 3], 86u32.to_le_bytes(), "14 bytes less on the wire");
        assert_eq!(encoder.frame(&info(LinkType(127), false), ethernet, &mut out), Fate::Unwritable);
        assert_eq!(out.len(), 24 + 2 * (16 + 3));
    }

    #[test]
    fn a_pcapng_file_takes_every_link_type_up_to_a_cap() {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(FileFormat::PcapNg);
        for link in 0..MAX_INTERFACES as u16 {
            assert_eq!(encoder.frame(&info(LinkType(link), false), b"abcd", &mut out), Fate::Written);
        }
        assert_eq!(encoder.frame(&info(LinkType(999), false), b"abcd", &mut out), Fate::Unwritable);
        assert_eq!(out.len(), 28 + MAX_INTERFACES * (32 + 28 + 4 + 4));
    }

    #[test]
    fn a_frame_longer_than_readers_take_is_cut() {
        let mut out = Vec::new();
        let huge = vec![0x45; 300_000];
        Encoder::new(FileFormat::Pcap).frame(&info(LinkType::RAW, false), &huge, &mut out);
        assert_eq!(out.len(), 24 + 16 + pcap::SNAPLEN as usize);
    }
}
