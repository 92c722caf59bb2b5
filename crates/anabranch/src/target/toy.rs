//! Two-dimensional toy densities, by their exact samplers, within about [-4, 4]^2.
//!
//! ```text
//! eight-gaussians  centres 2 sqrt(2) (cos, sin)(k pi / 4), std 0.5 / sqrt(2)
//! checkerboard     uniform on the 8 cells of side 2 of the board [-4, 4]^2 with floor(x / 2) + floor(y / 2) even
//! spirals          radius 3 t, angle 3 pi t, t = sqrt(uniform), two arms, std 0.1
//! moons            two half circles of radius 1 offset by (1, 1/2), scaled by 2, std 0.1 before scaling
//! rings            radii 1, 2, 3, 4 scaled by 3 / 4, std 0.06
//! pinwheel         five arms: radial N(1, 0.3^2), tangential N(0, 0.1^2), turned by 0.25 e^r, scaled by 2
//! swiss-roll       angle t in 3 pi / 2 (1 + 2 u), (t cos t, t sin t) / 5, std 0.1
//! ```

use std::f64::consts::PI;

use crate::rng::{Noise, Purpose};

/// The names of the toy densities.
pub const NAMES: [&str; 7] =
    ["eight-gaussians", "checkerboard", "spirals", "moons", "rings", "pinwheel", "swiss-roll"];

/// The negative log-likelihood of the density itself (its entropy), nats, where it is known in closed form.
pub fn entropy(name: &str) -> Option<f64> {
    (name == "checkerboard").then(|| 32f64.ln())
}

/// `rows` exact samples, row-major.
///
/// # Panics
/// If there is no density of that name.
pub fn sample(name: &str, rows: usize, seed: u64) -> Vec<f32> {
    let noise = Noise::new(seed, Purpose::Target);
    let uniforms = noise.uniform(rows, 4);
    let normals = noise.step(1).normal(rows, 2);
    let point = |u: &[f32], n: &[f32]| -> [f64; 2] {
        let [u0, u1, u2] = [f64::from(u[0]), f64::from(u[1]), f64::from(u[2])];
        let [n0, n1] = [f64::from(n[0]), f64::from(n[1])];
        match name {
            "eight-gaussians" => {
                let angle = (u0 * 8.0).floor() * PI / 4.0;
                let (radius, std) = (8f64.sqrt(), 0.5 / 2f64.sqrt());
                [radius * angle.cos() + std * n0, radius * angle.sin() + std * n1]
            }
            "checkerboard" => {
                let cell = (u0 * 8.0).floor().min(7.0);
                let (row, column) = ((cell / 2.0).floor(), cell % 2.0);
                let x = 2.0 * (2.0 * column + row % 2.0) - 4.0;
                [x + 2.0 * u1, 2.0 * row - 4.0 + 2.0 * u2]
            }
            "spirals" => {
                let t = u0.sqrt();
                let (radius, angle) = (3.0 * t, 3.0 * PI * t);
                let arm = if u1 < 0.5 { 1.0 } else { -1.0 };
                [arm * radius * angle.cos() + 0.1 * n0, arm * radius * angle.sin() + 0.1 * n1]
            }
            "moons" => {
                let angle = PI * u0;
                let (x, y) = if u1 < 0.5 {
                    (angle.cos(), angle.sin())
                } else {
                    (1.0 - angle.cos(), 0.5 - angle.sin())
                };
                [2.0 * (x - 0.5 + 0.1 * n0), 2.0 * (y - 0.25 + 0.1 * n1)]
            }
            "rings" => {
                let radius = 0.75 * ((u0 * 4.0).floor().min(3.0) + 1.0);
                let angle = 2.0 * PI * u1;
                [radius * angle.cos() + 0.06 * n0, radius * angle.sin() + 0.06 * n1]
            }
            "pinwheel" => {
                let (radial, tangential) = (1.0 + 0.3 * n0, 0.1 * n1);
                let angle = (u0 * 5.0).floor() * 2.0 * PI / 5.0 + 0.25 * radial.exp();
                let (sin, cos) = angle.sin_cos();
                [2.0 * (radial * cos - tangential * sin), 2.0 * (radial * sin + tangential * cos)]
            }
            "swiss-roll" => {
                let t = 1.5 * PI * (1.0 + 2.0 * u0);
                [t * t.cos() / 5.0 + 0.1 * n0, t * t.sin() / 5.0 + 0.1 * n1]
            }
            _ => panic!("no toy density is called {name}"),
        }
    };
    let pairs = uniforms.chunks_exact(4).zip(normals.chunks_exact(2));
    pairs.flat_map(|(u, n)| point(u, n)).map(|v| v as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_toy_stays_on_its_board() {
        for name in NAMES {
            let values = sample(name, 2000, 3);
            assert_eq!(values.len(), 4000);
            assert!(values.iter().all(|v| v.abs() < 6.0), "{name}");
        }
    }

    #[test]
    fn the_checkerboard_fills_its_eight_cells_evenly() {
        let n = 80_000;
        let mut counts = std::collections::BTreeMap::new();
        for point in sample("checkerboard", n, 1).chunks_exact(2) {
            let cell = ((point[0] / 2.0).floor() as i32, (point[1] / 2.0).floor() as i32);
            assert_eq!((cell.0 + cell.1).rem_euclid(2), 0, "{point:?}");
            *counts.entry(cell).or_insert(0usize) += 1;
        }
        assert_eq!(counts.len(), 8);
        let (p, n) = (0.125, n as f64);
        assert!(
            counts.values().all(|c| (*c as f64 - n * p).abs() < 4.5 * (n * p * (1.0 - p)).sqrt()),
            "{counts:?}"
        );
    }
}
