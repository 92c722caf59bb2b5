//! Energies of pairs: Ising and Potts models with learned couplings and fields.
//!
//! ```text
//! Ising   log R(x) = sum_{(i,j)} K_ij s_i s_j + sum_i h_i s_i,        s = 2 x - 1
//! Potts   log R(x) = sum_{(i,j)} K_ij [x_i = x_j] + sum_i h_i(x_i)
//! ```
//!
//! each pair counted once. As `s_i s_j = 2 [x_i = x_j] - 1`, an Ising model is a Potts model of two values but for a constant. Where a text
//! counts pairs twice, `log R = s^T J s + h^T s`, `J_ij = K_ij / 2` (Zhang et al. 2022, section 5.2).

use std::sync::Arc;

use super::listed::Listed;
use super::strip::{MOST_ROWS, Strip};
use super::{Energy, ExactLaw, Family, Independent};
use crate::array::weights::{Slot, layout};
use crate::kernel::discrete_mcmc::{CategoricalDensity, SpinScan, sweep};
use crate::rng::{Noise, Stream};

/// Which pairs have a coupling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// All of them.
    All,
    /// Neighbours on a torus of this height and width, each at least 3: of site `i` the one to its right, then the one below.
    Torus(usize, usize),
}

impl Pairs {
    /// The pairs of so many sites.
    pub fn list(self, sites: usize) -> Vec<[u32; 2]> {
        match self {
            Self::All => (0..sites as u32).flat_map(|i| (i + 1..sites as u32).map(move |j| [i, j])).collect(),
            Self::Torus(height, width) => {
                let site = |y: usize, x: usize| (y % height * width + x % width) as u32;
                let of = |i: usize| {
                    let (y, x) = (i / width, i % width);
                    [[site(y, x), site(y, x + 1)], [site(y, x), site(y + 1, x)]]
                };
                (0..height * width).flat_map(of).collect()
            }
        }
    }
}

/// Energies of pairs.
#[derive(Debug, Clone)]
pub struct Pairwise {
    base: Independent,
    pairs: Pairs,
    list: Arc<[[u32; 2]]>,
    spins: bool,
    /// Neighbours of each site with the number of their pair; those of site `i` at `starts[i]..starts[i + 1]`.
    neighbours: Arc<[(u32, u32)]>,
    starts: Arc<[usize]>,
}

impl Pairwise {
    /// An Ising model of bits.
    ///
    /// # Panics
    /// If the base is not one of bits, or of as many sites as the torus.
    pub fn ising(base: Independent, pairs: Pairs) -> Self {
        assert_eq!(base.values(), 2, "spins have two values");
        Self::new(base, pairs, true)
    }

    /// A Potts model.
    ///
    /// # Panics
    /// If the base is not one of as many sites as the torus.
    pub fn potts(base: Independent, pairs: Pairs) -> Self {
        Self::new(base, pairs, false)
    }

    fn new(base: Independent, pairs: Pairs, spins: bool) -> Self {
        let sites = base.sites();
        if let Pairs::Torus(height, width) = pairs {
            assert!(height >= 3 && width >= 3 && height * width == sites, "a torus of {sites} sites");
        }
        let list = pairs.list(sites);
        let mut of_sites = vec![Vec::new(); sites];
        for (pair, [i, j]) in list.iter().enumerate() {
            of_sites[*i as usize].push((*j, pair as u32));
            of_sites[*j as usize].push((*i, pair as u32));
        }
        let mut starts = vec![0];
        of_sites.iter().for_each(|of| starts.push(starts.last().expect("a start") + of.len()));
        Self {
            base,
            pairs,
            list: list.into(),
            spins,
            neighbours: of_sites.concat().into(),
            starts: starts.into(),
        }
    }

    /// How many values a site's field has among the weights.
    fn fields(&self) -> usize {
        if self.spins { 1 } else { self.base.values() }
    }
}

impl Family for Pairwise {
    fn base(&self) -> &Independent {
        &self.base
    }

    fn layout(&self) -> Vec<Slot> {
        let (sites, fields) = (self.base.sites(), self.fields());
        layout([("couplings", vec![self.list.len()]), ("field", vec![sites * fields])])
    }

    fn initial(&self, _: &Noise) -> Vec<f32> {
        self.on_the_way(&vec![0.0; self.list.len() + self.base.sites() * self.fields()], 0.0)
    }

    fn on_the_way(&self, weights: &[f32], place: f64) -> Vec<f32> {
        let of_base: Vec<f64> = match self.spins {
            true => self.base.logits().map(|logit| 0.5 * logit).collect(),
            false => self.base.log_masses().to_vec(),
        };
        let none = std::iter::repeat_n(0.0, self.list.len());
        let joined = weights.iter().zip(none.chain(of_base));
        joined.map(|(w, base)| (place * f64::from(*w) + (1.0 - place) * base) as f32).collect()
    }

    fn with(&self, weights: &[f32]) -> Box<dyn Energy> {
        let (couplings, of_sites) = weights.split_at(self.list.len());
        let scale = if self.spins { 2.0 } else { 1.0 };
        let coupling = |(other, pair): &(u32, u32)| (*other, scale * f64::from(couplings[*pair as usize]));
        let field = match self.spins {
            true => of_sites.iter().flat_map(|h| [-f64::from(*h), f64::from(*h)]).collect(),
            false => of_sites.iter().map(|h| f64::from(*h)).collect(),
        };
        let constant = if self.spins { -couplings.iter().map(|k| f64::from(*k)).sum::<f64>() } else { 0.0 };
        let neighbours = self.neighbours.iter().map(coupling).collect();
        let scan = || {
            let near = |(other, pair): &(u32, u32)| (*other, 2.0 * couplings[*pair as usize]);
            let neighbours = self.neighbours.iter().map(near).collect();
            SpinScan {
                fields: of_sites.iter().map(|h| 2.0 * h).collect(),
                neighbours,
                starts: self.starts.clone(),
            }
        };
        let scan = self.spins.then(scan);
        Box::new(PairEnergy { family: self.clone(), neighbours, field, constant, scan })
    }

    fn couplings(&self, weights: &[f32]) -> Option<Vec<f64>> {
        let sites = self.base.sites();
        let mut matrix = vec![0.0; sites * sites];
        for ([i, j], k) in self.list.iter().zip(weights) {
            let half = 0.5 * f64::from(*k);
            matrix[*i as usize * sites + *j as usize] += half;
            matrix[*j as usize * sites + *i as usize] += half;
        }
        self.spins.then_some(matrix)
    }
}

/// An energy of pairs, as Potts model.
struct PairEnergy {
    family: Pairwise,
    /// Couplings beside the family's neighbours.
    neighbours: Vec<(u32, f64)>,
    /// `[sites, values]`.
    field: Vec<f64>,
    constant: f64,
    /// Of an Ising model.
    scan: Option<SpinScan>,
}

impl PairEnergy {
    /// Writes what each value of a site is worth beside the other sites, `[values]`.
    fn local(&self, state: &[u8], site: usize, out: &mut [f64]) {
        let values = out.len();
        out.copy_from_slice(&self.field[site * values..][..values]);
        let starts = &self.family.starts;
        for (other, k) in &self.neighbours[starts[site]..starts[site + 1]] {
            out[usize::from(state[*other as usize])] += k;
        }
    }

    fn changes_of(&self, state: &[u8], site: usize, out: &mut [f64]) {
        self.local(state, site, out);
        let here = out[usize::from(state[site])];
        out.iter_mut().for_each(|out| *out -= here);
    }
}

impl CategoricalDensity for PairEnergy {
    fn sites(&self) -> usize {
        self.family.base.sites()
    }

    fn values(&self) -> usize {
        self.family.base.values()
    }

    fn log_density(&self, states: &[u8], out: &mut [f64]) {
        let (sites, values, starts) = (self.sites(), self.values(), &self.family.starts);
        for (out, state) in out.iter_mut().zip(states.chunks_exact(sites)) {
            let of_site = |(site, x): (usize, &u8)| {
                let near = &self.neighbours[starts[site]..starts[site + 1]];
                let bonds = near.iter().filter(|(other, _)| state[*other as usize] == *x);
                self.field[site * values + usize::from(*x)] + 0.5 * bonds.map(|(_, k)| k).sum::<f64>()
            };
            *out = self.constant + state.iter().enumerate().map(of_site).sum::<f64>();
        }
    }

    fn changes_at(&self, states: &[u8], site: usize, out: &mut [f64]) {
        let rows = states.chunks_exact(self.sites()).zip(out.chunks_exact_mut(self.values()));
        rows.for_each(|(state, out)| self.changes_of(state, site, out));
    }

    fn changes(&self, states: &[u8], out: &mut [f64]) {
        let (sites, values) = (self.sites(), self.values());
        for (state, out) in states.chunks_exact(sites).zip(out.chunks_exact_mut(sites * values)) {
            let each = out.chunks_exact_mut(values).enumerate();
            each.for_each(|(site, out)| self.changes_of(state, site, out));
        }
    }

    fn scan(&self, states: &mut [u8], streams: &mut [Stream<'_>], reversed: bool) {
        match &self.scan {
            Some(scan) => scan.sweep(states, streams, reversed),
            None => sweep(self, states, streams, reversed),
        }
    }
}

impl Energy for PairEnergy {
    fn pull(&self, states: &[u8], slopes: &[f64], gradient: &mut [f32]) {
        let (sites, fields) = (self.sites(), self.family.fields());
        let (couplings, field) = gradient.split_at_mut(self.family.list.len());
        let apart = if self.family.spins { -1.0 } else { 0.0 };
        for (state, slope) in states.chunks_exact(sites).zip(slopes).filter(|(_, slope)| **slope != 0.0) {
            let (same, other) = (*slope as f32, (slope * apart) as f32);
            for (to, [i, j]) in couplings.iter_mut().zip(self.family.list.iter()) {
                *to += if state[*i as usize] == state[*j as usize] { same } else { other };
            }
            for (site, x) in state.iter().enumerate() {
                match self.family.spins {
                    true => field[site] += if *x == 1 { same } else { other },
                    false => field[site * fields + usize::from(*x)] += same,
                }
            }
        }
    }

    fn pull_changes(&self, states: &[u8], slopes: &[f64], gradient: &mut [f32]) {
        let (sites, values, starts) = (self.sites(), self.values(), &self.family.starts);
        let (couplings, field) = gradient.split_at_mut(self.family.list.len());
        let scale = if self.family.spins { 2.0 } else { 1.0 };
        let mut of_values = vec![0.0; values];
        for (state, slopes) in states.chunks_exact(sites).zip(slopes.chunks_exact(sites * values)) {
            for (site, slopes) in slopes.chunks_exact(values).enumerate() {
                of_values.copy_from_slice(slopes);
                of_values[usize::from(state[site])] -= slopes.iter().sum::<f64>();
                for (other, pair) in &self.family.neighbours[starts[site]..starts[site + 1]] {
                    let slope = of_values[usize::from(state[*other as usize])];
                    couplings[*pair as usize] += (scale * slope) as f32;
                }
                match self.family.spins {
                    true => field[site] += (of_values[1] - of_values[0]) as f32,
                    false => {
                        let to = &mut field[site * values..][..values];
                        to.iter_mut().zip(&of_values).for_each(|(to, slope)| *to += *slope as f32);
                    }
                }
            }
        }
    }

    fn exact(&self) -> Option<Box<dyn ExactLaw>> {
        let values = self.values();
        let strip = match self.family.pairs {
            Pairs::Torus(height, width) => Some([height, width])
                .filter(|_| values.checked_pow(width as u32).is_some_and(|rows| rows <= MOST_ROWS)),
            Pairs::All => None,
        };
        let Some([height, width]) = strip else {
            return Listed::of(self).map(|listed| Box::new(listed) as Box<dyn ExactLaw>);
        };
        let starts = &self.family.starts;
        let coupling = |pair: usize| {
            let [site, _] = self.family.list[pair].map(|site| site as usize);
            let mut near = starts[site]..starts[site + 1];
            let at = near.find(|at| self.family.neighbours[*at].1 as usize == pair).expect("its own pair");
            self.neighbours[at].1
        };
        let (across, down) = (0..height * width).map(|i| (coupling(2 * i), coupling(2 * i + 1))).unzip();
        let constant = self.constant;
        let strip = Strip { height, width, values, across, down, field: self.field.clone() };
        Some(Box::new(Shifted { law: strip.law(), constant }))
    }
}

/// A law whose `log R` is larger by a constant.
struct Shifted {
    law: Box<dyn ExactLaw>,
    constant: f64,
}

impl ExactLaw for Shifted {
    fn log_z(&self) -> f64 {
        self.law.log_z() + self.constant
    }

    fn draw(&self, count: usize, noise: &Noise) -> Vec<u8> {
        self.law.draw(count, noise)
    }
}
