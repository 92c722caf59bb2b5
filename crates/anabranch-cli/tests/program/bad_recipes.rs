//! Unknown recipes, keys and values, wrong types, contradictions and sizes beyond any machine: each is told apart from
//! what is right before anything is written.

use crate::support::{Place, TINY};

/// The message of a run that ends before it made its directory, which `explain` says, too.
fn refusal(place: &Place, arguments: &str) -> String {
    let before = place.files("");
    let message = place.run(&format!("run {arguments} --out run")).refused(2);
    assert!(!place.path("run").exists() && place.files("") == before, "something was left behind: {message}");
    assert_eq!(place.run(&format!("explain {arguments}")).refused(2), message);
    message
}

#[test]
fn unknown_recipes_are_named_with_the_nearest() {
    let place = Place::tiny();
    let message = refusal(&place, "digits-difusion");
    assert!(
        message.starts_with("recipe: found \"digits-difusion\"; allowed: digits-diffusion, "),
        "{message}"
    );
    assert!(
        message.ends_with(
            ", a file that ends in .toml, or - for standard input; did you mean \"digits-diffusion\"?"
        ),
        "{message}"
    );
    assert_eq!(
        refusal(&place, "nowhere/x.toml"),
        "nowhere/x.toml: found no such file or directory; allowed: a readable recipe file"
    );
    std::fs::create_dir(place.path("d.toml")).expect("a directory");
    assert_eq!(refusal(&place, "d.toml"), "d.toml: found is a directory; allowed: a readable recipe file");
    place.write("bytes.toml", [0xFF, 0xFE, 0]);
    assert!(
        refusal(&place, "bytes.toml").starts_with("bytes.toml: found stream did not contain valid UTF-8")
    );
}

#[test]
fn keys_and_values_of_a_file_are_named_by_line() {
    let place = Place::new();
    for (old, new, expected) in [
        (
            "rows = 50",
            "row = 50",
            "t.toml, line 8, key target.row: found \"row\"; allowed: kind, name, rows; did you mean \"rows\"?",
        ),
        (
            "steps = 30",
            "steps = \"30\"",
            "t.toml, line 20, key training.steps: found \"30\"; allowed: an integer of at least 0",
        ),
        (
            "steps = 30",
            "steps = 30.5",
            "t.toml, line 20, key training.steps: found 30.5; allowed: an integer of at least 0",
        ),
        (
            "batch = 8",
            "batch = 0",
            "t.toml, line 21, key training.batch: found 0; allowed: an integer from 1 to 10000000",
        ),
        (
            "hidden = [3]",
            "hidden = []",
            "t.toml, line 13, key model.0.hidden: found 0 entries; allowed: a list of 1 to 100 entries, each an integer from 1 to 65536",
        ),
        (
            "hidden = [3]",
            "hidden = [3, 0]",
            "t.toml, line 13, key model.0.hidden.1: found 0; allowed: an integer from 1 to 65536",
        ),
        (
            "kind = \"flow\"",
            "kind = \"flo\"",
            "t.toml, line 11, key model.0.kind: found \"flo\"; allowed: diffusion, jump, autoregressive, energy, energy-flow-network, run, flow, vae, annealing, langevin, controlled, gaussian, mixture, constrain, annealed-flow, dequantise, probit, standardise, whiten, logit; did you mean \"flow\"?",
        ),
        (
            "kind = \"flow\"",
            "",
            "t.toml, line 10, key model.0.kind: found nothing; allowed: diffusion, jump, autoregressive, energy, energy-flow-network, run, flow, vae, annealing, langevin, controlled, gaussian, mixture, constrain, annealed-flow, dequantise, probit, standardise, whiten, logit",
        ),
        (
            "name = \"moons\"",
            "name = \"mons\"",
            "t.toml, line 7, key target.name: found \"mons\"; allowed: eight-gaussians, checkerboard, spirals, moons, rings, pinwheel, swiss-roll; did you mean \"moons\"?",
        ),
        ("seed = 5", "seed = -5", "t.toml, line 3, key seed: found -5; allowed: an integer of at least 0"),
        (
            "name = \"tiny\"",
            "name = \"../tiny\"",
            "t.toml, line 1, key name: found \"../tiny\"; allowed: up to 100 letters, digits, \"-\", \"_\" and \".\", a letter or digit first",
        ),
        (
            "title = \"A tiny flow\"",
            "title = 2001-02-03",
            "t.toml, line 2, key title: found the date 2001-02-03; allowed: a text in quotes",
        ),
    ] {
        assert!(TINY.contains(old));
        place.write("t.toml", TINY.replacen(old, new, 1));
        assert_eq!(refusal(&place, "t.toml"), expected);
    }
    for broken in ["name = ", "[target", "name = \"a\"\nname = \"b\"", "\u{0}", "= 3"] {
        place.write("t.toml", broken);
        let message = refusal(&place, "t.toml");
        assert!(message.starts_with("t.toml, line ") && message.contains("found broken TOML ("), "{message}");
    }
    place.write("t.toml", format!("a = {}1{}", "[".repeat(10_000), "]".repeat(10_000)));
    assert!(refusal(&place, "t.toml").contains("found broken TOML"), "a deep nest is refused, not climbed");
}

#[test]
fn overrides_are_named_by_their_flag() {
    let place = Place::tiny();
    for (set, expected) in [
        ("training.stepz=5", "--set training.stepz: found \"stepz\"; allowed: steps, trajectories, batch, "),
        ("training.steps=many", "--set training.steps: found \"many\"; allowed: an integer of at least 0"),
        ("training.steps=0", "--set training.steps: found 0; allowed: an integer of at least 1"),
        ("training.ema=nan", "--set training.ema: found NaN; allowed: a finite number"),
        (
            "optimizer.learning_rate=-1",
            "--set optimizer.learning_rate: found -1; allowed: a positive number up to 1000",
        ),
        (
            "optimizer.epsilon=1e-300",
            "--set optimizer.epsilon: found 1e-300; allowed: a number from 1e-16 to 1",
        ),
        (
            "optimizer.beta2=0.99999999",
            "--set optimizer.beta2: found 0.99999999; allowed: a number from 0 to 0.999999",
        ),
        (
            "training.steps=9223372036854775807",
            "--set training.steps: found 9223372036854775807; allowed: at most ",
        ),
        ("optimizer.kind=sgd", "--set optimizer.kind: found \"sgd\"; allowed: adam, adamw"),
        (
            "optimizer.weight_decay=0.1",
            "--set optimizer.weight_decay: found 0.1; allowed: 0 with optimizer.kind = \"adam\"",
        ),
        ("model.3.layers=1", "--set model.3.layers: found \"3\"; allowed: an index from 0 to 0"),
        (
            "trainning.steps=1",
            "--set trainning.steps, key trainning: found \"trainning\"; allowed: name, title, ",
        ),
        ("steps", "--set: found \"steps\"; allowed: key.path=value, such as training.steps=100"),
    ] {
        let message = refusal(&place, &format!("tiny.toml --set {set}"));
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn contradictions_between_keys_are_found_before_training() {
    let place = Place::tiny();
    for (set, expected) in [
        (
            "objective={kind='reverse-kl'}",
            "--set objective, key objective.kind: found an objective that learns from an energy; allowed: ",
        ),
        (
            "model=[{kind='diffusion'},{kind='flow'}]",
            "--set model, key model.0.weighting: found a weighting other than \"bound\"; allowed: ",
        ),
        (
            "model=[{kind='standardise'},{kind='flow'}]",
            "--set model, key model.0.kind: found \"standardise\" before \"flow\"; allowed: ",
        ),
        (
            "model=[{kind='flow'},{kind='logit'}]",
            "--set model, key model.1.kind: found \"logit\" on data with ",
        ),
        (
            "model=[{kind='flow'},{kind='dequantise'}]",
            "--set model, key model.1.kind: found \"dequantise\" on continuous data; allowed: ",
        ),
        (
            "model=[{kind='vae',observation='bernoulli'}]",
            "--set model, key model.0.observation: found \"bernoulli\" on continuous data; allowed: ",
        ),
        (
            "model=[{kind='standardise'}]",
            "--set model: found no segment that learns; allowed: at least one \"diffusion\", \"jump\", \"autoregressive\", \"energy\", \"energy-flow-network\", \"flow\", \"vae\"",
        ),
        ("model=[]", "--set model: found 0 segments; allowed: from 1 to 100 of them"),
        (
            "target={kind='energy',energy={kind='many-well',dimension=3}}",
            "--set target, key target.energy.dimension: found 3; allowed: ",
        ),
        (
            "target={kind='energy',energy={kind='gaussian',mean=[0.0],std=[0.0,1.0]}}",
            "--set target, key target.energy.std: found 2 values for 1 means; ",
        ),
        (
            "target={kind='energy',energy={kind='funnel',dimension=2,std=inf}}",
            "--set target, key target.energy.std: found inf; allowed: a finite number",
        ),
        (
            "target={kind='energy',energy={kind='gmm9'}} --set model=[{kind='annealing',kernel={kind='gibbs'}}]",
            "--set model, key model.0.kernel: found \"gibbs\" of a target whose conditional laws are not known; ",
        ),
        (
            "target={kind='energy',energy={kind='gmm9'}} --set model=[{kind='annealing',kernel={kind='mala'},mass='dense'}]",
            "--set model, key model.0.mass: found a dense mass matrix, which the warm-up of \"hmc\" finds; ",
        ),
        (
            "target={kind='energy',energy={kind='gmm9'}} --set model=[{kind='flow'},{kind='annealing'}] \
             --set smc.persistent=true",
            "--set smc.persistent: found it of a chain whose densities do not all lie on one path from a base; ",
        ),
        ("target={kind='table'}", "--set target: found neither source nor file"),
        (
            "target={kind='table',source='digits',levels=1}",
            "--set target, key target.levels: found 1; allowed: 0 for continuous data, or from 2 to 65536",
        ),
        ("target={kind='table',source='digits',levels=17}", "--set model"),
    ] {
        let extra = if expected == "--set model" { "--set model=[{kind='flow'}]" } else { "" };
        let message = refusal(&place, &format!("tiny.toml --set {set} {extra}"));
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn sizes_beyond_a_machine_are_refused_at_once() {
    let place = Place::tiny();
    for (set, expected) in [
        (
            "model.0.hidden=[65536,65536]",
            "tiny.toml, line 10, key model.0: found 4295688208 weights from here to the target; allowed: at most 268435456 in a model",
        ),
        (
            "model.0.hidden=[1000000000000]",
            "--set model.0.hidden, key model.0.hidden.0: found 1000000000000; allowed: an integer from 1 to 65536",
        ),
        ("model.0.layers=1000000", "--set model.0.layers: found 1000000; allowed: an integer from 1 to 1000"),
        (
            "target={kind='energy',energy={kind='gmm9'}} --set objective.kind=detailed-balance \
             --set state_flow.hidden=[65536,65536]",
            "--set state_flow.hidden: found 4297",
        ),
        (
            "model=[{kind='diffusion',levels=10000000}]",
            "--set model, key model.0.levels: found 10000000; allowed: an integer from 2 to 1000000",
        ),
        (
            "target.rows=100000000",
            "--set target.rows: found 100000000; allowed: an integer from 10 to 10000000",
        ),
        (
            "training.batch=10000000 --set model.0.hidden=[1000]",
            "--set training.batch: found 10000000; allowed: at most ",
        ),
        (
            "training.steps=9223372036854775807",
            "--set training.steps: found 9223372036854775807; allowed: at most ",
        ),
        (
            "evaluation.samples=9000000000",
            "--set evaluation.samples: found 9000000000; allowed: an integer from 1 to 100000000",
        ),
        (
            "evaluation.importance_samples=100000000",
            "--set evaluation.importance_samples: found 100000000; allowed: at most ",
        ),
        (
            "evaluation.draws=1000000",
            "--set evaluation.draws: found 1000000; allowed: an integer from 1 to 10000",
        ),
        (
            "target={kind='energy',energy={kind='funnel',dimension=1000000000000,std=1.0}}",
            "--set target, key target.energy.dimension: found 1000000000000; allowed: an integer from 2 to 100000",
        ),
        ("target.rows=9223372036854775808", "--set target.rows: found "),
        (
            "evaluation.ode_steps=20",
            "--set evaluation.ode_steps: found 20 without a diffusion; allowed: 0, or a model with a \"diffusion\"",
        ),
        (
            "evaluation.ode_steps=1000000",
            "--set evaluation.ode_steps: found 1000000; allowed: an integer from 0 to 100000",
        ),
        (
            "evaluation.ode_probes=2",
            "--set evaluation.ode_probes: found 2 without an ODE; allowed: 0 where evaluation.ode_steps is 0",
        ),
        (
            "sampler={kind='ode',steps=0}",
            "--set sampler, key sampler.steps: found 0; allowed: an integer from 1 to 1000000",
        ),
        (
            "sampler={kind='ode',steps=9}",
            "--set sampler, key sampler.kind: found another sampler of a model without a diffusion; allowed: \"ancestral\"",
        ),
        (
            "target={kind='energy',energy={kind='tempered',beta=2.0,reward={kind='classifier',file='none.csv',label=1,class=0}}}",
            "--set target, key target.energy.reward.file: found none.csv: ",
        ),
    ] {
        let message = refusal(&place, &format!("tiny.toml --set {set}"));
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn paths_on_an_energy_must_fit_into_memory() {
    let place = Place::new();
    let message = place.run("run manywell-flow --set evaluation.paths=100000000 --out run").refused(2);
    assert_eq!(
        message,
        "--set evaluation.paths: found 100000000; allowed: at most 33554432 with a model that needs 32 numbers for each"
    );
    assert!(!place.path("run").exists());
}

#[test]
fn flags_say_what_they_allow() {
    let place = Place::tiny();
    let integer = "allowed: an integer from 0 to 9223372036854775807";
    for (arguments, expected) in [
        ("run tiny.toml --seed -1", format!("--seed: found \"-1\"; {integer}")),
        (
            "run tiny.toml --seed 18446744073709551615",
            format!("--seed: found \"18446744073709551615\"; {integer}"),
        ),
        ("sample run --count many", format!("--count: found \"many\"; {integer}")),
        ("run tiny.toml --seed", "--seed: found no value; allowed: --seed <SEED>".to_owned()),
        ("run tiny.toml --seed 1 --seed 2", "--seed: found the flag more than once; allowed: it once".to_owned()),
        ("run tiny.toml --json=yes", "--json: found \"yes\"; allowed: no value".to_owned()),
        (
            "run tiny.toml --jsn",
            "anabranch run: found \"--jsn\"; allowed: --set, --seed, --out, --json, --quiet, --help; did you mean \"--json\"?".to_owned(),
        ),
        (
            "--verson",
            "anabranch: found \"--verson\"; allowed: --help, --version; did you mean \"--version\"?".to_owned(),
        ),
        (
            "list all",
            "anabranch list: found \"all\" beyond its arguments; allowed: anabranch list [OPTIONS]".to_owned(),
        ),
        (
            "rum tiny.toml",
            "anabranch: found \"rum\"; allowed: new, run, resume, propose, sample, evaluate, export, compare, list, explain, cite, schema, completions, man, help; did you mean \"run\"?".to_owned(),
        ),
        (
            "help rum",
            "anabranch: found \"rum\"; allowed: new, run, resume, propose, sample, evaluate, export, compare, list, explain, cite, schema, completions, man, help; did you mean \"run\"?".to_owned(),
        ),
        (
            "compare",
            "anabranch compare: found no <RECIPES>...; allowed: anabranch compare [OPTIONS] <RECIPES>...".to_owned(),
        ),
        (
            "sample",
            "anabranch sample: found no --count <COUNT> and no <DIRECTORY>; allowed: anabranch sample [OPTIONS] --count <COUNT> <DIRECTORY>".to_owned(),
        ),
    ] {
        assert_eq!(place.run(arguments).refused(2), expected, "{arguments}");
    }
    let bare = place.run("");
    assert_eq!((bare.code, bare.stdout.as_str()), (Some(2), ""));
    assert!(bare.stderr.contains("Usage: anabranch <COMMAND>"), "{}", bare.stderr);
    place.run("run tiny.toml --seed 9223372036854775807 --out run --json").json();
    place.run("resume run --json").json();
}

#[test]
fn a_comparison_is_planned_before_it_begins() {
    let place = Place::tiny();
    let message = place.run("compare tiny.toml moons-flw --out both").refused(2);
    assert!(message.ends_with("did you mean \"moons-flow\"?"), "{message}");
    let message = place.run("compare tiny.toml tiny.toml --out both").refused(2);
    assert_eq!(
        message,
        "compare: found two recipes of the name \"tiny\"; allowed: recipes of different names"
    );
    place.write(
        "wrong.toml",
        TINY.replace("\"tiny\"", "\"wrong\"")
            .replace("\"flow\"", "\"vae\"")
            .replace("layers = 1", "observation = \"bernoulli\"")
            .replace("bins = 3", ""),
    );
    let message = place.run("compare tiny.toml wrong.toml --out both").refused(2);
    assert!(
        message.starts_with("wrong.toml, line 12, key model.0.observation: found \"bernoulli\" on"),
        "{message}"
    );
    assert!(!place.path("both").exists());
}
