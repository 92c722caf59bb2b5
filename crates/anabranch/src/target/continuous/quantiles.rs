//! Draws from a density on an interval by a table of its distribution function.

/// The distribution function at the edges of equal cells, linear between them: exact to the square of a cell's width.
#[derive(Debug)]
pub(super) struct Quantiles {
    low: f64,
    width: f64,
    /// The share of the mass below each edge.
    below: Vec<f64>,
    /// The mass: the integral by the midpoint rule, which converges exponentially where the density fades towards both ends.
    pub mass: f64,
}

impl Quantiles {
    /// Of a density that is not normalised, between two ends.
    pub fn of([low, high]: [f64; 2], cells: usize, density: impl Fn(f64) -> f64) -> Self {
        let width = (high - low) / cells as f64;
        let (mut mass, mut below) = (0.0, vec![0.0]);
        for cell in 0..cells {
            mass += density(low + (cell as f64 + 0.5) * width) * width;
            below.push(mass);
        }
        below.iter_mut().for_each(|share| *share /= mass);
        Self { low, width, below, mass }
    }

    /// The point below which the share `u` lies.
    pub fn at(&self, u: f64) -> f64 {
        let cell = self.below.partition_point(|share| *share <= u).clamp(1, self.below.len() - 1) - 1;
        let [left, right] = [self.below[cell], self.below[cell + 1]];
        let share = (u - left) / (right - left).max(f64::MIN_POSITIVE);
        self.low + (cell as f64 + share) * self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logistic_law_has_its_mass_and_its_quantiles() {
        let table = Quantiles::of([-40.0, 45.0], 1 << 14, |x| 3.0 * (-x).exp() / (1.0 + (-x).exp()).powi(2));
        assert!((table.mass - 3.0).abs() < 1e-12);
        for u in [0.001, 0.2, 0.5, 0.93] {
            assert!((table.at(u) - (u / (1.0 - u)).ln()).abs() < 1e-4, "{u}: {}", table.at(u));
        }
        assert!(table.at(0.0) >= -40.0 && table.at(1.0) <= 45.0);
    }
}
