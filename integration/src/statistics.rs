//! Bounds by which splits and percentages are judged.
//!
//! A 75/25 split over 2000 requests never gives exactly 1500. The bound here is exact: of `n`
//! independent requests that each hit with probability `p`, the number of hits is binomial, and a
//! [`Bound`] is the narrowest range of counts that a correct proxy leaves with a probability of at
//! most [`FALSE_ALARM`], half of it on either side. No normal approximation is involved, so small
//! counts and percentages near 0 and 100 are judged as exactly as the rest; at `p` = 0 and
//! `p` = 1 the range is a single count.
//!
//! A bound says when to doubt; whether it would notice a *wrong* proxy depends on the number of
//! requests. [`tells_apart`] answers that: 2200 requests tell 75 % from 65 %, 100 do not.

use std::fmt;

/// How often a correct proxy may fail a check: once in a million checks.
pub const FALSE_ALARM: f64 = 1e-6;

/// The counts that are believable for a number of trials and a probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// How many trials there are.
    pub trials: u64,
    /// The probability that one trial hits.
    pub probability: f64,
    /// The lowest believable number of hits.
    pub lowest: u64,
    /// The highest believable number of hits.
    pub highest: u64,
}

impl Bound {
    /// The bound for `trials` requests that hit with `probability` each, at [`FALSE_ALARM`].
    pub fn new(trials: u64, probability: f64) -> Self {
        Self::with_false_alarm(trials, probability, FALSE_ALARM)
    }

    /// The bound a correct proxy leaves with at most the probability `false_alarm`.
    ///
    /// A probability outside 0 to 1 is taken as the nearer end.
    pub fn with_false_alarm(trials: u64, probability: f64, false_alarm: f64) -> Self {
        let probability = probability.clamp(0.0, 1.0);
        let side = false_alarm / 2.0;
        Self {
            trials,
            probability,
            lowest: first_likely(weights(trials, probability).into_iter(), side),
            highest: trials - first_likely(weights(trials, probability).into_iter().rev(), side),
        }
    }

    /// Whether `hits` is believable.
    pub fn contains(&self, hits: u64) -> bool {
        (self.lowest..=self.highest).contains(&hits)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trials, probability, lowest, highest } = self;
        if lowest == highest {
            return write!(f, "exactly {lowest} of {trials}");
        }
        // Two decimals of a percent, without the noise of binary fractions.
        let percent = (probability * 1e4).round() / 1e2;
        write!(f, "{lowest} to {highest} of {trials} ({percent} %)")
    }
}

/// Whether a proxy that hits with probability `actual` would be noticed by a check for `wanted`:
/// the two ranges have no count in common, so the check fails it save for [`FALSE_ALARM`].
pub fn tells_apart(trials: u64, wanted: f64, actual: f64) -> bool {
    let (wanted, actual) = (Bound::new(trials, wanted), Bound::new(trials, actual));
    wanted.highest < actual.lowest || actual.highest < wanted.lowest
}

/// The binomial probabilities of 0 to `trials` hits.
///
/// They are built outwards from the most likely count by the ratio of neighbours and then scaled
/// to a sum of one: nothing overflows, and what underflows is smaller than anything asked for.
fn weights(trials: u64, probability: f64) -> Vec<f64> {
    let n = trials as f64;
    let mode = ((n + 1.0) * probability).floor().min(n) as u64;
    let odds = probability / (1.0 - probability);
    let mut below = Vec::new();
    let mut weight = 1.0;
    for hits in (1..=mode).rev() {
        // A probability of one leaves no weight to anything below the mode.
        weight *= if odds.is_finite() { hits as f64 / ((n - hits as f64 + 1.0) * odds) } else { 0.0 };
        below.push(weight);
    }
    below.reverse();
    let mut all = below;
    all.push(1.0);
    weight = 1.0;
    for hits in mode..trials {
        weight *= (n - hits as f64) * odds / (hits as f64 + 1.0);
        all.push(weight);
    }
    let total: f64 = all.iter().sum();
    for weight in &mut all {
        *weight /= total;
    }
    all
}

/// How many leading weights sum to at most `side`.
fn first_likely(weights: impl Iterator<Item = f64>, side: f64) -> u64 {
    let mut sum = 0.0;
    let mut skipped = 0;
    for weight in weights {
        sum += weight;
        if sum > side {
            break;
        }
        skipped += 1;
    }
    skipped
}

#[cfg(test)]
mod tests;
