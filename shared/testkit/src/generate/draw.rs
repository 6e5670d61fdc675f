//! Drawing from small alphabets.

use mesh_policy_core::effect::{Random as _, SplitMix64};

/// A seeded source of choices.
#[derive(Debug, Clone)]
pub struct Draw(SplitMix64);

impl Draw {
    /// Everything drawn follows from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    /// Whether something of this many percent happens.
    pub fn percent(&mut self, share: u32) -> bool {
        self.0.happens(share * 10_000)
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        let span = most.saturating_sub(least) as u64 + 1;
        least + usize::try_from(self.0.below(span)).unwrap_or(0)
    }

    /// One of them; the default of an empty slice.
    pub fn one<T: Clone + Default>(&mut self, of: &[T]) -> T {
        let at = self.between(0, of.len().saturating_sub(1));
        of.get(at).cloned().unwrap_or_default()
    }

    /// One of these texts.
    pub fn text(&mut self, of: &[&'static str]) -> &'static str {
        self.one(of)
    }

    /// From `least` to `most` different ones, in their order.
    pub fn some(&mut self, of: &[&'static str], least: usize, most: usize) -> Vec<&'static str> {
        let mut left = self.between(least, most).min(of.len());
        let mut chosen = Vec::new();
        for (at, text) in of.iter().enumerate() {
            // Each is taken with the share that still has to be filled.
            if self.between(1, of.len() - at) <= left {
                chosen.push(*text);
                left -= 1;
            }
        }
        chosen
    }
}
