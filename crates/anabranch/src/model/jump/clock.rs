//! How much of the data survives until a time.
//!
//! ```text
//! linear    alpha = 1 - t                         beta = 1 / (1 - t)
//! cosine    alpha = 1 - cos(pi (1 - t) / 2)
//! ```

use std::f64::consts::FRAC_PI_2;

/// The survival of data on the way to noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// `alpha = 1 - t`: log-linear noise.
    Linear,
    /// `alpha = 1 - cos(pi (1 - t) / 2)`.
    Cosine,
}

impl Clock {
    /// `alpha(t)`: 1 at 0, 0 at 1.
    pub fn survival(self, time: f64) -> f64 {
        match self {
            _ if time <= 0.0 => 1.0,
            _ if time >= 1.0 => 0.0,
            Self::Linear => 1.0 - time,
            Self::Cosine => 1.0 - (FRAC_PI_2 * (1.0 - time)).cos(),
        }
    }

    /// The time at which so much survives.
    pub fn time(self, survival: f64) -> f64 {
        match self {
            Self::Linear => 1.0 - survival,
            Self::Cosine => 1.0 - (1.0 - survival).acos() / FRAC_PI_2,
        }
    }

    /// `beta(t) = -alpha'(t) / alpha(t)`.
    pub fn rate(self, time: f64) -> f64 {
        let fall = match self {
            Self::Linear => 1.0,
            Self::Cosine => FRAC_PI_2 * (FRAC_PI_2 * (1.0 - time)).sin(),
        };
        fall / self.survival(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_their_survival() {
        for clock in [Clock::Linear, Clock::Cosine] {
            assert_eq!([clock.survival(0.0), clock.survival(1.0)], [1.0, 0.0]);
            for time in [0.0, 0.1, 0.5, 0.93, 1.0] {
                assert!((clock.time(clock.survival(time)) - time).abs() < 1e-7, "{clock:?}: {time}");
            }
            let (early, late) = (clock.survival(0.4 - 1e-6), clock.survival(0.4 + 1e-6));
            let slope = (early / late).ln() / 2e-6;
            assert!((slope - clock.rate(0.4)).abs() < 1e-6, "{clock:?}: {slope}");
        }
    }
}
