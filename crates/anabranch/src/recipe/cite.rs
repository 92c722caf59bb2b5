//! The papers behind a recipe, as BibTeX.

use super::{
    CouplingKind, ObjectiveRecipe, Recipe, ScheduleName, SegmentRecipe, TargetRecipe, TransformerName,
};
use crate::sampler::Sampler;
use crate::target::EnergyRecipe;

const ADAM: &str = "@inproceedings{kingma2015adam, title={Adam: A Method for Stochastic Optimization}, author={Kingma, Diederik P. and Ba, Jimmy}, booktitle={ICLR}, year={2015}}";
const DDPM: &str = "@inproceedings{ho2020denoising, title={Denoising Diffusion Probabilistic Models}, author={Ho, Jonathan and Jain, Ajay and Abbeel, Pieter}, booktitle={NeurIPS}, year={2020}}";
const VDM: &str = "@inproceedings{kingma2021variational, title={Variational Diffusion Models}, author={Kingma, Diederik P. and Salimans, Tim and Poole, Ben and Ho, Jonathan}, booktitle={NeurIPS}, year={2021}}";
const DDIM: &str = "@inproceedings{song2021denoising, title={Denoising Diffusion Implicit Models}, author={Song, Jiaming and Meng, Chenlin and Ermon, Stefano}, booktitle={ICLR}, year={2021}}";
const INDM: &str = "@inproceedings{kim2022maximum, title={Maximum Likelihood Training of Implicit Nonlinear Diffusion Model}, author={Kim, Dongjun and Na, Byeonghu and Kwon, Se Jung and Lee, Dongsoo and Kang, Wanmo and Moon, Il-Chul}, booktitle={NeurIPS}, year={2022}}";
const NSF: &str = "@inproceedings{durkan2019neural, title={Neural Spline Flows}, author={Durkan, Conor and Bekasov, Artur and Murray, Iain and Papamakarios, George}, booktitle={NeurIPS}, year={2019}}";
const REALNVP: &str = "@inproceedings{dinh2017density, title={Density Estimation Using Real NVP}, author={Dinh, Laurent and Sohl-Dickstein, Jascha and Bengio, Samy}, booktitle={ICLR}, year={2017}}";
const MAF: &str = "@inproceedings{papamakarios2017masked, title={Masked Autoregressive Flow for Density Estimation}, author={Papamakarios, George and Pavlakou, Theo and Murray, Iain}, booktitle={NeurIPS}, year={2017}}";
const IAF: &str = "@inproceedings{kingma2016improved, title={Improved Variational Inference with Inverse Autoregressive Flow}, author={Kingma, Diederik P. and Salimans, Tim and Jozefowicz, Rafal and Chen, Xi and Sutskever, Ilya and Welling, Max}, booktitle={NeurIPS}, year={2016}}";
const VAE: &str = "@inproceedings{kingma2014auto, title={Auto-Encoding Variational Bayes}, author={Kingma, Diederik P. and Welling, Max}, booktitle={ICLR}, year={2014}}";
const IWAE: &str = "@inproceedings{burda2016importance, title={Importance Weighted Autoencoders}, author={Burda, Yuri and Grosse, Roger and Salakhutdinov, Ruslan}, booktitle={ICLR}, year={2016}}";
const DEQUANTISE: &str = "@inproceedings{theis2016note, title={A Note on the Evaluation of Generative Models}, author={Theis, Lucas and van den Oord, A{\\\"a}ron and Bethge, Matthias}, booktitle={ICLR}, year={2016}}";
const BALANCE: &str = "@inproceedings{malkin2022trajectory, title={Trajectory Balance: Improved Credit Assignment in GFlowNets}, author={Malkin, Nikolay and Jain, Moksh and Bengio, Emmanuel and Sun, Chen and Bengio, Yoshua}, booktitle={NeurIPS}, year={2022}}";
const VARGRAD: &str = "@inproceedings{richter2020vargrad, title={VarGrad: A Low-Variance Gradient Estimator for Variational Inference}, author={Richter, Lorenz and Boustati, Ayman and N{\\\"u}sken, Nikolas and Ruiz, Francisco and Akyildiz, {\\\"O}mer Deniz}, booktitle={NeurIPS}, year={2020}}";
const FUNNEL: &str = "@article{neal2003slice, title={Slice Sampling}, author={Neal, Radford M.}, journal={The Annals of Statistics}, volume={31}, number={3}, pages={705--767}, year={2003}}";
const DOUBLE_WELL: &str = "@article{noe2019boltzmann, title={Boltzmann Generators: Sampling Equilibrium States of Many-Body Systems with Deep Learning}, author={No{\\'e}, Frank and Olsson, Simon and K{\\\"o}hler, Jonas and Wu, Hao}, journal={Science}, volume={365}, number={6457}, year={2019}}";
const FAB: &str = "@inproceedings{midgley2023flow, title={Flow Annealed Importance Sampling Bootstrap}, author={Midgley, Laurence Illing and Stimper, Vincent and Simm, Gregor N. C. and Sch{\\\"o}lkopf, Bernhard and Hern{\\'a}ndez-Lobato, Jos{\\'e} Miguel}, booktitle={ICLR}, year={2023}}";
const SCORE_SDE: &str = "@inproceedings{song2021score, title={Score-Based Generative Modeling through Stochastic Differential Equations}, author={Song, Yang and Sohl-Dickstein, Jascha and Kingma, Diederik P. and Kumar, Abhishek and Ermon, Stefano and Poole, Ben}, booktitle={ICLR}, year={2021}}";
const HUTCHINSON: &str = "@article{hutchinson1990stochastic, title={A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian Smoothing Splines}, author={Hutchinson, Michael F.}, journal={Communications in Statistics - Simulation and Computation}, volume={19}, number={2}, pages={433--450}, year={1990}}";
const PIS: &str = "@inproceedings{zhang2022path, title={Path Integral Sampler: A Stochastic Control Approach for Sampling}, author={Zhang, Qinsheng and Chen, Yongxin}, booktitle={ICLR}, year={2022}}";
const CONTINUOUS: &str = "@inproceedings{lahlou2023theory, title={A Theory of Continuous Generative Flow Networks}, author={Lahlou, Salem and Deleu, Tristan and Lemos, Pablo and Zhang, Dinghuai and Volokhova, Alexandra and Hern{\\'a}ndez-Garc{\\'i}a, Alex and Ezzine, L{\\'e}na N{\\'e}hale and Bengio, Yoshua and Malkin, Nikolay}, booktitle={ICML}, year={2023}}";
const TOYS: &str = "@inproceedings{grathwohl2019ffjord, title={{FFJORD}: Free-form Continuous Dynamics for Scalable Reversible Generative Models}, author={Grathwohl, Will and Chen, Ricky T. Q. and Bettencourt, Jesse and Sutskever, Ilya and Duvenaud, David}, booktitle={ICLR}, year={2019}}";
const PINWHEEL: &str = "@inproceedings{johnson2016composing, title={Composing Graphical Models with Neural Networks for Structured Representations and Fast Inference}, author={Johnson, Matthew J. and Duvenaud, David and Wiltschko, Alexander B. and Datta, Sandeep R. and Adams, Ryan P.}, booktitle={NeurIPS}, year={2016}}";

/// Where a target comes from, if it has a source.
fn target(target: &TargetRecipe) -> Vec<&'static str> {
    let toy = |name: &str| if name == "pinwheel" { vec![PINWHEEL] } else { vec![TOYS] };
    match target {
        TargetRecipe::Table(_) => vec![],
        TargetRecipe::Toy(data) => toy(&data.name),
        TargetRecipe::Energy { energy } => match energy {
            EnergyRecipe::Gaussian { .. } | EnergyRecipe::Mixture { .. } => vec![],
            EnergyRecipe::Gmm9 {} => vec![PIS],
            EnergyRecipe::Gmm25 {} => vec![CONTINUOUS],
            EnergyRecipe::Gmm40 { .. } => vec![FAB],
            EnergyRecipe::Funnel { .. } => vec![FUNNEL],
            EnergyRecipe::ManyWell { dimension: 2 } => vec![DOUBLE_WELL],
            EnergyRecipe::ManyWell { .. } => vec![DOUBLE_WELL, FAB],
            EnergyRecipe::Toy { name } => toy(name),
        },
    }
}

/// The BibTeX entries of the target and the methods a recipe uses, without repetition.
pub fn citations(recipe: &Recipe) -> Vec<&'static str> {
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
    }
    let has = |kind: &str| recipe.model.iter().any(|segment| segment.kind() == kind);
    entries.extend((has("diffusion") && has("flow")).then_some(INDM));
    match recipe.objective {
        ObjectiveRecipe::ImportanceWeighted { .. } => entries.push(IWAE),
        ObjectiveRecipe::TrajectoryBalance { .. } => entries.push(BALANCE),
        ObjectiveRecipe::LogVariance {} => entries.push(VARGRAD),
        ObjectiveRecipe::ForwardKl { .. } | ObjectiveRecipe::ReverseKl {} => {}
    }
    entries.extend(matches!(recipe.sampler, Sampler::Ddim { .. }).then_some(DDIM));
    let ode = matches!(recipe.sampler, Sampler::Ode { .. }) || recipe.evaluation.ode_steps > 0;
    entries.extend(ode.then_some(SCORE_SDE));
    entries.extend((recipe.evaluation.ode_probes > 0).then_some(HUTCHINSON));
    entries.push(ADAM);
    let mut seen = std::collections::HashSet::new();
    entries.retain(|entry| seen.insert(*entry));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Override, named};

    #[test]
    fn the_ode_and_its_traces_are_cited_where_they_are_used() {
        let cited = |sets: &[&str]| {
            let sets: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
            let text = citations(&named("spirals-diffusion", &sets).unwrap()).join("\n");
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
            let text = citations(&named(recipe, &[]).unwrap()).join("\n");
            keys.iter().for_each(|key| assert!(text.contains(&format!("{{{key},")), "{recipe}: {key}"));
        }
    }
}
