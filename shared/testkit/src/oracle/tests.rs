use super::*;

/// From fixed seeds; `make fuzz AREA=index` goes on with others.
fn agree(generate: fn(u64, usize) -> Crowd) {
    let mut total = Compared::default();
    for seed in 0..100 {
        let crowd = generate(seed, 25);
        match crowd.compare().unwrap_or_else(|problems| panic!("seed {seed}: {problems}")) {
            Ok(compared) => {
                total.requests += compared.requests;
                total.met += compared.met;
            }
            Err(found) => panic!("seed {seed}:\n{}", shrink(found)),
        }
    }
    assert!(total.met * 100 / total.requests >= 30, "requests miss the rules: {total:?}");
}

#[test]
fn the_index_authorizes_as_the_plain_evaluator_does() {
    agree(authorization);
}

#[test]
fn the_index_routes_as_the_plain_evaluator_does() {
    agree(routing);
}
