use super::*;

/// Places of which only the cache is there, in `folder`.
fn places(folder: &Path) -> Places {
    Places {
        beside: vec![folder.join("models")],
        cache: folder.join("cache"),
        #[cfg(feature = "download")]
        // Nobody listens there.
        address: "http://127.0.0.1:9/models".to_owned(),
    }
}

#[test]
fn all_shipped_files_are_there_and_are_those_of_the_checksums() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(Run::shipped().contains(&"shapes"), "{:?}", Run::shipped());
    let mut bytes = 0;
    for name in Run::shipped() {
        let sums = of_model(name).unwrap();
        let compiled_in = COMPILED_IN.iter().any(|(other, _)| *other == name);
        let models = match compiled_in {
            true => repository.join("models"),
            false => repository.join("../../models"),
        };
        let folder = models.join(name);
        check(&folder, &sums).unwrap();
        let size = fs::metadata(folder.join(FILES[1])).unwrap().len();
        assert!(size <= 5 << 20, "{name} has {size} bytes");
        bytes += size;
        assert!(folder.join("README.md").exists(), "{name} has no card");

        let model = Model::open(&folder, "cpu").unwrap();
        assert!(model.size().is_some(), "{name}");
        let config = Run::open(&folder).unwrap().config().clone();
        assert_eq!(
            config.data.path, None,
            "{name} names a folder of its trainer"
        );
    }
    assert!(bytes <= 25 << 20, "{bytes} bytes");
}

#[test]
fn a_model_of_the_repository_has_a_path_that_reads_well() {
    let run = Run::pretrained("mnist").unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    assert_eq!(run.path(), repository.unwrap().join("models/mnist"));
}

#[test]
fn the_preset_small_has_the_trunk_of_the_digits() {
    let run = Run::pretrained("mnist").unwrap();
    let trained = &run.config().model;
    let small = crate::ModelConfig::small()
        .with_channels(trained.channels)
        .with_classes(trained.classes)
        .with_orders(trained.orders);
    // Colour takes a multiple of three features, and the knots of today are 36.
    assert_eq!((small.features, trained.features), (60, 64));
    let other = small
        .with_features(trained.features)
        .with_output(trained.output.clone());
    assert_eq!(other, *trained);
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let error = Model::pretrained("shape").unwrap_err().to_string();
    assert!(
        error.contains("`shape`") && error.contains("shapes"),
        "{error}"
    );
}

#[test]
fn a_model_of_the_program_is_copied_into_the_cache_and_damage_there_is_mended() {
    let root = tempfile::tempdir().unwrap();
    let (places, sums) = (places(root.path()), of_model("shapes").unwrap());
    let folder = places.find("shapes", &sums).unwrap();
    assert_eq!(folder, root.path().join("cache/shapes"));
    fs::write(folder.join(FILES[1]), "damaged").unwrap();
    assert_eq!(places.find("shapes", &sums).unwrap(), folder);
    let model = Model::open(&folder, "cpu").unwrap();
    assert_eq!(model.classes().names().len(), 10);

    // The folder is a run for all that opens one, and its own checksums are compared.
    let network = crate::model::TrainedWeights::find(&folder).unwrap();
    assert_eq!(network.config.as_ref(), Some(model.config()));
    fs::write(folder.join(FILES[1]), "damaged").unwrap();
    let error = Model::open(&folder, "cpu").unwrap_err().to_string();
    assert!(error.contains("SHA256"), "{error}");
}

#[test]
fn a_folder_beside_the_program_comes_first_and_its_damage_is_told() {
    let root = tempfile::tempdir().unwrap();
    let (places, sums) = (places(root.path()), of_model("shapes").unwrap());
    let beside = root.path().join("models/shapes");
    fs::create_dir_all(&beside).unwrap();
    for (file, content) in FILES.iter().zip(COMPILED_IN[0].1) {
        fs::write(beside.join(file), content).unwrap();
    }
    assert_eq!(places.find("shapes", &sums).unwrap(), beside);
    fs::write(beside.join(FILES[1]), "of another version").unwrap();
    let error = places.find("shapes", &sums).unwrap_err().to_string();
    assert!(error.contains("move it away"), "{error}");
    assert!(error.contains("but the official file has"), "{error}");
}

#[test]
fn a_training_begins_from_a_shipped_model_by_its_name() {
    let find = |name: &str| crate::model::TrainedWeights::find(Path::new(name));
    assert!(find("shapes").unwrap().config.is_some());
    let error = find("shape").err().unwrap().to_string();
    assert!(
        error.contains("shape is missing") && error.contains("shapes)"),
        "{error}"
    );
}

#[cfg(feature = "download")]
mod download {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Gives these bodies to one request each, and returns the paths that were asked for.
    fn serve(bodies: [&'static [u8]; 2]) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/models", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let answer = |body: &'static [u8]| {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let length = body.len();
                let reply = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                stream
                    .write_all(&[reply.as_bytes(), body].concat())
                    .unwrap();
                head[0].split(' ').nth(1).unwrap_or_default().to_owned()
            };
            bodies.into_iter().map(answer).collect()
        });
        (address, server)
    }

    #[test]
    fn what_is_nowhere_is_downloaded_once_by_its_checksums() {
        let root = tempfile::tempdir().unwrap();
        let bodies = COMPILED_IN[0].1;
        let (address, server) = serve(bodies);
        let places = Places {
            address,
            ..places(root.path())
        };
        // A name that is not compiled in.
        let sums = of_model("shapes").unwrap();
        let folder = places.find("other", &sums).unwrap();
        let paths = server.join().unwrap();
        assert_eq!(
            paths,
            [
                "/models/other-config.toml",
                "/models/other-weights.safetensors"
            ]
        );
        Model::open(&folder, "cpu").unwrap();
        // The server is gone: this must not ask for anything.
        assert_eq!(places.find("other", &sums).unwrap(), folder);
    }

    #[test]
    fn without_a_network_the_message_says_where_a_file_belongs() {
        let root = tempfile::tempdir().unwrap();
        let places = places(root.path());
        let sums = of_model("shapes").unwrap();
        let error = places.find("other", &sums).unwrap_err().to_string();
        let target = root.path().join("cache/other/config.toml");
        for expected in [
            "http://127.0.0.1:9/models/other-config.toml",
            "by hand",
            target.to_str().unwrap(),
        ] {
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn other_bytes_than_those_of_this_version_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let (address, server) = serve([COMPILED_IN[0].1[0], b"another model"]);
        let places = Places {
            address,
            ..places(root.path())
        };
        let sums = of_model("shapes").unwrap();
        let error = places.find("other", &sums).unwrap_err();
        server.join().unwrap();
        assert!(
            matches!(error, Error::Data(DataError::Checksum { .. })),
            "{error}"
        );
    }
}
