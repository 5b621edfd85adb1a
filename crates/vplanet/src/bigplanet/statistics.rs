//! Statistics of a series, as Python's `statistics` and scipy compute them. Means and deviations are rounded only once,
//! so sums are kept in twice the precision.

/// A statistic of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Arithmetic mean.
    Mean,
    /// Standard deviation of a sample.
    Deviation,
    /// Smallest value.
    Least,
    /// Largest value.
    Greatest,
    /// Most frequent value, the smallest of several, and its number of occurrences.
    Mode,
    /// Geometric mean.
    GeometricMean,
}

const WORDS: [(&str, Statistic); 6] = [
    ("mean", Statistic::Mean),
    ("stddev", Statistic::Deviation),
    ("min", Statistic::Least),
    ("max", Statistic::Greatest),
    ("mode", Statistic::Mode),
    ("geomean", Statistic::GeometricMean),
];

impl Statistic {
    /// The statistic with this name in keys.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        WORDS.iter().find(|(name, _)| *name == word).map(|(_, statistic)| *statistic)
    }

    /// The value for a series, or two values for the mode.
    #[must_use]
    pub fn of(self, series: &[f64]) -> Vec<f64> {
        let pick = |better: fn(&f64, &f64) -> bool| {
            series.iter().copied().reduce(|best, x| if better(&x, &best) { x } else { best }).unwrap_or(f64::NAN)
        };
        match self {
            Self::Mean => vec![mean(series)],
            Self::Deviation => vec![deviation(series)],
            Self::Least => vec![pick(|x, best| x < best)],
            Self::Greatest => vec![pick(|x, best| x > best)],
            Self::Mode => mode(series).to_vec(),
            Self::GeometricMean => vec![geometric_mean(series)],
        }
    }
}

/// A number as the sum of two floats.
#[derive(Clone, Copy, Debug, Default)]
struct Double {
    high: f64,
    low: f64,
}

impl Double {
    fn of_sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let part = high - a;
        Self { high, low: (a - (high - part)) + (b - part) }
    }

    fn of_product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: a.mul_add(b, -high) }
    }

    fn plus(self, other: Self) -> Self {
        let (high, low) = (Self::of_sum(self.high, other.high), Self::of_sum(self.low, other.low));
        let carried = Self::of_sum(high.high, high.low + low.high);
        Self::of_sum(carried.high, carried.low + low.low)
    }

    fn times(self, other: Self) -> Self {
        let product = Self::of_product(self.high, other.high);
        let mixed = self.high.mul_add(other.low, self.low * other.high);
        Self::of_sum(product.high, product.low + mixed)
    }

    fn over(self, divisor: f64) -> Self {
        let quotient = self.high / divisor;
        let rest = self.plus(Self::of_product(-quotient, divisor));
        Self::of_sum(quotient, (rest.high + rest.low) / divisor)
    }

    fn root(self) -> f64 {
        let root = self.high.sqrt();
        if root == 0.0 {
            return 0.0;
        }
        let rest = self.plus(Self::of_product(-root, root));
        root + (rest.high + rest.low) / (2.0 * root)
    }
}

/// A power of two that scales the series to the order of one, so that squares neither overflow nor underflow.
fn scale(series: &[f64]) -> f64 {
    let most = series.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    if most == 0.0 || !most.is_finite() {
        return 1.0;
    }
    f64::exp2(most.log2().floor().clamp(-1000.0, 1000.0))
}

#[expect(clippy::cast_precision_loss, reason = "no series has 2^53 values")]
fn count(series: &[f64]) -> f64 {
    series.len() as f64
}

fn scaled_mean(series: &[f64], scale: f64) -> Double {
    let sum = series.iter().fold(Double::default(), |sum, x| sum.plus(Double { high: x / scale, low: 0.0 }));
    sum.over(count(series))
}

fn mean(series: &[f64]) -> f64 {
    if series.iter().any(|x| !x.is_finite()) {
        return series.iter().sum();
    }
    let scale = scale(series);
    scaled_mean(series, scale).high * scale
}

fn deviation(series: &[f64]) -> f64 {
    if series.len() < 2 || series.iter().any(|x| !x.is_finite()) {
        return f64::NAN;
    }
    let scale = scale(series);
    let mean = scaled_mean(series, scale);
    let minus = Double { high: -mean.high, low: -mean.low };
    let squares = series.iter().map(|x| Double { high: x / scale, low: 0.0 }.plus(minus));
    let sum = squares.fold(Double::default(), |sum, off| sum.plus(off.times(off)));
    sum.over(count(series) - 1.0).root() * scale
}

fn mode(series: &[f64]) -> [f64; 2] {
    let mut sorted = series.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    // The first of the longest runs, which come in ascending order.
    let longest = sorted
        .chunk_by(|a, b| a.total_cmp(b).is_eq())
        .fold(&[][..], |best, run| if run.len() > best.len() { run } else { best });
    [longest.first().copied().unwrap_or(f64::NAN), count(longest)]
}

fn geometric_mean(series: &[f64]) -> f64 {
    let logs: Vec<f64> = series.iter().map(|x| x.ln()).collect();
    mean(&logs).exp()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these are rounded right")]
mod tests {
    use super::*;

    #[test]
    fn of_small_series() {
        let of = |statistic: Statistic, series: &[f64]| statistic.of(series);
        assert_eq!(of(Statistic::Mean, &[1.0, 2.0, 4.0]), [7.0 / 3.0]);
        assert_eq!(of(Statistic::Deviation, &[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), [2.138_089_935_299_395]);
        assert_eq!(of(Statistic::Mode, &[3.0, 1.0, 3.0, 1.0, 2.0]), [1.0, 2.0]);
        assert_eq!(
            (of(Statistic::Least, &[3.0, -1.0]), of(Statistic::Greatest, &[3.0, -1.0])),
            (vec![-1.0], vec![3.0])
        );
        assert!((of(Statistic::GeometricMean, &[1.0, 4.0])[0] - 2.0).abs() < 1e-15);
        assert_eq!(of(Statistic::GeometricMean, &[0.0, 4.0]), [0.0]);
    }

    #[test]
    fn large_numbers_that_cancel_and_squares_that_would_overflow() {
        assert_eq!(mean(&[1e16, 1.0, -1e16]), 1.0 / 3.0);
        assert_eq!(mean(&[1e308, 1e308]), 1e308);
        assert_eq!(deviation(&[1e300, -1e300]), 1.414_213_562_373_095_2e300);
        assert_eq!(deviation(&[1e-300, -1e-300]), 1.414_213_562_373_095e-300);
        // Close values far from zero, where the naive formula fails.
        assert_eq!(deviation(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]), 1.0);
        assert_eq!((deviation(&[5.0, 5.0]), mean(&[0.0, 0.0])), (0.0, 0.0));
        assert!(mean(&[1.0, f64::NAN]).is_nan() && deviation(&[1.0]).is_nan());
    }
}
