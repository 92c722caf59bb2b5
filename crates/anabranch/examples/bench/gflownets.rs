//! The GFlowNet cases: what `benchmarks/peers/gfn_cases.py` says.

use std::sync::Arc;
use std::time::Instant;

use anabranch::environment::Cell;
use anabranch::recipe::gflownet::Task;
use anabranch::recipe::{Plan, read};
use anabranch::rng::{Noise, Purpose};
use anabranch::target::{Failure, Target};
use anabranch::train::Training;
use anabranch::train::gflownet::FlowTrainer;

/// A case: what is trained, and how it is timed.
#[derive(Debug)]
pub struct Case {
    target: &'static str,
    policy: &'static str,
    batch: usize,
    warmup: usize,
    repeats: usize,
    block: usize,
}

const MLP: &str = "[policy]\nbackward = \"learned\"\nnetwork = { kind = \"mlp\", hidden = [256, 256] }\n";

const TRANSFORMER: &str = "[policy]\nbackward = \"uniform\"\nnetwork = { kind = \"transformer\", layers = 3, heads = 8, \
     width = 64, inner = 64, activation = \"relu\" }\n[exploration]\nepsilon = 1e-3\n";

/// The case of a name.
pub fn case(name: &str) -> Option<Case> {
    let plain = |target| Case { target, policy: MLP, batch: 16, warmup: 50, repeats: 10, block: 10 };
    let grid = "kind = \"hypergrid\"\ndim = 4\nside = 20\nreward = { kind = \"easy\" }";
    Some(match name {
        "gfn_grid_16" => plain(grid),
        "gfn_grid_512" => Case { batch: 512, warmup: 12, repeats: 5, block: 4, ..plain(grid) },
        "gfn_grid_long_16" => Case {
            warmup: 300,
            ..plain("kind = \"hypergrid\"\ndim = 4\nside = 20\nreward = { kind = \"original\" }")
        },
        "gfn_ising_16" => plain(
            "kind = \"spins\"\nsites = 100\nreward = { kind = \"ising\", lattice = \"torus\", coupling = 0.44 }",
        ),
        "gfn_bits_16" => plain(
            "kind = \"bits\"\nbits = 8\nword = 1\ngrowth = \"anywhere\"\n\
             reward = { kind = \"planted-modes\", count = 2, beta = 2.0 }",
        ),
        "gfn_bits_transformer_16" => Case {
            policy: TRANSFORMER,
            warmup: 12,
            repeats: 5,
            block: 4,
            ..plain(
                "kind = \"bits\"\nbits = 120\nword = 8\ngrowth = \"anywhere\"\n\
                 reward = { kind = \"planted-modes\", count = 60, beta = 3.0 }",
            )
        },
        "gfn_tfbind8_16" => plain(
            "kind = \"strings\"\nalphabet = \"ACGT\"\nlength = 8\nreward = { kind = \"expression\", reward = \"1\" }",
        ),
        _ => return None,
    })
}

/// A table of uniform numbers `y` with the transform of TFBind8, `max(10 y^3, 1e-3)`.
#[derive(Debug)]
struct Cubed(Vec<f32>);

impl Target<Cell> for Cubed {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        for (word, out) in objects.chunks_exact(8).zip(out) {
            let place = word.iter().fold(0, |place, letter| 4 * place + usize::from(letter - 1));
            *out = (10.0 * f64::from(self.0[place]).powi(3)).max(1e-3).ln();
        }
        Ok(())
    }
}

impl Case {
    /// Milliseconds per iteration of each block, the last loss, and the mean number of transitions.
    pub fn time(self, name: &str) -> (Vec<f64>, f64, f64) {
        let text = format!("name = \"{name}\"\n[target]\n{}\n{}{}", self.target, self.policy, super::PLAIN);
        let text = format!("{text}batch = {}\n", self.batch);
        let plan =
            Plan::new(read("bench", &text, &[]).expect("the recipe reads")).expect("the recipe builds");
        let Plan::GFlowNet(plan) = plan else { panic!("the target is an environment") };
        let Task::Discrete(task) = plan.task else { panic!("the objects are integers") };
        let reward: Arc<dyn Target<Cell>> = match name {
            "gfn_tfbind8_16" => Arc::new(Cubed(Noise::new(0, Purpose::Target).uniform(1 << 16, 1))),
            _ => task.reward,
        };
        let mut trainer = FlowTrainer::new(task.model, reward, task.settings, 1).expect("they fit");
        let mut loss = f64::NAN;
        for _ in 0..self.warmup {
            loss = trainer.step().expect("a finite step").loss;
        }
        let mut lengths = 0.0;
        let block = |_| {
            let start = Instant::now();
            for _ in 0..self.block {
                loss = trainer.step().expect("a finite step").loss;
                lengths += trainer.mean_length() + 1.0;
            }
            1e3 * start.elapsed().as_secs_f64() / self.block as f64
        };
        let times: Vec<f64> = (0..self.repeats).map(block).collect();
        (times, loss, lengths / (self.repeats * self.block) as f64)
    }
}
