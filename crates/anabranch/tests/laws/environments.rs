//! Laws of environments, by enumeration.

use anabranch::environment::check::{along_walks, exhaustively};
use anabranch::environment::{Environment, Hypergrid};
use anabranch::rng::{Noise, Purpose};

/// Every kind of environment in sizes that can be enumerated, with its number of states.
pub fn environments() -> Vec<(Box<dyn Environment>, usize)> {
    let grid = |dim, side| Box::new(Hypergrid { dim, side }) as Box<dyn Environment>;
    vec![
        (grid(1, 1), 1),
        (grid(1, 5), 5),
        (grid(2, 2), 4),
        (grid(2, 7), 49),
        (grid(3, 4), 64),
        (grid(5, 3), 243),
    ]
}

/// Every kind of environment in sizes that cannot.
fn large_environments() -> Vec<Box<dyn Environment>> {
    vec![Box::new(Hypergrid { dim: 4, side: 20 })]
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
        assert_eq!(along_walks(environment.as_ref(), 50, &noise), Ok(()), "{environment:?}");
    }
}
