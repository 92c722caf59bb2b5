//! Laws of rewards, by enumeration.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anabranch::environment::Cell;
use anabranch::math::log_sum_exp;
use anabranch::target::{Describe, RewardRecipe, Shape, Space, Target, checked};

/// A reward over all objects of a small space.
struct Instance {
    name: &'static str,
    reward: Arc<dyn Target<Cell>>,
    /// `[count, cells]`.
    objects: Vec<Cell>,
    cells: usize,
    /// Some conditions of it.
    conditions: Vec<Vec<f32>>,
    /// Whether `log Z` must be known; whether it must be at other temperatures.
    known: (bool, bool),
}

/// All rows of `cells` cells with values of a range, of which some are objects.
fn rows(cells: usize, values: std::ops::Range<Cell>, is_object: impl Fn(&[Cell]) -> bool) -> Vec<Cell> {
    let side = values.len();
    (0..side.pow(cells as u32))
        .map(|at| {
            (0..cells).map(|i| values.start + (at / side.pow(i as u32) % side) as Cell).collect::<Vec<_>>()
        })
        .filter(|row| is_object(row))
        .flatten()
        .collect()
}

fn objects(shape: &Shape) -> Vec<Cell> {
    let total = |row: &[Cell]| row.iter().map(|cell| usize::from(*cell)).sum::<usize>();
    match shape {
        Shape::Grid { dim, side } => rows(*dim, 0..*side as Cell, |_| true),
        Shape::Strings { letters, lengths } => rows(*lengths.end(), 1..*letters as Cell + 1, |_| true),
        Shape::Sets { items, sizes } => rows(*items, 0..2, |row| sizes.contains(&total(row))),
        Shape::Multisets { kinds, totals } => {
            rows(*kinds, 0..*totals.end() as Cell + 1, |row| totals.contains(&total(row)))
        }
        Shape::Other { cells } => rows(*cells, 0..2, |_| true),
    }
}

fn instance(
    name: &'static str,
    shape: Shape,
    conditions: &[&[f32]],
    known: (bool, bool),
    text: &str,
) -> Instance {
    let (objects, cells) = (objects(&shape), shape.cells());
    let recipe: RewardRecipe = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let space = Space {
        shape,
        describe: Describe::new(|x| x.iter().map(ToString::to_string).collect::<Vec<_>>().join("-")),
        parse: &|text, x| {
            let numbers = text.split('-').map(|number| number.parse().map_err(|_| text.to_owned()));
            x.iter_mut().zip(numbers).try_for_each(|(cell, number)| number.map(|number| *cell = number))
        },
        objects: Some(&objects),
    };
    let reward = recipe.build(&space).unwrap_or_else(|error| panic!("{name}: {error}"));
    let conditions = conditions.iter().map(|condition| condition.to_vec()).collect();
    Instance { name, reward, objects, cells, conditions, known }
}

/// Every kind of reward of discrete objects but for programs.
fn instances() -> Vec<Instance> {
    let grid = |dim, side| Shape::Grid { dim, side };
    let bits = |length| Shape::Strings { letters: 2, lengths: length..=length };
    let (none, both, one): (&[&[f32]], _, _) = (&[&[]], (true, true), (true, false));
    // Tests run side by side.
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let table = std::env::temp_dir().join(format!("anabranch-law-{}-{call}.csv", std::process::id()));
    let lines: String =
        (0..27).map(|i| format!("{}-{}-{},{}\n", i % 3, i / 3 % 3, i / 9, (i * i % 11) as f64)).collect();
    std::fs::write(&table, format!("object,reward\n{lines}")).expect("the file is written");
    let table_text =
        format!("kind = \"table\"\nfile = '{}'\nexponent = 2\nscale = 5\nleast = 0.01", table.display());
    let list = vec![
        instance("band", grid(3, 10), none, both, "kind = \"hard\""),
        instance("band without modes", grid(2, 5), none, both, "kind = \"easy\""),
        instance("band, one coordinate", grid(1, 32), none, both, "kind = \"original\"\nr1 = 0.7"),
        instance("band, two values", grid(4, 2), none, both, "kind = \"original\""),
        instance("deceptive", grid(2, 16), none, both, "kind = \"deceptive\""),
        instance("sparse", grid(3, 7), none, both, "kind = \"sparse\"\nr0 = 1e-3"),
        instance("cosine", grid(2, 41), none, one, "kind = \"cosine\"\nr0 = 0.02"),
        instance(
            "ring with a field",
            bits(7),
            none,
            both,
            "kind = \"ising\"\nlattice = \"ring\"\ncoupling = -0.4\nfield = [0.3, 0, -0.2, 0.1, 0.9, 0, 0.5]",
        ),
        instance(
            "torus",
            bits(9),
            none,
            both,
            "kind = \"ising\"\nlattice = \"torus\"\ncoupling = 0.3\nalpha = 0.6",
        ),
        instance(
            "matrix",
            bits(3),
            none,
            (false, false),
            "kind = \"ising\"\nmatrix = [[0.5, 1, -2], [1, 0, 0.3], [-2, 0.3, 0]]\nfield = [0.2]",
        ),
        instance(
            "one mode",
            Shape::Strings { letters: 4, lengths: 4..=4 },
            none,
            both,
            "kind = \"planted-modes\"\nmodes = [\"01101011\"]\nnear = 0",
        ),
        instance(
            "drawn modes",
            bits(8),
            none,
            (false, false),
            "kind = \"planted-modes\"\ncount = 4\nseed = 5",
        ),
        instance(
            "sets",
            Shape::Sets { items: 5, sizes: 1..=3 },
            none,
            both,
            "kind = \"items\"\nweights = [1, 2, 3, 0.1, 7]",
        ),
        instance("bits", bits(4), none, both, "kind = \"items\"\nlog_weights = [0.3, -2, 1, 0]"),
        instance(
            "multisets",
            Shape::Multisets { kinds: 3, totals: 2..=4 },
            none,
            both,
            "kind = \"items\"\nweights = [0.4, 1.5, 0.9]",
        ),
        instance(
            "additive energies",
            Shape::Sets { items: 4, sizes: 0..=4 },
            &[&[0.3, 0.7], &[1.0, 0.0]],
            both,
            "kind = \"additive-energies\"\nenergies = [[1, -0.5, 2, 0.1], [0.2, 0.4, -1, 3]]\nbeta = 1.7",
        ),
        instance("table", grid(3, 3), none, both, &table_text),
        instance(
            "expression",
            grid(3, 4),
            &[&[0.5], &[-1.0]],
            (false, false),
            "kind = \"expression\"\nlog_reward = \"c0 * sum((x - i)^2) / 3 + if(x0 > x2, 1, sin(n))\"",
        ),
        instance(
            "sum of rewards",
            Shape::Sets { items: 3, sizes: 0..=3 },
            &[&[0.2, 0.8, 1.0]],
            one,
            "kind = \"preference\"\ncombination = \"linear\"\nbeta = \"condition\"\n\
             rewards = [{ kind = \"items\", weights = [1, 2, 3] }, { kind = \"items\", weights = [4, 0.5, 1] }]",
        ),
        instance(
            "product of rewards",
            grid(2, 8),
            &[&[0.2, 0.8]],
            (false, false),
            "kind = \"preference\"\nbeta = 2\n\
             rewards = [{ kind = \"original\" }, { kind = \"expression\", log_reward = \"x0 - x1\" }]",
        ),
        instance(
            "tempered",
            grid(2, 8),
            &[&[0.5], &[3.0]],
            both,
            "kind = \"tempered\"\nreward = { kind = \"original\" }",
        ),
        instance(
            "entropic",
            grid(2, 8),
            none,
            (false, false),
            "kind = \"entropic\"\nscale = 2.7\nreward = { kind = \"original\" }",
        ),
    ];
    std::fs::remove_file(&table).expect("it was there");
    list
}

impl Instance {
    fn count(&self) -> usize {
        self.objects.len() / self.cells
    }

    /// `log R` of all objects at a condition.
    fn log_rewards(&self, condition: &[f32]) -> Vec<f64> {
        let mut out = vec![f64::NAN; self.count()];
        let describe = |x: &[Cell]| format!("{x:?}");
        checked(self.reward.as_ref(), &self.objects, &condition.repeat(out.len()), &describe, &mut out)
            .unwrap_or_else(|failure| panic!("{}: {failure:?}", self.name));
        out
    }
}

/// Law 5: `log Z`, of a reward and of its powers, is the enumerated one.
#[test]
fn law_5_partition_functions_are_enumerated() {
    for instance in instances() {
        let Instance { name, reward, .. } = &instance;
        for condition in &instance.conditions {
            assert_eq!(reward.condition_width(), condition.len(), "{name}");
            let log_rewards = instance.log_rewards(condition);
            assert_eq!(reward.log_z(condition), reward.log_z_tempered(1.0, condition), "{name}");
            for (beta, known) in [(1.0, instance.known.0), (0.6, instance.known.1), (2.5, instance.known.1)] {
                let powers: Vec<f64> = log_rewards.iter().map(|value| beta * value).collect();
                let (found, exact) = (reward.log_z_tempered(beta, condition), log_sum_exp(&powers));
                assert_eq!(found.is_some(), known, "{name}, {beta}");
                let off = found.map_or(0.0, |found| (found - exact).abs());
                assert!(off < 1e-11 * exact.abs().max(1.0), "{name}, {beta}: {found:?}, {exact}");
            }
        }
    }
}

/// Law 5: there are as many modes as objects that are modes, or as modes that objects belong to.
#[test]
fn law_5_modes_are_counted() {
    for Instance { name, reward, objects, cells, .. } in instances() {
        let (mut alone, mut numbered) = (0, BTreeSet::new());
        for object in objects.chunks_exact(cells) {
            let mut belongs = false;
            reward.modes_of(object, &mut |mode| {
                belongs = true;
                numbered.insert(mode);
            });
            let is_mode = reward.is_mode(object) == Some(true);
            assert!(is_mode || !belongs, "{name}, {object:?}");
            alone += usize::from(is_mode);
        }
        let found = if numbered.is_empty() { alone } else { numbered.len() };
        if let Some(modes) = reward.modes() {
            assert_eq!(found as f64, modes, "{name}");
        }
    }
}

/// What is known on the way to an object is, at objects, the reward less a constant.
#[test]
fn partial_rewards_end_in_rewards() {
    for instance in instances() {
        for condition in &instance.conditions {
            let rewards = instance.log_rewards(condition);
            let mut partial = vec![f64::NAN; rewards.len()];
            let conditions = condition.repeat(rewards.len());
            let known =
                instance.reward.partial(&instance.objects, &conditions, &mut partial).expect("no failure");
            let constant = rewards[0] - partial[0];
            let off = |(reward, partial): (&f64, &f64)| (reward - partial - constant).abs() > 1e-12;
            assert!(!known || !rewards.iter().zip(&partial).any(off), "{}", instance.name);
        }
    }
}

/// Law 7: an object's reward is the same bits in any company and by any number of threads.
#[test]
fn law_7_rewards_do_not_depend_on_company() {
    for instance in instances() {
        let Instance { name, reward, objects, cells, .. } = &instance;
        let condition = &instance.conditions[0];
        let all = instance.log_rewards(condition);
        for (row, object) in objects.chunks_exact(*cells).enumerate().step_by(7) {
            let mut out = [f64::NAN];
            reward.log_rewards(object, condition, &mut out).expect("no failure");
            assert_eq!(out[0].to_bits(), all[row].to_bits(), "{name}, {object:?}");
        }
        let many = objects.repeat(40);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let mut out = vec![f64::NAN; 40 * all.len()];
            let conditions = condition.repeat(out.len());
            pool.install(|| reward.log_rewards(&many, &conditions, &mut out)).expect("no failure");
            let same = out
                .chunks(all.len())
                .all(|chunk| chunk.iter().zip(&all).all(|(a, b)| a.to_bits() == b.to_bits()));
            assert!(same, "{name}, {threads} threads");
        }
    }
}
