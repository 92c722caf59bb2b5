//! How far apart objects are, and choosing some that are far from each other.

use super::{Cell, Environment};

/// The sum of absolute differences of the cells.
pub(super) fn differences(a: &[Cell], b: &[Cell]) -> usize {
    a.iter().zip(b).map(|(a, b)| usize::from(a.abs_diff(*b))).sum()
}

/// The fewest insertions, deletions and exchanges of letters between two words, whose empty slots are 0 (Levenshtein 1966).
pub(super) fn edits(a: &[Cell], b: &[Cell]) -> usize {
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
pub fn mean_distance(environment: &dyn Environment, objects: &[&[Cell]]) -> f64 {
    let pairs = objects.len() * objects.len().saturating_sub(1) / 2;
    let of_row = |(i, a): (usize, &&[Cell])| -> usize {
        objects[i + 1..].iter().map(|b| environment.distance(a, b)).sum()
    };
    let sum: usize = objects.iter().enumerate().map(of_row).sum();
    sum as f64 / pairs.max(1) as f64
}

/// Places of `order`, at most `count`, of objects that are at least `least` from each other: one after the other, each that is.
pub fn spread_out(
    environment: &dyn Environment,
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
        if chosen.iter().all(|other| environment.distance(objects[*place], objects[*other]) >= least) {
            chosen.push(*place);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Growth, Hypergrid, Permutations, Strings};

    #[test]
    fn distances_by_hand() {
        let words = Strings::of_chars("abcdefghi", 0..=7, Growth::Append).unwrap();
        // kitten and sitting, abc and bc.
        assert_eq!(words.distance(&[1, 2, 3, 3, 4, 5, 0], &[6, 2, 3, 3, 2, 5, 7]), 3);
        assert_eq!(words.distance(&[1, 2, 3, 0, 0, 0, 0], &[2, 3, 0, 0, 0, 0, 0]), 1);
        assert_eq!(words.distance(&[0; 7], &[1, 1, 0, 0, 0, 0, 0]), 2);
        assert_eq!(Hypergrid::new(2, 9).unwrap().distance(&[1, 8], &[4, 0]), 11);
        assert_eq!(Permutations::new(3).unwrap().distance(&[1, 3, 2], &[2, 3, 1]), 2);
    }

    /// No two that are chosen are nearer than the least distance, and whatever is left out is near to a better one.
    #[test]
    fn what_is_spread_out_is_the_best_of_its_neighbourhood() {
        let line = Hypergrid::new(1, 40).unwrap();
        let cells: Vec<[Cell; 1]> = (0..40).map(|i| [i * 7 % 40]).collect();
        let objects: Vec<&[Cell]> = cells.iter().map(|cell| &cell[..]).collect();
        let order: Vec<usize> = (0..40).collect();
        let chosen = spread_out(&line, &objects, &order, 100, 3);
        for place in &order {
            let near = |other: &&usize| line.distance(objects[*place], objects[**other]) < 3;
            let nearest: Vec<&usize> = chosen.iter().filter(near).collect();
            match chosen.contains(place) {
                true => assert_eq!(nearest, [place]),
                false => assert!(nearest.iter().any(|other| *other < place), "{place}"),
            }
        }
        assert_eq!(spread_out(&line, &objects, &order, 4, 3), chosen[..4]);
        assert_eq!(mean_distance(&line, &[&[1], &[4], &[5]]), (3.0 + 4.0 + 1.0) / 3.0);
    }
}
