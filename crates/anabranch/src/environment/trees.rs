//! Rooted binary trees over n labelled leaves, built by joining the roots of a forest: phylogenies.
//!
//! n leaves, n - 1 joins; a removal splits a root. Joins of different trees may be made in any order, hence
//! `n(forest) = m! / prod_v size(v)` for its m internal nodes, `size(v)` the internal nodes at or below v. There are
//! `(2n - 3)!! = 1 * 3 * ... * (2n - 3)` trees.
//!
//! Canonical form. A subtree is called by its smallest leaf, and of two joined subtrees `a < b` the join is called by b:
//! leaf b is smallest in the tree below until that join, and never after, so no two joins have one name. Then
//!
//! ```text
//! sibling[b]   what the join b joined to the subtree b (+ 1), 0 where b is still a root
//! top[a]       the topmost node of those whose smallest leaf is a
//! ```
//!
//! where leaf i is node i and join b is node n + b, are the two children of join b (`sibling[b]`, `top[b]`) and say all
//! of a forest without regard to order. Joining: `sibling[b] = top[a] + 1, top[a] = n + b`; splitting a undoes it.
//!
//! State: `sibling[0..n]`, then `top[0..n]`.
//!
//! Zhou et al., "PhyloGFN" (2024).

use super::text::{Names, refused, size};
use super::{Cell, Environment};
use crate::error::{Problem, quoted};
use crate::math::ln_factorial;

/// Rooted binary trees. The move `b (b - 1) / 2 + a` joins the trees with the smallest leaves `a < b`, the removal a splits
/// the tree with the smallest leaf a.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trees {
    names: Names,
}

impl Trees {
    /// Trees over `leaves` leaves called `0`, `1`, ...
    ///
    /// # Errors
    /// If there are fewer than 2 leaves or more than 32767.
    pub fn new(leaves: usize) -> Result<Self, Problem> {
        size("leaves", leaves, 2..=usize::from(Cell::MAX) / 2)?;
        Ok(Self { names: Names::numbered(leaves) })
    }

    /// Trees over leaves with names: taxa.
    ///
    /// # Errors
    /// As [`Trees::new`], or if two names are alike, or one holds white space or a character of `(),:;[]'`.
    pub fn named<S: AsRef<str>>(names: &[S]) -> Result<Self, Problem> {
        Self::new(names.len())?;
        Ok(Self { names: Names::new("names", names, "(),:;[]'")? })
    }

    /// How many leaves there are.
    pub fn leaves(&self) -> usize {
        self.names.len()
    }

    /// The joins `(a, b)` of a forest, `a < b`, in an order in which they can be made: what is kept per subtree in slot a (a
    /// set of characters, a size) is combined with slot b into slot a.
    pub fn joins(&self, state: &[Cell], joins: &mut Vec<(usize, usize)>) {
        let leaves = self.leaves();
        let (sibling, top) = state.split_at(leaves);
        joins.clear();
        // Downwards: what is below join b on the side of b is called by a later leaf.
        for a in 0..leaves {
            let mut node = usize::from(top[a]);
            while node >= leaves {
                joins.push((a, node - leaves));
                node = usize::from(sibling[node - leaves]) - 1;
            }
        }
        joins.reverse();
    }

    /// The numbers of the two smallest leaves that a move joins.
    fn pair(action: usize) -> (usize, usize) {
        let b = (8 * action + 1).isqrt().div_ceil(2);
        (action - b * (b - 1) / 2, b)
    }

    fn join(&self, state: &mut [Cell], a: usize, b: usize) {
        let (sibling, top) = state.split_at_mut(self.leaves());
        sibling[b] = top[a] + 1;
        top[a] = (self.leaves() + b) as Cell;
    }

    /// Reads one tree up to its `;`, joining on the way; answers what follows.
    fn parse_tree<'a>(
        &self,
        text: &'a str,
        used: &mut [bool],
        state: &mut [Cell],
    ) -> Result<&'a str, String> {
        let wrong = || refused(quoted(text), "binary trees such as ((a,b),c);");
        // The smallest leaves of complete subtrees, and after how many of them each open bracket began.
        let (mut subtrees, mut brackets) = (Vec::new(), Vec::new());
        let (mut rest, mut complete) = (text, false);
        loop {
            let end = rest.find(['(', ')', ',', ';']).ok_or_else(wrong)?;
            let (name, mark) = (rest[..end].trim(), rest.as_bytes()[end]);
            rest = &rest[end + 1..];
            if !name.is_empty() {
                let leaf = self.names.find(name)?;
                if std::mem::replace(&mut used[leaf], true) {
                    return Err(refused(format!("leaf {} twice", quoted(name)), "each leaf once"));
                }
                if std::mem::replace(&mut complete, true) {
                    return Err(wrong());
                }
                subtrees.push(leaf);
            }
            match (mark, complete) {
                (b'(', false) => brackets.push(subtrees.len()),
                (b',', true) if !brackets.is_empty() => complete = false,
                (b')', true) => {
                    let before = brackets.pop().ok_or_else(wrong)?;
                    let [a, b] = subtrees[before..] else { return Err(wrong()) };
                    self.join(state, a.min(b), a.max(b));
                    subtrees.truncate(before);
                    subtrees.push(a.min(b));
                }
                (b';', true) if brackets.is_empty() => return Ok(rest.trim_start()),
                _ => return Err(wrong()),
            }
        }
    }
}

impl Environment for Trees {
    fn cells(&self) -> usize {
        2 * self.leaves()
    }

    fn moves(&self) -> usize {
        self.leaves() * (self.leaves() - 1) / 2
    }

    fn removals(&self) -> usize {
        self.leaves()
    }

    fn longest(&self) -> usize {
        self.leaves() - 1
    }

    fn stops(&self) -> bool {
        false
    }

    fn source(&self, state: &mut [Cell]) {
        let (sibling, top) = state.split_at_mut(self.leaves());
        sibling.fill(0);
        (0..).zip(top).for_each(|(leaf, top)| *top = leaf);
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        state[1..self.leaves()].iter().all(|sibling| *sibling > 0)
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        let mut rest = mask;
        for b in 1..self.leaves() {
            let (pairs, after) = rest.split_at_mut(b);
            rest = after;
            if state[b] == 0 {
                pairs.iter_mut().zip(state).for_each(|(may, sibling)| *may = *sibling == 0);
            } else {
                pairs.fill(false);
            }
        }
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        let leaves = self.leaves();
        let (sibling, top) = state.split_at(leaves);
        (0..leaves).for_each(|a| mask[a] = sibling[a] == 0 && usize::from(top[a]) >= leaves);
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        let (a, b) = Self::pair(action);
        self.join(state, a, b);
        a
    }

    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        let (sibling, top) = state.split_at_mut(self.leaves());
        let b = usize::from(top[removal]) - sibling.len();
        top[removal] = std::mem::take(&mut sibling[b]) - 1;
        b * (b - 1) / 2 + removal
    }

    fn features(&self) -> usize {
        2 * self.leaves() * self.leaves()
    }

    /// One feature per join: its name and the node that is its child beside the subtree of that name.
    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        let siblings = state[..self.leaves()].iter().enumerate().filter(|(_, sibling)| **sibling > 0);
        on.extend(siblings.map(|(b, sibling)| (b * self.cells()) as u32 + u32::from(*sibling) - 1));
    }

    /// In Newick's format, one tree after another: `((a,b),c); d;`.
    fn describe(&self, state: &[Cell]) -> String {
        let mut trees: Vec<String> = self.names.iter().map(str::to_owned).collect();
        let mut joins = Vec::new();
        self.joins(state, &mut joins);
        for (a, b) in joins {
            let subtrees = [a, b].map(|leaf| std::mem::take(&mut trees[leaf]));
            trees[a] = format!("({})", subtrees.join(","));
        }
        let roots: Vec<String> =
            trees.into_iter().filter(|tree| !tree.is_empty()).map(|tree| tree + ";").collect();
        roots.join(" ")
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        self.source(state);
        let mut used = vec![false; self.leaves()];
        let mut rest = text.trim();
        while !rest.is_empty() {
            rest = self.parse_tree(rest, &mut used, state)?;
        }
        match used.iter().position(|used| !used) {
            Some(leaf) => Err(refused(format!("no leaf {}", quoted(&self.names[leaf])), "each leaf once")),
            None => Ok(()),
        }
    }

    fn removable_above(&self, root: &[Cell], state: &[Cell], mask: &mut [bool]) {
        let leaves = self.leaves();
        let (sibling, top) = state.split_at(leaves);
        for a in 0..leaves {
            let top = usize::from(top[a]);
            mask[a] = sibling[a] == 0 && top >= leaves && root[top - leaves] == 0;
        }
    }

    fn log_paths(&self, state: &[Cell]) -> Option<f64> {
        let mut joins = Vec::new();
        self.joins(state, &mut joins);
        let mut sizes = vec![0u64; self.leaves()];
        let mut log_ways = ln_factorial(joins.len() as u64);
        for (a, b) in joins {
            sizes[a] += sizes[b] + 1;
            log_ways -= (sizes[a] as f64).ln();
        }
        Some(log_ways)
    }

    fn objects(&self) -> Option<f64> {
        Some((1..self.leaves()).map(|joined| (2 * joined - 1) as f64).product())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::States;

    #[test]
    fn moves_number_the_pairs() {
        let pairs = (1..300).flat_map(|b| (0..b).map(move |a| (a, b)));
        pairs.enumerate().for_each(|(action, pair)| assert_eq!(Trees::pair(action), pair));
    }

    /// `(2n - 3)!!` trees; `prod_{k=2..n} C(k, 2)` orders of joins lead to one of them.
    #[test]
    fn trees_and_orders_are_as_many_as_known() {
        for (leaves, trees, orders) in [(2, 1, 1.0), (4, 15, 18.0), (5, 105, 180.0), (6, 945, 2700.0)] {
            let environment = Trees::new(leaves).unwrap();
            let states = States::of(&environment, 3000).unwrap();
            assert_eq!(states.objects().len(), trees);
            let ways = |tree: &u32| environment.log_paths(states.state(*tree as usize)).unwrap().exp();
            let total: f64 = states.objects().iter().map(ways).sum();
            assert!((total / orders - 1.0).abs() < 1e-12, "{leaves} leaves: {total} orders");
        }
        let phylogeny = Trees::new(64).unwrap();
        assert_eq!((phylogeny.moves(), phylogeny.longest()), (2016, 63));
    }

    /// Fitch's bottom-up pass needs each subtree before the tree above it.
    #[test]
    fn joins_come_children_first() {
        let trees = Trees::named(&["e", "d", "c", "b", "a"]).unwrap();
        let mut state = vec![0; trees.cells()];
        trees.parse("(((b,d),(e,a)),c);", &mut state).unwrap();
        let mut joins = Vec::new();
        trees.joins(&state, &mut joins);
        assert_eq!(joins, [(1, 3), (0, 4), (0, 1), (0, 2)]);
        assert_eq!(trees.describe(&state), "(((e,a),(d,b)),c);");
    }

    #[test]
    fn wrong_trees_are_refused() {
        let trees = Trees::named(&["ape", "bat", "cat"]).unwrap();
        let mut state = vec![0; trees.cells()];
        trees.parse("bat; (cat , ape) ;", &mut state).unwrap();
        assert_eq!(trees.describe(&state), "(ape,cat); bat;");
        for (text, found) in [
            ("(ape,bat)", "(ape,bat)"),
            ("(ape,bat,cat);", "(ape,bat,cat);"),
            ("(ape);", "(ape);"),
            ("cat; ape,bat;", "ape,bat;"),
            ("ape);", "ape);"),
            ("((ape,bat);", "((ape,bat);"),
            ("((ape,bat)cat);", "((ape,bat)cat);"),
            ("(ape(bat,cat));", "(ape(bat,cat));"),
            ("(ape,,bat);", "(ape,,bat);"),
            (";", ";"),
        ] {
            let message = format!("\"{found}\"; allowed: binary trees such as ((a,b),c);");
            assert_eq!(trees.parse(text, &mut state).unwrap_err(), message);
        }
        for (text, message) in [
            ("(ape,bat);", "no leaf \"cat\"; allowed: each leaf once"),
            ("((ape,bat),ape);", "leaf \"ape\" twice; allowed: each leaf once"),
            ("(ape,cow);", "\"cow\"; allowed: ape, bat, cat; did you mean \"cat\"?"),
        ] {
            assert_eq!(trees.parse(text, &mut state).unwrap_err(), message);
        }
    }

    #[test]
    fn wrong_leaves_are_refused() {
        let message = |trees: Result<Trees, Problem>| trees.unwrap_err().to_string();
        assert_eq!(message(Trees::new(1)), "leaves: found 1; allowed: 2 to 32767");
        assert!(message(Trees::named(&["a", "a"])).starts_with("names: found \"a\" twice"));
        assert!(message(Trees::named(&["a", "b:c"])).starts_with("names: found \"b:c\""));
    }
}
