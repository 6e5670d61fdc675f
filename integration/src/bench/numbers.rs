//! What many measurements of one thing come to.

use serde_json::{Value, json};

/// The spread of some measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The lowest.
    pub min: f64,
    /// A quarter lies below.
    pub lower: f64,
    /// Half lies below.
    pub median: f64,
    /// Three quarters lie below.
    pub upper: f64,
    /// The highest.
    pub max: f64,
}

impl Spread {
    /// The spread of these; none of no number.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().filter(|number| number.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            min: *sorted.first()?,
            lower: quantile(&sorted, 0.25)?,
            median: quantile(&sorted, 0.5)?,
            upper: quantile(&sorted, 0.75)?,
            max: *sorted.last()?,
        })
    }

    /// How wide the middle half is, as a share of the median.
    pub fn width(&self) -> f64 {
        (self.upper - self.lower) / self.median
    }

    /// As an object.
    pub fn to_json(self) -> Value {
        let Self { min, lower, median, upper, max } = self;
        json!({ "min": round(min), "q1": round(lower), "median": round(median), "q3": round(upper), "max": round(max) })
    }
}

/// The value below which this share of the sorted numbers lies, between two of them where it falls so.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (*sorted.get(place.floor() as usize)?, *sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

/// To three digits behind the point, which is a nanosecond where the number is of microseconds.
pub fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

/// A number as tables show it: three digits that matter.
pub fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 99.95 => format!("{number:.0}"),
        size if size >= 9.995 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_fall_between_the_numbers() {
        let spread = Spread::of([4.0, 1.0, f64::NAN, 3.0, 2.0]).unwrap();
        let expected = Spread { min: 1.0, lower: 1.75, median: 2.5, upper: 3.25, max: 4.0 };
        assert_eq!(spread, expected);
        assert!((spread.width() - 0.6).abs() < 1e-9);
        assert_eq!(Spread::of([]), None);
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
    }

    #[test]
    fn numbers_are_shown_with_three_digits_that_matter() {
        assert_eq!([0.123, 9.999, 99.96, 1234.5].map(short), ["0.12", "10.0", "100", "1234"]);
    }
}
