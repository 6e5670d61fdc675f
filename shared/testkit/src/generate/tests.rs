use super::*;

/// The share of requests that meet a rule, in percent; every set must be valid.
fn share(generate: fn(u64, usize) -> PolicySet) -> usize {
    let (mut requests, mut met) = (0, 0);
    for seed in 0..200 {
        let set = generate(seed, 20);
        let matcher = Matcher::compile(&set).unwrap_or_else(|problems| panic!("seed {seed}: {problems}"));
        requests += set.probes.len();
        met += set.probes.iter().filter(|probe| matcher.matches(probe)).count();
    }
    met * 100 / requests
}

#[test]
fn a_third_of_the_requests_find_a_route() {
    let share = share(routing::generate);
    assert!(share >= 33, "{share} %");
}

#[test]
fn a_third_of_the_requests_meet_a_policy_s_rule() {
    let share = share(authorization::generate);
    assert!(share >= 33, "{share} %");
}

#[test]
fn the_same_seed_gives_the_same_set() {
    for seed in [0, 1, u64::MAX] {
        assert_eq!(routing::generate(seed, 5), routing::generate(seed, 5));
        assert_eq!(authorization::generate(seed, 5), authorization::generate(seed, 5));
    }
    assert_ne!(routing::generate(0, 5), routing::generate(1, 5));
}
