//! Jump processes on spaces that are small enough to be listed.

use std::sync::Arc;

use anabranch::chain::Chain;
use anabranch::estimate::likelihood::{Bound, row_nlls};
use anabranch::kernel::categorical::categories;
use anabranch::objective::ForwardKl;
use anabranch::rng::Address;
use anabranch::train::Training;
use anabranch::train::chain::{ChainTask, ChainTrainer, Ends};

use super::instances::*;

/// The exact conditional law of every coordinate, by listing the data.
#[derive(Debug, Clone)]
struct Exact {
    process: Arc<Process>,
    clock: Clock,
    answer: Answer,
    dimension: usize,
    /// Masses of all data, the first coordinate slowest.
    law: Vec<f64>,
}

/// The digits of `index` in base `values`.
pub fn digits(index: usize, values: usize, dimension: usize) -> Vec<usize> {
    (0..dimension).rev().map(|place| index / values.pow(place as u32) % values).collect()
}

impl CategoricalDenoiser for Exact {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn logits(&self, x: &State, time: Tensor<2>, _: &Given) -> Tensor<2> {
        let (values, states) = (self.process.values(), self.process.states());
        let times = to_vec(time);
        let all = categories(x);
        let mut logits = Vec::new();
        for (row, x) in all.chunks(self.dimension).enumerate() {
            let time = times[if times.len() == 1 { 0 } else { row }];
            let noising = self.process.kernel(self.clock.survival(f64::from(time)));
            let mut sums = vec![0.0f64; self.dimension * states];
            for (index, mass) in self.law.iter().enumerate() {
                let data = digits(index, values, self.dimension);
                let of = |d: usize| noising.mass(data[d], usize::from(x[d]));
                for d in 0..self.dimension {
                    let own = if self.answer == Answer::Signal { of(d) } else { 1.0 };
                    let others: f64 = (0..self.dimension).filter(|e| *e != d).map(of).product();
                    match self.answer {
                        Answer::Marginal => {
                            (0..values).for_each(|y| {
                                sums[d * states + y] += mass * others * noising.mass(data[d], y)
                            });
                        }
                        _ => sums[d * states + data[d]] += mass * own * others,
                    }
                }
            }
            logits.extend(sums.iter().map(|sum| sum.max(1e-30).ln() as f32));
        }
        matrix(logits, self.dimension * states, &x.device())
    }

    fn boxed(&self) -> Box<dyn CategoricalDenoiser> {
        Box::new(self.clone())
    }
}

const ALL: [Rates; 4] = [Rates::Uniform, Rates::Absorbing, Rates::BirthDeath, Rates::Gaussian(1.2)];

fn law(states: usize) -> Vec<f64> {
    let raw: Vec<f64> = (0..states).map(|i| 0.1 + ((i * 7 + 3) % 5) as f64).collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|mass| mass / sum).collect()
}

fn exact(rates: Rates, answer: Answer, scheme: Scheme, levels: usize, dimension: usize) -> Model {
    let process = Arc::new(Process::new(rates, 3));
    let law = law(3usize.pow(dimension as u32));
    let clock = Clock::Linear;
    let denoiser = Box::new(Exact { process: process.clone(), clock, answer, dimension, law });
    Model::new(vec![Box::new(Jump {
        denoiser,
        process,
        answer,
        scheme,
        clock,
        levels,
        loss: Loss::Bound(0.0),
        corrector: 0,
    })])
}

/// Of one coordinate the analytic step is the exact posterior: along every path, of any number of steps, the log-weight is `log p(x)`.
#[test]
fn of_one_coordinate_every_path_has_the_exact_likelihood() {
    let rows: Vec<f32> = [0.0, 1.0, 2.0].repeat(40);
    for rates in ALL {
        for answer in [Answer::Signal, Answer::Conditional] {
            for levels in [1, 2, 7] {
                let model = exact(rates, answer, Scheme::Ancestral, levels, 1);
                for bound in [Bound::Path, Bound::Importance(3)] {
                    let found = row_nlls(&model, &rows, NOTHING, bound, &noise(500)).unwrap();
                    for (row, found) in rows.iter().zip(found) {
                        let expected = -law(3)[*row as usize].ln();
                        assert!((found - expected).abs() < 2e-4, "{rates:?} {answer:?} {levels}: {found}");
                    }
                }
            }
        }
    }
}

/// Such a model, sampled by the rates of the mixture path.
fn followed(model: &Model, eta: f64) -> Model {
    Sampler::Discrete(Sampling { eta: Some(eta), ..Sampling::default() }).model(model)
}

/// So it is along the mixture path, whatever is noised again: the reversal is Bayes' rule too.
#[test]
fn of_one_coordinate_mixture_paths_have_the_exact_likelihood() {
    let rows: Vec<f32> = [0.0, 1.0, 2.0].repeat(40);
    for rates in [Rates::Uniform, Rates::Absorbing] {
        for answer in [Answer::Signal, Answer::Conditional] {
            for (levels, eta) in [(1, 0.0), (2, 0.0), (7, 0.0), (2, 1.5), (7, 1.5), (7, 60.0)] {
                let model = followed(&exact(rates, answer, Scheme::Ancestral, levels, 1), eta);
                let found = row_nlls(&model, &rows, NOTHING, Bound::Path, &noise(501)).unwrap();
                for (row, found) in rows.iter().zip(found) {
                    let expected = -law(3)[*row as usize].ln();
                    let name = format!("{rates:?} {answer:?} {levels} {eta}");
                    assert!((found - expected).abs() < 2e-4, "{name}: {found} and {expected}");
                }
            }
        }
    }
}

/// All states of two coordinates.
fn listed(states: usize) -> State {
    let all = (0..states * states).flat_map(|index| digits(index, states, 2)).map(|x| x as f32);
    matrix(all.collect(), 2, &Device::flex())
}

/// The law of the end of a chain over two coordinates, by its kernels alone.
pub fn ends(chain: &Chain<'_>, states: usize) -> Vec<f64> {
    let all = listed(states);
    let count = states * states;
    let source = chain.source.log_density(&all, NOTHING).unwrap();
    let mut masses: Vec<f64> = doubles(source).iter().map(|log| log.exp()).collect();
    let numbers = |index: usize| vec![index as u32; count];
    for transition in &chain.transitions {
        let mut next = vec![0.0; count];
        for (from, mass) in masses.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
            let before = anabranch::chain::Batch::select(&all, &numbers(from));
            let found = densities_of(transition.as_ref(), &before, &all).expect("jumps have masses").forward;
            let row: Vec<f64> = doubles(found).iter().map(|log| log.exp()).collect();
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-4, "masses of a step sum to one");
            next.iter_mut().zip(row).for_each(|(next, step)| *next += mass * step);
        }
        masses = next;
    }
    masses
}

/// With exact conditionals every scheme's law tends to that of the data, at first order in the length of its steps.
#[test]
fn schemes_converge_at_first_order() {
    for rates in ALL {
        for (answer, scheme) in [
            (Answer::Signal, Scheme::Ancestral),
            (Answer::Signal, Scheme::Euler),
            (Answer::Conditional, Scheme::TauLeaping),
            (Answer::Marginal, Scheme::TauLeaping),
        ] {
            if answer == Answer::Marginal && rates == Rates::Absorbing {
                continue;
            }
            let distance = |levels: usize| {
                let model = exact(rates, answer, scheme, levels, 2);
                let states = 3 + usize::from(rates == Rates::Absorbing);
                let found = ends(&model.chain(), states);
                let expected = law(9);
                let at = |index: usize| digits(index, states, 2);
                let of_data = |x: &[usize]| if x.contains(&3) { 0.0 } else { expected[x[0] * 3 + x[1]] };
                found.iter().enumerate().map(|(i, mass)| (mass - of_data(&at(i))).abs()).sum::<f64>() / 2.0
            };
            let [coarse, fine] = [24, 96].map(distance);
            let name = format!("{rates:?} {answer:?} {scheme:?}: {coarse} and {fine}");
            assert!(fine < 0.03, "{name}");
            assert!((2.4..6.5).contains(&(coarse / fine)), "{name}");
        }
    }
}

/// Along the mixture path, too, and whatever is noised again.
#[test]
fn mixture_paths_converge_at_first_order() {
    for rates in [Rates::Uniform, Rates::Absorbing] {
        let states = 3 + usize::from(rates == Rates::Absorbing);
        for eta in [0.0, 3.0] {
            let distance = |levels: usize| {
                let model = followed(&exact(rates, Answer::Signal, Scheme::Ancestral, levels, 2), eta);
                let found = ends(&model.chain(), states);
                let expected = law(9);
                let of_data = |x: &[usize]| if x.contains(&3) { 0.0 } else { expected[x[0] * 3 + x[1]] };
                let gap = |(i, mass): (usize, &f64)| (mass - of_data(&digits(i, states, 2))).abs();
                found.iter().enumerate().map(gap).sum::<f64>() / 2.0
            };
            let [coarse, fine] = [24, 96].map(distance);
            let name = format!("{rates:?} {eta}: {coarse} and {fine}");
            assert!(fine < 0.02, "{name}");
            assert!((2.4..6.5).contains(&(coarse / fine)), "{name}");
        }
    }
}

/// Under a mask, without noising again, the mixture path's steps are the ancestral ones.
#[test]
fn masked_rates_without_noise_are_ancestral() {
    let trained = exact(Rates::Absorbing, Answer::Signal, Scheme::Ancestral, 6, 2);
    let model = followed(&trained, 0.0);
    let path = |model: &Model| {
        let paths = model.chain().generate(400, NOTHING, &noise(505)).unwrap();
        (categories(&paths.end), to_vec_f64(paths.log_weight))
    };
    let [(ends, weights), (expected, own)] = [path(&model), path(&trained)];
    assert_eq!(ends, expected);
    assert!(weights.iter().zip(&own).all(|(a, b)| (a - b).abs() < 1e-4));
}

/// Numbers of the time's embedding: of 4 the slowest turns 1.6 times on the way, so that early times are not told from late ones.
const EMBEDDING: usize = 8;

/// A network that learns the cross-entropy of the data given what is left of them at a time has their law, which coordinates that are drawn
/// independently are far from, and so have its draws by all rates.
#[test]
fn cross_entropies_learn_correlated_rows() {
    let law = law(9);
    let rows: Vec<f32> = law
        .iter()
        .enumerate()
        .flat_map(|(index, mass)| {
            let row = digits(index, 3, 2).into_iter().map(|x| x as f32).collect::<Vec<_>>();
            row.repeat((mass * 4000.0).round() as usize)
        })
        .collect();
    let share = |d: usize, value: usize| -> f64 {
        law.iter().enumerate().filter(|(i, _)| digits(*i, 3, 2)[d] == value).map(|(_, mass)| mass).sum()
    };
    let independent = |i: usize| share(0, i / 3) * share(1, i % 3);
    let far = law.iter().enumerate().map(|(i, mass)| (mass - independent(i)).abs()).sum::<f64>() / 2.0;
    assert!(far > 0.2, "{far}");
    for (rates, answer, clock) in [
        (Rates::Uniform, Answer::Signal, Clock::Linear),
        (Rates::Uniform, Answer::Conditional, Clock::Linear),
        (Rates::Absorbing, Answer::Signal, Clock::Cosine),
    ] {
        let process = Arc::new(Process::new(rates, 3));
        let (states, embedding) = (process.states(), EMBEDDING);
        let network = match answer {
            Answer::Conditional => {
                let sizes = [2, states, embedding];
                Classifier::Hollow(HollowNetwork::new("net", sizes, &[32, 32], Activation::Silu, 5, 0))
            }
            _ => Classifier::Open(network(2 * states, embedding, 2 * states, false)),
        };
        let denoiser = Box::new(CategoryNetwork { network, states, embedding });
        let (scheme, loss, levels) = (Scheme::Ancestral, Loss::CrossEntropy, 40);
        let jump = Jump { denoiser, process, answer, scheme, clock, levels, loss, corrector: 0 };
        let model = Model::new(vec![Box::new(jump)]);
        let ends = Ends::Rows { rows: &rows, columns: 2, given: NOTHING };
        let mut task = ChainTask::new(model.clone(), ends, Arc::new(ForwardKl::default()));
        task.optimizer.learning_rate = 1e-2;
        task.training.batch = 128;
        let mut trainer = ChainTrainer::new(task).unwrap();
        for _ in 0..1200 {
            trainer.step().unwrap();
        }
        let trained = model.with_weights(trainer.trained());
        let drawn = |model: &Model| {
            let count = 8000;
            let ends = categories(&model.chain().sample(count, NOTHING, &noise(506)).unwrap());
            let mut shares = [0.0; 9];
            ends.chunks(2)
                .for_each(|x| shares[usize::from(x[0]) * 3 + usize::from(x[1])] += 1.0 / count as f64);
            shares.iter().zip(&law).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
        };
        let found =
            [trained.clone(), followed(&trained, 0.0), followed(&trained, 1.0)].map(|model| drawn(&model));
        assert!(found.iter().all(|tv| *tv < 0.06), "{rates:?} {answer:?} {clock:?}: {found:?} of {far}");
    }
}

/// The bound by single steps has the mean of that by whole paths, and is below the exact log-likelihood.
#[test]
fn single_steps_estimate_the_bound_of_paths() {
    for (name, model) in jumps(3, 4) {
        let rows: Vec<f32> = [0.0, 3.0, 1.0].repeat(4000);
        let mean = |bound| Estimate::mean(&row_nlls(&model, &rows, NOTHING, bound, &noise(510)).unwrap());
        let (single, whole) = (mean(Bound::Lower(6)), mean(Bound::Path));
        let error = single.error.hypot(whole.error);
        assert!((single.value - whole.value).abs() < 4.0 * error, "{name}: {single:?} and {whole:?}");
        let tighter = mean(Bound::Importance(8));
        assert!(tighter.value < whole.value + 3.0 * error, "{name}: {tighter:?} and {whole:?}");
    }
    let model = exact(Rates::Uniform, Answer::Signal, Scheme::Ancestral, 10, 2);
    let rows: Vec<f32> = [2.0, 1.0].repeat(2000);
    let nlls = row_nlls(&model, &rows, NOTHING, Bound::Path, &noise(511)).unwrap();
    let (found, exact) = (Estimate::mean(&nlls), -law(9)[7].ln());
    assert!(found.value > exact - 3.0 * found.error && found.value < exact + 0.3, "{found:?} and {exact}");
}

/// Jarzynski's equality, the sandwich and importance weights on a table of which log Z is known, of networks that know nothing of it.
#[test]
fn weights_of_jump_chains_have_the_mean_z() {
    let log_rewards: Vec<f64> = (0..9).map(|index| ((index * 5 + 2) % 7) as f64 / 3.0).collect();
    let z: f64 = log_rewards.iter().map(|log| log.exp()).sum();
    for (name, model) in jumps(2, 3) {
        let chain = model.chain();
        let found = chain.generate(20_000, NOTHING, &noise(520)).unwrap();
        let reward = |x: &[u16]| log_rewards[usize::from(x[0]) * 3 + usize::from(x[1])];
        let ends = categories(&found.end);
        let log_weights: Vec<f64> =
            to_vec_f64(found.log_weight).iter().zip(ends.chunks(2)).map(|(log, x)| log + reward(x)).collect();
        let known = evidence(&log_weights);
        let weights = Estimate::mean(&log_weights.iter().map(|log| log.exp()).collect::<Vec<_>>());
        assert!((weights.value - z).abs() < 4.0 * weights.error, "{name}: {weights:?} and {z}");
        assert!(known.elbo.value < z.ln(), "{name}: {known:?}");
        // Exact samples backward: the EUBO is above, and the mean of 1 / w is 1 / Z.
        let drawn = noise(521).at(Address::EXACT_PATHS).uniform(20_000, 1);
        let exact = drawn.iter().flat_map(|u| {
            let mut left = f64::from(*u) * z;
            let index = log_rewards.iter().position(|log| {
                left -= log.exp();
                left < 0.0
            });
            digits(index.unwrap_or(8), 3, 2)
        });
        let x = matrix(exact.map(|x| x as f32).collect(), 2, &Device::flex());
        let logs: Vec<f64> = categories(&x).chunks(2).map(reward).collect();
        let backward = to_vec_f64(chain.encode(x, NOTHING, &noise(522)).unwrap().log_weight);
        let backward: Vec<f64> = backward.iter().zip(logs).map(|(log, reward)| reward - log).collect();
        assert!(Estimate::mean(&backward).value > z.ln(), "{name}");
        let inverse = Estimate::mean(&backward.iter().map(|log| (-log).exp()).collect::<Vec<_>>());
        assert!((inverse.value - 1.0 / z).abs() < 4.0 * inverse.error, "{name}: {inverse:?} and {}", 1.0 / z);
    }
}

/// Under a mask, samples without weights ask the network for rows alone in which something is revealed, and are the same.
#[test]
fn masks_are_taken_away_without_asking_for_what_stays() {
    let process = Arc::new(Process::new(Rates::Absorbing, 3));
    #[derive(Debug, Clone)]
    struct Counting(Box<dyn CategoricalDenoiser>, Arc<std::sync::atomic::AtomicUsize>);
    impl CategoricalDenoiser for Counting {
        fn dimension(&self) -> usize {
            self.0.dimension()
        }

        fn logits(&self, x: &State, time: Tensor<2>, given: &Given) -> Tensor<2> {
            self.1.fetch_add(x.dims()[0], std::sync::atomic::Ordering::Relaxed);
            self.0.logits(x, time, given)
        }

        fn boxed(&self) -> Box<dyn CategoricalDenoiser> {
            Box::new(self.clone())
        }
    }
    for answer in [Answer::Signal, Answer::Conditional] {
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let inner = categorical_network(2, 4, answer == Answer::Conditional);
        let model = Model::new(vec![Box::new(Jump {
            denoiser: Box::new(Counting(inner, asked.clone())),
            process: process.clone(),
            answer,
            scheme: Scheme::Ancestral,
            clock: Clock::Cosine,
            levels: 40,
            loss: Loss::Bound(0.0),
            corrector: 0,
        })]);
        let rows = 500;
        let alone = categories(&model.chain().sample(rows, NOTHING, &noise(530)).unwrap());
        let few = asked.swap(0, std::sync::atomic::Ordering::Relaxed);
        let whole = categories(&model.chain().generate(rows, NOTHING, &noise(530)).unwrap().end);
        // A uniform divided by its chance is rounded.
        let same = alone.iter().zip(&whole).filter(|(a, b)| a == b).count();
        assert!(same + 2 >= 2 * rows, "{same} of {}", 2 * rows);
        // Two coordinates are revealed in two steps at most.
        assert!((rows..=2 * rows).contains(&few), "{few} evaluations");
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 40 * rows);
    }
}

/// With exact conditionals a corrector leaves the law at its time as it is, and mends that of a chain of few steps.
#[test]
fn correctors_keep_the_law_at_their_time() {
    for rates in ALL {
        for answer in [Answer::Signal, Answer::Conditional, Answer::Marginal] {
            if answer == Answer::Marginal && rates == Rates::Absorbing {
                continue;
            }
            let scheme = if answer == Answer::Marginal { Scheme::TauLeaping } else { Scheme::Ancestral };
            let trained = exact(rates, answer, scheme, 4, 2);
            let corrected = |corrector| {
                let sampling = Sampling { corrector, ..Sampling::default() };
                Sampler::Discrete(sampling).model(&trained)
            };
            let states = 3 + usize::from(rates == Rates::Absorbing);
            let place = |x: &[u16]| usize::from(x[0]) * states + usize::from(x[1]);
            let model = corrected(1);
            let chain = model.chain();
            // The second step of the chain is the corrector at level 3 of 4.
            let process = Process::new(rates, 3);
            let noising = process.kernel(Clock::Linear.survival(0.75));
            let mut at = vec![0.0; states * states];
            for (index, mass) in law(9).iter().enumerate() {
                let data = digits(index, 3, 2);
                for (to, sum) in at.iter_mut().enumerate() {
                    *sum += mass * noising.mass(data[0], to / states) * noising.mass(data[1], to % states);
                }
            }
            let rows = 20_000;
            let drawn = noise(540).at(Address::EXACT_PATHS).uniform(rows, 1);
            let x: Vec<f32> = drawn
                .iter()
                .flat_map(|u| digits(usize::from(anabranch::kernel::categorical::drawn(&at, *u)), states, 2))
                .map(|x| x as f32)
                .collect();
            let x = matrix(x, 2, &Device::flex());
            let step = chain.transitions[1].forward(x.clone(), NOTHING, &noise(541)).unwrap();
            let moved = categories(&step.state);
            let mut found = vec![0.0; at.len()];
            moved.chunks(2).for_each(|x| found[place(x)] += 1.0 / rows as f64);
            let stayed = categories(&x).chunks(2).zip(moved.chunks(2)).filter(|(a, b)| a == b).count();
            assert!(stayed < rows * 9 / 10, "{rates:?} {answer:?}: {stayed} of {rows} stayed");
            for (found, p) in found.iter().zip(&at) {
                let error = (p * (1.0 - p) / rows as f64).sqrt().max(1e-4);
                assert!((found - p).abs() < 4.5 * error, "{rates:?} {answer:?}: {found} and {p}");
            }
            // Detailed balance: the ratio of the kernels is that of the masses, and is what scoring answers.
            let scored = match chain.transitions[1].score(&x, &step.state, NOTHING).unwrap() {
                Score::Ratio(ratio) => doubles(ratio),
                _ => panic!("a corrector has a ratio alone"),
            };
            let made = doubles(step.log_ratio);
            for (row, (before, after)) in categories(&x).chunks(2).zip(moved.chunks(2)).enumerate() {
                let balance = (at[place(before)] / at[place(after)]).ln();
                let close = |ratio: f64| (ratio - balance).abs() < 2e-3 * (1.0 + balance.abs());
                assert!(
                    close(made[row]) && close(scored[row]),
                    "{rates:?} {answer:?}: {} {balance}",
                    made[row]
                );
            }
            let distance = |model: &Model| {
                let found = categories(&model.chain().sample(rows, NOTHING, &noise(542)).unwrap());
                let mut shares = [0.0; 9];
                found.chunks(2).for_each(|x| {
                    shares[usize::from(x[0]) * 3 + usize::from(x[1])] += 1.0 / rows as f64;
                });
                shares.iter().zip(law(9)).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
            };
            let (plain, mended) = (distance(&corrected(0)), distance(&corrected(6)));
            assert!(mended < plain + 0.01, "{rates:?} {answer:?}: {plain} and {mended}");
        }
    }
}

/// The law that is listed by going through all states is that of the kernels one by one, and sums to 1.
#[test]
fn listed_laws_are_those_of_the_kernels() {
    for (values, (name, model)) in
        [3, 2].into_iter().flat_map(|n| jumps(2, n).into_iter().map(move |m| (n, m)))
    {
        let states = values + usize::from(name.contains("masked"));
        let all: Vec<f32> =
            (0..values * values).flat_map(|k| digits(k, values, 2)).map(|x| x as f32).collect();
        let law = model.segments()[0].listed_law(&all).expect("few states");
        let by_kernels = ends(&model.chain(), states);
        for (row, found) in all.chunks(2).zip(&law) {
            let expected = by_kernels[row[0] as usize * states + row[1] as usize];
            assert!((found.exp() - expected).abs() < 1e-5, "{name}, {row:?}: {} and {expected}", found.exp());
        }
        let total: f64 = law.iter().map(|log_p| log_p.exp()).sum();
        assert!((total - 1.0).abs() < 1e-6, "{name}: {total}");
    }
    // Too many to be gone through.
    assert!(jumps(20, 2)[0].1.segments()[0].listed_law(&[0.0; 20]).is_none());
}
