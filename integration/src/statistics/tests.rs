use super::*;

fn choose(n: u64, k: u64) -> f64 {
    (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64)
}

#[test]
fn certain_and_impossible_leave_one_count() {
    assert_eq!(Bound::new(500, 0.0).to_string(), "exactly 0 of 500");
    assert_eq!(Bound::new(500, 1.0).to_string(), "exactly 500 of 500");
    assert!(!Bound::new(500, 0.0).contains(1));
    assert!(!Bound::new(500, 1.0).contains(499));
}

#[test]
fn the_weights_are_those_of_the_textbook() {
    for (n, p) in [(1, 0.5), (10, 0.3), (40, 0.97), (60, 0.001)] {
        let weights = weights(n, p);
        assert_eq!(weights.len() as u64, n + 1);
        for (k, weight) in (0..).zip(&weights) {
            let expected = choose(n, k) * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32);
            assert!((weight - expected).abs() < 1e-12, "n {n} p {p} k {k}: {weight} against {expected}");
        }
    }
}

#[test]
fn ten_fair_coins_may_all_fall_alike_but_thirty_may_not() {
    // All ten alike: 2/1024. All thirty alike: 2/2^30, below one in a million.
    assert!(Bound::new(10, 0.5).contains(0) && Bound::new(10, 0.5).contains(10));
    assert!(!Bound::new(30, 0.5).contains(0) && !Bound::new(30, 0.5).contains(30));
}

#[test]
fn both_ends_are_as_tight_as_they_can_be() {
    for (n, p) in [(100, 0.1), (1000, 0.5), (2000, 0.75), (10_000, 0.01)] {
        let bound = Bound::new(n, p);
        let weights = weights(n, p);
        let below = |count: u64| weights[..count as usize].iter().sum::<f64>();
        let above = |count: u64| weights[count as usize + 1..].iter().sum::<f64>();
        assert!(below(bound.lowest) <= FALSE_ALARM / 2.0 && below(bound.lowest + 1) > FALSE_ALARM / 2.0);
        assert!(above(bound.highest) <= FALSE_ALARM / 2.0 && above(bound.highest - 1) > FALSE_ALARM / 2.0);
    }
}

#[test]
fn the_bound_is_about_five_standard_deviations_wide() {
    let bound = Bound::new(10_000, 0.5);
    assert_eq!((bound.lowest, bound.highest), (4755, 5245));
    assert_eq!(bound.to_string(), "4755 to 5245 of 10000 (50 %)");
}

#[test]
fn swapping_hits_and_misses_mirrors_the_bound() {
    let (hits, misses) = (Bound::new(2000, 0.75), Bound::new(2000, 0.25));
    assert_eq!((hits.lowest, hits.highest), (2000 - misses.highest, 2000 - misses.lowest));
}

#[test]
fn a_looser_false_alarm_leaves_a_tenth_of_the_runs_outside() {
    // A hundred flips of a seeded generator, 20 000 times: the share outside a bound of 10 % must
    // itself lie near, and not above, what the bound promises.
    let bound = Bound::with_false_alarm(100, 0.3, 0.1);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let outside =
        (0..20_000).filter(|_| !bound.contains((0..100).filter(|_| uniform() < 0.3).count() as u64)).count();
    assert!((1_000..=2_000).contains(&outside), "{outside}");
}

#[test]
fn a_large_number_of_trials_neither_overflows_nor_vanishes() {
    let bound = Bound::new(1_000_000, 0.999);
    assert!(bound.lowest > 998_800 && bound.highest < 999_200, "{bound}");
}

#[test]
fn enough_requests_tell_a_wrong_split_from_a_right_one() {
    assert!(tells_apart(2200, 0.75, 0.65));
    assert!(!tells_apart(100, 0.75, 0.65));
    assert!(!tells_apart(2000, 0.75, 0.75));
}
