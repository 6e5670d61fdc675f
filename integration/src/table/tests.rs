use super::*;

fn row(example: &str, observed: &str, ok: bool) -> Row {
    Row {
        example: example.into(),
        sent: "GET /".into(),
        expected: "200".into(),
        observed: observed.into(),
        ok,
    }
}

fn two_rows() -> Table {
    let mut table = Table::new();
    table.section("Routing");
    table.push(row("to v1", "200", true));
    table.push(row("to v2 by header", "503 no healthy upstream", false));
    table
}

#[test]
fn columns_line_up_and_the_counts_come_last() {
    let expected = "\
example          sent   expected  observed                 ok

Routing
to v1            GET /  200       200                      ok
to v2 by header  GET /  200       503 no healthy upstream  FAILED

2 rows: 1 ok, 1 failed
";
    assert_eq!(two_rows().render(Style::default()), expected);
}

#[test]
fn a_narrow_terminal_wraps_the_widest_columns() {
    let text = two_rows().render(Style { width: Some(52), colour: false });
    let expected = "\
example        sent   expected  observed      ok

Routing
to v1          GET /  200       200           ok
to v2 by       GET /  200       503 no        FAILED
header                          healthy
                                upstream

2 rows: 1 ok, 1 failed
";
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| line.len() <= 52));
}

#[test]
fn a_word_longer_than_its_column_is_broken_and_nothing_is_lost() {
    assert_eq!(wrap("ab outbound|8080|v1|customers", 10), ["ab", "outbound|8", "080|v1|cus", "tomers"]);
    assert_eq!(wrap("", 10), [""; 0]);
    assert_eq!(wrap("one\ntwo", 10), ["one", "two"]);
}

#[test]
fn letters_beyond_ascii_count_as_one() {
    assert_eq!(wrap("ééé ééé", 3), ["ééé", "ééé"]);
}

#[test]
fn colours_appear_only_where_asked_for() {
    let table = two_rows();
    assert!(!table.render(Style::default()).contains('\x1b'));
    let coloured = table.render(Style { width: None, colour: true });
    assert!(coloured.contains("\x1b[32mok\x1b[0m") && coloured.contains("\x1b[31mFAILED\x1b[0m"));
    assert!(coloured.contains("\x1b[31m2 rows: 1 ok, 1 failed\x1b[0m"));
}

#[test]
fn one_failed_row_or_none_at_all_is_not_ok() {
    assert!(!two_rows().is_ok());
    assert!(!Table::new().is_ok());
    let mut table = Table::new();
    table.push(row("to v1", "200", true));
    assert!(table.is_ok());
}
