use super::*;

fn found(index: &Index, texts: &[(Subject, &str)]) -> Vec<usize> {
    let mut candidates = index.candidates();
    for (subject, text) in texts {
        index.look_up(*subject, text.as_bytes(), &mut candidates);
    }
    let mut next = 0;
    while let Some(Looked { at, subject }) = candidates.branches.get(next).copied() {
        next += 1;
        for (_, text) in texts.iter().filter(|(looked, _)| *looked == at) {
            index.look_up(subject, text.as_bytes(), &mut candidates);
        }
    }
    candidates.collect()
}

/// Rules that each need one key of one subject.
fn index_of(keys: &[(Part, &str)]) -> Index {
    let mut draft = Draft::default();
    let subject = draft.subject(Cost::Read);
    for (part, text) in keys {
        let mark = draft.mark();
        draft.key(subject, *part, text.as_bytes());
        draft.rule(mark);
    }
    draft.finish()
}

#[test]
fn rules_are_found_by_all_of_a_text_its_beginnings_and_its_ends() {
    let index = index_of(&[
        (Part::Whole, "/a/b"),
        (Part::Head, "/a"),
        (Part::Tail, "/b"),
        (Part::Head, ""),
        (Part::Whole, ""),
        (Part::Head, "/a/b/c/d/e/f/g/h/i"),
        (Part::Tail, "c/d/e/f/g/h/i"),
        (Part::Head, "/a/"),
        (Part::Tail, ""),
        (Part::Head, "/a"),
    ]);
    for (text, rules) in [
        ("/a/b", &[0, 1, 2, 3, 7, 8, 9][..]),
        ("/a", &[1, 3, 8, 9]),
        ("", &[3, 4, 8]),
        ("b", &[3, 8]),
        ("/a/b/c/d/e/f/g/h/i", &[1, 3, 5, 6, 7, 8, 9]),
        ("x/a/b", &[2, 3, 8]),
    ] {
        assert_eq!(found(&index, &[(0, text)]), rules, "{text}");
    }
}

#[test]
fn a_rule_is_filed_by_what_fewest_rules_share() {
    let mut draft = Draft::default();
    let path = draft.subject(Cost::Read);
    let user = draft.subject(Cost::Fetched);
    for rule in 0..100 {
        let mark = draft.mark();
        draft.key(path, Part::Head, b"/api/");
        draft.key(user, Part::Whole, format!("user-{rule}").as_bytes());
        draft.rule(mark);
    }
    let index = draft.finish();
    assert!(index.uses(user) && !index.uses(path));
    assert_eq!(found(&index, &[(path, "/api/x"), (user, "user-42")]), [42]);
}

#[test]
fn nothing_is_fetched_where_the_headers_tell_rules_apart() {
    let mut draft = Draft::default();
    let path = draft.subject(Cost::Read);
    let user = draft.subject(Cost::Fetched);
    for rule in 0..100 {
        let mark = draft.mark();
        draft.key(path, Part::Whole, format!("/{}", rule / 4).as_bytes());
        draft.key(user, Part::Whole, format!("user-{rule}").as_bytes());
        draft.rule(mark);
    }
    let index = draft.finish();
    assert!(index.uses(path) && !index.uses(user));
    assert_eq!(found(&index, &[(path, "/3")]), [12, 13, 14, 15]);
}

#[test]
fn a_rule_stands_under_each_of_its_alternatives() {
    let mut draft = Draft::default();
    let path = draft.subject(Cost::Read);
    let host = draft.subject(Cost::Read);
    // (a or (b and host x)) ..
    let mark = draft.mark();
    let any = draft.mark();
    draft.key(path, Part::Whole, b"a");
    let all = draft.mark();
    draft.key(path, Part::Whole, b"b");
    draft.key(host, Part::Whole, b"x");
    draft.all(all);
    draft.any(any);
    draft.rule(mark);
    // .. and a rule of which one alternative is open,
    let mark = draft.mark();
    let any = draft.mark();
    draft.key(path, Part::Whole, b"a");
    draft.open();
    draft.any(any);
    draft.rule(mark);
    // one without any need, and one with a choice of nothing.
    let mark = draft.mark();
    draft.rule(mark);
    let mark = draft.mark();
    let any = draft.mark();
    draft.any(any);
    draft.rule(mark);
    let index = draft.finish();
    assert_eq!(found(&index, &[(path, "a")]), [0, 1, 2, 3]);
    assert_eq!(found(&index, &[(path, "b"), (host, "x")]), [0, 1, 2, 3]);
    assert_eq!(found(&index, &[(path, "c")]), [1, 2, 3]);
}

#[test]
fn what_cannot_be_told_finds_all_that_is_filed_by_it() {
    let index = index_of(&[(Part::Whole, "a"), (Part::Head, "b"), (Part::Whole, "a")]);
    let mut candidates = index.candidates();
    index.all(0, &mut candidates);
    assert_eq!(candidates.collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn many_lists_are_one_order() {
    // Nested beginnings: a long text has all of them.
    let keys: Vec<String> = (0..100).map(|length| "x".repeat(length % 50)).collect();
    let keys: Vec<(Part, &str)> = keys.iter().rev().map(|key| (Part::Head, key.as_str())).collect();
    let index = index_of(&keys);
    assert_eq!(found(&index, &[(0, &"x".repeat(60))]), (0..100).collect::<Vec<_>>());
    assert_eq!(found(&index, &[(0, &"x".repeat(10)), (0, &"x".repeat(11))]).len(), 24);
}

/// Rules that each need all of some keys.
fn index_of_all<'t>(rules: impl Iterator<Item = Vec<(Subject, Part, &'t str)>>) -> Index {
    let mut draft = Draft::default();
    for _ in 0..3 {
        draft.subject(Cost::Read);
    }
    for keys in rules {
        let mark = draft.mark();
        for (subject, part, text) in keys {
            draft.key(subject, part, text.as_bytes());
        }
        draft.rule(mark);
    }
    draft.finish()
}

fn digits(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number:02}")).collect()
}

#[test]
fn rules_that_share_a_key_are_told_apart_by_others() {
    let digits = digits(100);
    let rules = (0..10_000).map(|rule| {
        vec![(0, Part::Whole, digits[rule / 100].as_str()), (1, Part::Whole, digits[rule % 100].as_str())]
    });
    let index = index_of_all(rules);
    assert_eq!(found(&index, &[(0, "12"), (1, "34")]), [1234]);
    assert!(found(&index, &[(0, "12")]).is_empty() || found(&index, &[(1, "34")]).is_empty());
    assert_eq!(
        index.lists.rules.len(),
        20_000 + 10_000,
        "each in one list, and in one of each level's subject"
    );
    // Three of twenty each.
    let rules = (0..8_000).map(|rule| {
        let digit = |number: usize| digits[number % 20].as_str();
        [digit(rule), digit(rule / 20), digit(rule / 400)]
            .into_iter()
            .zip(0..)
            .map(|(text, subject)| (subject, Part::Whole, text))
            .collect()
    });
    let index = index_of_all(rules);
    assert_eq!(found(&index, &[(0, "11"), (1, "07"), (2, "19")]), [11 + 7 * 20 + 19 * 400]);
}

#[test]
fn rules_that_nothing_tells_apart_stay_together() {
    let keys = |rule: usize| match rule % 10 {
        // One in ten has no more than the others share.
        0 => vec![(0, Part::Head, "/")],
        _ => vec![(0, Part::Head, "/"), (1, Part::Whole, "x")],
    };
    let index = index_of_all((0..100).map(keys));
    assert!(index.branches.is_empty());
    assert_eq!(found(&index, &[(0, "/a"), (1, "x")]).len(), 100);
}

#[test]
fn what_branches_cannot_tell_is_found() {
    let digits = digits(50);
    let index = index_of_all((0..2_000).map(|rule| {
        let mut keys = vec![(0, Part::Whole, digits[rule / 40].as_str())];
        keys.extend((rule % 4 > 0).then(|| (1, Part::Whole, digits[rule % 40].as_str())));
        keys
    }));
    let left: Vec<usize> = (120..160).step_by(4).collect();
    assert_eq!(found(&index, &[(0, "03")]), left);
    let mut rules = left;
    rules.extend([127, 129]);
    rules.sort_unstable();
    assert_eq!(found(&index, &[(0, "03"), (1, "07"), (1, "09")]), rules);
    // Of a branch, too, all can be had.
    let branch = index.branches.first().unwrap().looked;
    let mut candidates = index.candidates();
    index.all(branch.subject, &mut candidates);
    assert_eq!(candidates.count(), 30);
}

#[test]
fn alternatives_are_not_filed_by_every_two_of_them() {
    let digits = digits(100);
    let mut draft = Draft::default();
    let subjects = [draft.subject(Cost::Read), draft.subject(Cost::Read)];
    for _ in 0..20 {
        let mark = draft.mark();
        for subject in subjects {
            let any = draft.mark();
            for text in &digits {
                draft.key(subject, Part::Whole, text.as_bytes());
            }
            draft.any(any);
        }
        draft.rule(mark);
    }
    let index = draft.finish();
    // 2 000 keys find rules, half of them would do.
    assert!(index.lists.rules.len() <= 40_000, "{}", index.lists.rules.len());
}

#[test]
fn nothing_is_found_in_nothing() {
    let index = Draft::default().finish();
    assert!(found(&index, &[(0, "a"), (7, "")]).is_empty());
    assert!(!index.uses(0));
}

/// proptest wants an entropy source, which the wasm run of these tests does not have.
#[cfg(not(target_family = "wasm"))]
mod generated {
    use super::*;
    use proptest::prelude::*;

    /// What a rule needs, as it is written into a draft.
    #[derive(Debug, Clone)]
    enum Need {
        Key(Subject, Part, String),
        Open,
        All(Vec<Need>),
        Any(Vec<Need>),
    }

    impl Need {
        fn write(&self, draft: &mut Draft) {
            match self {
                Self::Key(subject, part, text) => draft.key(*subject, *part, text.as_bytes()),
                Self::Open => draft.open(),
                Self::All(needs) => {
                    let mark = draft.mark();
                    needs.iter().for_each(|need| need.write(draft));
                    draft.all(mark);
                }
                Self::Any(needs) => {
                    let mark = draft.mark();
                    needs.iter().for_each(|need| need.write(draft));
                    draft.any(mark);
                }
            }
        }

        /// Whether it can hold for something that has these texts. A choice of nothing is left open.
        fn holds(&self, texts: &[(Subject, String)]) -> bool {
            match self {
                Self::Key(subject, part, key) => {
                    texts.iter().filter(|(of, _)| of == subject).any(|(_, text)| match part {
                        Part::Whole => text == key,
                        Part::Head => text.starts_with(key.as_str()),
                        Part::Tail => text.ends_with(key.as_str()),
                    })
                }
                Self::Open => true,
                Self::All(needs) => needs.iter().all(|need| need.holds(texts)),
                Self::Any(needs) => needs.is_empty() || needs.iter().any(|need| need.holds(texts)),
            }
        }
    }

    const SUBJECTS: Subject = 3;

    fn need() -> impl Strategy<Value = Need> {
        let part = prop::sample::select(vec![Part::Whole, Part::Head, Part::Tail]);
        let key = (0..SUBJECTS, part, "[ab]{0,12}")
            .prop_map(|(subject, part, text)| Need::Key(subject, part, text));
        let leaf = prop_oneof![8 => key, 1 => Just(Need::Open)];
        leaf.prop_recursive(3, 12, 4, |inner| {
            let several = prop::collection::vec(inner, 0..4);
            prop_oneof![several.clone().prop_map(Need::All), several.prop_map(Need::Any)]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn no_rule_that_can_match_is_missed(
            needs in prop::collection::vec(need(), 0..40),
            texts in prop::collection::vec((0..SUBJECTS, "[ab]{0,14}"), 0..20),
            costs in prop::collection::vec(any::<bool>(), usize::from(SUBJECTS)),
        ) {
            let mut draft = Draft::default();
            for fetched in costs {
                draft.subject(if fetched { Cost::Fetched } else { Cost::Read });
            }
            for need in &needs {
                let mark = draft.mark();
                need.write(&mut draft);
                draft.rule(mark);
            }
            let index = draft.finish();
            let texts_of = texts.iter().map(|(subject, text)| (*subject, text.as_str())).collect::<Vec<_>>();
            let found = found(&index, &texts_of);
            prop_assert!(found.is_sorted_by(|a, b| a < b), "{:?}", found);
            for (rule, need) in needs.iter().enumerate() {
                prop_assert!(!need.holds(&texts) || found.contains(&rule), "rule {}, found {:?}", rule, found);
            }
        }
    }
}
