//! Keys, found by a text: by all of it, by its beginnings and by its ends.

use super::draft::DraftKey;
use super::{Part, Subject, number, position};
use mesh_policy_bytes::same;

/// Keys in an open hash table. Keys are the configuration's own, so nobody who sends requests can make them collide.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Numbers of keys, from one; zero is free. A power of two, at most half full.
    slots: Box<[u32]>,
    keys: Box<[Key]>,
    bytes: Box<[u8]>,
    lengths: Box<[Lengths]>,
}

#[derive(Debug)]
struct Key {
    start: u32,
    end: u32,
    subject: Subject,
    part: Part,
    /// Some bits of its hash: most keys that a search passes by differ here, and are not read.
    tag: u8,
}

/// How long the keys of a subject are: what is worth a look.
#[derive(Debug, Default)]
struct Lengths {
    /// The longest key for a whole text, if there is one.
    whole: Option<u32>,
    /// The lengths of heads, each once, ascending.
    heads: Vec<u32>,
    /// The lengths of tails, each once, ascending.
    tails: Vec<u32>,
}

impl Table {
    /// A table of `keys`, whose texts stand in `bytes`; equal keys become one. The numbers that they got come along.
    pub(super) fn new(subjects: usize, keys: &[DraftKey], bytes: &[u8]) -> (Self, Vec<u32>) {
        let mut lengths: Vec<Lengths> = Vec::new();
        lengths.resize_with(subjects, Lengths::default);
        for key in keys {
            let Some(lengths) = lengths.get_mut(usize::from(key.subject)) else { continue };
            let length = key.end - key.start;
            match key.part {
                Part::Whole => lengths.whole = lengths.whole.max(Some(length)),
                Part::Head => insert(&mut lengths.heads, length),
                Part::Tail => insert(&mut lengths.tails, length),
            }
        }
        let slots = vec![0; (keys.len() * 2).next_power_of_two()];
        let mut table = Self {
            slots: slots.into(),
            keys: Box::default(),
            bytes: Box::default(),
            lengths: lengths.into(),
        };
        let (mut kept, mut texts) = (Vec::new(), Vec::new());
        let numbers = keys
            .iter()
            .map(|key| {
                let text = bytes.get(position(key.start)..position(key.end)).unwrap_or_default();
                table.insert(key, text, &mut kept, &mut texts)
            })
            .collect();
        table.keys = kept.into();
        table.bytes = texts.into();
        (table, numbers)
    }

    fn insert(&mut self, key: &DraftKey, text: &[u8], kept: &mut Vec<Key>, texts: &mut Vec<u8>) -> u32 {
        let mut hash = seed(key.subject, key.part);
        match (key.part, self.lengths.get(usize::from(key.subject))) {
            (Part::Head, Some(lengths)) => {
                heads(&lengths.heads, text, |chunk, _| hash = mix(hash, chunk));
            }
            (Part::Tail, Some(lengths)) => {
                tails(&lengths.tails, text, |chunk, _| hash = mix(hash, chunk));
            }
            _ => hash = mix(hash, text),
        }
        let mask = self.slots.len().wrapping_sub(1);
        let (first, tag) = place(hash);
        let mut at = first & mask;
        while let Some(entry) = self.slots.get_mut(at) {
            let Some(known) = entry.checked_sub(1) else {
                *entry = number(kept.len()) + 1;
                break;
            };
            if let Some(other) = kept.get(position(known))
                && other.is(tag, key.subject, key.part, text, texts)
            {
                return known;
            }
            at = (at + 1) & mask;
        }
        let start = number(texts.len());
        texts.extend_from_slice(text);
        kept.push(Key { start, end: number(texts.len()), subject: key.subject, part: key.part, tag });
        number(kept.len() - 1)
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// What a key stands for.
    pub(super) fn key(&self, key: usize) -> Option<(Subject, Part, &[u8])> {
        let Key { start, end, subject, part, .. } = self.keys.get(key)?;
        Some((*subject, *part, self.bytes.get(position(*start)..position(*end))?))
    }

    /// Visits every key of the subject that `text` has.
    pub(super) fn each(&self, subject: Subject, text: &[u8], mut visit: impl FnMut(usize)) {
        let Some(lengths) = self.lengths.get(usize::from(subject)) else { return };
        if lengths.whole.is_some_and(|longest| text.len() <= position(longest))
            && let Some(key) = self.find(mix(seed(subject, Part::Whole), text), subject, Part::Whole, text)
        {
            visit(key);
        }
        let mut hash = seed(subject, Part::Head);
        heads(&lengths.heads, text, |chunk, head| {
            hash = mix(hash, chunk);
            if let Some(key) = self.find(hash, subject, Part::Head, head) {
                visit(key);
            }
        });
        let mut hash = seed(subject, Part::Tail);
        tails(&lengths.tails, text, |chunk, tail| {
            hash = mix(hash, chunk);
            if let Some(key) = self.find(hash, subject, Part::Tail, tail) {
                visit(key);
            }
        });
    }

    fn find(&self, hash: u64, subject: Subject, part: Part, text: &[u8]) -> Option<usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let (first, tag) = place(hash);
        let mut at = first & mask;
        loop {
            let known = position(self.slots.get(at)?.checked_sub(1)?);
            if self.keys.get(known)?.is(tag, subject, part, text, &self.bytes) {
                return Some(known);
            }
            at = (at + 1) & mask;
        }
    }
}

impl Key {
    fn is(&self, tag: u8, subject: Subject, part: Part, text: &[u8], bytes: &[u8]) -> bool {
        self.tag == tag
            && self.subject == subject
            && self.part == part
            && bytes.get(position(self.start)..position(self.end)).is_some_and(|own| same(own, text))
    }
}

fn insert(lengths: &mut Vec<u32>, length: u32) {
    // Most keys are as long as one before.
    if let Err(at) = lengths.binary_search(&length) {
        lengths.insert(at, length);
    }
}

/// Each beginning of `text` that is as long as one of `lengths`, and by what it is longer than the one before.
fn heads<'t>(lengths: &[u32], text: &'t [u8], mut visit: impl FnMut(&'t [u8], &'t [u8])) {
    let mut before = 0;
    for length in lengths {
        let length = position(*length);
        let (Some(chunk), Some(head)) = (text.get(before..length), text.get(..length)) else { return };
        visit(chunk, head);
        before = length;
    }
}

/// Each end of `text` that is as long as one of `lengths`, and by what it is longer than the one before.
fn tails<'t>(lengths: &[u32], text: &'t [u8], mut visit: impl FnMut(&'t [u8], &'t [u8])) {
    let mut before = text.len();
    for length in lengths {
        let Some(start) = text.len().checked_sub(position(*length)) else { return };
        let (Some(chunk), Some(tail)) = (text.get(start..before), text.get(start..)) else { return };
        visit(chunk, tail);
        before = start;
    }
}

const fn seed(subject: Subject, part: Part) -> u64 {
    ((subject as u64) << 2 | part as u64).wrapping_mul(MULTIPLIER)
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Goes on with a hash, eight bytes at a time.
fn mix(mut hash: u64, chunk: &[u8]) -> u64 {
    let (words, rest) = chunk.as_chunks::<8>();
    for word in words {
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let word = rest.iter().rev().fold(rest.len() as u64, |word, byte| word << 8 | u64::from(*byte));
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
    }
    hash
}

/// Where a hash begins to be searched for, and what its key is told by. The last byte of a text stands in the highest bits of
/// `hash` alone, so these are folded into the others first.
const fn place(hash: u64) -> (usize, u8) {
    let hash = (hash ^ hash >> 32).wrapping_mul(MULTIPLIER);
    ((hash >> 32) as usize, (hash >> 24) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its name, and each of its texts.
    type Shape = (&'static str, fn(usize) -> String);

    /// How many keys are looked at to find each of `texts`, at most and in all.
    fn looks(texts: &[String]) -> (usize, usize) {
        let mut bytes = Vec::new();
        let keys: Vec<DraftKey> = texts
            .iter()
            .map(|text| {
                let start = number(bytes.len());
                bytes.extend_from_slice(text.as_bytes());
                DraftKey { subject: 0, part: Part::Whole, start, end: number(bytes.len()) }
            })
            .collect();
        let (table, _) = Table::new(1, &keys, &bytes);
        let mask = table.slots.len() - 1;
        let mut looks = Vec::new();
        for text in texts {
            let (first, _) = place(mix(seed(0, Part::Whole), text.as_bytes()));
            let found = (0..).position(|step| {
                let key = table.slots.get((first + step) & mask).unwrap().checked_sub(1).unwrap();
                table.key(position(key)).unwrap().2 == text.as_bytes()
            });
            looks.push(found.unwrap() + 1);
        }
        (looks.iter().copied().max().unwrap(), looks.iter().sum())
    }

    #[test]
    fn keys_that_differ_in_a_few_digits_are_spread() {
        let shapes: [Shape; 8] = [
            ("digits behind", |n| format!("/api/v1/service-{n:05}/")),
            ("digits at the end of a word", |n| format!("/api/v1/svc{n:05}")),
            ("digits at the begin of a word", |n| format!("/api/v1/{n:05}")),
            ("digits in front", |n| format!("{n:05}.html")),
            ("the last bytes of a word", |n| {
                let byte = |n: usize| char::from(b'!' + u8::try_from(n % 90).unwrap());
                format!("/orders{}/status{}", byte(n / 90), byte(n))
            }),
            ("two words", |n| format!("team-{:02}/shop-{:03}", n / 1000, n % 1000)),
            ("long", |n| format!("{}{n}{}", "/segment".repeat(20), "/more".repeat(9))),
            ("addresses", |n| [10, 0, n / 256, n % 256].map(|byte| format!("{byte:08b}")).concat()),
        ];
        for (name, shape) in shapes {
            for count in [100, 1_000, 8_000] {
                let texts: Vec<String> = (0..count).map(shape).collect();
                let (most, all) = looks(&texts);
                assert!(most <= 32 && all <= count * 2, "{name} {count}: {most} at most, {all} in all");
            }
        }
    }
}
