//! One target for all models: a user's density by a formula or a program trains a flow, and an energy is a reward on the line.

use std::f64::consts::{PI, TAU};

use anabranch::error::Error;
use anabranch::recipe::{Plan, read};
use serde_json::{Map, Value};

use super::{bounds, from_text, number};

/// `log Z` of `0.7 - (x0 - 1)^2 / 2 - 2 (x1 - x0^2 / 4)^2`: two Gaussian integrals, one after the other.
fn banana() -> f64 {
    0.7 + 0.5 * TAU.ln() + 0.5 * (PI / 2.0).ln()
}

const FORMULA: &str = "kind = 'expression'\ndimension = 2\nlog_z = 1.844730\n\
                       log_reward = '0.7 - (x0 - 1)^2 / 2 - 2 * (x1 - x0^2 / 4)^2'\n";

/// The same by the program of the book, which answers gradients where it is asked for them.
const PROGRAM: &str = include_str!("../../../../docs/src/density.py");

fn program(more: &str) -> String {
    format!("kind = 'process'\ncommand = ['python3', '-c', '''{PROGRAM}''']\ndimension = 2\n{more}")
}

/// A recipe of a spline flow that learns an energy.
fn flow(energy: &str, objective: &str, steps: usize) -> String {
    format!(
        "name = 't'\nseed = 2\n[target]\nkind = 'energy'\n[target.energy]\n{energy}\n\
         [[model]]\nkind = 'flow'\nlayers = 4\nhidden = [32]\n[objective]\nkind = '{objective}'\n\
         [optimizer]\nlearning_rate = 3e-3\nlog_z_rate = 0.05\n[training]\nsteps = {steps}\nbatch = 128\n\
         [evaluation]\npaths = 8000\nsamples = 200\n"
    )
}

/// log Z by importance weights within its error, and the ELBO below it, by no more than `gap`.
fn brackets(metrics: &Map<String, Value>, exact: f64, gap: f64) {
    let (log_z, error) = (number(metrics, "log_z"), number(metrics, "log_z_se"));
    assert!((log_z - exact).abs() < 4.5 * error, "{log_z}, {error}, {exact}");
    let (elbo, error) = (number(metrics, "elbo"), number(metrics, "elbo_se"));
    assert!(elbo < exact + 4.5 * error && exact - elbo < gap, "{elbo}, {error}, {exact}");
}

#[test]
fn a_formula_trains_a_flow_by_reverse_kl() {
    let metrics = from_text("formula", &flow(FORMULA, "reverse-kl", 600));
    brackets(&metrics, banana(), 0.1);
    assert!((number(&metrics, "log_z_exact") - banana()).abs() < 1e-6);
}

/// The gradient comes from the program: without it a flow would stay where it starts, 5 nats below.
#[test]
fn a_program_with_gradients_trains_a_flow_by_reverse_kl() {
    let metrics = from_text("program", &flow(&program("gradients = true\n"), "reverse-kl", 600));
    brackets(&metrics, banana(), 0.1);
    let start = from_text("start", &flow(&program("gradients = true\n"), "reverse-kl", 1));
    assert!(number(&start, "elbo") < banana() - 0.5);
}

/// A program without gradients trains by what needs none, and is refused elsewhere with a reason.
#[test]
fn a_program_without_gradients_trains_by_trajectory_balance() {
    let metrics = from_text("balance", &flow(&program(""), "trajectory-balance", 600));
    brackets(&metrics, banana(), 0.2);
    let plan = |text: &str| Plan::new(read("t.toml", text, &[])?).map(|_| ());
    let refused = |text: &str| match plan(text) {
        Err(error @ Error::Input(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(&flow(&program(""), "reverse-kl", 1)),
        "objective.kind: found one that needs the gradient of a target that has none; allowed: \"trajectory-balance\", \
         \"log-variance\" or another that needs none; or gradients = true, if the program answers them"
    );
    assert!(refused(&flow(FORMULA, "forward-kl", 1)).contains("this energy has no sampler"));
    let conditional = FORMULA.replace("log_z = 1.844730\n", "").replace("0.7", "c0");
    let words = refused(&flow(&conditional, "reverse-kl", 1));
    assert!(words.starts_with("conditions: found 0 numbers; allowed: 1"), "{words}");
}

/// A density that is no number somewhere stops training with the name of the place.
#[test]
fn a_formula_without_a_value_names_the_point() {
    let energy = "kind = 'expression'\ndimension = 2\nlog_reward = 'ln(x0) - x0^2 - x1^2'\n";
    let scratch = super::Scratch::new("nowhere");
    let recipe = read("t.toml", &flow(energy, "reverse-kl", 5), &[]).unwrap();
    let run = anabranch::run::Run::create(&scratch.0, recipe).unwrap();
    let words = run.train(&mut anabranch::run::Silent).unwrap_err().to_string();
    assert!(words.starts_with("the target at (-") && words.contains("): found log R = NaN"), "{words}");
}

/// A walk on the line whose reward is an energy of chains: the mixture's log Z is 0, and its tempered one's a closed form.
#[test]
fn an_energy_is_a_reward_on_the_line() {
    let walk = |reward: &str| {
        format!(
            "name = 't'\nseed = 3\n[target]\nkind = 'line'\nsteps = 3\nreward = {{ {reward} }}\n\
             [policy]\nnetwork = {{ kind = 'mlp', hidden = [64] }}\n\
             [exploration]\nepsilon = {{ start = 0.3, end = 0.0, steps = 500 }}\n\
             [optimizer]\nlearning_rate = 3e-3\nlog_z_rate = 0.1\n[training]\nsteps = 1200\nbatch = 64\n"
        )
    };
    let mixture = "kind = 'mixture', weights = [1, 3], means = [[-1.5], [1.0]], std = [[0.4], [0.7]]";
    let metrics = from_text("energy", &walk(mixture));
    bounds(&metrics, 0.0, 0.3);
    assert_eq!(number(&metrics, "log_z_exact"), 0.0);
    let tempered = "kind = 'tempered', beta = 0.5, \
                    reward = { kind = 'gaussian', mean = [0.5], std = [0.8], log_z = 2.0 }";
    let exact = 1.0 + 0.25 * TAU.ln() + 0.5 * 0.8f64.ln() - 0.5 * 0.5f64.ln();
    let metrics = from_text("tempered", &walk(tempered));
    assert!((number(&metrics, "log_z_exact") - exact).abs() < 1e-6);
    brackets(&metrics, exact, 0.2);
}

/// One walk for every temperature of a Gaussian: at each of them log Z is the closed form, by paths and by the flow at the start.
#[test]
fn a_walk_for_every_temperature() {
    let metrics = from_text(
        "warm",
        "name = 't'\nseed = 3\n[target]\nkind = 'line'\nsteps = 3\n\
         reward = { kind = 'tempered', reward = { kind = 'gaussian', mean = [0.5], std = [0.8], log_z = 1.0 } }\n\
         [[conditions]]\nkind = 'log-uniform'\nlow = 0.5\nhigh = 2.0\n\
         [policy]\nnetwork = { kind = 'mlp', hidden = [64] }\n\
         [optimizer]\nlearning_rate = 3e-3\n[training]\nsteps = 1500\nbatch = 64\n",
    );
    assert!(number(&metrics, "log_z_rmse") < 0.05, "{metrics:?}");
    assert!(number(&metrics, "log_z_learned_rmse") < 0.2, "{metrics:?}");
    // Of a chart nothing is told the condition.
    let chart = "name = 't'\n[target]\nkind = 'hybrid'\n[[target.charts]]\naxes = ['line']\n\
                 reward = { kind = 'expression', log_reward = '-c0 * x0^2' }\n\
                 [[conditions]]\nkind = 'fixed'\nvalues = [1.0]\n";
    let error = Plan::new(read("t.toml", chart, &[]).unwrap()).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("target.charts.0.reward: found one that depends on a condition"), "{error}");
}
