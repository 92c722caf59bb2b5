//! Collecting what a report shows of a flow network.

use std::collections::HashSet;

use super::{Flow, Form, Graph, LawShown, Object, Walk};
use crate::environment::{Cell, Environment};
use crate::error::{Failure, Result};
use crate::estimate::trajectories::log_likelihoods;
use crate::math::log_sum_exp;
use crate::model::gflownet::{Batch, ForwardRollout};
use crate::policy::{Actions, Behaviour, Policy};
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::FlowTask;
use crate::recipe::objects::Objects;
use crate::rng::Purpose;
use crate::run::gflownet::conditional::measured;
use crate::run::gflownet::exact::{Exact, listed};
use crate::run::gflownet::relative::posterior;
use crate::train::Trained;

/// Objects whose probabilities are estimated, and by how many backward trajectories each.
const OBJECTS: usize = 400;
const PATHS: usize = 64;

/// Objects with the highest rewards.
const TOP: usize = 12;

/// Objects at most that are all named.
const NAMED: usize = 32;

/// States at most of a graph that is drawn, and edges.
const STATES: usize = 40;
const EDGES: usize = 90;

/// Conditions whose laws are shown.
const CONDITIONS: usize = 4;

/// Trajectories that are shown.
const WALKS: usize = 6;

/// What a report shows of a flow network; `samples` are the run's objects, `[rows, cells]`.
pub(in crate::report) fn gather(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    samples: &[f32],
) -> Result<Flow> {
    let form = form(plan.recipe.objects());
    let environment = task.model.policy.environment().as_ref();
    if let Some(law) = &task.settings.conditions {
        let conditional = conditional(plan, task, trained, form, law.width())?;
        return Ok(Flow { form, conditional, ..Flow::default() });
    }
    let walks = walks(plan, task, trained)?;
    let exact = match &task.settings.prior {
        Some(prior) => posterior(plan, task, trained, prior)?,
        None => Exact::of(task, trained, plan.recipe.evaluation.exact_states)?,
    };
    let Some(exact) = exact else {
        if task.settings.prior.is_some() || task.inner.is_some() {
            return Ok(Flow { form, walks, ..Flow::default() });
        }
        let (law, top) = estimated(plan, task, trained, samples)?;
        return Ok(Flow { form, law, top, walks, ..Flow::default() });
    };
    let states = &exact.states;
    let object = |place: usize| states.state(states.objects()[place] as usize);
    let law = law(&exact, form, environment);
    let name = |place: &usize| environment.describe(object(*place));
    let mut places: Vec<usize> = (0..states.objects().len()).collect();
    places.sort_by(|a, b| exact.log_rewards[*b].total_cmp(&exact.log_rewards[*a]));
    let top = places.iter().take(TOP).map(|place| Object {
        name: name(place),
        log_reward: exact.log_rewards[*place],
        learned: exact.terminating.log_probs[*place],
    });
    let top = top.collect();
    let small = states.is_acyclic() && states.len() <= STATES && states.edges() <= EDGES;
    let graph = if small { Some(graph(&exact, task, trained)?) } else { None };
    Ok(Flow { form, law, top, graph, walks, conditional: Vec::new() })
}

/// All objects, on a grid row by row.
fn law(exact: &Exact, form: Form, environment: &dyn Environment) -> LawShown {
    let states = &exact.states;
    let object = |place: usize| states.state(states.objects()[place] as usize);
    let mut places: Vec<usize> = (0..states.objects().len()).collect();
    if let Form::Grid(_) = form {
        places.sort_by_key(|place| (object(*place)[1], object(*place)[0]));
    }
    let of = |values: &[f64]| places.iter().map(|place| values[*place]).collect::<Vec<f64>>();
    let name = |place: &usize| environment.describe(object(*place));
    LawShown {
        whole: true,
        learned: of(&exact.terminating.log_probs),
        log_rewards: of(&exact.log_rewards),
        log_z: Some(log_sum_exp(&exact.log_rewards)),
        names: if places.len() <= NAMED { places.iter().map(name).collect() } else { Vec::new() },
    }
}

/// The laws at the first of the conditions that are measured; none where objects cannot be listed.
fn conditional(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    form: Form,
    width: usize,
) -> Result<Vec<(String, LawShown)>> {
    let Some(states) = listed(task, plan.recipe.evaluation.exact_states) else { return Ok(Vec::new()) };
    let environment = task.model.policy.environment().as_ref();
    let conditions = measured(plan, task);
    let of = |condition: &[f32]| {
        let exact = Exact::of_states(task, trained, states.clone(), condition)?;
        let parts: Vec<String> = condition.iter().map(|part| format!("{part:.2}")).collect();
        Ok((format!("c = {}", parts.join(", ")), law(&exact, form, environment)))
    };
    conditions.chunks_exact(width).take(CONDITIONS).map(of).collect()
}

/// How the states of a recipe's objects are drawn.
fn form(objects: &dyn Objects) -> Form {
    match (objects.plane(), objects.lattice()) {
        (Some(side), _) => Form::Grid(side),
        (_, Some(side)) => Form::Lattice(side),
        _ => Form::Text,
    }
}

/// Samples without repetition, and those of the highest reward.
fn estimated(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    samples: &[f32],
) -> Result<(LawShown, Vec<Object>)> {
    let policy = &task.model.policy;
    let mut seen = HashSet::new();
    let objects: Vec<Vec<Cell>> = samples
        .chunks_exact(policy.cells())
        .map(|row| row.iter().map(|value| *value as Cell).collect::<Vec<Cell>>())
        .filter(|object| seen.insert(object.clone()))
        .take(OBJECTS)
        .collect();
    let flat = objects.concat();
    let mut log_rewards = vec![0.0; objects.len()];
    task.reward.log_rewards(&flat, &[], &mut log_rewards).map_err(Failure::into_error)?;
    let evaluator = task.model.network.with(&trained.vectors[0]);
    let noise = plan.evaluation_noise().purpose(Purpose::Backward);
    let learned = log_likelihoods(policy, evaluator.as_ref(), &flat, PATHS, &noise, &|_| true)?;
    let mut places: Vec<usize> = (0..objects.len()).collect();
    places.sort_by(|a, b| log_rewards[*b].total_cmp(&log_rewards[*a]));
    let top = places.iter().take(TOP).map(|place| Object {
        name: policy.environment().describe(&objects[*place]),
        log_reward: log_rewards[*place],
        learned: learned[*place],
    });
    let top = top.collect();
    let log_z = task.reward.log_z(&[]);
    Ok((LawShown { whole: false, learned, log_rewards, log_z, names: Vec::new() }, top))
}

/// The flow along every edge.
fn graph(exact: &Exact, task: &FlowTask<Actions>, trained: &Trained) -> Result<Graph> {
    let (states, environment) = (&exact.states, task.model.policy.environment());
    let flows = exact.flows(task, trained)?;
    let share = |log_flow: f64| (log_flow - flows.log_z).exp();
    let mut stops = vec![None; states.len()];
    for ((i, learned), log_reward) in
        states.objects().iter().zip(&exact.terminating.log_probs).zip(&exact.log_rewards)
    {
        stops[*i as usize] = Some([learned.exp(), share(*log_reward)]);
    }
    let edges = (0..states.len()).flat_map(|parent| {
        states.children(parent).iter().map(move |(child, e)| (parent, *child as usize, *e as usize))
    });
    let edges = edges.map(|(parent, child, e)| {
        let learned = exact.terminating.log_visits[parent] + exact.policy.moves[e];
        (parent, child, learned.exp(), share(flows.log_edges[e]))
    });
    Ok(Graph {
        names: (0..states.len()).map(|i| environment.describe(states.state(i))).collect(),
        stops,
        edges: edges.collect(),
    })
}

/// The first trajectories of the run's samples.
fn walks(plan: &GFlowNetPlan, task: &FlowTask<Actions>, trained: &Trained) -> Result<Vec<Walk>> {
    let policy = &task.model.policy;
    let cells = policy.cells();
    let evaluator = task.model.network.with(&trained.vectors[0]);
    let mut sources = vec![0; WALKS.min(plan.recipe.evaluation.samples) * cells];
    sources.chunks_exact_mut(cells).for_each(|source| policy.source(source));
    let mut batch = Batch::default();
    let noise = plan.sampling_noise();
    let walk =
        ForwardRollout { sources: &sources, conditions: &[], behaviour: Behaviour::default(), noise: &noise };
    batch.forward_rollout(policy, evaluator.as_ref(), walk)?;
    let mut objects = Vec::new();
    batch.objects(policy, &mut objects);
    let mut log_rewards = vec![0.0; objects.len() / cells];
    task.reward.log_rewards(&objects, &[], &mut log_rewards).map_err(Failure::into_error)?;
    let environment: &dyn Environment = policy.environment().as_ref();
    let states = batch.lanes().iter().flat_map(|lane| {
        (0..lane.trajectories())
            .map(|b| lane.states(policy, b).map(<[Cell]>::to_vec).collect::<Vec<Vec<Cell>>>())
            .collect::<Vec<_>>()
    });
    let walks = states.zip(log_rewards).map(|(states, log_reward)| {
        let names = states.iter().map(|state| environment.describe(state)).collect();
        Walk { states, names, log_reward }
    });
    Ok(walks.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::gflownet::Task;
    use crate::recipe::{Override, Plan, named, read};

    /// An untrained network of a recipe with what is gathered of it.
    fn gathered(text: &str) -> Flow {
        let plan = Plan::new(read("t.toml", text, &[]).unwrap()).unwrap();
        of_plan(&plan)
    }

    fn of_plan(plan: &Plan) -> Flow {
        let trainer = plan.start().unwrap();
        let trained = Trained { names: trainer.names(), vectors: trainer.trained().to_vec() };
        let Plan::GFlowNet(plan) = plan else { panic!("a flow network") };
        let Task::Discrete(task) = &plan.task else { panic!("of integers") };
        let noise = plan.sampling_noise();
        let samples = plan.sample(&trained, 200, &crate::chain::Given::nothing(), &noise, &|_| true).unwrap();
        let flow = gather(plan, task, &trained, &samples).unwrap();
        for (walk, sample) in flow.walks.iter().zip(samples.chunks(task.model.policy.cells())) {
            let object: Vec<f32> = walk.states.last().unwrap().iter().map(|cell| f32::from(*cell)).collect();
            assert_eq!(object, sample, "walks are those of the samples");
        }
        assert_eq!(flow.walks.len(), WALKS);
        flow
    }

    #[test]
    fn grids_are_listed_row_by_row() {
        let flow = gathered(
            "name = 't'\n[target]\nkind = 'hypergrid'\ndim = 2\nside = 3\n\
             reward = { kind = 'expression', reward = '1 + x0 + 10 * x1' }\n",
        );
        assert_eq!((flow.form, flow.law.whole), (Form::Grid(3), true));
        let rewards: Vec<f64> = flow.law.log_rewards.iter().map(|log| log.exp().round()).collect();
        assert_eq!(rewards, [1.0, 2.0, 3.0, 11.0, 12.0, 13.0, 21.0, 22.0, 23.0]);
        assert_eq!((flow.top[0].name.as_str(), flow.top.len()), (flow.law.names[8].as_str(), 9));
        assert!((flow.law.log_z.unwrap() - 108f64.ln()).abs() < 1e-12);
    }

    /// Both flows through the toy graph leave the source whole and end whole; the exact one has the paper's numbers.
    #[test]
    fn flow_is_kept_on_its_way() {
        let plan = Plan::new(named("toy-dag", &[]).unwrap()).unwrap();
        let graph = of_plan(&plan).graph.expect("eleven states");
        assert_eq!((graph.names.len(), graph.edges.len()), (11, 13));
        for kind in [0, 1] {
            let flow = |edge: &(usize, usize, f64, f64)| if kind == 0 { edge.2 } else { edge.3 };
            let stopped: f64 = graph.stops.iter().flatten().map(|stop| stop[kind]).sum();
            assert!((stopped - 1.0).abs() < 1e-6, "{stopped}");
            for node in 0..11 {
                let arrived: f64 = graph.edges.iter().filter(|edge| edge.1 == node).map(flow).sum();
                let left: f64 = graph.edges.iter().filter(|edge| edge.0 == node).map(flow).sum();
                let arrived = if node == 0 { 1.0 } else { arrived };
                let stopped = graph.stops[node].map_or(0.0, |stop| stop[kind]);
                assert!((arrived - left - stopped).abs() < 1e-6, "{node}: {arrived}, {left}, {stopped}");
            }
        }
    }

    /// Where states cannot be listed, samples stand for all objects; what they are said to have is what they have.
    #[test]
    fn objects_that_are_not_listed_are_estimated() {
        let sets = |states: &str| {
            let set = format!("evaluation.exact_states={states}");
            Plan::new(named("ising", &[Override::parse(&set).unwrap()]).unwrap()).unwrap()
        };
        let (some, all) = (of_plan(&sets("0")), of_plan(&sets("100000")));
        assert_eq!((some.form, some.law.whole, all.law.whole), (Form::Lattice(3), false, true));
        assert!(some.law.learned.len() > 50 && some.law.learned.len() <= 200 && all.law.learned.len() == 512);
        let top = &some.top[0];
        assert!(some.top.iter().all(|other| other.log_reward <= top.log_reward));
        // An untrained network goes all ways nearly alike: 64 of them are enough for a tenth of a nat.
        let known = |object: &Object| all.top.iter().find(|other| other.name == object.name);
        for (object, other) in some.top.iter().filter_map(|object| Some((object, known(object)?))) {
            assert!((object.learned - other.learned).abs() < 0.1, "{object:?}, {other:?}");
        }
    }
}
