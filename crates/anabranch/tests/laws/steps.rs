//! What a chain owes its steps: kernels with a ratio alone are scored as they were made, sources are any law, conditions reach every
//! kernel, and a failure stops the walk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anabranch::chain::{Batch, Chain, Info, LogWeight, Source, Step};
use anabranch::error::Failure;

use super::gaussian::GaussianDenoiser;
use super::instances::*;

/// A Metropolis step of a random walk, which leaves a density invariant: `P_B = P_F` in equilibrium, so that the ratio is
/// `log p(s_{t-1}) - log p(s_t)`.
struct Metropolis {
    target: DiagonalGaussian,
    scale: f32,
    walked: AtomicUsize,
}

impl Metropolis {
    fn walk(&self, from: State, noise: &Noise) -> Result<Step, Failure> {
        self.walked.fetch_add(1, Ordering::Relaxed);
        let [rows, columns] = from.dims();
        let jump = matrix(noise.normal(rows, columns), columns, &from.device()) * self.scale;
        let proposed = from.clone() + jump;
        let (before, after) = (self.log_density(&from)?, self.log_density(&proposed)?);
        let u = noise.purpose(Purpose::Choice).uniform(rows, 1);
        let accepted: Vec<bool> =
            (0..rows).map(|row| f64::from(u[row]).ln() < after[row] - before[row]).collect();
        let parts: Vec<State> = (0..rows)
            .map(|row| {
                if accepted[row] { &proposed } else { &from }.clone().slice([row..row + 1, 0..columns])
            })
            .collect();
        let state = Tensor::cat(parts, 0);
        let ratio = self.ratio(&from, &state)?;
        let info: Info = vec![("acceptance", accepted.iter().map(|a| f32::from(u8::from(*a))).collect())];
        Ok(Step::of_ratio(state, ratio).with_info(info))
    }

    fn log_density(&self, x: &State) -> Result<Vec<f64>, Failure> {
        Ok(to_vec_f64(log_density(&self.target, x, NOTHING)?))
    }

    /// `log p(from) - log p(to)`, the same number forward from `from` as backward.
    fn ratio(&self, from: &State, to: &State) -> Result<LogWeight, Failure> {
        Ok(log_density(&self.target, from, NOTHING)? - log_density(&self.target, to, NOTHING)?)
    }
}

impl Transition for Metropolis {
    fn forward(&self, from: State, _: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.walk(from, noise)
    }

    fn backward(&self, from: State, _: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.walk(from, noise)
    }

    fn score(&self, before: &State, after: &State, _: &Given) -> Result<Score, Failure> {
        Ok(Score::Ratio(self.ratio(before, after)?))
    }
}

/// A family whose one kernel is such a step.
#[derive(Clone)]
struct Walk(Arc<Metropolis>);

impl Segment for Walk {
    fn kind(&self) -> &'static str {
        "walk"
    }

    fn inner_dimension(&self) -> usize {
        2
    }

    fn outer_dimension(&self) -> usize {
        2
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        vec![Box::new(Lent(&self.0))]
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}

struct Lent<'a>(&'a Metropolis);

impl Transition for Lent<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.0.forward(from, given, noise)
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.0.backward(from, given, noise)
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        self.0.score(before, after, given)
    }
}

/// A flow, a Metropolis step, and a flow again: a stochastic normalizing flow (Wu, Köhler, Noé 2020).
fn walking() -> (Model, Arc<Metropolis>) {
    let walk = Arc::new(Metropolis {
        target: DiagonalGaussian { mean: vec![0.5, -0.4], std: vec![0.6, 1.2], log_z: 0.0 },
        scale: 0.8,
        walked: AtomicUsize::new(0),
    });
    let flow = |scale: f32| -> Box<dyn Segment> {
        Box::new(Flow::new(2, vec![Box::new(Standardise::new(vec![0.3, -0.2], vec![scale, 0.9]))]))
    };
    (Model::new(vec![flow(0.8), Box::new(Walk(walk.clone())), flow(1.1)]), walk)
}

/// The weights of a chain with a Metropolis step have mean Z, a generated path is scored without a new draw, and what the step has
/// to tell is seen and changes nothing.
#[test]
fn metropolis_steps_are_scored_never_redrawn() {
    let (model, walk) = walking();
    let target = DiagonalGaussian { mean: vec![0.7, -0.6], std: vec![0.5, 1.0], log_z: -0.8 };
    let log_weights =
        to_vec_f64(forward_log_weights(&model, &target, 40_000, NOTHING, &noise(601)).expect("a density"));
    let found = evidence(&log_weights);
    assert!(found.ess > 0.1 && (found.log_z.value + 0.8).abs() < 4.0 * found.log_z.error, "{found:?}");
    let mut told = Vec::new();
    let chain = model.chain();
    let generated = chain
        .generate_observed(50, NOTHING, &noise(602), |_, _, info| told.extend(info.iter().cloned()))
        .unwrap();
    assert!(told.len() == 1 && told[0].0 == "acceptance" && told[0].1.len() == 50);
    let states = States::draw(&model, 50, NOTHING, &noise(602)).unwrap();
    let before = walk.walked.load(Ordering::Relaxed);
    let (path, _) = Path::scored(&model, &states, NOTHING, &noise(603)).unwrap();
    assert_eq!(walk.walked.load(Ordering::Relaxed), before, "scored as it was made");
    let (generated, scored) = (to_vec_f64(-generated.log_weight), to_vec_f64(path.total()));
    assert!(largest_difference(&generated, &scored) < 1e-4, "{generated:?} {scored:?}");
}

/// A normal source with another mean for each condition.
struct Shifted;

impl Source for Shifted {
    fn sample(&self, rows: usize, given: &Given, noise: &Noise) -> Result<State, Failure> {
        let device = Device::flex();
        let normal = matrix(noise.normal(rows, 2), 2, &device) * 0.7;
        Ok(normal + given.tensor(&device).expect("a condition"))
    }

    fn log_density(&self, state: &State, given: &Given) -> Result<LogWeight, Failure> {
        let centred = state.clone() - given.tensor(&state.device()).expect("a condition");
        let law = DiagonalGaussian { mean: vec![0.0; 2], std: vec![0.7; 2], log_z: 0.0 };
        log_density(&law, &centred, NOTHING)
    }
}

/// Any law can stand at the source, under a condition too; the simulation-free bound, which is of paths from the standard normal,
/// gives way to a simulated one.
#[test]
fn any_law_is_a_source() {
    let (model, _) = walking();
    let model = model.with_source(Arc::new(Shifted));
    let given = Given::rows(2, vec![0.9, -0.3]);
    let target = DiagonalGaussian { mean: vec![1.0, -0.6], std: vec![0.6, 0.9], log_z: 2.1 };
    let log_weights =
        to_vec_f64(forward_log_weights(&model, &target, 40_000, &given, &noise(611)).expect("a density"));
    let found = evidence(&log_weights);
    assert!(found.ess > 0.05 && (found.log_z.value - 2.1).abs() < 4.0 * found.log_z.error, "{found:?}");
    let diffusion = diffusion(
        NoiseSchedule::Fixed(log_linear(6, -4.0, 4.0)),
        Prediction::Noise,
        Observation::Continuous,
        2,
    );
    let model = Model::new(vec![Box::new(diffusion)]);
    let x = states(20, 2, 1.0, 612);
    let local = doubles(model.bound(x.clone(), NOTHING, &noise(613)).unwrap());
    let model = model.with_source(Arc::new(Shifted));
    let bound = doubles(model.bound(x.clone(), &given, &noise(613)).unwrap());
    let whole = doubles(model.chain().encode(x, &given, &noise(613)).unwrap().log_weight);
    assert!(largest_difference(&bound, &whole) < 1e-4 && largest_difference(&bound, &local) > 0.1);
}

/// Law 6 under conditions: data whose mean is the condition, the exact denoiser, every parametrisation. The bound of each row is
/// that of its own condition, whatever the others of the batch are given, and samples follow it.
#[test]
fn law_6_under_conditions() {
    for prediction in [Prediction::Noise, Prediction::Signal, Prediction::Velocity, Prediction::Score] {
        let denoiser = GaussianDenoiser::skew(prediction.clone());
        let law = denoiser.law();
        let model = Model::new(vec![Box::new(Diffusion {
            denoiser: Box::new(denoiser),
            prediction: prediction.clone(),
            schedule: NoiseSchedule::Fixed(log_linear(100, -9.0, 12.0)),
            observation: Observation::Continuous,
            last_mean: LastMean::Denoised,
            weighting: Weighting::Bound,
        })]);
        let (rows, shifts) = (2000, [[0.0f32, 0.0, 0.0], [2.0, -1.0, 0.5]]);
        let given = Given::rows(3, (0..rows).flat_map(|row| shifts[row % 2]).collect());
        let condition = given.tensor(&Device::flex()).expect("a condition");
        let centred = law.draw(rows, &noise(621).purpose(Purpose::Target)).expect("exact");
        let centred = matrix(centred, 3, &Device::flex());
        let x = centred.clone() + condition;
        let exact = to_vec_f64(log_density(&law, &centred, NOTHING).expect("a density"));
        let gap = |values: &[f64]| {
            Estimate::mean(&exact.iter().zip(values).map(|(e, v)| e - v).collect::<Vec<f64>>())
        };
        let bound = doubles(model.bound(x.clone(), &given, &noise(622)).unwrap());
        let path = doubles(model.chain().encode(x.clone(), &given, &noise(623)).unwrap().log_weight);
        // As far below the density as without conditions.
        let plain = gap(&doubles(model.bound(centred, NOTHING, &noise(622)).unwrap()));
        for found in [gap(&bound), gap(&path)] {
            let error = found.error.hypot(plain.error);
            assert!((found.value - plain.value).abs() < 4.0 * error, "{prediction:?}: {found:?} {plain:?}");
        }
        let ode = model.ode_chain(40, Divergence::Exact).encode(x.clone(), &given, &noise(624)).unwrap();
        let ode = gap(&doubles(ode.log_weight));
        assert!(ode.value.abs() < 4.0 * ode.error + 0.01, "{prediction:?}: {ode:?}");
        let others = Given::rows(3, (0..rows).flat_map(|row| shifts[(row + 1) % 2]).collect());
        let wrong = gap(&doubles(model.bound(x.clone(), &others, &noise(622)).unwrap()));
        assert!(wrong.value > plain.value + 1.0, "{prediction:?}: {wrong:?}, under each other's conditions");
        // A row alone, under a condition that is shared, is the row in the batch.
        let alone = Given::rows(3, given.row(7).to_vec());
        let one = Batch::select(&x, &[7]);
        let found = doubles(model.bound(one, &alone, &noise(622).from_trajectory(7)).unwrap());
        assert!((found[0] - bound[7]).abs() < 1e-3, "{prediction:?}: {} {}", found[0], bound[7]);
        let samples =
            Sampler::Ancestral.sample(&model, 4000, &given.range(0, 200).repeat(20), &noise(625)).unwrap();
        for (i, shift) in shifts.iter().enumerate() {
            // Conditions alternate every twenty rows.
            let own = samples.chunks_exact(3).enumerate().filter(|(row, _)| row / 20 % 2 == i);
            let first: Vec<f64> = own.map(|(_, row)| f64::from(row[0])).collect();
            let mean = Estimate::mean(&first);
            let exact = 0.7 + f64::from(shift[0]);
            assert!((mean.value - exact).abs() < 4.0 * mean.error + 0.02, "{prediction:?}: {mean:?} {exact}");
        }
    }
}

/// A step that fails after so many rows.
struct Failing;

impl Transition for Failing {
    fn forward(&self, _: State, _: &Given, _: &Noise) -> Result<Step, Failure> {
        Err(Failure::Skip("no answer".to_owned()))
    }

    fn backward(&self, _: State, _: &Given, _: &Noise) -> Result<Step, Failure> {
        Err(Failure::Skip("no answer".to_owned()))
    }

    fn score(&self, _: &State, _: &State, _: &Given) -> Result<Score, Failure> {
        Err(Failure::Skip("no answer".to_owned()))
    }
}

#[test]
fn a_failing_step_ends_the_walk_with_its_failure() {
    let source = anabranch::model::StandardNormal::new(2);
    let chain = Chain { source: Box::new(source), transitions: vec![Box::new(Failing)] };
    let failed = |failure: Failure| matches!(failure, Failure::Skip(reason) if reason == "no answer");
    assert!(failed(chain.generate(3, NOTHING, &noise(631)).unwrap_err()));
    assert!(failed(chain.sample(3, NOTHING, &noise(631)).unwrap_err()));
    assert!(failed(chain.encode(states(3, 2, 1.0, 632), NOTHING, &noise(631)).unwrap_err()));
}
