//! The sequence of tier sizes.

use std::fmt;

/// The tiers, in the order in which they are resized.
const TIERS: [&str; 3] = ["leaf", "broadcast", "root"];

/// The size of every tier, one node more or less at each step: one tier after another, up to the most and down
/// to one again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walk {
    sizes: [u32; 3],
    is_growing: [bool; 3],
    most: u32,
    steps: usize,
}

impl Walk {
    /// Begins with one node in each tier.
    pub(super) fn new(most: u32) -> Self {
        Self { sizes: [1; 3], is_growing: [true; 3], most, steps: 0 }
    }

    /// Resizes all tiers at once between one node and the most: leaves come while roots go, and broadcast
    /// nodes change at half the pace.
    pub(super) fn leap(&mut self) {
        self.steps += 1;
        let (odd, half) = (self.steps % 2 == 1, self.steps / 2 % 2 == 1);
        let size = |is_large: bool| if is_large { self.most } else { 1 };
        self.sizes = [size(odd), size(half), size(!odd)];
    }

    /// The next sizes.
    pub(super) fn step(&mut self) {
        let tier = self.steps % TIERS.len();
        self.steps += 1;
        let (size, is_growing) = (&mut self.sizes[tier], &mut self.is_growing[tier]);
        *is_growing = if *is_growing { *size < self.most } else { *size == 1 };
        if *is_growing { *size += 1 } else { *size -= 1 }
    }

    /// A manifest with these sizes.
    pub(super) fn manifest(&self, base: &toml::Table) -> String {
        let mut manifest = base.clone();
        for (tier, size) in TIERS.into_iter().zip(self.sizes) {
            let empty = || toml::Value::Table(toml::Table::new());
            let section = manifest.entry(tier).or_insert_with(empty);
            if let Some(section) = section.as_table_mut() {
                section.insert("replicas".into(), i64::from(size).into());
            }
        }
        manifest.to_string()
    }
}

impl fmt::Display for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [leaves, broadcasts, roots] = self.sizes;
        write!(f, "{leaves} leaves, {roots} roots, {broadcasts} broadcast nodes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_goes_up_to_the_most_and_down_to_one_by_one_node_a_step() {
        let mut walk = Walk::new(3);
        let mut seen = vec![walk.sizes];
        for _ in 0..24 {
            walk.step();
            seen.push(walk.sizes);
        }
        for pair in seen.windows(2) {
            let changes: Vec<_> = (0..3).map(|tier| pair[0][tier].abs_diff(pair[1][tier])).collect();
            assert_eq!(changes.iter().sum::<u32>(), 1, "{pair:?}");
        }
        for tier in 0..3 {
            let sizes: Vec<_> = seen.iter().map(|sizes| sizes[tier]).collect();
            assert_eq!((sizes.iter().min(), sizes.iter().max()), (Some(&1), Some(&3)));
        }
    }

    #[test]
    fn leaps_go_from_one_end_to_the_other_with_roots_against_leaves() {
        let mut walk = Walk::new(4);
        let mut leap = || {
            walk.leap();
            walk.sizes
        };
        assert_eq!([leap(), leap(), leap(), leap()], [[4, 1, 1], [1, 4, 4], [4, 4, 1], [1, 1, 4]]);
    }

    #[test]
    fn a_manifest_keeps_all_but_the_sizes() {
        let base = "[leaf]\nreplicas = 9\ncapacity = 7\n".parse().unwrap();
        let manifest: toml::Table = Walk::new(2).manifest(&base).parse().unwrap();
        assert_eq!(
            manifest,
            "[leaf]\nreplicas = 1\ncapacity = 7\n[root]\nreplicas = 1\n[broadcast]\nreplicas = 1"
                .parse()
                .unwrap()
        );
    }
}
