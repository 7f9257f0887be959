//! Which codecs are decoded, and their decoders.

use audio_codec::g722::G722Decoder;

use super::g711::Law;
use super::opus::Opus;

/// A codec that is decoded here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    G711(Law),
    G722,
    Opus,
}

impl Codec {
    /// The codec of this encoding name, in any case.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "PCMU" => Some(Self::G711(Law::Mu)),
            "PCMA" => Some(Self::G711(Law::A)),
            "G722" => Some(Self::G722),
            "OPUS" => Some(Self::Opus),
            _ => None,
        }
    }

    /// Samples a second. Opus is decoded at its full rate, whatever was sent.
    pub(super) const fn rate(self) -> u32 {
        match self {
            Self::G711(_) => 8_000,
            Self::G722 => 16_000,
            Self::Opus => 48_000,
        }
    }

    /// Units of its RTP timestamps a second. That of G.722 is half its rate, by an error that was kept (RFC 3551
    /// 4.5.2); that of Opus is 48 kHz always (RFC 7587 4.1).
    pub(super) const fn clock(self) -> u32 {
        match self {
            Self::G711(_) | Self::G722 => 8_000,
            Self::Opus => 48_000,
        }
    }
}

/// A payload that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// The decoders of one stream, each with what it remembers.
#[derive(Default)]
pub(super) struct Decoders {
    g722: Option<Box<G722Decoder>>,
    opus: Opus,
}

impl Decoders {
    /// Appends the samples of a payload to `out`, at the rate of its codec.
    ///
    /// # Errors
    /// It makes no sense.
    pub(super) fn decode(&mut self, codec: Codec, payload: &[u8], out: &mut Vec<i16>) -> Result<(), Damaged> {
        match codec {
            Codec::G711(law) => out.extend(payload.iter().map(|code| law.decode(*code))),
            Codec::G722 => {
                let decoder = self.g722.get_or_insert_with(Box::default);
                let start = out.len();
                // Each octet is two samples (ITU-T G.722, 64 kbit/s).
                out.resize(start + 2 * payload.len(), 0);
                let samples = out.get_mut(start..).unwrap_or_default();
                decoder.decode_frame_into(payload, samples).map_err(|_| Damaged)?;
            }
            Codec::Opus => self.opus.decode(payload, out)?,
        }
        Ok(())
    }
}
