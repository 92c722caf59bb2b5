use anabranch::environment::*;
use anabranch::estimate::trajectories::log_policy;
use anabranch::model::gflownet::GFlowNet;
use anabranch::network::{Activation, taped::*};
use anabranch::objective::balance::*;
use anabranch::policy::*;
use anabranch::recipe::OptimizerRecipe;
use anabranch::reward::*;
use anabranch::train::gflownet::{exploration::*, *};
use std::sync::Arc;
#[derive(Debug)]
struct Band(usize, usize, [f64; 3]);
impl Reward for Band {
    fn log_rewards(&self, objects: &[u16], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let m = self.0 as i32 - 1;
        for (out, x) in out.iter_mut().zip(objects.chunks_exact(self.1)) {
            let t = |x: &u16| (2 * i32::from(*x) - m).abs();
            let outer = x.iter().all(|x| 2 * t(x) > m);
            let band = x.iter().all(|x| 10 * t(x) > 6 * m && 10 * t(x) < 8 * m);
            *out =
                (self.2[0] + if outer { self.2[1] } else { 0.0 } + if band { self.2[2] } else { 0.0 }).ln();
        }
        Ok(())
    }
}
fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let get = |k: &str, d: f64| {
        a.iter().find_map(|x| x.strip_prefix(&format!("{k}=")).and_then(|v| v.parse().ok())).unwrap_or(d)
    };
    let (dim, side) = (get("dim", 2.0) as usize, get("side", 16.0) as usize);
    let mut tvs = vec![];
    for seed in 0..get("seeds", 5.0) as u64 {
        let env: Arc<dyn Environment> = Arc::new(Hypergrid::new(dim, side).unwrap());
        let states = States::of(env.as_ref(), 100000).unwrap();
        let reward = Arc::new(Band(side, dim, [get("r0", 0.1), 0.5, 2.0]));
        let all: Vec<u16> = (0..states.len()).flat_map(|i| states.state(i).to_vec()).collect();
        let mut lr = vec![0.0; states.len()];
        reward.log_rewards(&all, &[], &mut lr).ok().unwrap();
        let z: f64 = lr.iter().map(|l| l.exp()).sum();
        let backward =
            if get("uniform", 0.0) > 0.0 { BackwardPolicy::Uniform } else { BackwardPolicy::Learned };
        let policy = Actions::new(
            env,
            backward,
            match get("flow", 0.0) as i32 {
                0 => FlowHead::None,
                1 => FlowHead::Output,
                _ => FlowHead::Logits,
            },
        );
        let network = Arc::new(Mlp::new(policy.inputs(), &[256, 256], policy.outputs(), Activation::Relu));
        let steps = get("steps", 2000.0) as u64;
        let text = format!(
            "learning_rate = {}\nschedule = \"{}\"\nclip_norm = {}\nbeta2 = {}",
            get("lr", 1e-3),
            if get("cos", 0.0) > 0.0 { "cosine" } else { "constant" },
            get("clip", 0.0),
            get("b2", 0.999)
        );
        let optimizer: OptimizerRecipe = toml::from_str(&text).unwrap();
        let ema = get("ema", 0.0);
        let mut exploration = Exploration::default();
        exploration.epsilon = Ramp { start: get("eps", 0.0), end: 0.0, steps: steps / 2 };
        let settings = Settings {
            batch: 16,
            steps,
            optimizer,
            log_z_rate: get("lz", 0.1),
            ema,
            objective: serde_json::from_str::<BalanceRecipe>(&format!(
                "{{\"kind\":\"{}\"{}}}",
                a.iter().find_map(|x| x.strip_prefix("o=")).unwrap_or("trajectory-balance"),
                a.iter().find_map(|x| x.strip_prefix("x=")).unwrap_or("")
            ))
            .unwrap()
            .check("objective", BackwardObjective::Joint)
            .unwrap(),
            exploration,
            conditions: None,
            sources: None,
            prior: None,
        };
        let mut t =
            FlowTrainer::new(GFlowNet { policy, network: network.clone() }, reward, settings, seed).unwrap();
        for _ in 0..steps {
            t.step().unwrap();
        }
        let tv = |w: &[f32]| {
            let ev = network.with(w);
            let lp = log_policy(&t.model().policy, ev.as_ref(), &all, &[]);
            let mut u = vec![0.0; states.len()];
            u[0] = 1.0;
            let mut tv = 0.0;
            for i in 0..states.len() {
                for (p, e) in states.parents(i) {
                    u[i] += u[*p as usize] * lp[*p as usize * (dim + 1) + e.action as usize].exp();
                }
                tv += (u[i] * lp[i * (dim + 1) + dim].exp() - lr[i].exp() / z).abs() / 2.0;
            }
            tv
        };
        let last = tv(&t.state().weights[0]);
        let avg = tv(&t.state().average[0]);
        println!(
            "seed {seed}: tv last {last:.4} average {avg:.4} log_z off {:.4}",
            t.log_z().unwrap_or(0.0) - z.ln()
        );
        tvs.push(if ema > 0.0 { avg } else { last });
    }
    tvs.sort_by(f64::total_cmp);
    println!("median {:.4}", tvs[tvs.len() / 2]);
}
