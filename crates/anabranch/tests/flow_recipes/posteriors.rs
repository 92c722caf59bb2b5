//! Posteriors of chains: what a run has learned is the prior, an energy the likelihood.

use anabranch::recipe::{Override, Plan, Recipe, read};
use anabranch::run::{Refine, Run, Silent};
use serde_json::{Map, Value};

use super::{Scratch, number, trained};

const SHORT: &str = "[evaluation]\nsamples = 500\nsample_metrics = false\n";

/// A posterior of the run in `prior`.
fn posterior(prior: &Scratch, energy: &str, rest: &str) -> Recipe {
    let text = format!(
        "name = 'after'\n[target]\nkind = 'energy'\nenergy = {{ {energy} }}\n[policy]\nprior = '{}'\n\
         [optimizer]\nlearning_rate = 2e-3\nlog_z_rate = 0.05\n{rest}{SHORT}paths = 4000\n",
        prior.0.display()
    );
    read("after.toml", &text, &[]).unwrap()
}

/// log Z by the model and by the prior agree, and the bounds bracket it; the model does better than its prior.
fn agrees(metrics: &Map<String, Value>) {
    let of = |name: &str| (number(metrics, name), number(metrics, &format!("{name}_se")));
    let (by_model, by_prior) = (of("log_z"), of("log_z_prior"));
    let error = by_model.1.hypot(by_prior.1);
    assert!((by_model.0 - by_prior.0).abs() < 4.5 * error, "{metrics:?}");
    let (lower, upper) = (of("elbo"), of("eubo"));
    assert!(lower.0 < by_prior.0 + 4.5 * lower.1.hypot(by_prior.1), "{metrics:?}");
    assert!(upper.0 > by_model.0 - 4.5 * upper.1.hypot(by_model.1), "{metrics:?}");
    assert!(number(metrics, "ess") > 1.3 * number(metrics, "ess_prior"), "{metrics:?}");
}

/// A flow of the moons, led to the right by a likelihood whose dimension is the prior's; and that one led on.
#[test]
fn a_flow_is_a_prior() {
    let (prior, first, second) = (Scratch::new("moons"), Scratch::new("right"), Scratch::new("up"));
    let text = format!(
        "name = 'before'\n[target]\nkind = 'toy'\nname = 'moons'\nrows = 3000\n[[model]]\nkind = 'flow'\nlayers = 3\n\
         hidden = [32]\n[optimizer]\nlearning_rate = 3e-3\n[training]\nsteps = 300\n{SHORT}"
    );
    trained(&prior.0, read("before.toml", &text, &[]).unwrap());
    let right = "kind = 'expression', log_reward = '-2 * (x0 - 2)^2'";
    let balance = "[objective]\nkind = 'relative-trajectory-balance'\n[training]\nsteps = 300\nbatch = 64\n";
    let metrics = trained(&first.0, posterior(&prior, right, balance));
    agrees(&metrics);
    let learned = number(&metrics, "log_z_learned");
    assert!((learned - number(&metrics, "log_z")).abs() < 0.3, "{metrics:?}");
    // What is left to the prior is filled in.
    let text = std::fs::read_to_string(first.0.join("recipe.toml")).unwrap();
    assert!(text.contains("layers = 3"), "{text}");
    let up = "kind = 'expression', log_reward = '-(x1 - 1)^2'";
    let variance =
        "[objective]\nkind = 'relative-log-variance'\nbeta = 2.0\n[training]\nsteps = 200\nbatch = 64\n";
    let metrics = trained(&second.0, posterior(&first, up, variance));
    agrees(&metrics);
    // Refined by either way the samples have one mean.
    let run = Run::open(&second.0).unwrap();
    let of_run = run.trained(&Silent).unwrap();
    let means = [Refine::Importance, Refine::BackAndForth(30)].map(|refine| {
        let rows = run.plan.refined(&of_run, refine, 4000, 1, &Silent).unwrap().rows;
        let ups: Vec<f64> = rows.iter().skip(1).step_by(2).map(|x| f64::from(*x)).collect();
        anabranch::math::Estimate::mean(&ups)
    });
    let error = means[0].error.hypot(means[1].error);
    assert!((means[0].value - means[1].value).abs() < 5.0 * error, "{means:?}");
}

/// A diffusion of digits, hardly trained, led to one of them by the classifier; its samples are integers and images.
#[test]
fn a_diffusion_of_integers_is_a_prior() {
    let (prior, after) = (Scratch::new("digits"), Scratch::new("threes"));
    let text = format!(
        "name = 'before'\n[target]\nkind = 'table'\nsource = 'digits'\nlevels = 17\nimage = [8, 8]\n[[model]]\n\
         kind = 'diffusion'\nlevels = 8\nschedule = 'log-linear'\ngamma_first = -8.0\ngamma_last = 5.0\nprediction = 'levels'\n\
         hidden = [64]\n[training]\nsteps = 150\nbatch = 64\n{SHORT}"
    );
    let text = text + "draws = 1\n";
    trained(&prior.0, read("before.toml", &text, &[]).unwrap());
    let three = "kind = 'classifier', source = 'digits', class = 3, width = 32";
    let variance = "[objective]\nkind = 'relative-log-variance'\n[training]\nsteps = 60\nbatch = 64\n";
    let metrics = trained(&after.0, posterior(&prior, three, variance));
    assert!(number(&metrics, "proxy_accuracy") > 0.9, "{metrics:?}");
    let [model, before, perfect] =
        ["class_share", "class_share_prior", "class_share_weighted"].map(|name| number(&metrics, name));
    assert!(before < model && before < perfect && perfect <= 1.0, "{metrics:?}");
    assert_eq!(metrics["class_shares"].as_array().map(Vec::len), Some(10));
    let run = Run::open(&after.0).unwrap();
    let recipe = run.plan.recipe();
    assert_eq!((recipe.target.levels(), recipe.target.image()), (17, Some([8, 8])));
}

/// Whatever does not fit a prior is refused with its place.
#[test]
fn what_does_not_fit_a_prior_is_refused() {
    let (prior, walks) = (Scratch::new("fits"), Scratch::new("walks"));
    let flow = "[[model]]\nkind = 'flow'\nlayers = 1\nhidden = [4]\n";
    let toy = "[target]\nkind = 'toy'\nname = 'moons'\nrows = 50\n";
    let before = format!("name = 'before'\n{toy}{flow}[training]\nsteps = 1\n{SHORT}");
    trained(&prior.0, read("before.toml", &before, &[]).unwrap());
    let grid =
        "name = 't'\n[target]\nkind = 'hypergrid'\ndim = 2\nside = 3\n[training]\nsteps = 1\nbatch = 2\n";
    trained(&walks.0, read("grid.toml", grid, &[]).unwrap());
    let energy = "[target]\nkind = 'energy'\nenergy = { kind = 'expression', log_reward = '-x0' }\n";
    let of = |prior: &Scratch| format!("[policy]\nprior = '{}'\n", prior.0.display());
    let relative = "[objective]\nkind = 'relative-log-variance'\n";
    let nowhere = Scratch::new("nowhere");
    for (rest, found) in [
        (format!("{energy}{relative}{}", of(&nowhere)), "where there is no run"),
        (
            format!("{energy}{relative}{}", of(&walks)),
            "found a run of a flow network; allowed: one of a chain",
        ),
        (format!("{energy}{flow}{relative}"), "objective.kind: found one that needs a prior"),
        (format!("{energy}{}", of(&prior)), "found one that does not read the prior"),
        (format!("{toy}{flow}{relative}{}", of(&prior)), "which is of energies and objects and not of data"),
        (
            format!("{energy}{}{relative}{}", flow.replace("layers = 1", "layers = 2"), of(&prior)),
            "found a run with another [[model]]",
        ),
        (format!("{}{relative}{}", energy.replace("-x0", "-x2"), of(&prior)), "x2"),
        (
            format!(
                "[target]\nkind = 'energy'\nlevels = 3\nenergy = {{ kind = 'expression', log_reward = '-x0' }}\n{relative}{}",
                of(&prior)
            ),
            "target.levels: found 3, where the prior has 0",
        ),
        (
            format!(
                "[target]\nkind = 'energy'\nenergy = {{ kind = 'classifier', source = 'digits', class = 1 }}\n{relative}{}",
                of(&prior)
            ),
            "a classifier of 64 columns for 2 coordinates",
        ),
        (
            format!("[target]\nkind = 'energy'\nlevels = 3\nenergy = {{ kind = 'gmm9' }}\n{flow}"),
            "target.levels: found the space of a prior",
        ),
        (energy.to_owned(), "model: found 0 segments"),
    ] {
        let text = format!("name = 't'\n{rest}");
        let problem = read("t.toml", &text, &[] as &[Override]).and_then(Plan::new).err();
        let message = problem.unwrap_or_else(|| panic!("{text}")).to_string();
        assert!(message.contains(found), "{text}\n{message}");
    }
}
