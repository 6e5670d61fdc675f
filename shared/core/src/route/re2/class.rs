//! RE2 syntax inside brackets.

use super::translate::{Reader, escaped_char, push_literal};

const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// A Perl class by its letter, in brackets. RE2 takes ASCII only, and no vertical tab for white space.
pub(super) const fn perl(letter: char) -> &'static str {
    match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => "[\\t\\n\\f\\r ]",
        'S' => "[^\\t\\n\\f\\r ]",
        'w' => "[0-9A-Za-z_]",
        _ => "[^0-9A-Za-z_]",
    }
}

/// Rewrites a class behind its opening bracket, with every character that only the `regex` crate gives a meaning escaped.
pub(super) fn translate(reader: &mut Reader<'_>, out: &mut String) -> Result<(), String> {
    out.push('[');
    if reader.skip("^") {
        out.push('^');
    }
    let mut first = true;
    loop {
        if !first && reader.skip("]") {
            out.push(']');
            return Ok(());
        }
        first = false;
        if reader.contains(":]") && reader.skip("[:") {
            posix(reader, out)?;
            continue;
        }
        let low = match element(reader)? {
            Element::Class(class) => {
                out.push_str(class);
                continue;
            }
            Element::Char(low) => low,
        };
        push_literal(out, low);
        if let Some(high) = range_end(reader)? {
            if high < low {
                return Err(format!("`{low}-{high}` is a range that ends before it begins"));
            }
            out.push('-');
            push_literal(out, high);
        }
    }
}

enum Element {
    Class(&'static str),
    Char(char),
}

fn element(reader: &mut Reader<'_>) -> Result<Element, String> {
    match reader.next().ok_or("missing `]`")? {
        '\\' => match reader.next().ok_or("missing `]`")? {
            letter @ ('d' | 'D' | 's' | 'S' | 'w' | 'W') => Ok(Element::Class(perl(letter))),
            letter @ ('p' | 'P') => Err(format!("`\\{letter}`: Unicode classes are not built in")),
            c => escaped_char(c, reader).map(Element::Char),
        },
        c => Ok(Element::Char(c)),
    }
}

/// The character behind `-`, unless the `-` is the last before the bracket and so stands for itself.
fn range_end(reader: &mut Reader<'_>) -> Result<Option<char>, String> {
    if reader.peek() != Some('-') || reader.is_next("-]") {
        return Ok(None);
    }
    reader.next();
    match element(reader)? {
        Element::Char(high) => Ok(Some(high)),
        Element::Class(class) => Err(format!("a range cannot end with the class `{class}`")),
    }
}

/// `[:name:]` or `[:^name:]` behind its `[:`.
fn posix(reader: &mut Reader<'_>, out: &mut String) -> Result<(), String> {
    let name = reader.take_until(":]").ok_or("`[:` without `:]`")?;
    let bare = name.strip_prefix('^').unwrap_or(name);
    if !POSIX.contains(&bare) {
        return Err(format!("`[:{name}:]` is not a class that RE2 knows"));
    }
    out.push_str(&format!("[:{name}:]"));
    Ok(())
}
