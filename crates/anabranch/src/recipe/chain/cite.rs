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
    use crate::recipe::{Override, Recipe, named, read, saved};

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

    /// Through a run that names a run, and one that names itself; a run that is not there has nothing to say.
    #[test]
    fn named_runs_are_cited() {
        let place = std::env::temp_dir().join(format!("anabranch-cite-{}", std::process::id()));
        let of = |target: &str, model: &str| {
            let [target, model] = [target, model].map(|name| place.join(name).display().to_string());
            let runs = format!(
                "name = 'x'\n[target]\nkind = 'run'\nrun = '{target}'\n[[model]]\nkind = 'run'\nrun = '{model}'\n"
            );
            read("x", &format!("{runs}[[model]]\nkind = 'annealing'\nbegin = 'run'\n"), &[]).unwrap()
        };
        let keep = |name: &str, recipe: &Recipe| {
            std::fs::create_dir_all(place.join(name)).unwrap();
            std::fs::write(place.join(name).join("recipe.toml"), saved::sealed(recipe)).unwrap();
        };
        keep("flow", &named("moons-flow", &[]).unwrap());
        keep("sampler", &named("funnel-smc", &[]).unwrap());
        keep("both", &of("flow", "sampler"));
        keep("itself", &of("itself", "nowhere"));
        let cited = |run: &str| {
            let text = of(run, "nowhere").citations().join("\n");
            ["{durkan2019neural,", "{neal2003slice,"].map(|key| text.matches(key).count())
        };
        let found = ["nowhere", "itself", "flow", "both"].map(cited);
        std::fs::remove_dir_all(&place).unwrap();
        assert_eq!(found, [[0, 0], [0, 0], [1, 0], [1, 1]]);
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
