//! The report of rounds of active learning: how good and how different the best objects are after so many scores.

use serde_json::{Map, Value};

use super::candidates::{PROPOSED, TABLE, trade_off};
use super::metric::text;
use super::page::{facts, figure, folded, note, page, row, section};
use super::registry::describe;
use super::with_error;
use crate::error::Result;
use crate::plot::{Axis, Histogram, Layer, LineChart, Point, Scale, Series, escape};
use crate::run::{RoundMeasures, Rounds};
use crate::target::Direction;

/// All that a report shows of rounds.
#[derive(Debug, Clone, Default)]
pub struct RoundsSummary {
    /// The recipe's name.
    pub name: String,
    /// The recipe's title.
    pub title: String,
    /// What proposes and what scores, one `label value` a line.
    pub facts: String,
    /// What they come to.
    pub metrics: Map<String, Value>,
    /// What was reached after each round, the table to begin with first.
    pub measures: Vec<RoundMeasures>,
    /// The scores of the table to begin with, and of what was proposed since.
    pub scores: [Vec<f64>; 2],
    /// The best objects with their scores.
    pub best: Vec<(String, f64)>,
    /// Whether small scores are good.
    pub small: bool,
    /// The resolved recipe, TOML.
    pub recipe: String,
}

/// The best objects that are listed.
const LISTED: usize = 20;

impl Rounds {
    /// All that a report shows of them.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub(super) fn summary(&self, result: &Value) -> Result<RoundsSummary> {
        let (tables, recipe) = (self.tables()?, self.recipe());
        let (first, last) = (&tables[0], &tables[tables.len() - 1]);
        let listed = last.order(self.direction()).into_iter().take(LISTED);
        Ok(RoundsSummary {
            name: recipe.name.clone(),
            title: recipe.title.clone(),
            facts: self.facts(),
            metrics: result["metrics"].as_object().cloned().unwrap_or_default(),
            measures: self.measures()?,
            scores: [first.scores.clone(), last.scores[first.len()..].to_vec()],
            best: listed.map(|place| (self.describe(last.object(place)), last.scores[place])).collect(),
            small: self.direction() == Direction::Minimise,
            recipe: recipe.to_toml(),
        })
    }
}

/// The size of a picture, pixels.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 220.0;

/// The report of rounds as HTML.
pub fn rounds_page(rounds: &RoundsSummary) -> String {
    let heading = if rounds.title.is_empty() { &rounds.name } else { &rounds.title };
    let last = rounds.measures.last();
    let about = format!(
        "{} \u{b7} {} rounds \u{b7} {} scores asked for",
        rounds.name,
        rounds.measures.len().saturating_sub(1),
        last.map_or(0, |last| last.calls)
    );
    let mut body = format!("<header>\n<h1>{}</h1>\n{}</header>\n", escape(heading), note(&about));
    if let Some(value) = text(&rounds.metrics, "top_score") {
        let described = describe("top_score");
        body.push_str(&format!(
            "<div class=\"headline\"><span class=\"value\">{}</span> <span class=\"label\">{}</span>\n{}</div>\n",
            escape(&value),
            escape(&described.label),
            note(described.meaning)
        ));
    }
    body.push_str(&section("Progress", &row(&progress(rounds))));
    body.push_str(&section("Best objects", &best(rounds)));
    let recipe = format!("{}{}", facts(&rounds.facts), folded("The resolved recipe", &rounds.recipe));
    body.push_str(&section("Recipe", &recipe));
    page(&format!("{} \u{b7} anabranch", rounds.name), &body)
}

fn progress(rounds: &RoundsSummary) -> Vec<String> {
    let curve = |name: &str, colour: usize, value: &dyn Fn(&RoundMeasures) -> f64| {
        let point = |found: &RoundMeasures| (found.calls as f64, value(found));
        let points: Vec<Point> = rounds.measures.iter().map(point).collect();
        let marked = points.first().copied().filter(|_| points.len() == 1);
        Series { name: name.to_owned(), colour, points, marked, ..Series::default() }
    };
    let chart = |title: &str, label: &str, series: Vec<Series>| {
        let points = || series.iter().flat_map(|series| series.points.iter().copied());
        let chart = LineChart {
            title: title.to_owned(),
            x: Axis::fit("scores asked for", Scale::Linear, points().map(|point| point.0)),
            y: Axis::fit(label, Scale::Linear, points().map(|point| point.1)),
            series,
            rules: Vec::new(),
            remark: String::new(),
        };
        chart.svg(WIDTH, HEIGHT)
    };
    let scores = vec![
        curve("best", 2, &|found| found.best),
        curve("top", PROPOSED, &|found| found.top.0),
        curve("batch", TABLE, &|found| found.batch.0),
    ];
    let distances =
        vec![curve("top", PROPOSED, &|found| found.top.1), curve("batch", TABLE, &|found| found.batch.1)];
    let layers = ["table", "proposed"].into_iter().zip([TABLE, PROPOSED]).zip(&rounds.scores);
    let histogram = Histogram {
        title: "Scores".to_owned(),
        label: "score".to_owned(),
        layers: layers
            .map(|((name, colour), values)| Layer { name: name.to_owned(), colour, values: values.clone() })
            .collect(),
    };
    let points: Vec<Point> = rounds.measures.iter().map(|found| (found.batch.1, found.batch.0)).collect();
    let quality = trade_off(&points, rounds.small, ["mean distance", "mean score"]);
    vec![
        figure(
            &chart("Scores", "score", scores),
            "Best object, mean of the best, mean of each round's batch.",
        ),
        figure(&chart("Diversity", "mean distance", distances), "Of the best, and of each round's batch."),
        figure(&histogram.svg(WIDTH, HEIGHT), "The table to begin with, and all that was proposed."),
        figure(&quality.svg(WIDTH, HEIGHT), "A dot for each round, and for the table to begin with."),
    ]
}

fn best(rounds: &RoundsSummary) -> String {
    let line = |(name, score): &(String, f64)| {
        let score = escape(&with_error(*score, None));
        format!("<tr><td>{}</td><td class=\"number\">{score}</td></tr>\n", escape(name))
    };
    let lines: String = rounds.best.iter().map(line).collect();
    let head = "<thead><tr><th>Object</th><th class=\"number\">Score</th></tr></thead>";
    format!("<div class=\"wide\"><table>{head}\n<tbody>\n{lines}</tbody></table></div>\n")
}
