//! Objectives of states: flow matching and its quantiles.

use anabranch::objective::*;

use super::graphs::{Flows, Graph, graphs, normals};

/// Flows at states with the memory that they borrow.
#[derive(Clone, Default)]
struct Owned {
    in_starts: Vec<usize>,
    inflows: Vec<f64>,
    out_starts: Vec<usize>,
    outflows: Vec<f64>,
    stops: Vec<f64>,
    log_rewards: Vec<Option<f64>>,
    levels: Vec<f64>,
    quantiles: usize,
}

impl Owned {
    /// All states of a graph; rewards are known at every `known`-th state, and forced stops have no flow of their own.
    fn of(graph: &Graph, flows: &Flows, known: usize) -> Self {
        let mut all = Self { in_starts: vec![0], out_starts: vec![0], ..Self::default() };
        let edge = |e: usize| flows.log_flow[graph.edges[e].0] + flows.forward[e];
        for node in 0..graph.nodes() {
            let into = (0..graph.edges.len()).filter(|e| graph.edges[*e].1 == node);
            all.inflows.extend(into.map(edge));
            let out: Vec<f64> =
                (0..graph.edges.len()).filter(|e| graph.edges[*e].0 == node).map(edge).collect();
            let forced = out.is_empty();
            all.outflows.extend(out);
            all.in_starts.push(all.inflows.len());
            all.out_starts.push(all.outflows.len());
            all.stops.push(if forced { f64::NEG_INFINITY } else { flows.log_flow[node] + flows.stop[node] });
            all.log_rewards.push(graph.log_rewards[node].filter(|_| forced || node % known == 0));
        }
        all
    }

    /// The same with as many quantiles, each a shifted copy by `spread` times the level.
    fn with_quantiles(&self, quantiles: usize, spread: f64) -> Self {
        let levels: Vec<f64> = Risk::midpoints(quantiles).collect();
        let copies = |flows: &[f64]| -> Vec<f64> {
            flows.iter().flat_map(|flow| levels.iter().map(move |q| flow + spread * q)).collect()
        };
        Self {
            inflows: copies(&self.inflows),
            outflows: copies(&self.outflows),
            stops: copies(&self.stops),
            levels: levels.repeat(self.stops.len()),
            quantiles,
            ..self.clone()
        }
    }

    fn flows(&self) -> StateFlows<'_> {
        let Self { in_starts, inflows, out_starts, outflows, stops, log_rewards, .. } = self;
        StateFlows { in_starts, inflows, out_starts, outflows, stops, log_rewards }
    }

    fn quantile_flows(&self) -> QuantileFlows<'_> {
        let Self { in_starts, inflows, out_starts, outflows, stops, log_rewards, levels, quantiles } = self;
        let quantiles = *quantiles;
        QuantileFlows { quantiles, levels, in_starts, inflows, out_starts, outflows, stops, log_rewards }
    }

    /// Numbers of no meaning at the states of a graph.
    fn randomised(mut self, seed: u64) -> Self {
        for (index, flows) in [&mut self.inflows, &mut self.outflows, &mut self.stops].into_iter().enumerate()
        {
            let shifts = normals(seed + index as u64, flows.len());
            flows.iter_mut().zip(shifts).for_each(|(flow, shift)| *flow += 0.8 * shift);
        }
        self
    }

    fn array(&mut self, index: usize) -> &mut Vec<f64> {
        [&mut self.inflows, &mut self.outflows, &mut self.stops].into_iter().nth(index).expect("three arrays")
    }
}

/// Slopes by in-flows, out-flows and stops, in this order.
type Found = (f64, [Vec<f64>; 3]);

fn evaluate(objective: &FlowMatching, owned: &Owned) -> Found {
    let mut slopes = StateFlowSlopes::default();
    let loss = objective.evaluate(&owned.flows(), &mut slopes);
    (loss, [slopes.inflows, slopes.outflows, slopes.stops])
}

fn evaluate_quantiles(objective: &QuantileFlowMatching, owned: &Owned) -> Found {
    let mut slopes = QuantileFlowSlopes::default();
    let loss = objective.evaluate(&owned.quantile_flows(), &mut slopes);
    (loss, [slopes.inflows, slopes.outflows, slopes.stops])
}

fn check_slopes(owned: &mut Owned, evaluate: impl Fn(&Owned) -> Found, skip: impl Fn(usize) -> bool) {
    let step = 1e-6;
    let (_, slopes) = evaluate(owned);
    for index in (0..3).filter(|index| !skip(*index)) {
        for at in 0..owned.array(index).len() {
            let before = owned.array(index)[at];
            let mut loss_at = |shift: f64| {
                owned.array(index)[at] = before + shift;
                evaluate(owned).0
            };
            let numeric = (loss_at(step) - loss_at(-step)) / (2.0 * step);
            owned.array(index)[at] = before;
            let found = slopes[index][at];
            assert!(
                (numeric - found).abs() < 1e-7 * (1.0 + found.abs()),
                "array {index}, {at}: {found}, {numeric}"
            );
        }
    }
}

const COSH: FlowMatching =
    FlowMatching { regression: Regression::ShiftedCosh {}, epsilon: 0.5, stop_weight: 3.0 };

/// At exact flows what flows in flows out, whether rewards are asked at all states or at some, and whatever is added to both
/// sides.
#[test]
fn law_5_flow_matching_is_zero_at_exact_flows() {
    for graph in graphs() {
        let flows = graph.flows(graph.random_backward(41));
        for known in [1, 2, 100] {
            let owned = Owned::of(&graph, &flows, known);
            for objective in
                [FlowMatching::default(), FlowMatching { epsilon: 0.0, ..Default::default() }, COSH]
            {
                let (loss, slopes) = evaluate(&objective, &owned);
                assert!(loss < 1e-20, "{}: {loss}", graph.name);
                assert!(slopes.iter().flatten().all(|slope| slope.abs() < 1e-12), "{}", graph.name);
            }
            // Flows that are certain have one quantile.
            let objective = QuantileFlowMatching { stop_weight: 2.0, ..QuantileFlowMatching::default() };
            let (loss, slopes) = evaluate_quantiles(&objective, &owned.with_quantiles(3, 0.0));
            assert!(loss < 1e-20, "{}: {loss}", graph.name);
            assert!(slopes.iter().flatten().all(|slope| slope.abs() < 1e-12), "{}", graph.name);
        }
    }
}

#[test]
fn slopes_of_flow_matching_agree_with_differences() {
    for graph in graphs() {
        let flows = graph.flows(graph.random_backward(42));
        for known in [1, 2] {
            let mut owned = Owned::of(&graph, &flows, known).randomised(43);
            for objective in [FlowMatching::default(), COSH] {
                check_slopes(&mut owned, |owned| evaluate(&objective, owned), |_| false);
            }
        }
    }
}

#[test]
fn slopes_of_quantile_flow_matching_agree_with_differences() {
    for graph in graphs() {
        let flows = graph.flows(graph.random_backward(44));
        let mut owned = Owned::of(&graph, &flows, 2).with_quantiles(3, 0.7).randomised(45);
        for fixed_outflows in [false, true] {
            let objective =
                QuantileFlowMatching { kappa: 0.4, fixed_outflows, stop_weight: 1.5, ..Default::default() };
            let (_, slopes) = evaluate_quantiles(&objective, &owned);
            assert_eq!(slopes[1].iter().all(|slope| *slope == 0.0), fixed_outflows);
            // Held fixed are stops too where they are a part of the out-flow.
            let skip = |index: usize| fixed_outflows && index > 0;
            check_slopes(&mut owned, |owned| evaluate_quantiles(&objective, owned), skip);
        }
    }
}

/// The residual by its definition, at one state with two parents, two children and a known reward.
#[test]
fn flow_matching_is_what_the_equation_says() {
    let owned = Owned {
        in_starts: vec![0, 2],
        inflows: vec![2f64.ln(), 0.5f64.ln()],
        out_starts: vec![0, 2],
        outflows: vec![1f64.ln(), 3f64.ln()],
        stops: vec![0.7f64.ln()],
        log_rewards: vec![Some(1.25f64.ln())],
        ..Owned::default()
    };
    let objective = FlowMatching { epsilon: 0.1, stop_weight: 2.0, ..FlowMatching::default() };
    let expected = (2.6f64 / 5.35).ln().powi(2) + 2.0 * (0.8f64 / 1.35).ln().powi(2);
    assert!((evaluate(&objective, &owned).0 - expected).abs() < 1e-14);
    let unknown = Owned { log_rewards: vec![None], ..owned };
    let expected = (2.6f64 / 4.8).ln().powi(2);
    assert!((evaluate(&objective, &unknown).0 - expected).abs() < 1e-14);
    // An object without a reward, where something is added to both sides.
    let none = Owned { log_rewards: vec![Some(f64::NEG_INFINITY)], ..unknown };
    let expected = (2.6f64 / 4.1).ln().powi(2) + 2.0 * (0.8f64 / 0.1).ln().powi(2);
    assert!((evaluate(&objective, &none).0 - expected).abs() < 1e-14);
}

/// A chain whose reward is 1 or 3 with equal chances: the minimum is the quantile function, up to the width of the parabola.
#[test]
fn quantiles_of_a_random_reward_are_found() {
    let levels = [0.125, 0.375, 0.625, 0.875];
    let chain = |in_flows: &[f64]| Owned {
        in_starts: vec![0, 1, 2],
        inflows: in_flows.repeat(2),
        out_starts: vec![0, 0, 0],
        outflows: vec![],
        stops: vec![f64::NEG_INFINITY; 8],
        log_rewards: vec![Some(0.0), Some(3f64.ln())],
        levels: levels.repeat(2),
        quantiles: 4,
    };
    let kappa = 0.05;
    let objective = QuantileFlowMatching { quantiles: 4, kappa, ..QuantileFlowMatching::default() };
    let at = |q: f64| if q < 0.5 { kappa * q / (1.0 - q) } else { 3f64.ln() - kappa * (1.0 - q) / q };
    let best = levels.map(at);
    let gradient = |flows: &[f64]| -> Vec<f64> {
        let slopes = evaluate_quantiles(&objective, &chain(flows)).1;
        (0..4).map(|i| slopes[0][i] + slopes[0][4 + i]).collect()
    };
    assert!(gradient(&best).iter().all(|slope| slope.abs() < 1e-14));
    let mut flows = [0.5; 4];
    for _ in 0..20_000 {
        let slopes = gradient(&flows);
        flows.iter_mut().zip(slopes).for_each(|(flow, slope)| *flow -= 0.01 * slope);
    }
    for (found, expected) in flows.iter().zip(best) {
        assert!((found - expected).abs() < 1e-6, "{flows:?}, {best:?}");
    }
    assert!((Risk::Neutral {}.log_flow(&flows).exp() - 2.0).abs() < 0.1);
    assert!((Risk::Cvar { eta: 0.5 }.log_flow(&flows).exp() - 1.0).abs() < 0.05);
}

/// The loss by its definition, where in- and out-flows have different quantiles.
#[test]
fn quantile_flow_matching_is_what_the_equation_says() {
    let flows = |values: &[f64]| values.iter().map(|value: &f64| value.ln()).collect::<Vec<f64>>();
    let owned = Owned {
        in_starts: vec![0, 2],
        inflows: flows(&[1.0, 2.0, 0.5, 0.7]),
        out_starts: vec![0, 1],
        outflows: flows(&[0.9, 3.0]),
        stops: flows(&[0.2, 0.4]),
        log_rewards: vec![None],
        levels: vec![0.3, 0.8],
        quantiles: 2,
    };
    let (ins, outs) = ([1.5f64.ln(), 2.7f64.ln()], [1.1f64.ln(), 3.4f64.ln()]);
    let huber = |d: f64| if d.abs() < 0.5 { d * d / 2.0 } else { 0.5 * (d.abs() - 0.25) };
    let mut expected = 0.0;
    for (q, inside) in [(0.3, ins[0]), (0.8, ins[1])] {
        for outside in outs {
            let d: f64 = outside - inside;
            expected += (q - f64::from(u8::from(d < 0.0))).abs() * huber(d) / 0.5 / 2.0;
        }
    }
    let objective = QuantileFlowMatching { quantiles: 2, kappa: 0.5, ..QuantileFlowMatching::default() };
    assert!((evaluate_quantiles(&objective, &owned).0 - expected).abs() < 1e-14);
}

/// A risk measure is the mean of the quantile function at distorted levels.
#[test]
fn risks_weigh_quantiles() {
    let quantiles: Vec<f64> = [1.0, 1.0, 3.0, 3.0].map(f64::ln).to_vec();
    let flow = |risk: Risk| risk.log_flow(&quantiles).exp();
    let powers = [(1.0, 2.5), (-1.0, 1.5)].map(|(eta, mean)| (Risk::Power { eta }, mean));
    let others = [(Risk::Neutral {}, 2.0), (Risk::Cvar { eta: 0.5 }, 1.0), (Risk::Cvar { eta: 1.0 }, 2.0)];
    for (risk, expected) in powers.into_iter().chain(others).chain([(Risk::Cvar { eta: 0.8 }, 1.75)]) {
        assert!((flow(risk) - expected).abs() < 1e-12, "{risk:?}: {}", flow(risk));
        let n = 100_000;
        let read = |u: f64| if risk.level(u) < 0.5 { 1.0 } else { 3.0 };
        let mean = Risk::midpoints(n).map(read).sum::<f64>() / n as f64;
        assert!((mean - expected).abs() < 1e-4, "{risk:?}: {mean}");
        for q in [0.1, 0.35, 0.6] {
            assert!((risk.weight_below(risk.level(q)) - q).abs() < 1e-12, "{risk:?} at {q}");
        }
    }
    assert_eq!(Risk::Neutral {}.log_flow(&[f64::NEG_INFINITY; 3]), f64::NEG_INFINITY);
}
