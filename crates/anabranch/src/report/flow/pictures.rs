//! Laws, flows and trajectories of a flow network as pictures.

use super::{Flow, Form, Graph, LawShown, Object, Walk};
use crate::math::correlation::{pearson, spearman};
use crate::plot::{
    Axis, Bar, Bars, Colours, HeatMap, ImageGrid, Layers, LineChart, Link, Node, Point, Scale, Scatter,
    Series, escape, share,
};
use crate::report::metric::with_error;
use crate::report::page::{figure, note, row, section};

/// The colours of what was learned and of what is exact.
const LEARNED: usize = 0;
const EXACT: usize = 1;

/// The width of a picture of a plane, pixels.
const PANEL: f64 = 250.0;

/// Points of a scatter at most.
const DOTS: usize = 2500;

/// How many stretches a long curve is condensed to.
const STRETCHES: usize = 150;

/// Edges at most whose flows are written beside them.
const NUMBERED: usize = 26;

/// Objects at most that have a bar each.
const BARS: usize = 32;

/// Lattices of one trajectory at most.
const LATTICES: usize = 12;

impl LawShown {
    /// The exact `log R(x) - log Z`, where `log Z` is known.
    fn exact(&self) -> Option<Vec<f64>> {
        let log_z = self.log_z?;
        Some(self.log_rewards.iter().map(|log_reward| log_reward - log_z).collect())
    }
}

fn probabilities(logs: &[f64]) -> Vec<f64> {
    logs.iter().map(|log| log.exp()).collect()
}

/// The sections of a run's page.
pub(in crate::report) fn sections(flow: &Flow) -> String {
    let mut out = String::new();
    if !flow.law.learned.is_empty() {
        out.push_str(&section("Distribution of objects", &distribution(flow.form, &flow.law)));
    }
    if !flow.conditional.is_empty() {
        let each = flow.conditional.iter();
        let each = each.map(|(name, law)| note(name) + &distribution(flow.form, law));
        out.push_str(&section("Distribution of objects at some conditions", &each.collect::<String>()));
    }
    if let Some(graph) = &flow.graph {
        out.push_str(&section("Flow", &figure(&drawing(graph), FLOW_CAPTION)));
    }
    if !flow.walks.is_empty() {
        out.push_str(&section("Trajectories", &trajectories(flow)));
    }
    if !flow.top.is_empty() {
        out.push_str(&section("Objects of the highest reward", &table(&flow.top, &flow.law)));
    }
    out
}

/// The laws of several networks on one target, by the runs' names.
pub(in crate::report) fn side_by_side(flows: &[(&str, &Flow)]) -> String {
    let mut figures = Vec::new();
    if let Some((_, flow)) = flows.first()
        && let (Form::Grid(side), Some(exact), true) = (flow.form, flow.law.exact(), flow.law.whole)
    {
        let exact = probabilities(&exact);
        let learned: Vec<(&str, Vec<f64>)> =
            flows.iter().map(|(name, flow)| (*name, probabilities(&flow.law.learned))).collect();
        let high = largest(learned.iter().flat_map(|(_, values)| values).chain(&exact));
        figures.push(figure(&grid("Exact", side, exact, Colours::Between(0.0, high)).svg(PANEL, PANEL), ""));
        for (name, values) in learned {
            let map = grid(name, side, values, Colours::Between(0.0, high));
            figures.push(figure(&map.svg(PANEL, PANEL), ""));
        }
    }
    figures.extend(flows.iter().map(|(name, flow)| agreement(name, &flow.law)));
    row(&figures)
}

fn largest<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    values.copied().filter(|value| value.is_finite()).fold(0.0, f64::max)
}

fn distribution(form: Form, law: &LawShown) -> String {
    let mut figures = Vec::new();
    if let (Some(exact), true) = (law.exact(), law.whole) {
        let (learned, exact) = (probabilities(&law.learned), probabilities(&exact));
        match form {
            Form::Grid(side) => figures.extend(heat_maps(side, &learned, &exact)),
            _ if law.names.len() == exact.len() && exact.len() <= BARS => {
                figures.push(figure(&bars(&law.names, &learned, &exact), ""));
            }
            _ => figures.push(figure(&sorted(&learned, &exact), SORTED_CAPTION)),
        }
    }
    let title = if law.exact().is_some() { "Learned against exact" } else { "Probability against reward" };
    figures.push(agreement(title, law));
    row(&figures)
}

const SORTED_CAPTION: &str = "All objects, the most probable first; the learned probability of the same object. \
     Of many objects, the mean over stretches of ranks and their range.";

const FLOW_CAPTION: &str = "The share of all flow along each edge, learned | exact; under an object's name what stops \
     there. The exact flow is that of the reward and the network's own backward policy, and shows as a seam.";

/// Both laws on one scale, and their difference.
fn heat_maps(side: usize, learned: &[f64], exact: &[f64]) -> Vec<String> {
    let shared = Colours::Between(0.0, largest(learned.iter().chain(exact)));
    let difference = learned.iter().zip(exact).map(|(learned, exact)| learned - exact).collect();
    [
        ("Learned", learned.to_vec(), shared),
        ("Exact", exact.to_vec(), shared),
        ("Learned \u{2212} exact", difference, Colours::Signed),
    ]
    .map(|(title, values, colours)| figure(&grid(title, side, values, colours).svg(PANEL, PANEL), ""))
    .into()
}

fn grid(title: &str, side: usize, values: Vec<f64>, colours: Colours) -> HeatMap {
    // Points of the grid are the middles of its cells.
    let axis = |label: &str| Axis::new(label, Scale::Whole, -0.5, side as f64 - 0.5);
    HeatMap {
        title: title.to_owned(),
        x: axis("x\u{2080}"),
        y: axis("x\u{2081}"),
        columns: side,
        values,
        colours,
        paths: Vec::new(),
        unit: "probability".to_owned(),
        remark: String::new(),
    }
}

/// A number of each object, exact and learned, the most probable object first.
fn by_rank(exact: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..exact.len()).collect();
    places.sort_by(|a, b| exact[*b].total_cmp(&exact[*a]));
    places
}

fn bars(names: &[String], learned: &[f64], exact: &[f64]) -> String {
    let rows = by_rank(exact)
        .into_iter()
        .map(|place| Bar { label: names[place].clone(), values: vec![learned[place], exact[place]] });
    let chart = Bars {
        title: "Objects by probability".to_owned(),
        label: "probability".to_owned(),
        kinds: vec![("learned".to_owned(), LEARNED), ("exact".to_owned(), EXACT)],
        rows: rows.collect(),
    };
    chart.svg(320.0)
}

fn sorted(learned: &[f64], exact: &[f64]) -> String {
    let ranks = by_rank(exact);
    let points = |values: &[f64]| -> Vec<Point> {
        ranks.iter().enumerate().map(|(rank, place)| ((rank + 1) as f64, values[*place])).collect()
    };
    let scale = Axis::scale_for(exact.iter().copied());
    let series = vec![
        Series::condensed("learned", LEARNED, &points(learned), STRETCHES),
        Series { band: Vec::new(), ..Series::condensed("exact", EXACT, &points(exact), STRETCHES) },
    ];
    LineChart::fitting("Objects by probability", "rank", "probability", scale, series).svg(400.0, 250.0)
}

/// The learned law against the exact one, or against the reward where `log Z` is not known, object by object.
fn agreement(title: &str, law: &LawShown) -> String {
    let count = law.learned.len();
    let exact = law.exact();
    let pairs: Vec<(f64, f64)> = law.log_rewards.iter().copied().zip(law.learned.iter().copied()).collect();
    let both: Vec<&(f64, f64)> = pairs.iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let (x, y): (Vec<f64>, Vec<f64>) = both.into_iter().copied().unzip();
    let number = |value: Option<f64>| value.map_or("not defined".to_owned(), |value| with_error(value, None));
    let stride = count.div_ceil(DOTS).max(1);
    let shown = |values: &[f64]| values.iter().step_by(stride).copied().collect::<Vec<f64>>();
    let learned = shown(&law.learned);
    let (x_axis, y_axis, points): (Axis, Axis, Vec<Point>) = match &exact {
        Some(exact) => {
            let (learned, exact) = (probabilities(&learned), probabilities(&shown(exact)));
            let scale = Axis::scale_for(exact.iter().chain(&learned).copied().filter(|value| *value > 0.0));
            let all = || exact.iter().chain(&learned).copied();
            let axis = |label: &str| Axis::fit(label, scale, all());
            (axis("exact probability"), axis("learned probability"), exact.into_iter().zip(learned).collect())
        }
        None => {
            let rewards = shown(&law.log_rewards);
            let axis = |label: &str, values: &[f64]| Axis::fit(label, Scale::Linear, values.iter().copied());
            (
                axis("log R, nats", &rewards),
                axis("log P, nats", &learned),
                rewards.into_iter().zip(learned).collect(),
            )
        }
    };
    let diagonal = exact.is_some();
    let chart = Scatter {
        title: title.to_owned(),
        x: x_axis,
        y: y_axis,
        colour: LEARNED,
        points,
        diagonal,
        remark: true,
    };
    let which = match (law.whole, stride) {
        (true, 1) => format!("All {count} objects"),
        (true, _) => format!("{} of {count} objects", count.div_ceil(stride)),
        (false, _) => {
            format!("{count} sampled objects, their log-probabilities estimated by backward trajectories")
        }
    };
    let line = if diagonal { "; on the line both agree" } else { "" };
    let caption = format!(
        "{which}{line}. Correlation of log P and log R: {} (Pearson), {} (Spearman).",
        number(pearson(&x, &y)),
        number(spearman(&x, &y)),
    );
    figure(&chart.svg(PANEL, PANEL), &caption)
}

fn drawing(graph: &Graph) -> String {
    let nodes = graph.names.iter().zip(&graph.stops).map(|(name, stop)| Node {
        label: name.clone(),
        number: stop
            .map_or(String::new(), |[learned, exact]| format!("{} | {}", share(learned), share(exact))),
        marked: stop.is_some(),
    });
    let links = graph.edges.iter().map(|(from, to, flow, reference)| Link {
        from: *from,
        to: *to,
        flow: *flow,
        reference: *reference,
    });
    let layers = Layers {
        title: "Flow from the source".to_owned(),
        nodes: nodes.collect(),
        links: links.collect(),
        kinds: ["learned".to_owned(), "exact".to_owned()],
        numbers: graph.edges.len() <= NUMBERED,
    };
    layers.svg()
}

fn trajectories(flow: &Flow) -> String {
    let words = note("The first of those that end in the run's samples, from the source on.");
    let drawn = match flow.form {
        Form::Grid(side) => {
            let values = probabilities(if flow.law.whole { &flow.law.learned } else { &[] });
            let path = |walk: &Walk| {
                walk.states.iter().map(|state| (f64::from(state[0]), f64::from(state[1]))).collect()
            };
            let paths = flow.walks.iter().map(path).collect();
            let colours = Colours::Between(0.0, largest(values.iter()));
            let map = HeatMap { paths, ..grid("Learned", side, values, colours) };
            figure(&map.svg(PANEL * 1.2, PANEL * 1.2), "Each path ends in its dot.")
        }
        Form::Lattice(side) => lattices(side, &flow.walks),
        Form::Text => texts(&flow.walks),
    };
    format!("{words}{drawn}")
}

/// Each trajectory as a line of lattices: bright is up, dark down, grey not set.
fn lattices(side: usize, walks: &[Walk]) -> String {
    let level = |cell: &u16| [128u8, 40, 245][usize::from(*cell).min(2)];
    let strip = |walk: &Walk| {
        let count = walk.states.len().min(LATTICES);
        let last = walk.states.len() - 1;
        let states = (0..count).map(|k| &walk.states[k * last / (count - 1).max(1)]);
        let tiles = states.map(|state| state.iter().map(level).collect()).collect();
        let grid = ImageGrid { height: side, width: side, columns: count, tiles };
        let scale = (48 / side.max(1)).clamp(2, 14);
        let label = format!("log R = {}", with_error(walk.log_reward, None));
        figure(&grid.html(scale, &label), &label)
    };
    let strips: String = walks.iter().map(strip).collect();
    format!("{strips}{}", note("Bright: up. Dark: down. Grey: not set yet."))
}

fn texts(walks: &[Walk]) -> String {
    let line = |walk: &Walk| {
        let steps: Vec<String> =
            walk.names.iter().map(|name| format!("<code>{}</code>", escape(name))).collect();
        format!(
            "<tr><td>{}</td><td class=\"number\">{}</td></tr>\n",
            steps.join(" \u{2192} "),
            with_error(walk.log_reward, None)
        )
    };
    let lines: String = walks.iter().map(line).collect();
    format!(
        "<div class=\"wide\"><table><thead><tr><th>States</th><th class=\"number\">log R</th></tr></thead>\n\
         <tbody>\n{lines}</tbody></table></div>\n"
    )
}

fn table(top: &[Object], law: &LawShown) -> String {
    let cell = |text: String| format!("<td class=\"number\">{text}</td>");
    let line = |object: &Object| {
        let exact =
            law.log_z.map_or(String::new(), |log_z| cell(with_error(object.log_reward - log_z, None)));
        format!(
            "<tr><td><code>{}</code></td><td class=\"number\">{}</td><td class=\"number\">{}</td>{exact}</tr>\n",
            escape(&object.name),
            with_error(object.log_reward, None),
            with_error(object.learned, None),
        )
    };
    let lines: String = top.iter().map(line).collect();
    let which = if law.whole { "Of all objects." } else { "Of the samples; learned log P is an estimate." };
    format!(
        "<div class=\"wide\"><table><thead><tr><th>Object</th><th class=\"number\">log R</th>\
         <th class=\"number\">log P, learned</th>{}</tr></thead>\n\
         <tbody>\n{lines}</tbody></table></div>\n{}",
        law.log_z.map_or("", |_| "<th class=\"number\">log P, exact</th>"),
        note(&format!("{which} Nats."))
    )
}
