//! `check`: what is wrong, where, and what to write instead.

use crate::command::{Ended, failed, mesh_policy, mesh_policy_with_input, printed};
use serde_json::json;

/// What `check` prints for a file of the fixtures, beside a service that is there.
fn check(file: &str, expected: &str) {
    let expected = Ended { code: Some(1), stdout: expected.to_owned(), stderr: String::new() };
    assert_eq!(mesh_policy(&["check", "-f", "services.yaml", file]), expected);
}

#[test]
fn good_resources_have_no_errors() {
    assert_eq!(mesh_policy(&["check", "-f", "guide"]), printed("no errors in 3 files\n"));
}

#[test]
fn an_unknown_field_gets_a_near_name() {
    check(
        "unknown-field.yaml",
        "\
unknown-field.yaml:10:5: error[unknown-field]: VirtualService shop/customers: spec.http[0].rote: unknown field
  10 |   - rote:
     |     ^^^^
  help: did you mean `route`?
1 error in 2 files
",
    );
}

#[test]
fn a_misplaced_field_gets_its_place() {
    check(
        "misplaced-field.yaml",
        "\
misplaced-field.yaml:13:7: error[misplaced-field]: VirtualService shop/customers: \
spec.http[0].route[0].timeout: unknown field; it belongs in spec.http[0].timeout
  13 |       timeout: 5s
     |       ^^^^^^^
1 error in 2 files
",
    );
}

#[test]
fn a_wrong_type_says_what_was_expected_and_found() {
    check(
        "wrong-type.yaml",
        "\
wrong-type.yaml:11:7: error[wrong-type]: VirtualService shop/customers: spec.http[0].retries.attempts: \
expected a whole number, found `three`
  11 |       attempts: three
     |       ^^^^^^^^
1 error in 2 files
",
    );
}

#[test]
fn a_duplicate_key_is_refused_where_it_comes_again() {
    check(
        "duplicate-key.yaml",
        "\
duplicate-key.yaml:11:5: error[duplicate-key]: VirtualService shop/customers: spec.http[0].timeout: \
duplicate key `timeout`
  11 |     timeout: 6s
     |     ^^^^^^^
1 error in 2 files
",
    );
}

#[test]
fn a_bad_regular_expression_says_what_is_wrong_with_it() {
    check(
        "bad-regex.yaml",
        "\
bad-regex.yaml:12:9: error[invalid-value]: VirtualService shop/customers: spec.http[0].match[0].uri.regex: \
`/v1/(.*` is not a regular expression: unclosed group
  12 |         regex: \"/v1/(.*\"
     |         ^^^^^
1 error in 2 files
",
    );
}

#[test]
fn a_bad_address_block_is_refused() {
    check(
        "bad-cidr.yaml",
        "\
bad-cidr.yaml:10:20: error[invalid-value]: AuthorizationPolicy my-app/backend-access-policy: \
spec.rules[0].from[0].source.ipBlocks[0]: expected an IP address or a CIDR block such as `10.0.0.0/8`, \
found `10.0.0.0/33`
  10 |         ipBlocks: [\"10.0.0.0/33\"]
     |                    ^^^^^^^^^^^^^
1 error in 2 files
",
    );
}

#[test]
fn a_percentage_above_100_is_refused() {
    check(
        "percentage-101.yaml",
        "\
percentage-101.yaml:13:11: error[invalid-value]: VirtualService shop/customers: \
spec.http[0].fault.delay.percentage.value: expected 0 or a percentage from 0.0001 to 100, found `101`
  13 |           value: 101
     |           ^^^^^
1 error in 2 files
",
    );
}

#[test]
fn a_negative_weight_is_refused() {
    check(
        "weight-minus-1.yaml",
        "\
weight-minus-1.yaml:13:7: error[invalid-value]: VirtualService shop/customers: \
spec.http[0].route[0].weight: expected a weight of 0 or more, found `-1`
  13 |       weight: -1
     |       ^^^^^^
1 error in 2 files
",
    );
}

#[test]
fn a_destination_that_does_not_exist_gets_a_near_one() {
    check(
        "unknown-destination.yaml",
        "\
unknown-destination.yaml:12:9: error[unknown-reference]: VirtualService shop/customers: \
spec.http[0].route[0].destination.host: no ServiceEntry defines the host `costumers.shop.svc.cluster.local`
  12 |         host: costumers
     |         ^^^^
  help: did you mean `customers.shop.svc.cluster.local`?
1 error in 2 files
",
    );
}

#[test]
fn warnings_alone_refuse_nothing_unless_they_are_denied() {
    let expected = "\
warning.yaml:17:7: warning[suspicious]: VirtualService shop/customers: spec.http[1].match[0]: never reached: \
`http[0].match[0]` takes all such requests
  17 |     - uri:
     |       ^^^
1 warning in 2 files
";
    let words = ["check", "-f", "services.yaml", "warning.yaml"];
    assert_eq!(mesh_policy(&words), printed(expected));
    let denied = mesh_policy(&[words.as_slice(), &["--deny-warnings"]].concat());
    assert_eq!(denied, Ended { code: Some(1), ..printed(expected) });
}

#[test]
fn bytes_behind_the_end_of_a_json_file_are_refused() {
    check(
        "trailing-bytes.json",
        "\
trailing-bytes.json:2:1: error[syntax]: not JSON: trailing characters at line 2 column 1
  2 | } garbage
    | ^
1 error in 2 files
",
    );
}

#[test]
fn what_is_no_resource_is_refused() {
    check(
        "notes.txt",
        "\
notes.txt:1:1: error[wrong-type]: expected an object, found a string
  1 | not resources
    | ^^^
1 error in 2 files
",
    );
}

#[test]
fn a_folder_without_resources_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path().to_str().unwrap();
    let expected = format!("error: no *.yaml, *.yml or *.json file in `{folder}`\n");
    assert_eq!(mesh_policy(&["check", "-f", folder]), failed(2, &expected));
}

/// A pipe that broke before must not pass for a clean bill.
#[test]
fn an_input_without_resources_is_refused() {
    let expected = "error: no Istio resources in `<stdin>`\n";
    for input in ["", "# nothing\n", "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": []}"] {
        assert_eq!(mesh_policy_with_input(&["check", "-f", "-"], input), failed(2, expected), "{input}");
    }
}

#[test]
fn a_file_that_is_not_there_is_a_usage_error() {
    let expected = "error: cannot read `nowhere.yaml`: No such file or directory (os error 2)\n";
    assert_eq!(mesh_policy(&["check", "-f", "nowhere.yaml"]), failed(2, expected));
}

#[test]
fn standard_input_is_quoted_in_findings() {
    let yaml = "apiVersion: networking.istio.io/v1\nkind: VirtualServise\nmetadata: {name: a}\n";
    let ended = mesh_policy_with_input(&["check", "-f", "-"], yaml);
    let expected = "\
<stdin>:2:1: error[invalid-value]: VirtualServise default/a: kind: unknown kind `VirtualServise`: expected one of \
VirtualService, DestinationRule, Gateway, ServiceEntry, WorkloadEntry, AuthorizationPolicy, PeerAuthentication, \
RequestAuthentication
  2 | kind: VirtualServise
    | ^^^^
1 error in 1 file
";
    assert_eq!(ended, Ended { code: Some(1), stdout: expected.to_owned(), stderr: String::new() });
}

#[test]
fn findings_are_json_for_programs() {
    let ended = mesh_policy(&["check", "-f", "services.yaml", "misplaced-field.yaml", "-o", "json"]);
    let expected = json!({
        "findings": [{
            "severity": "error",
            "code": "misplaced-field",
            "file": "misplaced-field.yaml",
            "line": 13,
            "column": 7,
            "resource": "VirtualService shop/customers",
            "path": "spec.http[0].route[0].timeout",
            "message": "unknown field; it belongs in spec.http[0].timeout",
            "help": null,
        }],
        "errors": 1,
        "warnings": 0,
        "files": 2,
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ended.stdout).unwrap(), expected);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
}
