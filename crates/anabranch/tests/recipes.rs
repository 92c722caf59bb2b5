//! Recipes from chance: reading never panics whatever the text, a message is one line that names its place, and what
//! passes all checks builds, trains, scores and samples.

use std::cell::Cell;

use anabranch::chain::Given;
use anabranch::error::Error;
use anabranch::estimate::likelihood::{Bound, nll};
use anabranch::estimate::paths::{backward_weights, forward_weights};
use anabranch::recipe::{Override, Plan, Recipe, TargetData, library, named, read};
use anabranch::rng::{Noise, Purpose};
use anabranch::train::{Trained, Training};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

const NOTHING: &Given = &Given::nothing();

/// The same cases every time.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_global_rejects: 0, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// What anyone may see of a refused recipe: a place, what was found, one line.
fn is_message(error: &Error) -> Result<(), TestCaseError> {
    let message = error.to_string();
    prop_assert!(error.is_input(), "{message}");
    prop_assert!(message.contains(": found ") && !message.contains(char::is_control), "{message:?}");
    prop_assert!(message.chars().count() < 2000, "{message:?}");
    Ok(())
}

fn reads(text: &str, overrides: &[Override]) -> Result<Option<Recipe>, TestCaseError> {
    match read("chance.toml", text, overrides) {
        Ok(recipe) => {
            // A recipe is written as it is read.
            let again = read("again.toml", &recipe.to_toml(), &[]);
            prop_assert!(again.is_ok_and(|again| again == recipe));
            Ok(Some(recipe))
        }
        Err(error) => is_message(&error).map(|()| None),
    }
}

/// One change to a text: what to put in place of how many bytes, where (as a share of its length).
fn edit() -> impl Strategy<Value = (f64, usize, String)> {
    let pieces = [
        "",
        " ",
        "\n",
        "=",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "\"",
        "'",
        "#",
        ".",
        ",",
        "-",
        "0",
        "1e999",
        "nan",
        "inf",
        "-1",
        "9223372036854775807",
        "9223372036854775808",
        "true",
        "\"x\"",
        "[]",
        "{}",
        "[model]",
        "[[model]]",
        "kind = \"flow\"",
        "kind = \"vae\"",
        "levels = 2",
        "hidden = [1]",
        "2001-01-01",
        "\u{0}",
        "é",
        "\\u0000",
    ];
    (0.0..1.0, 0usize..12, prop_oneof![select(pieces.to_vec()).prop_map(str::to_owned), ".{0,6}"])
}

#[test]
fn edited_recipes_are_read_or_refused_in_one_line() {
    let texts: Vec<&str> = library().iter().map(|entry| entry.text).collect();
    let strategy = (select(texts), vec(edit(), 1..4));
    let read_well = Cell::new(0);
    runner(1500)
        .run(&strategy, |(text, edits)| {
            let mut bytes = text.as_bytes().to_vec();
            for (share, removed, piece) in edits {
                let start = (share * bytes.len() as f64) as usize;
                let end = (start + removed).min(bytes.len());
                bytes.splice(start..end, piece.bytes());
            }
            let recipe = reads(&String::from_utf8_lossy(&bytes), &[])?;
            read_well.set(read_well.get() + u32::from(recipe.is_some()));
            Ok(())
        })
        .unwrap();
    assert!((50..1450).contains(&read_well.get()), "{} of 1500 were read", read_well.get());
}

#[test]
fn any_text_at_all_is_refused_in_one_line() {
    runner(300)
        .run(&"(?s).{0,80}", |text| {
            prop_assert!(reads(&text, &[])?.is_none());
            Ok(())
        })
        .unwrap();
}

#[test]
fn any_override_is_applied_or_refused_in_one_line() {
    let key = select(vec![
        "name",
        "title",
        "seed",
        "target",
        "target.name",
        "target.rows",
        "model",
        "model.0",
        "model.0.hidden",
        "model.0.hidden.0",
        "model.0.kind",
        "model.1.kind",
        "training.steps",
        "training.ema",
        "training.trajectories",
        "policy",
        "policy.backward",
        "optimizer",
        "optimizer.kind",
        "objective.kind",
        "sampler",
        "sampler.kind",
        "evaluation.samples",
        "evaluation.paths",
        "x.y.z",
        "training.x",
    ]);
    let value = prop_oneof![
        select(vec![
            "1",
            "0",
            "-3",
            "2.5",
            "nan",
            "[]",
            "[1, 2]",
            "{}",
            "{kind='ddim',steps=3}",
            "adamw",
            "true",
            "",
            "[",
            "'"
        ])
        .prop_map(str::to_owned),
        "(?s).{0,12}",
    ];
    let moons = library().iter().find(|entry| entry.name == "moons-flow").unwrap();
    runner(800)
        .run(&vec((key, value), 1..3), |sets| {
            let parsed: Result<Vec<Override>, Error> =
                sets.iter().map(|(key, value)| Override::parse(&format!("{key}={value}"))).collect();
            match parsed {
                Ok(overrides) => reads(moons.text, &overrides).map(drop),
                Err(error) => is_message(&error),
            }
        })
        .unwrap();
    runner(300)
        .run(&"(?s).{0,30}", |text| {
            Override::parse(&text).map_or_else(|error| is_message(&error), |_| Ok(()))
        })
        .unwrap();
}

fn word(words: &[&'static str]) -> impl Strategy<Value = &'static str> + use<> {
    select(words.to_vec())
}

fn widths() -> impl Strategy<Value = Vec<usize>> {
    vec(1usize..5, 1..3)
}

const ACTIVATIONS: [&str; 5] = ["relu", "silu", "gelu", "tanh", "elu"];

/// A segment's network by its older keys, or one of any kind, as keys of an inline table.
fn network(residual: bool) -> impl Strategy<Value = String> {
    let older =
        (widths(), any::<bool>(), word(&ACTIVATIONS)).prop_map(move |(hidden, blocks, activation)| {
            let blocks = if residual { format!(", residual = {blocks}") } else { String::new() };
            format!("hidden = {hidden:?}, activation = '{activation}'{blocks}")
        });
    let stack = (widths(), any::<bool>(), word(&ACTIVATIONS)).prop_map(|(hidden, blocks, activation)| {
        format!(
            "network = {{ kind = 'mlp', hidden = {hidden:?}, activation = '{activation}', residual = {blocks} }}"
        )
    });
    let cut = || {
        (1usize..3, any::<bool>())
            .prop_map(|(patch, places)| format!("patch = {patch}, positions = {places}"))
    };
    let transformer = (1usize..3, 1usize..3, 1usize..3, cut()).prop_map(|(layers, heads, size, cut)| {
        format!(
            "network = {{ kind = 'transformer', layers = {layers}, heads = {heads}, width = {}, {cut} }}",
            heads * size
        )
    });
    let sets = (1usize..5, widths(), cut()).prop_map(|(width, hidden, cut)| {
        format!("network = {{ kind = 'deep-sets', width = {width}, hidden = {hidden:?}, {cut} }}")
    });
    prop_oneof![6 => older, 1 => stack, 1 => transformer, 1 => sets]
}

/// A segment as an inline table.
fn segment() -> impl Strategy<Value = String> {
    let diffusion = (
        (network(true), 1usize..4),
        word(&["noise", "signal", "velocity", "score"]),
        word(&["linear", "cosine", "log-linear", "learned"]),
        (2usize..7, word(&["bound", "simple", "min-snr"]), -9.0..1.0f32, -1.0..9.0f32),
    )
        .prop_map(|((network, half), prediction, schedule, (levels, weighting, first, last))| {
            format!(
                "{{ kind = 'diffusion', {network}, \
                 embedding = {}, prediction = '{prediction}', schedule = '{schedule}', levels = {levels}, \
                 weighting = '{weighting}', gamma_first = {first:.2}, gamma_last = {last:.2} }}",
                2 * half
            )
        });
    let flow = (
        (1usize..4, network(true)),
        word(&["coupling", "autoregressive", "inverse-autoregressive"]),
        (word(&["affine", "spline"]), 2usize..6, 0.5..8.0f32),
        (word(&["lu", "permutation", "reversal", "none"]), any::<bool>()),
    )
        .prop_map(|((layers, network), coupling, (transformer, bins, bound), (mixing, actnorm))| {
            format!(
                "{{ kind = 'flow', layers = {layers}, {network}, \
                     coupling = '{coupling}', transformer = '{transformer}', \
                     bins = {bins}, bound = {bound:.2}, mixing = '{mixing}', actnorm = {actnorm} }}"
            )
        });
    let vae = (widths(), network(false), word(&["bernoulli", "discretised-logistic", "gaussian"])).prop_map(
        |(latent, network, observation)| {
            format!(
                "{{ kind = 'vae', latent = {latent:?}, {network}, \
                 observation = '{observation}' }}"
            )
        },
    );
    let dynamics = (
        (1usize..4, network(false), any::<bool>()),
        word(&["none", "learned", "controlled"]),
        (word(&["geometric", "linear"]), word(&["even", "learned"]), word(&["constant", "cosine"])),
        (any::<bool>(), any::<bool>(), 0.01..0.5f32),
    )
        .prop_map(|((steps, network, named), reversal, (path, ladder, decay), (momentum, learned, size))| {
            let network = if named { format!(", {network}") } else { String::new() };
            let momentum = if momentum { ", momentum = { friction = 2.0 }" } else { "" };
            format!(
                "{{ kind = 'langevin', steps = {steps}, reversal = '{reversal}', path = '{path}', ladder = '{ladder}', \
                 step = {{ size = {size:.3}, decay = '{decay}', learned = {learned} }}{momentum}{network} }}"
            )
        });
    let controlled = (1usize..4, network(false), word(&["brownian", "ornstein-uhlenbeck"]), any::<bool>())
        .prop_map(|(steps, network, reference, scores)| {
            format!(
                "{{ kind = 'controlled', steps = {steps}, {network}, reference = '{reference}', \
                 langevin_parametrisation = {scores} }}"
            )
        });
    let fixed = prop_oneof![
        Just("{ kind = 'dequantise' }".to_owned()),
        Just("{ kind = 'probit' }".to_owned()),
        Just("{ kind = 'standardise' }".to_owned()),
        (1e-3..0.4f32).prop_map(|margin| format!("{{ kind = 'logit', margin = {margin:.3} }}")),
    ];
    prop_oneof![3 => diffusion, 3 => flow, 2 => vae, 2 => fixed, 1 => dynamics, 1 => controlled]
}

fn target() -> impl Strategy<Value = String> {
    let toys = ["eight-gaussians", "checkerboard", "spirals", "moons", "rings", "pinwheel", "swiss-roll"];
    prop_oneof![
        3 => (select(toys.to_vec()), 10usize..40)
            .prop_map(|(name, rows)| format!("kind = 'toy'\nname = '{name}'\nrows = {rows}")),
        1 => select(vec![0, 17, 2]).prop_map(|levels| format!("kind = 'table'\nsource = 'digits'\nlevels = {levels}")),
        1 => vec((-3.0..3.0f32, 0.1..3.0f32), 1..4).prop_map(|pairs| {
            let (mean, std): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            format!("kind = 'energy'\nenergy = {{ kind = 'gaussian', mean = {mean:?}, std = {std:?} }}")
        }),
        1 => (1usize..5, 0.5..3.0f32).prop_map(|(dimension, std)| {
            format!("kind = 'energy'\nenergy = {{ kind = 'funnel', dimension = {dimension}, std = {std:.2} }}")
        }),
        1 => select(vec!["kind = 'gmm9'", "kind = 'gmm40', dimension = 3", "kind = 'toy', name = 'rings'"])
            .prop_map(|energy| format!("kind = 'energy'\nenergy = {{ {energy} }}")),
        1 => (1usize..5)
            .prop_map(|dimension| format!("kind = 'energy'\nenergy = {{ kind = 'many-well', dimension = {dimension} }}")),
    ]
}

fn recipe() -> impl Strategy<Value = String> {
    let objective = prop_oneof![
        4 => (0.0..2.0f32, 0u64..4, 0.0..1.0f32).prop_map(|(weight, warm_up, nats)| {
            format!("kind = 'forward-kl'\nkl_weight = {weight:.2}\nkl_warm_up = {warm_up}\nfree_nats = {nats:.2}")
        }),
        1 => (1usize..4).prop_map(|samples| format!("kind = 'importance-weighted'\nsamples = {samples}")),
        3 => word(&["reverse-kl", "trajectory-balance", "log-variance"]).prop_map(|kind| format!("kind = '{kind}'")),
    ];
    let sampler = prop_oneof![
        Just("kind = 'ancestral'".to_owned()),
        (2usize..9, 0.0..1.0f64)
            .prop_map(|(steps, eta)| format!("kind = 'ddim'\nsteps = {steps}\neta = {eta:.2}")),
    ];
    (target(), vec(segment(), 1..4), objective, sampler, (1usize..5, 0.0..0.99f64, any::<u32>())).prop_map(
        |(target, model, objective, sampler, (batch, ema, seed))| {
            format!(
                "name = 'chance'\nseed = {seed}\nmodel = [\n{}\n]\n[target]\n{target}\n[objective]\n{objective}\n\
                 [sampler]\n{sampler}\n[training]\nsteps = 2\nbatch = {batch}\nema = {ema:.3}\n",
                model.join(",\n")
            )
        },
    )
}

/// A recipe of a flow network.
fn objects() -> impl Strategy<Value = String> {
    let network = prop_oneof![
        (widths(), word(&ACTIVATIONS), any::<bool>()).prop_map(|(hidden, name, residual)| format!(
            "{{ kind = 'mlp', hidden = {hidden:?}, activation = '{name}', residual = {residual} }}"
        )),
        Just("{ kind = 'table' }".to_owned()),
    ];
    let schedule = |low: f64, high: f64| {
        prop_oneof![
            (low..high).prop_map(|value| format!("{value:.3}")),
            (low..high, low..high, 1u64..4).prop_map(|(start, end, steps)| format!(
                "{{ start = {start:.3}, end = {end:.3}, steps = {steps} }}"
            )),
        ]
    };
    let policy = (word(&["uniform", "learned", "maximum-entropy"]), network);
    let exploration = (schedule(-0.2, 1.0), schedule(0.1, 3.0));
    let training = (1usize..20, 0.0..0.99f64, 1u64..60, any::<u32>());
    ((1usize..4, 2usize..6, 0.001..1.0f64), policy, exploration, training).prop_map(
        |((dim, side, r0), (backward, network), (epsilon, temperature), (batch, ema, trajectories, seed))| {
            format!(
                "name = 'chance'\nseed = {seed}\n[target]\nkind = 'hypergrid'\ndim = {dim}\nside = {side}\n\
                 reward = {{ kind = 'original', r0 = {r0:.3} }}\n[policy]\nbackward = '{backward}'\n\
                 network = {network}\n[exploration]\nepsilon = {epsilon}\ntemperature = {temperature}\n\
                 [training]\nbatch = {batch}\nema = {ema:.3}\ntrajectories = {trajectories}\nevaluate_every = 2\n"
            )
        },
    )
}

#[test]
fn flow_networks_that_pass_the_checks_train_and_sample() {
    let built = Cell::new(0);
    runner(300)
        .run(&objects(), |text| {
            let Some(recipe) = reads(&text, &[])? else { return Ok(()) };
            let plan = Plan::new(recipe).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let Plan::GFlowNet(flow) = &plan else { return Err(TestCaseError::fail("a flow network")) };
            built.set(built.get() + 1);
            let mut trainer = plan.start().map_err(|error| TestCaseError::fail(error.to_string()))?;
            while !trainer.finished() {
                let info = trainer.step().map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert!(info.loss.is_finite() && info.gradient_norm.is_finite());
            }
            let score = trainer.evaluate().map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert!(score.is_finite());
            let trained = Trained { names: trainer.names(), vectors: trainer.trained().to_vec() };
            let samples = flow.sample(&trained, 3, NOTHING, &Noise::new(1, Purpose::Choice), &|_| true);
            prop_assert_eq!(samples.map(|samples| samples.len()).ok(), Some(3 * flow.task.columns()));
            Ok(())
        })
        .unwrap();
    assert!(built.get() > 100, "only {} were built", built.get());
}

#[test]
fn what_passes_the_checks_trains_scores_and_samples() {
    let built = Cell::new(0);
    runner(1200)
        .run(&recipe(), |text| {
            let Some(recipe) = reads(&text, &[])? else { return Ok(()) };
            let plan = match Plan::new(recipe) {
                Ok(Plan::Chain(plan)) => plan,
                Ok(Plan::GFlowNet(_)) => return Err(TestCaseError::fail("a recipe of a chain")),
                Err(error) => return is_message(&error),
            };
            built.set(built.get() + 1);
            // States of chance may leave where an energy has numbers: that is said, too.
            let mut trainer = match plan.start() {
                Ok(trainer) => trainer,
                Err(error) => return is_message(&error),
            };
            while !trainer.finished() {
                match trainer.step() {
                    Ok(info) => prop_assert!(info.loss.is_finite() && info.gradient_norm.is_finite()),
                    // Some chains of chance run out of f32; the run then stops and says so.
                    Err(Error::Numeric { .. }) => break,
                    Err(error) if error.is_input() => return is_message(&error),
                    Err(other) => return Err(TestCaseError::fail(other.to_string())),
                }
            }
            let model = plan.model.with_weights(trainer.trained());
            let dimension = plan.dimension();
            let noise = Noise::new(1, Purpose::Source);
            let samples = match plan.recipe.sampler.sample(&model, 3, NOTHING, &noise) {
                Ok(samples) => samples,
                Err(failure) => return is_message(&failure.into_error()),
            };
            prop_assert_eq!(samples.len(), 3 * dimension);
            match &plan.data {
                TargetData::Rows(data) => {
                    let rows = &data.train[..2 * dimension];
                    for bound in [Bound::Path, Bound::Importance(2), Bound::Lower(1)] {
                        nll(&model, rows, NOTHING, bound, &noise).unwrap();
                    }
                }
                TargetData::Energy(energy) => {
                    match forward_weights(&model, energy.as_ref(), 3, NOTHING, &noise, &|_| true) {
                        Ok(forward) => prop_assert_eq!(forward.map(|weights| weights.len()), Some(3)),
                        Err(failure) => return is_message(&failure.into_error()),
                    }
                    if let Some(rows) = energy.draw(2, &noise) {
                        let backward =
                            backward_weights(&model, energy.as_ref(), &rows, NOTHING, &noise, &|_| true);
                        match backward {
                            Ok(backward) => prop_assert_eq!(backward.map(|weights| weights.len()), Some(2)),
                            Err(failure) => return is_message(&failure.into_error()),
                        }
                    }
                }
            }
            match plan.validation_score(&model) {
                Ok(_) => Ok(()),
                Err(failure) => is_message(&failure.into_error()),
            }
        })
        .unwrap();
    assert!(built.get() > 100, "only {} were built", built.get());
}

/// A recipe with another network.
fn with_network(recipe: &str, sets: &[&str]) -> Result<Plan, Error> {
    let sets: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
    Plan::new(named(recipe, &sets)?)
}

/// Diffusions, flows and autoencoders learn with any network: the validation score, nats a row, falls by as much as it says.
#[test]
fn any_network_serves_any_family() {
    let transformer = "model.0.network={kind='transformer',layers=2,heads=2,width=16}";
    let sets = "model.0.network={kind='deep-sets',width=32,hidden=[32],activation='silu'}";
    let residual = "model.0.network={kind='mlp',hidden=[32,32],activation='silu',residual=true}";
    let spirals = ["model.0.hidden=[256,256,256]", "model.0.levels=50", "optimizer.learning_rate=3e-3"];
    let moons = ["model.0.hidden=[128,128]", "model.0.layers=4", "optimizer.learning_rate=3e-3"];
    let cases: [(&str, &[&str], &str, f64); 6] = [
        ("spirals-diffusion", &spirals, transformer, 0.5),
        ("spirals-diffusion", &spirals, sets, 0.5),
        ("moons-flow", &moons, transformer, 0.5),
        ("moons-flow", &moons, sets, 0.5),
        ("moons-flow", &moons, residual, 0.5),
        (
            "digits-vae",
            &["model.0.hidden=[256,256]"],
            &transformer.replace("width=16", "width=16,patch=8"),
            20.0,
        ),
    ];
    for (recipe, sets, network, least) in cases {
        let sets: Vec<&str> =
            sets.iter().copied().chain([network, "training.steps=300", "training.batch=64"]).collect();
        let Plan::Chain(plan) = with_network(recipe, &sets).unwrap() else { panic!("{recipe} is a chain's") };
        let mut trainer = plan.start().unwrap();
        let score = |trained: &[Vec<f32>]| plan.validation_score(&plan.model.with_weights(trained)).unwrap();
        let before = score(trainer.trained());
        while !trainer.finished() {
            trainer.step().unwrap();
        }
        let after = score(trainer.trained());
        println!("{recipe}, {network}: {before} before, {after} after");
        assert!(before - after > least, "{recipe}, {network}: {before} before, {after} after");
    }
}

/// What no network can do is refused with the reason.
#[test]
fn networks_that_do_not_fit_are_refused() {
    let moons = "moons-flow";
    for (recipe, set, message) in [
        (moons, "model.0.network={kind='table'}", "model.0.network.kind: found a table of real vectors"),
        (
            moons,
            "model.0.network={kind='transformer',heads=3}",
            "model.0.network.heads: found 3; allowed: a divisor of the width 64: 1, 2, 4, 8, 16, 32, 64",
        ),
        (
            "digits-diffusion",
            "model.0.network={kind='transformer',patch=5}",
            "model.0.network.patch: found 5, of 64 coordinates; allowed: what divides them: 1, 2, 4, 8, 16, 32, 64",
        ),
        (
            moons,
            "model.0.network={kind='mlp',hidden=[8,9],residual=true}",
            "model.0.network.hidden: found [8, 9]; allowed: equal widths",
        ),
        (
            "spirals-diffusion",
            "model.0.network={kind='deep-sets'}",
            "model.0.network: found a network beside hidden, activation or residual; allowed: one or the other",
        ),
        (
            "hypergrid",
            "policy.network={kind='mlp',hidden=[8,9],residual=true}",
            "policy.network.hidden: found [8, 9]; allowed: equal widths where residual = true",
        ),
        (
            "bit-sequence",
            "policy.network={kind='transformer',patch=2}",
            "policy.network.patch: found 2, over objects; allowed: none",
        ),
    ] {
        let unset: &[&str] = match recipe {
            "digits-diffusion" => &["model.0.hidden=[256,256,256]"],
            "moons-flow" => &["model.0.hidden=[128,128]"],
            _ => &[],
        };
        let sets: Vec<&str> = unset.iter().copied().chain([set]).collect();
        let message_found = with_network(recipe, &sets).map(drop).unwrap_err().to_string();
        assert!(message_found.contains(message), "{set}\n{message_found}");
    }
    let masked = ["model.0.hidden=[128,128]", "model.0.coupling=autoregressive"];
    for network in ["{kind='transformer'}", "{kind='mlp',hidden=[8,8],residual=true}"] {
        let set = format!("model.0.network={network}");
        let message = with_network(moons, &[masked[0], masked[1], &set]).map(drop).unwrap_err().to_string();
        assert!(message.contains("in an autoregressive flow; allowed: a plain mlp"), "{message}");
    }
}
