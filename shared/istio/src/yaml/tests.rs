use super::*;

fn json(text: &str) -> String {
    let documents = read(text).unwrap();
    documents.nodes.iter().map(|node| serde_json::to_string(node).unwrap()).collect::<Vec<_>>().join("\n")
}

fn error(text: &str) -> String {
    let error = read(text).unwrap_err();
    format!("{}:{}: {}", error.position.line, error.position.column, error.message)
}

#[test]
fn scalars_are_those_of_the_core_schema() {
    assert_eq!(
        json(
            "[a, 1, -2, +3, 1.5, 1e3, 0x1f, 0o17, true, False, null, ~, '1', \"true\", yes, on, 1.2.3.4, 10.0.0.0/8, 5s, 1_000]"
        ),
        r#"["a",1,-2,3,1.5,1000.0,31,15,true,false,null,null,"1","true","yes","on","1.2.3.4","10.0.0.0/8","5s","1_000"]"#
    );
    assert_eq!(
        json("a: |\n  x\n  y\nb: >-\n  x\n  y\nc: !!str 80\nd:\n"),
        r#"{"a":"x\ny\n","b":"x y","c":"80","d":null}"#
    );
}

#[test]
fn keys_are_text() {
    assert_eq!(json("8080: a\ntrue: b\n"), r#"{"8080":"a","true":"b"}"#);
}

#[test]
fn a_leading_zero_is_not_guessed_at() {
    assert_eq!(
        error("a: 010\n"),
        "1:4: `010` is ambiguous: with a leading zero YAML 1.1 reads an octal number, YAML 1.2 a decimal one"
    );
    assert_eq!(json("[0, 0.5, '010']"), r#"[0,0.5,"010"]"#);
}

#[test]
fn aliases_and_merge_keys_stand_for_what_they_name() {
    assert_eq!(
        json("base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\nlist: [*base]\n"),
        r#"{"base":{"a":1,"b":2},"own":{"b":3,"a":1},"list":[{"a":1,"b":2}]}"#
    );
    assert_eq!(error("a: {<<: 1}\n"), "1:5: expected an object or a list of objects behind `<<`");
}

#[test]
fn aliases_cannot_multiply_without_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let before = n - 1;
        text += &format!(
            "a{n}: &a{n} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n"
        );
    }
    assert!(error(&text).ends_with("the aliases stand for more than 1000000 values"));
}

#[test]
fn nesting_is_bounded() {
    assert!(error(&"[".repeat(200)).ends_with("nested deeper than 128 levels"));
}

#[test]
fn tags_of_others_are_refused() {
    assert_eq!(error("a: !secret x\n"), "1:4: the tag `!secret` has no meaning here");
    assert_eq!(error("a: !!int x\n"), "1:4: `x` is not what its tag `!!int` says");
}

#[test]
fn both_of_two_equal_keys_are_kept() {
    assert_eq!(read("a: 1\na: 2\n").unwrap().nodes[0].members().len(), 2);
}

#[test]
fn an_unknown_alias_is_an_error() {
    assert!(error("a: *b\n").contains("not YAML: "));
    assert_eq!(error("a: &a [*a]\n"), "1:8: this alias stands inside the value that it names");
}
