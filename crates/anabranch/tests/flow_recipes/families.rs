//! Every family that learns or samples an energy takes a user's own, by a formula or by a program; where a program answers no gradients,
//! or no second ones, what needs them is refused with the reason.

use anabranch::error::Error;
use anabranch::recipe::{Plan, read};

use super::{from_text, number};

/// What becomes of an energy in a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is learned or sampled.
    Runs,
    /// It would take the energy's gradient.
    NoGradient,
    /// It would take the derivative of that gradient.
    NoCurvature,
}

use Outcome::{NoCurvature, NoGradient, Runs};

/// A correlated Gaussian, by a formula, by a program with gradients and by one without.
fn energies() -> [String; 3] {
    let program = "import json, sys\n\
                   for line in sys.stdin:\n    \
                   q = json.loads(line)\n    \
                   a = {'log_rewards': [-x * x / 2 - (y - x / 2) ** 2 for x, y in q['objects']]}\n    \
                   if q.get('gradients'): a['gradients'] = [[y - 1.5 * x, x - 2 * y] for x, y in q['objects']]\n    \
                   print(json.dumps(a), flush=True)\n";
    let process = |more: &str| {
        format!("kind = 'process'\ncommand = ['python3', '-c', '''\n{program}''']\ndimension = 2\n{more}\n")
    };
    let formula =
        "kind = 'expression'\ndimension = 2\nlog_reward = '-x0^2 / 2 - (x1 - x0 / 2)^2'\n".to_owned();
    [formula, process("gradients = true"), process("")]
}

/// Families by name, what their recipes say, and what becomes of a program with gradients and of one without; a formula has all.
const FAMILIES: [(&str, &str, [Outcome; 2]); 21] = [
    ("flow", "kind = 'flow'\nlayers = 1\nhidden = [4]\n[objective]\nkind = 'reverse-kl'", [Runs, NoGradient]),
    (
        "flow, balance",
        "kind = 'flow'\nlayers = 1\nhidden = [4]\n[objective]\nkind = 'trajectory-balance'",
        [Runs, Runs],
    ),
    (
        "flow, variance",
        "kind = 'flow'\nlayers = 1\nhidden = [4]\n[objective]\nkind = 'log-variance'",
        [Runs, Runs],
    ),
    (
        "fab",
        "kind = 'flow'\nlayers = 1\nhidden = [4]\n[objective]\nkind = 'fab'\nlevels = 2",
        [Runs, NoGradient],
    ),
    ("dds", "kind = 'controlled'\nsteps = 4\n[objective]\nkind = 'reverse-kl'", [Runs, NoGradient]),
    (
        "dds, variance",
        "kind = 'controlled'\nsteps = 4\n[objective]\nkind = 'log-variance'",
        [Runs, NoGradient],
    ),
    (
        "dds, blind",
        "kind = 'controlled'\nlangevin_parametrisation = false\nsteps = 4\n[objective]\nkind = 'log-variance'",
        [Runs, Runs],
    ),
    (
        "pis",
        "kind = 'controlled'\nreference = 'brownian'\nsteps = 4\n[objective]\nkind = 'reverse-kl'",
        [Runs, NoGradient],
    ),
    (
        "pis, guided",
        "kind = 'controlled'\nreference = 'brownian'\nlangevin_parametrisation = true\nsteps = 4\n[objective]\nkind = 'log-variance'",
        [Runs, NoGradient],
    ),
    (
        "cmcd",
        "kind = 'langevin'\nreversal = 'controlled'\nsteps = 4\nstep = { size = 0.05 }\n[objective]\nkind = 'log-variance'",
        [Runs, NoGradient],
    ),
    (
        "cmcd, path",
        "kind = 'langevin'\nreversal = 'controlled'\nsteps = 4\nstep = { size = 0.05 }\n[objective]\nkind = 'reverse-kl'",
        [NoCurvature, NoGradient],
    ),
    (
        "mcd",
        "kind = 'langevin'\nreversal = 'learned'\nsteps = 4\nstep = { size = 0.05 }\n[objective]\nkind = 'reverse-kl'",
        [NoCurvature, NoGradient],
    ),
    (
        "ula",
        "kind = 'langevin'\nreversal = 'none'\nsteps = 4\nstep = { size = 0.05, learned = true }\n[objective]\nkind = 'log-variance'",
        [Runs, NoGradient],
    ),
    ("ais", "kind = 'annealing'\nsteps = 4\nkernel = { kind = 'random-walk' }", [Runs, Runs]),
    (
        "ais, hmc",
        "kind = 'annealing'\nsteps = 4\nkernel = { kind = 'hmc', leapfrogs = 2 }",
        [Runs, NoGradient],
    ),
    (
        "smc",
        "kind = 'annealing'\nsteps = 4\nkernel = { kind = 'random-walk' }\n[smc]\nparticles = 50\nrepeats = 2",
        [Runs, Runs],
    ),
    (
        "craft",
        "kind = 'annealed-flow'\nsteps = 2\nflow = { layers = 1, transformer = 'affine', hidden = [4], mixing = 'none' }\nkernel = { kind = 'random-walk' }\n[objective]\nkind = 'craft'\n[smc]\nparticles = 50\nrepeats = 2",
        [Runs, NoGradient],
    ),
    (
        "snf",
        "kind = 'annealed-flow'\nsteps = 2\nflow = { layers = 1, transformer = 'affine', hidden = [4], mixing = 'none' }\nkernel = { kind = 'random-walk' }\n[objective]\nkind = 'reverse-kl'",
        [Runs, NoGradient],
    ),
    ("vi", "kind = 'gaussian'\ncovariance = 'full'\n[objective]\nkind = 'reverse-kl'", [Runs, NoGradient]),
    (
        "vi, variance",
        "kind = 'gaussian'\ncovariance = 'diagonal'\n[objective]\nkind = 'log-variance'",
        [Runs, Runs],
    ),
    (
        "diffusion",
        "kind = 'diffusion'\nschedule = 'log-linear'\nlevels = 4\nhidden = [4]\n[objective]\nkind = 'log-variance'",
        [Runs, Runs],
    ),
];

fn recipe(energy: &str, family: &str) -> String {
    let (model, rest) =
        family.split_once("\n[").map_or((family, String::new()), |(m, r)| (m, format!("[{r}\n")));
    let learns = rest.contains("objective");
    let training = if learns { "[training]\nsteps = 2\nbatch = 32\n" } else { "" };
    format!(
        "name = 't'\nseed = 2\n[target]\nkind = 'energy'\n[target.energy]\n{energy}\
         [[model]]\n{model}\n{rest}{training}[evaluation]\npaths = 64\nsamples = 16\nsample_metrics = false\n"
    )
}

#[test]
fn every_family_takes_an_energy_of_ones_own_or_says_why_not() {
    let energies = energies();
    let mut wrong = Vec::new();
    for (name, family, [with, without]) in FAMILIES {
        for (kind, (energy, expected)) in energies.iter().zip([Runs, with, without]).enumerate() {
            let text = recipe(energy, family);
            let found = match read("t.toml", &text, &[]).and_then(Plan::new) {
                Ok(_) => {
                    let metrics = from_text(&format!("family-{kind}"), &text);
                    assert!(number(&metrics, "log_z").is_finite(), "{name}, energy {kind}: {metrics:?}");
                    Runs
                }
                Err(error @ Error::Input(_)) => {
                    let words = error.to_string();
                    assert!(words.contains("; allowed: "), "{words}");
                    match (words.contains("second derivatives"), words.contains("gradient")) {
                        (true, _) => NoCurvature,
                        (_, true) => NoGradient,
                        _ => panic!("{name}, energy {kind}: {words}"),
                    }
                }
                Err(other) => panic!("{name}, energy {kind}: {other}"),
            };
            if found != expected {
                wrong.push(format!("{name}, energy {kind}: {found:?} and not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
