"""The other side of `cargo xtask parity-eval` and `cargo xtask bench eval`: torch-fidelity and
pytorch-fid on an Inception v3 whose weights are a formula.

Arguments: parity | bench, folder with a.npz and b.npz (uint8 [N, H, W, C] as arr_0), threads,
images in a batch. Writes weights.pth and, for parity, theirs.npz into the folder; prints a line of
JSON.
"""

import json
import os
import resource
import sys
import time

task, folder, threads, batch = sys.argv[1:5]

import numpy as np
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

torch.set_num_threads(int(threads))
batch = int(batch)
path = os.path.join(folder, "weights.pth")


def uniform(tensor, count):
    """`count` numbers in [0, 1) by the finaliser of MurmurHash3, multiples of 2^-24."""
    h = np.arange(count, dtype=np.uint32) + np.uint32(tensor * 0x9E3779B9 % 2**32)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return (h >> np.uint32(8)) / 2.0**24


def formula(state):
    """Weights that keep the activations of the network in range."""
    names = sorted(name for name in state if not name.endswith("num_batches_tracked"))
    for i, name in enumerate(names):
        shape = state[name].shape
        u = uniform(i, state[name].numel())
        if len(shape) > 1:
            u = (2 * u - 1) * np.sqrt(6 / np.prod(shape[1:]))
        elif name.endswith(("running_var", "bn.weight")):
            u = 0.75 + 0.5 * u
        else:
            u = 0.2 * (u - 0.5)
        state[name] = torch.from_numpy(u.astype(np.float32).reshape(shape))
    return state


def extractor(features, dtype="float32"):
    return FeatureExtractorInceptionV3("inception", features, path, dtype)


def batches(name):
    images = np.load(os.path.join(folder, name))["arr_0"]
    images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return images.split(batch)


if not os.path.exists(path):
    load = FeatureExtractorInceptionV3.load_state_dict
    FeatureExtractorInceptionV3.load_state_dict = lambda self, state: None
    torch.save({}, path)
    state = extractor(["2048"]).state_dict()
    torch.save(formula(state), path)
    FeatureExtractorInceptionV3.load_state_dict = load


def bench():
    network = extractor(["2048"])
    sets = batches("a.npz")
    network(sets[0])
    start = time.perf_counter()
    for images in sets:
        network(images)
    seconds = time.perf_counter() - start
    return {
        "images_per_second": sum(map(len, sets)) / seconds,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def pytorch_fid_network():
    from pytorch_fid import inception

    inception.load_state_dict_from_url = lambda *args, **kwargs: torch.load(path)
    return inception.InceptionV3([3]).eval()


def kid(a, b, size):
    from torch_fidelity.metric_kid import kid_features_to_metric

    return kid_features_to_metric(
        a, b, kid_subsets=100, kid_subset_size=size, kid_kernel="poly", kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1, rng_seed=2020, verbose=False,
    )


def parity():
    from pytorch_fid.fid_score import calculate_frechet_distance
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    network = extractor(["2048", "logits_unbiased"])
    other = pytorch_fid_network()
    arrays = {}
    with torch.no_grad():
        for name in ["a", "b"]:
            found = [network(images) for images in batches(name + ".npz")]
            arrays["pool_" + name] = torch.cat([pool for pool, _ in found])
            arrays["logits_" + name] = torch.cat([logits for _, logits in found])
            found = [other(images / 255)[0] for images in batches(name + ".npz")]
            arrays["pytorch_fid_" + name] = torch.cat(found)[:, :, 0, 0]
    # The scores in double precision, so that what differs is their definition alone.
    a, b = arrays["pool_a"].double(), arrays["pool_b"].double()
    scores = isc_features_to_metric(arrays["logits_a"])
    scores |= kid(a, b, len(a) // 2)
    scores |= prc_features_to_metric(
        a, b, prc_neighborhood=3, prc_batch_size=10000, save_cpu_ram=False, verbose=False
    )
    # Both take the root of a product that is singular where there are fewer images than features,
    # and lose digits; so they compare the first features, fewer than the images.
    few = len(a) // 4
    statistics = [fid_features_to_statistics(x[:, :few]) for x in [a, b]]
    scores["fid_of_few_features"] = fid_statistics_to_metric(*statistics, False)[
        "frechet_inception_distance"
    ]
    s, t = statistics
    scores["pytorch_fid_of_few_features"] = float(
        calculate_frechet_distance(s["mu"], s["sigma"], t["mu"], t["sigma"])
    )
    s, t = [fid_features_to_statistics(x) for x in [a, b]]
    scores["frechet_inception_distance"] = fid_statistics_to_metric(s, t, False)[
        "frechet_inception_distance"
    ]
    # The trace of the root of the product is the nuclear norm of the centred features' product,
    # which has all digits.
    x, y = [(x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in [a, b]]
    nuclear = torch.linalg.svdvals(x @ y.T).sum()
    difference = a.mean(0) - b.mean(0)
    scores["fid_by_nuclear_norm"] = float(
        (difference @ difference) + (x * x).sum() + (y * y).sum() - 2 * nuclear
    )
    arrays = {name: array.numpy().astype(np.float32) for name, array in arrays.items()}
    np.savez(os.path.join(folder, "theirs.npz"), **arrays)
    return {name: float(score) for name, score in scores.items()} | {"few": few}


print(json.dumps(bench() if task == "bench" else parity()))
