//! What flows through a directed acyclic graph: nodes in layers by depth, edges as wide as their flow.
//!
//! A node's depth is the length of the longest way to it, so that every edge goes from left to right. Within a layer nodes
//! are ordered by the mean height of their neighbours, a few times forward and back.
//!
//! Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (1981).

use super::Point;
use super::frame::{Key, heading};
use super::svg::{Anchor, INK, MUTED, Svg, series_colour, text_width};

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name.
    pub label: String,
    /// A number under the name; empty for none.
    pub number: String,
    /// Whether it is filled.
    pub marked: bool,
}

/// An edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// The node that it leaves.
    pub from: usize,
    /// The node that it enters, above `from`.
    pub to: usize,
    /// What flows along it, from 0 to 1.
    pub flow: f64,
    /// What ought to, likewise.
    pub reference: f64,
}

/// A graph whose nodes stand in topological order.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers {
    /// The heading.
    pub title: String,
    /// The nodes, each after all whose edges enter it.
    pub nodes: Vec<Node>,
    /// The edges; one that does not lead from a node to a later one is not drawn.
    pub links: Vec<Link>,
    /// The names of the flow and of its reference.
    pub kinds: [String; 2],
    /// Whether each edge has its two numbers beside it.
    pub numbers: bool,
}

/// The width of an edge of flow 1, pixels.
const WIDEST: f64 = 26.0;
/// The height of a node's place, and of the node, pixels.
const PLACE: f64 = 56.0;
const HEIGHT: f64 = 34.0;
/// The room between two layers, with numbers on the edges and without, pixels.
const ROOM: [f64; 2] = [64.0, 118.0];
/// How often the order within layers is improved.
const SWEEPS: usize = 8;

impl Layers {
    fn drawn(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| link.from < link.to && link.to < self.nodes.len())
    }

    /// The length of the longest way to each node.
    fn depths(&self) -> Vec<usize> {
        let mut links: Vec<&Link> = self.drawn().collect();
        links.sort_by_key(|link| link.from);
        let mut depths = vec![0; self.nodes.len()];
        for link in links {
            depths[link.to] = depths[link.to].max(depths[link.from] + 1);
        }
        depths
    }

    /// The height of each node in its layer, the layers centred on 0, in places.
    fn heights(&self, depths: &[usize]) -> Vec<f64> {
        let layers = depths.iter().max().map_or(0, |deepest| deepest + 1);
        let mut order: Vec<Vec<usize>> = (0..layers)
            .map(|layer| (0..depths.len()).filter(|node| depths[*node] == layer).collect())
            .collect();
        let mut heights = vec![0.0; depths.len()];
        let place = |layer: &[usize], heights: &mut [f64]| {
            let middle = (layer.len() as f64 - 1.0) / 2.0;
            layer.iter().enumerate().for_each(|(at, node)| heights[*node] = at as f64 - middle);
        };
        order.iter().for_each(|layer| place(layer, &mut heights));
        let neighbours = |forward: bool| {
            let mut lists = vec![Vec::new(); depths.len()];
            for link in self.drawn() {
                let (near, far) = if forward { (link.to, link.from) } else { (link.from, link.to) };
                lists[near].push(far);
            }
            lists
        };
        let (before, after) = (neighbours(true), neighbours(false));
        for sweep in 0..SWEEPS {
            let lists = if sweep % 2 == 0 { &before } else { &after };
            for step in 0..layers {
                let layer = &mut order[if sweep % 2 == 0 { step } else { layers - 1 - step }];
                let mean = |node: &usize| {
                    let list = &lists[*node];
                    let sum: f64 = list.iter().map(|other| heights[*other]).sum();
                    if list.is_empty() { heights[*node] } else { sum / list.len() as f64 }
                };
                layer.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
                place(layer, &mut heights);
            }
        }
        heights
    }

    /// The picture.
    pub fn svg(&self) -> String {
        let (depths, heights) = (self.depths(), self.heights(&self.depths()));
        let widest = self.nodes.iter().map(|node| text_width(&node.label).max(text_width(&node.number)));
        let node_width = (widest.fold(0.0, f64::max) + 12.0).max(32.0);
        let step = node_width + ROOM[usize::from(self.numbers)];
        let layers = depths.iter().max().map_or(0, |deepest| deepest + 1) as f64;
        let half = heights.iter().copied().fold(0.0, f64::max);
        let size = (layers * step - (step - node_width) + 16.0, (2.0 * half + 1.0) * PLACE);
        let mut svg = Svg::default();
        let style = |index: usize, opacity: f64| {
            format!("fill:{};fill-opacity:{opacity}", series_colour([0, 1][index]))
        };
        let legend =
            [0, 1].map(|index| (Key::Square(style(index, [0.85, 0.4][index])), self.kinds[index].clone()));
        let top = heading(&mut svg, &self.title, &legend, 4.0, size.0.max(260.0));
        let centre = |node: usize| -> Point {
            let x = 8.0 + depths[node] as f64 * step + node_width / 2.0;
            (x, top + (heights[node] + half + 0.5) * PLACE)
        };
        for (index, opacity) in [(1, 0.4), (0, 0.85)] {
            for link in self.drawn() {
                let flow = if index == 0 { link.flow } else { link.reference };
                if !(flow.is_finite() && flow > 0.0) {
                    continue;
                }
                // The reference shows as a seam where both agree.
                let width = (WIDEST * flow.min(1.0)).max(0.7) + if index == 1 { 3.0 } else { 0.0 };
                let colour = series_colour([0, 1][index]);
                let style =
                    format!("fill:none;stroke:{colour};stroke-width:{width:.2};stroke-opacity:{opacity}");
                svg.path(curve(centre(link.from), centre(link.to), node_width / 2.0), false, &style);
            }
        }
        for (node, drawn) in self.nodes.iter().enumerate() {
            let (x, y) = centre(node);
            let fill = if drawn.marked { "var(--shade,#f5f7f9)" } else { "var(--paper,#ffffff)" };
            let width = if drawn.marked { 1.6 } else { 0.8 };
            svg.rect(
                (x - node_width / 2.0, y - HEIGHT / 2.0),
                (node_width, HEIGHT),
                &format!("fill:{fill};stroke:{MUTED};stroke-width:{width}"),
            );
            let lift = if drawn.number.is_empty() { 4.0 } else { -2.0 };
            svg.text((x, y + lift), Anchor::Middle, &format!("fill:{INK};font-weight:600"), &drawn.label);
            let small = format!("fill:{MUTED};font-size:10px");
            svg.text((x, y + 11.0), Anchor::Middle, &small, &drawn.number);
        }
        let mut written: Vec<(Point, f64)> = Vec::new();
        for link in self.drawn().filter(|_| self.numbers) {
            let points = curve(centre(link.from), centre(link.to), node_width / 2.0);
            let text = format!("{} | {}", share(link.flow), share(link.reference));
            let width = text_width(&text);
            let at = free_place(&points, width, &written);
            written.push((at, width));
            let style = format!(
                "fill:{INK};font-size:10px;paint-order:stroke;stroke:var(--paper,#ffffff);stroke-width:3px"
            );
            svg.text((at.0, at.1 + 3.5), Anchor::Middle, &style, &text);
        }
        let size = (size.0.max(260.0), top + size.1 + 4.0);
        svg.finish(size, &format!("{}: {} nodes in {layers} layers", self.title, self.nodes.len()))
    }
}

/// The height of a number on an edge, pixels.
const NUMBER: f64 = 11.0;

/// Where on a curve a text of some width is clear of those that are written, first tried in the middle, where edges that leave or enter
/// one node are apart; the place farthest from them where none is.
fn free_place(points: &[Point], width: f64, written: &[(Point, f64)]) -> Point {
    // How far apart, in units of their own size, the nearest text is; from 1 on it is clear.
    let room = |at: Point| {
        let apart = |((x, y), other): &(Point, f64)| {
            ((at.0 - x).abs() / (0.5 * (width + other))).max((at.1 - y).abs() / NUMBER)
        };
        written.iter().map(apart).fold(f64::INFINITY, f64::min)
    };
    let last = (points.len() - 1) as f64;
    let places = [0.5, 0.6, 0.4, 0.68, 0.32, 0.25].map(|share| points[(share * last).round() as usize]);
    let clear = places.into_iter().find(|at| room(*at) >= 1.0);
    clear.unwrap_or_else(|| places.into_iter().max_by(|a, b| room(*a).total_cmp(&room(*b))).expect("some"))
}

/// A share of the whole with two digits behind the point, or three where it is small.
pub(crate) fn share(value: f64) -> String {
    if value != 0.0 && value < 0.0995 { format!("{value:.3}") } else { format!("{value:.2}") }
}

/// From the right side of one node to the left side of another, level at both.
fn curve(from: Point, to: Point, half: f64) -> Vec<Point> {
    let (from, to) = ((from.0 + half, from.1), (to.0 - half, to.1));
    let bend = (to.0 - from.0) / 2.0;
    let point = |k: usize| {
        let t = k as f64 / 24.0;
        let weights = [(1.0 - t).powi(3), 3.0 * t * (1.0 - t).powi(2), 3.0 * t * t * (1.0 - t), t.powi(3)];
        let along = |values: [f64; 4]| weights.iter().zip(values).map(|(w, v)| w * v).sum();
        (along([from.0, from.0 + bend, to.0 - bend, to.0]), along([from.1, from.1, to.1, to.1]))
    };
    (0..=24).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(nodes: usize, links: &[(usize, usize, f64, f64)]) -> Layers {
        let node =
            |i: usize| Node { label: format!("n{i}"), number: String::new(), marked: i.is_multiple_of(2) };
        let link = |(from, to, flow, reference): &(usize, usize, f64, f64)| Link {
            from: *from,
            to: *to,
            flow: *flow,
            reference: *reference,
        };
        Layers {
            title: "Flow".to_owned(),
            nodes: (0..nodes).map(node).collect(),
            links: links.iter().map(link).collect(),
            kinds: ["learned".to_owned(), "exact".to_owned()],
            numbers: true,
        }
    }

    /// Numbers of edges that leave one node side by side stand apart where there is room.
    #[test]
    fn numbers_stand_apart() {
        let fan = |to: f64| curve((0.0, 0.0), (240.0, to), 10.0);
        let mut written = Vec::new();
        for to in [0.0, 8.0, 16.0] {
            let at = free_place(&fan(to), 28.0, &written);
            let clear = |((x, y), width): &(Point, f64)| {
                (at.0 - x).abs() >= 0.5 * (28.0 + width) || (at.1 - y).abs() >= NUMBER
            };
            assert!(written.iter().all(clear), "{at:?}, {written:?}");
            written.push((at, 28.0));
        }
        // Where there is none, it is as far away as can be.
        let crowd: Vec<(Point, f64)> = fan(0.0).into_iter().map(|at| (at, 28.0)).collect();
        assert!(free_place(&fan(0.0), 28.0, &crowd).0.is_finite());
    }

    #[test]
    fn edges_go_from_left_to_right_without_a_crossing_that_can_be_avoided() {
        // Two chains, named so that the order of numbers crosses them, and an edge over a layer.
        let graph = layers(
            6,
            &[
                (0, 1, 0.5, 0.5),
                (0, 2, 0.5, 0.5),
                (1, 4, 0.5, 0.5),
                (2, 3, 0.5, 0.5),
                (0, 5, 0.0, 0.1),
                (4, 5, 0.1, 0.1),
            ],
        );
        let depths = graph.depths();
        assert_eq!(depths, [0, 1, 1, 2, 2, 3]);
        let heights = graph.heights(&depths);
        assert_eq!(heights[1] < heights[2], heights[4] < heights[3], "{heights:?}");
        let svg = graph.svg();
        roxmltree::Document::parse(&svg).unwrap();
        assert_eq!(svg.matches("<path").count(), 11, "an edge without flow has its reference only");
        assert!(svg.contains(">0.00 | 0.10<"), "{svg}");
    }

    #[test]
    fn degenerate_graphs_are_drawn() {
        for graph in [
            layers(0, &[]),
            layers(1, &[]),
            layers(2, &[(1, 0, 1.0, 1.0), (0, 7, 1.0, f64::NAN), (0, 1, f64::NAN, -1.0)]),
        ] {
            let svg = Layers { numbers: false, ..graph }.svg();
            roxmltree::Document::parse(&svg).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("<path"), "{svg}");
        }
    }
}
