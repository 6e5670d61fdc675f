//! Headers in the form in which a proxy-wasm host hands them over, read in place.

use mesh_policy_bytes::same;
use std::borrow::Cow;
use thiserror::Error;

/// A header map over the buffer that one host call fills.
///
/// The layout is the proxy-wasm ABI's: the number of pairs, then the lengths of each name and value, all 32-bit little endian,
/// then each name and value with a zero byte behind it. Names are lower case, as Envoy delivers them; values are any bytes.
#[derive(Debug, Clone)]
pub struct HeaderMap<'b> {
    pairs: Vec<(&'b [u8], &'b [u8])>,
}

/// The buffer is cut short or does not have the ABI's layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the header map does not have the layout of the proxy-wasm ABI")]
pub struct InvalidHeaderMap;

impl<'b> HeaderMap<'b> {
    /// Reads the pairs of `buffer`.
    ///
    /// # Errors
    /// When the buffer is shorter than its own lengths say.
    #[inline]
    pub fn parse(buffer: &'b [u8]) -> Result<Self, InvalidHeaderMap> {
        if buffer.is_empty() {
            return Ok(Self { pairs: Vec::new() });
        }
        let (count, rest) = buffer.split_first_chunk().ok_or(InvalidHeaderMap)?;
        let count = length(*count)?;
        let (lengths, mut data) = rest.split_at_checked(count.saturating_mul(8)).ok_or(InvalidHeaderMap)?;
        let mut pairs = Vec::with_capacity(count);
        for [a, b, c, d, e, f, g, h] in lengths.as_chunks().0 {
            let (name, rest) = terminated(data, length([*a, *b, *c, *d])?)?;
            let (value, rest) = terminated(rest, length([*e, *f, *g, *h])?)?;
            data = rest;
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// Writes pairs in the layout that [`HeaderMap::parse`] reads: for callers without a proxy.
    #[must_use]
    pub fn write<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut buffer = u32::try_from(pairs.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        for (name, value) in pairs {
            buffer.extend(length(name.as_ref()));
            buffer.extend(length(value.as_ref()));
        }
        for (name, value) in pairs {
            for bytes in [name.as_ref(), value.as_ref()] {
                buffer.extend(bytes);
                buffer.push(0);
            }
        }
        buffer
    }

    /// All pairs in the order in which they arrived.
    pub fn iter(&self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + '_ {
        self.pairs.iter().copied()
    }

    /// The first line of a header, by lower-case name: for pseudo headers, of which there is one at most.
    #[must_use]
    #[inline]
    pub fn first(&self, name: &str) -> Option<&'b [u8]> {
        self.pairs.iter().find(|(key, _)| is_named(key, name)).map(|(_, value)| *value)
    }

    /// The lines of a header, by lower-case name, in order.
    ///
    /// Rules hold against each of them by itself, as Envoy's do (routes since 1.39, RBAC since 1.38): joined, a second
    /// line would hide the first from an exact rule, and the first alone would let the second pass.
    #[inline]
    pub fn lines<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + 'n {
        self.pairs.iter().filter(move |(key, _)| is_named(key, name)).map(|(_, value)| *value)
    }

    /// The value of a header, by lower-case name: all lines joined with `,`, as `%REQ(NAME)%` and reports show it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'b, [u8]>> {
        let mut lines = self.lines(name);
        let first = lines.next()?;
        let Some(second) = lines.next() else { return Some(Cow::Borrowed(first)) };
        let mut joined = [first, second].join(b",".as_slice());
        for line in lines {
            joined.push(b',');
            joined.extend_from_slice(line);
        }
        Some(Cow::Owned(joined))
    }
}

/// Whether a key is this name. Names of one length mostly differ in their last byte.
#[inline]
fn is_named(key: &[u8], name: &str) -> bool {
    let name = name.as_bytes();
    key.len() == name.len() && key.last() == name.last() && same(key, name)
}

#[inline]
fn length(bytes: [u8; 4]) -> Result<usize, InvalidHeaderMap> {
    usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| InvalidHeaderMap)
}

#[inline]
fn terminated(data: &[u8], length: usize) -> Result<(&[u8], &[u8]), InvalidHeaderMap> {
    let (bytes, rest) = data.split_at_checked(length).ok_or(InvalidHeaderMap)?;
    let (_zero, rest) = rest.split_first().ok_or(InvalidHeaderMap)?;
    Ok((bytes, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_name_are_joined_in_order() {
        let buffer = HeaderMap::write(&[("x-role", "user"), ("x", ""), ("x-role", "admin"), ("x-role", "")]);
        let headers = HeaderMap::parse(&buffer).unwrap();
        assert_eq!(headers.get("x-role").as_deref(), Some(b"user,admin,".as_slice()));
        assert_eq!(headers.get("x").as_deref(), Some(b"".as_slice()));
        assert_eq!(headers.get("y"), None);
    }

    #[test]
    fn values_may_hold_any_bytes() {
        let buffer = HeaderMap::write(&[("x", b"\xff\0,\n")]);
        assert_eq!(HeaderMap::parse(&buffer).unwrap().first("x"), Some(b"\xff\0,\n".as_slice()));
    }

    #[test]
    fn a_buffer_cut_anywhere_is_refused() {
        let buffer = HeaderMap::write(&[("name", "value"), ("other", "")]);
        for length in 1..buffer.len() {
            assert_eq!(HeaderMap::parse(&buffer[..length]).err(), Some(InvalidHeaderMap), "{length}");
        }
    }

    #[test]
    fn no_buffer_is_no_header() {
        assert_eq!(HeaderMap::parse(b"").unwrap().iter().count(), 0);
    }
}
