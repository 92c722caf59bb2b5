//! Chains under conditions: models of labelled rows, and of targets that depend on a condition.

use std::f64::consts::TAU;

use anabranch::recipe::{Plan, read};
use anabranch::rng::{Noise, Purpose};
use anabranch::run::{Run, Silent};

use super::{Scratch, number, trained};

/// Three classes of unequal share, each a normal with a mean and a spread of its own.
const CLASSES: [(f64, [f64; 2], f64); 3] =
    [(0.5, [-1.5, 0.5], 0.4), (0.3, [1.0, -1.0], 0.7), (0.2, [0.5, 2.0], 0.5)];

fn log_density(x: [f64; 2], (_, mean, std): (f64, [f64; 2], f64)) -> f64 {
    let square = (x[0] - mean[0]).powi(2) + (x[1] - mean[1]).powi(2);
    -0.5 * square / (std * std) - 2.0 * std.ln() - TAU.ln()
}

/// A file of labelled rows; the mean of `-log p(x | y)` over them, and the share of rows that Bayes' rule gives their own class.
fn labelled(path: &std::path::Path, rows: usize) -> (f64, f64) {
    let noise = Noise::new(9, Purpose::Data);
    let (normals, u) = (noise.normal(rows, 2), noise.purpose(Purpose::Choice).uniform(rows, 1));
    let (mut text, mut nll, mut right) = ("x,y,kind\n".to_owned(), 0.0, 0.0);
    for row in 0..rows {
        let mut left = f64::from(u[row]);
        let class = CLASSES.iter().position(|(share, ..)| {
            left -= share;
            left < 0.0
        });
        let class = class.unwrap_or(2);
        let (_, mean, std) = CLASSES[class];
        let x = [0, 1].map(|k| mean[k] + std * f64::from(normals[2 * row + k]));
        text.push_str(&format!("{},{},{class}\n", x[0], x[1]));
        nll -= log_density(x, CLASSES[class]) / rows as f64;
        let joint = CLASSES.map(|known| known.0.ln() + log_density(x, known));
        let best = (0..3).max_by(|a, b| joint[*a].total_cmp(&joint[*b])).expect("three classes");
        right += f64::from(u8::from(best == class)) / rows as f64;
    }
    std::fs::write(path, text).unwrap();
    (nll, right)
}

/// Every family learns the law of each class: its likelihood given the label is nearly the exact one, Bayes' rule tells classes as
/// well as the truth does, and samples under a label have that class's mean.
#[test]
fn models_of_labelled_rows() {
    let scratch = Scratch::new("labelled");
    std::fs::create_dir_all(&scratch.0).unwrap();
    let file = scratch.0.join("rows.csv");
    let (exact, right) = labelled(&file, 6000);
    for (name, model, measure, gap) in [
        ("coupling", "kind = 'flow'\nlayers = 4\nhidden = [32]", "nll", 0.06),
        (
            "maf",
            "kind = 'flow'\ncoupling = 'autoregressive'\nlayers = 2\nhidden = [32]\ntransformer = 'affine'",
            "nll",
            0.06,
        ),
        ("iaf", "kind = 'flow'\ncoupling = 'inverse-autoregressive'\nlayers = 2\nhidden = [32]", "nll", 0.06),
        ("vae", "kind = 'vae'\nlatent = [2]\nhidden = [32]\nobservation = 'gaussian'", "nll", 0.2),
        (
            "diffusion",
            "kind = 'diffusion'\nhidden = [64, 64]\nlevels = 100\nschedule = 'learned'\nweighting = 'bound'\n\
             prediction = 'velocity'",
            "nll_continuous",
            0.25,
        ),
        (
            "transformer",
            "kind = 'flow'\nlayers = 4\nnetwork = { kind = 'transformer', layers = 1, heads = 2, width = 16 }",
            "nll",
            0.06,
        ),
    ] {
        let text = format!(
            "name = 't'\nseed = 2\n[target]\nkind = 'table'\nfile = '{}'\nlabel = 'kind'\n[[model]]\n{model}\n\
             [optimizer]\nlearning_rate = 5e-3\n[training]\nsteps = 700\nbatch = 128\n[evaluation]\nsamples = 3000\n",
            file.display()
        );
        let directory = scratch.0.join(name);
        let metrics = trained(&directory, read("test.toml", &text, &[]).unwrap());
        let (nll, error) = (number(&metrics, measure), number(&metrics, &format!("{measure}_se")));
        assert!(nll > exact - 5.0 * error && nll < exact + gap, "{name}: {nll} +- {error}, exactly {exact}");
        let accuracy = number(&metrics, "class_accuracy");
        assert!(accuracy > right - 0.06, "{name}: {accuracy}, exactly {right}");
        let samples = anabranch::data::read(&directory.join("samples.npy"), &[]).unwrap();
        let given = anabranch::data::read(&directory.join("given.npy"), &[]).unwrap();
        assert_eq!((samples.rows(), given.rows(), given.columns), (3000, 3000, 3));
        for (class, (share, mean, _)) in CLASSES.iter().enumerate() {
            let own = given.values.chunks_exact(3).zip(samples.values.chunks_exact(2));
            let own: Vec<&[f32]> = own.filter(|(given, _)| given[class] == 1.0).map(|(_, x)| x).collect();
            assert!(
                (own.len() as f64 / 3000.0 - share).abs() < 0.03,
                "{name}: {} of class {class}",
                own.len()
            );
            let found = own.iter().map(|x| f64::from(x[0])).sum::<f64>() / own.len() as f64;
            assert!((found - mean[0]).abs() < 0.15, "{name}: class {class} about {found}, not {}", mean[0]);
        }
    }
    // Further rows are scored under their own labels.
    let run = Run::open(&scratch.0.join("coupling")).unwrap();
    let Plan::Chain(plan) = &run.plan else { panic!("a chain") };
    let scored = plan.score(&run.trained(&Silent).unwrap(), Some(&file), &Silent).unwrap().metrics;
    assert!((number(&scored, "nll") - exact).abs() < 0.06, "{scored:?}");
    let bare = scratch.0.join("bare.csv");
    std::fs::write(&bare, "x,y\n0.5,1\n").unwrap();
    let error = plan.score(&run.trained(&Silent).unwrap(), Some(&bare), &Silent).unwrap_err().to_string();
    assert!(error.contains("bare.csv: found no column \"kind\", which the model was trained on"), "{error}");
}

/// A file of rows `x ~ N(A y + 1, S)` with their two-dimensional `y ~ N((5, -200), diag(4, 900))`: the mean of `-log p(x | y)`.
fn given_numbers(path: &std::path::Path, rows: usize) -> f64 {
    let normals = Noise::new(10, Purpose::Data).normal(rows, 4);
    let (mut text, mut nll) = ("y1,x0,y0,x1,note\n".to_owned(), 0.0);
    for z in normals.chunks_exact(4).map(|z| [0, 1, 2, 3].map(|k| f64::from(z[k]))) {
        let y = [5.0 + 2.0 * z[0], -200.0 + 30.0 * z[1]];
        let x = mean_given(y);
        let x = [x[0] + 0.5 * z[2], x[1] + 0.3 * z[2] + 0.4 * z[3]];
        text.push_str(&format!("{},{},{},{},word\n", y[1], x[0], y[0], x[1]));
        nll += (0.5 * (z[2] * z[2] + z[3] * z[3]) + TAU.ln() + 0.2f64.ln()) / rows as f64;
    }
    std::fs::write(path, text).unwrap();
    nll
}

fn mean_given(y: [f64; 2]) -> [f64; 2] {
    let (a, b) = ((y[0] - 5.0) / 2.0, (y[1] + 200.0) / 30.0);
    [a + 0.5 * b + 1.0, a - b + 1.0]
}

/// Every family learns the law of rows given numbers in whatever units they come; conditions are said, written and read in those.
#[test]
fn models_of_rows_given_numbers() {
    let scratch = Scratch::new("given");
    std::fs::create_dir_all(&scratch.0).unwrap();
    let file = scratch.0.join("rows.csv");
    let exact = given_numbers(&file, 6000);
    for (name, model, measure, gap) in [
        ("coupling", "kind = 'flow'\nlayers = 4\nhidden = [32]", "nll", 0.06),
        (
            "maf",
            "kind = 'flow'\ncoupling = 'autoregressive'\nlayers = 2\nhidden = [32]\ntransformer = 'affine'",
            "nll",
            0.06,
        ),
        ("vae", "kind = 'vae'\nlatent = [2]\nhidden = [32]\nobservation = 'gaussian'", "nll", 0.25),
        (
            "diffusion",
            "kind = 'diffusion'\nhidden = [64, 64]\nlevels = 100\nschedule = 'learned'\nweighting = 'bound'\n\
             prediction = 'velocity'",
            "nll_continuous",
            0.25,
        ),
    ] {
        let text = format!(
            "name = 't'\nseed = 2\n[target]\nkind = 'table'\nfile = '{}'\ngiven = ['y0', 0]\ndrop = ['note']\n[[model]]\n\
             {model}\n[[model]]\nkind = 'standardise'\n[optimizer]\nlearning_rate = 5e-3\n[training]\nsteps = 700\n\
             batch = 128\n[evaluation]\nsamples = 2000\n",
            file.display()
        );
        let directory = scratch.0.join(name);
        let metrics = trained(&directory, read("test.toml", &text, &[]).unwrap());
        let (nll, error) = (number(&metrics, measure), number(&metrics, &format!("{measure}_se")));
        assert!(nll > exact - 5.0 * error && nll < exact + gap, "{name}: {nll} +- {error}, exactly {exact}");
        let samples = anabranch::data::read(&directory.join("samples.npy"), &[]).unwrap();
        let given = anabranch::data::read(&directory.join("given.npy"), &[]).unwrap();
        assert_eq!((samples.rows(), given.rows(), given.columns), (2000, 2000, 2));
        // The held-out rows' conditions, in their units and one after the other: as many as there are, and again.
        assert_eq!(given.values[..2 * 800], given.values[2 * 1200..]);
        let mean = given.values.iter().skip(1).step_by(2).map(|y| f64::from(*y)).sum::<f64>() / 2000.0;
        assert!((mean + 200.0).abs() < 5.0, "{name}: y1 about {mean}");
        // What is left of samples without their means has mean 0, and little to do with the condition.
        let pairs = given.values.chunks_exact(2).zip(samples.values.chunks_exact(2));
        let left: Vec<f64> =
            pairs.map(|(y, x)| f64::from(x[1]) - mean_given([f64::from(y[0]), f64::from(y[1])])[1]).collect();
        let squares = left.iter().map(|x| x * x).sum::<f64>() / 2000.0;
        assert!((squares - 0.25).abs() < 0.12, "{name}: a variance of {squares} about the mean");
    }
    let run = Run::open(&scratch.0.join("coupling")).unwrap();
    let Plan::Chain(plan) = &run.plan else { panic!("a chain") };
    let weights = run.trained(&Silent).unwrap();
    let scored = plan.score(&weights, Some(&file), &Silent).unwrap().metrics;
    assert!((number(&scored, "nll") - exact).abs() < 0.06, "{scored:?}");
    // A condition in words and in a file is the same, in the order in which the recipe lists columns.
    let said = plan.condition.parse("--condition", "7, -230").unwrap();
    let list = scratch.0.join("list.csv");
    std::fs::write(&list, "a,b\n7,-230\n5,-200\n").unwrap();
    let listed = plan.condition.read("--conditions", &list).unwrap();
    assert_eq!(listed.row(0), said.values());
    assert!((said.values()[0] - 1.0).abs() < 0.1 && (said.values()[1] + 1.0).abs() < 0.1, "{said:?}");
    let noise = Noise::new(3, Purpose::Source);
    let model = plan.model.with_weights(&weights.vectors);
    let samples = plan.recipe.sampler.sample(&model, 2000, &said, &noise).unwrap();
    let mean = samples.iter().step_by(2).map(|x| f64::from(*x)).sum::<f64>() / 2000.0;
    assert!((mean - mean_given([7.0, -230.0])[0]).abs() < 0.12, "{mean}");
    assert_eq!(plan.condition.outside(&said), Vec::<String>::new());
    let far = plan.condition.parse("--condition", "7,0").unwrap();
    assert!(
        plan.condition.outside(&far)[0].starts_with("column \"y1\" = "),
        "{:?}",
        plan.condition.outside(&far)
    );
    for (text, expected) in [
        ("7", "--condition: found \"7\"; allowed: 2 finite numbers, with commas between them"),
        ("7,many", "--condition: found \"7,many\"; allowed: 2 finite numbers, with commas between them"),
        ("7,NaN", "--condition: found \"7,NaN\"; allowed: 2 finite numbers, with commas between them"),
    ] {
        assert_eq!(plan.condition.parse("--condition", text).unwrap_err().to_string(), expected);
    }
    std::fs::write(&list, "1,2,3\n").unwrap();
    let message = plan.condition.read("--conditions", &list).unwrap_err().to_string();
    assert!(
        message.ends_with("list.csv: found 3 columns; allowed: 2, the numbers of a condition"),
        "{message}"
    );
    // What cannot be given is refused with its reason.
    let refused = |keys: &str, rows: &str| {
        std::fs::write(&list, rows).unwrap();
        let text = format!(
            "name = 't'\n[target]\nkind = 'table'\n{keys}\n[[model]]\nkind = 'flow'\nlayers = 1\n\
             coupling = 'autoregressive'\n",
        );
        let text = text.replace("FILE", &list.display().to_string());
        read("test.toml", &text, &[]).and_then(Plan::new).map(|_| ()).unwrap_err().to_string()
    };
    let rows = "x,y,z\n1,2,3\n2,2,4\n3,2,5\n4,2,6\n";
    for (keys, rows, expected) in [
        ("file = 'FILE'\ngiven = ['w']", rows, "target.given: found \"w\"; allowed: x, y, z"),
        ("file = 'FILE'\ngiven = ['y']", rows, "column \"y\", which is 2 in all 3 training rows"),
        (
            "file = 'FILE'\ngiven = ['x', 'x']",
            rows,
            "target.given: found \"x\" twice; allowed: each column once",
        ),
        ("file = 'FILE'\ngiven = ['x']\nlabel = 'y'", rows, "found numbers beside a label"),
        ("file = 'FILE'\ngiven = ['x']", "x,y\n1,2\nNaN,3\n", "column \"x\": found "),
        ("file = 'FILE'\ngiven = ['x']", "x,y\n1,2\nword,3\n", "column \"x\": found \"word\""),
        ("source = 'digits'\ngiven = [0]", rows, "columns of an embedded data set"),
        ("file = 'FILE'\ngiven = ['x', 'y', 'z']", rows, "found no columns left"),
    ] {
        let message = refused(keys, rows);
        assert!(message.contains(expected), "{keys}: {message}");
    }
}

/// Learned posteriors of built-in simulators are measured at the ten observations against exact ones.
#[test]
fn posteriors_of_simulators() {
    let scratch = Scratch::new("simulator");
    let text = |name: &str, model: &str| {
        format!(
            "name = 't'\n[target]\nkind = 'simulator'\nname = '{name}'\nsimulations = 6000\nposterior_draws = 300\n\
             [[model]]\n{model}\n[[model]]\nkind = 'standardise'\n[training]\nsteps = 500\nema = 0.98\nevaluate_every = 100\n\
             [optimizer]\nlearning_rate = 3e-3\n[evaluation]\nsamples = 100\n"
        )
    };
    let affine =
        "kind = 'flow'\ncoupling = 'autoregressive'\nlayers = 2\nhidden = [64]\ntransformer = 'affine'";
    let metrics = trained(&scratch.0, read("test.toml", &text("gaussian-linear", affine), &[]).unwrap());
    // The entropy of N(x / 2, 0.05 I) in ten dimensions.
    let entropy = 5.0 * (TAU * std::f64::consts::E * 0.05).ln();
    assert!((number(&metrics, "nll_exact") - entropy).abs() < 4.0 * number(&metrics, "nll_exact_se"));
    assert!(number(&metrics, "nll") < number(&metrics, "nll_exact") + 0.3, "{metrics:?}");
    assert!(
        number(&metrics, "posterior_c2st") < 0.62 && number(&metrics, "posterior_inside") == 1.0,
        "{metrics:?}"
    );
    let rows = std::fs::read_to_string(scratch.0.join("observations.csv")).unwrap();
    assert_eq!((rows.lines().count(), rows.lines().next()), (11, Some("observation,c2st,nll,inside")));
    let given = anabranch::data::read(&scratch.0.join("given.npy"), &[]).unwrap();
    assert_eq!((given.columns, given.rows()), (10, 100));
    let message =
        read("test.toml", &text("two_moons", affine), &[]).and_then(Plan::new).map(|_| ()).unwrap_err();
    assert!(message.to_string().contains("did you mean \"two-moons\"?"), "{message}");
}

/// A chain that learns `exp(-c (x0^2 / 2 + 2 (x1 - 1)^2))` for all `c` of a range, `log Z(c) = log(pi / c)`.
#[test]
fn energies_at_all_temperatures() {
    let energy = "kind = 'tempered'\nreward = { kind = 'expression', dimension = 2, log_reward = '-x0^2 / 2 - 2 * (x1 - 1)^2' }";
    let flow = "kind = 'flow'\nlayers = 4\nhidden = [32]";
    let diffusion = "kind = 'diffusion'\nhidden = [64]\nlevels = 16\nschedule = 'log-linear'\nweighting = 'bound'\n\
                     gamma_first = -2.5\ngamma_last = 3.0";
    for (objective, model, log_z_learned) in [
        ("reverse-kl", flow, false),
        ("trajectory-balance", flow, true),
        ("log-variance", flow, false),
        ("sub-trajectory-balance", diffusion, true),
    ] {
        let scratch = Scratch::new(&format!("tempered-{objective}"));
        let text = format!(
            "name = 't'\nseed = 2\n[target]\nkind = 'energy'\n[target.energy]\n{energy}\n[[model]]\n{model}\n\
             [[conditions]]\nkind = 'log-uniform'\nlow = 0.5\nhigh = 4.0\n[objective]\nkind = '{objective}'\n\
             [optimizer]\nlearning_rate = 3e-3\n[training]\nsteps = 700\nbatch = 128\n[evaluation]\npaths = 8000\nsamples = 200\n"
        );
        let metrics = trained(&scratch.0, read("test.toml", &text, &[]).unwrap());
        let rows = std::fs::read_to_string(scratch.0.join("conditions.csv")).unwrap();
        let mut squares = [0.0; 2];
        for row in rows.lines().skip(1) {
            let cells: Vec<f64> = row.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
            let exact = (std::f64::consts::PI / cells[0]).ln();
            squares[0] += (cells[1] - exact).powi(2) / 16.0;
            // On the sampler's own paths log Z settles where the ELBO is: a diffusion of few levels keeps a gap.
            let settled = if model == flow { exact } else { cells[5] };
            squares[1] += (cells[4] - settled).powi(2) / 16.0;
        }
        assert!(squares[0].sqrt() < 0.12, "{objective}: {rows}");
        assert_eq!(metrics.contains_key("log_z_learned"), log_z_learned, "{objective}: {metrics:?}");
        assert!(!log_z_learned || squares[1].sqrt() < 0.25, "{objective}: {rows}");
        assert!(number(&metrics, "ess") > 0.2, "{objective}: {metrics:?}");
    }
}

/// What has no conditions, or conditions that nothing reads, says so.
#[test]
fn conditions_that_do_not_fit_are_refused() {
    let refused = |text: &str| match read("test.toml", text, &[]).and_then(Plan::new) {
        Ok(_) => panic!("{text}"),
        Err(error) => error.to_string(),
    };
    let chain = |target: &str, rest: &str| {
        format!("name = 't'\n[target]\n{target}\n[[model]]\nkind = 'flow'\nlayers = 1\n{rest}")
    };
    let tempered = "kind = 'energy'\nenergy = { kind = 'tempered', reward = { kind = 'funnel', dimension = 2, std = 1.5 } }";
    let law = "[[conditions]]\nkind = 'uniform'\nlow = 0.5\nhigh = 1.0\n";
    let balance = "[objective]\nkind = 'trajectory-balance'\n";
    let message = refused(&chain(tempered, balance));
    assert!(message.contains("conditions") && message.contains("found 0 numbers; allowed: 1"), "{message}");
    let message = refused(&chain(
        "kind = 'energy'\nenergy = { kind = 'funnel', dimension = 2, std = 1.5 }",
        &format!("{law}{balance}"),
    ));
    assert!(message.contains("conditions") && message.contains("found 1 numbers; allowed: 0"), "{message}");
    let message = refused(&chain(tempered, law));
    assert!(message.contains("an objective that learns from samples"), "{message}");
    let message = refused(&chain("kind = 'toy'\nname = 'moons'", law));
    assert!(message.contains("conditions"), "{message}");
    let message = refused(&chain(
        "kind = 'table'\nsource = 'digits'\nlevels = 17\nlabel = 'digits'",
        "[[model]]\nkind = 'dequantise'",
    ));
    assert!(message.contains("target.label") && message.contains("\"digit\""), "{message}");
}
