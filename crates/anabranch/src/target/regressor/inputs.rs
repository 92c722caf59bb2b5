//! What a regressor reads of an object.
//!
//! ```text
//! one binary feature for each pair (cell, value) that the table has
//! words        and the shares of letters and of pairs of neighbours, and the length
//! grids        and each coordinate on [-1, 1]
//! multisets    and each count over the largest total
//! ```

use crate::environment::Cell;
use crate::network::taped;
use crate::target::Shape;
use crate::target::classifier::Features;

/// The most letters of which pairs of neighbours are counted.
const LETTERS: usize = 64;

/// How objects become inputs of a network.
#[derive(Debug, Clone)]
pub(super) struct Inputs {
    /// The values of each cell that the table has, ascending.
    values: Vec<Vec<Cell>>,
    /// The number of each cell's first feature, and that of all.
    first: Vec<u32>,
    dense: Dense,
}

#[derive(Debug, Clone)]
enum Dense {
    None,
    Words(Features),
    /// `(x - centre) scale` of every cell.
    Scaled {
        centre: f32,
        scale: f32,
    },
}

impl Inputs {
    /// For the objects `[count, cells]` of a table.
    pub fn new(objects: &[Cell], shape: &Shape) -> Self {
        let cells = shape.cells();
        let values = (0..cells).map(|cell| {
            let mut found: Vec<Cell> = objects.iter().skip(cell).step_by(cells).copied().collect();
            found.sort_unstable();
            found.dedup();
            found
        });
        let values: Vec<Vec<Cell>> = values.collect();
        let mut first = vec![0];
        values.iter().for_each(|values| first.push(first[first.len() - 1] + values.len() as u32));
        let dense = match shape {
            Shape::Strings { letters, lengths } if *letters <= LETTERS => {
                Dense::Words(Features { letters: *letters, slots: *lengths.end() })
            }
            Shape::Grid { side, .. } => {
                let half = (*side as f32 - 1.0).max(1.0) / 2.0;
                Dense::Scaled { centre: half, scale: half.recip() }
            }
            Shape::Multisets { totals, .. } => {
                Dense::Scaled { centre: 0.0, scale: (*totals.end() as f32).max(1.0).recip() }
            }
            _ => Dense::None,
        };
        Self { values, first, dense }
    }

    /// How many numbers a network reads.
    pub fn count(&self) -> taped::Inputs {
        let dense = match &self.dense {
            Dense::None => 0,
            Dense::Words(features) => features.count(),
            Dense::Scaled { .. } => self.values.len(),
        };
        taped::Inputs { features: self.first[self.values.len()] as usize, dense }
    }

    /// Appends the features of an object that are on, and its real inputs.
    pub fn of(&self, object: &[Cell], on: &mut Vec<u32>, dense: &mut Vec<f32>) {
        for ((value, values), first) in object.iter().zip(&self.values).zip(&self.first) {
            // A value that the table has not says nothing.
            on.extend(values.binary_search(value).ok().map(|place| first + place as u32));
        }
        match &self.dense {
            Dense::None => {}
            Dense::Words(features) => features.of_cells(object, dense),
            Dense::Scaled { centre, scale } => {
                dense.extend(object.iter().map(|cell| (f32::from(*cell) - centre) * scale));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_become_features_and_numbers() {
        let shape = Shape::Grid { dim: 2, side: 5 };
        let inputs = Inputs::new(&[0, 4, 2, 4, 3, 1], &shape);
        assert_eq!(inputs.count(), taped::Inputs { features: 5, dense: 2 });
        let (mut on, mut dense) = (Vec::new(), Vec::new());
        inputs.of(&[2, 1], &mut on, &mut dense);
        assert_eq!((on.as_slice(), dense.as_slice()), (&[1, 3][..], &[0.0, -0.5][..]));
        // The value 1 is nowhere in the first cell.
        on.clear();
        inputs.of(&[1, 4], &mut on, &mut dense);
        assert_eq!(on, [4]);
    }
}
