//! The recipes that come with the program.

use super::{Override, Recipe, read};
use crate::error::{Error, Problem, Result};

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
    Entry { name: "digits-flow", text: include_str!("../../../../recipes/digits-flow.toml") },
    Entry { name: "digits-vae", text: include_str!("../../../../recipes/digits-vae.toml") },
    Entry { name: "digits-indm", text: include_str!("../../../../recipes/digits-indm.toml") },
    Entry {
        name: "digits-latent-diffusion",
        text: include_str!("../../../../recipes/digits-latent-diffusion.toml"),
    },
    Entry { name: "moons-flow", text: include_str!("../../../../recipes/moons-flow.toml") },
    Entry {
        name: "checkerboard-diffusion",
        text: include_str!("../../../../recipes/checkerboard-diffusion.toml"),
    },
    Entry { name: "spirals-diffusion", text: include_str!("../../../../recipes/spirals-diffusion.toml") },
    Entry { name: "funnel-flow", text: include_str!("../../../../recipes/funnel-flow.toml") },
    Entry { name: "manywell-flow", text: include_str!("../../../../recipes/manywell-flow.toml") },
];

/// All embedded recipes.
pub fn library() -> &'static [Entry] {
    LIBRARY
}

/// The recipe of that name, or in that file where the name ends in `.toml`.
///
/// # Errors
/// If there is none, or it is wrong.
pub fn named(name: &str, overrides: &[Override]) -> Result<Recipe> {
    if name.ends_with(".toml") {
        let text = std::fs::read_to_string(name).map_err(|error| {
            Error::from(Problem::new(name, error.to_string()).allowed("a readable recipe file"))
        })?;
        return read(name, &text, overrides);
    }
    match LIBRARY.iter().find(|entry| entry.name == name) {
        Some(entry) => read(entry.name, entry.text, overrides),
        None => {
            let names: Vec<&str> = LIBRARY.iter().map(|entry| entry.name).collect();
            Err(Problem::new("recipe", format!("\"{name}\"")).choices(&names).into())
        }
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
            Plan::new(recipe).unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        }
    }
}
