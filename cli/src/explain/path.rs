//! Paths as Envoy normalises them before any filter sees them (`normalize_path`, Istio's default `BASE`).

/// The path in its canonical form: unreserved characters decoded, backslashes turned into slashes, dot segments resolved.
/// The query is left alone. `None` when Envoy refuses the path.
pub fn normalise(path_and_query: &str) -> Option<String> {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
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
    let path = format!("/{}", segments.join("/"));
    Some(match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    })
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
            assert_eq!(normalise(written).as_deref(), Some(normal), "{written}");
        }
        assert_eq!(normalise("/admin%00"), None);
    }
}
