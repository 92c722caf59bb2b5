//! The papers behind a recipe, as BibTeX.

use super::{CouplingKind, ObjectiveRecipe, Recipe, ScheduleName, SegmentRecipe, TransformerName};
use crate::sampler::Sampler;

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

/// The BibTeX entries of the methods a recipe uses, without repetition.
pub fn citations(recipe: &Recipe) -> Vec<&'static str> {
    let mut entries = Vec::new();
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
    entries.push(ADAM);
    let mut seen = std::collections::HashSet::new();
    entries.retain(|entry| seen.insert(*entry));
    entries
}
