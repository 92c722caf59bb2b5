//! The GFlowNet cases: what `benchmarks/peers/gfn_cases.py` says.

use std::sync::Arc;
use std::time::Instant;

use anabranch::environment::{Environment, Hypergrid};
use anabranch::model::gflownet::GFlowNet;
use anabranch::network::Activation;
use anabranch::network::taped::Mlp;
use anabranch::objective::balance::{Objective, TrajectoryBalance};
use anabranch::policy::{Actions, BackwardPolicy, FlowHead, Policy};
use anabranch::recipe::TrainingRecipe;
use anabranch::reward::{Failure, Reward};
use anabranch::train::Training;
use anabranch::train::gflownet::exploration::Exploration;
use anabranch::train::gflownet::{FlowTrainer, Settings};

/// A case: environment, reward, batch, and how it is timed.
pub struct Case {
    environment: Arc<dyn Environment>,
    reward: Arc<dyn Reward>,
    batch: usize,
    warmup: usize,
    repeats: usize,
    block: usize,
}

#[derive(Debug)]
struct Band(usize, [f64; 3]);

impl Reward for Band {
    fn log_rewards(&self, objects: &[u16], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let m = self.0 as i32 - 1;
        for (out, x) in out.iter_mut().zip(objects.chunks_exact(4)) {
            let t = |x: &u16| (2 * i32::from(*x) - m).abs();
            let outer = x.iter().all(|x| 2 * t(x) > m);
            let band = x.iter().all(|x| 10 * t(x) > 6 * m && 10 * t(x) < 8 * m);
            *out =
                (self.1[0] + if outer { self.1[1] } else { 0.0 } + if band { self.1[2] } else { 0.0 }).ln();
        }
        Ok(())
    }
}

/// The case of a name.
pub fn case(name: &str) -> Option<Case> {
    let grid = |r0, batch, warmup, repeats, block| Case {
        environment: Arc::new(Hypergrid::new(4, 20).expect("a grid")),
        reward: Arc::new(Band(20, [r0, 0.5, 2.0])),
        batch,
        warmup,
        repeats,
        block,
    };
    Some(match name {
        "gfn_grid_16" => grid(1e-3, 16, 50, 10, 10),
        "gfn_grid_512" => grid(1e-3, 512, 12, 5, 4),
        "gfn_grid_long_16" => grid(0.1, 16, 300, 10, 10),
        _ => return None,
    })
}

impl Case {
    /// Milliseconds per iteration of each block, the last loss, and the mean number of transitions.
    pub fn time(self) -> (Vec<f64>, f64, f64) {
        let policy = Actions::new(self.environment, BackwardPolicy::Learned, FlowHead::None);
        let network = Arc::new(Mlp::new(policy.inputs(), &[256, 256], policy.outputs(), Activation::Relu));
        let optimizer = super::PLAIN.parse::<toml::Table>().expect("it parses")["optimizer"].clone();
        let optimizer = optimizer.try_into().expect("an optimiser");
        let settings = Settings {
            training: TrainingRecipe { batch: self.batch, steps: 1_000_000_000, ..TrainingRecipe::default() },
            optimizer,
            objective: Objective::Paths(Arc::new(TrajectoryBalance::default())),
            exploration: Exploration::default(),
            conditions: None,
            sources: None,
            prior: None,
        };
        let mut trainer =
            FlowTrainer::new(GFlowNet { policy, network }, self.reward, settings, 1).expect("they fit");
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
