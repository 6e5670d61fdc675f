//! Other ways to write a path, which servers read as the same one and proxies do not.

use super::Words;
use crate::options::PathNormalization;

/// A way to write a path. In the order of how telling it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// `/./admin`
    DotSegment,
    /// `//admin`
    RepeatedSlash,
    /// `/admin/`
    TrailingSlash,
    /// `/a%2Fadmin`
    EscapedSlash,
    /// `/admin;x=1`
    PathParameter,
}

impl Variant {
    /// The variants that reach the rules as they were sent.
    pub(super) fn surviving(mode: PathNormalization) -> impl Iterator<Item = Self> {
        use PathNormalization as Mode;
        [Self::DotSegment, Self::RepeatedSlash, Self::TrailingSlash, Self::EscapedSlash, Self::PathParameter]
            .into_iter()
            .filter(move |variant| match variant {
                Self::DotSegment => mode == Mode::None,
                Self::RepeatedSlash => matches!(mode, Mode::None | Mode::Base),
                Self::EscapedSlash => mode != Mode::DecodeAndMergeSlashes,
                Self::TrailingSlash | Self::PathParameter => true,
            })
    }

    /// A path that a value means, and the same in this variant; `None` where there is no such path.
    pub(super) fn of(self, value: &str) -> Option<(String, String)> {
        let meant = sample(value)?;
        let path = match self {
            Self::DotSegment => format!("/.{meant}"),
            Self::RepeatedSlash => format!("/{meant}"),
            Self::TrailingSlash if meant.ends_with('/') => return None,
            Self::TrailingSlash => format!("{meant}/"),
            Self::PathParameter if meant.ends_with('/') => return None,
            Self::PathParameter => format!("{meant};x=1"),
            Self::EscapedSlash => {
                let (head, tail) = meant.trim_end_matches('/').rsplit_once('/')?;
                if head.is_empty() || tail.is_empty() {
                    return None;
                }
                let end = if meant.ends_with('/') { "/" } else { "" };
                format!("{head}%2F{tail}{end}")
            }
        };
        Some((meant, path))
    }

    pub(super) fn reason(self, mode: PathNormalization) -> String {
        let mode = match mode {
            PathNormalization::None => "NONE",
            PathNormalization::Base => "BASE",
            PathNormalization::MergeSlashes => "MERGE_SLASHES",
            PathNormalization::DecodeAndMergeSlashes => "DECODE_AND_MERGE_SLASHES",
        };
        match self {
            Self::DotSegment => format!("dot segments are not resolved under the path normalization {mode}"),
            Self::RepeatedSlash => {
                format!("repeated slashes are not merged under the path normalization {mode}")
            }
            Self::EscapedSlash => format!("`%2F` is not decoded under the path normalization {mode}"),
            Self::TrailingSlash => "a slash at the end makes another path".to_owned(),
            Self::PathParameter => "what follows a `;` is part of the path".to_owned(),
        }
    }

    pub(super) fn help(self, value: &str, words: Words) -> String {
        let Words { verb, gerund, .. } = words;
        let instead = format!("allow known paths instead of {gerund} this one");
        match self {
            Self::DotSegment => "normalize paths: BASE at least".to_owned(),
            Self::RepeatedSlash => format!("normalize paths with MERGE_SLASHES, or {instead}"),
            Self::EscapedSlash => format!("normalize paths with DECODE_AND_MERGE_SLASHES, or {instead}"),
            Self::TrailingSlash | Self::PathParameter if value.contains(['*', '{']) => instead,
            Self::TrailingSlash | Self::PathParameter => format!("{verb} `{value}*`, or {instead}"),
        }
    }
}

/// A path that a value means; none where a value means any.
fn sample(value: &str) -> Option<String> {
    let path = value.replace("{**}", "x").replace("{*}", "x");
    let path = match (path.strip_prefix('*'), path.strip_suffix('*')) {
        _ if path == "*" => return None,
        (Some(rest), _) => format!("/x{rest}"),
        (None, Some(rest)) => rest.to_owned(),
        (None, None) => path,
    };
    (path.starts_with('/') && path != "/").then_some(path)
}
