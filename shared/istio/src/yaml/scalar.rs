//! What a scalar of YAML's core schema is.

use super::{YamlError, unknown_tag};
use crate::node::{Number, Position, Value};
use saphyr_parser::{ScalarStyle, Tag};

/// What a scalar is by its style, its tag or its looks.
pub(super) fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    at: Position,
) -> Result<Value<'static>, YamlError> {
    match tag {
        None if style == ScalarStyle::Plain => plain(text, at),
        None => Ok(Value::String(text.to_owned().into())),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => {
            Ok(Value::String(text.to_owned().into()))
        }
        Some(tag) if tag.is_yaml_core_schema() => {
            let value = plain(text, at)?;
            let fits = match tag.suffix.as_str() {
                "null" => value == Value::Null,
                "bool" => matches!(value, Value::Bool(_)),
                "int" | "float" => matches!(value, Value::Number(_)),
                _ => return Err(unknown_tag(tag, at)),
            };
            fits.then_some(value).ok_or_else(|| {
                YamlError::new(at, format!("`{text}` is not what its tag `!!{}` says", tag.suffix))
            })
        }
        Some(tag) => Err(unknown_tag(tag, at)),
    }
}

/// What a scalar without quotes is.
fn plain(text: &str, at: Position) -> Result<Value<'static>, YamlError> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan"
        | ".NaN" | ".NAN" => {
            return Err(YamlError::new(at, format!("expected a finite number, found `{text}`")));
        }
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(Value::String(text.to_owned().into()));
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits(unsigned) {
        if unsigned.len() > 1 && unsigned.starts_with('0') {
            let mut error = YamlError::new(
                at,
                format!(
                    "`{text}` is ambiguous: with a leading zero YAML 1.1 reads an octal number, YAML 1.2 a decimal one"
                ),
            );
            error.help = Some(format!("quote it if it is text: \"{text}\""));
            return Err(error);
        }
        let text = text.strip_prefix('+').unwrap_or(text);
        if let Ok(number) = text.parse::<u64>() {
            return Ok(Value::Number(number.into()));
        }
        if let Ok(number) = text.parse::<i64>() {
            return Ok(Value::Number(number.into()));
        }
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(rest) = text.strip_prefix(prefix)
            && let Ok(number) = u64::from_str_radix(rest, radix)
            && !rest.starts_with('+')
        {
            return Ok(Value::Number(number.into()));
        }
    }
    let float = unsigned.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
        && unsigned.bytes().any(|b| b.is_ascii_digit());
    if float && let Ok(number) = text.parse::<f64>() {
        return match Number::from_f64(number) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(YamlError::new(at, format!("expected a finite number, found `{text}`"))),
        };
    }
    Ok(Value::String(text.to_owned().into()))
}
