use serde_json::json;

use super::*;
use crate::recipe::{Override, named};
use crate::run::Silent;

fn summary(name: &str) -> Summary {
    let log = (1..=500).map(|step| {
        let mut fields = Map::new();
        fields.insert("loss".to_owned(), json!(100.0 / step as f64));
        fields.insert("gradient_norm".to_owned(), json!(1.0));
        fields.insert("learning_rate".to_owned(), json!(1e-3));
        if step % 100 == 0 {
            fields.insert("validation".to_owned(), json!(3.0 + (step as f64 - 300.0).abs() / 100.0));
        }
        Logged { step, fields }
    });
    let metrics = json!({
        "nll": 12.5, "nll_se": 0.25, "bits_per_dim": 2.0, "bits_per_dim_se": 0.04,
        "bits_per_dim_gaussian": 3.0, "ess": null, "brand_new": 7.0,
    });
    let rows = |offset: usize| (0..60).map(|i| ((i * 7 + offset) % 11) as f32).collect::<Vec<f32>>();
    let frames =
        [(0.0, 2), (0.5, 6), (1.0, 6)].map(|(place, dimension)| Frame { place, dimension, values: rows(2) });
    Summary {
        name: name.to_owned(),
        title: "A <bold> & \"daring\" model".to_owned(),
        seed: 3,
        steps: 500,
        seconds: 75.0,
        parameters: 12_345,
        facts: "space       R^6\nsource      N(0, I) & more\n".to_owned(),
        target: "t".to_owned(),
        metrics: metrics.as_object().cloned().unwrap_or_default(),
        timings: Map::from_iter([("steps_per_second".to_owned(), json!(6.5))]),
        log: log.collect(),
        validation: "nats per row".to_owned(),
        same_loss: false,
        columns: Vec::new(),
        words: BTreeMap::new(),
        dimension: 6,
        image: Some(ImageShape { height: 2, width: 3, low: 0.0, high: 10.0, fixed: false }),
        samples: rows(0),
        classes: Vec::new(),
        reference: Some(Reference { name: "Held-out data".to_owned(), rows: rows(1) }),
        density: None,
        stages: Default::default(),
        trajectory: frames.to_vec(),
        flow: None,
        proposals: None,
        recipe: "name = \"a\" # <&>\n".to_owned(),
        citations: vec!["@article{x, title={A & B}}".to_owned()],
    }
}

/// Pages are well-formed XML, and ask for nothing but themselves.
fn check(page: &str) {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document =
        roxmltree::Document::parse_with_options(page, options).unwrap_or_else(|error| panic!("{error}"));
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        assert_ne!(node.tag_name().name(), "script");
        for attribute in node.attributes().filter(|a| ["src", "href"].contains(&a.name())) {
            assert!(attribute.value().starts_with("data:image/png;base64,"), "{}", attribute.value());
        }
        for attribute in
            node.attributes().filter(|a| ["d", "x", "y", "cx", "cy", "width", "height"].contains(&a.name()))
        {
            assert!(
                !attribute.value().contains("NaN") && !attribute.value().contains("inf"),
                "{}",
                attribute.value()
            );
        }
    }
}

#[test]
fn a_run_shows_all_that_is_known() {
    let page = run_page(&summary("images"));
    check(&page);
    assert!(page.contains("A &lt;bold&gt; &amp; &quot;daring&quot; model"));
    assert!(page.contains("12.50 \u{b1} 0.25") && page.contains("2.000 \u{b1} 0.040"));
    assert!(page.contains("Brand new") && page.contains("not finite"));
    assert!(page.contains("12\u{202f}345 parameters") && page.contains("1 min 15 s"));
    assert!(page.contains("Dot: the lowest, after 300 steps."));
    assert_eq!(page.matches("<img").count(), 4, "data, samples and two columns of images");
    assert!(!page.contains("nll_se") && !page.contains("Nll se"));
    // The number that matters stands first, then the pictures, then all numbers by group.
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is missing"));
    let order = [
        "<span class=\"value\">2.000 \u{b1} 0.040</span>",
        "<h2>Samples",
        "<h2>All estimates",
        "<summary>Likelihood",
        "<summary>Time",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])));
}

#[test]
fn an_energy_shows_its_bounds_and_its_density() {
    let metrics = json!({
        "elbo": -1.5, "elbo_se": 0.1, "log_z": -0.2, "log_z_se": 0.3, "log_z_exact": 0.0, "eubo": 2.0, "eubo_se": 0.2,
    });
    let density = Density { low: [-1.0; 2], high: [1.0; 2], cells: 2, values: vec![0.1, 1.0, 0.2, f64::NAN] };
    let run = Summary {
        metrics: metrics.as_object().cloned().unwrap_or_default(),
        image: None,
        dimension: 2,
        density: Some(density),
        ..summary("energy")
    };
    let page = run_page(&run);
    check(&page);
    assert!(
        page.contains("Bounds on log Z") && page.contains("exact log Z") && page.contains("Target density")
    );
}

#[test]
fn a_bare_run_still_has_a_page() {
    check(&run_page(&Summary { dimension: 3, ..Summary::default() }));
    check(&comparison_page(&[], &[]));
    check(&comparison_page(&[Summary { dimension: 1, ..Summary::default() }], &[]));
}

#[test]
fn a_comparison_names_the_best_and_keeps_targets_apart() {
    let mut better = summary("better");
    better.metrics.insert("bits_per_dim".to_owned(), json!(1.5));
    let page = comparison_page(&[summary("worse"), better.clone()], &[]);
    check(&page);
    assert!(page.contains("<td class=\"number best\">1.500 \u{b1} 0.040</td>"));
    assert!(page.contains("<td class=\"number\">2.000 \u{b1} 0.040</td>"));
    assert!(page.contains("Gaussian baseline") && page.matches("@article{x").count() == 1);
    assert!(!page.contains("Numbers:"));
    better.target = "another".to_owned();
    let page = comparison_page(&[summary("worse"), better], &[]);
    check(&page);
    assert!(page.contains("Numbers: better"));
    assert!(!page.contains("number best"), "nothing to compare with");
}

#[test]
fn a_real_run_leaves_a_report_and_its_events() {
    let root = std::env::temp_dir().join(format!("anabranch-report-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    let two_dimensional = r#"target.energy={ kind = "funnel", dimension = 2, std = 3.0 }"#;
    let short = [
        "training.steps=4",
        "training.batch=16",
        "training.log_every=1",
        "training.evaluate_every=2",
        "evaluation.samples=20",
    ];
    let mut runs = Vec::new();
    for (name, more) in [
        ("moons-flow", ["target.rows=100", "evaluation.draws=1"]),
        ("funnel-flow", [two_dimensional, "evaluation.paths=50"]),
        ("digits-latent-diffusion", ["model.0.levels=12", "evaluation.draws=1"]),
    ] {
        let overrides: Vec<Override> =
            short.iter().chain(&more).map(|set| Override::parse(set).expect("an override")).collect();
        let run = Run::create(&root.join(name), named(name, &overrides).expect("a recipe")).expect("a run");
        run.train(&mut Silent).expect("trains");
        let result = run.result(run.evaluate(&Silent).expect("evaluates")).expect("writes");
        let summary = write_report(&run, &result).expect("a report");
        let page = std::fs::read_to_string(run.directory.join("report.html")).expect("a page");
        check(&page);
        assert_eq!(page.contains("Target density"), name == "funnel-flow");
        assert_eq!(page.contains("latent coordinates"), name == "digits-latent-diffusion");
        let scored = ["Validation score", "Training and validation"].iter().any(|title| page.contains(title));
        assert!(scored && page.contains("Trajectories"));
        assert_eq!(std::fs::read_dir(run.directory.join("tensorboard")).expect("events").count(), 2);
        runs.push(summary);
    }
    write_comparison(&runs, &[], &root).expect("a comparison");
    check(&std::fs::read_to_string(root.join("report.html")).expect("a page"));
    std::fs::remove_dir_all(root).expect("the test's own directory");
}
