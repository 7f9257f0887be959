//! The E-model: how a conversation over a path is rated (ITU-T G.107 06/2015 narrow band, G.107.1 06/2019 wide band).
//!
//! All inputs that a capture does not show have the default values of G.107 table 3 and G.107.1 table 1: loudness,
//! noise, and an echo of 65 dB that takes as long as the voice does.

/// What speech a codec carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Band {
    /// 300 to 3,400 Hz.
    Narrow,
    /// 50 to 7,000 Hz.
    Wide,
}

/// What a path does to speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Path {
    /// Which of the models applies.
    pub(super) band: Band,
    /// Equipment impairment factor `Ie` or `Ie,WB` of the codec (ITU-T G.113).
    pub(super) impairment: f64,
    /// Its packet-loss robustness factor `Bpl`; none where none is published, and then `loss` has to be 0.
    pub(super) robustness: Option<f64>,
    /// Packets lost, those that came too late among them, in per cent.
    pub(super) loss: f64,
    /// Burst ratio, 1 for random loss.
    pub(super) burst_ratio: f64,
    /// One-way delay from mouth to ear, `Ta`, in milliseconds.
    pub(super) delay: f64,
}

/// A rating.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// Transmission rating factor R: 0 to 100 in narrow band, 0 to 129 in wide band.
    pub r: f64,
    /// Mean opinion score of a conversation (MOS-CQE), 1 to 4.5.
    pub mos: f64,
}

impl Path {
    /// Rates it; none when packets were lost and it is not known what that does to the codec.
    #[must_use]
    pub(super) fn rate(&self) -> Option<Rating> {
        let equipment = self.equipment()?;
        Some(match self.band {
            Band::Narrow => {
                let r = narrow(self.delay) - equipment;
                Rating { r, mos: mos(r) }
            }
            Band::Wide => {
                let r = wide(self.delay) - equipment;
                // G.107.1 annex A: the scale of wide band ends at 129.
                Rating { r, mos: mos(r / 1.29) }
            }
        })
    }

    /// `Ie,eff` (G.107 7-29, G.107.1 7-15).
    fn equipment(&self) -> Option<f64> {
        if self.loss <= 0.0 {
            return Some(self.impairment);
        }
        let loss = self.loss.min(100.0);
        let share = loss / (loss / self.burst_ratio.max(1.0) + self.robustness?);
        Some(self.impairment + (95.0 - self.impairment) * share)
    }
}

/// The score of a rating (G.107 B-4). For R below 6.5 its polynomial is below 1, where the scale begins (P.800).
#[must_use]
fn mos(r: f64) -> f64 {
    if r <= 0.0 {
        1.0
    } else if r >= 100.0 {
        4.5
    } else {
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
    }
}

/// Send and receive loudness ratings, and their sum.
const SLR: f64 = 8.0;
const RLR: f64 = 2.0;
const OLR: f64 = SLR + RLR;
/// Sidetone masking rating, listener sidetone rating, and the D factor of the sending side.
const STMR: f64 = 15.0;
const LSTR: f64 = 18.0;
const DS: f64 = 3.0;
/// Loudness of the talker's echo, loss of the weighted echo path.
const TELR: f64 = 65.0;
const WEPL: f64 = 110.0;
/// Noise of the circuit and of both rooms; quantizing distortion units.
const NC: f64 = -70.0;
const ROOM: f64 = 35.0;
const QDU: f64 = 1.0;
/// Noise floor at the receiving side.
const NFOR_NARROW: f64 = -64.0;
const NFOR_WIDE: f64 = -96.0;
/// `Ro` of wide band (G.107.1 7-2).
const RO_WIDE: f64 = 129.0;

/// All of R but the equipment, at a delay in milliseconds (G.107 7-1).
fn narrow(delay: f64) -> f64 {
    let noise = noise(NFOR_NARROW);
    let ro = 15.0 - 1.5 * (SLR + noise);
    let simultaneous = too_loud(noise) + sidetone(delay) + quantizing(ro);
    let delayed = talker_echo(noise, delay) + listener_echo(ro, 2.0 * delay) + late(delay);
    ro - simultaneous - delayed
}

/// The same for wide band (G.107.1 7-1).
fn wide(delay: f64) -> f64 {
    RO_WIDE - talker_echo_wide(delay) - listener_echo(RO_WIDE, 2.0 * delay) - 1.29 * late(delay)
}

/// `No`, the power of all noise (7-3 to 7-7).
fn noise(floor: f64) -> f64 {
    let sender = ROOM - SLR - DS - 100.0 + 0.004 * (ROOM - OLR - DS - 14.0).powi(2);
    let heard = ROOM + 10.0 * (1.0 + power(10.0 - LSTR)).log10();
    let receiver = RLR - 121.0 + heard + 0.008 * (heard - 35.0).powi(2);
    10.0 * [NC, sender, receiver, floor + RLR].map(power).iter().sum::<f64>().log10()
}

/// A level in decibels as a power.
fn power(level: f64) -> f64 {
    10f64.powf(level / 10.0)
}

/// `(1 + x^n)^(1/n)`, of which the model is made.
fn knee(x: f64, n: i32) -> f64 {
    (1.0 + x.powi(n)).powf(1.0 / f64::from(n))
}

/// `Iolr` (7-9, 7-10).
fn too_loud(noise: f64) -> f64 {
    let x = (OLR + 0.2 * (64.0 + noise - RLR)) / 8.0;
    20.0 * (knee(x, 8) - x)
}

/// `Ist` (7-11, 7-12).
fn sidetone(delay: f64) -> f64 {
    let rating = -10.0 * (power(-STMR) + (-delay / 4.0).exp() * power(-TELR)).log10();
    12.0 * knee((rating - 13.0) / 6.0, 8)
        - 28.0 * knee((rating + 1.0) / 19.4, 35)
        - 13.0 * knee((rating - 3.0) / 33.0, 13)
        + 29.0
}

/// `Iq` (7-13 to 7-17).
fn quantizing(ro: f64) -> f64 {
    let q = 37.0 - 15.0 * QDU.log10();
    let g = 1.07 + 0.258 * q + 0.0602 * q * q;
    let y = (ro - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0;
    let z = 46.0 / 30.0 - g / 40.0;
    15.0 * (1.0 + 10f64.powf(y) + 10f64.powf(z)).log10()
}

/// `Idte` (7-19 to 7-22): nothing below 1 ms, where the echo is sidetone.
fn talker_echo(noise: f64, delay: f64) -> f64 {
    if delay < 1.0 {
        return 0.0;
    }
    echo(-1.5 * (noise - RLR), 80.0 + 2.5 * (masked_echo(delay) - 14.0), delay)
}

/// `Idte,WB` (G.107.1 7-5 to 7-10).
fn talker_echo_wide(delay: f64) -> f64 {
    let correction = if delay < 100.0 { 0.08 * delay + 10.0 } else { 18.0 };
    echo(-1.5 * (noise(NFOR_WIDE) - RLR), 80.0 + 3.0 * (masked_echo(delay) + correction - 14.0), delay)
}

/// `TERV` (7-22).
fn masked_echo(delay: f64) -> f64 {
    let ratio = (1.0 + delay / 10.0) / (1.0 + delay / 150.0);
    TELR - 40.0 * ratio.log10() + 6.0 * (-0.3 * delay * delay).exp()
}

fn echo(roe: f64, re: f64, delay: f64) -> f64 {
    let half = (roe - re) / 2.0;
    (half + (half * half + 100.0).sqrt() - 1.0) * (1.0 - (-delay).exp())
}

/// `Idle` (7-25, 7-26), at a round-trip delay.
fn listener_echo(ro: f64, round_trip: f64) -> f64 {
    let half = (ro - 10.5 * (WEPL + 7.0) * (round_trip + 1.0).powf(-0.25)) / 2.0;
    half + (half * half + 169.0).sqrt()
}

/// `Idd` (7-27, 7-28): nothing up to 100 ms, for users of default sensitivity.
fn late(delay: f64) -> f64 {
    if delay <= 100.0 {
        return 0.0;
    }
    let x = (delay / 100.0).log2();
    25.0 * (knee(x, 6) - 3.0 * knee(x / 3.0, 6) + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: Path = Path {
        band: Band::Narrow,
        impairment: 0.0,
        robustness: None,
        loss: 0.0,
        burst_ratio: 1.0,
        delay: 0.0,
    };

    fn near(ours: f64, published: f64, within: f64) {
        assert!((ours - published).abs() <= within, "{ours}, published {published}");
    }

    /// G.107 7.7: with all default values R is 93.2; annex B: that is a MOS of 4.41.
    #[test]
    fn the_defaults_give_93_2() {
        let rating = CLEAN.rate().unwrap();
        near(rating.r, 93.2, 0.05);
        near(rating.mos, 4.41, 0.005);
        near(mos(93.2), 4.41, 0.005);
    }

    /// G.107 table B.1, lower limits of R and the scores beside them.
    #[test]
    fn scores_are_those_of_table_b_1() {
        for (r, published) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            near(mos(r), published, 0.0065);
        }
        assert_eq!((mos(-1.0), mos(0.0), mos(100.0), mos(120.0)), (1.0, 1.0, 4.5, 4.5));
    }

    /// P.800 annex B: the scale of opinion is from 1 to 5; G.107 annex B: of a conversation to 4.5.
    #[test]
    fn no_score_is_off_the_scale() {
        for r in (0..1000).map(|tenths| f64::from(tenths) / 10.0) {
            assert!((1.0..=4.5).contains(&mos(r)), "{r}: {}", mos(r));
        }
    }

    /// G.113 (02/2001) appendix I, table I.2: impairment of codecs under random loss. Measured by listeners, rounded:
    /// within one and a half of them.
    #[test]
    fn impairments_under_loss_are_those_of_g_113() {
        const LOSS: [f64; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0];
        for (impairment, robustness, published) in [
            // G.729A + VAD.
            (11.0, 19.0, [11.0, 13.0, 15.0, 17.0, 19.0, 23.0, 26.0, 36.0]),
            // G.723.1 + VAD at 6.3 kbit/s.
            (15.0, 16.1, [15.0, 17.0, 19.0, 22.0, 24.0, 27.0, 32.0, 41.0]),
        ] {
            for (loss, value) in LOSS.into_iter().zip(published) {
                let path = Path { impairment, robustness: Some(robustness), loss, ..CLEAN };
                near(path.equipment().unwrap(), value, 1.5);
            }
        }
    }

    /// G.113 (2007) says of the same loss in bursts that it is worse, and G.107 7-29 by how much: with a ratio of 2
    /// and 2 % of loss of G.711 with concealment, 95 * 2 / (1 + 25.1).
    #[test]
    fn loss_in_bursts_is_worse() {
        let path = Path { robustness: Some(25.1), loss: 2.0, burst_ratio: 2.0, ..CLEAN };
        near(path.equipment().unwrap(), 7.28, 0.005);
    }

    #[test]
    fn without_a_robustness_factor_loss_has_no_rating() {
        assert_eq!(Path { loss: 0.1, ..CLEAN }.rate(), None);
        assert!(Path { impairment: 5.0, ..CLEAN }.rate().is_some());
    }

    /// G.107.1: the scale ends at 129, whose score is 4.5; and `Ie,WB` of 13 on it is R = 116 and 4.34 (annex A).
    #[test]
    fn wide_band_has_its_own_scale() {
        let clean = Path { band: Band::Wide, ..CLEAN };
        near(clean.rate().unwrap().r, 129.0, 0.2);
        near(clean.rate().unwrap().mos, 4.5, 0.003);
        near(Path { impairment: 13.0, ..clean }.rate().unwrap().mos, 4.34, 0.01);
    }

    /// What Cole and Rosenbluth (Voice over IP performance monitoring, 2001) fitted to the delay impairment of G.107:
    /// 0.024 a millisecond, and 0.11 more from 177.3 ms on. They say that it holds up to 400 ms; beyond 300 ms the
    /// curve bends away from the line.
    #[test]
    fn delay_costs_what_it_is_known_to_cost() {
        for delay in [0.0f64, 50.0, 100.0, 150.0, 177.0, 200.0, 250.0, 300.0] {
            let fitted = 93.2 - 0.024 * delay - 0.11 * (delay - 177.3).max(0.0);
            near(Path { delay, ..CLEAN }.rate().unwrap().r, fitted, 1.0);
        }
        assert_eq!((late(100.0), late(50.0)), (0.0, 0.0));
    }
}
