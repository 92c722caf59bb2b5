//! Targets over points as a recipe names them: energies of chains, and rewards of flow networks.

mod classifier;
mod combined;
mod given;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::band::BandRecipe;
use super::bayesian_mixture::BayesianMixtureRecipe;
use super::cox::CoxRecipe;
use super::entry::{Entry, LARGEST, Result};
use super::gaussian::GaussianRecipe;
use super::gmm::{Gmm9Recipe, Gmm25Recipe, Gmm40Recipe};
use super::inverse::MixtureInverseRecipe;
use super::logistic::LogisticRecipe;
use super::mixture::MixtureRecipe;
use super::toy::ToyRecipe;
use super::{
    Banana, Branin, Brownian, EightSchools, Funnel, HardMixture, Hartmann6, ItemResponse, LennardJones,
    ManyWell, Rings, Rosenbrock, ScalarField, Seeds,
};
use crate::environment::continuous::Domain;
use crate::error::Problem;
use crate::target::Target;
use crate::target::recipe::{ProcessRecipe, inside};
use classifier::ClassifierRecipe;
use combined::{PreferenceRecipe, TemperedRecipe};
use given::ExpressionRecipe;

macro_rules! targets {
    ($($(#[$about:meta])* $name:ident($entry:ty),)+) => {
        /// A target over points in a recipe.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
        pub enum PointTargetRecipe {
            $($(#[$about])* $name($entry),)+
        }

        impl PointTargetRecipe {
            fn entry(&self) -> &dyn Entry {
                match self {
                    $(Self::$name(entry) => entry,)+
                }
            }
        }
    };
}

targets! {
    /// On the box: a floor, corners, and modes in them (Lahlou et al. 2023).
    Original(BandRecipe),
    /// On the line: a Gaussian, its spread given in one of three ways.
    Gaussian(GaussianRecipe),
    /// A mixture: of diagonal Gaussians by `means` and `std`, normalised; or by `components` of products of laws, Beta on the
    /// box, normal on the line, von Mises on the torus, with Z the sum of the weights.
    Mixture(MixtureRecipe),
    /// Nine modes in the plane on the grid {-5, 0, 5}^2, covariance 0.3 I.
    Gmm9(Gmm9Recipe),
    /// Twenty-five modes in the plane on the grid {-10, -5, 0, 5, 10}^2, covariance 0.3 I.
    Gmm25(Gmm25Recipe),
    /// Forty modes at random, but fixed, places of [-40, 40]^dimension, standard deviation ln(1 + e) or 1.
    Gmm40(Gmm40Recipe),
    /// Six modes in the plane, four of them needles.
    HardMixture(HardMixture),
    /// On the line: Neal's funnel.
    Funnel(Funnel),
    /// On the line: Haario's banana.
    Banana(Banana),
    /// On the line: Rosenbrock's function, of known constant.
    Rosenbrock(Rosenbrock),
    /// Three rings in the plane.
    Rings(Rings),
    /// On the line: independent double wells; dimension 2 is the double well.
    ManyWell(ManyWell),
    /// The scalar field phi^4 on a square lattice with periodic edges.
    ScalarField(ScalarField),
    /// A cluster of particles that attract and repel each other, held by a spring.
    LennardJones(LennardJones),
    /// The posterior of a logistic regression, on data that come along or your own.
    LogisticRegression(LogisticRecipe),
    /// The posterior of a log-Gaussian Cox process on pine saplings.
    CoxProcess(CoxRecipe),
    /// The posterior of the rates at which seeds germinate.
    Seeds(Seeds),
    /// The posterior of students' abilities and questions' difficulties.
    ItemResponse(ItemResponse),
    /// The posterior of eight schools' effects.
    EightSchools(EightSchools),
    /// The posterior of a Brownian motion that is not seen in its middle.
    BrownianMotion(Brownian),
    /// On the line: the means of a mixture of normals, given data.
    BayesianMixture(BayesianMixtureRecipe),
    /// A linear inverse problem whose posterior is a mixture, with the observation as its condition.
    MixtureInverse(MixtureInverseRecipe),
    /// A toy density in the plane.
    Toy(ToyRecipe),
    /// On the square: Branin's function.
    Branin(Branin),
    /// On the box of six coordinates: Hartmann's function.
    Hartmann6(Hartmann6),
    /// A formula over the coordinates `x0`, `x1`, ..., with its exact gradient.
    Expression(ExpressionRecipe),
    /// Another program, which answers lines of JSON.
    Process(ProcessRecipe),
    /// The probability of a class, by a classifier of rows of numbers that is trained on labelled ones:
    /// `R = max(p(class | x), least)^beta`, with its exact gradient.
    Classifier(ClassifierRecipe),
    /// A target raised to a power.
    Tempered(TemperedRecipe),
    /// Several targets, weighed by the condition.
    Preference(PreferenceRecipe),
}

impl Default for PointTargetRecipe {
    fn default() -> Self {
        Self::Original(BandRecipe::default())
    }
}

impl PointTargetRecipe {
    /// The papers that it comes from, if it has a source.
    pub fn papers(&self) -> Vec<&'static str> {
        self.entry().papers()
    }

    /// Its name and formula in one line.
    pub fn formula(&self) -> String {
        self.entry().formula()
    }

    /// How many coordinates its points have, where it says so.
    pub fn dimension(&self) -> Option<usize> {
        self.entry().dimension()
    }

    /// Whether it, or what it is made of, takes long to build.
    fn is_costly(&self) -> bool {
        self.entry().is_costly() || self.entry().parts().iter().any(|(_, part)| part.is_costly())
    }

    /// Calls `refuse` for each part of it; the key of one that is refused is named.
    fn of_parts(&self, refuse: impl Fn(&Self) -> Result<()>) -> Result<()> {
        let parts = self.entry().parts();
        parts.into_iter().try_for_each(|(key, part)| refuse(part).map_err(|problem| inside(&key, problem)))
    }

    /// Refuses what is wrong whatever the points are. What takes long to build is built when the target is [wanted](Self::energy),
    /// and not here.
    ///
    /// # Errors
    /// As [`PointTargetRecipe::energy`].
    pub fn check(&self, place: &str) -> Result<()> {
        if !self.is_costly() {
            return self.energy(place).map(|_| ());
        }
        self.entry().check()?;
        self.of_parts(|part| part.check(place))
    }

    /// Refuses what is made of data that cannot be read.
    fn readable(&self) -> Result<()> {
        self.entry().readable()?;
        self.of_parts(Self::readable)
    }

    /// The target over real vectors, and their dimension.
    ///
    /// # Errors
    /// As [`PointTargetRecipe::build`]; if the recipe does not say the dimension.
    pub fn energy(&self, place: &str) -> Result<(Arc<dyn Target>, usize)> {
        self.readable()?;
        // One that knows no dimension of its own is refused, as a reward of other spaces or for that.
        let elsewhere = self.entry().domain().is_some_and(|domain| domain != Domain::Line);
        let dimension = self.dimension().or(elsewhere.then_some(1)).ok_or_else(|| {
            Problem::new("dimension", "none").allowed("how many coordinates x0, x1, ... a point has")
        })?;
        // A dimension that is too large is refused where its kind is known.
        let domains = vec![Domain::Line; dimension.min(LARGEST + 1)];
        Ok((self.build(&domains, place)?, dimension))
    }

    /// The target over points whose coordinates have these domains; `place` is where the recipe names it.
    ///
    /// # Errors
    /// If a value is not allowed, or the target is not one over such points; the key is named, from within `place`.
    pub fn build(&self, domains: &[Domain], place: &str) -> Result<Arc<dyn Target>> {
        let entry = self.entry();
        entry.check()?;
        entry.over(domains)?;
        entry.build(domains, place)
    }
}

#[cfg(test)]
mod tests;
