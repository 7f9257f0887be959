//! Opus (RFC 6716), as one channel of 48 kHz.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use ruopus::OpusDecoder;

use super::codec::Damaged;

/// Samples a second.
const RATE: u32 = 48_000;

/// Channels that are decoded; a packet of one channel has the same in both.
const CHANNELS: usize = 2;

/// Payloads up to this length say that nothing is sent for now (DTX): a decoder would make up noise.
const DTX: usize = 2;

/// The decoder of a stream. Some damaged packets make the library panic, so it is contained: the packet is damaged, and
/// the next begins with a new decoder.
#[derive(Default)]
pub(super) struct Opus {
    decoder: Option<Box<OpusDecoder>>,
}

impl Opus {
    /// Appends the samples of a packet to `out`; both channels are mixed.
    ///
    /// # Errors
    /// It makes no sense.
    pub(super) fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), Damaged> {
        if payload.len() <= DTX {
            return Ok(());
        }
        let mut decoder = self.decoder.take();
        let decode = || {
            let decoder = decoder.get_or_insert_with(|| Box::new(OpusDecoder::with_rate(RATE, CHANNELS)));
            decoder.decode_packet_i16(payload)
        };
        let decoded = contained(decode).ok_or(Damaged)?;
        self.decoder = decoder;
        let samples = decoded.map_err(|_| Damaged)?;
        let frames = samples.chunks_exact(CHANNELS);
        out.extend(frames.map(|both| (both.iter().map(|it| i32::from(*it)).sum::<i32>() / 2) as i16));
        Ok(())
    }
}

/// Does work that may panic: none when it did. Nothing is printed then.
fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    thread_local!(static IS_CONTAINED: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_CONTAINED.get() {
                before(panic);
            }
        }));
    });
    IS_CONTAINED.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CONTAINED.set(false);
    outcome.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Samples of each channel in the longest packet: 120 ms (RFC 6716 3.2.5).
    const MAX_SAMPLES: usize = 5_760;

    #[test]
    fn what_panics_is_contained() {
        assert_eq!(contained(|| 1), Some(1));
        let none: [u8; 0] = [];
        assert_eq!(contained(|| none.get(1).copied().unwrap()), None);
    }

    #[test]
    fn silence_that_is_sent_is_nothing() {
        let mut out = Vec::new();
        for payload in [&[][..], &[0x48], &[0x48, 0]] {
            assert_eq!(Opus::default().decode(payload, &mut out), Ok(()));
        }
        assert!(out.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_decoded_or_damaged(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..8)) {
            let mut opus = Opus::default();
            for packet in packets {
                let mut out = Vec::new();
                let _ = opus.decode(&packet, &mut out);
                prop_assert!(out.len() <= MAX_SAMPLES);
            }
        }
    }
}
