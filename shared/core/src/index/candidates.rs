//! Rules from several lists, in their order.

use super::Looked;
use crate::order::sort_numbers;

/// How many lists are held without a heap: a request rarely finds more than a handful.
const HELD: usize = 12;

/// The rules that are to be verified, ascending, each once.
#[derive(Debug, Default)]
pub(super) struct Candidates<'i> {
    lists: [&'i [u32]; HELD],
    count: usize,
    /// What found no room: descending once it is being read.
    more: Vec<u32>,
    sorted: bool,
    /// What the keys that were found tell their rules apart by.
    pub(super) branches: Vec<Looked>,
}

impl<'i> Candidates<'i> {
    /// None yet, with branches to follow.
    pub(super) fn following(branches: Vec<Looked>) -> Self {
        Self { branches, ..Self::default() }
    }

    /// Adds an ascending list.
    pub(super) fn add(&mut self, list: &'i [u32]) {
        if list.is_empty() {
            return;
        }
        match self.lists.get_mut(self.count) {
            Some(place) => {
                *place = list;
                self.count += 1;
            }
            None => {
                self.more.extend_from_slice(list);
                self.sorted = false;
            }
        }
    }
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if !self.sorted {
            sort_numbers(&mut self.more, &mut |a, b| b.cmp(&a));
            self.sorted = true;
        }
        let lists = self.lists.get_mut(..self.count)?;
        let firsts = lists.iter().filter_map(|list| list.first());
        let next = firsts.chain(self.more.last()).copied().min()?;
        for list in lists {
            while let Some((first, rest)) = list.split_first()
                && *first == next
            {
                *list = rest;
            }
        }
        while self.more.pop_if(|last| *last == next).is_some() {}
        Some(super::position(next))
    }
}
