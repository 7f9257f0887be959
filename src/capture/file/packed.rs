//! A file's bytes with the packing taken off: gzip (RFC 1952, several members), zstd (RFC 8878, several
//! frames) or none, told by the first bytes and never by the name.

use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::super::SourceError;
use super::descriptor::Descriptor;

/// Packed bytes read at once.
const PACKED: usize = 64 << 10;

/// A file, unpacked.
pub(super) enum Stream {
    /// As it lies on disk.
    Plain(Descriptor),
    /// Packed with gzip.
    Gzip(Box<MultiGzDecoder<BufReader<Descriptor>>>),
    /// Packed with zstd.
    Zstd(Box<zstd::Decoder<'static, BufReader<Descriptor>>>),
}

impl Stream {
    /// Opens a file and finds out how it is packed. With `parked` it holds no descriptor between reads.
    ///
    /// # Errors
    ///
    /// What the operating system says, an empty file, and packings that are not read here.
    pub(super) fn open(path: &Path, parked: bool) -> Result<Self, SourceError> {
        let mut file = Descriptor::open(path)?;
        if parked {
            file.park();
        }
        let failed = |error| SourceError::from_io(path, error);
        let packed = |with| SourceError::Packed { path: path.to_path_buf(), with };
        let magic = file.magic().map_err(failed)?;
        match *magic {
            [] => Err(SourceError::Empty { path: path.to_path_buf() }),
            [0x1f, 0x8b, ..] => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(buffered(file))))),
            // The second is a skippable frame, with which some parallel writers begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                let decoder = zstd::Decoder::with_buffer(buffered(file)).map_err(failed)?;
                Ok(Self::Zstd(Box::new(decoder)))
            }
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(packed("xz")),
            [b'B', b'Z', b'h', ..] => Err(packed("bzip2")),
            [0x04, 0x22, 0x4d, 0x18, ..] => Err(packed("lz4")),
            _ => Ok(Self::Plain(file)),
        }
    }

    /// The file below.
    pub(super) fn descriptor(&self) -> &Descriptor {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(decoder) => decoder.get_ref().get_ref(),
            Self::Zstd(decoder) => decoder.get_ref().get_ref(),
        }
    }
}

fn buffered(file: Descriptor) -> BufReader<Descriptor> {
    BufReader::with_capacity(PACKED, file)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// The error is that of damaged or cut content, not one of the operating system.
pub(super) fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}
