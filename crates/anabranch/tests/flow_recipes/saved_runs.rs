//! Finished runs in other recipes: their draws as proposals of particles, their densities as targets. `log Z` is right in every pair, or
//! the recipe is refused and says why.

use anabranch::recipe::{Plan, Recipe, TargetData, read};
use anabranch::run::Run;
use serde_json::{Map, Value};

use super::{Scratch, number, trained};

const LOG_Z: f64 = 1.3;

/// A Gaussian of known Z, off the middle.
const GAUSSIAN: &str =
    "kind = 'energy'\nenergy = { kind = 'gaussian', mean = [0.8, -0.5], std = [0.5, 0.7], log_z = 1.3 }";

/// Particles from the run in `run` to a target, along a path that begins as `begin` says.
fn particles(run: &Scratch, target: &str, begin: &str) -> Result<Recipe, String> {
    let text = format!(
        "name = 'after'\nseed = 3\n[target]\n{target}\n[[model]]\nkind = 'run'\nrun = '{}'\n[[model]]\nkind = 'annealing'\n\
         steps = 4\nwarm_up = 6\nkernel = {{ kind = 'hmc', leapfrogs = 3 }}\nbegin = '{begin}'\n[smc]\nparticles = 200\n\
         repeats = 40\n[evaluation]\npaths = 8000\nsamples = 200\nsample_metrics = false\n",
        run.0.display()
    );
    read("after.toml", &text, &[]).map_err(|error| error.to_string())
}

/// A short training of one segment on a target.
fn before(directory: &Scratch, target: &str, segment: &str, rest: &str) {
    let text = format!(
        "name = 'before'\nseed = 5\n[target]\n{target}\n[[model]]\n{segment}\n{rest}\n[training]\nsteps = 60\nbatch = 32\n\
         evaluate_every = 0\n[evaluation]\nsamples = 100\nsample_metrics = false\n"
    );
    trained(&directory.0, read("before.toml", &text, &[]).unwrap());
}

const REVERSE: &str = "[objective]\nkind = 'reverse-kl'\n[optimizer]\nlearning_rate = 3e-3";

/// `log Z` with and without resampling, within its error, which is small.
fn agrees(found: &Map<String, Value>, exact: f64) {
    for name in ["log_z", "log_z_smc"] {
        let (value, error) = (number(found, name), number(found, &format!("{name}_se")));
        assert!(error < 0.15 && (value - exact).abs() < 4.5 * error, "{name}: {found:?}");
    }
    assert!(number(found, "elbo") < exact + 4.5 * number(found, "elbo_se"), "{found:?}");
}

#[test]
fn a_flow_begins_the_path() {
    let (run, after) = (Scratch::new("begin-flow"), Scratch::new("begin-flow-after"));
    before(&run, GAUSSIAN, "kind = 'flow'\nlayers = 2\nhidden = [8]", REVERSE);
    for begin in ["run", "base"] {
        let _ = std::fs::remove_dir_all(&after.0);
        let found = trained(&after.0, particles(&run, GAUSSIAN, begin).unwrap());
        agrees(&found, LOG_Z);
    }
    // Drawing opens the run again, and refuses it when it is not what it was.
    assert!(Run::open(&after.0).is_ok());
    let checkpoint = std::fs::read_dir(run.0.join("checkpoints")).unwrap().next().unwrap().unwrap().path();
    std::fs::copy(&checkpoint, checkpoint.with_extension("copy")).unwrap();
    let message = Run::open(&after.0).err().expect("a change").to_string();
    assert!(message.contains("runs.json: found a run that has learned something else"), "{message}");
}

/// The law of the draws of a mixture is known though its paths are not bijections, that of a decoder is not.
#[test]
fn paths_begin_where_densities_are_known() {
    let (run, after) = (Scratch::new("begin-mixture"), Scratch::new("begin-mixture-after"));
    before(&run, GAUSSIAN, "kind = 'mixture'\ncomponents = 2", REVERSE);
    agrees(&trained(&after.0, particles(&run, GAUSSIAN, "run").unwrap()), LOG_Z);
    let (run, after) = (Scratch::new("begin-vae"), Scratch::new("begin-vae-after"));
    before(&run, GAUSSIAN, "kind = 'vae'\nlatent = [2]\nhidden = [8]", REVERSE);
    let message = Plan::new(particles(&run, GAUSSIAN, "run").unwrap()).err().expect("no density").to_string();
    assert!(
        message.contains("model.1.begin: found \"run\" of a run whose density is only bounded"),
        "{message}"
    );
    agrees(&trained(&after.0, particles(&run, GAUSSIAN, "base").unwrap()), LOG_Z);
}

#[test]
fn a_flow_is_a_target() {
    let (run, after) = (Scratch::new("target-flow"), Scratch::new("target-flow-after"));
    let moons = "kind = 'toy'\nname = 'moons'\nrows = 1000";
    before(&run, moons, "kind = 'flow'\nlayers = 2\nhidden = [16]", "[optimizer]\nlearning_rate = 3e-3");
    let target = format!("kind = 'run'\nrun = '{}'", run.0.display());
    let found = trained(&after.0, sampled(&target));
    assert_eq!(number(&found, "log_z_exact"), 0.0);
    agrees(&found, 0.0);
    let (eubo, error) = (number(&found, "eubo"), number(&found, "eubo_se"));
    assert!(eubo > -4.5 * error, "{found:?}");
}

/// Particles from a Gaussian base to a target.
fn sampled(target: &str) -> Recipe {
    let text = format!(
        "name = 'sampled'\nseed = 3\n[target]\n{target}\n[[model]]\nkind = 'annealing'\nsteps = 16\nwarm_up = 8\n\
         base = {{ std = 1.5 }}\n[smc]\nparticles = 400\nrepeats = 20\n[evaluation]\npaths = 2000\nsamples = 200\n\
         sample_metrics = false\n"
    );
    read("sampled.toml", &text, &[]).unwrap()
}

/// The posterior of a decoder's code given a row: `log Z = log p(row)`, held against the integral over the code.
#[test]
fn the_code_of_a_row_has_a_posterior() {
    let (run, after) = (Scratch::new("target-vae"), Scratch::new("target-vae-after"));
    let moons = "kind = 'toy'\nname = 'moons'\nrows = 1000";
    let segments = "kind = 'vae'\nlatent = [1]\nhidden = [16]\n[[model]]\nkind = 'whiten'";
    before(&run, moons, segments, "[optimizer]\nlearning_rate = 3e-3");
    let target = |row: usize| format!("kind = 'run'\nrun = '{}'\nrow = {row}", run.0.display());
    let recipe = sampled(&target(7));
    let Plan::Chain(plan) = Plan::new(recipe.clone()).unwrap() else { panic!("a chain") };
    let TargetData::Energy(posterior) = &plan.data else { panic!("an energy") };
    let (step, count) = (1e-3, 16_001);
    let codes: Vec<f32> = (0..count).map(|i| (-8.0 + step * f64::from(i)) as f32).collect();
    let mut values = vec![0.0; codes.len()];
    posterior.log_rewards(&codes, &[], &mut values).unwrap();
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exact = (values.iter().map(|value| (value - largest).exp()).sum::<f64>() * step).ln() + largest;
    agrees(&trained(&after.0, recipe), exact);
    // Its gradient is that of its values.
    let (mut around, mut at, mut score) = ([0.0; 2], [0.0], [0.0]);
    posterior.log_rewards(&[0.29, 0.31], &[], &mut around).unwrap();
    posterior.log_rewards_with_scores(&[0.3], &[], &mut at, &mut score).unwrap();
    assert!((score[0] - (around[1] - around[0]) / 0.02).abs() < 1e-2 * (1.0 + score[0].abs()), "{score:?}");
    // A row that is not there, and a density that is only bounded.
    let refused = |target: &str| Plan::new(sampled(target)).err().expect(target).to_string();
    let message = refused(&target(200_000));
    assert!(message.contains("target.row: found 200000; allowed: from 0 to "), "{message}");
    let message = refused(&format!("kind = 'run'\nrun = '{}'", run.0.display()));
    assert!(message.contains("found a chain whose density is only bounded"), "{message}");
}
