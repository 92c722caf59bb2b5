//! Energies over categories: their kernels are invariant, their annealing has the right log Z from both ends, their losses are at rest at
//! the law that data come from.

use anabranch::environment::Cell;
use anabranch::error::Failure;
use anabranch::estimate::likelihood::{Bound, row_nlls};
use anabranch::estimate::{annealed, upper_bound};
use anabranch::kernel::discrete_mcmc::{CategoricalKernel, LatticeGibbs};
use anabranch::model::energy::Annealed;
use anabranch::model::energy::flow_network::FlowNetwork;
use anabranch::objective::energy::{
    EnergyLoss, contrast, noise_contrastive, pseudo_likelihood, ratio_matching,
};
use anabranch::rng::Stream;
use anabranch::sampler::back_and_forth::{Acceptance, BackAndForth, Particles, Removals};
use anabranch::target::learned::{Energy, EnergyForm, Independent};

use super::instances::*;

/// A model of few states, with weights that are not small, from uneven marginals.
fn model(
    form: EnergyForm,
    [sites, values]: [usize; 2],
    kernel: CategoricalKernel,
    levels: usize,
) -> Annealed {
    let rows: Vec<u8> = (0..11 * sites).map(|at| ((at * 7 + at / sites) % 13 % values) as u8).collect();
    let base = Independent::fitted(&rows, sites, values);
    let log_masses: Vec<f32> = base.log_masses().iter().map(|mass| *mass as f32).collect();
    let family = form.family(base);
    let initial = family.initial(&noise(60));
    let jitter = noise(61).normal(1, initial.len());
    let weights = initial.iter().zip(jitter).map(|(w, z)| w + 0.6 * z).collect();
    let slots = anabranch::array::weights::layout([("log_masses", vec![sites * values])]);
    Annealed {
        form,
        values,
        weights: Weights::new("energy", family.layout(), weights),
        base: Weights::new("base", slots, log_masses),
        levels,
        kernel,
        moves: 2,
        loss: EnergyLoss::Contrastive,
        l1: 0.0,
        free_from: f32::INFINITY,
        paths: 1000,
    }
}

/// Every family with every kernel that it allows.
fn models(levels: usize) -> Vec<(String, Annealed)> {
    let forms: [(EnergyForm, [usize; 2]); 6] = [
        (EnergyForm::Ising { torus: None }, [4, 2]),
        (EnergyForm::Potts { torus: None }, [3, 3]),
        (EnergyForm::Ising { torus: Some([3, 3]) }, [9, 2]),
        (EnergyForm::Rbm { hidden: 3 }, [4, 2]),
        (EnergyForm::Mlp { hidden: vec![8], activation: Activation::Tanh }, [3, 3]),
        (
            EnergyForm::Convolution {
                image: [2, 2],
                channels: vec![4, 3],
                strides: vec![1, 2],
                kernel: 3,
                periodic: false,
                pooled: false,
                activation: Activation::Tanh,
            },
            [4, 2],
        ),
    ];
    let kernels = [
        CategoricalKernel::Gibbs,
        CategoricalKernel::BlockGibbs,
        CategoricalKernel::RandomFlip,
        CategoricalKernel::GibbsWithGradients,
    ];
    let mut all = Vec::new();
    for (form, sizes) in forms {
        let hidden = matches!(form, EnergyForm::Rbm { .. });
        for kernel in kernels.into_iter().filter(|kernel| hidden || *kernel != CategoricalKernel::BlockGibbs)
        {
            all.push((format!("{form:?}, {kernel:?}"), model(form.clone(), sizes, kernel, levels)));
        }
    }
    all
}

fn place(state: &[u8], values: usize) -> usize {
    state.iter().fold(0, |sum, x| sum * values + usize::from(*x))
}

/// Masses of all states.
fn masses(energy: &dyn Energy) -> Vec<f64> {
    let (sites, values) = (energy.sites(), energy.values());
    let count = values.pow(sites as u32);
    let digit = |index: usize, at: usize| (index / values.pow((sites - 1 - at) as u32) % values) as u8;
    let states: Vec<u8> = (0..count).flat_map(|index| (0..sites).map(move |at| digit(index, at))).collect();
    let mut out = vec![0.0; count];
    energy.log_density(&states, &mut out);
    let log_z = energy.exact().expect("few states").log_z();
    out.into_iter().map(|log_r| (log_r - log_z).exp()).collect()
}

/// How far counts of states are from their masses, in standard deviations of chi squared; rare states are put together.
fn distance(states: &[u8], energy: &dyn Energy) -> f64 {
    let (sites, masses) = (energy.sites(), masses(energy));
    let count = (states.len() / sites) as f64;
    let mut found = vec![0.0; masses.len()];
    states.chunks(sites).for_each(|state| found[place(state, energy.values())] += 1.0);
    let (mut chi, mut degrees, mut rest) = (0.0, -1.0, [0.0, 0.0]);
    for (found, mass) in found.iter().zip(&masses) {
        let expected = mass * count;
        if expected < 10.0 {
            rest = [rest[0] + found, rest[1] + expected];
            continue;
        }
        chi += (found - expected).powi(2) / expected;
        degrees += 1.0;
    }
    if rest[1] > 10.0 {
        chi += (rest[0] - rest[1]).powi(2) / rest[1];
        degrees += 1.0;
    }
    (chi - degrees) / (2.0f64 * degrees).sqrt()
}

fn moved(annealed: &Annealed, states: &mut [u8], times: usize, reversed: bool) {
    let energy = annealed.energy();
    let (noise, rows) = (noise(62).purpose(Purpose::Choice), states.len() / energy.sites());
    let mut streams: Vec<Stream<'_>> = (0..rows).map(|row| noise.stream(row)).collect();
    let mut acceptance = vec![0.0; rows];
    for _ in 0..times {
        annealed.kernel.step(energy.as_ref(), states, &mut streams, reversed, &mut acceptance);
    }
}

/// Law 4: exact draws stay exact draws, whichever way sites are visited; and where sites are few, any start is forgotten.
#[test]
fn law_4_kernels_on_categories_are_invariant() {
    for (name, annealed) in models(1) {
        let energy = annealed.energy();
        let exact = energy.exact().expect("few states");
        for reversed in [false, true] {
            let mut states = exact.draw(40_000, &noise(63));
            let before = distance(&states, energy.as_ref());
            moved(&annealed, &mut states, 2, reversed);
            let after = distance(&states, energy.as_ref());
            assert!(before.abs() < 4.5 && after.abs() < 4.5, "{name}: {before}, {after}");
        }
        if energy.sites() > 4 {
            continue;
        }
        let mut states = vec![0; 5000 * energy.sites()];
        moved(&annealed, &mut states, 150, false);
        let after = distance(&states, energy.as_ref());
        assert!(after < 4.5, "{name} does not reach its law: {after}");
    }
}

/// Law 2: forward weights have mean Z, and backward weights from exact draws mean 1 / Z; their logarithms are on either side.
#[test]
fn law_2_annealed_energies_have_their_log_z_from_both_ends() {
    let rows = 4000;
    for (name, annealed) in models(6) {
        let exact = annealed.energy().exact().expect("few states");
        let log_z = exact.log_z();
        let drawn = exact.draw(rows, &noise(64));
        let sweeps = matches!(annealed.kernel, CategoricalKernel::Gibbs | CategoricalKernel::BlockGibbs);
        let model = Model::new(vec![Box::new(annealed)]);
        let forward = annealed::forward(&model, rows, &noise(65), &|_| true).unwrap().unwrap();
        let weights: Vec<f64> = forward.iter().map(|log_w| (log_w - log_z).exp()).collect();
        let mean = Estimate::mean(&weights);
        assert!((mean.value - 1.0).abs() < 4.5 * mean.error, "{name}, forward: {mean:?}");
        let backward = annealed::backward(&model, &drawn, &noise(66), &|_| true).unwrap().unwrap();
        let weights: Vec<f64> = backward.iter().map(|log_w| (log_z - log_w).exp()).collect();
        let mean = Estimate::mean(&weights);
        assert!((mean.value - 1.0).abs() < 4.5 * mean.error, "{name}, backward: {mean:?}");
        let (lower, upper) = (evidence(&forward).elbo, upper_bound(&backward));
        assert!(lower.value < log_z + 4.0 * lower.error, "{name}: {lower:?}, {log_z}");
        assert!(upper.value > log_z - 4.0 * upper.error, "{name}: {upper:?}, {log_z}");
        // Kernels that move one site at a time lag behind six levels.
        assert!(!sweeps || upper.value - lower.value < 3.0, "{name}: {lower:?}, {upper:?}");
    }
}

/// With data from the energy's own law every loss has a mean gradient of 0, and the contrast with its exact draws, too.
#[test]
fn losses_are_at_rest_at_the_law_of_the_data() {
    let (batches, rows) = (150, 200);
    for (name, annealed) in models(1) {
        if annealed.kernel != CategoricalKernel::Gibbs {
            continue;
        }
        let (energy, family) = (annealed.energy(), annealed.family());
        let exact = energy.exact().expect("few states");
        let losses = ["pseudo-likelihood", "ratio-matching", "noise-contrastive", "contrastive"];
        for (index, loss) in losses.into_iter().enumerate() {
            let mut all = vec![Vec::new(); annealed.weights.len()];
            for batch in 0..batches {
                let drawn = exact.draw(rows, &noise(67).from_row(rows * batch));
                let mut gradient = vec![0.0; annealed.weights.len()];
                match index {
                    0 => {
                        pseudo_likelihood(energy.as_ref(), &drawn, &mut gradient);
                    }
                    1 => {
                        ratio_matching(energy.as_ref(), &drawn, &mut gradient);
                    }
                    2 => {
                        let other = family.base().draw(rows, &noise(68).from_row(rows * batch));
                        let (pair, log_z) = ([&drawn[..], &other[..]], exact.log_z());
                        noise_contrastive(energy.as_ref(), family.base(), pair, log_z, &mut gradient);
                    }
                    _ => {
                        let other = exact.draw(rows, &noise(69).from_row(rows * batch));
                        contrast(energy.as_ref(), &drawn, &other, &mut gradient);
                    }
                }
                all.iter_mut().zip(gradient).for_each(|(all, slope)| all.push(f64::from(slope)));
            }
            for (at, slopes) in all.iter().enumerate() {
                let mean = Estimate::mean(slopes);
                assert!(mean.value.abs() < 4.8 * mean.error + 1e-4, "{name}, {loss}, weight {at}: {mean:?}");
            }
        }
    }
}

/// The slopes of every loss against differences, away from the law of the data.
#[test]
fn gradients_of_losses_are_differences() {
    for (name, annealed) in models(1) {
        if annealed.kernel != CategoricalKernel::Gibbs {
            continue;
        }
        let family = annealed.family();
        let [data, other] = [70, 71].map(|step| family.base().draw(30, &noise(step)));
        let losses = |weights: &[f32], gradients: &mut [Vec<f32>; 3]| {
            let energy = family.with(weights);
            let [first, second, third] = gradients;
            [
                pseudo_likelihood(energy.as_ref(), &data, first),
                ratio_matching(energy.as_ref(), &data, second),
                noise_contrastive(energy.as_ref(), family.base(), [&data, &other], 0.7, third).0,
            ]
        };
        let weights = annealed.weights.values();
        let empty = || [(); 3].map(|()| vec![0.0; weights.len()]);
        let mut gradients = empty();
        losses(&weights, &mut gradients);
        for at in (0..weights.len()).step_by(1 + weights.len() / 12) {
            let moved = |by: f32| {
                let mut weights = weights.clone();
                weights[at] += by;
                losses(&weights, &mut empty())
            };
            let (up, down) = (moved(1e-2), moved(-1e-2));
            for (which, gradient) in gradients.iter().enumerate() {
                let expected = (up[which] - down[which]) / 2e-2;
                let found = f64::from(gradient[at]);
                assert!(
                    (found - expected).abs() < 2e-3 * (1.0 + expected.abs()),
                    "{name}, {which}: {found}, {expected}"
                );
            }
        }
    }
}

/// The lattice's own Gibbs sampler leaves exact draws of an even and of an odd torus as they are, in law, and reaches it from afar.
#[test]
fn lattices_keep_their_law() {
    for sides in [[4, 4], [3, 5]] {
        let (sites, k, h) = (sides[0] * sides[1], 0.3, 0.15);
        let family = EnergyForm::Ising { torus: Some(sides) }.family(Independent::uniform(sites, 2));
        let weights: Vec<f32> = [vec![k as f32; 2 * sites], vec![h as f32; sites]].concat();
        let energy = family.with(&weights);
        let exact = energy.exact().expect("a narrow torus");
        let gibbs = LatticeGibbs::new(sides, k, h);
        let count = 20_000;
        let statistics = |states: &[u8]| {
            let mut log_r = vec![0.0; count];
            energy.log_density(states, &mut log_r);
            let ups = states.chunks(sites).map(|state| state.iter().map(|x| f64::from(*x)).sum::<f64>());
            let ups: Vec<f64> = ups.collect();
            let squares: Vec<f64> = ups.iter().map(|up| up * up).collect();
            [Estimate::mean(&log_r), Estimate::mean(&ups), Estimate::mean(&squares)]
        };
        let expected = statistics(&exact.draw(count, &noise(72)));
        let mut from_exact = exact.draw(count, &noise(73));
        gibbs.sweeps(&mut from_exact, 0, 2, &noise(74));
        let mut from_afar = vec![1; count * sites];
        gibbs.sweeps(&mut from_afar, 0, 60, &noise(75));
        for states in [from_exact, from_afar] {
            for (found, expected) in statistics(&states).iter().zip(&expected) {
                let error = found.error.hypot(expected.error);
                assert!(
                    (found.value - expected.value).abs() < 4.5 * error,
                    "{sides:?}: {found:?}, {expected:?}"
                );
            }
        }
        // A chain's noise is its own.
        let mut alone = vec![1; sites];
        gibbs.sweeps(&mut alone, 0, 60, &noise(75));
        let mut first = vec![1; 3 * sites];
        gibbs.sweeps(&mut first, 0, 60, &noise(75));
        assert_eq!(alone, first[..sites]);
    }
}

/// An energy with its flow network over few states, its weights stirred.
fn pair(keys: &str, [sites, values]: [usize; 2]) -> FlowNetwork {
    let recipe: SegmentRecipe = toml::from_str(keys).expect("a segment");
    let place = Place { index: 0, before: vec![], after: vec![], learned_after: false };
    let around = Surroundings {
        place,
        dimension: sites,
        levels: values as u32,
        data: None,
        energy: None,
        run: None,
        seed: 3,
        condition: 0,
        prefix: 0,
        backward: true,
    };
    let mut segment = recipe.part().build(&around).expect("an energy with its flow network");
    stir(segment.weights_mut(), 0.4);
    segment.as_flow_network().expect("a flow network").clone()
}

const PAIR: &str =
    "kind = 'energy-flow-network'\nenergy = { kind = 'potts' }\nnetwork = { kind = 'mlp', hidden = [12] }";

/// Law 5: the flow network's masses by backward trajectories sum to 1, and are those of its samples.
#[test]
fn law_5_flow_networks_of_energies_have_the_masses_of_their_samples() {
    let (sites, values) = (3, 3);
    let model = Model::new(vec![Box::new(pair(PAIR, [sites, values]))]);
    let digit = |index: usize, at: usize| (index / values.pow((sites - 1 - at) as u32) % values) as f32;
    let states: Vec<f32> = (0..27).flat_map(|index| (0..sites).map(move |at| digit(index, at))).collect();
    let nlls = row_nlls(&model, &states, NOTHING, Bound::Importance(4000), &noise(80)).unwrap();
    let masses: Vec<f64> = nlls.iter().map(|nll| (-nll).exp()).collect();
    let sum: f64 = masses.iter().sum();
    assert!((sum - 1.0).abs() < 0.01, "{sum}");
    let count = 40_000;
    let samples = to_vec(model.chain().sample(count, NOTHING, &noise(81)).unwrap());
    let mut found = [0.0; 27];
    for state in samples.chunks(sites) {
        found[state.iter().fold(0, |sum, x| sum * values + *x as usize)] += 1.0 / count as f64;
    }
    for (found, mass) in found.iter().zip(&masses) {
        let error = (mass * (1.0 - mass) / count as f64).sqrt();
        assert!((found - mass).abs() < 4.5 * error + 0.01 * mass, "{found}, {mass}");
    }
}

/// An energy as a reward of objects.
#[derive(Debug)]
struct Reward(Annealed);

impl Target<Cell> for Reward {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let states: Vec<u8> = objects.iter().map(|cell| (cell - 1) as u8).collect();
        self.0.energy().log_density(&states, out);
        Ok(())
    }
}

/// Law 4: whatever the flow network, negatives of exact draws are exact draws, by either rule and with any number of erased sites.
#[test]
fn law_4_negatives_leave_the_energy_invariant() {
    let pair = pair(PAIR, [3, 3]);
    let (energy, flow) = (pair.energy.energy(), pair.flow());
    let exact = energy.exact().expect("few states");
    let reward = Reward(pair.energy.clone());
    let weights = pair.weights.values();
    let evaluator = flow.network.with(&weights);
    let count = 30_000;
    for acceptance in [Acceptance::MetropolisHastings, Acceptance::Barker] {
        for erased in [1, 2, 3] {
            let states = exact.draw(count, &noise(82));
            let mut objects: Vec<Cell> = states.iter().map(|x| Cell::from(*x) + 1).collect();
            let mut log_rewards = vec![0.0; count];
            energy.log_density(&states, &mut log_rewards);
            let mut search = BackAndForth::default();
            for round in 0..2 {
                let particles =
                    Particles { objects: &mut objects, log_rewards: &mut log_rewards, conditions: &[] };
                let noise = noise(83 + round);
                let removals = Removals::Exactly(erased);
                let accepted = search
                    .round(&flow.policy, evaluator.as_ref(), &reward, particles, removals, acceptance, &noise)
                    .unwrap();
                assert!(accepted > count / 10, "{acceptance:?}, {erased}: {accepted}");
            }
            let moved: Vec<u8> = objects.iter().map(|cell| (cell - 1) as u8).collect();
            let after = distance(&moved, energy.as_ref());
            assert!(after.abs() < 4.5, "{acceptance:?}, {erased} erased: {after}");
        }
    }
}
