//! The page draws what `pixel-iqn` draws.

use std::fs;

use pixel_iqn::{Model, Run};
use pixel_iqn_web::{Drawing, Request, WebError, WebModel};

fn open() -> WebModel {
    let run = Run::pretrained("shapes").unwrap();
    let config = run.config();
    let weights = fs::read(run.dir().file("weights.safetensors")).unwrap();
    WebModel::open(&config.model.to_json(), config.data.size, &weights).unwrap()
}

fn finish(mut drawing: Drawing) -> Drawing {
    while drawing.advance(100) {}
    drawing
}

fn draw(model: &WebModel, request: &str) -> Drawing {
    finish(model.draw(&Request::from_json(request).unwrap()).unwrap())
}

#[test]
fn a_seed_gives_the_picture_of_the_command_line() {
    let (page, native) = (open(), Model::pretrained("shapes").unwrap());
    let requests = [
        (r#"{"count": 3, "seed": 7}"#, native.sample(3).seed(7)),
        (
            r#"{"count": 2, "seed": 1, "labels": [8, 7]}"#,
            native.sample(2).seed(1).labels("#8,#7"),
        ),
        (
            r#"{"count": 1, "labels": [0], "tau": {"kind": "constant", "tau": 0.5}}"#,
            native.sample(1).labels("disc").tau(0.5),
        ),
        (
            r#"{"count": 2, "seed": 9007199254740991, "labels": [5], "first": 3,
                "tau": {"kind": "interval", "low": 0.25, "high": 0.75}}"#,
            native
                .sample(2)
                .seed(9_007_199_254_740_991)
                .first(3)
                .labels("star")
                .tau_range(0.25, 0.75),
        ),
    ];
    for (request, sampling) in requests {
        let images = sampling.run().unwrap();
        let drawing = draw(&page, request);
        assert_eq!(drawing.levels(), images.levels(), "{request}");
    }
}

#[test]
fn a_completion_keeps_what_is_painted_and_draws_the_rest() {
    let page = open();
    let picture = draw(&page, r#"{"count": 1, "seed": 3, "labels": [2]}"#);
    let missing: Vec<bool> = (0..256).map(|pixel| pixel % 16 >= 8).collect();
    let request = Request::from_json(r#"{"count": 4, "seed": 5, "labels": [2]}"#).unwrap();
    let mut drawing = page.complete(&request, picture.levels(), &missing).unwrap();

    // Before anything is drawn, what is given shows, and nothing else.
    let visible = drawing.rgba().chunks_exact(4).map(|pixel| pixel[3] == 255);
    let given = missing.iter().cycle().take(4 * 256).map(|missing| !missing);
    assert!(visible.eq(given));
    assert_eq!(drawing.next(), Some([0, 0]));
    assert!(drawing.advance(20));
    assert_eq!((drawing.done(), drawing.next()), (20, Some([1, 4])));

    let drawing = finish(drawing);
    assert_eq!(drawing.next(), None);
    let mut images: Vec<&[u8]> = drawing.levels().chunks_exact(768).collect();
    for image in &images {
        for (at, level) in picture.levels().iter().enumerate() {
            assert!(missing[at % 256] || image[at] == *level);
        }
    }
    images.dedup();
    assert_eq!(images.len(), 4, "four completions that differ");
    let rgba = drawing.rgba();
    let planes = (0..3).map(|channel| rgba[4 * 37 + channel] == images[0][channel * 256 + 37]);
    assert!(planes.into_iter().all(|same| same));
}

/// Reads the quantile at `tau` off the quantiles at `levels`.
fn quantile(levels: &[f32], values: &[f32], tau: f32) -> f32 {
    let k = levels.partition_point(|level| *level <= tau);
    let k = k.clamp(1, levels.len() - 1);
    let part = (tau - levels[k - 1]) / (levels[k] - levels[k - 1]);
    values[k - 1] + part.clamp(0.0, 1.0) * (values[k] - values[k - 1])
}

#[test]
fn a_value_lies_on_its_quantile_function() {
    let page = open();
    let drawing = draw(&page, r#"{"count": 1, "seed": 11, "labels": [7]}"#);
    let mut functions = page.quantiles(drawing.levels(), Some(7), 0).unwrap();
    while functions.advance(50) {}
    assert_eq!(functions.done(), 256);
    let (levels, quantiles) = (functions.levels(), functions.quantiles());
    let count = levels.len();
    assert!(count > 10);
    assert_eq!(quantiles.len(), count * 768);
    for at in (0..768).step_by(5) {
        let values: Vec<f32> = (0..count)
            .map(|level| quantiles[level * 768 + at])
            .collect();
        assert!(values.is_sorted(), "{values:?}");
        let value = quantile(levels, &values, drawing.tau()[at]).clamp(0.0, 1.0);
        let drawn = f32::from(drawing.levels()[at]) / 255.0;
        assert!(
            (value - drawn).abs() < 0.51 / 255.0,
            "{at}: {value} {drawn}"
        );
    }
}

#[test]
fn what_does_not_fit_is_an_error_in_a_sentence() {
    let page = open();
    let run = Run::pretrained("shapes").unwrap();
    let json = run.config().model.to_json();
    let weights = fs::read(run.dir().file("weights.safetensors")).unwrap();
    let open = |json: &str, size, weights: &[u8]| WebModel::open(json, size, weights).unwrap_err();
    let error = open(&json, [16, 16], &weights[..1000]);
    assert!(error.to_string().contains("cut off"), "{error}");
    assert!(matches!(
        open("{}", [16, 16], &weights),
        WebError::Config(_)
    ));
    assert!(matches!(
        open(&json, [0, 16], &weights),
        WebError::Invalid(_)
    ));

    let error = |request: &str| {
        let request = Request::from_json(request);
        let drawing = request.and_then(|request| page.draw(&request));
        drawing.unwrap_err().to_string()
    };
    assert!(error(r#"{"count": 0}"#).contains("at least one image"));
    assert!(error(r#"{"count": 1, "labels": [10]}"#).contains("0 to 9"));
    let orders = run.config().model.orders;
    let beyond = format!(r#"{{"count": 1, "order": {orders}}}"#);
    assert!(error(&beyond).contains("order"));
    assert!(error(r#"{"count": 1, "order": 9}"#).contains("no generation order 9"));
    assert!(error(r#"{"count": 1, "tau": {"kind": "constant", "tau": 1.0}}"#).contains("(0, 1)"));
    assert!(error(r#"{"count": 1, "colour": 2}"#).contains("two versions"));
    let request = Request::from_json(r#"{"count": 1}"#).unwrap();
    assert!(page.complete(&request, &[0; 767], &[true; 256]).is_err());
    assert!(page.complete(&request, &[0; 768], &[true; 255]).is_err());
    assert!(page.order_for(&[true; 9]).is_err());
    assert_eq!(page.order_for(&[true; 256]).unwrap(), 0);
}
