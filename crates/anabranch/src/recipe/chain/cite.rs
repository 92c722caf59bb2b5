//! The papers behind a chain's recipe.

use super::{ChainRecipe, CouplingKind, ScheduleName, SegmentRecipe, TargetRecipe, TransformerName};
use crate::papers::{
    ADAM, CONTINUOUS, DDIM, DDPM, DEQUANTISE, DOUBLE_WELL, FAB, FUNNEL, HUTCHINSON, IAF, INDM, MAF, NSF,
    PINWHEEL, PIS, REALNVP, SCORE_SDE, TOYS, VAE, VDM,
};
use crate::sampler::Sampler;
use crate::target::PointTargetRecipe;

/// Where a target comes from, if it has a source.
fn target(target: &TargetRecipe) -> Vec<&'static str> {
    match target {
        TargetRecipe::Table(_) => vec![],
        TargetRecipe::Toy(data) => toy(&data.name),
        TargetRecipe::Energy { energy } => energy_papers(energy),
    }
}

fn toy(name: &str) -> Vec<&'static str> {
    if name == "pinwheel" { vec![PINWHEEL] } else { vec![TOYS] }
}

fn energy_papers(energy: &PointTargetRecipe) -> Vec<&'static str> {
    match energy {
        PointTargetRecipe::Gmm9 {} => vec![PIS],
        PointTargetRecipe::Gmm25 {} => vec![CONTINUOUS],
        PointTargetRecipe::Gmm40 { .. } => vec![FAB],
        PointTargetRecipe::Funnel { .. } => vec![FUNNEL],
        PointTargetRecipe::ManyWell { dimension: 2 } => vec![DOUBLE_WELL],
        PointTargetRecipe::ManyWell { .. } => vec![DOUBLE_WELL, FAB],
        PointTargetRecipe::Toy { name } => toy(name),
        PointTargetRecipe::Tempered { reward, .. } => energy_papers(reward),
        PointTargetRecipe::Preference { rewards, .. } => rewards.iter().flat_map(energy_papers).collect(),
        _ => vec![],
    }
}

/// The BibTeX entries of the target and the methods a recipe uses.
pub(in crate::recipe) fn citations(recipe: &ChainRecipe) -> Vec<&'static str> {
    let mut entries = target(&recipe.target);
    for segment in &recipe.model {
        match segment {
            SegmentRecipe::Diffusion(diffusion) if diffusion.schedule == ScheduleName::Learned => {
                entries.push(VDM)
            }
            SegmentRecipe::Diffusion(_) => entries.push(DDPM),
            SegmentRecipe::Flow(flow) => {
                entries.push(match flow.coupling {
                    CouplingKind::Coupling => REALNVP,
                    CouplingKind::Autoregressive => MAF,
                    CouplingKind::InverseAutoregressive => IAF,
                });
                entries.extend((flow.transformer == TransformerName::Spline).then_some(NSF));
            }
            SegmentRecipe::Vae(_) => entries.push(VAE),
            SegmentRecipe::Dequantise {} => entries.push(DEQUANTISE),
            SegmentRecipe::Standardise {} | SegmentRecipe::Logit(_) => {}
        }
        entries.extend(segment.network().and_then(|network| network.paper()));
    }
    let has = |kind: &str| recipe.model.iter().any(|segment| segment.kind() == kind);
    entries.extend((has("diffusion") && has("flow")).then_some(INDM));
    entries.extend(recipe.objective.papers());
    entries.extend(matches!(recipe.sampler, Sampler::Ddim { .. }).then_some(DDIM));
    let ode = matches!(recipe.sampler, Sampler::Ode { .. }) || recipe.evaluation.ode_steps > 0;
    entries.extend(ode.then_some(SCORE_SDE));
    entries.extend((recipe.evaluation.ode_probes > 0).then_some(HUTCHINSON));
    entries.push(ADAM);
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
