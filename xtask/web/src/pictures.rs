//! Pictures that this machine's own sampler draws with the models of a page, for the tests to compare with those that
//! the browser draws.
//!
//! The sampler is that of the page without WebAssembly; the tests of `pixel-iqn-web` compare it with what
//! `pixel-iqn sample` draws.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use pixel_iqn_web::{Request, WebModel};
use serde_json::{Value, json};

/// Draws pictures with each model of the page in a folder, and returns the list that the tests read.
pub fn draw(page: &Path) -> anyhow::Result<Value> {
    let list = page.join("manifest.json");
    let list = fs::read_to_string(&list).with_context(|| {
        let list = list.display();
        format!("{list} cannot be read: build the page first, without --no-build")
    })?;
    let list: Value = serde_json::from_str(&list)?;
    let mut pictures = Vec::new();
    for entry in list["models"].as_array().into_iter().flatten() {
        let of = of_model(page, entry);
        pictures.extend(of.with_context(|| format!("the model {}", entry["name"]))?);
    }
    Ok(Value::Array(pictures))
}

fn of_model(page: &Path, entry: &Value) -> anyhow::Result<Vec<Value>> {
    let file = entry["weights"]["file"].as_str().unwrap_or_default();
    let weights = fs::read(page.join(file)).with_context(|| file.to_owned())?;
    let side = |axis: usize| entry["size"][axis].as_u64().unwrap_or(0) as usize;
    let config = entry["config"].to_string();
    let model = WebModel::open(&config, [side(0), side(1)], &weights)?;
    let mut pictures = Vec::new();
    for request in requests(entry) {
        let mut drawing = model.draw(&Request::from_json(&request.to_string())?)?;
        while drawing.advance(64) {}
        let mut levels = String::new();
        for level in drawing.levels() {
            write!(levels, "{level:02x}")?;
        }
        pictures.push(json!({ "model": entry["name"], "request": request, "levels": levels }));
    }
    Ok(pictures)
}

/// What is drawn with a model: each source of tau, classes and orders where there are some, and the largest seed of
/// the page.
fn requests(entry: &Value) -> Vec<Value> {
    let classes = entry["classes"].as_array().map_or(0, Vec::len);
    let orders = entry["orders"].as_u64().unwrap_or(1);
    let last = |count: usize| match classes {
        0 => json!([]),
        _ => json!([classes - 1, count % classes]),
    };
    let mut requests = vec![
        json!({ "count": 4, "seed": 7 }),
        json!({ "count": 2, "seed": 1, "labels": last(3) }),
        json!({ "count": 1, "labels": last(0), "tau": { "kind": "constant", "tau": 0.5 } }),
        json!({
            "count": 2, "first": 3, "seed": 9_007_199_254_740_991_u64, "labels": last(5),
            "tau": { "kind": "interval", "low": 0.25, "high": 0.75 },
        }),
    ];
    if orders > 1 {
        requests.push(json!({ "count": 1, "seed": 2, "order": orders - 1 }));
    }
    if entry["unlabelled"] == true {
        requests.push(json!({ "count": 1, "seed": 3, "labels": [null] }));
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models;

    #[test]
    fn every_model_draws_what_it_is_asked_for() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = tempfile::tempdir().unwrap();
        let error = draw(page.path()).unwrap_err();
        assert!(
            error.to_string().contains("build the page first"),
            "{error}"
        );
        let list = models::copy(&root, &[], page.path()).unwrap();
        fs::write(page.path().join("manifest.json"), list.to_string()).unwrap();
        let pictures = draw(page.path()).unwrap();
        let pictures = pictures.as_array().unwrap();
        for entry in list["models"].as_array().unwrap() {
            let values = entry["size"][0].as_u64().unwrap()
                * entry["size"][1].as_u64().unwrap()
                * entry["channels"].as_u64().unwrap();
            let of = |picture: &&Value| picture["model"] == entry["name"];
            let of: Vec<&Value> = pictures.iter().filter(of).collect();
            assert!(of.len() >= 4, "{}", entry["name"]);
            for picture in of {
                let count = picture["request"]["count"].as_u64().unwrap();
                let digits = picture["levels"].as_str().unwrap().len() as u64;
                assert_eq!(digits, 2 * count * values, "{}", picture["request"]);
            }
        }
    }
}
