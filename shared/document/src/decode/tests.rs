use super::*;

wire! {
    /// Outer.
    pub struct Outer {
        /// Timeout.
        "timeout" => timeout: Option<Timespan>,
        /// Inner.
        "routes" => routes: Vec<Inner>,
    }
}

wire! {
    /// Inner.
    pub struct Inner {
        /// Weight.
        "weight" => weight: Option<i32>,
        /// Snake.
        "maxAge" => max_age: Option<String>,
    }
}

fn problems(json: &str) -> Vec<String> {
    let mut cx = Context::new();
    let _ = Outer::decode(&Node::from_json(json.as_bytes()).unwrap(), &mut cx);
    cx.into_problems().iter().map(ToString::to_string).collect()
}

#[test]
fn a_field_that_an_enclosing_object_knows_is_sent_home() {
    assert_eq!(
        problems(r#"{"routes": [{"timeout": "5s"}]}"#),
        ["routes[0].timeout: unknown field; it belongs in timeout"]
    );
}

#[test]
fn a_slip_is_answered_with_the_near_name() {
    assert_eq!(
        problems(r#"{"routes": [{"wieght": 1}]}"#),
        ["routes[0].wieght: unknown field (did you mean `weight`?)"]
    );
}

#[test]
fn snake_case_is_the_same_key() {
    assert_eq!(
        problems(r#"{"routes": [{"max_age": "a", "maxAge": "b"}]}"#),
        ["routes[0].maxAge: duplicate key `maxAge`"]
    );
}

#[test]
fn all_problems_come_in_one_pass() {
    assert_eq!(
        problems(r#"{"timeout": 5, "timeout": "1s", "routes": [{"weight": "x"}, null, {"maxAge": 5}]}"#),
        [
            "timeout: duplicate key `timeout`",
            "timeout: expected a duration such as `5s` or `250ms`, found a number",
            "routes[0].weight: expected a whole number, found `x`",
            "routes[1]: expected an object, found null",
            "routes[2].maxAge: expected a string, found a number (quote it: \"5\")",
        ]
    );
}
