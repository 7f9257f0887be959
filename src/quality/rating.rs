//! How a stream was for who listened to it: its figures, its codec and its delay, rated.

use super::codec::{Unrated, impairment};
use super::emodel::{Path, Rating};
use super::stream::Figures;

/// One way through the network in milliseconds, where RTCP does not tell: within a country.
const ASSUMED_DELAY_MS: f64 = 50.0;

/// What a stream has to have to be rated. Of a few packets each loss would be many per cent, and without one the score would
/// be the best, beside which a bad stream of the same call or carrier would look half as bad.
const LEAST_MS: f64 = 1000.0;

/// Media of a packet in milliseconds, where that is not known: of nearly all telephones.
const USUAL_FRAME_MS: f64 = 20.0;

/// A stream's rating, with the delay that it is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// The rating; or why there is none.
    pub rating: Result<Rating, Unrated>,
    /// Mouth to ear, one way, in milliseconds: the network, the packet that is filled, the playout buffer.
    pub delay_ms: f64,
    /// The network's part was measured by RTCP and not assumed.
    pub is_measured: bool,
}

/// Rates a stream of this codec; `network` is one way through the network in milliseconds, if it is known.
#[must_use]
pub fn rate(figures: &Figures, codec: &str, network: Option<f64>) -> Quality {
    let packet = figures.frame_ms.unwrap_or_default();
    let delay = network.unwrap_or(ASSUMED_DELAY_MS) + packet + figures.playout_delay_ms;
    let lost = figures.missing + figures.discarded;
    let is_short = figures.expected as f64 * figures.frame_ms.unwrap_or(USUAL_FRAME_MS) < LEAST_MS;
    let rating = impairment(codec).and_then(|codec| {
        if is_short {
            return Err(Unrated::TooShort);
        }
        let path = Path {
            band: codec.band,
            impairment: codec.factor,
            robustness: codec.robustness,
            loss: 100.0 * lost as f64 / figures.expected.max(1) as f64,
            burst_ratio: figures.burst_ratio,
            delay,
        };
        path.rate().ok_or(Unrated::NoRobustness)
    });
    Quality { rating, delay_ms: delay, is_measured: network.is_some() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::{Arrival, PayloadFormat, Playout, Stream};
    use crate::sip::sdp::CodecName;
    use crate::time::Timestamp;

    /// 1,000 packets of 20 ms of G.711, of which every `lost`th is missing.
    fn figures(lost: u32) -> Figures {
        let format = PayloadFormat { clock: 8000, name: CodecName::new(b"PCMU") };
        let arrival = |step: u32| Arrival {
            time: Timestamp(u64::from(step) * 20_000_000),
            sequence: step as u16,
            timestamp: step * 160,
            marker: false,
        };
        let mut stream = Stream::new(1, 0, &arrival(0), format, Playout::adaptive(60, 60));
        (1..1000).filter(|step| step % lost != lost - 1).for_each(|step| {
            stream.observe(&arrival(step));
        });
        stream.figures()
    }

    /// By hand, G.107 7-29: 2 % of random loss of G.711 with concealment is 95 * 2 / 27.1 = 7.01, and 130 ms cost
    /// 0.024 * 130 = 3.12 (see there). 93.2 less both is 83.07, and the score of that is 4.13.
    #[test]
    fn two_of_a_hundred() {
        let quality = rate(&figures(50), "PCMU", None);
        let rating = quality.rating.unwrap();
        assert!((quality.delay_ms - 130.0).abs() < 1e-6, "{quality:?}");
        assert!((rating.r - 83.07).abs() < 0.5, "{rating:?}");
        assert!((rating.mos - 4.13).abs() < 0.02, "{rating:?}");
        let far = rate(&figures(50), "PCMU", Some(300.0));
        assert!(far.is_measured && far.rating.unwrap().mos < 3.6, "{far:?}");
    }

    #[test]
    fn a_second_is_the_least_that_is_rated() {
        let short = |expected| rate(&Figures { expected, ..figures(5000) }, "PCMU", None).rating.err();
        assert_eq!([49, 50].map(short), [Some(Unrated::TooShort), None]);
        let longer = |frame_ms| Figures { expected: 34, frame_ms, ..figures(5000) };
        assert!(rate(&longer(Some(30.0)), "PCMU", None).rating.is_ok());
        assert!(rate(&longer(None), "PCMU", None).rating.is_err());
    }

    #[test]
    fn no_number_is_made_up() {
        assert_eq!(rate(&figures(50), "opus", None).rating, Err(Unrated::NoImpairment));
        assert_eq!(rate(&figures(50), "GSM", None).rating, Err(Unrated::NoRobustness));
        assert!(rate(&figures(5000), "GSM", None).rating.is_ok(), "nothing was lost");
    }
}
