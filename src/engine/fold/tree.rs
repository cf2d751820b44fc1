//! The fixed binary tree in which units are merged: leaf `i` with leaf `i ^ 1`, and so on.
//!
//! Who has folded a leaf merges it upwards as far as the other half is there. So at any time there
//! are few nodes, and what a node holds doesn't depend on who came when.

use std::collections::BTreeMap;

/// The nodes that aren't merged yet.
#[derive(Debug)]
pub(super) struct Tree<N> {
    /// By their first leaf: how many leaves they have, as a power of two, and what they hold.
    nodes: BTreeMap<u64, (u32, N)>,
}

/// What is to be done with a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<N> {
    /// It is in the tree, and waits for its other half.
    Waits,
    /// Both halves of a node of this level at this place, the earlier first.
    Merge { level: u32, first: u64, left: N, right: N },
}

impl<N> Default for Tree<N> {
    fn default() -> Self {
        Self { nodes: BTreeMap::new() }
    }
}

impl<N> Tree<N> {
    /// With the nodes of the first leaves: what [`prefix`](Self::prefix) gave.
    pub fn resume(&mut self, nodes: impl IntoIterator<Item = (u32, N)>) -> u64 {
        let mut first = 0;
        for (level, node) in nodes {
            self.nodes.insert(first, (level, node));
            first += 1 << level;
        }
        first
    }

    /// Puts a node in, or takes its other half out.
    pub fn put(&mut self, level: u32, first: u64, node: N) -> Step<N> {
        let other = first ^ (1 << level);
        let is_half = |found: &&(u32, N)| found.0 == level;
        if self.nodes.get(&other).filter(is_half).is_none() {
            self.nodes.insert(first, (level, node));
            return Step::Waits;
        }
        let Some((_, found)) = self.nodes.remove(&other) else { return Step::Waits };
        let (left, right) = if other < first { (found, node) } else { (node, found) };
        Step::Merge { level: level + 1, first: first.min(other), left, right }
    }

    /// The first leaf of each node, and its level.
    pub fn places(&self) -> impl Iterator<Item = (u64, u32)> {
        self.nodes.iter().map(|(first, (level, _))| (*first, *level))
    }

    /// The level of the node with this first leaf, if there is one.
    pub fn level(&self, first: u64) -> Option<u32> {
        self.nodes.get(&first).map(|(level, _)| *level)
    }

    /// Takes that node out.
    pub fn remove(&mut self, first: u64) -> Option<(u32, N)> {
        self.nodes.remove(&first)
    }

    /// The first leaves of the nodes that follow each other from this leaf on.
    pub fn following(&self, mut end: u64) -> Vec<u64> {
        let mut firsts = Vec::new();
        while let Some(level) = self.level(end) {
            firsts.push(end);
            end += 1 << level;
        }
        firsts
    }

    /// What the nodes with a first leaf before this one hold.
    pub fn before_mut(&mut self, leaf: u64) -> impl Iterator<Item = &mut N> {
        self.nodes.range_mut(..leaf).map(|(_, (_, node))| node)
    }

    /// What all nodes hold, in the order of their leaves.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &N> {
        self.nodes.values().map(|(_, node)| node)
    }

    /// The nodes of the first leaves, as far as all are in, and how many leaves these are.
    pub fn prefix(&self) -> (u64, impl Iterator<Item = (u32, &N)>) {
        let mut end = 0;
        let mut count = 0;
        for (first, (level, _)) in &self.nodes {
            if *first != end {
                break;
            }
            end += 1 << level;
            count += 1;
        }
        (end, self.nodes.values().take(count).map(|(level, node)| (*level, node)))
    }
}

/// Most nodes that the first of so many leaves are.
pub(super) fn most_nodes(leaves: u64) -> u64 {
    u64::from(leaves.max(1).ilog2()) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Which leaves were merged, and how.
    type Told = String;

    /// Puts all leaves in, in some order, from those on that are in.
    fn put_all(tree: &mut Tree<Told>, order: &[u64]) {
        for leaf in order {
            let (mut level, mut first, mut node) = (0, *leaf, leaf.to_string());
            while let Step::Merge { level: next, first: at, left, right } =
                tree.put(level, first, node)
            {
                (level, first, node) = (next, at, format!("({left} {right})"));
            }
        }
    }

    fn nodes(tree: &Tree<Told>) -> (u64, Vec<(u32, Told)>) {
        let (count, nodes) = tree.prefix();
        (count, nodes.map(|(level, node)| (level, node.clone())).collect())
    }

    #[test]
    fn while_two_are_merged_neither_is_in() {
        let mut tree = Tree::default();
        put_all(&mut tree, &[0, 1]);
        assert_eq!(tree.prefix().0, 2);
        let merging = tree.put(1, 2, "(2 3)".to_owned());
        assert!(matches!(merging, Step::Merge { level: 2, first: 0, .. }));
        assert_eq!(tree.prefix().0, 0);
    }

    #[test]
    fn leaves_are_merged_with_their_neighbours() {
        let mut tree = Tree::default();
        put_all(&mut tree, &[1, 0, 3]);
        assert_eq!(nodes(&tree), (2, vec![(1, "(0 1)".to_owned())]));
        put_all(&mut tree, &[2, 6, 5, 4]);
        let told: Vec<_> = nodes(&tree).1.into_iter().map(|(_, node)| node).collect();
        assert_eq!(told, ["((0 1) (2 3))", "(4 5)", "6"]);
        assert_eq!([1, 2, 3, 7, 8].map(most_nodes), [1, 2, 2, 3, 4]);
    }

    #[test]
    fn nodes_are_taken_out_from_a_leaf_on() {
        let mut tree = Tree::default();
        put_all(&mut tree, &[2, 3, 4, 6, 8]);
        assert_eq!((tree.following(2), tree.following(3)), (vec![2, 4], vec![]));
        assert_eq!(tree.places().collect::<Vec<_>>(), [(2, 1), (4, 0), (6, 0), (8, 0)]);
        assert_eq!(tree.before_mut(5).map(|node| node.clone()).collect::<Vec<_>>(), ["(2 3)", "4"]);
        assert_eq!(tree.remove(2), Some((1, "(2 3)".to_owned())));
        assert_eq!((tree.level(2), tree.level(4)), (None, Some(0)));
    }

    proptest! {
        #[test]
        fn what_comes_out_depends_neither_on_the_order_nor_on_a_break(
            order in (1u64..40).prop_flat_map(|leaves| Just((0..leaves).collect::<Vec<_>>()).prop_shuffle()),
            done in 0usize..40,
        ) {
            let leaves = order.len() as u64;
            let (mut whole, mut sorted) = (Tree::default(), order.clone());
            sorted.sort_unstable();
            put_all(&mut whole, &sorted);
            let done = done.min(order.len());
            let mut before = Tree::default();
            put_all(&mut before, &order[..done]);
            let (in_it, kept) = nodes(&before);
            prop_assert!(kept.len() as u64 <= most_nodes(leaves));
            let mut after = Tree::default();
            prop_assert_eq!(after.resume(kept), in_it);
            let left: Vec<u64> = order.into_iter().filter(|leaf| *leaf >= in_it).collect();
            put_all(&mut after, &left);
            prop_assert_eq!(nodes(&after), nodes(&whole));
            prop_assert_eq!(nodes(&whole).0, leaves);
        }
    }
}
