use super::*;

fn found(index: &Index, texts: &[(Subject, &str)]) -> Vec<usize> {
    let mut candidates = index.candidates();
    for (subject, text) in texts {
        index.look_up(*subject, text.as_bytes(), &mut candidates);
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
