//! Laws of environments, by enumeration.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anabranch::environment::check::{along_walks, along_walks_from, exhaustively, exhaustively_from};
use anabranch::environment::{
    CyclicGrid, Environment, ExplicitGraph, Growth, Hypergrid, LabelledDags, Multisets, Permutations,
    ProcessEnvironment, Rooted, Sets, SlipperyGrid, States, Strings, Trees,
};
use anabranch::error::Problem;
use anabranch::program::Call;
use anabranch::rng::{Noise, Purpose};

fn boxed(environment: Result<impl Environment + 'static, Problem>) -> Arc<dyn Environment> {
    Arc::new(environment.unwrap())
}

/// The book's example of an environment by another program, a grid of another side.
fn by_a_program(side: usize) -> Result<ProcessEnvironment, Problem> {
    let text = include_str!("../../../../docs/src/hypergrid.py").replacen("2, 8,", &format!("2, {side},"), 1);
    ProcessEnvironment::start(Call {
        command: vec!["python3".to_owned(), "-c".to_owned(), text],
        timeout: Duration::from_secs(60),
        restarts: 0,
        role: "the environment program",
        place: "target.command".to_owned(),
    })
}

/// Every kind of environment in sizes that can be enumerated, with its number of states.
pub(crate) fn environments() -> Vec<(Arc<dyn Environment>, usize)> {
    let grid = |dim, side| boxed(Hypergrid::new(dim, side));
    let strings = |letters, lengths, growth| boxed(Strings::of_chars(letters, lengths, growth));
    let blocks = |lengths, growth| boxed(Strings::new(&["C", "C=O", "N"], lengths, growth));
    let (append, both, anywhere) = (Growth::Append, Growth::PrependOrAppend, Growth::Anywhere);
    let sets = |items, sizes| boxed(Sets::new(items, sizes));
    let multisets = |kinds, totals| boxed(Multisets::new(kinds, totals));
    let dags = |nodes| boxed(LabelledDags::new(nodes));
    let few_parents =
        |nodes, most: usize| boxed(LabelledDags::new(nodes).and_then(|dags| dags.with_most_parents(most)));
    // Words of length 0 to n over k letters: (k^(n+1) - 1) / (k - 1).
    let words = |letters: usize, longest: u32| (letters.pow(longest + 1) - 1) / (letters - 1);
    vec![
        (grid(1, 1), 1),
        (grid(1, 5), 5),
        (grid(2, 2), 4),
        (grid(2, 7), 49),
        (grid(3, 4), 64),
        (grid(5, 3), 243),
        (strings("A", 1..=1, append), 2),
        (strings("A", 0..=5, append), 6),
        (strings("ACGT", 3..=3, append), words(4, 3)),
        (strings("AB", 0..=5, append), words(2, 5)),
        (strings("ABC", 2..=4, append), words(3, 4)),
        (blocks(1..=3, append), words(3, 3)),
        (strings("A", 3..=3, both), 4),
        (strings("AB", 5..=5, both), words(2, 5)),
        (strings("ABC", 0..=4, both), words(3, 4)),
        (blocks(2..=3, both), words(3, 3)),
        (strings("A", 4..=4, anywhere), 16),
        (strings("ABCD", 1..=1, anywhere), 5),
        (blocks(4..=4, anywhere), 256),
        (boxed(Strings::bits(6, 3, both)), words(8, 2)),
        (boxed(Strings::bits(6, 2, anywhere)), 125),
        (boxed(Strings::spins(1)), 3),
        (boxed(Strings::spins(5)), 243),
        // sum_k C(n, k) over the sizes on the way.
        (sets(1, 0..=0), 1),
        (sets(1, 1..=1), 2),
        (sets(3, 0..=3), 8),
        (sets(6, 3..=3), 1 + 6 + 15 + 20),
        (sets(7, 0..=2), 1 + 7 + 21),
        (sets(5, 2..=4), 1 + 5 + 10 + 10 + 5),
        // C(n + m, m) of n kinds with a total up to m.
        (multisets(1, 0..=4), 5),
        (multisets(3, 4..=4), 35),
        (multisets(4, 0..=3), 35),
        (multisets(2, 3..=6), 28),
        // sum_k n! / k!
        (boxed(Permutations::new(1)), 2),
        (boxed(Permutations::new(2)), 5),
        (boxed(Permutations::new(5)), 326),
        (boxed(Ok(ExplicitGraph::toy())), 11),
        (boxed(Ok(ExplicitGraph::two_actions())), 5),
        (boxed(ExplicitGraph::two_cycle(7)), 3),
        // Robinson (1973); with one parent at most, forests of rooted labelled trees, (d + 1)^(d - 1) by Cayley's formula;
        // with two out of three, all but those in which one of the four nodes has the three others as parents.
        (dags(1), 1),
        (dags(2), 3),
        (dags(3), 25),
        (dags(4), 543),
        (few_parents(3, 1), 16),
        (few_parents(4, 1), 125),
        (few_parents(4, 2), 543 - 4 * 25),
        // Forests of k rooted binary trees: (2n - k - 1)! / ((n - k)! (k - 1)! 2^(n - k)), summed over k.
        (boxed(Trees::new(2)), 2),
        (boxed(Trees::new(3)), 7),
        (boxed(Trees::new(5)), 266),
        (boxed(Trees::named(&["ape", "bat", "cat", "dog"])), 37),
        // Points, and one state per coordinate that can be chosen at a point.
        (boxed(SlipperyGrid::new(1, 1, 0.5)), 1),
        (boxed(SlipperyGrid::new(1, 4, 1.0)), 4 + 3),
        (boxed(SlipperyGrid::new(2, 3, 0.1)), 9 + 2 * 2 * 3),
        (boxed(SlipperyGrid::new(3, 3, 0.25)), 27 + 3 * 2 * 9),
        (boxed(by_a_program(4)), 16),
        (boxed(CyclicGrid::new(1, 2, 2)), 3),
        (boxed(CyclicGrid::new(2, 5, 100)), 26),
        (boxed(CyclicGrid::new(3, 3, 20)), 28),
    ]
}

/// Every kind of environment in sizes that cannot.
fn large_environments() -> Vec<Arc<dyn Environment>> {
    vec![
        boxed(Hypergrid::new(4, 20)),
        boxed(Strings::of_chars("ACDEFGHIKLMNPQRSTVWY", 10..=60, Growth::Append)),
        boxed(Strings::new(&["C", "N", "C=O", "C#N"], 0..=12, Growth::PrependOrAppend)),
        boxed(Strings::bits(120, 8, Growth::Anywhere)),
        boxed(Strings::spins(100)),
        boxed(Sets::new(300, 30..=30)),
        boxed(Sets::new(40, 0..=40)),
        boxed(Multisets::new(30, 0..=25)),
        boxed(Permutations::new(20)),
        boxed(LabelledDags::new(8)),
        boxed(LabelledDags::new(20).and_then(|dags| dags.with_most_parents(3))),
        boxed(Trees::new(64)),
        boxed(SlipperyGrid::new(4, 10, 0.2)),
        boxed(by_a_program(40)),
        boxed(CyclicGrid::new(4, 10, 60)),
    ]
}

/// Law 5: moves and removals undo each other, every state has an object ahead and an encoding of its own, and the ways to
/// it are as many as its closed form says.
#[test]
fn law_5_both_directions_of_environments_agree() {
    for (environment, states) in environments() {
        assert_eq!(exhaustively(environment.as_ref(), 1000), Ok(states), "{environment:?}");
    }
    for environment in large_environments() {
        assert!(exhaustively(environment.as_ref(), 1000).is_err_and(|message| message.contains("1000")));
        let noise = Noise::new(3, Purpose::Choice);
        assert_eq!(along_walks(environment.as_ref(), 5, &noise), Ok(()), "{environment:?}");
    }
}

/// Law 5 of what an environment says of all its states at once.
#[test]
fn law_5_all_states_are_as_they_are_said_to_be() {
    for (environment, _) in environments() {
        let states = States::of(environment.as_ref(), 1000).unwrap();
        let mut chances = vec![0.0; environment.moves()];
        let all = (0..states.len()).all(|i| environment.is_object(states.state(i)));
        let chance = (0..states.len()).any(|i| environment.chance(states.state(i), &mut chances));
        assert_eq!((environment.all_objects(), environment.stochastic()), (all, chance), "{environment:?}");
    }
}

/// Law 5 at every root: ahead of it lie the states that moves reach, and the way back from them ends at it.
#[test]
fn law_5_both_directions_of_rooted_environments_agree() {
    for (environment, _) in environments().into_iter().filter(|(environment, _)| !environment.cyclic()) {
        let rooted = Rooted::new(environment.clone()).unwrap();
        let states = States::of(environment.as_ref(), 1000).unwrap();
        let mut start = vec![0; rooted.cells()];
        for root in 0..states.len() {
            let mut ahead = vec![false; states.len()];
            ahead[root] = true;
            for i in root + 1..states.len() {
                ahead[i] = states.parents(i).iter().any(|(parent, _)| ahead[*parent as usize]);
            }
            let expected = ahead.iter().filter(|ahead| **ahead).count();
            rooted.at(states.state(root), &mut start);
            assert_eq!(exhaustively_from(&rooted, &start, 1000), Ok(expected), "{environment:?} {start:?}");
        }
        exhaustively(&rooted, 1000).unwrap();
    }
}

/// The same from a state halfway along a random walk.
#[test]
fn law_5_rooted_environments_agree_along_walks() {
    let noise = Noise::new(4, Purpose::Choice);
    for environment in large_environments().into_iter().filter(|environment| !environment.cyclic()) {
        let mut root = vec![0; environment.cells()];
        let mut mask = vec![false; environment.moves()];
        environment.source(&mut root);
        for step in 0..environment.longest().div_ceil(2) {
            environment.allowed(&root, &mut mask);
            let possible: Vec<usize> = (0..mask.len()).filter(|action| mask[*action]).collect();
            let Some(last) = possible.len().checked_sub(1) else { break };
            environment.apply(&mut root, possible[noise.step(step as u32).below(0, last + 1)]);
        }
        let rooted = Rooted::new(environment.clone()).unwrap();
        let mut start = vec![0; rooted.cells()];
        rooted.at(&root, &mut start);
        assert_eq!(along_walks_from(&rooted, &start, 2, &noise), Ok(()), "{environment:?}");
    }
}

/// Law 5 of texts: whatever is read, however it is spelt, is a state, and is read again as it is written.
#[test]
fn law_5_what_is_read_is_a_state() {
    let noise = Noise::new(6, Purpose::Choice);
    for (environment, _) in environments() {
        let states = States::of(environment.as_ref(), 1000).unwrap();
        let known: HashSet<&[u16]> = (0..states.len()).map(|i| states.state(i)).collect();
        let (mut read, mut again) =
            (vec![u16::MAX; environment.cells()], vec![u16::MAX; environment.cells()]);
        let mut accepted = 0;
        for i in 0..states.len() {
            for slip in 0..20 {
                let draw = |row, bound| noise.step(slip).from_trajectory(i as u64).below(row, bound);
                let mut text: Vec<char> = environment.describe(states.state(i)).chars().collect();
                let other: Vec<char> =
                    environment.describe(states.state(draw(0, states.len()))).chars().collect();
                let (at, from) = (draw(1, text.len() + 1), draw(2, other.len() + 1));
                let until = at + draw(3, 3).min(text.len() - at);
                text.splice(at..until, other[from..].iter().copied().take(1 + slip as usize % 4));
                let text: String = text.into_iter().collect();
                if environment.parse(&text, &mut read).is_ok() {
                    accepted += 1;
                    assert!(known.contains(&read[..]), "{environment:?} reads {text} as {read:?}");
                    environment.parse(&environment.describe(&read), &mut again).unwrap();
                    assert_eq!(read, again, "{environment:?} {text}");
                }
            }
        }
        assert!(accepted > 0, "{environment:?}");
    }
}

/// Distances are 0 for the same object alone, the same both ways, and no way round is shorter.
#[test]
fn distances_are_metrics() {
    for (environment, count) in environments() {
        let states = States::of(environment.as_ref(), count).unwrap();
        let objects: Vec<&[u16]> =
            states.objects().iter().map(|i| states.state(*i as usize)).take(40).collect();
        for a in &objects {
            for b in &objects {
                let distance = environment.distance(a, b);
                assert_eq!(
                    (distance == 0, distance),
                    (a == b, environment.distance(b, a)),
                    "{environment:?}"
                );
                let round = objects.iter().map(|c| environment.distance(a, c) + environment.distance(c, b));
                assert!(round.min().unwrap_or(0) >= distance, "{environment:?}: {a:?}, {b:?}");
            }
        }
    }
}
