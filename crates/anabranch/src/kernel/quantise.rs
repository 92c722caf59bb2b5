//! Dequantisation as a kernel: integers are a rounding of the continuous state before them.
//!
//! Forward `x = floor(y)` has mass one, backward `y | x` is uniform on the unit cell, so the step's ratio is
//! zero on the data and the chain's bound is on the *mass* of `x`: bits per dimension come out right with no
//! correction afterwards. Theis, van den Oord, Bethge (2016), section 3.1.

use crate::chain::{Given, State};
use crate::kernel::law::{Cell, Law, PointMass};
use crate::kernel::pair::{Conditional, Pair};

/// `x = floor(y)`, clamped to the levels.
#[derive(Debug, Clone)]
pub struct Rounding {
    levels: u32,
}

impl Conditional for Rounding {
    fn law(&self, state: &State, _: &Given) -> Box<dyn Law + '_> {
        Box::new(PointMass { value: state.clone().floor().clamp(0.0, (self.levels - 1) as f32) })
    }
}

/// `y` uniform on `[x, x + 1)`.
#[derive(Debug, Clone)]
pub struct UniformNoise;

impl Conditional for UniformNoise {
    fn law(&self, state: &State, _: &Given) -> Box<dyn Law + '_> {
        Box::new(Cell { floor: state.clone() })
    }
}

/// The kernel pair for data with `levels` integer levels per coordinate.
pub fn dequantisation(levels: u32) -> Pair<Rounding, UniformNoise> {
    Pair { forward: Rounding { levels }, backward: UniformNoise }
}
