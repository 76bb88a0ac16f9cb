//! The last statement of each probe, in the order of the probes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// A key has few probes, and a partner has those of all its keys. The nodes of a map have room for eleven items, so a
/// large fleet would need several times the memory for its keys.
const MAX_FEW: usize = 8;

/// A sorted map. While it has few items, it reserves no more memory than they need.
#[derive(Debug)]
pub(super) struct Answers<P, A> {
    /// In order. Empty as soon as there are too many.
    few: Vec<(P, A)>,
    many: BTreeMap<P, A>,
}

impl<P, A> Default for Answers<P, A> {
    fn default() -> Self {
        Self { few: Vec::new(), many: BTreeMap::new() }
    }
}

impl<P: Ord, A> Answers<P, A> {
    /// Returns what was there before.
    pub(super) fn insert(&mut self, probe: P, answer: A) -> Option<A> {
        if !self.many.is_empty() {
            return self.many.insert(probe, answer);
        }
        match self.few.binary_search_by(|(known, _)| known.cmp(&probe)) {
            Ok(_) => self.get_mut(&probe).map(|known| std::mem::replace(known, answer)),
            Err(position) if self.few.len() < MAX_FEW => {
                self.few.reserve_exact(1);
                self.few.insert(position, (probe, answer));
                None
            }
            Err(_) => {
                self.many.extend(std::mem::take(&mut self.few));
                self.many.insert(probe, answer)
            }
        }
    }

    pub(super) fn get(&self, probe: &P) -> Option<&A> {
        let few = self.few.iter().find(|(known, _)| known == probe).map(|(_, answer)| answer);
        few.or_else(|| self.many.get(probe))
    }

    pub(super) fn get_mut(&mut self, probe: &P) -> Option<&mut A> {
        let few = self.few.iter_mut().find(|(known, _)| known == probe).map(|(_, answer)| answer);
        few.or_else(|| self.many.get_mut(probe))
    }

    /// The other items cost nothing.
    pub(super) fn remove(&mut self, removed: RangeInclusive<P>) {
        self.few.retain(|(probe, _)| !removed.contains(probe));
        self.many.extract_if(removed, |_, _| true).for_each(drop);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&P, &A)> {
        self.few.iter().map(|(probe, answer)| (probe, answer)).chain(&self.many)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut A> {
        self.few.iter_mut().map(|(_, answer)| answer).chain(self.many.values_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the number of items is, it does what a map does.
    #[test]
    fn few_and_many_answers_are_kept_in_order() {
        for count in [0_usize, 1, 2, MAX_FEW, MAX_FEW + 1, 30] {
            let (mut answers, mut map) = (Answers::default(), BTreeMap::new());
            for number in 0..2 * count {
                // Each one twice, and not in order.
                let probe = number * 7 % count;
                assert_eq!(answers.insert(probe, number), map.insert(probe, number), "{count} items");
            }
            let removed = count / 3..=count / 2;
            answers.remove(removed.clone());
            map.retain(|probe, _| !removed.contains(probe));
            for answer in answers.values_mut() {
                *answer += 1;
            }
            for answer in map.values_mut() {
                *answer += 1;
            }
            assert!(answers.iter().eq(&map), "{count} items: {answers:?}");
            for probe in 0..count {
                assert_eq!(answers.get(&probe), map.get(&probe), "{count} items");
                assert_eq!(answers.get_mut(&probe), map.get_mut(&probe), "{count} items");
            }
            for probe in map.into_keys() {
                answers.remove(probe..=probe);
            }
            assert_eq!(answers.insert(1, 1), None, "{count} items were removed");
            assert_eq!(answers.iter().collect::<Vec<_>>(), [(&1, &1)]);
        }
    }
}
