//! Fragments in any order against a map of bytes.

use proptest::prelude::*;

use super::*;
use crate::capture::PacketBatch;
use crate::decode::{Decoded, decode_datagram};
use crate::flow::Address;

const HEADER: usize = 4;

fn limits() -> Limits {
    Limits { max_datagrams: 100, max_bytes: 1 << 20, timeout: Duration::from_secs(30), keep_frames: true }
}

/// Fragment `offset..` of a datagram, in a frame of four bytes of header and its `bytes`.
fn piece(offset: u32, bytes: &[u8], more: bool) -> (Fragment, Vec<u8>) {
    let fragment = Fragment {
        source: Address::v4([192, 0, 2, 1]),
        destination: Address::v4([192, 0, 2, 2]),
        identification: 1,
        protocol: 17,
        offset,
        more,
        start: HEADER as u32,
        length: bytes.len() as u32,
        missing: 0,
        network: 2,
        depth: 2,
        tunnelled: false,
    };
    (fragment, [&[offset as u8; HEADER][..], bytes].concat())
}

fn push(table: &mut Defragmenter, (fragment, frame): &(Fragment, Vec<u8>), now: u64) -> Option<Vec<u8>> {
    let now = Timestamp::new(now, 1);
    table
        .push(fragment, Carrier::Frame(&Packet::default()), frame, now)
        .map(|datagram| datagram.payload.to_vec())
}

#[test]
fn a_fragment_inside_a_datagram_has_the_frames_of_that() {
    for keep_frames in [true, false] {
        let mut table = Defragmenter::new(Limits { keep_frames, ..limits() });
        let ((first, payload), (second, frame)) = (piece(0, b"abcdefgh", true), piece(8, b"ij", false));
        let arena = b"one-two";
        let packet = |offset, captured| Packet { offset, captured, ..Packet::default() };
        let packets = [packet(0, 3), packet(4, 3)];
        let outer = Carrier::Datagram(PacketBatch::new(arena, &packets));
        let now = Timestamp::new(1, 0);
        assert!(table.push(&first, outer, &payload, now).is_none());
        let whole = table.push(&second, Carrier::Frame(&packet(9, 0)), &frame, now).unwrap();
        assert_eq!((whole.payload, whole.header), (&b"abcdefghij"[..], &payload[..HEADER]));
        let frames: Vec<_> = whole.frames().map(|(_, bytes)| bytes).collect();
        let all = vec![&b"one"[..], b"two", &frame];
        assert_eq!(frames, if keep_frames { all } else { vec![] });
    }
}

/// Every fragment is counted once.
fn balanced(table: &Defragmenter) {
    let counters = table.counters();
    let sum = counters.joined
        + counters.duplicates
        + counters.conflicts
        + counters.bad_length
        + counters.inconsistent
        + counters.cut
        + counters.oversize
        + counters.stranded;
    assert_eq!(counters.fragments, sum, "{counters:?}");
}

#[test]
fn two_in_order_with_their_frames() {
    for keep_frames in [true, false] {
        let mut table = Defragmenter::new(Limits { keep_frames, ..limits() });
        let (first, frame_one) = piece(0, b"abcdefgh", true);
        let (second, frame_two) = piece(8, b"ij", false);
        let packet = |offset| Packet { offset, ..Packet::default() };
        let now = Timestamp::new(1, 0);
        assert!(table.push(&first, Carrier::Frame(&packet(7)), &frame_one, now).is_none());
        let whole = table.push(&second, Carrier::Frame(&packet(9)), &frame_two, now).unwrap();
        assert_eq!((whole.payload, whole.fragments), (&b"abcdefghij"[..], 2));
        assert_eq!(whole.first, Fragment { more: false, ..first });
        assert_eq!(whole.header, &frame_one[..HEADER]);
        let frames: Vec<_> = whole.frames().map(|(packet, bytes)| (packet.offset, bytes.to_vec())).collect();
        let both = vec![(7, frame_one), (9, frame_two)];
        assert_eq!(frames, if keep_frames { both } else { vec![] });
        assert_eq!(table.pending(), 0);
        table.finish();
        balanced(&table);
        assert_eq!((table.counters().reassembled, table.counters().failed()), (1, 0));
    }
}

#[test]
fn a_whole_datagram_decodes() {
    let mut table = Defragmenter::new(limits());
    let (one, frame) = piece(0, &[0x13, 0xc4, 0x13, 0xc5, 0, 10, 0, 0], true);
    table.push(&one, Carrier::Frame(&Packet::default()), &frame, Timestamp::default());
    let (two, frame) = piece(8, b"hi", false);
    let whole = table.push(&two, Carrier::Frame(&Packet::default()), &frame, Timestamp::default()).unwrap();
    let Ok(Decoded::Unit(unit)) = decode_datagram(&whole.first, whole.payload) else { panic!() };
    assert_eq!((unit.source.port, unit.start, unit.length), (5060, 8, 2));
}

#[test]
fn both_sides_of_a_router_make_two_datagrams() {
    let (one, two) = (piece(0, b"abcdefgh", true), piece(8, b"ij", false));
    for order in [[&one, &two, &one, &two], [&one, &one, &two, &two], [&two, &one, &one, &two]] {
        let mut table = Defragmenter::new(limits());
        let whole = order.iter().filter_map(|piece| push(&mut table, piece, 1)).count();
        assert_eq!((whole, table.pending()), (2, 0));
        balanced(&table);
        assert_eq!(table.counters().joined, 4);
    }
}

#[test]
fn single_duplicates_are_no_failure() {
    let (one, two) = (piece(0, b"abcdefgh", true), piece(8, b"ij", false));
    for order in [[&one, &one, &two], [&one, &two, &two], [&two, &one, &one]] {
        let mut table = Defragmenter::new(limits());
        assert_eq!(order.iter().filter_map(|piece| push(&mut table, piece, 1)).count(), 1);
        table.expire(Timestamp::new(32, 0));
        assert_eq!((table.counters().duplicates, table.counters().failed()), (1, 0));
        balanced(&table);
    }
}

#[test]
fn an_identification_comes_round() {
    let mut table = Defragmenter::new(limits());
    let again = |bytes: &[u8]| (piece(0, bytes, true), piece(8, b"kl", false));
    let (one, two) = (piece(0, b"abcdefgh", true), piece(8, b"ij", false));
    for piece in [&one, &one, &two] {
        push(&mut table, piece, 1);
    }
    // At once, with other bytes; and after the window, with the same.
    let (next_one, next_two) = again(b"ABCDEFGH");
    assert_eq!(push(&mut table, &next_one, 1), None);
    assert_eq!(push(&mut table, &next_two, 1).unwrap(), b"ABCDEFGHkl");
    push(&mut table, &two, 1);
    let (late_one, late_two) = again(b"abcdefgh");
    assert_eq!(push(&mut table, &late_one, 9), None);
    assert_eq!(push(&mut table, &late_two, 9).unwrap(), b"abcdefghkl");
    table.finish();
    balanced(&table);
    assert_eq!(table.counters().failed(), 0);
}

#[test]
fn ipv6_takes_the_protocol_of_the_first_fragment() {
    let in_v6 = |(fragment, frame): (Fragment, Vec<u8>), protocol| {
        (Fragment { source: Address::v6([1; 16]), protocol, ..fragment }, frame)
    };
    let mut table = Defragmenter::new(limits());
    assert_eq!(push(&mut table, &in_v6(piece(8, b"ij", false), 60), 1), None);
    let (fragment, frame) = in_v6(piece(0, b"abcdefgh", true), 17);
    let whole =
        table.push(&fragment, Carrier::Frame(&Packet::default()), &frame, Timestamp::new(1, 0)).unwrap();
    assert_eq!((whole.first.protocol, whole.payload), (17, &b"abcdefghij"[..]));
    // In IPv4 it is part of the key.
    assert_eq!(push(&mut table, &piece(0, b"abcdefgh", true), 1), None);
    let (fragment, frame) = piece(8, b"ij", false);
    assert_eq!(push(&mut table, &(Fragment { protocol: 6, ..fragment }, frame), 1), None);
}

#[test]
fn the_capture_may_cut_the_end_only() {
    let mut table = Defragmenter::new(limits());
    let cut = |(fragment, frame): (Fragment, Vec<u8>), missing| (Fragment { missing, ..fragment }, frame);
    push(&mut table, &piece(0, b"abcdefgh", true), 1);
    let (fragment, frame) = cut(piece(8, b"ij", false), 3);
    let whole =
        table.push(&fragment, Carrier::Frame(&Packet::default()), &frame, Timestamp::new(1, 0)).unwrap();
    assert_eq!((whole.payload, whole.first.missing), (&b"abcdefghij"[..], 3));
    // Nothing of the last one was captured.
    push(&mut table, &cut(piece(8, b"", false), 5), 5);
    assert_eq!(push(&mut table, &piece(0, b"abcdefgh", true), 5).unwrap(), b"abcdefgh");
    // In the middle, and the first.
    push(&mut table, &cut(piece(8, b"abcdef", true), 2), 9);
    push(&mut table, &cut(piece(0, b"abcdef", true), 2), 9);
    assert_eq!(push(&mut table, &piece(16, b"ij", false), 9), None);
    let beginning = table.beginning(Asked::Due(Timestamp::new(10, 1)), of_a_call).unwrap();
    assert_eq!((beginning.payload, beginning.first.missing), (&b"abcdef"[..], 12));
    table.expire(Timestamp::new(40, 0));
    assert_eq!((table.counters().cut, table.counters().expired, table.counters().stranded), (1, 1, 2));
    balanced(&table);
}

/// Every datagram is of a call.
fn of_a_call(_: &Datagram<'_>) -> Option<u64> {
    Some(1)
}

fn named((fragment, frame): (Fragment, Vec<u8>), identification: u32) -> (Fragment, Vec<u8>) {
    (Fragment { identification, ..fragment }, frame)
}

#[test]
fn the_beginning_is_given_when_its_rest_does_not_come() {
    let mut table = Defragmenter::new(limits());
    let (one, two, three) =
        (piece(0, b"abcdefgh", true), piece(8, b"ijklmnop", true), piece(16, b"qr", false));
    let given = |table: &mut Defragmenter, asked: Asked<'_>| {
        let datagram = table.beginning(asked, of_a_call)?;
        let Datagram { first, header, completes, .. } = datagram;
        assert_eq!((first.more, first.offset, header, completes), (false, 0, &one.1[..HEADER], false));
        assert_eq!(datagram.frames().count(), datagram.fragments as usize);
        Some((datagram.payload.to_vec(), first.missing))
    };
    let due = |seconds| Asked::Due(Timestamp::new(seconds, 1));
    let longest = |length: u32| 65_535 - length;
    // The first alone, with the second, with the last, and without the first.
    push(&mut table, &named(one.clone(), 1), 1);
    push(&mut table, &named(two.clone(), 2), 1);
    push(&mut table, &named(one.clone(), 2), 1);
    push(&mut table, &named(one.clone(), 3), 1);
    push(&mut table, &named(three.clone(), 3), 1);
    push(&mut table, &named(two.clone(), 4), 1);
    push(&mut table, &named(one.clone(), 5), 2);
    assert_eq!(given(&mut table, due(1)), None);
    assert_eq!(given(&mut table, due(2)), Some((b"abcdefgh".to_vec(), longest(8))));
    assert_eq!(given(&mut table, due(2)), Some((b"abcdefghijklmnop".to_vec(), longest(16))));
    assert_eq!(given(&mut table, due(2)), Some((b"abcdefgh".to_vec(), 10)));
    assert_eq!(given(&mut table, due(2)), None);
    // The rest comes after all, and has the frames that were not given; a copy is no news.
    assert_eq!(push(&mut table, &named(two.clone(), 1), 2), None);
    let (fragment, frame) = named(three, 1);
    let carrier = Carrier::Frame(&Packet::default());
    let whole = table.push(&fragment, carrier, &frame, Timestamp::new(2, 1)).unwrap();
    assert_eq!((whole.payload, whole.completes), (&b"abcdefghijklmnopqr"[..], true));
    assert_eq!((whole.fragments, whole.frames().count()), (3, 2));
    push(&mut table, &named(one.clone(), 1), 2);
    push(&mut table, &named(one.clone(), 5), 2);
    assert_eq!(given(&mut table, Asked::Any), Some((b"abcdefgh".to_vec(), longest(8))));
    assert_eq!(given(&mut table, Asked::Any), None);
    table.finish();
    balanced(&table);
    assert_eq!((table.counters().reassembled, table.counters().failed()), (1, 4));
}

#[test]
fn what_nobody_takes_stays_whole() {
    let mut table = Defragmenter::new(limits());
    push(&mut table, &piece(0, b"abcdefgh", true), 1);
    for asked in [Asked::Call(1), Asked::Due(Timestamp::new(2, 1)), Asked::Any] {
        assert!(table.beginning(asked, |_| None).is_none());
    }
    let (fragment, frame) = piece(8, b"ij", false);
    let whole =
        table.push(&fragment, Carrier::Frame(&Packet::default()), &frame, Timestamp::new(2, 1)).unwrap();
    assert_eq!((whole.completes, whole.frames().count()), (false, 2));
}

#[test]
fn the_beginnings_of_a_call_are_given_oldest_first() {
    let mut table = Defragmenter::new(limits());
    let call = |datagram: &Datagram<'_>| Some(u64::from(datagram.payload[0] - b'0'));
    let given =
        |table: &mut Defragmenter, asked| table.beginning(asked, call).map(|datagram| datagram.payload[1]);
    push(&mut table, &named(piece(8, b"rest----", true), 9), 1);
    for (number, text) in (1..).zip([b"1a------", b"2b------", b"1c------"]) {
        push(&mut table, &named(piece(0, text, true), number), 1);
    }
    // One of them is whole before it is asked for.
    push(&mut table, &named(piece(0, b"1d------", true), 5), 1);
    push(&mut table, &named(piece(8, b"x", false), 5), 1);
    assert!(table.is_waiting());
    assert_eq!(given(&mut table, Asked::Call(3)), None);
    assert_eq!(given(&mut table, Asked::Call(1)), Some(b'a'));
    assert_eq!(given(&mut table, Asked::Call(1)), Some(b'c'));
    assert_eq!(given(&mut table, Asked::Call(1)), None);
    assert_eq!(given(&mut table, Asked::Due(Timestamp::new(2, 1))), Some(b'b'));
    assert_eq!(given(&mut table, Asked::Any), None);
    assert!(!table.is_waiting());
}

#[test]
fn a_first_fragment_that_the_capture_cut_is_given_at_once() {
    let mut table = Defragmenter::new(limits());
    let whole = piece(0, b"abcdefgh", true);
    let (fragment, frame) = piece(0, b"abcdef", true);
    let cut = (Fragment { missing: 2, ..fragment }, frame);
    for one in [&whole, &cut, &cut] {
        let one = named(one.clone(), one.0.missing);
        push(&mut table, &one, 1);
        let given = table.beginning(Asked::Cut(&one.0), of_a_call).map(|datagram| datagram.payload.to_vec());
        assert_eq!(given, (one.0.missing > 0).then(|| b"abcdef".to_vec()));
    }
}

/// RFC 4963 2: on a fast link the 16 bits come round within the time-out.
#[test]
fn an_identification_comes_round_behind_a_beginning_that_was_given() {
    let mut table = Defragmenter::new(limits());
    let texts = [b"abcdefgh", b"ABCDEFGH", b"12345678"];
    for (seconds, text) in (1..).zip(texts) {
        push(&mut table, &piece(0, text, true), seconds);
        let due = Asked::Due(Timestamp::new(seconds + 1, 1));
        assert_eq!(table.beginning(due, of_a_call).unwrap().payload, text);
    }
    let (fragment, frame) = piece(0, b"87654", true);
    let cut = Fragment { missing: 3, ..fragment };
    push(&mut table, &(cut, frame), 5);
    assert_eq!(table.beginning(Asked::Cut(&cut), of_a_call).unwrap().payload, b"87654");
    assert_eq!(push(&mut table, &piece(0, b"other---", true), 6), None);
    assert_eq!(push(&mut table, &piece(8, b"whole", false), 6).unwrap(), b"other---whole");
    table.finish();
    balanced(&table);
}

#[test]
fn each_beginning_is_given_once_whatever_goes_meanwhile() {
    let mut table = Defragmenter::new(Limits { max_datagrams: 7, ..limits() });
    let mut given = Vec::new();
    for number in 0..200_u32 {
        let (fragment, frame) = piece(0, &u64::from(number).to_be_bytes(), true);
        let now = u64::from(number / 3);
        push(&mut table, &(Fragment { identification: number, ..fragment }, frame), now);
        if number % 5 == 0 {
            // Any of those that wait becomes whole.
            let (fragment, frame) = piece(8, b"z", false);
            push(
                &mut table,
                &(Fragment { identification: number.saturating_sub(number % 7), ..fragment }, frame),
                now,
            );
        }
        while let Some(datagram) = table.beginning(Asked::Due(Timestamp::new(now, 1)), of_a_call) {
            given.push(datagram.payload.to_vec());
        }
    }
    let mut once = given.clone();
    once.dedup();
    assert!(given.is_sorted() && once == given && given.len() > 100, "{}", given.len());
}

/// What is known of one datagram does not depend on which others there were, nor on a hash.
#[test]
fn copies_of_many_datagrams_are_known() {
    const MANY: u32 = 4_000;
    let mut table = Defragmenter::new(limits());
    let (one, two) = (piece(0, b"abcdefgh", true), piece(8, b"ij", false));
    for number in 0..MANY {
        push(&mut table, &named(one.clone(), number), 1);
        assert!(push(&mut table, &named(two.clone(), number), 1).is_some());
    }
    for number in 0..MANY {
        push(&mut table, &named(one.clone(), number), 1);
    }
    table.finish();
    balanced(&table);
    assert_eq!((table.counters().failed(), table.counters().duplicates), (0, u64::from(MANY)));
}

#[test]
fn what_cannot_be_is_dropped() {
    let mut table = Defragmenter::new(limits());
    for bad in [piece(0, b"abc", true), piece(65_528, b"abcdefgh", false), piece(8, b"", false)] {
        assert_eq!(push(&mut table, &bad, 1), None);
    }
    let (fragment, frame) = piece(0, b"abcdefgh", true);
    for fragment in [
        Fragment { length: 16, ..fragment },
        Fragment { start: u32::MAX, ..fragment },
        Fragment { offset: u32::MAX, ..fragment },
        Fragment { missing: u32::MAX, ..fragment },
    ] {
        assert!(
            table.push(&fragment, Carrier::Frame(&Packet::default()), &frame, Timestamp::default()).is_none()
        );
    }
    assert_eq!((table.counters().bad_length, table.pending()), (7, 0));
    for late in [piece(8, b"ijkl", false), piece(8, b"ijkl5678", true), piece(8, b"ijklm", false)] {
        assert_eq!(push(&mut table, &late, 1), None);
    }
    assert_eq!(table.counters().inconsistent, 2);
    assert_eq!(push(&mut table, &piece(0, b"abcdefgh", true), 1).unwrap(), b"abcdefghijkl");
    balanced(&table);
}

#[test]
fn time_and_room_run_out() {
    let mut table = Defragmenter::new(Limits { max_datagrams: 3, ..limits() });
    for identification in 0..5 {
        let (fragment, frame) = piece(0, b"abcdefgh", true);
        push(&mut table, &(Fragment { identification, ..fragment }, frame), u64::from(identification));
    }
    assert_eq!((table.pending(), table.counters().evicted), (3, 2));
    table.expire(Timestamp::new(33, 0));
    assert_eq!((table.pending(), table.counters().expired), (2, 1));
    table.finish();
    assert_eq!((table.pending(), table.counters().unfinished), (0, 2));
    balanced(&table);
}

#[test]
fn memory_stays_within_its_bound() {
    let max_bytes = 1 << 20;
    let mut table = Defragmenter::new(Limits { max_datagrams: 10_000, max_bytes, ..limits() });
    for identification in 0..5_000 {
        // A few bytes of fragment in a frame of padding, with duplicates, and now and then a whole datagram.
        let (mut fragment, mut frame) = piece(8 * (identification % 3), &[7; 8], identification % 7 != 0);
        fragment.identification = identification / 3;
        frame.resize(3_000, 0);
        for _ in 0..2 {
            push(&mut table, &(fragment, frame.clone()), 1);
            assert!(table.allocated() <= max_bytes + 2 * 64 * 1024, "{}", table.allocated());
        }
    }
    table.finish();
    balanced(&table);
    assert!(table.counters().evicted > 0 && table.counters().reassembled > 0);
}

#[test]
fn a_datagram_has_a_bound_of_its_own() {
    let mut table = Defragmenter::new(Limits { max_bytes: 1 << 30, ..limits() });
    for index in 0..4000 {
        push(&mut table, &piece(index * 16, &[1; 8], true), 1);
    }
    let (fragment, mut frame) = piece(0, &[1; 8], true);
    frame.resize(100_000, 0);
    for offset in 0..100 {
        push(&mut table, &(Fragment { identification: 9, offset: offset * 8, ..fragment }, frame.clone()), 1);
    }
    assert_eq!(table.counters().oversize, 4000 - pieces::MAX_PIECES as u64 + 90);
    assert!(table.allocated() < 4 << 20);
}

/// What a byte map makes of the same fragments.
#[derive(Clone, Debug, Default)]
struct Model {
    bytes: Vec<Option<u8>>,
    end: Option<usize>,
}

impl Model {
    fn has(&self, range: std::ops::Range<usize>) -> Vec<Option<u8>> {
        range.map(|at| self.bytes.get(at).copied().flatten()).collect()
    }

    fn fill(&mut self, offset: usize, bytes: &[u8], more: bool) {
        self.bytes.resize(self.bytes.len().max(offset + bytes.len()), None);
        for (at, byte) in bytes.iter().enumerate() {
            self.bytes[offset + at].get_or_insert(*byte);
        }
        if !more {
            self.end = Some(offset + bytes.len());
        }
    }

    fn whole(&self) -> Option<Vec<u8>> {
        let end = self.end?;
        self.has(0..end).into_iter().collect()
    }
}

/// The copies of one datagram, as the module's documentation has them.
#[derive(Debug, Default)]
struct Copies(Vec<Model>);

impl Copies {
    fn push(&mut self, offset: usize, bytes: &[u8], more: bool) -> Option<Vec<u8>> {
        for index in 0..MAX_COPIES {
            if index == self.0.len() {
                self.0.push(Model::default());
            }
            let model = &mut self.0[index];
            let old = model.has(offset..offset + bytes.len());
            let new_end = !more && model.end.is_none();
            if new_end || old.contains(&None) {
                model.fill(offset, bytes, more);
                return model.whole().inspect(|_| {
                    self.0.remove(index);
                });
            }
        }
        None
    }
}

/// A datagram's bytes, and ranges of it in units of eight bytes that cover all of it and overlap.
fn fragments() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, usize)>)> {
    (1_usize..200).prop_flat_map(|length| {
        let units = length.div_ceil(8);
        let cuts = prop::collection::vec(0..units, 0..6);
        let extra = prop::collection::vec((0..units, 1..=units), 0..6);
        let bytes = prop::collection::vec(any::<u8>(), length);
        (bytes, cuts, extra, 1_usize..4).prop_flat_map(move |(bytes, mut cuts, extra, copies)| {
            cuts.extend([0, units]);
            cuts.sort_unstable();
            cuts.dedup();
            let mut ranges = Vec::new();
            for _ in 0..copies {
                ranges.extend(cuts.windows(2).map(|pair| (pair[0], pair[1])));
            }
            ranges.extend(extra.iter().map(|&(start, count)| (start, (start + count).min(units))));
            (Just(bytes), Just(ranges).prop_shuffle())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_order_with_duplicates_and_overlaps((payload, ranges) in fragments(), keep_frames in any::<bool>()) {
        let mut table = Defragmenter::new(Limits { keep_frames, ..limits() });
        let mut model = Copies::default();
        let mut whole = 0;
        for (start, end) in ranges {
            let (start, end) = (start * 8, (end * 8).min(payload.len()));
            let more = end < payload.len();
            let expected = model.push(start, &payload[start..end], more);
            let found = push(&mut table, &piece(start as u32, &payload[start..end], more), 1);
            prop_assert_eq!(&found, &expected);
            prop_assert!(found.is_none_or(|found| found == payload));
            whole += u64::from(expected.is_some());
        }
        prop_assert!(whole > 0);
        prop_assert_eq!(table.counters().reassembled, whole);
        table.finish();
        balanced(&table);
        prop_assert_eq!(table.counters().failed(), 0, "what is left are copies");
    }

    #[test]
    fn the_first_bytes_win((payload, ranges) in fragments(), noise in any::<u8>()) {
        let mut table = Defragmenter::new(limits());
        let mut model = Model::default();
        for (index, (start, end)) in ranges.into_iter().enumerate() {
            let (start, end) = (start * 8, (end * 8).min(payload.len()));
            let more = end < payload.len();
            let bytes: Vec<u8> = payload[start..end].iter().map(|byte| byte ^ noise.wrapping_mul(index as u8)).collect();
            model.fill(start, &bytes, more);
            let found = push(&mut table, &piece(start as u32, &bytes, more), 1);
            prop_assert_eq!(&found, &model.whole());
            if found.is_some() {
                return Ok(());
            }
        }
        prop_assert!(false, "never whole");
    }

    #[test]
    fn anything_at_all_stays_balanced(
        list in prop::collection::vec((0_u32..3, 0_u32..12, 0_u32..20, any::<bool>(), 0_u32..3, 0_u64..3), 0..80),
        max_datagrams in 0_usize..5,
    ) {
        let mut table = Defragmenter::new(Limits { max_datagrams, ..limits() });
        let mut time = 0;
        for (identification, eights, length, more, missing, seconds) in list {
            let bytes = vec![(length + seconds as u32) as u8; length as usize];
            let (fragment, frame) = piece(eights * 8, &bytes, more);
            time += seconds;
            push(&mut table, &(Fragment { identification, missing, ..fragment }, frame), time);
            table.expire(Timestamp::new(time, 0));
            prop_assert!(table.pending() <= max_datagrams.max(1));
        }
        table.finish();
        prop_assert_eq!(table.pending(), 0);
        balanced(&table);
    }
}
