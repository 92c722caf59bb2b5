//! Laws of targets, over one list of each kind: of objects, by enumeration, and of points, by integrals and draws.

mod objects;
mod points;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anabranch::environment::Cell;
use anabranch::environment::continuous::Domain;
use anabranch::target::continuous::{
    Banana, BoxBand, Branin, Brownian, CoxProcess, EightSchools, Generator, HardMixture, LennardJones, Rings,
    Rosenbrock, ScalarField, Seeds,
};
use anabranch::target::{
    BayesianMixture, Beta, Combination, Describe, DiagonalGaussian, Expression, FullGaussian, Funnel,
    ManyWell, Mixture, PointTargetRecipe, Preference, RewardRecipe, Shape, Space, Target, Tempered, Toy, toy,
};

/// A reward over all objects of a small space.
pub struct Objects {
    pub name: &'static str,
    pub reward: Arc<dyn Target<Cell>>,
    /// `[count, cells]`.
    pub objects: Vec<Cell>,
    pub cells: usize,
    /// Some conditions of it.
    pub conditions: Vec<Vec<f32>>,
    /// Whether `log Z` must be known; whether it must be at other temperatures.
    pub known: (bool, bool),
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

fn all(shape: &Shape) -> Vec<Cell> {
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
) -> Objects {
    let (objects, cells) = (all(&shape), shape.cells());
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
    Objects { name, reward, objects, cells, conditions, known }
}

/// Every kind of target over discrete objects but for programs.
pub fn objects() -> Vec<Objects> {
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
    let scores = table.with_extension("scores.csv");
    // Some objects have two scores, some none.
    let cell = |i: usize, k: u32| i % 18 / 3usize.pow(k) % 3;
    let lines: String = (0..24)
        .map(|i| format!("{}-{}-{},{}\n", cell(i, 0), cell(i, 1), cell(i, 2), (i * i % 11) as f64 - 4.0))
        .collect();
    std::fs::write(&scores, format!("object,score\n{lines}")).expect("the file is written");
    let regressor = |more: &str| {
        let file = scores.display();
        format!("kind = \"regressor\"\nfile = '{file}'\nmembers = 3\nhidden = [8]\n{more}")
    };
    let list = vec![
        instance("regressor", grid(3, 3), none, (false, false), &regressor("exponent = 2")),
        instance(
            "expected improvement",
            grid(3, 3),
            none,
            (false, false),
            &regressor("acquisition = { kind = \"expected-improvement\" }\nexponent = 1\nleast = 0.01"),
        ),
        instance(
            "landscape",
            Shape::Strings { letters: 3, lengths: 5..=5 },
            none,
            both,
            "kind = \"landscape\"\nneighbours = 2\nbeta = 1.4\nseed = 3",
        ),
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
    std::fs::remove_file(&scores).expect("it was there");
    list
}

/// A target over points.
pub struct Points {
    pub name: &'static str,
    pub target: Arc<dyn Target>,
    /// Where each coordinate lives.
    pub domains: Vec<Domain>,
    /// A condition of it.
    pub condition: Vec<f32>,
    /// The standard deviation of a test density narrower than its thinnest part, so that `E_R[(q / R)^2]` is finite.
    pub width: f32,
}

impl Points {
    pub fn dimension(&self) -> usize {
        self.domains.len()
    }

    /// Whether chains can learn it by `log R`, and everything about it is known.
    pub fn suits_chains(&self) -> bool {
        let line = self.domains.iter().all(|domain| *domain == Domain::Line);
        line && self.condition.is_empty() && self.target.positive_everywhere() && self.target.has_scores()
    }
}

/// Every kind of target over points but for programs.
pub fn points() -> Vec<Points> {
    let mut list = energies();
    let mut add = |name, target: Arc<dyn Target>, domains: &[Domain], condition: &[f32], width| {
        list.push(Points { name, target, domains: domains.to_vec(), condition: condition.to_vec(), width });
    };
    let (unit, line, circle) = (Domain::Unit, Domain::Line, Domain::Circle);
    let laws = [vec![[2.0, 5.0], [3.0, 1.5]], vec![[6.0, 2.0], [1.0, 4.0]]];
    let betas = Mixture::of_betas(&[0.7, 2.5], &laws).expect("parameters of Beta laws");
    add("betas", Arc::new(betas), &[unit, unit], &[], 0.05);
    let angles = [vec![[1.0, 2.0], [5.0, 0.5]], vec![[4.0, 6.0], [2.5, 0.0]]];
    let von_mises = Mixture::of_von_mises(&[1.5, 0.2], &angles).expect("parameters of von Mises laws");
    add("von Mises", Arc::new(von_mises), &[circle, circle], &[], 0.2);
    let domains = [line, circle];
    let normals = [vec![[0.5, 0.8], [3.0, 2.0]], vec![[-1.0, 0.5], [1.0, 4.0]]];
    let mixed = Mixture::over(&domains, &[2.0, 0.4], &normals).expect("parameters of laws");
    add("a line and a circle", Arc::new(mixed), &domains, &[], 0.15);
    add("band", Arc::new(BoxBand::new(2, [0.3, 1.7, 0.4]).expect("a reward")), &[unit, unit], &[], 0.05);
    add("branin", Arc::new(Branin::new(0.02, 1.0).expect("a reward")), &[unit, unit], &[], 0.05);
    let formula = "-(x0 - 1)^2 / 2 - (x1 + x0^2 / 4)^2 - 0.3 * c0 * sum(sin((i + 2) * x)) - ln(2 + cos(x1))";
    let formula = Arc::new(Expression::log_reward("f", formula, 2).expect("a formula"));
    add("formula", formula, &[line, line], &[0.7], 0.1);
    let posterior = BayesianMixture::new(vec![-1.5, -0.6, 1.9], 2, 2.0);
    add("bayesian mixture", Arc::new(posterior), &[line, line], &[], 0.25);
    let gaussian = || Arc::new(DiagonalGaussian { mean: vec![1.0, -2.0], std: vec![0.5, 1.5], log_z: 1.7 });
    let tempered = Tempered::new(gaussian(), Beta::Condition).expect("a power");
    add("tempered", Arc::new(tempered), &[line, line], &[0.8], 0.2);
    let other = Arc::new(Mixture::new(&[1.0], &[vec![0.0, 0.5]], &[vec![1.0, 0.7]]));
    for (name, combination, beta, condition) in [
        ("product", Combination::LogLinear, Beta::Condition, [0.4, 1.3, 0.9].as_slice()),
        ("sum", Combination::Linear, Beta::Fixed(1.0), &[0.4, 1.3]),
    ] {
        let parts: Vec<Arc<dyn Target>> = vec![gaussian(), other.clone()];
        let preference = Preference::new(parts, combination, beta).expect("a preference");
        add(name, Arc::new(preference), &[line, line], condition, 0.2);
    }
    list
}

/// Posteriors and fields, of more coordinates than a sampler's density can be checked in.
pub fn large() -> Vec<Points> {
    let ionosphere = "kind = \"logistic-regression\"\nsource = \"ionosphere\"";
    let ionosphere: PointTargetRecipe = toml::from_str(ionosphere).expect("a recipe");
    let field = ScalarField { side: 3, mass_squared: -1.5, coupling: 0.7 };
    let list: [(&'static str, Arc<dyn Target>, usize); 10] = [
        ("eight schools", Arc::new(EightSchools { centred: false }), 10),
        ("eight schools, centred", Arc::new(EightSchools { centred: true }), 10),
        ("brownian", Arc::new(Brownian { unknown_scales: false }), 30),
        ("brownian of unknown scales", Arc::new(Brownian { unknown_scales: true }), 32),
        ("ionosphere", ionosphere.energy("").expect("a target").0, 35),
        ("seeds", Arc::new(Seeds {}), 26),
        ("cox", Arc::new(CoxProcess::new(3, false)), 9),
        ("cox, whitened", Arc::new(CoxProcess::new(4, true)), 16),
        ("field", Arc::new(field), 9),
        ("five particles", Arc::new(LennardJones { particles: 5, space: 3, ..LennardJones::default() }), 15),
    ];
    let points = |(name, target, dimension): (_, _, usize)| Points {
        name,
        target,
        domains: vec![Domain::Line; dimension],
        condition: Vec::new(),
        width: f32::NAN,
    };
    list.into_iter().map(points).collect()
}

/// Those over real vectors whose sampler, log Z and scores are known.
fn energies() -> Vec<Points> {
    let diagonal = DiagonalGaussian { mean: vec![1.0, -2.0], std: vec![0.5, 3.0], log_z: 1.7 };
    let covariance = [2.0, -0.6, 0.3, -0.6, 0.5, 0.1, 0.3, 0.1, 1.5];
    let full = FullGaussian::from_covariance(vec![0.5, -1.0, 2.0], &covariance, -0.8).unwrap();
    let factor = FullGaussian::from_cholesky(vec![1.0, 0.0], vec![0.7, 0.0, -1.2, 0.4], 0.9);
    let mixture = Mixture::new(
        &[3.0, 1.0, 0.5],
        &[vec![0.0, 1.0], vec![-2.0, 0.5], vec![1.5, -1.0]],
        &[vec![0.5, 0.3], vec![1.0, 0.6], vec![0.4, 0.8]],
    );
    let mut list: Vec<(&'static str, Arc<dyn Target>, usize, f32)> = vec![
        ("diagonal", Arc::new(diagonal), 2, 0.4),
        ("full", Arc::new(full), 3, 0.2),
        ("full in the plane", Arc::new(factor), 2, 0.15),
        (
            "line",
            Arc::new(Mixture::new(&[1.0, 4.0], &[vec![-1.0], vec![2.0]], &[vec![0.5], vec![1.0]])),
            1,
            0.3,
        ),
        ("mixture", Arc::new(mixture), 2, 0.25),
        ("gmm9", Arc::new(Mixture::gmm9()), 2, 0.4),
        ("gmm25", Arc::new(Mixture::gmm25()), 2, 0.4),
        ("gmm40", Arc::new(Mixture::gmm40(2, Generator::Torch)), 2, 0.9),
        ("gmm40 in space", Arc::new(Mixture::gmm40(3, Generator::JaxPartitionable)), 3, 0.9),
        ("hard mixture", Arc::new(HardMixture {}), 2, 0.15),
        ("banana", Arc::new(Banana::default()), 2, 0.6),
        ("banana in space", Arc::new(Banana { dimension: 3, curvature: -0.2, std: 1.5 }), 3, 0.6),
        ("rosenbrock", Arc::new(Rosenbrock { a: 0.5, b: 1.25, ..Rosenbrock::default() }), 2, 0.1),
        (
            "rosenbrock in blocks",
            Arc::new(Rosenbrock { blocks: 2, length: 2, mean: -0.3, a: 1.0, b: 1.5 }),
            3,
            0.1,
        ),
        ("three rings", Arc::new(Rings {}), 2, 0.05),
        (
            "two particles",
            Arc::new(LennardJones { particles: 2, space: 2, depth: 0.02, radius: 0.8, spring: 1.5 }),
            4,
            0.18,
        ),
        ("funnel in the plane", Arc::new(Funnel { dimension: 2, std: 1.0 }), 2, 0.4),
        ("funnel", Arc::new(Funnel { dimension: 3, std: 1.5 }), 3, 0.5),
        ("double well", Arc::new(ManyWell { dimension: 2 }), 2, 0.15),
        ("many well", Arc::new(ManyWell { dimension: 4 }), 4, 0.2),
    ];
    for (name, toy) in toy::NAMES.into_iter().zip(Toy::ALL) {
        let width = if matches!(toy, Toy::Rings | Toy::Pinwheel) { 0.05 } else { 0.1 };
        list.push((name, Arc::new(toy), 2, width));
    }
    list.into_iter()
        .map(|(name, target, dimension, width)| Points {
            name,
            target,
            domains: vec![Domain::Line; dimension],
            condition: Vec::new(),
            width,
        })
        .collect()
}
