//! Explicit graphs: what they hold, and what is said of a wrong one.

use super::*;
use crate::environment::States;

/// Flows of the toy DAG at the uniform backward policy, `F(s) = R(s) + sum over children F(c) / #parents(c)`.
#[test]
fn the_toy_dag_has_its_published_flows() {
    let toy = ExplicitGraph::toy();
    let states = States::of(&toy, 100).unwrap();
    assert_eq!((states.len(), toy.moves(), toy.removals(), toy.longest()), (11, 2, 2, 5));
    let mut flows: Vec<f64> = (0..11).map(|i| toy.log_reward(states.state(i)).exp()).collect();
    for i in (1..11).rev() {
        let parents = states.parents(i);
        parents.iter().for_each(|(parent, _)| flows[*parent as usize] += flows[i] / parents.len() as f64);
    }
    let mut by_name = [0.0; 11];
    (0..11).for_each(|i| by_name[toy.describe(states.state(i)).parse::<usize>().unwrap()] = flows[i]);
    let known = [112.0, 28.75, 83.25, 57.5, 54.5, 27.5, 40.5, 15.0, 25.0, 30.0, 5.0];
    assert!(by_name.iter().zip(known).all(|(flow, known)| (flow - known).abs() < 1e-12), "{by_name:?}");
    // 13 complete trajectories.
    let ways = |object: &u32| toy.log_paths(states.state(*object as usize)).unwrap().exp();
    assert!((states.objects().iter().map(ways).sum::<f64>() - 13.0).abs() < 1e-12);
}

#[test]
fn the_environment_answers_two_actions() {
    let graph = ExplicitGraph::two_actions();
    let (mut state, mut log) = ([0], [f32::NAN; 2]);
    for (node, chances) in [("a1", [0.8, 0.2]), ("a2", [0.3, 0.7])] {
        graph.parse(node, &mut state).unwrap();
        assert!(graph.chance(&state, &mut log) && !graph.is_object(&state));
        assert!(log.iter().zip(chances).all(|(log, chance)| (log.exp() - chance).abs() < 1e-6), "{log:?}");
    }
    for node in ["s0", "x1"] {
        graph.parse(node, &mut state).unwrap();
        assert!(!graph.chance(&state, &mut log));
    }
}

#[test]
fn a_cycle_is_allowed_where_asked_for() {
    let graph = ExplicitGraph::two_cycle(50).unwrap();
    assert!(graph.cyclic() && graph.stops());
    assert_eq!((graph.longest(), graph.log_paths(&[1])), (50, None));
    assert_eq!(ExplicitGraph::two_cycle(1).unwrap_err().to_string(), "longest: found 1; allowed: 2 or more");
    let text = include_str!("../../../../../data/two-cycle.csv");
    let message = ExplicitGraph::read("g.csv", text).unwrap_err().to_string();
    assert_eq!(message, "g.csv: found the cycle a -> b -> a; allowed: acyclic graphs");
    // A graph without cycles stays one, and its longest path is known.
    let toy = include_str!("../../../../../data/toy-dag.csv");
    assert_eq!(ExplicitGraph::read_cyclic("t.csv", toy, 50).unwrap(), ExplicitGraph::toy());
}

#[test]
fn lists_are_as_good_as_files() {
    let graph =
        ExplicitGraph::new(&["top", "left", "right"], &[(0, 2), (0, 1), (1, 2)], &[(2, 3.0)]).unwrap();
    let text = "parent,child,value\ntop,right,\ntop,left,\nleft,right,\n\n# The one object.\nright,,3";
    let read = ExplicitGraph::read("g.csv", text).unwrap();
    let paths = |graph: &ExplicitGraph| {
        let mut state = [0];
        graph.parse("right", &mut state).unwrap();
        (graph.log_paths(&state), graph.log_reward(&state), graph.longest())
    };
    assert_eq!(paths(&graph), (Some(2f64.ln()), 3f64.ln(), 2));
    assert_eq!(paths(&graph), paths(&read));
    let alone = ExplicitGraph::new(&["only"], &[], &[(0, 1.0)]).unwrap();
    assert_eq!((alone.longest(), alone.moves(), alone.stops()), (0, 0, false));
    let message = |edges: &[(usize, usize)], rewards: &[(usize, f64)]| {
        ExplicitGraph::new(&["a", "b"], edges, rewards).unwrap_err().to_string()
    };
    assert_eq!(message(&[(0, 1), (0, 2)], &[(1, 1.0)]), "edges[1]: found node 2; allowed: 0 to 1");
    assert_eq!(
        message(&[(0, 1)], &[(1, -1.0)]),
        "rewards[0]: found the reward -1; allowed: positive rewards"
    );
}

#[test]
fn wrong_files_are_refused_with_their_line() {
    let message = |rows: &str| {
        let text = format!("# A comment.\nparent,child,value\n{rows}");
        ExplicitGraph::read("g.csv", &text).unwrap_err().to_string()
    };
    for (rows, expected) in [
        ("a,b", "g.csv, line 3: found \"a,b\"; allowed: three fields, parent,child,value"),
        (",b,", "g.csv, line 3: found \",b,\"; allowed: a parent in the first field"),
        ("a,b,\nb,,high", "g.csv, line 4: found \"high\"; allowed: a reward, as there is no child"),
        ("a,b,\nb,,", "g.csv, line 4: found \"\"; allowed: a reward, as there is no child"),
        ("a,b,x", "g.csv, line 3: found \"x\"; allowed: a probability, or nothing"),
        ("a,b,2", "g.csv, line 3: found the probability 2; allowed: above 0, at most 1"),
        ("a,b,\nb,,0", "g.csv, line 4: found the reward 0; allowed: positive rewards"),
        ("a,b,\nb,,inf", "g.csv, line 4: found the reward inf; allowed: positive rewards"),
        ("a,b,\nb,,1\nb,,1", "g.csv, line 5: found another reward of \"b\"; allowed: one reward of a node"),
        ("a,b,\na,b,", "g.csv, line 4: found a -> b; allowed: one edge between two nodes that differ"),
        ("a,a,", "g.csv, line 3: found a -> a; allowed: one edge between two nodes that differ"),
        (
            "a,b,0.5\na,c,\nb,,1\nc,,1",
            "g.csv: found \"a\", some of whose edges have probabilities; allowed: probabilities of all edges of a node, \
             which then has no reward",
        ),
        (
            "a,b,0.5\na,c,0.25\nb,,1\nc,,1",
            "g.csv: found probabilities at \"a\" that sum to 0.7500; allowed: a sum of 1",
        ),
        (
            "a,c,\nb,c,\nc,,1",
            "g.csv: found 2 nodes without parents (a, b); allowed: one node without parents, the source",
        ),
        (
            "a,b,\nb,a,\na,,1",
            "g.csv: found a parent of every node; allowed: one node without parents, the source",
        ),
        ("s,a,\na,b,\nb,c,\nc,a,\nc,,1", "g.csv: found the cycle a -> b -> c -> a; allowed: acyclic graphs"),
        (
            "s,a,\na,b,\ns,c,\nc,,1",
            "g.csv: found \"b\", ahead of which nothing has a reward; allowed: nodes with a reward themselves or ahead",
        ),
        (
            "a b,c,\nc,,1",
            "g.csv: found \"a b\"; allowed: names without white space or , \", and not <= or _ alone",
        ),
        ("", "g.csv: found none; allowed: one or more"),
    ] {
        assert_eq!(message(rows), expected);
    }
    let message = ExplicitGraph::read("g.csv", "a,b,\nb,,1").unwrap_err().to_string();
    assert_eq!(message, "g.csv, line 1: found \"a,b,\"; allowed: the header parent,child,value");
    let island = "parent,child,value\ns,,1\na,b,\nb,a,\na,,1";
    let message = ExplicitGraph::read_cyclic("g.csv", island, 9).unwrap_err().to_string();
    assert_eq!(message, "g.csv: found \"a\", to which no edges lead; allowed: nodes ahead of the source");
}
