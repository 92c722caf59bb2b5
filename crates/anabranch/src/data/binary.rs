//! Binary data of grey values: by a threshold, or drawn by their chances.
//!
//! ```text
//! threshold    x = [v >= threshold]
//! dynamic      x ~ Bernoulli(v / white), afresh whenever a row is learned from; once of all other rows
//! ```
//!
//! Salakhutdinov and Murray, "On the quantitative analysis of deep belief networks" (2008), section 5, for the second.

use super::Table;
use crate::error::{Problem, Result};
use crate::rng::{Noise, Purpose};

/// How grey values become 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Binary {
    /// What is at least this is 1.
    Threshold(f32),
    /// 1 with the chance value / white.
    Dynamic(f32),
}

impl Binary {
    /// The chances of a 1, in the order of the values, where they are drawn.
    ///
    /// # Errors
    /// If a value is no chance.
    pub fn chances(self, place: &str, table: &Table) -> Result<Option<Vec<f32>>> {
        let Self::Dynamic(white) = self else { return Ok(None) };
        let chances: Vec<f32> = table.values.iter().map(|value| value / white).collect();
        let Some(at) = chances.iter().position(|chance| !(0.0..=1.0).contains(chance)) else {
            return Ok(Some(chances));
        };
        let (row, label) = (at / table.columns + 1, &table.labels[at % table.columns]);
        Err(Problem::new(format!("{place}, row {row}, {label}"), table.values[at].to_string())
            .allowed(format!("a value from 0 to {white} (target.dynamic)"))
            .into())
    }

    /// Makes a table binary: of chances, by one draw that depends on the row's number alone.
    ///
    /// # Errors
    /// If a value is no chance.
    pub fn apply(self, place: &str, table: &mut Table) -> Result<()> {
        match (self, self.chances(place, table)?) {
            (Self::Threshold(threshold), _) => {
                table.values.iter_mut().for_each(|value| *value = f32::from(u8::from(*value >= threshold)));
            }
            (Self::Dynamic(_), chances) => {
                let noise = Noise::new(0, Purpose::Binary);
                table.values = drawn(&chances.unwrap_or_default(), table.columns, &noise);
            }
        }
        Ok(())
    }
}

/// Rows of 0 and 1, drawn by their chances, `[rows, columns]`.
pub fn drawn(chances: &[f32], columns: usize, noise: &Noise) -> Vec<f32> {
    let uniform = noise.uniform(chances.len() / columns.max(1), columns);
    uniform.iter().zip(chances).map(|(u, chance)| f32::from(u8::from(u < chance))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greys_become_binary_by_their_chances() {
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let table =
            Table { columns: 3, values: [0.0, 51.0, 255.0].repeat(4000), labels, alphabets: Vec::new() };
        let made = |binary: Binary| {
            let mut made = table.clone();
            binary.apply("t", &mut made).unwrap();
            made.values
        };
        assert_eq!(made(Binary::Threshold(51.0))[..3], [0.0, 1.0, 1.0]);
        let values = made(Binary::Dynamic(255.0));
        assert_eq!(values, made(Binary::Dynamic(255.0)));
        let share = |column: usize| values.iter().skip(column).step_by(3).sum::<f32>() / 4000.0;
        assert_eq!([share(0), share(2)], [0.0, 1.0]);
        // Four standard errors of 4000 draws.
        assert!((share(1) - 0.2).abs() < 4.0 * (0.16f32 / 4000.0).sqrt(), "{}", share(1));
        let message = Binary::Dynamic(100.0).apply("t.csv", &mut table.clone()).unwrap_err().to_string();
        assert_eq!(message, "t.csv, row 1, c: found 255; allowed: a value from 0 to 100 (target.dynamic)");
    }
}
