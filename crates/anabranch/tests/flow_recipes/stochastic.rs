//! Stochastic normalizing flows, annealed flow transport and the bootstrap of a flow, trained.

use anabranch::recipe::{Override, Plan, named, read};
use anabranch::run::{Ending, Run, Silent};
use serde_json::{Map, Value};

use super::{Scratch, bounds, from_text, number, trained};

fn library(name: &str, sets: &[&str]) -> Map<String, Value> {
    let scratch = Scratch::new(name);
    let sets: Vec<Override> = sets.iter().map(|set| Override::parse(set).expect("an override")).collect();
    trained(&scratch.0, named(name, &sets).expect("a recipe"))
}

/// Few couplings cannot tear a normal law into two wells; with random walks between them they need not (Wu, Köhler, Noé 2020).
#[test]
fn kernels_between_maps_beat_the_maps_alone() {
    let sets = ["evaluation.paths=10000", "evaluation.sample_metrics=false"];
    let (flow, stochastic) = (library("double-well-flow", &sets), library("double-well-snf", &sets));
    assert!(number(&stochastic, "ess") > number(&flow, "ess") + 0.05, "{flow:?} {stochastic:?}");
    let (log_z, error) = (number(&stochastic, "log_z"), number(&stochastic, "log_z_se"));
    assert!(
        (log_z - 10.293_48).abs() < 4.5 * error && error < number(&flow, "log_z_se"),
        "{flow:?} {stochastic:?}"
    );
}

/// What a mixture of losses is made of: at either end it trains as that one alone, bit for bit.
#[test]
fn a_mixed_divergence_is_made_of_both() {
    let weights = |name: &str, objective: &str| {
        let text = format!(
            "name = 't'\nseed = 4\n[target]\nkind = 'energy'\nenergy = {{ kind = 'gmm9' }}\n[[model]]\nkind = 'flow'\n\
             layers = 2\nhidden = [8]\n[objective]\n{objective}\n[training]\nsteps = 6\nbatch = 32\nema = 0.0\n\
             evaluate_every = 0\n"
        );
        let scratch = Scratch::new(name);
        let run = Run::create(&scratch.0, read("t.toml", &text, &[]).unwrap()).unwrap();
        assert_eq!(run.train(&mut Silent).unwrap(), Ending::Finished);
        run.trained(&Silent).unwrap().vectors
    };
    let mixed = |share: f64| weights("mixed", &format!("kind = 'mixed-kl'\nforward = {share:?}"));
    let (reverse, forward) =
        (weights("reverse", "kind = 'reverse-kl'"), weights("forward", "kind = 'forward-kl'"));
    assert!(mixed(0.0) == reverse && mixed(1.0) == forward);
    let half = mixed(0.5);
    assert!(half != reverse && half != forward);
}

/// Flows that learn from the particles in front of them bring log Z nearer than kernels alone.
#[test]
fn transport_improves_on_annealing() {
    let text = |steps: u32| {
        format!(
            "name = 't'\nseed = 5\n[target]\nkind = 'energy'\nenergy = {{ kind = 'gaussian', mean = [1.5, -1.0], \
             std = [0.3, 0.2], log_z = 0.7 }}\n[[model]]\nkind = 'annealed-flow'\nsteps = 3\nladder = 'even'\n\
             flow = {{ hidden = [16] }}\nkernel = {{ kind = 'random-walk' }}\n[objective]\nkind = 'craft'\n[optimizer]\n\
             learning_rate = 5e-3\n[training]\nsteps = {steps}\nbatch = 200\nema = 0.0\n[evaluation]\npaths = 5000\n\
             samples = 100\nsample_metrics = false\n[smc]\nparticles = 500\nrepeats = 5\n"
        )
    };
    let (first, last) = (from_text("annealed", &text(1)), from_text("transported", &text(200)));
    bounds(&last, 0.7, 0.6);
    assert!(number(&last, "ess") > number(&first, "ess") + 0.2, "{first:?} {last:?}");
    let (log_z, error) = (number(&last, "log_z_smc"), number(&last, "log_z_smc_se"));
    assert!((log_z - 0.7).abs() < 5.0 * error.max(0.002), "{log_z}, {error}");
}

/// A flow that begins far from one of two modes finds it by annealing, where reverse KL would not.
#[test]
fn the_bootstrap_finds_what_the_flow_has_not() {
    let text = |objective: &str| {
        format!(
            "name = 't'\nseed = 6\n[target]\nkind = 'energy'\nenergy = {{ kind = 'mixture', means = [[-3.0, 0.0], \
             [3.0, 1.0]], std = [[0.5]] }}\n[[model]]\nkind = 'flow'\nlayers = 4\nhidden = [32]\n[objective]\n{objective}\n\
             [optimizer]\nlearning_rate = 3e-3\n[training]\nsteps = 150\nbatch = 128\n[evaluation]\npaths = 5000\n\
             samples = 500\nsample_metrics = false\n"
        )
    };
    let fab = from_text("fab", &text("kind = 'fab'\nleast = 500\nlevels = 3\nstep = 0.3"));
    let (log_z, error) = (number(&fab, "log_z"), number(&fab, "log_z_se"));
    assert!(log_z.abs() < 4.5 * error.max(0.01) && number(&fab, "ess") > 0.3, "{fab:?}");
    assert!(number(&fab, "eubo") < 1.0, "{fab:?}");
}

/// What cannot be learned that way is refused where it is named.
#[test]
fn learners_refuse_what_they_cannot_learn() {
    let refused = |model: &str, objective: &str, rest: &str| {
        let text = format!(
            "name = 't'\n[target]\nkind = 'energy'\nenergy = {{ kind = 'gmm9' }}\n{model}\n[objective]\n{objective}\n{rest}"
        );
        match read("t.toml", &text, &[]).and_then(Plan::new) {
            Err(error) if error.is_input() => error.to_string(),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("{text} is allowed"),
        }
    };
    let flow = "[[model]]\nkind = 'flow'\nlayers = 1";
    let kernels = "[[model]]\nkind = 'annealing'\nsteps = 2";
    let learned = "[[model]]\nkind = 'annealed-flow'\nsteps = 2\nladder = 'learned'";
    let found = refused(&format!("{flow}\n{kernels}"), "kind = 'fab'", "");
    assert!(found.contains("objective.kind: found \"fab\" of a chain"), "{found}");
    let found = refused(learned, "kind = 'craft'", "");
    assert!(found.contains("objective.kind: found \"craft\" of another chain"), "{found}");
    let found = refused(flow, "kind = 'fab'\nleast = 0", "");
    assert!(found.contains("objective.least: found 0"), "{found}");
    let found = refused(flow, "kind = 'mixed-kl'\nforward = 2.0", "");
    assert!(found.contains("objective.forward: found 2"), "{found}");
    let bad = "[[model]]\nkind = 'annealed-flow'\nsteps = 2\nflow = { layers = 0 }";
    let found = refused(bad, "kind = 'reverse-kl'", "");
    assert!(found.contains("model.0.flow.layers: found 0"), "{found}");
}
