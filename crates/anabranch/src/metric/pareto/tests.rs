//! Published values, inclusion and exclusion, counted cells, Monte Carlo.

use super::*;
use crate::math::Estimate;
use crate::rng::{Noise, Purpose};

fn front(rows: &[&[f64]]) -> Front {
    Front::new(rows.concat(), rows[0].len()).unwrap()
}

fn uniforms(seed: u64, points: usize, objectives: usize) -> Vec<f64> {
    Noise::new(seed, Purpose::Target).uniform(points, objectives).into_iter().map(f64::from).collect()
}

/// `sum over subsets B of (-1)^(|B| + 1) vol(intersection of the boxes of B)`.
fn by_inclusion_and_exclusion(points: &Front, reference: &[f64]) -> f64 {
    let points: Vec<&[f64]> = points.points().collect();
    let term = |subset: u32| {
        let members = (0..points.len()).filter(|i| subset >> i & 1 == 1);
        let corner = members.fold(vec![f64::INFINITY; reference.len()], |corner, i| {
            corner.iter().zip(points[i]).map(|(a, b)| a.min(*b)).collect()
        });
        let sides = corner.iter().zip(reference).map(|(a, r)| (a - r).max(0.0));
        sides.product::<f64>() * if subset.count_ones() % 2 == 1 { 1.0 } else { -1.0 }
    };
    (1..1 << points.len()).map(term).sum()
}

#[test]
fn the_published_example_has_volume_52() {
    let points = front(&[&[1.0, 0.2], &[0.6, 0.6], &[0.2, 1.0], &[0.5, 0.5]]);
    assert_eq!(points.non_dominated(), [0, 1, 2]);
    assert!((points.hypervolume(&[0.0, 0.0]).unwrap() - 0.52).abs() < 1e-15);
    assert!((points.pareto().hypervolume(&[0.0, 0.0]).unwrap() - 0.52).abs() < 1e-15);
    // From another corner: (.8 - 0) x .1 + ..., only what lies above it counts.
    let shifted = points.hypervolume(&[0.4, 0.1]).unwrap();
    assert!((shifted - (0.2 * 0.5 + 0.4 * 0.1)).abs() < 1e-15, "{shifted}");
    assert_eq!(points.hypervolume(&[1.0, 0.0]).unwrap(), 0.0);
    assert_eq!(front(&[&[3.0], &[-1.0], &[2.0]]).hypervolume(&[-2.0]).unwrap(), 5.0);
}

#[test]
fn dominance_is_strict_and_equal_points_count_once() {
    let points = front(&[
        &[0.0, 5.0, 1.0],
        &[2.0, 2.0, 2.0],
        &[2.0, 2.0, 2.0],
        &[2.0, 2.0, 1.0],
        &[-0.0, 5.0, 1.0],
        &[9.0, -1.0, 0.0],
        &[0.0, 5.0, 0.0],
    ]);
    assert_eq!(points.non_dominated(), [0, 1, 5]);
    assert!(Front::new(vec![], 2).unwrap().non_dominated().is_empty());
    assert_eq!(Front::new(vec![], 2).unwrap().hypervolume(&[0.0, 0.0]).unwrap(), 0.0);
}

/// Awkward sets: points beyond the reference point in some coordinates, dominated ones, duplicates, ties.
#[test]
fn volumes_agree_with_inclusion_and_exclusion() {
    for objectives in 1..=6 {
        for seed in 0..20 {
            let mut values = uniforms(seed, 9, objectives);
            // Coarse numbers give ties in half of the cases.
            if seed % 2 == 0 {
                values.iter_mut().for_each(|value| *value = (*value * 4.0).round() / 4.0);
            }
            let first = values[..objectives].to_vec();
            values.extend(first);
            let points = Front::new(values, objectives).unwrap();
            let reference: Vec<f64> = (0..objectives).map(|k| 0.3 - 0.1 * k as f64).collect();
            let found = points.hypervolume(&reference).unwrap();
            let expected = by_inclusion_and_exclusion(&points, &reference);
            assert!((found - expected).abs() < 1e-12, "{objectives} {seed}: {found} and {expected}");
            assert!((points.pareto().hypervolume(&reference).unwrap() - found).abs() < 1e-13);
        }
    }
}

/// Whole coordinates: the volume is a count of unit cells.
#[test]
fn volumes_of_whole_numbers_count_cells() {
    for (objectives, side) in [(2, 30i32), (3, 12), (4, 7)] {
        let values: Vec<f64> =
            uniforms(7, 60, objectives).iter().map(|u| (u * f64::from(side)).floor()).collect();
        let points = Front::new(values, objectives).unwrap();
        let covered = |cell: i32| {
            let corner: Vec<f64> =
                (0..objectives).map(|k| f64::from(cell / side.pow(k as u32) % side) + 1.0).collect();
            points.points().any(|point| covers(point, &corner))
        };
        let cells = (0..side.pow(objectives as u32)).filter(|cell| covered(*cell)).count();
        assert_eq!(points.hypervolume(&vec![0.0; objectives]).unwrap(), cells as f64);
        assert!(cells > 100);
    }
}

/// Fronts on a sphere, where every point counts: random points of the cube are in the union as often as its volume says.
#[test]
fn volumes_of_large_fronts_agree_with_monte_carlo() {
    for (objectives, count) in [(3, 200), (4, 60), (5, 30)] {
        let normals = Noise::new(3, Purpose::Target).normal(count, objectives);
        let mut values: Vec<f64> = normals.iter().map(|z| f64::from(z.abs())).collect();
        for row in values.chunks_exact_mut(objectives) {
            let norm = row.iter().map(|value| value * value).sum::<f64>().sqrt();
            row.iter_mut().for_each(|value| *value /= norm);
        }
        let points = Front::new(values, objectives).unwrap();
        assert_eq!(points.non_dominated().len(), count);
        let draws = uniforms(5, 40_000, objectives);
        let inside: Vec<f64> = draws
            .chunks_exact(objectives)
            .map(|draw| f64::from(u8::from(points.points().any(|point| covers(point, draw)))))
            .collect();
        let (found, estimate) =
            (points.hypervolume(&vec![0.0; objectives]).unwrap(), Estimate::mean(&inside));
        assert!((found - estimate.value).abs() < 4.0 * estimate.error, "{objectives}: {found} {estimate:?}");
    }
}

#[test]
fn distances_to_the_front_by_hand() {
    let reference = front(&[&[0.0, 4.0], &[3.0, 3.0], &[4.0, 0.0]]);
    let points = front(&[&[0.0, 1.0], &[3.0, 4.0]]);
    // Nearest: (0, 4) is 3 from both (9 against 9), (3, 3) is 1 from (3, 4), (4, 0) is sqrt(17) from both.
    assert!((points.igd(&reference).unwrap() - (3.0 + 1.0 + 17f64.sqrt()) / 3.0).abs() < 1e-15);
    // (3, 4) has all of (0, 4) and (3, 3), and lacks 1 of (4, 0).
    assert!((points.igd_plus(&reference).unwrap() - 1.0 / 3.0).abs() < 1e-15);
    assert_eq!((reference.igd(&reference).unwrap(), reference.igd_plus(&reference).unwrap()), (0.0, 0.0));
}

#[test]
fn r2_by_hand() {
    let points = front(&[&[1.0, 0.25], &[0.5, 0.5], &[0.0, 1.0]]);
    let weights = front(&[&[1.0, 0.0], &[0.5, 0.5], &[0.0, 1.0], &[0.25, 0.75]]);
    // Utilities 0; .25 of (.5, .5); 0; min(.5625, .375, .25).
    let found = points.r2(&weights, &[1.0, 1.0]).unwrap();
    assert!((found - (0.0 + 0.25 + 0.0 + 0.25) / 4.0).abs() < 1e-15);
    // A better set has a smaller value, an ideal one 0.
    assert_eq!(front(&[&[1.0, 1.0]]).r2(&weights, &[1.0, 1.0]).unwrap(), 0.0);
}

#[test]
fn the_entropy_of_clusters_by_hand() {
    let reference = front(&[&[0.0, 1.0], &[0.75, 0.75], &[1.0, 0.0]]);
    let points = front(&[&[0.1, 0.9], &[0.6, 0.7], &[0.0, 0.2], &[0.0, 0.0]]);
    // (0, 0) is as near to the first as to the last: 3 of 4 to the first, 1 to the second.
    let expected = -(0.75 * 0.75f64.ln() + 0.25 * 0.25f64.ln());
    assert!((points.pareto_cluster_entropy(&reference).unwrap() - expected).abs() < 1e-15);
    assert!((reference.pareto_cluster_entropy(&reference).unwrap() - 3f64.ln()).abs() < 1e-15);
    assert_eq!(front(&[&[0.0, 3.0]]).pareto_cluster_entropy(&reference).unwrap().to_bits(), 0);
}

#[test]
fn wrong_shapes_are_refused() {
    assert!(Front::new(vec![1.0; 5], 2).unwrap_err().is_input());
    assert!(Front::new(vec![], 0).unwrap_err().is_input());
    assert!(Front::new(vec![1.0, f64::NAN], 2).unwrap_err().to_string().contains("objective 1 of point 0"));
    let (points, other) = (front(&[&[1.0, 2.0]]), front(&[&[1.0, 2.0, 3.0]]));
    let none = Front::new(vec![], 2).unwrap();
    assert!(points.hypervolume(&[0.0]).unwrap_err().is_input());
    assert!(points.hypervolume(&[0.0, f64::INFINITY]).unwrap_err().is_input());
    assert!(points.igd(&other).unwrap_err().is_input() && points.igd(&none).unwrap_err().is_input());
    assert!(none.igd_plus(&points).unwrap_err().is_input());
    assert!(points.pareto_cluster_entropy(&none).unwrap_err().is_input());
    assert!(points.r2(&points, &[1.0]).unwrap_err().is_input());
    assert!(points.r2(&front(&[&[0.5, -0.5]]), &[1.0, 1.0]).unwrap_err().is_input());
}
