//! Our side of `benchmarks/run.py`: `bench CASE --threads N` times one case and prints one JSON line.

mod gflownets;

use std::time::Instant;

use anabranch::array::matmul::multiply;
use anabranch::chain::{Given, State};
use anabranch::kernel::discrete_mcmc::{CategoricalKernel, LatticeGibbs};
use anabranch::recipe::{ChainPlan, Plan, TargetData, read};
use anabranch::rng::{Noise, Purpose};
use anabranch::target::learned::{EnergyForm, Independent};
use anabranch::target::log_density;
use anabranch::train::Training;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The trainings differ from a user's in nothing but what the peers leave out too: clipping, averaging, evaluation.
const PLAIN: &str = r#"
[optimizer]
learning_rate = 1e-3
schedule = "constant"
clip_norm = 0.0

[training]
steps = 1000000000
evaluate_every = 0
checkpoint_every = 0
ema = 0.0
"#;

const DDPM: &str = r#"
name = "ddpm"
[target]
kind = "table"
source = "digits"
[[model]]
kind = "diffusion"
schedule = "linear"
levels = 1000
embedding = 32
hidden = [256, 256, 256]
prediction = "noise"
weighting = "simple"
"#;

const FLOW: &str = r#"
name = "flow"
[target]
kind = "energy"
energy = { kind = "gaussian", mean = [0, 0, 0, 0, 0, 0, 0, 0], std = [1, 1, 1, 1, 1, 1, 1, 1] }
[[model]]
kind = "flow"
layers = 5
bins = 8
hidden = [128, 128]
activation = "relu"
"#;

/// A fixed ladder and step, resampled at every temperature, as the peer does it.
const SMC: &str = r#"
name = "smc"
[target]
kind = "energy"
energy = { kind = "many-well", dimension = 32 }
[[model]]
kind = "annealing"
steps = 64
ladder = "even"
step = 0.1
kernel = { kind = "hmc", leapfrogs = 5 }
[smc]
particles = 2000
threshold = 1.0
"#;

const DDS: &str = r#"
name = "dds"
[objective]
kind = "reverse-kl"
[target]
kind = "energy"
energy = { kind = "funnel", dimension = 10, std = 3.0 }
[[model]]
kind = "controlled"
steps = 64
std = 2.0
"#;

const MCD: &str = r#"
name = "mcd"
[objective]
kind = "reverse-kl"
[target]
kind = "energy"
energy = { kind = "logistic-regression", source = "sonar" }
[[model]]
kind = "langevin"
steps = 64
step = { size = 0.002, learned = true }
ladder = "learned"
base = { learned = true }
"#;

/// Masked diffusion of 64 sites by a transformer with a token for each.
const MASKED: &str = r#"
name = "masked"
[target]
kind = "lattice"
sides = [8, 8]
coupling = 0.1
rows = 2000
[[model]]
kind = "jump"
rates = "absorbing"
levels = 64
embedding = 0
network = { kind = "transformer", layers = 3, heads = 4, width = 64 }
"#;

/// An energy and a flow network on the 10 x 10 lattice, all sites of a datum being erased.
const EB_GFN: &str = r#"
name = "eb-gfn"
[target]
kind = "lattice"
sides = [10, 10]
coupling = 0.1
rows = 2000
[[model]]
kind = "energy-flow-network"
energy = { kind = "ising" }
l1 = 0.15
network = { kind = "mlp", hidden = [256, 256], activation = "relu" }
back_ratio = 0.0
warm_up = 1
"#;

const COUPLING: &str = "residual = true\nbound = 3.0\nmixing = \"lu\"\npass_spline = true\n";
const AUTOREGRESSIVE: &str = "coupling = \"autoregressive\"\nbound = 5.0\nmixing = \"reversal\"\n";

fn plan(text: &str, batch: usize) -> Box<ChainPlan> {
    let text = format!("{text}{PLAIN}batch = {batch}\n");
    match Plan::new(read("bench", &text, &[]).expect("the recipe reads")).expect("the recipe builds") {
        Plan::Chain(plan) => plan,
        Plan::GFlowNet(_) => unreachable!("the recipes above are of chains"),
    }
}

/// Milliseconds per call of each of `blocks` timed blocks of `inner` calls, after a warm-up of one block.
fn measure(blocks: usize, inner: usize, mut call: impl FnMut()) -> Vec<f64> {
    (0..inner).for_each(|_| call());
    let block = |_| {
        let start = Instant::now();
        (0..inner).for_each(|_| call());
        1e3 * start.elapsed().as_secs_f64() / inner as f64
    };
    (0..blocks).map(block).collect()
}

fn train(text: &str, batch: usize, blocks: usize, inner: usize) -> (Vec<f64>, f64) {
    let plan = plan(text, batch);
    let mut trainer = plan.training(false, &|_| true).expect("it starts");
    let mut loss = f64::NAN;
    let times = measure(blocks, inner, || loss = trainer.step().expect("a finite step").loss);
    (times, loss)
}

fn sample(text: &str, rows: usize, blocks: usize, inner: usize) -> (Vec<f64>, f64) {
    let plan = plan(text, 16);
    let mut trainer = plan.start().expect("it starts");
    // A few steps away from the start, where a flow is the identity.
    for _ in 0..20 {
        trainer.step().expect("a finite step");
    }
    let model = plan.model.with_weights(trainer.trained());
    let (mut seed, mut check) = (0, f64::NAN);
    let times = measure(blocks, inner, || {
        seed += 1;
        let noise = Noise::new(seed, Purpose::Source);
        let samples = plan.recipe.sampler.sample(&model, rows, &Given::nothing(), &noise);
        let samples = samples.expect("kernels that do not fail");
        check = samples.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / samples.len() as f64;
    });
    (times, check)
}

fn particles(text: &str, blocks: usize, inner: usize) -> (Vec<f64>, f64) {
    let plan = plan(text, 16);
    let (Some(smc), TargetData::Energy(energy)) = (plan.recipe.smc, &plan.data) else {
        unreachable!("the recipe is of particles on an energy")
    };
    let chain = plan.model.chain();
    let log_reward = |x: &State, given: &Given| log_density(energy.as_ref(), x, given);
    let levels = |index: usize, x: &State, given: &Given| chain.transitions[index].level(x, given);
    let (mut seed, mut check) = (0, f64::NAN);
    let times = measure(blocks, inner, || {
        seed += 1;
        let noise = Noise::new(seed, Purpose::Source);
        let found = smc.run(&chain, &log_reward, &levels, smc.particles, &Given::nothing(), &noise);
        check = found.expect("an energy that answers").log_z;
    });
    (times, check)
}

/// Ten scans of 256 tori of 64 x 64 spins at the critical coupling, by one coupling or by one for each bond: `check` is the mean spin.
fn gibbs(learned: bool) -> (Vec<f64>, f64) {
    const CHAINS: usize = 256;
    const SIDE: usize = 64;
    const SCANS: usize = 10;
    let (sites, coupling) = (SIDE * SIDE, 0.4406868);
    let mut states = Independent::uniform(sites, 2).draw(CHAINS, &Noise::new(1, Purpose::Source));
    let torus = EnergyForm::Ising { torus: Some([SIDE, SIDE]) }.family(Independent::uniform(sites, 2));
    let weights = [vec![coupling as f32; 2 * sites], vec![0.0; sites]].concat();
    let (energy, lattice) = (torus.with(&weights), LatticeGibbs::new([SIDE, SIDE], coupling, 0.0));
    let mut done = 0;
    let times = measure(7, 4, || {
        let noise = Noise::new(2, Purpose::Choice).step(done);
        match learned {
            true => drop(CategoricalKernel::Gibbs.walk(&energy, &mut states, SCANS, &noise, false)),
            false => lattice.sweeps(&mut states, done, SCANS as u32, &noise),
        }
        done += SCANS as u32;
    });
    (times, states.iter().map(|x| f64::from(*x)).sum::<f64>() / states.len() as f64)
}

fn gemm(size: usize, inner: usize) -> (Vec<f64>, f64) {
    let noise = Noise::new(1, Purpose::Weights);
    let (a, b) = (noise.normal(size, size), noise.step(1).normal(size, size));
    let mut c = vec![0.0; size * size];
    let times = measure(9, inner, || {
        multiply(&a, &b, [size; 3], &mut c);
    });
    (times, f64::from(c[size + 1]))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let case = arguments.first().map_or("", String::as_str);
    let threads = match arguments.iter().position(|argument| argument == "--threads") {
        Some(at) => arguments.get(at + 1).and_then(|n| n.parse().ok()).unwrap_or(0),
        None => 1,
    };
    if threads == 0 {
        eprintln!("--threads: found no number; allowed: an integer of at least 1");
        std::process::exit(2);
    }
    // As in the program, the main thread is one of the pool's.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread();
    pool.build_global().expect("the pool is not yet built");
    let coupling = format!("{FLOW}{COUPLING}");
    let autoregressive = format!("{FLOW}{AUTOREGRESSIVE}");
    let mut length = None;
    let (times, check) = match case {
        "gemm_256" => gemm(256, 640),
        "gemm_1024" => gemm(1024, 10),
        "ddpm_train" => train(DDPM, 256, 9, 100),
        "ddpm_sample" => sample(DDPM, 1000, 3, 1),
        "rqs_coupling_train" => train(&coupling, 512, 7, 20),
        "rqs_coupling_sample" => sample(&coupling, 512, 7, 20),
        "rqs_autoregressive_train" => train(&autoregressive, 512, 7, 20),
        "rqs_autoregressive_sample" => sample(&autoregressive, 512, 7, 10),
        "smc_manywell" => particles(SMC, 5, 2),
        "dds_train" => train(DDS, 128, 5, 10),
        "mcd_train" => train(MCD, 64, 5, 10),
        "masked_train" => train(MASKED, 64, 5, 5),
        "masked_sample" => sample(MASKED, 64, 5, 5),
        "gibbs_lattice" => gibbs(false),
        "gibbs_couplings" => gibbs(true),
        "eb_gfn_ising" => train(EB_GFN, 64, 5, 4),
        other if gflownets::case(other).is_some() => {
            let case = gflownets::case(other).expect("just found");
            let (times, loss, moves) = case.time(other);
            length = Some(moves);
            (times, loss)
        }
        other => {
            let cases = "gemm_256, gemm_1024, ddpm_train, ddpm_sample, rqs_coupling_train, rqs_coupling_sample, \
                         rqs_autoregressive_train, rqs_autoregressive_sample, smc_manywell, dds_train, mcd_train, \
                         eb_gfn_ising, masked_train, masked_sample, gibbs_lattice, \
                         gibbs_couplings";
            eprintln!("CASE: found \"{other}\"; allowed: {cases}");
            std::process::exit(2);
        }
    };
    let mut sorted = times.clone();
    sorted.sort_by(f64::total_cmp);
    let line = json!({
        "case": case,
        "peer": "anabranch",
        "versions": { "anabranch": env!("CARGO_PKG_VERSION") },
        "threads": threads,
        "ms": sorted[sorted.len() / 2],
        "ms_all": times,
        "check": check,
        "length": length,
    });
    println!("{line}");
}
