//! RE2 syntax outside brackets.

use super::class;

/// A pattern being read.
pub(super) struct Reader<'p> {
    rest: &'p str,
}

impl<'p> Reader<'p> {
    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    /// Whether `text` comes next.
    pub(super) fn is_next(&self, text: &str) -> bool {
        self.rest.starts_with(text)
    }

    /// Whether `text` comes anywhere.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.rest.contains(text)
    }

    /// Steps over `text` if it comes next.
    pub(super) fn skip(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes what stands before `end`, and steps over `end`.
    pub(super) fn take_until(&mut self, end: &str) -> Option<&'p str> {
        let (before, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(before)
    }

    fn take_rest(&mut self) -> &'p str {
        std::mem::take(&mut self.rest)
    }
}

/// Writes `c` so that it stands for itself, inside and outside brackets.
pub(super) fn push_literal(out: &mut String, c: char) {
    if !c.is_ascii() {
        // A byte: a pattern is read byte by byte, see `latin1`.
        out.push_str(&format!("\\x{:02X}", u32::from(c)));
        return;
    }
    // Escaped angle brackets are word boundaries to the `regex` crate.
    if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
        out.push('\\');
    }
    out.push(c);
}

/// What stands behind a backslash, where it is one character.
pub(super) fn escaped_char(c: char, reader: &mut Reader<'_>) -> Result<char, String> {
    let bad = |text: &str| format!("`\\{text}` is not an escape that RE2 knows");
    match c {
        'a' => Ok('\x07'),
        'f' => Ok('\x0c'),
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        't' => Ok('\t'),
        'v' => Ok('\x0b'),
        '1'..='7' if !reader.peek().is_some_and(|next| matches!(next, '0'..='7')) => {
            Err(format!("`\\{c}`: RE2 has no back-references"))
        }
        '0'..='7' => {
            let mut code = c.to_digit(8).unwrap_or_default();
            for _ in 0..2 {
                let Some(digit) = reader.peek().and_then(|next| next.to_digit(8)) else { break };
                reader.next();
                code = code * 8 + digit;
            }
            u8::try_from(code).map(char::from).map_err(|_| bad("0"))
        }
        'x' => {
            let (digits, enough): (String, usize) = if reader.skip("{") {
                (reader.take_until("}").ok_or("`\\x{` without `}`")?.to_owned(), 1)
            } else {
                ([reader.next(), reader.next()].into_iter().flatten().collect(), 2)
            };
            let is_code = digits.len() >= enough && digits.chars().all(|digit| digit.is_ascii_hexdigit());
            let code = is_code.then(|| u32::from_str_radix(&digits, 16).ok()).flatten();
            code.and_then(|code| u8::try_from(code).ok()).map(char::from).ok_or_else(|| {
                format!("`\\x` stands before two hexadecimal digits or a code up to `ff` in braces, not `{digits}`")
            })
        }
        c if c.is_ascii_punctuation() && c != '_' || c == ' ' => Ok(c),
        c => Err(bad(&c.to_string())),
    }
}

/// Rewrites an RE2 pattern for the `regex` crate.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut reader = Reader { rest: pattern };
    let mut out = String::with_capacity(pattern.len() + 16);
    // Whether the last thing written was a repetition, which RE2 lets nobody repeat.
    let mut repeated = false;
    while let Some(c) = reader.next() {
        let was_repeated = std::mem::take(&mut repeated);
        match c {
            '\\' => escape(&mut reader, &mut out)?,
            '[' => class::translate(&mut reader, &mut out)?,
            '(' => group(&mut reader, &mut out)?,
            '*' | '+' | '?' => {
                if was_repeated {
                    return Err(format!("`{c}` repeats a repetition"));
                }
                out.push(c);
                lazy(&mut reader, &mut out);
                repeated = true;
            }
            '{' => match repetition(&mut reader)? {
                Some(bounds) if was_repeated => return Err(format!("`{bounds}` repeats a repetition")),
                Some(bounds) => {
                    out.push_str(&bounds);
                    lazy(&mut reader, &mut out);
                    repeated = true;
                }
                None => out.push_str("\\{"),
            },
            '}' | ']' => push_literal(&mut out, c),
            c if c.is_ascii() => out.push(c),
            c => push_literal(&mut out, c),
        }
    }
    Ok(out)
}

fn lazy(reader: &mut Reader<'_>, out: &mut String) {
    if reader.skip("?") {
        out.push('?');
    }
}

/// `{n}`, `{n,}` or `{n,m}` behind its brace; anything else leaves the brace a character.
fn repetition(reader: &mut Reader<'_>) -> Result<Option<String>, String> {
    let Some((bounds, rest)) = reader.rest.split_once('}') else { return Ok(None) };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (low, high) = bounds.split_once(',').unwrap_or((bounds, bounds));
    if !is_number(low) || !(high.is_empty() || is_number(high)) {
        return Ok(None);
    }
    let too_many = |text: &str| text.parse::<u32>().map_or(!text.is_empty(), |count| count > 1000);
    if too_many(low) || too_many(high) {
        return Err(format!("`{{{bounds}}}` repeats more than 1000 times"));
    }
    reader.rest = rest;
    Ok(Some(format!("{{{bounds}}}")))
}

/// A group behind its parenthesis: RE2 has plain, named and flag groups.
fn group(reader: &mut Reader<'_>, out: &mut String) -> Result<(), String> {
    if !reader.skip("?") {
        out.push('(');
        return Ok(());
    }
    if reader.skip("P<")
        || (!reader.rest.starts_with("<=") && !reader.rest.starts_with("<!") && reader.skip("<"))
    {
        let name = reader.take_until(">").ok_or("a group's name lacks its `>`")?;
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_word) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("`{name}` is not the name of a group"));
        }
        out.push_str(&format!("(?P<{name}>"));
        return Ok(());
    }
    let end = reader.rest.find([':', ')']).ok_or("missing `)`")?;
    let (flags, rest) = reader.rest.split_at_checked(end).ok_or("missing `)`")?;
    let (on, off) = flags.split_once('-').unwrap_or((flags, ""));
    let known = |text: &str| text.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U'));
    let empty = flags.is_empty() && !rest.starts_with(':');
    if !known(on) || !known(off) || empty || (flags.contains('-') && off.is_empty()) {
        return Err(format!("`(?{flags}` does not begin a group that RE2 knows"));
    }
    reader.rest = rest;
    out.push_str("(?");
    out.push_str(flags);
    Ok(())
}

/// What stands behind a backslash, outside brackets.
fn escape(reader: &mut Reader<'_>, out: &mut String) -> Result<(), String> {
    let c = reader.next().ok_or("it ends with a lone `\\`")?;
    match c {
        'A' | 'z' => out.extend(['\\', c]),
        'b' => out.push_str("(?-u:\\b)"),
        'B' => out.push_str("(?-u:\\B)"),
        // Any byte, also one that is no part of a character.
        'C' => out.push_str("(?s-u:.)"),
        'Q' => {
            let quoted = match reader.take_until("\\E") {
                Some(quoted) => quoted,
                None => reader.take_rest(),
            };
            quoted.chars().for_each(|c| push_literal(out, c));
        }
        // RE2 ignores an end of quoting that nothing began.
        'E' => {}
        'd' | 'D' | 's' | 'S' | 'w' | 'W' => {
            let class = class::perl(c);
            // Case folding would add non-ASCII letters to the class; RE2 does not fold it.
            out.push_str(&format!("(?-i:{class})"));
        }
        'p' | 'P' => return Err(format!("`\\{c}`: Unicode classes are not built in")),
        c => push_literal(out, escaped_char(c, reader)?),
    }
    Ok(())
}
