//! The report's section of candidates: predicted scores beside those of the table, quality against diversity, the best ones.

use super::page::{figure, note, row};
use crate::error::Result;
use crate::metric::pareto::Front;
use crate::plot::{Axis, Histogram, Layer, LineChart, Point, Scale, Series, escape};
use crate::policy::{Actions, Policy};
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::FlowTask;
use crate::run::Silent;
use crate::run::gflownet::candidates::{Pool, candidates};
use crate::target::Direction;
use crate::train::Trained;

/// Candidates that are listed.
const LISTED: usize = 20;

/// The colours of the table and of what the network proposes.
pub(super) const TABLE: usize = 1;
pub(super) const PROPOSED: usize = 0;

/// Objects to be measured next, beside those that are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proposals {
    /// The scores of the table.
    pub scores: Vec<f64>,
    /// The predicted scores of the network's different draws.
    pub predicted: Vec<f64>,
    /// The mean distance and the mean predicted score of the objects that are chosen so that no two are nearer than 1, 2, 3, ...
    pub trade_off: Vec<Point>,
    /// Whether small scores are good.
    pub small: bool,
    /// The first of the diverse candidates.
    pub listed: Vec<Proposal>,
}

/// An object to be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The object as text.
    pub name: String,
    /// Its predicted score, with the uncertainty.
    pub predicted: (f64, f64),
    /// `log P_T(x)`, nats.
    pub log_p: f64,
    /// The distance to the nearest object of the table.
    pub novelty: usize,
}

/// What is proposed by trained weights, where the reward is a regressor.
pub(super) fn gather(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
) -> Result<Option<Proposals>> {
    let (Some(pool), Some(regressor)) = (Pool::draw(plan, task, trained, &Silent)?, task.reward.regressor())
    else {
        return Ok(None);
    };
    let count = plan.candidates().count;
    let mut trade_off = Vec::new();
    for distance in 1.. {
        let places = pool.apart(count, distance);
        if places.is_empty() || (distance > 1 && places.len() < count) {
            break;
        }
        let (mean, apart) = pool.quality(&places);
        trade_off.push((apart, mean));
        if places.len() < count {
            break;
        }
    }
    let mut listed = candidates(plan, task, trained, &pool, &Silent)?;
    listed.retain(|candidate| candidate.diverse.is_some_and(|rank| rank <= LISTED));
    let proposal = |candidate: &crate::run::gflownet::candidates::Candidate| Proposal {
        name: task.model.policy.describe(&candidate.object),
        predicted: (candidate.prediction.mean, candidate.prediction.sd),
        log_p: candidate.log_p,
        novelty: candidate.novelty,
    };
    Ok(Some(Proposals {
        scores: regressor.table().scores.clone(),
        predicted: pool.predictions().iter().map(|prediction| prediction.mean).collect(),
        trade_off,
        small: regressor.direction() == Direction::Minimise,
        listed: listed.iter().map(proposal).collect(),
    }))
}

/// The pictures and the list.
pub(super) fn shown(proposals: &Proposals) -> String {
    let layer = |name: &str, colour: usize, values: &[f64]| Layer {
        name: name.to_owned(),
        colour,
        values: values.to_vec(),
    };
    let histogram = Histogram {
        title: "Scores".to_owned(),
        label: "score".to_owned(),
        layers: vec![
            layer("table, measured", TABLE, &proposals.scores),
            layer("draws, predicted", PROPOSED, &proposals.predicted),
        ],
    };
    let mut figures = vec![figure(
        &histogram.svg(360.0, 220.0),
        "Of the table, and predicted of the network's different draws.",
    )];
    if proposals.trade_off.len() > 1 {
        let labels = ["mean distance of candidates", "mean predicted score"];
        let chart = trade_off(&proposals.trade_off, proposals.small, labels);
        figures.push(figure(&chart.svg(360.0, 220.0), TRADE_OFF));
    }
    let lines: String = proposals.listed.iter().map(line).collect();
    let head = "<thead><tr><th>Object</th><th class=\"number\">Predicted score</th>\
                <th class=\"number\">Novelty</th><th class=\"number\">log p, nats</th></tr></thead>";
    let table = format!("<div class=\"wide\"><table>{head}\n<tbody>\n{lines}</tbody></table></div>\n");
    let words = "The first of the diverse candidates: by the acquisition, none with a score in the table. Predicted score \u{b1} its \
                 uncertainty, without noise; novelty is the distance to the nearest object of the table. All of them stand in \
                 candidates.csv.";
    format!("{}{}{table}", row(&figures), note(words))
}

const TRADE_OFF: &str = "Candidates of which no two are nearer than 1, 2, 3, ...";

/// Quality against diversity, a dot for each of `points` (distance, score), the front as a line; `small` scores are the good ones.
pub(super) fn trade_off(points: &[Point], small: bool, [x_label, y_label]: [&str; 2]) -> LineChart {
    let sign = if small { -1.0 } else { 1.0 };
    let values = points.iter().flat_map(|point| [point.0, sign * point.1]).collect();
    let mut front: Vec<Point> = match Front::new(values, 2) {
        Ok(all) => all.non_dominated().into_iter().map(|place| points[place]).collect(),
        Err(_) => Vec::new(),
    };
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    let dot = |point: &Point| Series {
        colour: PROPOSED,
        points: vec![*point],
        marked: Some(*point),
        ..Series::default()
    };
    let line = Series { name: "Pareto front".to_owned(), colour: TABLE, points: front, ..Series::default() };
    LineChart {
        title: "Quality against diversity".to_owned(),
        x: Axis::fit(x_label, Scale::Linear, points.iter().map(|point| point.0)),
        y: Axis::fit(y_label, Scale::Linear, points.iter().map(|point| point.1)),
        series: std::iter::once(line).chain(points.iter().map(dot)).collect(),
        rules: Vec::new(),
        remark: String::new(),
    }
}

fn line(proposal: &Proposal) -> String {
    let Proposal { name, predicted: (mean, sd), log_p, novelty } = proposal;
    let predicted = super::with_error(*mean, Some(*sd));
    format!(
        "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{novelty}</td><td class=\"number\">{}</td></tr>\n",
        escape(name),
        escape(&predicted),
        escape(&super::with_error(*log_p, None))
    )
}
