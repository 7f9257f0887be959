//! From the rate of a codec to that of a file: rates are multiples of each other.

use std::f64::consts::PI;

/// Samples on each side that a sample between them is made of.
const REACH: usize = 8;

/// Samples that the filter looks at.
const TAPS: usize = 2 * REACH;

/// Makes samples between samples: a windowed sinc (Hann), so that what is heard is what was sent. Where the file has the
/// lower rate, which is so only when a stream changed its codec, it takes the mean.
pub(super) struct Resampler {
    from: u32,
    to: u32,
    /// The filter for each place between two samples.
    phases: Vec<[f64; TAPS]>,
    /// The latest samples, oldest first.
    history: [f64; TAPS],
    /// Samples still to come out that lie before the first one that went in.
    before: usize,
}

impl Resampler {
    pub(super) fn new(from: u32, to: u32) -> Self {
        let factor = to / from;
        let phases = (0..factor).map(|phase| filter(f64::from(phase) / f64::from(factor))).collect();
        let mut resampler = Self { from, to, phases, history: [0.0; TAPS], before: 0 };
        resampler.before = resampler.delay();
        resampler
    }

    /// Whether it is for these rates.
    pub(super) fn fits(&self, from: u32, to: u32) -> bool {
        (self.from, self.to) == (from, to)
    }

    /// By how many samples of the file what comes out is later than what went in.
    pub(super) fn delay(&self) -> usize {
        if self.to > self.from { REACH * self.phases.len() } else { 0 }
    }

    /// Puts the samples into `out`, at the other rate. The first of them belongs [`Self::delay`] before the first that went
    /// in; tells how many of them are left out, because nothing had begun.
    pub(super) fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) -> usize {
        out.clear();
        self.convert(samples, out);
        let left_out = self.before.min(out.len());
        self.before -= left_out;
        out.drain(..left_out);
        left_out
    }

    /// Puts what is still in the filter into `out`, in the same way.
    pub(super) fn flush(&mut self, out: &mut Vec<i16>) -> usize {
        self.push(if self.to > self.from { &[0; REACH] } else { &[] }, out)
    }

    fn convert(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        if self.to == self.from {
            return out.extend(samples);
        }
        if self.to < self.from {
            let whole = samples.chunks((self.from / self.to.max(1)) as usize);
            let mean = |of: &[i16]| of.iter().map(|it| i64::from(*it)).sum::<i64>() / of.len().max(1) as i64;
            return out.extend(whole.map(|of| mean(of) as i16));
        }
        for sample in samples {
            self.history.rotate_left(1);
            if let Some(latest) = self.history.last_mut() {
                *latest = f64::from(*sample);
            }
            let history = &self.history;
            out.extend(self.phases.iter().map(|phase| {
                let sum: f64 = phase.iter().zip(history).map(|(weight, sample)| weight * sample).sum();
                sum.round() as i16
            }));
        }
    }
}

/// The weights of the samples around a place that lies so far behind the middle one.
fn filter(behind: f64) -> [f64; TAPS] {
    // What comes out belongs to the sample REACH before the latest.
    let weights: [f64; TAPS] = std::array::from_fn(|tap| {
        let distance = tap as f64 - (REACH as f64 - 1.0) - behind;
        let sinc = if distance == 0.0 { 1.0 } else { (PI * distance).sin() / (PI * distance) };
        sinc * (0.5 + 0.5 * (PI * distance / (REACH as f64 + 0.5)).cos()).max(0.0)
    });
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    /// A tone that was sampled slowly is the same tone, sampled fast.
    #[test]
    fn a_tone_stays_itself() {
        for (from, to) in [(8_000, 16_000), (8_000, 48_000), (16_000, 48_000)] {
            for hertz in [100.0, 1_000.0, f64::from(from) * 0.36] {
                let tone = |at: f64| 10_000.0 * (TAU * hertz * at).sin();
                let slow: Vec<i16> =
                    (0..800).map(|it| tone(f64::from(it) / f64::from(from)) as i16).collect();
                let mut resampler = Resampler::new(from, to);
                let (mut fast, mut out) = (Vec::new(), Vec::new());
                // In pieces, as packets come.
                for piece in slow.chunks(160) {
                    resampler.push(piece, &mut out);
                    fast.append(&mut out);
                }
                resampler.flush(&mut out);
                fast.append(&mut out);
                assert_eq!(fast.len(), 800 * (to / from) as usize);
                for (at, found) in fast.iter().enumerate().take(fast.len() - 200).skip(200) {
                    let (found, right) = (f64::from(*found), tone(at as f64 / f64::from(to)));
                    assert!((found - right).abs() < 200.0, "{from} to {to}, {hertz} Hz: {found}, {right}");
                }
            }
        }
    }

    #[test]
    fn the_same_rate_changes_nothing() {
        let mut out = Vec::new();
        let mut resampler = Resampler::new(8_000, 8_000);
        assert_eq!((resampler.push(&[1, -2, 3], &mut out), resampler.delay()), (0, 0));
        assert_eq!(out, [1, -2, 3]);
        resampler.flush(&mut out);
        assert!(out.is_empty());
    }
}
