//! Path templates: `/shop/{*}/items/{**}`.

use std::fmt;

/// A template, cut where its operators stand. At most one `{**}`, because no operator may follow one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathTemplate {
    /// Literals, each from one slash to behind the next operator's slash, or `{*}`.
    parts: Vec<Part>,
    /// When the parts are followed by `{**}`: the literal behind it, empty at the template's end.
    rest: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    /// `{*}`: one byte or more, no slash.
    Segment,
}

/// Whether a value of `paths` is a template.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{*}") || text.contains("{**}")
}

/// What is wrong with a value of `paths` that is not a template.
pub(super) fn check_plain(text: &str) -> Result<(), String> {
    match segments(text).find(|segment| segment.contains(['{', '}'])) {
        Some(segment) => Err(braces(segment)),
        None => Ok(()),
    }
}

fn segments(text: &str) -> impl Iterator<Item = &str> {
    text.trim_matches('/').split('/')
}

fn braces(segment: &str) -> String {
    format!("expected `{{*}}` or `{{**}}` as a whole path segment, found `{segment}`")
}

impl Part {
    /// Its text, empty where that is not known.
    fn literal(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::Segment => "",
        }
    }
}

impl PathTemplate {
    /// Reads a template; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // Istio passes the first; Envoy, which would get it, refuses it.
        let Some(relative) = text.strip_prefix('/') else {
            return Err(format!("expected a path template that begins with `/`, found `{text}`"));
        };
        let trailing_slash = relative.ends_with('/');
        let mut template = Self { parts: Vec::new(), rest: None };
        for segment in relative.strip_suffix('/').unwrap_or(relative).split('/') {
            template.slash();
            match segment {
                "{*}" | "{**}" if template.rest.is_some() => {
                    return Err(format!("expected no operator behind `{{**}}`, found `{segment}`"));
                }
                "{*}" => template.parts.push(Part::Segment),
                "{**}" => template.rest = Some("".into()),
                _ if segment.contains(['{', '}']) => return Err(braces(segment)),
                "" => return Err(format!("expected no empty segment in a path template, found `{text}`")),
                _ if segment.bytes().all(is_segment_byte) => template.literal(segment),
                _ => {
                    return Err(format!(
                        "expected letters, digits and `-._~%!$&'()+,;:@=` in a segment of a path template, \
                         found `{segment}`"
                    ));
                }
            }
        }
        if trailing_slash {
            template.slash();
        }
        Ok(template)
    }

    fn slash(&mut self) {
        self.literal("/");
    }

    fn literal(&mut self, text: &str) {
        let append = |to: &mut Box<str>| *to = format!("{to}{text}").into();
        match (&mut self.rest, self.parts.last_mut()) {
            (Some(rest), _) => append(rest),
            (None, Some(Part::Literal(literal))) => append(literal),
            (None, _) => self.parts.push(Part::Literal(text.into())),
        }
    }

    /// What every path that can match begins and ends with.
    pub(super) fn ends(&self) -> (&str, &str) {
        let head = self.parts.first().map(Part::literal).unwrap_or_default();
        let tail = self.rest.as_deref().or_else(|| self.parts.last().map(Part::literal)).unwrap_or_default();
        (head, tail)
    }

    /// The literal segments behind an operator that no other literal joins to an end of the path: how many slashes are in
    /// front of each, and its text.
    pub(super) fn inner_segments(&self) -> impl Iterator<Item = (usize, &str)> {
        let last = if self.rest.is_none() { self.parts.len().saturating_sub(1) } else { self.parts.len() };
        let mut slashes = 0;
        let parts = self.parts.iter().enumerate().map(move |(at, part)| {
            let before = slashes;
            slashes += part.literal().matches('/').count();
            (at, before, part.literal())
        });
        let inner = parts.filter(move |(at, ..)| (1..last).contains(at));
        let segments = inner.flat_map(|(_, before, text)| {
            text.split('/').enumerate().map(move |(at, segment)| (before + at, segment))
        });
        segments.filter(|(_, segment)| !segment.is_empty())
    }

    /// Whether the whole path matches. Operators stand for URL characters only; a path with a byte beyond ASCII, which Envoy
    /// escapes before it gets here, is `None` where the operators would have to stand for such a byte.
    pub(super) fn matches(&self, path: &[u8]) -> Option<bool> {
        if self.matches_with(path, is_segment_byte) {
            return Some(true);
        }
        if !path.is_ascii() && self.matches_with(path, |byte| is_segment_byte(byte) || !byte.is_ascii()) {
            return None;
        }
        Some(false)
    }

    fn matches_with(&self, mut path: &[u8], wild: impl Fn(u8) -> bool) -> bool {
        for part in &self.parts {
            let rest = match part {
                Part::Literal(literal) => path.strip_prefix(literal.as_bytes()),
                // What follows is a slash or the end, so the longest run is the only one that can work.
                Part::Segment => match path.iter().position(|byte| !wild(*byte)).unwrap_or(path.len()) {
                    0 => None,
                    length => path.get(length..),
                },
            };
            let Some(rest) = rest else { return false };
            path = rest;
        }
        match &self.rest {
            None => path.is_empty(),
            Some(suffix) => path
                .strip_suffix(suffix.as_bytes())
                .is_some_and(|middle| middle.iter().all(|byte| *byte == b'/' || wild(*byte))),
        }
    }
}

/// The bytes that a segment may hold: those of URL paths, without `*`.
const fn is_segment_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'+'
                | b','
                | b';'
                | b':'
                | b'@'
                | b'='
        )
}

/// As it was written.
impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(literal) => f.write_str(literal)?,
                Part::Segment => f.write_str("{*}")?,
            }
        }
        match &self.rest {
            None => Ok(()),
            Some(suffix) => write!(f, "{{**}}{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_whole_paths() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "/allow/admin/{**}",
                &["/allow/admin/", "/allow/admin/t", "/allow/admin/f/t.txt"],
                &["/allow/admin", "/allow", "/allow/user/", "/x/allow/admin/t"],
            ),
            (
                "/foo/{*}/bar/{**}",
                &["/foo/buzz/bar/bat", "/foo/buzz/bar/bat/fuzz.txt", "/foo/buzz/bar/"],
                &["/foo/bar/bat.txt", "/foo//bar/bat.txt", "/foo/buzz/bar"],
            ),
            (
                "/store/{**}/cart",
                &["/store//cart", "/store/a/cart", "/store/a/b/cart", "/store/cart/cart"],
                &["/store/cart", "/store/a/cart/", "/store/a/cartx"],
            ),
            ("/{*}", &["/a", "/a%2Fb", "/-._~%!$&'()+,;:@="], &["/", "/a/", "/a/b", "/a|b", "/a*b", ""]),
            ("/{**}", &["/", "/a", "//", "/a//b/"], &["", "a", "/a|b"]),
            ("/foo/{**}/", &["/foo//", "/foo/a/b/"], &["/foo/bar/baz.txt", "/foo/"]),
            ("/{*}/{*}", &["/a/b"], &["/a", "/a/", "/a/b/c"]),
            ("/a/{*}/", &["/a/b/"], &["/a/b", "/a//"]),
        ];
        for (template, hits, misses) in cases {
            let parsed = PathTemplate::parse(template).unwrap();
            assert_eq!(&parsed.to_string(), template);
            for path in *hits {
                assert_eq!(parsed.matches(path.as_bytes()), Some(true), "{template} {path}");
            }
            for path in *misses {
                assert_eq!(parsed.matches(path.as_bytes()), Some(false), "{template} {path}");
            }
        }
    }

    #[test]
    fn bytes_beyond_ascii_leave_it_open() {
        let template = PathTemplate::parse("/admin/{**}").unwrap();
        assert_eq!(template.matches(b"/admin/\xff"), None);
        assert_eq!(template.matches("/admin/é".as_bytes()), None);
        assert_eq!(template.matches(b"/public/\xff"), Some(false));
        assert_eq!(template.matches(b"/admin/\xff|"), Some(false));
    }

    #[test]
    fn what_is_no_template_is_refused_with_the_reason() {
        for (template, error) in [
            ("/{**}/a/{*}", "expected no operator behind `{**}`, found `{*}`"),
            ("/{**}/{**}", "expected no operator behind `{**}`, found `{**}`"),
            ("/a/{*}.txt", "expected `{*}` or `{**}` as a whole path segment, found `{*}.txt`"),
            (
                "/a/*/{*}",
                "expected letters, digits and `-._~%!$&'()+,;:@=` in a segment of a path template, found `*`",
            ),
            ("/{x}/{*}", "expected `{*}` or `{**}` as a whole path segment, found `{x}`"),
            ("/a{*}", "expected `{*}` or `{**}` as a whole path segment, found `a{*}`"),
            ("/a//{*}", "expected no empty segment in a path template, found `/a//{*}`"),
            ("//{*}", "expected no empty segment in a path template, found `//{*}`"),
            ("a/{*}", "expected a path template that begins with `/`, found `a/{*}`"),
        ] {
            assert_eq!(PathTemplate::parse(template), Err(error.to_owned()), "{template}");
        }
        assert_eq!(
            check_plain("/a/{x}/b"),
            Err("expected `{*}` or `{**}` as a whole path segment, found `{x}`".to_owned())
        );
        assert_eq!(check_plain("/a//*"), Ok(()));
    }

    #[cfg(not(target_family = "wasm"))]
    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            /// The same as a regular expression, written as Envoy writes it.
            #[test]
            fn agrees_with_a_regex(
                segments in prop::collection::vec(prop::sample::select(vec!["a", "b", "{*}"]), 0..3),
                tail in prop::sample::select(vec!["/{*}", "/{**}", "/{**}/a", "/{**}/a/b", "/{**}/"]),
                path in "/[ab/|]{0,6}",
            ) {
                let mut template: String = segments.iter().map(|segment| format!("/{segment}")).collect();
                template.push_str(tail);
                let pattern = template.replace("{**}", "[a-z/]*").replace("{*}", "[a-z]+");
                let expected = regex::Regex::new(&format!("^{pattern}$")).unwrap().is_match(&path);
                let parsed = PathTemplate::parse(&template).unwrap();
                prop_assert_eq!(parsed.matches(path.as_bytes()), Some(expected), "{} {}", template, path);
            }
        }
    }
}
