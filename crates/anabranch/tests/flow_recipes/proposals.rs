//! Particles behind any family: what another family draws is the proposal of annealed importance sampling and of sequential Monte Carlo.
//! `log Z` is right whatever it has learned, or the recipe is refused and says why.

use anabranch::error::Error;
use anabranch::model::recipe::SegmentRecipe;
use anabranch::recipe::{Plan, read};

use super::{Scratch, number, trained};

/// The keys that make a family small, and how long it trains.
fn small(kind: &str) -> (&'static str, usize) {
    match kind {
        // Its steps are as coarse as this only where noise begins near the target's own spread.
        "diffusion" => {
            ("schedule = 'log-linear'\ngamma_first = -1.0\ngamma_last = 4.0\nlevels = 12\nhidden = [16]", 200)
        }
        "flow" => ("layers = 2\nhidden = [8]", 5),
        "vae" => ("latent = [2]\nhidden = [8]", 5),
        "annealing" => ("steps = 2\nwarm_up = 4\nstretch = [0.0, 0.5]", 5),
        "langevin" => ("steps = 3\nhidden = [8]\nstep = { size = 0.1 }", 5),
        "controlled" => ("steps = 6\nhidden = [8]", 5),
        "annealed-flow" => ("steps = 2\nwarm_up = 4\nflow = { layers = 2, hidden = [8] }", 5),
        "constrain" => {
            ("blocks = [{ kind = 'free', count = 1 }, { kind = 'interval', low = -6.0, high = 6.0 }]", 5)
        }
        _ => ("", 5),
    }
}

/// Families that stand before no kernels of an energy over points, and what their refusal says.
const REFUSED: [(&str, &str); 10] = [
    ("jump", "\"jump\" beside other segments; allowed: it alone"),
    ("autoregressive", "\"autoregressive\" beside other segments; allowed: it alone"),
    ("energy", "another one of an energy that learns"),
    ("energy-flow-network", "another one of an energy that learns"),
    ("dequantise", "\"dequantise\" before \"annealing\"; allowed: it as the last segment"),
    ("probit", "\"probit\" before \"annealing\"; allowed: it as the last segment"),
    ("standardise", "\"standardise\" before \"annealing\"; allowed: it next to the data"),
    ("whiten", "\"whiten\" before \"annealing\"; allowed: it next to the data"),
    ("run", "model.0.run: found \"\", where there is no run"),
    ("logit", "\"logit\" before \"annealing\"; allowed: it next to the data"),
];

const LOG_Z: f64 = 1.3;

/// A family with Markov kernels behind it.
fn plan(kind: &str, objective: &str) -> Result<Plan, Error> {
    let (keys, steps) = small(kind);
    let text = format!(
        "name = 't'\nseed = 3\n[target]\nkind = 'energy'\nenergy = {{ kind = 'gaussian', mean = [0.8, -0.5], std = [0.5, 0.7], \
         log_z = {LOG_Z} }}\n[[model]]\nkind = '{kind}'\n{keys}\n[[model]]\nkind = 'annealing'\nsteps = 4\nwarm_up = 6\n\
         kernel = {{ kind = 'hmc', leapfrogs = 3 }}\n[objective]\nkind = '{objective}'\n[training]\nsteps = {steps}\nbatch = 16\n\
         evaluate_every = 0\n[smc]\nparticles = 200\nrepeats = 40\n[evaluation]\npaths = 8000\nsamples = 200\n\
         sample_metrics = false\n"
    );
    read("t.toml", &text, &[]).and_then(Plan::new)
}

#[test]
fn any_family_proposes_to_kernels() {
    for family in SegmentRecipe::families() {
        let kind = family.part().kind();
        if let Some((_, reason)) = REFUSED.iter().find(|(name, _)| *name == kind) {
            let message = plan(kind, "trajectory-balance").err().expect(kind).to_string();
            assert!(message.contains(reason), "{kind}: {message}");
            assert!(plan(kind, "reverse-kl").err().expect(kind).is_input());
            continue;
        }
        let plan = plan(kind, "reverse-kl").unwrap_or_else(|error| panic!("{kind}: {error}"));
        let scratch = Scratch::new(&format!("proposal-{kind}"));
        let found = trained(&scratch.0, plan.recipe().clone());
        for name in ["log_z", "log_z_smc"] {
            let (value, error) = (number(&found, name), number(&found, &format!("{name}_se")));
            assert!(error < 0.15 && (value - LOG_Z).abs() < 4.5 * error, "{kind}: {found:?}");
        }
        assert!(number(&found, "elbo") < LOG_Z + 4.5 * number(&found, "elbo_se"), "{kind}: {found:?}");
    }
}
