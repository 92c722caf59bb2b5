//! The papers behind a chain's recipe.

use crate::model::jump::sampling::{Sampling, SamplingOrder};
use crate::model::recipe::SegmentRecipe;
use crate::objective::ObjectiveRecipe;
use crate::papers::{
    ADAM, ANY_ORDER, CONFIDENCE, DDIM, HUTCHINSON, MULTIFLOW, PERSISTENT, SCORE_SDE, SMC, WASTE_FREE,
};
use crate::recipe::Recipe;
use crate::sampler::Sampler;

/// The BibTeX entries of the target and the methods a recipe uses.
pub(in crate::recipe) fn citations(recipe: &Recipe) -> Vec<&'static str> {
    let rows = recipe.target.rows().map(|rows| rows.papers());
    let energy = recipe.target.energy().map(|target| target.papers());
    let mut entries = rows.or(energy).unwrap_or_default();
    for (part, place) in SegmentRecipe::parts(&recipe.model) {
        entries.extend(part.papers(&place));
        entries.extend(part.network().and_then(|network| network.paper()));
    }
    if super::learns(recipe) {
        entries.extend(recipe.objective.papers());
    }
    entries.extend(matches!(recipe.sampler, Sampler::Ddim { .. }).then_some(DDIM));
    if let Sampler::Discrete(Sampling { order: Some(order), .. }) = recipe.sampler {
        let paper = if order == SamplingOrder::Confidence { CONFIDENCE } else { ANY_ORDER };
        entries.extend((!entries.contains(&paper)).then_some(paper));
    }
    let rates = matches!(recipe.sampler, Sampler::Discrete(Sampling { eta: Some(_), .. }));
    entries.extend(rates.then_some(MULTIFLOW));
    if let Some(smc) = &recipe.smc {
        entries.push(SMC);
        entries.extend((smc.waste_free > 1).then_some(WASTE_FREE));
        entries.extend(smc.persistent.then_some(PERSISTENT));
    }
    let ode = matches!(recipe.sampler, Sampler::Ode { .. }) || recipe.evaluation.ode_steps > 0;
    entries.extend(ode.then_some(SCORE_SDE));
    entries.extend((recipe.evaluation.ode_probes > 0).then_some(HUTCHINSON));
    let ascends = matches!(recipe.objective, ObjectiveRecipe::CoordinateAscent(_));
    entries.extend((super::learns(recipe) && !ascends).then_some(ADAM));
    entries
}

#[cfg(test)]
mod tests {
    use crate::recipe::{Override, named};

    #[test]
    fn the_ode_and_its_traces_are_cited_where_they_are_used() {
        let cited = |sets: &[&str]| {
            let sets: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
            let text = named("spirals-diffusion", &sets).unwrap().citations().join("\n");
            ["{song2021score,", "{hutchinson1990stochastic,"].map(|key| text.contains(key))
        };
        assert_eq!(cited(&[]), [false, false]);
        assert_eq!(cited(&["evaluation.ode_steps=5"]), [true, false]);
        assert_eq!(cited(&["evaluation.ode_steps=5", "evaluation.ode_probes=2"]), [true, true]);
        assert_eq!(cited(&["sampler.kind=ode", "sampler.steps=9"]), [true, false]);
    }

    #[test]
    fn targets_are_cited_with_their_methods() {
        for (recipe, keys) in [
            ("funnel-flow", ["neal2003slice", "dinh2017density", "kingma2015adam"].as_slice()),
            ("manywell-flow", &["noe2019boltzmann", "midgley2023flow", "kingma2015adam"]),
            ("moons-flow", &["grathwohl2019ffjord", "durkan2019neural", "kingma2015adam"]),
        ] {
            let text = named(recipe, &[]).unwrap().citations().join("\n");
            keys.iter().for_each(|key| assert!(text.contains(&format!("{{{key},")), "{recipe}: {key}"));
        }
    }
}
