//! Every family against its states listed one by one, and its gradients against differences.

use std::sync::Arc;

use super::*;
use crate::math::log_sum_exp;
use crate::network::Activation;
use crate::rng::Purpose;

fn noise(step: u32) -> Noise {
    Noise::new(77, Purpose::Metric).step(step)
}

/// Uneven marginals.
fn base(sites: usize, values: usize) -> Independent {
    let value = |at: usize| ((at * 7 + at / sites) % 11 % values) as u8;
    Independent::fitted(&(0..9 * sites).map(value).collect::<Vec<u8>>(), sites, values)
}

fn convolution(image: [usize; 2], layers: &[(usize, usize)]) -> ConvolutionShape {
    let (channels, strides) = layers.iter().copied().unzip();
    let activation = Activation::Silu;
    ConvolutionShape { image, channels, strides, kernel: 3, periodic: false, pooled: false, activation }
}

fn pooled(image: [usize; 2], layers: &[(usize, usize)]) -> ConvolutionShape {
    ConvolutionShape { periodic: true, pooled: true, ..convolution(image, layers) }
}

/// All families over few states, each with weights that are not small.
fn families() -> Vec<(&'static str, Arc<dyn Family>, Vec<f32>)> {
    let all: Vec<(&'static str, Arc<dyn Family>)> = vec![
        ("ising", Arc::new(Pairwise::ising(base(5, 2), Pairs::All))),
        ("ising-torus", Arc::new(Pairwise::ising(base(12, 2), Pairs::Torus(4, 3)))),
        ("potts", Arc::new(Pairwise::potts(base(4, 3), Pairs::All))),
        ("potts-torus", Arc::new(Pairwise::potts(base(9, 3), Pairs::Torus(3, 3)))),
        ("rbm", Arc::new(Rbm::new(base(6, 2), 4))),
        ("wide-rbm", Arc::new(Rbm::new(base(5, 2), 20))),
        ("perceptron", Arc::new(Perceptron::new(base(4, 3), &[9, 7], Activation::Silu))),
        ("convolution", Arc::new(Convolution::new(base(6, 3), convolution([3, 2], &[(5, 1), (4, 2)])))),
        ("periodic", Arc::new(Convolution::new(base(9, 2), pooled([3, 3], &[(9, 1), (3, 1)])))),
    ];
    let stirred = |(index, (name, family)): (usize, (&'static str, Arc<dyn Family>))| {
        let weights = family.initial(&noise(index as u32));
        let jitter = noise(100 + index as u32).normal(1, weights.len());
        let weights = weights.iter().zip(jitter).map(|(w, z)| w + 0.4 * z).collect();
        (name, family, weights)
    };
    all.into_iter().enumerate().map(stirred).collect()
}

fn listed(energy: &dyn Energy) -> (Vec<u8>, Vec<f64>) {
    let (sites, values) = (energy.sites(), energy.values());
    let count = values.pow(sites as u32);
    let digit = |index: usize, place: usize| (index / values.pow(place as u32) % values) as u8;
    let states: Vec<u8> =
        (0..count).flat_map(|index| (0..sites).map(move |place| digit(index, place))).collect();
    let mut out = vec![0.0; count];
    energy.log_density(&states, &mut out);
    (states, out)
}

#[test]
fn exact_laws_are_those_of_all_states() {
    for (name, family, weights) in families() {
        let energy = family.with(&weights);
        let (states, log_masses) = listed(energy.as_ref());
        let log_z = log_sum_exp(&log_masses);
        let exact = energy.exact().unwrap_or_else(|| panic!("{name} is small"));
        assert!(
            (exact.log_z() - log_z).abs() < 1e-9 * log_z.abs().max(1.0),
            "{name}: {}, {log_z}",
            exact.log_z()
        );
        // Draws have the law's means of sites, of values and of neighbours.
        let (sites, values, count) = (energy.sites(), energy.values(), 40_000);
        let draws = exact.draw(count, &noise(500));
        for site in 0..sites {
            let other = (site + 1) % sites;
            for value in 0..values {
                let hits = |state: &[u8]| {
                    f64::from(u8::from(usize::from(state[site]) == value && state[other] == state[site]))
                };
                let weighted = states.chunks_exact(sites).zip(&log_masses);
                let mean: f64 = weighted.map(|(state, log)| hits(state) * (log - log_z).exp()).sum();
                let found = draws.chunks_exact(sites).map(hits).sum::<f64>() / count as f64;
                let error = (mean * (1.0 - mean) / count as f64).sqrt();
                assert!(
                    (found - mean).abs() < 4.5 * error + 1e-9,
                    "{name}, {site}, {value}: {found}, {mean}"
                );
            }
        }
        assert_eq!(exact.draw(3, &noise(500).from_row(7)), draws[7 * sites..10 * sites], "{name}");
    }
}

#[test]
fn changes_are_differences() {
    for (name, family, weights) in families() {
        let energy = family.with(&weights);
        let (sites, values) = (energy.sites(), energy.values());
        let states = family.base().draw(5, &noise(3));
        let near = neighbours(&states, [sites, values], [0, sites]);
        let (mut here, mut there) = (vec![0.0; 5], vec![0.0; 5 * sites * values]);
        energy.log_density(&states, &mut here);
        energy.log_density(&near, &mut there);
        let mut all = vec![0.0; 5 * sites * values];
        energy.changes(&states, &mut all);
        for (at, (change, there)) in all.iter().zip(&there).enumerate() {
            assert!((change - there + here[at / (sites * values)]).abs() < 1e-5, "{name}");
        }
        let mut of_site = vec![0.0; 5 * values];
        for site in 0..sites {
            energy.changes_at(&states, site, &mut of_site);
            for (at, found) in of_site.iter().enumerate() {
                let (row, value) = (at / values, at % values);
                assert!((found - all[(row * sites + site) * values + value]).abs() < 1e-5, "{name}");
            }
        }
    }
}

#[test]
fn gradients_are_differences() {
    for (name, family, weights) in families() {
        let energy = family.with(&weights);
        let (sites, values) = (energy.sites(), energy.values());
        let states = family.base().draw(6, &noise(4));
        let slopes: Vec<f64> = noise(5).normal(1, 6).into_iter().map(f64::from).collect();
        let of_changes: Vec<f64> =
            noise(6).normal(1, 6 * sites * values).into_iter().map(f64::from).collect();
        let sums = |weights: &[f32]| {
            let energy = family.with(weights);
            let (mut out, mut changes) = (vec![0.0; 6], vec![0.0; 6 * sites * values]);
            energy.log_density(&states, &mut out);
            energy.changes(&states, &mut changes);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            [dot(&out, &slopes), dot(&changes, &of_changes)]
        };
        let mut gradients = [vec![0.0; weights.len()], vec![0.0; weights.len()]];
        energy.pull(&states, &slopes, &mut gradients[0]);
        energy.pull_changes(&states, &of_changes, &mut gradients[1]);
        let step = 1e-2;
        for at in (0..weights.len()).step_by(1 + weights.len() / 40) {
            let moved = |by: f32| {
                let mut moved = weights.clone();
                moved[at] += by;
                sums(&moved)
            };
            let (up, down) = (moved(step), moved(-step));
            for which in 0..2 {
                let expected = (up[which] - down[which]) / (2.0 * f64::from(step));
                let found = f64::from(gradients[which][at]);
                let bound = 4e-3 * (1.0 + expected.abs());
                assert!((found - expected).abs() < bound, "{name}, {which}, {at}: {found}, {expected}");
            }
        }
    }
}

#[test]
fn the_way_begins_at_the_base() {
    for (name, family, weights) in families() {
        let energy = family.with(&family.on_the_way(&weights, 0.0));
        let states = family.base().draw(8, &noise(9));
        let (mut found, mut base) = (vec![0.0; 8], vec![0.0; 8]);
        energy.log_density(&states, &mut found);
        family.base().log_density(&states, &mut base);
        let gap = found[0] - base[0];
        let close = found.iter().zip(&base).all(|(found, base)| (found - base - gap).abs() < 1e-4);
        assert!(close, "{name}: {found:?}, {base:?}");
        assert_eq!(family.on_the_way(&weights, 1.0), weights, "{name}");
    }
}

/// What proposals take for changes is exact to first order: halving a network's weights towards a linear one makes it better.
#[test]
fn estimates_are_changes_of_linear_networks() {
    let (tanh, shape) = (Activation::Tanh, convolution([2, 2], &[(5, 1)]));
    let families: [Box<dyn Family>; 2] = [
        Box::new(Perceptron::new(base(4, 3), &[8], tanh)),
        Box::new(Convolution::new(base(4, 3), ConvolutionShape { activation: tanh, ..shape })),
    ];
    for family in families {
        let weights: Vec<f32> = family.initial(&noise(20)).iter().map(|w| 1e-2 * w).collect();
        let energy = family.with(&weights);
        let states = family.base().draw(4, &noise(21));
        let (mut changes, mut estimates) = (vec![0.0; 48], vec![0.0; 48]);
        energy.changes(&states, &mut changes);
        energy.estimates(&states, &mut estimates);
        let close = changes.iter().zip(&estimates).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close, "{changes:?} {estimates:?}");
    }
}

/// The gradient that estimates are made of is that of the indicators, at weights of any size: it is the slope by a first layer's weight that
/// one tap alone reads.
#[test]
fn estimates_are_gradients_by_indicators() {
    let shape = ConvolutionShape { kernel: 1, ..convolution([2, 2], &[(1, 1)]) };
    let family = Convolution::new(Independent::uniform(4, 2), shape);
    // One channel: silu(w_0 [x = 0] + w_1 [x = 1] + b), read at each place.
    let weights = [0.7f32, -0.4, 0.2, 1.5, -0.5, 2.0, 0.3];
    let slope = |x: u8| {
        let z = f64::from(weights[usize::from(x)] + weights[2]);
        let s = 1.0 / (1.0 + (-z).exp());
        s * (1.0 + z * (1.0 - s))
    };
    let state = [0, 1, 1, 0];
    let mut estimates = [0.0; 8];
    family.with(&weights).estimates(&state, &mut estimates);
    for (place, x) in state.iter().enumerate() {
        let other = usize::from(1 - x);
        let change = f64::from(weights[other] - weights[usize::from(*x)]);
        let expected = f64::from(weights[3 + place]) * slope(*x) * change;
        let found = estimates[2 * place + other];
        assert!((found - expected).abs() < 1e-5, "{place}: {found} and {expected}");
    }
}

/// Where all places count alike, and the image has no border, a shifted image has the same energy, and with a border it has not.
#[test]
fn periodic_energies_are_those_of_shifted_images() {
    let (height, width) = (4, 3);
    let shape = pooled([height, width], &[(5, 1), (4, 1)]);
    for periodic in [true, false] {
        let shape = ConvolutionShape { periodic, ..shape.clone() };
        let family = Convolution::new(Independent::uniform(height * width, 2), shape);
        let energy = family.with(&family.initial(&noise(30)));
        let image: Vec<u8> = vec![1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0];
        let shifted = |down: usize, right: usize| -> Vec<u8> {
            (0..height * width)
                .map(|at| image[(at / width + down) % height * width + (at % width + right) % width])
                .collect()
        };
        let value = |image: &[u8]| {
            let mut out = [0.0];
            energy.log_density(image, &mut out);
            out[0]
        };
        let gap =
            (1..height).map(|down| (value(&shifted(down, 1)) - value(&image)).abs()).fold(0.0, f64::max);
        assert_eq!(gap < 1e-5, periodic, "{periodic}: {gap}");
    }
}

#[test]
fn couplings_count_pairs_twice() {
    let family = Pairwise::ising(Independent::uniform(9, 2), Pairs::Torus(3, 3));
    let weights: Vec<f32> = (0..27).map(|at| if at < 18 { 0.2 } else { 0.0 }).collect();
    let matrix = family.couplings(&weights).unwrap();
    assert_eq!(matrix.iter().filter(|entry| (**entry - 0.1).abs() < 1e-7).count(), 36);
    let states = [0, 1, 1, 0, 0, 1, 0, 1, 0];
    let s: Vec<f64> = states.iter().map(|x| 2.0 * f64::from(*x) - 1.0).collect();
    let form: f64 = (0..81).map(|at| s[at / 9] * matrix[at] * s[at % 9]).sum();
    let mut out = [0.0];
    family.with(&weights).log_density(&states, &mut out);
    assert!((out[0] - form).abs() < 1e-6);
}
