//! The volume of a union of boxes that have one corner at the origin.
//!
//! ```text
//! d = 2    a sweep along the first coordinate
//! d > 2    points a_1, a_2, ... with falling last coordinate z:
//!          vol(A) = sum_i z_i [ prod_k a_ik - vol({ min(a_j, a_i) : j < i }) ]      both in the first d - 1 coordinates
//! ```
//!
//! What `a_i` adds to those above it is its box less what of it they cover. Limiting them to that box leaves most of them
//! dominated, and these are dropped first. The worst case is exponential in d, as for every exact algorithm known.
//!
//! While, Bradstreet and Barone, "A fast way of calculating exact hypervolumes" (2012), the WFG algorithm, slicing by the
//! last objective.

use super::{covers, descending};

/// The volume of the union of the boxes `[0, a]`, coordinates above 0, of `dimension` each.
pub(super) fn volume(mut points: Vec<Vec<f64>>, dimension: usize) -> f64 {
    match dimension {
        1 => points.iter().map(|point| point[0]).fold(0.0, f64::max),
        2 => {
            points.sort_by(|a, b| descending(a, b));
            let mut reached = 0.0;
            let rise = |point: &Vec<f64>| {
                let rise = f64::max(point[1] - reached, 0.0);
                reached += rise;
                rise * point[0]
            };
            points.iter().map(rise).sum()
        }
        _ => {
            let rest = dimension - 1;
            points.sort_by(|a, b| b[rest].total_cmp(&a[rest]));
            let added = |(i, point): (usize, &Vec<f64>)| {
                let limited = points[..i]
                    .iter()
                    .map(|above| above[..rest].iter().zip(point).map(|(a, b)| a.min(*b)).collect());
                let own: f64 = point[..rest].iter().product();
                point[rest] * (own - volume(maximal(limited.collect()), rest))
            };
            points.iter().enumerate().map(added).sum()
        }
    }
}

/// The points that no other covers.
fn maximal(mut points: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    points.sort_by(|a, b| descending(a, b));
    let mut kept: Vec<Vec<f64>> = Vec::new();
    for point in points {
        if !kept.iter().any(|other| covers(other, &point)) {
            kept.push(point);
        }
    }
    kept
}
