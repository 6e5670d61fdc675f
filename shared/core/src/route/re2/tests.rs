use super::*;

fn matches(pattern: &str, value: &[u8]) -> bool {
    FullMatch::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).matches(value)
}

#[test]
fn the_whole_value_must_match() {
    assert!(matches("/a.*", b"/a/b"));
    assert!(!matches("/a", b"/a/b"));
    assert!(!matches("/a", b"x/a"));
    assert!(matches("a|b", b"b"));
    assert!(!matches("a|b", b"ab"));
    assert!(matches(".*Firefox.*", b"Mozilla/5.0 Firefox/121.0"));
    assert!(matches("(?i)abc", b"aBC"));
}

#[test]
fn perl_classes_know_ascii_only() {
    assert!(matches(r"\d+", b"123"));
    assert!(!matches(r"\d", "٣".as_bytes()));
    assert!(matches(r"\D{2}", "٣".as_bytes()));
    assert!(!matches(r"\w", "é".as_bytes()));
    assert!(!matches(r"(?i)\w", "\u{17f}".as_bytes()));
    assert!(matches(r"[\w-]+", b"a-b_9"));
    assert!(matches(r"[^\d]", b"a"));
    assert!(!matches(r"[^\d]", b"1"));
    assert!(matches(r"[\D]", b"a"));
    assert!(!matches(r"\s", b"\x0b"));
    assert!(matches(r"a\b.c", b"a-c"));
}

#[test]
fn brackets_do_not_nest_and_have_no_operators() {
    for (pattern, yes, no) in [
        ("[[]", "[", "x"),
        ("[a[b]", "[", "]"),
        ("[a&&b]", "&", "x"),
        ("[a~~b]", "~", "x"),
        ("[a-c-e]", "-", "d"),
        ("[--/]", ".", "0"),
        ("[a-]", "-", "b"),
        ("[]a]", "]", "b"),
        ("[^]a]", "b", "]"),
        ("[[:alpha:]_]", "_", "1"),
        ("[[:^digit:]]", "a", "1"),
        (r"[\]\-]", "-", "a"),
        (r"[\x41-C]", "B", "D"),
    ] {
        assert!(matches(pattern, yes.as_bytes()), "{pattern} {yes}");
        assert!(!matches(pattern, no.as_bytes()), "{pattern} {no}");
    }
}

#[test]
fn what_only_re2_writes_is_translated() {
    for (pattern, value) in [
        (r"\Qa.b*\E+", "a.b**"),
        (r"\Q(a", "(a"),
        (r"\<a\>", "<a>"),
        (r"\101\x42\x{43}", "ABC"),
        ("a{,2}", "a{,2}"),
        ("{x}", "{x}"),
        ("a{2}", "aa"),
        ("a{1,3}?", "aaa"),
        ("a]", "a]"),
        (r"\.\-\/\@", ".-/@"),
        ("(?P<n>a)(?<m>b)", "ab"),
        ("(?s:.)(?-s:a)", "\na"),
        ("a #b", "a #b"),
        (r"\Aa\z", "a"),
    ] {
        assert!(matches(pattern, value.as_bytes()), "{pattern}");
    }
    assert!(matches(r"a\C", b"a\xff"));
}

#[test]
fn values_and_patterns_are_bytes() {
    assert!(matches("a.", b"a\xff"));
    assert!(matches(".*", b"\xff"));
    assert!(matches("...", "€".as_bytes()));
    assert!(!matches(".", "€".as_bytes()));
    assert!(matches("(?i)stra\u{df}e", "STRA\u{df}E".as_bytes()));
    assert!(matches("[\u{e9}]{2}", "\u{e9}".as_bytes()));
    assert!(matches(r"\xff", b"\xff"));
}

#[test]
fn what_re2_refuses_is_refused() {
    for (pattern, message) in [
        ("", "expected a regular expression, found an empty one"),
        ("a)|(?:b", "`a)|(?:b` is not a regular expression: unopened group"),
        ("(", "`(` is not a regular expression: unclosed group"),
        ("*", "`*` is not a regular expression: repetition operator missing expression"),
        ("a**", "`a**` is not a regular expression: `*` repeats a repetition"),
        ("a+{2}", "`a+{2}` is not a regular expression: `{2}` repeats a repetition"),
        ("a{1001}", "`a{1001}` is not a regular expression: `{1001}` repeats more than 1000 times"),
        ("(?x)a", "`(?x)a` is not a regular expression: `(?x` does not begin a group that RE2 knows"),
        ("(?=a)", "`(?=a)` is not a regular expression: `(?=a` does not begin a group that RE2 knows"),
        ("(?<=a)", "`(?<=a)` is not a regular expression: `(?<=a` does not begin a group that RE2 knows"),
        (r"(a)\1", r"`(a)\1` is not a regular expression: `\1`: RE2 has no back-references"),
        (r"\pL", r"`\pL` is not a regular expression: `\p`: Unicode classes are not built in"),
        (r"\Z", r"`\Z` is not a regular expression: `\Z` is not an escape that RE2 knows"),
        ("a\\", "`a\\` is not a regular expression: it ends with a lone `\\`"),
        ("[a", "`[a` is not a regular expression: missing `]`"),
        ("[z-a]", "`[z-a]` is not a regular expression: `z-a` is a range that ends before it begins"),
        ("[[:x:]]", "`[[:x:]]` is not a regular expression: `[:x:]` is not a class that RE2 knows"),
        (
            "((a{100}){100}){100}",
            "`((a{100}){100}){100}` is not a regular expression: it is too large when compiled",
        ),
    ] {
        assert_eq!(FullMatch::new(pattern).unwrap_err(), message);
    }
    assert_eq!(
        FullMatch::new(&"a".repeat(1025)).unwrap_err(),
        "expected a regular expression of at most 1024 bytes, found 1025"
    );
    assert!(FullMatch::new(&"a".repeat(1024)).is_ok());
}
