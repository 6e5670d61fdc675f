//! Comparing and hashing bytes, eight at a time: the library's comparison is a loop over single bytes in a Wasm module, and its
//! hash is made for keys that clients choose.
//!
//! A crate of its own, since every request needs this and the core is compiled for size. So nothing here is `#[inline]`: it would be
//! compiled with the core again.

use std::hash::{BuildHasherDefault, Hasher};

/// Whether both are the same.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        // The last eight bytes cover what is left over by whole words.
        (Some(end), Some(other_end)) => {
            let mut words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
            word(end) == word(other_end) && words.all(|(a, b)| word(a) == word(b))
        }
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    }
}

/// Whether `text` begins with `head`.
#[must_use]
pub fn begins(text: &[u8], head: &[u8]) -> bool {
    text.get(..head.len()).is_some_and(|start| same(start, head))
}

const fn word(bytes: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*bytes)
}

/// Hashes texts of the configuration: nobody who sends requests can add keys, and so make them collide.
#[derive(Debug, Default)]
pub struct ConfiguredHasher(u64);

/// For a map whose keys are texts of the configuration.
pub type Configured = BuildHasherDefault<ConfiguredHasher>;

impl ConfiguredHasher {
    const fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for ConfiguredHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|bytes| self.mix(word(bytes)));
        self.mix(rest.iter().fold(rest.len() as u64, |word, byte| word << 8 | u64::from(*byte)));
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        // Maps take the low bits for the place and the high bits for the first comparison: all of them depend on all input.
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    #[test]
    fn texts_are_the_same_when_no_byte_differs() {
        let text: Vec<u8> = (0..40).collect();
        for length in 0..=text.len() {
            let text = &text[..length];
            let copy = text.to_vec();
            assert!(same(text, &copy));
            assert!(begins(&[text, b"more"].concat(), text));
            for at in 0..length {
                let mut other = text.to_vec();
                other[at] ^= 0x80;
                assert!(!same(text, &other), "{length}, {at}");
                assert!(!begins(&other, text), "{length}, {at}");
            }
            assert!(length == 0 || !same(text, &text[1..]));
            assert!(length == 0 || !begins(&text[1..], text));
        }
    }

    #[test]
    fn hosts_that_differ_little_rarely_share_a_hash() {
        let hashes = |bits: fn(u64) -> u64| -> usize {
            let hosts = (0..10_000).map(|index| format!("service-{index}.shop.svc.cluster.local"));
            hosts
                .map(|host| bits(Configured::default().hash_one(host.as_bytes())))
                .collect::<HashSet<_>>()
                .len()
        };
        assert_eq!(hashes(|hash| hash), 10_000);
        // Thrown at random into 65 536 places, 10 000 meet 9 276 of them.
        assert!(hashes(|hash| hash & 0xffff) > 9_000);
        assert_eq!(hashes(|hash| hash >> 57), 128);
    }
}
