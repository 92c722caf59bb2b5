//! Replay: objects found before, from which trajectories are walked backward again.
//!
//! An object is kept with its log-reward and its condition; its trajectory is not, since `P_B` draws another one. What is
//! kept and what is drawn is a matter of the kind:
//!
//! ```text
//! uniform       the last `capacity` objects, all alike
//! prioritised   the same, a share of the draws being from those with the highest rewards (Shen et al. 2023)
//! diverse       those with the highest rewards of which no two are closer than a distance (Vemgal et al. 2023)
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Number;
use crate::rng::Noise;

/// What is kept and what is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ReplayKind {
    /// The newest objects, all alike.
    Uniform {},
    /// The newest objects, some of the draws being from the best of them.
    Prioritised {
        /// The share of draws that are from the best objects.
        #[serde(default = "half")]
        #[schemars(range(min = 0.0, max = 1.0))]
        share: f64,
        /// The share of objects that count as best.
        #[serde(default = "tenth")]
        #[schemars(range(min = 0.0, max = 1.0))]
        best: f64,
    },
    /// The best objects that keep a distance from each other.
    Diverse {
        /// The least sum of absolute differences of two objects' cells.
        #[schemars(range(min = 0.0))]
        distance: f64,
    },
}

fn half() -> f64 {
    0.5
}

fn tenth() -> f64 {
    0.1
}

/// Objects with their log-rewards and conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay<C> {
    kind: ReplayKind,
    capacity: usize,
    cells: usize,
    width: usize,
    objects: Vec<C>,
    conditions: Vec<f32>,
    log_rewards: Vec<f64>,
    /// Where the next one goes once there are as many as the capacity.
    next: usize,
}

impl<C: Number> Replay<C> {
    /// An empty buffer for objects of `cells` numbers with conditions of `width`.
    pub fn new(kind: ReplayKind, capacity: usize, cells: usize, width: usize) -> Self {
        Self {
            kind,
            capacity: capacity.max(1),
            cells,
            width,
            objects: Vec::new(),
            conditions: Vec::new(),
            log_rewards: Vec::new(),
            next: 0,
        }
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.log_rewards.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.log_rewards.is_empty()
    }

    fn object(&self, place: usize) -> &[C] {
        &self.objects[place * self.cells..][..self.cells]
    }

    fn distance(&self, place: usize, object: &[C]) -> f64 {
        self.object(place).iter().zip(object).map(|(a, b)| (a.number() - b.number()).abs()).sum()
    }

    /// Offers an object; whether it is kept is the kind's matter.
    pub fn add(&mut self, object: &[C], condition: &[f32], log_reward: f64) {
        let place = match self.kind {
            ReplayKind::Uniform {} | ReplayKind::Prioritised { .. } => {
                let place = self.next;
                self.next = (self.next + 1) % self.capacity;
                place
            }
            ReplayKind::Diverse { distance } => {
                let mut near = (0..self.len()).filter(|place| self.distance(*place, object) < distance);
                if let Some(place) = near.next() {
                    // A better one takes the place of the only one that is near.
                    if near.next().is_some() || self.log_rewards[place] >= log_reward {
                        return;
                    }
                    place
                } else if self.len() < self.capacity {
                    self.len()
                } else {
                    let worst =
                        (0..self.len()).min_by(|a, b| self.log_rewards[*a].total_cmp(&self.log_rewards[*b]));
                    match worst {
                        Some(place) if self.log_rewards[place] < log_reward => place,
                        _ => return,
                    }
                }
            }
        };
        if place == self.len() {
            self.objects.extend_from_slice(object);
            self.conditions.extend_from_slice(condition);
            self.log_rewards.push(log_reward);
        } else {
            self.objects[place * self.cells..][..self.cells].copy_from_slice(object);
            self.conditions[place * self.width..][..self.width].copy_from_slice(condition);
            self.log_rewards[place] = log_reward;
        }
    }

    /// Draws `count` objects with replacement, each with its condition and log-reward; none from an empty buffer.
    pub fn draw(&self, count: usize, noise: &Noise, out: &mut Drawn<C>) {
        out.clear();
        if self.is_empty() {
            return;
        }
        let (share, best) = match self.kind {
            ReplayKind::Prioritised { share, best } => {
                let mut order: Vec<u32> = (0..self.len() as u32).collect();
                let most = ((best * self.len() as f64).ceil() as usize).clamp(1, self.len());
                let better = |a: &u32, b: &u32| {
                    self.log_rewards[*b as usize].total_cmp(&self.log_rewards[*a as usize]).then(a.cmp(b))
                };
                order.select_nth_unstable_by(most - 1, better);
                order.truncate(most);
                order.sort_unstable();
                (share, order)
            }
            _ => (0.0, Vec::new()),
        };
        let from_best = (share * count as f64).round() as usize;
        for i in 0..count {
            let place = match i < from_best {
                true => best[noise.below(i, best.len())] as usize,
                false => noise.below(i, self.len()),
            };
            out.objects.extend_from_slice(self.object(place));
            out.conditions.extend_from_slice(&self.conditions[place * self.width..][..self.width]);
            out.log_rewards.push(self.log_rewards[place]);
        }
    }

    /// All that the buffer holds, as bytes, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [self.len(), self.next, self.cells, self.width] {
            bytes.extend((number as u64).to_le_bytes());
        }
        self.objects.iter().for_each(|cell| bytes.extend(cell.to_word().to_le_bytes()));
        self.conditions.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        self.log_rewards.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        bytes
    }

    /// Takes the contents that [`Replay::to_bytes`] wrote.
    ///
    /// # Errors
    /// If the bytes are of another buffer.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (head, rest) = bytes.split_at_checked(32).ok_or("it ends early")?;
        let number =
            |at: usize| head.as_chunks::<8>().0.get(at).map_or(0, |word| u64::from_le_bytes(*word) as usize);
        let [len, next, cells, width] = [0, 1, 2, 3].map(number);
        if cells != self.cells || width != self.width || len > self.capacity || next >= self.capacity {
            return Err("it is of another replay buffer".to_owned());
        }
        let middle = len * (cells + width) * 4;
        if rest.len() != middle + len * 8 {
            return Err("it has another length than it says".to_owned());
        }
        let (words, rewards) = rest.split_at(middle);
        let words: Vec<u32> = words.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let (objects, conditions) = words.split_at(len * cells);
        self.objects = objects.iter().map(|word| C::from_word(*word)).collect();
        self.conditions = conditions.iter().map(|word| f32::from_bits(*word)).collect();
        self.log_rewards = rewards.as_chunks::<8>().0.iter().map(|word| f64::from_le_bytes(*word)).collect();
        self.next = next;
        Ok(())
    }
}

/// Objects drawn from somewhere, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Drawn<C> {
    /// `[count, cells]`.
    pub objects: Vec<C>,
    /// `[count, width]`, or empty.
    pub conditions: Vec<f32>,
    /// `[count]`, nats.
    pub log_rewards: Vec<f64>,
}

impl<C> Drawn<C> {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.objects.clear();
        self.conditions.clear();
        self.log_rewards.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    fn filled(kind: ReplayKind, capacity: usize, count: u16) -> Replay<u16> {
        let mut replay = Replay::new(kind, capacity, 2, 1);
        (0..count).for_each(|i| replay.add(&[i, i * 7 % 5], &[f32::from(i)], f64::from(i * 37 % 101)));
        replay
    }

    #[test]
    fn the_newest_are_kept_and_drawn_alike() {
        let replay = filled(ReplayKind::Uniform {}, 10, 25);
        let mut firsts: Vec<u16> = (0..10).map(|place| replay.object(place)[0]).collect();
        firsts.sort_unstable();
        assert_eq!(firsts, (15..25).collect::<Vec<u16>>());
        let mut drawn = Drawn::default();
        replay.draw(20_000, &Noise::new(1, Purpose::Data), &mut drawn);
        for (object, (condition, log_reward)) in
            drawn.objects.chunks(2).zip(drawn.conditions.iter().zip(&drawn.log_rewards))
        {
            assert_eq!(*condition, f32::from(object[0]));
            assert_eq!(*log_reward, f64::from(object[0] * 37 % 101));
        }
        for first in 15..25 {
            let found = drawn.objects.chunks(2).filter(|object| object[0] == first).count() as f64;
            assert!((found - 2000.0).abs() < 5.0 * (20_000.0f64 * 0.1 * 0.9).sqrt(), "{first}: {found}");
        }
    }

    #[test]
    fn a_share_of_the_draws_is_from_the_best() {
        let replay = filled(ReplayKind::Prioritised { share: 0.5, best: 0.1 }, 100, 100);
        let mut drawn = Drawn::default();
        replay.draw(1000, &Noise::new(2, Purpose::Data), &mut drawn);
        let mut sorted = replay.log_rewards.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(drawn.log_rewards[..500].iter().all(|r| *r >= sorted[90]));
        assert!(drawn.log_rewards[500..].iter().any(|r| *r < sorted[50]));
    }

    #[test]
    fn diverse_objects_keep_their_distance_and_the_best_stay() {
        let replay = filled(ReplayKind::Diverse { distance: 3.0 }, 6, 60);
        for a in 0..replay.len() {
            for b in 0..a {
                assert!(replay.distance(a, replay.object(b)) >= 3.0, "{a} and {b}");
            }
        }
        assert_eq!(replay.len(), 6);
        let mut replay = Replay::new(ReplayKind::Diverse { distance: 2.0 }, 2, 1, 0);
        for (object, log_reward) in [(0u16, 1.0), (1, 3.0), (5, 2.0), (9, 0.0), (9, 4.0)] {
            replay.add(&[object], &[], log_reward);
        }
        assert_eq!((replay.objects.clone(), replay.log_rewards.clone()), (vec![1, 9], vec![3.0, 4.0]));
    }

    #[test]
    fn bytes_restore_the_buffer_and_foreign_ones_are_refused() {
        let kind = ReplayKind::Uniform {};
        let replay = filled(kind, 10, 14);
        let bytes = replay.to_bytes();
        let mut other = Replay::new(kind, 10, 2, 1);
        assert_eq!(other.restore(&bytes), Ok(()));
        assert_eq!(other, replay);
        assert!(other.restore(&bytes[..bytes.len() - 1]).is_err());
        assert!(other.restore(&[]).is_err());
        assert!(Replay::<u16>::new(kind, 9, 2, 1).restore(&bytes).is_err());
        assert!(Replay::<u16>::new(kind, 10, 3, 1).restore(&bytes).is_err());
        assert_eq!(other, replay, "what is refused changes nothing");
    }
}
