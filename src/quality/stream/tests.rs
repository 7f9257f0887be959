//! Streams against an obviously right model, and by hand.

use proptest::prelude::*;

use super::*;
use crate::sip::sdp::CodecName;

const MS: u64 = 1_000_000;

fn pcmu() -> PayloadFormat {
    PayloadFormat { clock: 8000, name: CodecName::new(b"PCMU") }
}

fn arrival(sequence: u16, timestamp: u32, ms: f64) -> Arrival {
    Arrival { time: Timestamp((ms * 1e6) as u64 + 1_000_000 * MS), sequence, timestamp, marker: false }
}

/// A stream of these packets: sequence number, timestamp, milliseconds. Asked whether it takes a packet as its next,
/// it is the same stream.
fn stream(packets: &[(u16, u32, f64)]) -> Stream {
    let mut packets = packets.iter().map(|&(sequence, timestamp, ms)| arrival(sequence, timestamp, ms));
    let mut stream = Stream::new(7, 0, &packets.next().unwrap(), pcmu(), Playout::default());
    let mut asked = stream.clone();
    packets.for_each(|packet| {
        stream.observe(&packet);
        if !asked.takes_next(&header(&packet, 7), packet.time) {
            asked.observe(&packet);
        }
    });
    assert_eq!(format!("{stream:?}"), format!("{asked:?}"));
    stream
}

/// The RTP header of a packet with payload type 0.
fn header(packet: &Arrival, ssrc: u32) -> [u8; 12] {
    let mut header = [0x80; 12];
    header[1] = u8::from(packet.marker) << 7;
    header[2..4].copy_from_slice(&packet.sequence.to_be_bytes());
    header[4..8].copy_from_slice(&packet.timestamp.to_be_bytes());
    header[8..].copy_from_slice(&ssrc.to_be_bytes());
    header
}

#[test]
fn only_what_is_plainly_the_next_packet_is_taken_as_such() {
    let stream = stream(&steady(40));
    let next = arrival(40, 40 * 160, 800.0);
    let takes = |change: &dyn Fn(&mut [u8; 12])| {
        let mut header = header(&next, 7);
        change(&mut header);
        stream.clone().takes_next(&header, next.time)
    };
    assert!(takes(&|_| ()));
    assert!(takes(&|header| header[0] |= 0x30), "padding and an extension change nothing");
    for byte in 1..12 {
        assert!(!takes(&|header| header[byte] ^= 0x80), "{byte}");
    }
    assert!(!takes(&|header| header[0] = 0x81), "a contributing source may be cut");
    assert!(!takes(&|header| header[0] = 0x40));
    assert!(!stream.clone().takes_next(&header(&next, 7), Timestamp(next.time.0 + 300 * MS)), "a pause");
}

/// A packet each 20 ms.
fn steady(count: u32) -> Vec<(u16, u32, f64)> {
    (0..count).map(|step| (step as u16, step * 160, f64::from(step) * 20.0)).collect()
}

#[test]
fn a_usual_packet_needs_one_cache_line() {
    assert_eq!(std::mem::offset_of!(Stream, rest), 64);
}

#[test]
fn loss_is_expected_minus_received_across_the_wrap() {
    let packets: Vec<_> = (0..=20u32)
        .filter(|step| *step == 0 || step % 5 != 0)
        .map(|step| (65_530u16.wrapping_add(step as u16), step * 160, f64::from(step) * 20.0))
        .collect();
    let figures = stream(&packets).figures();
    assert_eq!((figures.packets, figures.expected), (17, 20));
    assert_eq!(
        (figures.lost, figures.missing),
        (3, 3),
        "5, 10 and 15; 20 was the last and nobody can know of it"
    );
    assert_eq!((figures.duplicates, figures.reordered), (0, 0));
}

#[test]
fn duplicates_and_reordering_are_told_apart() {
    let figures =
        stream(&[(10, 0, 0.0), (12, 320, 40.0), (11, 160, 41.0), (11, 160, 42.0), (9, 4_294_967_136, 43.0)]);
    let figures = figures.figures();
    assert_eq!(
        (figures.duplicates, figures.reordered, figures.missing),
        (1, 2, 0),
        "9 came before the first"
    );
    assert_eq!((figures.expected, figures.lost), (3, -2));
}

#[test]
fn a_new_start_is_no_loss_and_a_single_wild_number_is_none() {
    let mut packets = steady(100);
    packets.extend(
        (0..100).map(|step| (30_000 + step as u16, 16_000 + step * 160, 2000.0 + f64::from(step) * 20.0)),
    );
    let figures = stream(&packets).figures();
    assert_eq!((figures.lost, figures.missing, figures.restarts), (0, 0, 1));
    let mut packets = steady(100);
    packets.insert(50, (40_000, 50 * 160, 995.0));
    let figures = stream(&packets).figures();
    assert_eq!((figures.expected, figures.missing, figures.restarts), (100, 0, 0));
}

/// RFC 3550 A.8: J += (|D| - J) / 16. One packet 16 ms late gives 1 ms.
#[test]
fn jitter_follows_the_estimator_of_rfc_3550() {
    let figures = stream(&[(0, 0, 0.0), (1, 160, 36.0)]).figures();
    assert_eq!((figures.jitter_ms, figures.max_jitter_ms), (Some(1.0), Some(1.0)));
    assert!((figures.max_delta_ms - 36.0).abs() < 1e-9);
}

#[test]
fn without_a_clock_there_is_no_jitter() {
    let mut stream = Stream::new(7, 96, &arrival(0, 0, 0.0), PayloadFormat::default(), Playout::default());
    stream.observe(&arrival(1, 160, 50.0));
    assert_eq!(stream.figures().jitter_ms, None);
    // From here on it is known: two samples, 30 ms and none.
    let third = arrival(2, 320, 100.0);
    stream.set_format(96, pcmu(), third.time);
    stream.observe(&third);
    stream.observe(&arrival(3, 480, 120.0));
    let figures = stream.figures();
    let after = 30.0 / 16.0 * 15.0 / 16.0;
    assert!((figures.max_jitter_ms.unwrap() - 30.0 / 16.0).abs() < 1e-4, "{figures:?}");
    assert!((figures.jitter_ms.unwrap() - (30.0 / 16.0 + after) / 2.0).abs() < 1e-4, "{figures:?}");
}

#[test]
fn a_packet_that_is_late_for_the_buffer_is_discarded() {
    // 100 ms late, beyond the 40 ms that the buffer has when there is no jitter.
    let mut packets = steady(400);
    packets[300].2 += 100.0;
    packets.sort_by(|a, b| a.2.total_cmp(&b.2));
    let figures = stream(&packets).figures();
    assert_eq!((figures.discarded, figures.missing, figures.reordered), (1, 0, 1));
    assert!((figures.playout_delay_ms - 40.0).abs() < 1.0, "{figures:?}");
    // Late in order: those behind it wait with it, until they have caught up.
    let mut packets = steady(400);
    packets[300..303].iter_mut().for_each(|packet| packet.2 = 6100.0);
    let figures = stream(&packets).figures();
    assert_eq!(figures.discarded, 3, "100, 80 and 60 ms late");
}

#[test]
fn the_buffer_grows_with_the_jitter() {
    // Every other packet is 30 ms late; its jitter is 30 ms, and so its buffer 120 ms.
    let mut packets = steady(1000);
    packets.iter_mut().skip(1).step_by(2).for_each(|packet| packet.2 += 15.0);
    let late = stream(&packets).figures();
    assert_eq!(late.discarded, 0);
    assert!((50.0..70.0).contains(&late.playout_delay_ms), "{late:?}");
}

/// A receiver throws away what it has. A capture on two ports, or on both sides of a bridge, has every packet twice.
#[test]
fn packets_that_come_twice_change_nothing_in_what_is_heard() {
    let mut packets = steady(3000);
    // Up to 90 ms under way, and for a while up to 250.
    for (step, packet) in packets.iter_mut().enumerate() {
        let spread = if (900..1400).contains(&step) { 251 } else { 91 };
        packet.2 += ((step * 7919 + step * step % 613) % spread) as f64;
    }
    packets.sort_by(|a, b| a.2.total_cmp(&b.2));
    let once = stream(&packets).figures();
    assert!(once.discarded > 50 && once.playout_delay_ms > 60.0, "{once:?}");
    for later in [0.0, 0.2] {
        let mut doubled: Vec<_> = packets.iter().flat_map(|p| [*p, (p.0, p.1, p.2 + later)]).collect();
        doubled.sort_by(|a, b| a.2.total_cmp(&b.2));
        let twice = stream(&doubled).figures();
        assert_eq!((twice.packets, twice.duplicates, twice.missing), (6000, 3000, 0), "{later} ms later");
        assert!((twice.playout_delay_ms - once.playout_delay_ms).abs() < 0.5, "{twice:?}");
        assert_eq!((twice.discarded, twice.bursts), (once.discarded, once.bursts), "{later} ms later");
    }
}

/// RFC 3550 A.8 knows no copies: jitter is that of the packets of one place, whatever the clock of the other one says.
#[test]
fn packets_captured_at_a_second_place_are_not_late() {
    let mut packets = steady(3000);
    for (step, packet) in packets.iter_mut().enumerate() {
        packet.2 += (step * 7919 % 7) as f64;
    }
    let once = stream(&packets).figures();
    for later in [2.0, 15.0, 50.0, 300.0, 600.0] {
        let mut doubled: Vec<_> = packets.iter().flat_map(|p| [*p, (p.0, p.1, p.2 + later)]).collect();
        doubled.sort_by(|a, b| a.2.total_cmp(&b.2));
        let twice = stream(&doubled).figures();
        assert_eq!((twice.packets, twice.duplicates, twice.reordered), (6000, 3000, 0), "{later} ms later");
        let told = Figures { packets: once.packets, lost: once.lost, duplicates: 0, ..twice };
        assert_eq!(told, once, "{later} ms later");
    }
}

/// Packets of 20 ms, of which those from each place on are so many milliseconds later than sent.
fn stepping(count: u32, steps: &[(usize, f64)]) -> Vec<(u16, u32, f64)> {
    let mut packets = steady(count);
    for (place, delay) in steps {
        packets.iter_mut().skip(*place).for_each(|packet| packet.2 = f64::from(packet.1) / 8.0 + delay);
    }
    packets
}

#[test]
fn a_longer_way_costs_three_packets_and_a_shorter_one_none() {
    for (steps, discarded) in [
        (&[(300, 80.0)][..], 3),
        (&[(300, -80.0)], 0),
        (&[(300, 80.0), (310, 0.0)], 3),
        (&[(300, 80.0), (600, 0.0)], 3),
        (&[(300, -80.0), (600, 0.0)], 3),
        (&[(300, 80.0), (302, 0.0)], 2),
        // The buffer follows a shorter way at the end of the round, 383, and what comes 80 ms later is late from there.
        (&[(330, -80.0), (340, 0.0)], 3),
        (&[(300, 80.0), (600, 160.0), (900, 700.0)], 9),
    ] {
        let figures = stream(&stepping(1000, steps)).figures();
        assert_eq!((figures.discarded, figures.missing), (discarded, 0), "{steps:?}");
    }
}

/// 3 of 1000 packets in one run: Ppl 0.3 and BurstR 3 * (1 - 0.003), and for G.711 with concealment Bpl 25.1 (G.113
/// appendix I). 95 * 0.3 / (0.3 / 2.991 + 25.1) = 1.131 (G.107 7-29).
#[test]
fn a_longer_way_costs_hardly_any_of_the_score() {
    let rating = |steps: &[(usize, f64)]| {
        crate::quality::rate(&stream(&stepping(1000, steps)).figures(), "PCMU", None).rating.unwrap().r
    };
    let lost = rating(&[]) - rating(&[(300, 80.0)]);
    assert!((lost - 1.131).abs() < 0.01, "{lost}");
}

#[test]
fn what_waited_in_a_queue_is_discarded_as_it_was() {
    // From 328 on the network holds packets for 200 ms and sends them at once: 200, 180, … late. 40 ms are in time.
    let mut packets = steady(1000);
    packets.iter_mut().skip(328).take(10).for_each(|packet| packet.2 = 6760.0);
    let figures = stream(&packets).figures();
    assert_eq!((figures.discarded, figures.missing), (8, 0), "200 to 60 ms late");
}

#[test]
fn a_fixed_buffer_discards_until_its_round_is_over() {
    let packets = stepping(1000, &[(320, 80.0)]);
    let arrival = |&(sequence, timestamp, ms): &(u16, u32, f64)| arrival(sequence, timestamp, ms);
    let mut stream = Stream::new(7, 0, &arrival(&packets[0]), pcmu(), Playout::adaptive(60, 60));
    packets[1..].iter().for_each(|packet| {
        stream.observe(&arrival(packet));
    });
    assert_eq!(stream.figures().discarded, 64, "320 to 383");
}

#[test]
fn talk_that_begins_late_is_played() {
    // One second of silence, and then 80 ms more than were under way before; the marker or comfort noise tells of it.
    let late = |step: u16, marker| Arrival {
        marker,
        ..arrival(100 + step, 24_000 + u32::from(step) * 160, 3080.0 + f64::from(step) * 20.0)
    };
    let before = || {
        let packets: Vec<_> = steady(100).into_iter().map(|(s, t, ms)| arrival(s, t, ms)).collect();
        let mut stream = Stream::new(7, 0, &packets[0], pcmu(), Playout::default());
        packets[1..].iter().for_each(|packet| {
            stream.observe(packet);
        });
        stream
    };
    let mut marked = before();
    (0..100).for_each(|step| {
        marked.observe(&late(step, step == 0));
    });
    assert_eq!(marked.figures().discarded, 0);
    let mut noisy = before();
    noisy.observe_aside(&arrival(100, 16_000, 2000.0), Role::ComfortNoise);
    (1..100).for_each(|step| {
        noisy.observe(&late(step, false));
    });
    assert_eq!(noisy.figures().discarded, 0);
    let mut unmarked = before();
    (0..100).for_each(|step| {
        unmarked.observe(&late(step, false));
    });
    assert_eq!(unmarked.figures().discarded, 3, "nothing tells of a silence");
}

/// Quartz is within 100 ppm (G.1020 5.1 names clock accuracy): 360 ms in an hour, and none of it in one packet.
#[test]
fn clocks_that_differ_make_nothing_late_in_an_hour() {
    for frame_ms in [19.998, 20.002] {
        let packets: Vec<_> = (0..180_000u32)
            .map(|step| {
                let ms = f64::from(step) * frame_ms + f64::from(step % 7) * 0.8;
                (step as u16, step.wrapping_mul(160), ms)
            })
            .collect();
        let figures = stream(&packets).figures();
        assert_eq!((figures.discarded, figures.missing), (0, 0), "{frame_ms}");
        let drift = figures.drift_ppm.unwrap();
        assert!((drift - (20.0 - frame_ms) * 50_000.0).abs() < 1.0, "{drift}");
    }
}

#[test]
fn a_clock_that_runs_fast_is_told() {
    // 100 ppm fast: 20 ms of media each 19.998 ms, for a minute; with jitter of up to 5 ms on it.
    let packets: Vec<_> = (0..3000u32)
        .map(|step| (step as u16, step * 160, f64::from(step) * 19.998 + f64::from(step % 7) * 0.8))
        .collect();
    let drift = stream(&packets).figures().drift_ppm.unwrap();
    assert!((drift - 100.0).abs() < 5.0, "{drift}");
    assert_eq!(stream(&steady(1000)).figures().drift_ppm, None, "twenty seconds are too short");
}

#[test]
fn silence_is_no_jitter() {
    // A talkspurt ends, and one second later the next begins with a marker, as its timestamp says.
    let mut packets: Vec<Arrival> =
        steady(100).into_iter().map(|(sequence, timestamp, ms)| arrival(sequence, timestamp, ms)).collect();
    packets.extend((0..100u32).map(|step| {
        let mut packet = arrival(100 + step as u16, 24_000 + step * 160, 3000.0 + f64::from(step) * 20.0);
        packet.marker = step == 0;
        packet
    }));
    let mut stream = Stream::new(7, 0, &packets[0], pcmu(), Playout::default());
    packets[1..].iter().for_each(|packet| {
        stream.observe(packet);
    });
    let figures = stream.figures();
    assert_eq!((figures.markers, figures.leaps, figures.discarded, figures.missing), (1, 0, 0, 0));
    assert_eq!((figures.jitter_ms, figures.max_jitter_ms), (Some(0.0), Some(0.0)));
    assert!((figures.max_delta_ms - 20.0).abs() < 1e-9, "{figures:?}");
    assert_eq!(figures.frame_ms, Some(20.0));
}

/// A key is pressed: its packets keep the timestamp of its beginning, and the voice behind it goes on from there.
#[test]
fn a_long_digit_makes_nothing_late() {
    let voice: Vec<Arrival> = steady(500).into_iter().map(|(s, t, ms)| arrival(s, t, ms)).collect();
    let mut stream = Stream::new(7, 0, &voice[0], pcmu(), Playout::default());
    for (step, packet) in voice.iter().enumerate().skip(1) {
        if (100..400).contains(&step) {
            stream.observe_aside(&Arrival { timestamp: 16_000, ..*packet }, Role::Event);
        } else {
            stream.observe(packet);
        }
    }
    let figures = stream.figures();
    assert_eq!((figures.packets, figures.missing, figures.discarded, figures.leaps), (500, 0, 0, 0));
}

#[test]
fn timestamps_that_begin_anew_are_no_jitter() {
    let mut packets = steady(200);
    packets.iter_mut().skip(100).for_each(|packet| packet.1 += 80_000_000);
    let figures = stream(&packets).figures();
    assert_eq!((figures.leaps, figures.max_jitter_ms, figures.discarded), (1, Some(0.0), 0));
}

/// What happens to one packet of a stream.
#[derive(Clone, Debug)]
struct Fate {
    lost: bool,
    twice: bool,
    late_ms: f64,
    marker: bool,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let late = prop_oneof![8 => 0.0..3.0, 2 => 0.0..60.0];
    let fate = (
        proptest::bool::weighted(0.05),
        proptest::bool::weighted(0.03),
        late,
        proptest::bool::weighted(0.02),
    );
    proptest::collection::vec(
        fate.prop_map(|(lost, twice, late_ms, marker)| Fate { lost, twice, late_ms, marker }),
        2..400,
    )
}

/// Which packets come, in the order in which they come: position and milliseconds.
fn arrivals(fates: &[Fate]) -> Vec<(usize, f64)> {
    let mut arrivals = Vec::new();
    for (position, fate) in fates.iter().enumerate().filter(|(position, fate)| *position == 0 || !fate.lost) {
        let ms = position as f64 * 20.0 + if position == 0 { 0.0 } else { fate.late_ms };
        arrivals.push((position, ms));
        if fate.twice {
            arrivals.push((position, ms + 0.9));
        }
    }
    arrivals.sort_by(|a, b| a.1.total_cmp(&b.1));
    arrivals
}

/// Mean and maximum of the estimator in floating point, by the rules that Wireshark has for what is no sample. A copy that does not
/// follow its packet at once is none of the packets.
fn plain_jitter(fates: &[Fate], arrivals: &[(usize, f64)]) -> (f64, f64) {
    let (mut jitter, mut mean, mut max) = (0.0, 0.0, 0.0f64);
    let mut latest = arrivals[0];
    let mut seen = std::collections::BTreeSet::from([latest.0]);
    let mut count = 0;
    for &(position, ms) in &arrivals[1..] {
        let is_highest = seen.last() == Some(&position);
        if !(seen.insert(position) || is_highest && ms - latest.1 <= 1.0) {
            continue;
        }
        count += 1;
        let media = (position as f64 - latest.0 as f64) * 20.0;
        jitter = (15.0 * jitter + (ms - latest.1 - media).abs()) / 16.0;
        if !fates[position].marker {
            max = max.max(jitter);
            mean = (mean * (f64::from(count) - 1.0) + jitter) / f64::from(count);
        }
        latest = (position, ms);
    }
    (mean, max)
}

proptest! {
    #[test]
    fn every_figure_is_that_of_the_model(fates in fates(), start in prop_oneof![Just(65_400u16), any::<u16>()]) {
        let arrivals = arrivals(&fates);
        // A packet that overtakes the first is one before it to anybody who did not see it sent.
        prop_assume!(arrivals[0].0 == 0);
        let packet = |&(position, ms): &(usize, f64)| Arrival {
            marker: fates[position].marker,
            ..arrival(start.wrapping_add(position as u16), (position as u32).wrapping_mul(160).wrapping_sub(3200), ms)
        };
        let mut stream = Stream::new(1, 0, &packet(&arrivals[0]), pcmu(), Playout::default());
        arrivals[1..].iter().for_each(|it| {
            stream.observe(&packet(it));
        });
        let figures = stream.figures();

        let mut seen = std::collections::BTreeSet::new();
        let (mut duplicates, mut reordered) = (0, 0);
        for (position, _) in &arrivals {
            let behind = seen.last().is_some_and(|last| last > position);
            if seen.insert(*position) { reordered += u64::from(behind) } else { duplicates += 1 }
        }
        let expected = *seen.last().unwrap() as u64 + 1;
        prop_assert_eq!(figures.packets, arrivals.len() as u64);
        prop_assert_eq!(figures.expected, expected);
        prop_assert_eq!(figures.lost, expected as i64 - arrivals.len() as i64);
        prop_assert_eq!((figures.duplicates, figures.reordered), (duplicates, reordered));
        prop_assert_eq!(figures.missing, expected - seen.len() as u64);
        prop_assert_eq!((figures.restarts, figures.leaps), (0, 0));
        let (mean, max) = plain_jitter(&fates, &arrivals);
        if arrivals.len() > 1 {
            prop_assert!((figures.jitter_ms.unwrap() - mean).abs() < 1e-4, "{:?} {}", figures.jitter_ms, mean);
            prop_assert!((figures.max_jitter_ms.unwrap() - max).abs() < 1e-4, "{:?} {}", figures.max_jitter_ms, max);
        }
    }

    /// Wherever a step is, in whichever of the rounds: the first three packets behind it are late, and the fourth is not.
    #[test]
    fn a_step_of_any_size_costs_three_packets(place in 1usize..390, later in 41u32..900) {
        let figures = stream(&stepping(400, &[(place, f64::from(later))])).figures();
        prop_assert_eq!((figures.discarded, figures.missing), (3, 0));
    }

    #[test]
    fn hostile_numbers_do_no_harm(packets in proptest::collection::vec((any::<u16>(), any::<u32>(), any::<u64>(), any::<bool>(), 0u8..3), 1..300)) {
        let arrival = |&(sequence, timestamp, time, marker, _): &(u16, u32, u64, bool, u8)| {
            Arrival { time: Timestamp(time), sequence, timestamp, marker }
        };
        let mut stream = Stream::new(1, 0, &arrival(&packets[0]), pcmu(), Playout::default());
        for packet in &packets[1..] {
            match packet.4 {
                0 => {
                    stream.observe(&arrival(packet));
                }
                1 => stream.observe_aside(&arrival(packet), Role::Event),
                _ => stream.observe_aside(&arrival(packet), Role::ComfortNoise),
            }
        }
        let figures = stream.figures();
        prop_assert_eq!(figures.packets, packets.len() as u64);
        prop_assert!(figures.missing + figures.discarded <= figures.expected, "{:?}", figures);
    }
}
