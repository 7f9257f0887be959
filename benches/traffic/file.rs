//! Writes frames to a capture file: classic pcap or pcapng, µs or ns, either byte order.

use std::io::{self, Write};

use super::profile::{Format, Link, Wire};

/// The file, and what went into it.
pub(crate) struct CaptureFile<'w> {
    out: io::BufWriter<&'w mut dyn Write>,
    format: Format,
    big_endian: bool,
    /// Nanoseconds per unit of the file's stamps.
    unit: u64,
    snaplen: usize,
    header: Vec<u8>,
    last: u64,
    /// Totals so far.
    pub(crate) totals: Totals,
}

/// What a capture file holds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) packets: u64,
    /// Captured bytes.
    pub(crate) bytes: u64,
    /// Bytes on the wire.
    pub(crate) wire_bytes: u64,
    /// Frames shortened by the snap length.
    pub(crate) cut: u64,
    /// Nanoseconds since 1970 as the file has them.
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl<'w> CaptureFile<'w> {
    /// Writes the file header.
    pub(crate) fn create(out: &'w mut dyn Write, wire: &Wire) -> io::Result<Self> {
        let mut file = Self {
            out: io::BufWriter::with_capacity(1 << 20, out),
            format: wire.format,
            big_endian: wire.big_endian,
            unit: if wire.nanoseconds { 1 } else { 1_000 },
            snaplen: if wire.snaplen == 0 { 262_144 } else { wire.snaplen as usize },
            header: Vec::new(),
            last: 0,
            totals: Totals::default(),
        };
        match wire.format {
            Format::Pcap => file.pcap_header(wire),
            Format::Pcapng => file.section_and_interface(wire),
        }
        file.out.write_all(&file.header)?;
        Ok(file)
    }

    /// Writes a frame at `at`, in nanoseconds since 1970, and returns the stamp it got: the file's resolution, never
    /// before the frame in front of it.
    pub(crate) fn frame(&mut self, at: u64, frame: &[u8]) -> io::Result<u64> {
        let stamp = (at - at % self.unit).max(self.last);
        self.last = stamp;
        let kept = &frame[..frame.len().min(self.snaplen)];
        self.header.clear();
        match self.format {
            Format::Pcap => {
                self.u32((stamp / 1_000_000_000) as u32);
                self.u32((stamp % 1_000_000_000 / self.unit) as u32);
                self.u32(kept.len() as u32);
                self.u32(frame.len() as u32);
                self.out.write_all(&self.header)?;
                self.out.write_all(kept)?;
            }
            Format::Pcapng => self.packet_block(stamp, kept, frame.len())?,
        }
        self.count(stamp, kept.len(), frame.len());
        Ok(stamp)
    }

    /// Flushes the file.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn count(&mut self, stamp: u64, kept: usize, whole: usize) {
        let totals = &mut self.totals;
        if totals.packets == 0 {
            totals.first = stamp;
        }
        totals.last = stamp;
        totals.packets += 1;
        totals.bytes += kept as u64;
        totals.wire_bytes += whole as u64;
        totals.cut += u64::from(kept < whole);
    }

    fn pcap_header(&mut self, wire: &Wire) {
        self.u32(if wire.nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 });
        self.u16(2);
        self.u16(4);
        self.u32(0);
        self.u32(0);
        self.u32(self.snaplen as u32);
        self.u32(u32::from(link_type(wire.link)));
    }

    fn section_and_interface(&mut self, wire: &Wire) {
        self.u32(0x0a0d_0d0a);
        self.u32(28);
        self.u32(0x1a2b_3c4d);
        self.u16(1);
        self.u16(0);
        self.u32(u32::MAX);
        self.u32(u32::MAX);
        self.u32(28);
        self.u32(1);
        self.u32(32);
        self.u16(link_type(wire.link));
        self.u16(0);
        self.u32(self.snaplen as u32);
        // if_tsresol, then opt_endofopt.
        self.u16(9);
        self.u16(1);
        self.header.extend_from_slice(&[if wire.nanoseconds { 9 } else { 6 }, 0, 0, 0]);
        self.u32(0);
        self.u32(32);
    }

    fn packet_block(&mut self, stamp: u64, kept: &[u8], whole: usize) -> io::Result<()> {
        let padding = kept.len().next_multiple_of(4) - kept.len();
        let length = (32 + kept.len() + padding) as u32;
        let units = stamp / self.unit;
        self.u32(6);
        self.u32(length);
        self.u32(0);
        self.u32((units >> 32) as u32);
        self.u32(units as u32);
        self.u32(kept.len() as u32);
        self.u32(whole as u32);
        self.out.write_all(&self.header)?;
        self.out.write_all(kept)?;
        self.header.clear();
        self.header.resize(padding, 0);
        self.u32(length);
        self.out.write_all(&self.header)
    }

    fn u16(&mut self, value: u16) {
        let bytes = if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        self.header.extend_from_slice(&bytes);
    }

    fn u32(&mut self, value: u32) {
        let bytes = if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        self.header.extend_from_slice(&bytes);
    }
}

/// The LINKTYPE_ number.
fn link_type(link: Link) -> u16 {
    match link {
        Link::Ethernet => 1,
        Link::Raw => 101,
        Link::Sll => 113,
        Link::Sll2 => 276,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_big_endian_nanosecond_pcap_byte_by_byte() {
        let wire =
            Wire { nanoseconds: true, big_endian: true, link: Link::Raw, snaplen: 2, ..Wire::default() };
        let mut bytes = Vec::new();
        let mut file = CaptureFile::create(&mut bytes, &wire).unwrap();
        assert_eq!(file.frame(1_000_000_007, b"abc").unwrap(), 1_000_000_007);
        assert_eq!(file.frame(5, b"d").unwrap(), 1_000_000_007, "time never goes back");
        assert_eq!(file.totals.cut, 1);
        file.finish().unwrap();
        drop(file);
        assert_eq!(bytes[..4], [0xa1, 0xb2, 0x3c, 0x4d]);
        assert_eq!(bytes[16..24], [0, 0, 0, 2, 0, 0, 0, 101]);
        assert_eq!(bytes[24..42], [0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 3, b'a', b'b']);
    }
}
