//! Two channels on one time line, written as they come: a WAV file (RIFF, Microsoft 1991) of 16 bits.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::sink::FILE_MODE;

/// Channels: one for each direction.
const CHANNELS: usize = 2;

/// Seconds of each channel that wait for those before them: packets come late, and directions one after the other.
const WINDOW: u64 = 8;

/// Samples of each channel in a file: what 1 GiB holds. A wild time stamp must not fill the disk.
pub(super) const MAX_SAMPLES: u64 = (1 << 30) / (2 * CHANNELS as u64);

/// Bytes of the header.
const HEADER: u64 = 44;

/// The file. What was never put is silence.
pub(super) struct Timeline {
    file: BufWriter<File>,
    rate: u32,
    /// Samples from `start` on, both channels side by side.
    window: Vec<[i16; CHANNELS]>,
    start: u64,
    /// Behind the last sample.
    end: u64,
    /// Samples that came too late, or beyond the cap.
    pub(super) dropped: u64,
}

impl Timeline {
    /// Makes a file that is not there yet.
    ///
    /// # Errors
    /// It is there, or cannot be made.
    pub(super) fn create(path: &Path, rate: u32) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
        let mut file = BufWriter::new(file);
        file.write_all(&header(rate, 0))?;
        Ok(Self { file, rate, window: Vec::new(), start: 0, end: 0, dropped: 0 })
    }

    /// Puts samples of a channel at their place, over what is there.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn put(
        &mut self,
        place: u64,
        channel: usize,
        samples: impl Iterator<Item = i16>,
    ) -> io::Result<()> {
        for (place, sample) in (place..).zip(samples) {
            if place < self.start || place >= MAX_SAMPLES {
                self.dropped += 1;
                continue;
            }
            if place - self.start >= self.room() {
                self.advance(place + 1 - self.room())?;
            }
            let at = usize::try_from(place - self.start).unwrap_or(usize::MAX);
            if at >= self.window.len() {
                self.window.resize(at + 1, [0; CHANNELS]);
            }
            if let Some(slot) = self.window.get_mut(at).and_then(|both| both.get_mut(channel)) {
                *slot = sample;
            }
            self.end = self.end.max(place + 1);
        }
        Ok(())
    }

    /// Samples of each channel that may wait.
    fn room(&self) -> u64 {
        WINDOW * u64::from(self.rate)
    }

    /// Writes what lies before `start`. Silence beyond the window is a hole in the file.
    fn advance(&mut self, start: u64) -> io::Result<()> {
        // Half a window at once: moving what stays costs as much as writing what goes.
        let start = (start + self.room() / 2).min(self.end.max(start)).max(start);
        let ready = usize::try_from(start - self.start).unwrap_or(usize::MAX).min(self.window.len());
        for sample in self.window.drain(..ready).flatten() {
            self.file.write_all(&sample.to_le_bytes())?;
        }
        let missing = start - self.start - ready as u64;
        if missing > 0 {
            let hole = missing.saturating_mul(2 * CHANNELS as u64);
            self.file.seek(SeekFrom::Current(i64::try_from(hole).unwrap_or(i64::MAX)))?;
        }
        self.start = start;
        Ok(())
    }

    /// Writes the rest, as long as the longer channel; returns the samples of each.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        for sample in std::mem::take(&mut self.window).into_iter().flatten() {
            self.file.write_all(&sample.to_le_bytes())?;
        }
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header(self.rate, self.end))?;
        self.file.flush()?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        // A hole at the end is part of it.
        file.set_len(HEADER + self.end * 2 * CHANNELS as u64)?;
        Ok(self.end)
    }
}

/// The header of PCM with so many samples in each channel.
fn header(rate: u32, samples: u64) -> Vec<u8> {
    let block = 2 * CHANNELS as u16;
    let data = u32::try_from(samples * u64::from(block)).unwrap_or(u32::MAX - 36);
    let mut out = Vec::with_capacity(44);
    out.extend(b"RIFF");
    out.extend((data + 36).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16u32.to_le_bytes());
    out.extend(1u16.to_le_bytes());
    out.extend((CHANNELS as u16).to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend((rate * u32::from(block)).to_le_bytes());
    out.extend(block.to_le_bytes());
    out.extend(16u16.to_le_bytes());
    out.extend(b"data");
    out.extend(data.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;

    fn samples(bytes: &[u8]) -> Vec<[i16; 2]> {
        let sample = |bytes: &[u8]| i16::from_le_bytes([bytes[0], bytes[1]]);
        bytes[44..].chunks_exact(4).map(|both| [sample(both), sample(&both[2..])]).collect()
    }

    proptest! {
        // A case writes a file of up to half a megabyte.
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_file_is_what_was_put_in_a_map(
            pieces in proptest::collection::vec((0u64..200_000, 0usize..2, 1usize..400, 1i16..), 0..60),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("a.wav");
            let mut line = Timeline::create(&path, 8000).unwrap();
            let mut model: BTreeMap<(u64, usize), i16> = BTreeMap::new();
            let mut end = 0;
            for (place, channel, length, sample) in pieces {
                let before = line.start;
                line.put(place, channel, std::iter::repeat_n(sample, length)).unwrap();
                // What lay before the window when it was put is not there.
                for place in (place..place + length as u64).filter(|place| *place >= before) {
                    model.insert((place, channel), sample);
                    end = end.max(place + 1);
                }
            }
            prop_assert_eq!(line.finish().unwrap(), end);
            let bytes = std::fs::read(&path).unwrap();
            prop_assert_eq!(&bytes[..44], &header(8000, end)[..]);
            let found = samples(&bytes);
            prop_assert_eq!(found.len() as u64, end);
            for (place, both) in (0u64..).zip(found) {
                for (channel, sample) in both.into_iter().enumerate() {
                    prop_assert_eq!(sample, model.get(&(place, channel)).copied().unwrap_or(0), "{} {}", place, channel);
                }
            }
        }
    }

    #[test]
    fn the_cap_holds_and_no_file_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.wav");
        let mut line = Timeline::create(&path, 8000).unwrap();
        line.put(MAX_SAMPLES - 1, 0, [1, 2, 3].into_iter()).unwrap();
        assert_eq!(line.dropped, 2);
        line.put(0, 0, [1].into_iter()).unwrap();
        assert_eq!((line.dropped, line.finish().unwrap()), (3, MAX_SAMPLES));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), HEADER + (1 << 30));
        assert!(Timeline::create(&path, 8000).is_err());
    }

    #[test]
    fn others_may_not_listen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.wav");
        Timeline::create(&path, 8000).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
    }
}
