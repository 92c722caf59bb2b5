//! How far apart two objects are.
//!
//! ```text
//! words                    insertions, deletions and exchanges of letters (Levenshtein 1966)
//! grids, sets, multisets   sum of absolute differences of the cells
//! others                   cells that differ
//! ```

use super::Shape;
use crate::environment::Cell;

impl Shape {
    /// The distance between two objects, 0 for the same one alone.
    pub fn distance(&self, a: &[Cell], b: &[Cell]) -> usize {
        match self {
            Self::Strings { .. } => edits(a, b),
            Self::Grid { .. } | Self::Sets { .. } | Self::Multisets { .. } => {
                a.iter().zip(b).map(|(a, b)| usize::from(a.abs_diff(*b))).sum()
            }
            Self::Other { .. } => a.iter().zip(b).filter(|(a, b)| a != b).count(),
        }
    }
}

/// Levenshtein's distance between the letters of two words, whose empty slots are 0.
fn edits(a: &[Cell], b: &[Cell]) -> usize {
    let letters = |word: &[Cell]| word.iter().copied().filter(|cell| *cell > 0).collect::<Vec<Cell>>();
    let (a, b) = (letters(a), letters(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let exchange = corner + usize::from(letter != other);
            corner = row[j + 1];
            row[j + 1] = exchange.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The mean distance of all pairs of objects; 0 where there is none.
pub fn mean_distance(shape: &Shape, objects: &[&[Cell]]) -> f64 {
    let pairs = objects.len() * objects.len().saturating_sub(1) / 2;
    let of_row =
        |(i, a): (usize, &&[Cell])| -> usize { objects[i + 1..].iter().map(|b| shape.distance(a, b)).sum() };
    let sum: usize = objects.iter().enumerate().map(of_row).sum();
    sum as f64 / pairs.max(1) as f64
}

/// Places of `order`, at most `count`, of objects that are at least `least` from each other: the first that are, one after the other.
pub fn spread_out(
    shape: &Shape,
    objects: &[&[Cell]],
    order: &[usize],
    count: usize,
    least: usize,
) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    for place in order {
        if chosen.len() == count {
            break;
        }
        if chosen.iter().all(|other| shape.distance(objects[*place], objects[*other]) >= least) {
            chosen.push(*place);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        let words = Shape::Strings { letters: 9, lengths: 0..=7 };
        // kitten and sitting, abc and bc.
        assert_eq!(words.distance(&[1, 2, 3, 3, 4, 5, 0], &[6, 2, 3, 3, 2, 5, 7]), 3);
        assert_eq!(words.distance(&[1, 2, 3, 0, 0, 0, 0], &[2, 3, 0, 0, 0, 0, 0]), 1);
        assert_eq!(words.distance(&[0; 7], &[1, 1, 0, 0, 0, 0, 0]), 2);
        assert_eq!(Shape::Grid { dim: 2, side: 9 }.distance(&[1, 8], &[4, 0]), 11);
        assert_eq!(Shape::Other { cells: 3 }.distance(&[1, 8, 2], &[4, 8, 9]), 2);
    }

    /// No two that are chosen are nearer than the least distance, and whatever is left out is near to a better one.
    #[test]
    fn what_is_spread_out_is_the_best_of_its_neighbourhood() {
        let shape = Shape::Grid { dim: 1, side: 40 };
        let cells: Vec<[Cell; 1]> = (0..40).map(|i| [i * 7 % 40]).collect();
        let objects: Vec<&[Cell]> = cells.iter().map(|cell| &cell[..]).collect();
        let order: Vec<usize> = (0..40).collect();
        let chosen = spread_out(&shape, &objects, &order, 100, 3);
        for place in &order {
            let near = |other: &&usize| shape.distance(objects[*place], objects[**other]) < 3;
            let nearest: Vec<&usize> = chosen.iter().filter(near).collect();
            match chosen.contains(place) {
                true => assert_eq!(nearest, [place]),
                false => assert!(nearest.iter().any(|other| *other < place), "{place}"),
            }
        }
        assert_eq!(spread_out(&shape, &objects, &order, 4, 3), chosen[..4]);
        assert_eq!(mean_distance(&shape, &[&[1], &[4], &[5]]), (3.0 + 4.0 + 1.0) / 3.0);
    }
}
