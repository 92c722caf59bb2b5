//! Laws over states that are few enough to be listed.

/// The most states that are listed.
const MOST_STATES: usize = 1 << 20;

/// The states of a law, `[count, columns]`, with `log q` of each, normalised.
#[derive(Debug, Clone)]
pub struct ListedLaw {
    /// The states, the first column slowest.
    pub states: Vec<f32>,
    /// Their log-probabilities.
    pub log_q: Vec<f64>,
}

impl ListedLaw {
    /// All states of columns that have these numbers of values, the first slowest, if there are at most 2^20.
    pub fn states(sizes: &[usize]) -> Option<Vec<f32>> {
        let count = sizes.iter().try_fold(1usize, |count, size| count.checked_mul(*size))?;
        if count > MOST_STATES || count == 0 {
            return None;
        }
        let mut all = vec![0.0; count * sizes.len()];
        for (index, row) in all.chunks_exact_mut(sizes.len()).enumerate() {
            let mut rest = index;
            for (value, size) in row.iter_mut().zip(sizes).rev() {
                *value = (rest % size) as f32;
                rest /= size;
            }
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_listed_once() {
        assert_eq!(ListedLaw::states(&[2, 3]).unwrap(), [0., 0., 0., 1., 0., 2., 1., 0., 1., 1., 1., 2.]);
        assert!(ListedLaw::states(&[2; 21]).is_none() && ListedLaw::states(&[usize::MAX; 3]).is_none());
    }
}
