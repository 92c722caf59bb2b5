//! Axes: ranges, scales and ticks.
//!
//! ```text
//! linear ticks   multiples of 1, 2 or 5 times a power of ten
//! log ticks      powers of ten; below two decades also their double and fivefold
//! ```

/// How numbers are spread along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// In proportion to their value.
    Linear,
    /// The same for whole numbers: no tick stands between two of them.
    Whole,
    /// In proportion to their logarithm; numbers that are not positive have no place.
    Log,
}

/// An axis with its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: String,
    /// How numbers are spread.
    pub scale: Scale,
    /// The lower end.
    pub low: f64,
    /// The upper end, above the lower.
    pub high: f64,
}

/// Beyond this, differences of ends would overflow.
const LARGEST: f64 = 1e150;

impl Axis {
    /// An axis over the range `[low, high]`, made wide enough to be drawn.
    pub fn new(label: impl Into<String>, scale: Scale, low: f64, high: f64) -> Self {
        let label = label.into();
        let (low, high) = (low.clamp(-LARGEST, LARGEST), high.clamp(-LARGEST, LARGEST));
        if scale == Scale::Log {
            let (low, high) = (low.max(1.0 / LARGEST), high.max(1.0 / LARGEST));
            if high / low > 1.0 + 1e-9 {
                return Self { label, scale, low, high };
            }
            return Self { label, scale, low: low / 2.0, high: high * 2.0 };
        }
        let magnitude = low.abs().max(high.abs());
        if high - low > 1e-9 * magnitude {
            return Self { label, scale, low, high };
        }
        let half = if magnitude == 0.0 { 1.0 } else { 0.1 * magnitude };
        Self { label, scale, low: low - half, high: high + half }
    }

    /// An axis that holds all finite values (for [`Scale::Log`] all positive ones) with a margin of a twentieth.
    ///
    /// Without any such value the axis is linear from 0 to 1.
    pub fn fit(label: impl Into<String>, scale: Scale, values: impl IntoIterator<Item = f64>) -> Self {
        let usable = |value: &f64| value.is_finite() && (scale != Scale::Log || *value > 0.0);
        let (low, high) = values
            .into_iter()
            .filter(usable)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Self { label: label.into(), scale: Scale::Linear, low: 0.0, high: 1.0 };
        }
        let axis = Self::new(label, scale, low, high);
        match scale {
            Scale::Linear | Scale::Whole => {
                let margin = 0.05 * (axis.high - axis.low);
                Self { low: axis.low - margin, high: axis.high + margin, ..axis }
            }
            Scale::Log => {
                let margin = (axis.high / axis.low).powf(0.05);
                Self { low: axis.low / margin, high: axis.high * margin, ..axis }
            }
        }
    }

    /// The scale on which all of `values` can be told apart: logarithmic where they are positive and span more than
    /// two decades.
    pub fn scale_for(values: impl IntoIterator<Item = f64>) -> Scale {
        let (low, high) = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
        if low > 0.0 && low.is_finite() && high / low > 100.0 { Scale::Log } else { Scale::Linear }
    }

    /// Where a value lies between the lower end (0) and the upper (1); not finite where it has no place.
    pub fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear | Scale::Whole => (value - self.low) / (self.high - self.low),
            Scale::Log if value > 0.0 => (value / self.low).ln() / (self.high / self.low).ln(),
            Scale::Log => f64::NAN,
        }
    }

    /// Round values within the range with their labels, about `wanted` of them, on a linear axis at most two more.
    pub fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear | Scale::Whole => self.linear_ticks(wanted),
            Scale::Log => self.log_ticks(wanted),
        }
    }

    fn linear_ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let least = if self.scale == Scale::Whole { 1.0 } else { 0.0 };
        let step = round_step((self.high - self.low) / (wanted as f64 + 1.0)).max(least);
        let (first, last) = ((self.low / step - 1e-9).ceil(), (self.high / step + 1e-9).floor());
        let count = (last - first).clamp(0.0, 1000.0) as usize;
        let largest = self.low.abs().max(self.high.abs());
        // Adding zero turns -0 into 0.
        let values = (0..=count).map(|k| (first + k as f64) * step + 0.0);
        values.map(|value| (value, tick_label(value, step, largest))).collect()
    }

    fn log_ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let (first, last) =
            ((self.low.log10() - 1e-9).ceil() as i32, (self.high.log10() + 1e-9).floor() as i32);
        let decades = last - first + 1;
        if decades >= 3 {
            let stride = (decades as usize).div_ceil(wanted.max(2)) as i32;
            let exponents = (first..=last).filter(|exponent| exponent.rem_euclid(stride) == 0);
            return exponents.map(|exponent| (10f64.powi(exponent), power_label(exponent))).collect();
        }
        let within = |value: &f64| (self.low * (1.0 - 1e-9)..=self.high * (1.0 + 1e-9)).contains(value);
        let fine: Vec<f64> = (first - 1..=last)
            .flat_map(|exponent| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(exponent)))
            .filter(within)
            .collect();
        if fine.len() < 2 {
            return self.linear_ticks(wanted).into_iter().filter(|(value, _)| *value > 0.0).collect();
        }
        fine.into_iter().map(|value| (value, tick_label(value, value, value))).collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let digit =
        [1.0, 2.0, 5.0].into_iter().find(|digit| rough <= digit * power * (1.0 + 1e-9)).unwrap_or(10.0);
    digit * power
}

/// `value` with as many decimals as a grid of `step` needs, or as a power of ten where the axis, whose largest value is
/// `largest`, would need too many zeros.
fn tick_label(value: f64, step: f64, largest: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let huge = largest >= 1e6 && step >= 1e-3 * largest;
    let tiny = largest < 1e-2 && step < 1e-4;
    if !(huge || tiny) {
        let decimals = (-step.log10() - 1e-9).ceil().clamp(0.0, 12.0) as usize;
        return format!("{value:.decimals$}").replace('-', "\u{2212}");
    }
    let exponent = |number: f64| (number.abs().log10() + 1e-9).floor() as i32;
    let decimals = (exponent(value) - exponent(step)).clamp(0, 12) as usize;
    let mantissa = value / 10f64.powi(exponent(value));
    let digits = format!("{mantissa:.decimals$}").replace('-', "\u{2212}");
    format!("{digits}\u{d7}10{}", superscript(exponent(value)))
}

/// A power of ten.
fn power_label(exponent: i32) -> String {
    match exponent {
        -3..=-1 => format!("{:.*}", exponent.unsigned_abs() as usize, 10f64.powi(exponent)),
        0..=4 => format!("{}", 10f64.powi(exponent)),
        _ => format!("10{}", superscript(exponent)),
    }
}

/// An integer in superscript digits.
pub(crate) fn superscript(number: i32) -> String {
    let digit = |character: char| match character {
        '-' => '\u{207b}',
        '1' => '\u{b9}',
        '2' => '\u{b2}',
        '3' => '\u{b3}',
        other => char::from_u32(0x2070 + other.to_digit(10).unwrap_or(0)).unwrap_or(other),
    };
    number.to_string().chars().map(digit).collect()
}

/// The `low` and `high` quantiles (fractions) of the finite values; `None` if there are none.
pub fn quantiles(values: impl IntoIterator<Item = f64>, low: f64, high: f64) -> Option<(f64, f64)> {
    let mut finite: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    finite.sort_by(f64::total_cmp);
    let last = finite.len().checked_sub(1)?;
    let at = |fraction: f64| finite[((fraction * last as f64).round() as usize).min(last)];
    Some((at(low), at(high)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, low: f64, high: f64, wanted: usize) -> Vec<String> {
        Axis::new("", scale, low, high).ticks(wanted).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(labels(Scale::Linear, 0.0, 10.0, 5), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(
            labels(Scale::Linear, -0.31, 0.29, 6),
            ["\u{2212}0.3", "\u{2212}0.2", "\u{2212}0.1", "0", "0.1", "0.2"]
        );
        assert_eq!(labels(Scale::Linear, 0.0, 20_000.0, 4), ["0", "5000", "10000", "15000", "20000"]);
        assert_eq!(
            labels(Scale::Linear, 0.0, 3e6, 3),
            ["0", "1\u{d7}10\u{2076}", "2\u{d7}10\u{2076}", "3\u{d7}10\u{2076}"]
        );
        assert_eq!(
            labels(Scale::Linear, 0.0, 2e-5, 2),
            ["0", "1\u{d7}10\u{207b}\u{2075}", "2\u{d7}10\u{207b}\u{2075}"]
        );
        assert_eq!(labels(Scale::Whole, -0.5, 2.5, 8), ["0", "1", "2"]);
        assert_eq!(labels(Scale::Linear, 0.0, 2e5, 2), ["0", "100000", "200000"]);
        assert_eq!(
            labels(Scale::Linear, 0.0, 0.001, 5),
            ["0", "0.0002", "0.0004", "0.0006", "0.0008", "0.0010"]
        );
    }

    #[test]
    fn log_ticks_are_decades_or_finer() {
        assert_eq!(labels(Scale::Log, 1e-3, 1e2, 6), ["0.001", "0.01", "0.1", "1", "10", "100"]);
        assert_eq!(labels(Scale::Log, 0.9, 30.0, 6), ["1", "2", "5", "10", "20"]);
        let wide = ["10\u{207b}\u{b9}\u{2070}", "10\u{207b}\u{2075}", "1", "10\u{2075}"];
        assert_eq!(labels(Scale::Log, 1e-12, 1e8, 5), wide);
        assert_eq!(labels(Scale::Log, 3.0, 4.0, 4), ["3.0", "3.2", "3.4", "3.6", "3.8", "4.0"]);
    }

    #[test]
    fn ticks_stay_within_their_axis_and_rise() {
        let ends = [
            (0.0, 1.0),
            (-3.7, 12.2),
            (1e8, 1e8 + 1.0),
            (-1e-7, 2e-7),
            (5.0, 5.0),
            (-1e300, 1e300),
            (0.3, 700.0),
        ];
        for (low, high) in ends {
            for scale in [Scale::Linear, Scale::Log] {
                let axis = Axis::new("", scale, low, high);
                let ticks = axis.ticks(5);
                assert!((1..=12).contains(&ticks.len()), "{axis:?}: {ticks:?}");
                assert!(
                    ticks.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1),
                    "{ticks:?}"
                );
                for (value, _) in &ticks {
                    let place = axis.place(*value);
                    assert!((-1e-6..=1.0 + 1e-6).contains(&place), "{axis:?}: {value} at {place}");
                }
            }
        }
    }

    #[test]
    fn axes_fit_their_values() {
        let axis = Axis::fit("", Scale::Linear, [1.0, f64::NAN, 3.0, f64::INFINITY]);
        assert!((axis.low - 0.9).abs() < 1e-12 && (axis.high - 3.1).abs() < 1e-12);
        assert!((axis.place(2.0) - 0.5).abs() < 1e-12);
        let axis = Axis::fit("", Scale::Log, [-1.0, 0.0, 1.0, 100.0]);
        assert!((axis.place(10.0) - 0.5).abs() < 1e-12 && axis.low < 1.0 && axis.high > 100.0);
        assert!(axis.place(0.0).is_nan());
        for nothing in [vec![], vec![f64::NAN]] {
            let axis = Axis::fit("", Scale::Log, nothing);
            assert_eq!((axis.scale, axis.low, axis.high), (Scale::Linear, 0.0, 1.0));
        }
        for constant in [0.0, -4.0, 1e-9, 1e200] {
            let axis = Axis::fit("", Scale::Linear, [constant]);
            assert!(axis.low < axis.high && (axis.high - axis.low).is_finite(), "{axis:?}");
        }
    }

    #[test]
    fn scales_follow_the_span() {
        assert_eq!(Axis::scale_for([1.0, 50.0]), Scale::Linear);
        assert_eq!(Axis::scale_for([1.0, 101.0]), Scale::Log);
        assert_eq!(Axis::scale_for([0.0, 1000.0]), Scale::Linear);
        assert_eq!(Axis::scale_for([]), Scale::Linear);
    }

    #[test]
    fn quantiles_skip_what_is_not_finite() {
        let values = (0..=100).map(f64::from).chain([f64::NAN, f64::INFINITY]);
        assert_eq!(quantiles(values, 0.05, 0.95), Some((5.0, 95.0)));
        assert_eq!(quantiles([7.0], 0.05, 0.95), Some((7.0, 7.0)));
        assert_eq!(quantiles([f64::NAN], 0.0, 1.0), None);
    }
}
