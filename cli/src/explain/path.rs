//! Paths as Envoy normalises them before any filter sees them.

use mesh_policy_compiler::PathNormalization;

/// The path as the rules see it; the query is left alone. `None` when Envoy refuses the path.
pub fn normalise(path_and_query: &str, mode: PathNormalization) -> Option<String> {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let path = match mode {
        PathNormalization::None => path.to_owned(),
        PathNormalization::Base => canonical(path)?,
        PathNormalization::MergeSlashes => merged(&canonical(path)?),
        PathNormalization::DecodeAndMergeSlashes => merged(&canonical(&with_slashes(path))?),
    };
    Some(match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    })
}

/// With escaped slashes of both kinds decoded.
fn with_slashes(path: &str) -> String {
    [("%2F", "/"), ("%2f", "/"), ("%5C", "\\"), ("%5c", "\\")]
        .into_iter()
        .fold(path.to_owned(), |path, (escaped, slash)| path.replace(escaped, slash))
}

/// With repeated slashes made one.
fn merged(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !merged.ends_with('/') {
            merged.push(c);
        }
    }
    merged
}

/// Unreserved characters decoded, backslashes turned into slashes, dot segments resolved.
fn canonical(path: &str) -> Option<String> {
    let decoded = decode_unreserved(path)?.replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = decoded.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." => {}
            ".." => {
                segments.pop();
            }
            _ => {
                segments.push(part);
                continue;
            }
        }
        // `/a/..` names the folder: the slash stays.
        if last {
            segments.push("");
        }
    }
    Some(format!("/{}", segments.join("/")))
}

fn decode_unreserved(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code.map(char::from) {
            Some('\0') => return None,
            Some(c) if c.is_ascii_alphanumeric() || "-._~".contains(c) => {
                decoded.push(c);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                decoded.push('%');
                rest = after;
            }
        }
    }
    decoded.push_str(rest);
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_out_as_envoy_forwards_them() {
        for (written, normal) in [
            ("/app/../admin", "/admin"),
            ("/app//", "/app//"),
            ("/app/%2f", "/app/%2f"),
            ("/xyz%30..//abc", "/xyz0..//abc"),
            ("/app/%2E./admin", "/admin"),
            ("/app\\admin", "/app/admin"),
            ("/app/\\/\\/\\admin", "/app//////admin"),
            ("/%2Fapp%5cadmin%5Cabc", "/%2Fapp%5cadmin%5Cabc"),
            ("/app//../admin", "/app/admin"),
            ("/app//../../admin", "/admin"),
            ("/%252e%252e/admin", "/%252e%252e/admin"),
            ("/..;/admin;a=b", "/..;/admin;a=b"),
            ("/.../Admin", "/.../Admin"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/a%2", "/a%2"),
            ("/a?x=/../%41", "/a?x=/../%41"),
        ] {
            let path = normalise(written, PathNormalization::Base);
            assert_eq!(path.as_deref(), Some(normal), "{written}");
        }
        assert_eq!(normalise("/admin%00", PathNormalization::Base), None);
    }

    #[test]
    fn the_other_modes_do_as_istio_tests_them() {
        use PathNormalization as Mode;
        // Written, under NONE, MERGE_SLASHES and DECODE_AND_MERGE_SLASHES.
        for (written, none, merge, decode) in [
            ("/app/../admin", "/app/../admin", "/admin", "/admin"),
            ("/app//", "/app//", "/app/", "/app/"),
            ("/app/%2f", "/app/%2f", "/app/%2f", "/app/"),
            ("/xyz%30..//abc", "/xyz%30..//abc", "/xyz0../abc", "/xyz0../abc"),
            ("/app\\admin", "/app\\admin", "/app/admin", "/app/admin"),
            ("/app/\\/\\/\\admin", "/app/\\/\\/\\admin", "/app/admin", "/app/admin"),
            ("/%2Fapp%5cadmin%5Cabc", "/%2Fapp%5cadmin%5Cabc", "/%2Fapp%5cadmin%5Cabc", "/app/admin/abc"),
            ("/app//../admin", "/app//../admin", "/app/admin", "/app/admin"),
            ("/app//../../admin", "/app//../../admin", "/admin", "/admin"),
        ] {
            let found = [Mode::None, Mode::MergeSlashes, Mode::DecodeAndMergeSlashes]
                .map(|mode| normalise(written, mode).unwrap());
            assert_eq!(found, [none, merge, decode], "{written}");
        }
    }
}
