//! Weighted samples that are kept, and drawn in proportion to their weights (Midgley et al. 2023).
//!
//! ```text
//! draw without replacement     the largest log w_i + e_i,   e_i standard Gumbel: the first is i with probability w_i / sum w
//! ```

use crate::rng::Noise;

/// The newest weighted samples of a flow's annealing.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedBuffer {
    capacity: usize,
    columns: usize,
    points: Vec<f32>,
    log_weights: Vec<f64>,
    log_densities: Vec<f64>,
    /// Where the next one goes once there are as many as the capacity.
    next: usize,
}

impl WeightedBuffer {
    /// An empty buffer for points of `columns` numbers.
    pub fn new(capacity: usize, columns: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            capacity,
            columns,
            points: Vec::new(),
            log_weights: Vec::new(),
            log_densities: Vec::new(),
            next: 0,
        }
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.log_weights.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.log_weights.is_empty()
    }

    /// Keeps a sample with the logarithm of its weight and the flow's log-density that it was reckoned with, unless one of them is no
    /// number; the oldest gives way.
    pub fn add(&mut self, point: &[f32], log_weight: f64, log_density: f64) {
        if !log_weight.is_finite() || !log_density.is_finite() || point.iter().any(|x| !x.is_finite()) {
            return;
        }
        if self.len() < self.capacity {
            self.points.extend_from_slice(point);
            self.log_weights.push(log_weight);
            self.log_densities.push(log_density);
        } else {
            self.points[self.next * self.columns..][..self.columns].copy_from_slice(point);
            self.log_weights[self.next] = log_weight;
            self.log_densities[self.next] = log_density;
        }
        self.next = (self.next + 1) % self.capacity;
    }

    /// The places of `count` samples, or of all where there are fewer, none twice.
    pub fn draw(&self, count: usize, noise: &Noise) -> Vec<usize> {
        let uniforms = noise.uniform(self.len(), 1);
        let gumbel = |u: f32| -(-f64::from(u).max(1e-30).ln()).ln();
        let keys: Vec<f64> =
            self.log_weights.iter().zip(uniforms).map(|(log_weight, u)| log_weight + gumbel(u)).collect();
        let mut places: Vec<usize> = (0..self.len()).collect();
        let better = |a: &usize, b: &usize| keys[*b].total_cmp(&keys[*a]).then(a.cmp(b));
        if count < places.len() {
            places.select_nth_unstable_by(count, better);
            places.truncate(count);
        }
        places.sort_unstable_by(better);
        places
    }

    /// The samples at some places, `[places, columns]`.
    pub fn points(&self, places: &[usize]) -> Vec<f32> {
        let point = |place: &usize| &self.points[place * self.columns..][..self.columns];
        places.iter().flat_map(point).copied().collect()
    }

    /// The log-density that a sample's weight was reckoned with.
    pub fn log_density(&self, place: usize) -> f64 {
        self.log_densities[place]
    }

    /// Reckons a sample's weight with another log-density, by which its logarithm changes by `change`. What is no number changes nothing.
    pub fn correct(&mut self, place: usize, log_density: f64, change: f64) {
        if log_density.is_finite() && change.is_finite() {
            self.log_weights[place] += change;
            self.log_densities[place] = log_density;
        }
    }

    /// All that the buffer holds, as bytes, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [self.len(), self.next, self.columns] {
            bytes.extend((number as u64).to_le_bytes());
        }
        self.points.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        for values in [&self.log_weights, &self.log_densities] {
            values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        }
        bytes
    }

    /// Takes the contents that [`WeightedBuffer::to_bytes`] wrote.
    ///
    /// # Errors
    /// If the bytes are of another buffer.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (head, rest) = bytes.split_at_checked(24).ok_or("it ends early")?;
        let number =
            |at: usize| head.as_chunks::<8>().0.get(at).map_or(0, |word| u64::from_le_bytes(*word) as usize);
        let [len, next, columns] = [0, 1, 2].map(number);
        if columns != self.columns || len > self.capacity || next >= self.capacity {
            return Err("it is of another buffer".to_owned());
        }
        if rest.len() != len * (4 * columns + 16) {
            return Err("it has another length than it says".to_owned());
        }
        let (points, numbers) = rest.split_at(4 * len * columns);
        let numbers: Vec<f64> =
            numbers.as_chunks::<8>().0.iter().map(|word| f64::from_le_bytes(*word)).collect();
        self.points = points.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
        self.log_weights = numbers[..len].to_vec();
        self.log_densities = numbers[len..].to_vec();
        self.next = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    fn filled(capacity: usize, weights: &[f64]) -> WeightedBuffer {
        let mut buffer = WeightedBuffer::new(capacity, 2);
        for (i, weight) in weights.iter().enumerate() {
            buffer.add(&[i as f32, -(i as f32)], weight.ln(), 0.1 * i as f64);
        }
        buffer
    }

    #[test]
    fn samples_are_drawn_as_they_weigh_and_none_twice() {
        let weights = [1.0, 4.0, 0.0, 2.0, 3.0];
        let buffer = filled(10, &weights);
        assert_eq!(buffer.len(), 4, "no weight is no sample");
        let repeats = 40_000;
        let mut first = [0.0; 5];
        for seed in 0..repeats {
            let places = buffer.draw(2, &Noise::new(seed, Purpose::Data));
            assert!(places.len() == 2 && places[0] != places[1]);
            first[buffer.points(&places[..1])[0] as usize] += 1.0;
        }
        for (found, weight) in first.iter().zip(weights) {
            let share = weight / 10.0;
            let error = (share * (1.0 - share) / repeats as f64).sqrt();
            assert!((found / repeats as f64 - share).abs() <= 4.0 * error, "{first:?}");
        }
        assert_eq!(buffer.draw(9, &Noise::new(1, Purpose::Data)).len(), 4);
    }

    #[test]
    fn the_oldest_give_way_and_what_is_no_number_is_not_kept() {
        let mut buffer = filled(3, &[1.0, 1.0, 1.0, 1.0]);
        assert_eq!(buffer.points(&[0, 1, 2]), [3.0, -3.0, 1.0, -1.0, 2.0, -2.0]);
        for (weight, density) in [(f64::NAN, 0.0), (0.0, f64::NEG_INFINITY), (f64::INFINITY, 0.0)] {
            buffer.add(&[9.0, 9.0], weight, density);
        }
        buffer.add(&[f32::NAN, 0.0], 0.0, 0.0);
        assert_eq!(buffer.points(&[1]), [1.0, -1.0]);
        buffer.correct(1, f64::NAN, 1.0);
        buffer.correct(1, 7.0, f64::INFINITY);
        assert_eq!((buffer.log_density(1), buffer.log_weights[1]), (0.1, 0.0));
        buffer.correct(1, 7.0, 2.0);
        assert_eq!((buffer.log_density(1), buffer.log_weights[1]), (7.0, 2.0));
    }

    #[test]
    fn bytes_restore_the_buffer_and_foreign_ones_are_refused() {
        let buffer = filled(3, &[1.0, 2.0, 3.0, 4.0]);
        let bytes = buffer.to_bytes();
        let mut other = WeightedBuffer::new(3, 2);
        assert_eq!(other.restore(&bytes), Ok(()));
        assert_eq!(other, buffer);
        assert!(other.restore(&bytes[..bytes.len() - 1]).is_err());
        assert!(WeightedBuffer::new(2, 2).restore(&bytes).is_err());
        assert!(WeightedBuffer::new(3, 1).restore(&bytes).is_err());
        assert_eq!(other, buffer, "what is refused changes nothing");
    }
}
