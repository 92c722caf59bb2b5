//! What an iteration of trajectory balance costs as the batch, the grid, its dimension and the length of words grow, and what
//! share of the matrix product's peak that is: `cargo run --release --example cost_curves`.
//!
//! A perceptron of two hidden layers of 256; milliseconds are medians. FLOP count the matrix products of the second and last
//! layers, forward once and backward twice for every state at which the network was asked; the first layer is gathered and
//! counts for nothing.

use std::time::Instant;

use anabranch::array::matmul::multiply;
use anabranch::policy::Policy;
use anabranch::recipe::gflownet::Task;
use anabranch::recipe::{Plan, read};
use anabranch::rng::{Noise, Purpose};
use anabranch::train::Training;
use anabranch::train::gflownet::FlowTrainer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// GFLOP/s of a product of two matrices of side 1024 by all threads.
fn peak() -> f64 {
    let side = 1024;
    let noise = Noise::new(0, Purpose::Source);
    let (a, b) = (noise.normal(side, side), noise.step(1).normal(side, side));
    let mut out = vec![0.0; side * side];
    let time = |_| {
        let start = Instant::now();
        multiply(&a, &b, [side; 3], &mut out);
        start.elapsed().as_secs_f64()
    };
    2.0 * (side as f64).powi(3) / median((0..60).map(time).collect()) / 1e9
}

fn row(what: &str, target: &str, batch: usize, peak: f64) {
    let text = format!(
        "name = 'cost'\n[target]\n{target}\n[policy]\nnetwork = {{ kind = 'mlp', hidden = [256, 256] }}\n\
         [optimizer]\nlearning_rate = 1e-3\nschedule = 'constant'\nclip_norm = 0.0\n\
         [training]\nsteps = 1000000000\nbatch = {batch}\ncheckpoint_every = 0\n"
    );
    let plan = Plan::new(read("cost", &text, &[]).expect("the recipe reads")).expect("the recipe builds");
    let Plan::GFlowNet(plan) = plan else { panic!("the target is an environment") };
    let Task::Discrete(task) = plan.task else { panic!("the objects are integers") };
    let outputs = task.model.policy.outputs() as f64;
    let mut trainer = FlowTrainer::new(task.model, task.reward, task.settings, 1).expect("they fit");
    let start = Instant::now();
    let (mut steps, mut times, mut states) = (0, Vec::new(), 0.0);
    while start.elapsed().as_secs_f64() < 3.0 {
        let start = Instant::now();
        trainer.step().expect("a finite step");
        steps += 1;
        // The first ones warm up.
        if steps > 10 {
            times.push(start.elapsed().as_secs_f64());
            states += (trainer.mean_length() + 1.0) * batch as f64;
        }
    }
    let rows = states / times.len() as f64;
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    let time = median(times);
    let share = 6.0 * rows * 256.0 * (256.0 + outputs) / mean / 1e9 / peak;
    println!(
        "| {what} | {batch} | {:.1} | {:.2} | {:.0} | {:.2} | {:.0} % |",
        rows / batch as f64,
        1e3 * time,
        batch as f64 / mean,
        1e6 * mean / rows,
        100.0 * share
    );
}

fn main() {
    let peak = peak();
    println!("{} threads, peak {peak:.0} GFLOP/s\n", rayon::current_num_threads());
    println!("| target | batch | states each | ms | trajectories/s | us a state | of peak |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let grid = |dim: usize, side: usize| {
        format!("kind = 'hypergrid'\ndim = {dim}\nside = {side}\nreward = {{ kind = 'original' }}")
    };
    for batch in [1, 4, 16, 64, 256, 1024] {
        row("grid 20^4", &grid(4, 20), batch, peak);
    }
    for side in [8, 32, 64] {
        row(&format!("grid {side}^4"), &grid(4, side), 64, peak);
    }
    for dim in [2, 8, 16] {
        row(&format!("grid 20^{dim}"), &grid(dim, 20), 64, peak);
    }
    for length in [8, 32, 128, 512] {
        let words = format!(
            "kind = 'strings'\nalphabet = 'ACGT'\nlength = {length}\nreward = {{ kind = 'expression', reward = '1' }}"
        );
        row(&format!("words of {length}"), &words, 64, peak);
    }
}
