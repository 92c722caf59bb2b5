use std::time::Instant;

use super::*;
use crate::environment::Cell;

/// A reward by a Python program whose text is given.
fn python(text: &str, settings: ProcessSettings) -> Process<Cell> {
    let command = ["python3", "-c", text].map(str::to_owned).to_vec();
    let describe = Describe::new(|x| format!("({}, {})", x[0], x[1]));
    Process::new(ProcessSettings { command, ..settings }, Some(describe)).unwrap()
}

fn settings() -> ProcessSettings {
    ProcessSettings {
        command: Vec::new(),
        timeout: Duration::from_secs(60),
        restarts: 2,
        failed: None,
        conditions: 0,
        partial: false,
        gradients: false,
        log_z: None,
        place: "reward".to_owned(),
    }
}

/// A program that answers each question by the expression `answer` in `q`, the question, and `xs`, its objects.
fn answering(answer: &str) -> String {
    format!(
        "import json, sys, os, time\n\
         for line in sys.stdin:\n\
         \tq = json.loads(line)\n\
         \txs = [eval(x) for x in q['objects']]\n\
         \tprint({answer}, flush=True)\n"
    )
}

fn ask(reward: &Process<Cell>, objects: &[Cell]) -> Result<Vec<f64>, Failure> {
    let mut out = vec![f64::NAN; objects.len() / 2];
    reward.log_rewards(objects, &[], &mut out).map(|()| out)
}

fn skipped(result: Result<Vec<f64>, Failure>) -> String {
    match result {
        Err(Failure::Skip(words)) => words,
        other => panic!("{other:?}"),
    }
}

fn stopped(result: Result<Vec<f64>, Failure>) -> String {
    match result {
        Err(Failure::Stop(error)) if error.is_input() => error.to_string(),
        other => panic!("{other:?}"),
    }
}

const SUM: &str = "json.dumps({'batch': q['batch'], 'log_rewards': [x + y / 10 for x, y in xs]})";

#[test]
fn batches_of_any_size_are_answered_in_order() {
    let reward = python(&answering(SUM), settings());
    for rows in [1, 3, 0, 1, 500] {
        let objects: Vec<Cell> = (0..rows * 2).map(|i| i as Cell).collect();
        let found = ask(&reward, &objects).unwrap();
        let exact: Vec<f64> = objects.chunks(2).map(|x| f64::from(x[0]) + f64::from(x[1]) / 10.0).collect();
        assert_eq!(found, exact);
    }
}

#[test]
fn conditions_come_beside_objects() {
    let text = answering(
        "json.dumps({'log_rewards': [x * a + y * b for (x, y), (a, b) in zip(xs, q['conditions'])]})",
    );
    let reward = python(&text, ProcessSettings { conditions: 2, ..settings() });
    assert_eq!(reward.condition_width(), 2);
    let mut out = [0.0; 2];
    reward.log_rewards(&[1, 2, 3, 4], &[0.5, -1.0, 0.25, 2.0], &mut out).unwrap();
    assert_eq!(out, [-1.5, 8.75]);
}

/// Questions and answers far larger than any pipe, and more on standard error than one holds.
#[test]
fn full_pipes_do_not_hold_each_other_up() {
    let text = "import json, sys\n\
                while True:\n\
                \tc = sys.stdin.read(1)\n\
                \tif not c: break\n\
                \tsys.stderr.write('e' * 3000000 + '\\n')\n\
                \tprint(' ' * 3000000 + '{\"log_rewards\": [' + '0.5, ' * 511 + '0.5]}', flush=True)\n\
                \tsys.stdin.readline()\n";
    let command = ["python3", "-c", text].map(str::to_owned).to_vec();
    let describe = Describe::new(|_: &[Cell]| "x".repeat(1000));
    let reward = Process::new(ProcessSettings { command, ..settings() }, Some(describe)).unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&reward, &[7; 2 * 1024]).unwrap(), vec![0.5; 1024]);
    }
}

#[test]
fn long_batches_are_asked_about_in_parts() {
    let text =
        answering("json.dumps({'log_rewards': [len(xs) + a for (x, y), (a,) in zip(xs, q['conditions'])]})");
    let reward = python(&text, ProcessSettings { conditions: 1, ..settings() });
    let conditions: Vec<f32> = (0..1100).map(|row| row as f32).collect();
    let mut out = vec![0.0; 1100];
    reward.log_rewards(&vec![1; 2200], &conditions, &mut out).unwrap();
    let part = |row: usize| if row < 1024 { 512.0 } else { 76.0 };
    assert!(out.iter().enumerate().all(|(row, found)| *found == part(row) + row as f64), "{out:?}");
}

/// What fails once is asked again; what is no object's, or late, is not.
#[test]
fn a_question_that_failed_is_asked_once_more() {
    for first in ["json.dumps({'error': 'busy'})", "'{}'", "'what?'", "os._exit(1)"] {
        let reward = python(&answering(&format!("{first} if q['batch'] == 1 else {SUM}")), settings());
        assert_eq!(ask(&reward, &[1, 2]).unwrap(), [1.2], "{first}");
    }
    let text = answering("time.sleep(100) if q['batch'] == 1 else '{\"log_rewards\": [1]}'");
    let reward = python(&text, ProcessSettings { timeout: Duration::from_secs_f64(0.5), ..settings() });
    assert!(skipped(ask(&reward, &[1, 2])).contains("no answer within 0.5 s"));
    let reward =
        python(&answering("json.dumps({'log_rewards': [None if q['batch'] == 1 else 1]})"), settings());
    assert!(skipped(ask(&reward, &[1, 2])).contains("it has none (null) for (1, 2)"));
}

#[test]
fn bad_answers_skip_their_batch_alone() {
    for (answer, words) in [
        ("json.dumps({'error': 'no license'})", "it says \"no license\""),
        ("json.dumps({'log_rewards': [1.0]})", "it answered 1 log_rewards for 2 objects"),
        ("json.dumps({'log_rewards': ['a', 'b']})", "invalid type: string \"a\""),
        ("json.dumps({'log_rewards': [0.5, float('nan')]})", "NaN and Infinity are no JSON numbers"),
        ("json.dumps({'log_rewards': [0.5, float('-inf')]})", "NaN and Infinity are no JSON numbers"),
        ("'{\"log_rewards\": [0.5, 1e999]}'", "number out of range"),
        ("'{\"log_rewards\": [0.5, }'", "expected value"),
        ("json.dumps({'log_reward': [0.5, 0.5]})", "without log_rewards"),
        ("json.dumps({'log_rewards': [0.5, None]})", "it has none (null) for (3, 4)"),
    ] {
        // The second batch is answered well, by the same process.
        // What is no object's reward is asked for once.
        let asked = if answer.contains("None") { 1 } else { 2 };
        let text = answering(&format!(
            "{answer} if q['batch'] <= {asked} else json.dumps({{'log_rewards': [os.getpid()] * 2}})"
        ));
        let reward = python(&text, ProcessSettings { restarts: 0, ..settings() });
        let found = skipped(ask(&reward, &[1, 2, 3, 4]));
        assert!(found.starts_with("the reward program \"python3\": ") && found.contains(words), "{found}");
        assert!(ask(&reward, &[1, 2, 3, 4]).is_ok(), "{answer}");
    }
}

#[test]
fn failed_objects_may_have_a_log_reward() {
    let text = answering("json.dumps({'log_rewards': [None if x == 3 else 1.5 for x, y in xs]})");
    let reward = python(&text, ProcessSettings { failed: Some(-20.0), ..settings() });
    assert_eq!(ask(&reward, &[1, 2, 3, 4, 5, 6]).unwrap(), [1.5, -20.0, 1.5]);
}

#[test]
fn a_process_that_dies_is_started_again_and_then_no_more() {
    let text = "import sys\n\
                sys.stdin.readline()\n\
                for i in range(20): print('line\x1b', i, file=sys.stderr)\n\
                sys.exit(3)\n";
    let reward = python(text, settings());
    let words = skipped(ask(&reward, &[1, 2]));
    assert!(words.contains("it ended (exit code 3); its last words: line  12 | line  13 |"), "{words}");
    assert!(words.ends_with("| line  19; it is started again (2 of 2)"), "{words}");
    for _ in 0..2 {
        let words = stopped(ask(&reward, &[1, 2]));
        assert!(
            words.starts_with("reward.command: found a program that was started 3 times; last, it ended"),
            "{words}"
        );
        assert!(words.contains("line  19; allowed: a program that keeps running"), "{words}");
    }
}

#[test]
fn a_killed_process_says_its_signal() {
    let reward = python(&answering("os.kill(os.getpid(), 11)"), settings());
    let words = skipped(ask(&reward, &[1, 2]));
    assert!(words.contains("it ended (killed by signal 11)"), "{words}");
}

#[test]
fn what_is_out_of_step_is_started_again() {
    for (answer, why) in [
        ("'scoring ...'", "it answered \"scoring ...\", no JSON object"),
        (
            "json.dumps({'batch': q['batch'] - 1, 'log_rewards': [0]})",
            "it answered batch 1, asked for batch 2",
        ),
        ("time.sleep(100)", "no answer within 0.3 s"),
    ] {
        let mut settings = settings();
        // Long enough for Python to start where an answer is waited for.
        settings.timeout = Duration::from_secs_f64(if answer.contains("sleep") { 0.3 } else { 60.0 });
        let reward = python(&answering(answer), settings);
        let words = skipped(ask(&reward, &[1, 2]));
        // An answer that is late was waited for long enough.
        let starts = if answer.contains("sleep") { 1 } else { 2 };
        let again = format!("; it is started again ({starts} of 2)");
        assert!(words.contains(why) && words.contains(&again), "{words}");
    }
    // An answer and one line more, which must not be taken for the next one.
    let answer = "f'{{\"log_rewards\": [{os.getpid()}]}}\\n{{\"log_rewards\": [2]}}'";
    let reward = python(&answering(answer), settings());
    let first = ask(&reward, &[1, 2]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let second = ask(&reward, &[1, 2]).unwrap();
    assert!(first != second && second != [2.0], "{first:?}, {second:?}");
}

#[test]
fn a_program_that_is_not_there() {
    let command = vec!["/no/such/program".to_owned()];
    let describe = Describe::new(|_| String::new());
    let reward = Process::new(ProcessSettings { command, ..settings() }, Some(describe.clone())).unwrap();
    let words = stopped(ask(&reward, &[1, 2]));
    assert!(words.starts_with("reward.command: found \"/no/such/program\": no such file"), "{words}");
    let message = |settings| Process::new(settings, Some(describe.clone())).unwrap_err().to_string();
    assert!(message(settings()).starts_with("command: found no program"));
    let timeout = ProcessSettings { command: vec!["sh".into()], timeout: Duration::ZERO, ..settings() };
    assert!(message(timeout).starts_with("timeout: found 0 s"));
}

/// Whether a process is there, be it as a zombie.
#[cfg(target_os = "linux")]
fn exists(process: u64) -> bool {
    std::path::Path::new(&format!("/proc/{process}")).exists()
}

#[cfg(target_os = "linux")]
#[test]
fn dropping_ends_children_and_their_children() {
    let text = "import json, os, subprocess, sys\n\
                child = subprocess.Popen(['sleep', '1000'])\n\
                sys.stdin.readline()\n\
                print(json.dumps({'log_rewards': [os.getpid(), child.pid]}), flush=True)\n\
                os.read(0, 1)\n\
                while True: pass\n";
    let reward = python(text, settings());
    let processes: Vec<u64> = ask(&reward, &[1, 2, 3, 4]).unwrap().iter().map(|pid| *pid as u64).collect();
    assert!(processes.iter().all(|pid| exists(*pid)));
    drop(reward);
    assert!(!exists(processes[0]), "no zombie is left");
    // Whoever adopts orphans takes a moment to bury the other one.
    let deadline = Instant::now() + Duration::from_secs(20);
    let gone = |pid: u64| {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    };
    while !gone(processes[1]) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(gone(processes[1]), "a grandchild is left");
}

/// Threads that ask at once are answered one after the other.
#[test]
fn threads_take_turns() {
    let reward = python(&answering(SUM), settings());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let reward = &reward;
            scope.spawn(move || {
                for i in 0..10 {
                    assert_eq!(ask(reward, &[thread, i]).unwrap(), [f64::from(thread) + f64::from(i) / 10.0]);
                }
            });
        }
    });
}

#[test]
fn a_program_outlives_the_thread_that_first_asked() {
    let reward = python(&answering(SUM), ProcessSettings { restarts: 0, ..settings() });
    for i in 0..5 {
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(ask(&reward, &[i, 0]).unwrap(), [f64::from(i)]));
        });
        // A signal for a thread's end comes a moment after it.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program over points, of which the first half of the text is given: what it answers.
fn over_points(answer: &str, settings: ProcessSettings) -> Process<f32> {
    let text = format!(
        "import json, sys\n\
         for line in sys.stdin:\n\
         \tq = json.loads(line)\n\
         \txs = q['objects']\n\
         \tprint(json.dumps({answer}), flush=True)\n"
    );
    let command = ["python3", "-c", &text].map(str::to_owned).to_vec();
    Process::new(ProcessSettings { command, ..settings }, None).unwrap()
}

#[test]
fn points_are_lists_of_numbers_and_may_have_gradients() {
    let answer = "{'log_rewards': [-x * x + y for x, y in xs], \
                  **({'gradients': [[-2 * x, 1] for x, y in xs]} if q.get('gradients') else {})}";
    let target = over_points(answer, ProcessSettings { gradients: true, ..settings() });
    let points = [0.1f32, 2.0, -3.0, 0.5];
    let exact = points.chunks(2).map(|p| f64::from(p[1]) - f64::from(p[0]).powi(2)).collect::<Vec<_>>();
    let (mut out, mut scores) = ([f64::NAN; 2], [f64::NAN; 4]);
    target.log_rewards(&points, &[], &mut out).unwrap();
    assert!(out.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-15), "{out:?}, {exact:?}");
    target.log_rewards_with_scores(&points, &[], &mut out, &mut scores).unwrap();
    assert!(out.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-15), "{out:?}, {exact:?}");
    assert_eq!(scores, [-2.0 * f64::from(0.1f32), 1.0, 6.0, 1.0]);
    // What is no number is nothing to ask about.
    target.log_rewards_with_scores(&[f32::NAN, 2.0], &[], &mut out[..1], &mut scores[..2]).unwrap();
    assert!(out[0].is_nan() && scores[0].is_nan());
}

#[test]
fn gradients_that_do_not_fit_skip_their_batch() {
    for (answer, words) in [
        ("{'log_rewards': [1.0]}", "without gradients, which it was asked for"),
        ("{'log_rewards': [1.0], 'gradients': [[1.0]]}", "not one list per object, of 2 numbers each"),
        ("{'log_rewards': [1.0], 'gradients': []}", "not one list per object"),
        ("{'log_rewards': [1.0], 'gradients': [None]}", "not one list per object"),
        ("{'log_rewards': [1.0], 'gradients': [[1.0, None]]}", "invalid type: null"),
    ] {
        let target = over_points(answer, ProcessSettings { gradients: true, ..settings() });
        let found = target.log_rewards_with_scores(&[0.5, 1.0], &[], &mut [0.0], &mut [0.0; 2]);
        let Err(Failure::Skip(found)) = found else { panic!("{answer}: {found:?}") };
        assert!(found.contains(words), "{found}");
    }
    // An object that failed has a constant instead.
    let failed = ProcessSettings { gradients: true, failed: Some(-9.0), ..settings() };
    let target = over_points("{'log_rewards': [None], 'gradients': [None]}", failed);
    let (mut out, mut scores) = ([0.0], [1.0; 2]);
    target.log_rewards_with_scores(&[0.5, 1.0], &[], &mut out, &mut scores).unwrap();
    assert_eq!((out, scores), ([-9.0], [0.0; 2]));
    let without = over_points("{'log_rewards': [1.0]}", settings());
    let found = without.log_rewards_with_scores(&[0.5, 1.0], &[], &mut out, &mut scores);
    let Err(Failure::Stop(error)) = found else { panic!("{found:?}") };
    assert!(error.to_string().starts_with("the target: found one that has no gradient"), "{error}");
}

#[test]
fn states_on_the_way_come_in_batches() {
    let text =
        answering("json.dumps({'log_rewards': [(10 if q.get('partial') else 1) * (x + y) for x, y in xs]})");
    let reward = python(&text, ProcessSettings { partial: true, ..settings() });
    let mut out = [f64::NAN; 3];
    assert!(reward.partial(&[1, 2, 3, 4, 5, 6], &[], &mut out).unwrap());
    assert_eq!(out, [30.0, 70.0, 110.0]);
    assert_eq!(ask(&reward, &[1, 2]).unwrap(), [3.0]);
    assert!(!python(&text, settings()).partial(&[1, 2], &[], &mut out).unwrap());
}
