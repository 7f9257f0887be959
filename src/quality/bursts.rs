//! Losses as they cluster: runs, bursts and gaps (RFC 3611 4.7.2).

/// Packets in a row that have to be played for a burst to be over (RFC 3611 4.7.2, the recommended Gmin).
const GMIN: u64 = 16;

/// The losses of a stream so far, in the order of sequence numbers. A packet that came too late to be played is lost
/// here too. Positions count from 0, the first packet of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bursts {
    /// Packets lost.
    pub(super) lost: u64,
    /// Runs of losses one directly after the other.
    runs: u64,
    /// Bursts that are over.
    bursts: u64,
    /// Packets in them, played and lost.
    burst_packets: u64,
    /// Losses in them.
    burst_lost: u64,
    /// First loss of the cluster that may still go on.
    start: u64,
    /// Losses in that cluster; 0 before the first.
    cluster: u64,
    /// Position behind the latest loss.
    after: u64,
}

/// What the bursts of a stream were like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BurstFigures {
    /// How many there were: two or more losses with fewer than 16 packets played between one and the next.
    pub bursts: u64,
    /// Packets in bursts, played and lost.
    pub packets: u64,
    /// Of these, packets lost.
    pub lost: u64,
}

impl Bursts {
    /// `count` packets from `position` on are lost. Positions never go back.
    pub(super) fn lose(&mut self, position: u64, count: u64) {
        let played = position.saturating_sub(self.after);
        if self.cluster == 0 || played >= GMIN {
            self.close();
            self.start = position;
        }
        self.runs += u64::from(self.lost == 0 || played > 0);
        self.cluster += count;
        self.lost += count;
        self.after = position.saturating_add(count);
    }

    /// The cluster is over. One loss by itself belongs to the gap around it.
    fn close(&mut self) {
        if self.cluster > 1 {
            self.bursts += 1;
            self.burst_packets += self.after - self.start;
            self.burst_lost += self.cluster;
        }
        self.cluster = 0;
    }

    /// Bursts up to here. What follows the last packet counts as played, as in RFC 3611.
    #[must_use]
    pub(super) fn figures(mut self) -> BurstFigures {
        self.close();
        BurstFigures { bursts: self.bursts, packets: self.burst_packets, lost: self.burst_lost }
    }

    /// The burst ratio of ITU-T G.107: the mean run of losses, relative to what it would be if each of the
    /// `expected` packets had been lost by chance. 1 without losses, and for less than chance.
    #[must_use]
    pub(super) fn ratio(&self, expected: u64) -> f64 {
        if self.runs == 0 || expected == 0 {
            return 1.0;
        }
        let (lost, runs) = (self.lost as f64, self.runs as f64);
        (lost / runs * (1.0 - lost / expected as f64)).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(losses: &[bool]) -> Bursts {
        let mut bursts = Bursts::default();
        let lost = losses.iter().zip(0..).filter(|(lost, _)| **lost);
        lost.for_each(|(_, position)| bursts.lose(position, 1));
        bursts
    }

    /// The transitions that appendix A.2 of RFC 3611 counts, one packet after the other: bursts, their packets and
    /// the losses in them.
    fn by_the_appendix(losses: &[bool]) -> BurstFigures {
        // Preceded and followed by enough packets that were played.
        let (mut since, mut run) = (GMIN, 0u64);
        let mut figures = BurstFigures::default();
        let mut packets = 0;
        let mut leave = |run: u64, packets: u64| {
            if run > 1 {
                figures.bursts += 1;
                figures.packets += packets;
                figures.lost += run;
            }
        };
        for &lost in losses {
            if !lost {
                since += 1;
                continue;
            }
            if since >= GMIN {
                leave(run, packets);
                (run, packets) = (1, 1);
            } else {
                (run, packets) = (run + 1, packets + since + 1);
            }
            since = 0;
        }
        leave(run, packets);
        figures
    }

    #[test]
    fn sixteen_played_packets_end_a_burst_and_fifteen_do_not() {
        let mut losses = vec![false; 100];
        (losses[10], losses[26], losses[43]) = (true, true, true);
        let figures = of(&losses).figures();
        assert_eq!(figures, BurstFigures { bursts: 1, packets: 17, lost: 2 }, "10 to 26; 43 is by itself");
    }

    #[test]
    fn random_loss_has_a_ratio_of_one_and_pairs_of_nearly_two() {
        // One of ten, evenly: runs of one. 1 * (1 - 0.1) is less than chance would give.
        let single: Vec<bool> = (0..1000).map(|it| it % 10 == 0).collect();
        assert!((of(&single).ratio(1000) - 1.0).abs() < 1e-9);
        let pairs: Vec<bool> = (0..1000).map(|it| it % 20 < 2).collect();
        assert!((of(&pairs).ratio(1000) - 2.0 * 0.9).abs() < 1e-9);
        assert!((Bursts::default().ratio(0) - 1.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn bursts_are_those_of_the_appendix(losses in proptest::collection::vec(proptest::bool::weighted(0.08), 0..600)) {
            prop_assert_eq!(of(&losses).figures(), by_the_appendix(&losses));
        }

        #[test]
        fn a_run_is_its_losses(before in 0u64..50, count in 1u64..40, gap in 0u64..40) {
            let mut together = Bursts::default();
            together.lose(before, count);
            together.lose(before + count + gap, 2);
            let mut single = Bursts::default();
            (before..before + count).for_each(|position| single.lose(position, 1));
            (0..2).for_each(|it| single.lose(before + count + gap + it, 1));
            prop_assert_eq!(together, single);
        }
    }
}
