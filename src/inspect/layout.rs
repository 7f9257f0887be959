//! How far apart the columns of a drawing stand.

use unicode_width::UnicodeWidthStr;

/// Cells of the times at the left.
pub(super) const TIME: usize = 12;
/// What an arrow needs beside its label: line, spaces, head, and the lifeline.
const ARROW: usize = 7;
/// The closest that columns may stand with labels between them: room for `180 Ringing`.
const CLOSEST: usize = 18;

/// The least that a label is cut to: `407 Proxy Aut…`.
const SHORTEST: usize = 14;

/// What a row needs: its label from column `from` to the column `to` right of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) width: usize,
}

/// Where everything stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Cells from the times to the first lifeline.
    pub(super) margin: usize,
    /// Cells from each lifeline to the next.
    pub(super) gaps: Vec<usize>,
    /// Columns are called A, B, C, and a legend says who they are.
    pub(super) letters: bool,
    /// Labels stand right of the lifelines in that many cells, because they do not fit between them.
    pub(super) beside: Option<usize>,
}

impl Layout {
    /// The best layout for `width` cells: names over the columns and labels on the arrows; else letters for names;
    /// else labels beside the drawing. `right` cells are for what stands at the right end.
    pub(super) fn new(names: &[String], needs: &[Need], right: usize, width: usize) -> Self {
        let widths: Vec<usize> = names.iter().map(|name| name.width()).collect();
        let named = Self::with_labels(&widths, needs, right, width, false);
        let lettered = || Self::with_labels(&vec![1; names.len()], needs, right, width, true);
        named.or_else(lettered).unwrap_or_else(|| Self::without_labels(names.len(), needs, right, width))
    }

    fn with_labels(
        widths: &[usize],
        needs: &[Need],
        right: usize,
        width: usize,
        letters: bool,
    ) -> Option<Self> {
        let pairs = widths.iter().zip(widths.iter().skip(1));
        let floor: Vec<usize> =
            pairs.map(|(left, right)| ((left + right).div_ceil(2) + 2).max(CLOSEST)).collect();
        // The first and the last name reach beyond their lifelines.
        let margin = widths.first().map_or(0, |first| (first / 2).saturating_sub(TIME)).max(2);
        let right = right.max(widths.last().map_or(0, |last| last.div_ceil(2)));
        let room = width.checked_sub(TIME + margin + 1 + right)?;
        let mut gaps = floor.clone();
        needs.iter().for_each(|need| widen(&mut gaps, need));
        shrink(&mut gaps, &floor, room);
        (gaps.iter().sum::<usize>() <= room).then_some(Self { margin, gaps, letters, beside: None })
    }

    fn without_labels(columns: usize, needs: &[Need], right: usize, width: usize) -> Self {
        let longest = needs.iter().map(|need| need.width).max().unwrap_or_default();
        let fixed = TIME + 2 + 1 + 2 + right;
        let pairs = columns.saturating_sub(1).max(1);
        let gap = (width.saturating_sub(fixed + longest.min(CLOSEST)) / pairs).clamp(3, 8);
        let label = width
            .saturating_sub(fixed + gap * (columns.saturating_sub(1)))
            .clamp(SHORTEST, longest.max(SHORTEST));
        let gaps = vec![gap; columns.saturating_sub(1)];
        Self { margin: 2, gaps, letters: true, beside: Some(label) }
    }

    /// Cells between the lifelines of two columns.
    pub(super) fn between(&self, from: usize, to: usize) -> usize {
        self.gaps.get(from..to).unwrap_or_default().iter().sum::<usize>().saturating_sub(1)
    }
}

/// Makes room for a label, the same in each gap that its arrow crosses.
fn widen(gaps: &mut [usize], need: &Need) {
    let gaps = gaps.get_mut(need.from..need.to).unwrap_or_default();
    let missing = (need.width + ARROW).saturating_sub(gaps.iter().sum());
    let share = missing.div_ceil(gaps.len().max(1));
    gaps.iter_mut().for_each(|gap| *gap += share);
}

/// Takes from the widest gaps, never below `floor`, until all fit into `room`.
fn shrink(gaps: &mut [usize], floor: &[usize], room: usize) {
    let mut excess = gaps.iter().sum::<usize>().saturating_sub(room);
    while excess > 0 {
        let shrinkable = gaps.iter_mut().zip(floor).filter(|(gap, floor)| **gap > **floor);
        let Some((widest, _)) = shrinkable.max_by_key(|(gap, _)| **gap) else { return };
        *widest -= 1;
        excess -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("10.0.0.{n}:5060")).collect()
    }

    #[test]
    fn two_columns_get_what_their_labels_need() {
        let needs = [Need { from: 0, to: 1, width: 30 }, Need { from: 0, to: 1, width: 10 }];
        let layout = Layout::new(&names(2), &needs, 12, 120);
        assert_eq!(layout, Layout { margin: 2, gaps: vec![37], letters: false, beside: None });
    }

    #[test]
    fn what_does_not_fit_is_narrowed_then_lettered_then_put_beside() {
        let needs: Vec<Need> = (0..3).map(|n| Need { from: n, to: n + 1, width: 30 }).collect();
        let chosen = |width| {
            let layout = Layout::new(&names(4), &needs, 12, width);
            (layout.gaps.iter().sum::<usize>(), layout.letters, layout.beside.is_some())
        };
        assert_eq!(chosen(200), (111, false, false));
        assert_eq!(chosen(100), (73, false, false));
        assert_eq!(chosen(81), (54, false, false));
        assert!(chosen(80).2);
        let long = vec!["[2001:db8:1111:2222:3333:4444:5555:6666]:5060".to_owned(); 4];
        let lettered = Layout::new(&long, &needs, 12, 100);
        assert!(lettered.letters && lettered.beside.is_none());
    }

    proptest! {
        #[test]
        fn a_layout_with_labels_never_exceeds_its_width(
            columns in 1usize..9, width in 20usize..300, right in 0usize..30,
            spans in proptest::collection::vec((0usize..8, 1usize..8, 0usize..80), 0..20),
        ) {
            let needs: Vec<Need> = spans.into_iter()
                .map(|(from, span, width)| Need { from: from.min(columns - 1), to: (from + span).min(columns - 1).max(from.min(columns - 1)), width })
                .collect();
            let layout = Layout::new(&names(columns), &needs, right, width);
            prop_assert_eq!(layout.gaps.len(), columns - 1);
            if layout.beside.is_none() {
                prop_assert!(TIME + layout.margin + layout.gaps.iter().sum::<usize>() + 1 + right <= width);
            }
        }
    }
}
