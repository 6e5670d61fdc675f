//! Sorting, by one piece of code: the standard library's is compiled for each type anew, with 4 to 6 KB in each module.

use std::cmp::Ordering;

/// Sorts numbers.
pub(crate) fn sort_numbers(numbers: &mut [u32], compare: &mut dyn FnMut(u32, u32) -> Ordering) {
    numbers.sort_by(|a, b| compare(*a, *b));
}

/// Sorts anything; equals keep their order.
pub(crate) fn sort_by<T>(items: &mut Vec<T>, compare: impl Fn(&T, &T) -> Ordering) {
    if items.is_sorted_by(|a, b| compare(a, b) != Ordering::Greater) {
        return;
    }
    let Ok(count) = u32::try_from(items.len()) else { return items.sort_by(compare) };
    let mut order: Vec<u32> = (0..count).collect();
    let at = |position: u32| items.get(position as usize);
    sort_numbers(&mut order, &mut |a, b| match (at(a), at(b)) {
        (Some(a), Some(b)) => compare(a, b),
        _ => Ordering::Equal,
    });
    let mut unordered: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(order.into_iter().filter_map(|position| unordered.get_mut(position as usize)?.take()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_keep_their_order() {
        let mut items = vec![(3, 'a'), (1, 'b'), (3, 'c'), (2, 'd'), (1, 'e')];
        sort_by(&mut items, |a, b| a.0.cmp(&b.0));
        assert_eq!(items, [(1, 'b'), (1, 'e'), (2, 'd'), (3, 'a'), (3, 'c')]);
    }

    #[test]
    fn what_is_sorted_stays() {
        let mut items: Vec<u32> = (0..100).collect();
        sort_by(&mut items, u32::cmp);
        assert!(items.is_sorted());
        sort_by(&mut items, |a, b| b.cmp(a));
        assert!(items.iter().rev().is_sorted());
    }
}
