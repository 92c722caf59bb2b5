//! Small graphs of which everything is known: exact flows of any reward and backward policy, all trajectories.

use anabranch::environment::{Environment, Hypergrid, States};
use anabranch::math::log_sum_exp;
use anabranch::objective::{Paths, Reference};
use anabranch::rng::{Noise, Purpose};

/// A pointed graph without cycles; edges lead from smaller to larger nodes, the source is node 0.
pub struct Graph {
    pub name: &'static str,
    pub edges: Vec<(usize, usize)>,
    /// `log R` of each node that is an object.
    pub log_rewards: Vec<Option<f64>>,
}

/// A pair of policies with the flow of the forward one.
#[derive(Clone)]
pub struct Flows {
    pub log_flow: Vec<f64>,
    /// By edge.
    pub forward: Vec<f64>,
    /// By edge.
    pub backward: Vec<f64>,
    /// By node, `-inf` where it is no object.
    pub stop: Vec<f64>,
}

/// All graphs.
pub fn graphs() -> Vec<Graph> {
    vec![toy(), subsets(), grid()]
}

/// The graph of figure 2 of "GFlowNet Foundations": objects with and without moves on.
pub fn toy() -> Graph {
    let edges = vec![
        (0, 1),
        (0, 2),
        (1, 3),
        (2, 3),
        (2, 4),
        (3, 5),
        (4, 6),
        (5, 7),
        (5, 8),
        (6, 8),
        (6, 10),
        (7, 9),
        (8, 9),
    ];
    let rewards = [(3, 30.0), (4, 14.0), (6, 23.0), (8, 10.0), (9, 30.0), (10, 5.0_f64)];
    let mut log_rewards = vec![None; 11];
    rewards.iter().for_each(|(node, reward)| log_rewards[*node] = Some(reward.ln()));
    Graph { name: "toy", edges, log_rewards }
}

/// Subsets of {1, 2, 3}, all of them objects, with `R(S)` the product of 1, 2, 3 over `S`.
pub fn subsets() -> Graph {
    let adds = |set: usize| (0..3).filter(move |i| set >> i & 1 == 0).map(move |i| (set, set | 1 << i));
    let weight = |set: usize| (0..3).filter(|i| set >> i & 1 == 1).map(|i| f64::from(i + 1).ln()).sum();
    Graph {
        name: "subsets",
        edges: (0..8).flat_map(adds).collect(),
        log_rewards: (0..8).map(|set| Some(weight(set))).collect(),
    }
}

/// The 3 x 3 grid with an asymmetric reward.
pub fn grid() -> Graph {
    let environment = Hypergrid { dim: 2, side: 3 };
    let states = States::of(&environment, 9).expect("there are nine");
    let edges = (0..states.len()).flat_map(|child| {
        let parents: Vec<usize> = states.parents(child).iter().map(|(parent, _)| *parent as usize).collect();
        parents.into_iter().map(move |parent| (parent, child))
    });
    let reward = |i: usize| {
        let [x, y] = *states.state(i) else { panic!("two coordinates") };
        environment.is_object(states.state(i)).then(|| (0.3 + f64::from(x) + 2.0 * f64::from(y * y)).ln())
    };
    Graph { name: "grid", edges: edges.collect(), log_rewards: (0..states.len()).map(reward).collect() }
}

/// Standard normals.
pub fn normals(seed: u64, count: usize) -> Vec<f64> {
    Noise::new(seed, Purpose::Choice).normal(count, 1).into_iter().map(f64::from).collect()
}

impl Graph {
    pub fn nodes(&self) -> usize {
        self.log_rewards.len()
    }

    fn is_forced(&self, node: usize) -> bool {
        self.edges.iter().all(|(parent, _)| *parent != node)
    }

    /// A backward policy at random, by edge.
    pub fn random_backward(&self, seed: u64) -> Vec<f64> {
        let mut logits = normals(seed, self.edges.len());
        for node in 0..self.nodes() {
            let of_node: Vec<usize> = (0..self.edges.len()).filter(|e| self.edges[*e].1 == node).collect();
            let total = log_sum_exp(&of_node.iter().map(|e| logits[*e]).collect::<Vec<_>>());
            of_node.iter().for_each(|e| logits[*e] -= total);
        }
        logits
    }

    /// The forward policy of logits, one for each edge and then one for each node's stopping.
    pub fn forward_of(&self, logits: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (edges, stops) = logits.split_at(self.edges.len());
        let (mut forward, mut stop) = (edges.to_vec(), stops.to_vec());
        for node in 0..self.nodes() {
            let of_node: Vec<usize> = (0..self.edges.len()).filter(|e| self.edges[*e].0 == node).collect();
            let own = if self.log_rewards[node].is_some() { stops[node] } else { f64::NEG_INFINITY };
            let total = log_sum_exp(&of_node.iter().map(|e| edges[*e]).chain([own]).collect::<Vec<_>>());
            of_node.iter().for_each(|e| forward[*e] -= total);
            stop[node] = own - total;
        }
        (forward, stop)
    }

    /// The flows that a reward and a backward policy decide, from the last node to the first.
    pub fn flows(&self, backward: Vec<f64>) -> Flows {
        let mut log_flow = vec![f64::NEG_INFINITY; self.nodes()];
        for node in (0..self.nodes()).rev() {
            let out = (0..self.edges.len()).filter(|e| self.edges[*e].0 == node);
            let out = out.map(|e| log_flow[self.edges[e].1] + backward[e]);
            log_flow[node] = log_sum_exp(&out.chain(self.log_rewards[node]).collect::<Vec<_>>());
        }
        let through = |e: usize| log_flow[self.edges[e].1] + backward[e] - log_flow[self.edges[e].0];
        let forward = (0..self.edges.len()).map(through).collect();
        let ends = |node: usize| self.log_rewards[node].map_or(f64::NEG_INFINITY, |log| log - log_flow[node]);
        let stop = (0..self.nodes()).map(ends).collect();
        Flows { log_flow, forward, backward, stop }
    }

    /// The posterior of a prior policy under the likelihood `R^beta`: `log_flow` is `log E_prior[R^beta | s]`.
    pub fn posterior(&self, prior: &(Vec<f64>, Vec<f64>), beta: f64) -> Flows {
        let (forward, stop) = prior;
        let mut log_flow = vec![f64::NEG_INFINITY; self.nodes()];
        for node in (0..self.nodes()).rev() {
            let out = (0..self.edges.len()).filter(|e| self.edges[*e].0 == node);
            let out = out.map(|e| log_flow[self.edges[e].1] + forward[e]);
            let own = self.log_rewards[node].map(|log| stop[node] + beta * log);
            log_flow[node] = log_sum_exp(&out.chain(own).collect::<Vec<_>>());
        }
        let through = |e: usize| log_flow[self.edges[e].1] + forward[e] - log_flow[self.edges[e].0];
        let ends = |node: usize| {
            self.log_rewards[node].map_or(f64::NEG_INFINITY, |log| stop[node] + beta * log - log_flow[node])
        };
        Flows {
            forward: (0..self.edges.len()).map(through).collect(),
            backward: vec![0.0; self.edges.len()],
            stop: (0..self.nodes()).map(ends).collect(),
            log_flow,
        }
    }

    /// All complete trajectories, each as its edges.
    pub fn trajectories(&self) -> Vec<Vec<usize>> {
        let mut found = Vec::new();
        let mut open: Vec<Vec<usize>> = vec![vec![]];
        while let Some(trajectory) = open.pop() {
            let node = self.end(&trajectory);
            let out = (0..self.edges.len()).filter(|e| self.edges[*e].0 == node);
            open.extend(out.map(|e| trajectory.iter().copied().chain([e]).collect()));
            if self.log_rewards[node].is_some() {
                found.push(trajectory);
            }
        }
        found
    }

    /// The object at which a trajectory ends.
    pub fn end(&self, trajectory: &[usize]) -> usize {
        trajectory.last().map_or(0, |e| self.edges[*e].1)
    }

    /// The nodes of a trajectory.
    pub fn states(&self, trajectory: &[usize]) -> Vec<usize> {
        std::iter::once(0).chain(trajectory.iter().map(|e| self.edges[*e].1)).collect()
    }

    /// What is known of `log R` at each node: at random where it is no object.
    fn partial(&self) -> Vec<f64> {
        let guesses = normals(77, self.nodes());
        self.log_rewards.iter().zip(guesses).map(|(log, guess)| log.unwrap_or(guess)).collect()
    }

    /// Trajectories as an objective reads them, with a reference that says the same.
    pub fn paths(&self, flows: &Flows, trajectories: &[Vec<usize>], forward_looking: bool) -> Paths {
        let partial = self.partial();
        let mut paths = Paths { starts: vec![0], ..Paths::default() };
        for trajectory in trajectories {
            for (t, node) in self.states(trajectory).into_iter().enumerate() {
                let edge = trajectory.get(t);
                paths.forward.push(edge.map_or(flows.stop[node], |e| flows.forward[*e]));
                paths.backward.push(edge.map_or(0.0, |e| flows.backward[*e]));
                paths.flow.push(flows.log_flow[node] - if forward_looking { partial[node] } else { 0.0 });
                paths.stop.push(flows.stop[node]);
                paths.forced.push(self.is_forced(node));
                paths.partial.push(partial[node]);
            }
            paths.starts.push(paths.forward.len());
            paths.log_reward.push(self.log_rewards[self.end(trajectory)].expect("it ends at an object"));
            paths.log_z.push(flows.log_flow[0]);
        }
        paths.reference = Some(Reference {
            forward: paths.forward.clone(),
            flow: paths.flow.clone(),
            stop: paths.stop.clone(),
            divergence: vec![0.0; paths.rows()],
        });
        paths
    }
}
