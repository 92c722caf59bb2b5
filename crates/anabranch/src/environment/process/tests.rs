use super::*;
use crate::environment::{Hypergrid, States, check};
use crate::rng::{Noise, Purpose};

/// The book's example, with `edit` made to it.
const GRID: &str = include_str!("../../../../../docs/src/hypergrid.py");

fn call(text: &str) -> Call {
    Call {
        command: ["python3", "-c", text].map(str::to_owned).to_vec(),
        timeout: Duration::from_secs(60),
        restarts: 1,
        role: "the environment program",
        place: "target.command".to_owned(),
    }
}

/// The example with a part of it replaced, that must be there.
fn edited(part: &str, by: &str) -> String {
    assert!(GRID.contains(part), "{part}");
    GRID.replacen(part, by, 1)
}

fn start(text: &str) -> ProcessEnvironment {
    ProcessEnvironment::start(call(text)).unwrap()
}

#[test]
fn the_example_is_the_hypergrid() {
    let (theirs, grid) = (start(GRID), Hypergrid::new(2, 8).unwrap());
    assert_eq!(check::bounded(&theirs, 100), Ok(Some(64)));
    check::exhaustively(&theirs, 64).unwrap();
    let (found, exact) = (States::of(&theirs, 64).unwrap(), States::of(&grid, 64).unwrap());
    assert_eq!((found.len(), found.edges(), found.objects()), (64, exact.edges(), exact.objects()));
    let mut on = [Vec::new(), Vec::new()];
    for i in 0..64 {
        let state = exact.state(i);
        assert_eq!(found.state(i), state);
        assert_eq!(found.parents(i), exact.parents(i));
        on.iter_mut().for_each(Vec::clear);
        theirs.encode(state, &mut on[0]);
        grid.encode(state, &mut on[1]);
        assert_eq!(on[0], on[1]);
        assert_eq!(theirs.describe(state), grid.describe(state));
    }
    let mut log_rewards = [0.0; 3];
    theirs.log_rewards(&[0, 0, 1, 1, 3, 3], &mut log_rewards).unwrap();
    assert_eq!(log_rewards, [0.6f64.ln(), 2.6f64.ln(), 0.1f64.ln()]);
}

/// All states of a grid and their edges take a handful of questions, and none is asked twice.
#[test]
fn questions_are_asked_together_and_once() {
    let theirs = start(GRID);
    let states = States::of(&theirs, 64).unwrap();
    let after = theirs.asked().unwrap().0;
    // One wave for each length of a path and its ends, and the first question.
    assert!(after <= 1 + 2 * 15 + 2, "{after}");
    check::along_walks(&theirs, 1, &Noise::new(1, Purpose::Target)).unwrap();
    let mut log_rewards = vec![0.0; states.len()];
    let all: Vec<Cell> = (0..states.len()).flat_map(|i| states.state(i).to_vec()).collect();
    theirs.log_rewards(&all, &mut log_rewards).unwrap();
    let before = theirs.asked().unwrap().0;
    theirs.log_rewards(&all, &mut log_rewards).unwrap();
    States::of(&theirs, 64).unwrap();
    assert_eq!(theirs.asked().unwrap().0, before);
}

/// Words over two letters, as strings, with names of their own for users.
const WORDS: &str = r#"
import json, sys
L = 3
def feature(s): return [2 * i + "ab".index(c) for i, c in enumerate(s)]
answers = {
    "start": lambda q: {"source": "", "width": L, "moves": 2, "removals": 1, "longest": L, "features": 2 * L,
                        "objects": "last", "describe": True},
    "allowed": lambda q: [[0, 1] if len(s) < L else [] for s in q["states"]],
    "removable": lambda q: [[0] if s else [] for s in q["states"]],
    "features": lambda q: [feature(s) for s in q["states"]],
    "apply": lambda q: [[s + "ab"[m], 0] for s, m in zip(q["states"], q["moves"])],
    "undo": lambda q: [[s[:-1], "ab".index(s[-1])] for s in q["states"]],
    "describe": lambda q: ["<" + s + ">" for s in q["states"]],
    "parse": lambda q: [t[1:-1] if t[:1] == "<" and t[-1:] == ">" else None for t in q["texts"]],
}
for line in sys.stdin:
    q = json.loads(line)
    print(json.dumps({a: answers[a](q) for a in q["ask"]}), flush=True)
"#;

#[test]
fn states_may_be_strings_with_names() {
    let words = start(WORDS);
    assert_eq!(check::exhaustively(&words, 100), Ok(1 + 2 + 4 + 8));
    let mut state = [9; 3];
    words.parse("<ab>", &mut state).unwrap();
    assert_eq!((state, words.describe(&state)), ([97, 98, 0], "<ab>".to_owned()));
    assert!(!words.stops() && !words.is_object(&state));
    let found = words.parse("ab", &mut state).unwrap_err();
    assert_eq!(found, "\"ab\"; allowed: states as the environment program reads them");
    // What moves do not lead to is no state, and to have asked about it harms nothing.
    for text in ["<abba>", "<abc>", "<b"] {
        words.parse(text, &mut state).unwrap_err();
    }
    assert!(words.failure().is_none());
    let grid = start(GRID);
    let mut point = [0; 2];
    assert_eq!(
        grid.parse("(8, 0)", &mut point).unwrap_err(),
        "\"(8, 0)\"; allowed: states that moves lead to"
    );
    grid.parse("(7, 3)", &mut point).unwrap();
    assert_eq!((point, grid.failure()), ([7, 3], None));
}

/// A program that dies of every third question is started again, and asked the same.
#[test]
fn one_that_died_is_asked_again() {
    let text = edited(
        "for line in sys.stdin:",
        "count = 0\nfor line in sys.stdin:\n    count += 1\n    if count == 9: sys.exit(3)",
    );
    let theirs = ProcessEnvironment::start(Call { restarts: 50, ..call(&text) }).unwrap();
    assert_eq!(check::exhaustively(&theirs, 100), Ok(64));
    let theirs = start(&text);
    assert!(check::exhaustively(&theirs, 100).is_err());
    let message = theirs.failure().unwrap().to_string();
    let expected = "target.command: found a program that was started 2 times; last, it ended (exit code 3)";
    assert!(message.starts_with(expected), "{message}");
}

/// What is wrong with the first answer.
#[test]
fn wrong_starts_are_refused() {
    let long = "\"longest\": DIM * (SIDE - 1),";
    for (part, by, words) in [
        ("\"moves\": DIM,", "\"moves\": 0,", "moves: found 0; allowed: 1 to 1048576 (asked for start)"),
        ("\"moves\": DIM,", "", "missing field `moves`"),
        (long, "\"longest\": 2, \"length\": 3,", "unknown field `length`"),
        ("[0] * DIM", "[70000] * DIM", "a state is a list of integers from 0 to 65535, or a string"),
        ("[0] * DIM", "\"\"", "width: found 0"),
        ("\"all\"", "\"every\"", "unknown variant `every`"),
        ("\"start\": start", "\"start\": lambda q: None", "it answered without start"),
    ] {
        let message = ProcessEnvironment::start(call(&edited(part, by))).unwrap_err().to_string();
        let program = "target.command: found the environment program \"python3\": ";
        assert!(message.starts_with(program) && message.contains(words), "{message}");
    }
    let nothing = Call { command: vec!["no-such-program".to_owned()], ..call("") };
    let message = ProcessEnvironment::start(nothing).unwrap_err().to_string();
    assert!(message.ends_with("allowed: a program that can be run"), "{message}");
}

/// What is wrong with later answers: the state is named, and what was asked.
#[test]
fn wrong_answers_are_refused() {
    let allowed = "for d in range(DIM) if s[d] + 1 < SIDE]";
    let applied = "[(moved(s, d, 1), d) for s, d";
    for (part, by, words) in [
        (
            allowed,
            "for d in range(DIM + 1) if d == DIM or s[d] + 1 < SIDE]",
            "for (0, 0) it answered move 2 in allowed; there are 2, from 0",
        ),
        (allowed, "for d in [0, 0]]", "for (0, 0) it answered move 0 twice in allowed"),
        (
            "[d * SIDE + x for d, x",
            "[d * SIDE + x + 9 for d, x",
            "feature 17 in features; there are 16, from 0",
        ),
        (
            applied,
            "[(moved(s, d, 1) + [0], d) for s, d",
            "for move 0 at (0, 0) it answered [1,0,0], where states are lists of 2 integers (asked for apply of (0, 0) and 1 others)",
        ),
        (
            applied,
            "[(moved(s, d, 1), 7) for s, d",
            "for move 0 at (0, 0) it answered removal 7; there are 2, from 0",
        ),
        (
            applied,
            "[(moved(s, d, 1), d) for s, d in []] or [(s, d) for s, d in []] or [1 for s, d",
            "(asked for apply of (0, 0) and 1 others)",
        ),
        (
            applied,
            "[][0] and [(s, d) for s, d",
            "a program that was started 2 times; last, it ended (exit code 1); its last words: ",
        ),
        (
            "\"allowed\": lambda q: ",
            "\"allowed\": lambda q: [[]] + ",
            "it answered 2 entries of allowed for 1",
        ),
        (
            "print(json",
            "print('hello') if 'undo' in answer else print(json",
            "it answered \"hello\", no JSON object",
        ),
        ("{\"batch\": question[\"batch\"]", "{\"batch\": 7", "it answered batch 7"),
        (
            "question = json.loads(line)",
            "question = json.loads(line)\n    if 'apply' in question['ask']: print(json.dumps({'error': 'no such move'}), flush=True); continue",
            "it says \"no such move\" (asked for apply",
        ),
    ] {
        let found = ProcessEnvironment::start(call(&edited(part, by)));
        let problem = found.and_then(|environment| {
            let _ = check::bounded(&environment, 100);
            environment.failure().map_or(Ok(()), Err)
        });
        let message = problem.expect_err(words).to_string();
        assert!(message.starts_with("target.command: ") && message.contains(words), "{message}");
    }
}

#[test]
fn one_that_hangs_is_late() {
    let text = edited(
        "    answer = {",
        "    import time; time.sleep(60 * ('undo' in question['ask']))\n    answer = {",
    );
    let call = Call { timeout: Duration::from_secs(8), ..call(&text) };
    let theirs = ProcessEnvironment::start(call).unwrap();
    let _ = check::bounded(&theirs, 100);
    let message = theirs.failure().unwrap().to_string();
    let expected = "found the environment program \"python3\": no answer within 8 s (asked for undo of (";
    assert!(message.contains(expected), "{message}");
    // From now on walks end at once.
    let (mut state, mut mask) = ([1, 1], [true; 2]);
    theirs.allowed(&state, &mut mask);
    assert_eq!((mask, theirs.is_object(&state), theirs.apply(&mut state, 0)), ([false; 2], true, 0));
}
