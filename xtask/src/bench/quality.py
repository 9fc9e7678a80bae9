"""One training of the reference model, for `cargo xtask bench quality`.

Arguments: folder of pixel_iqn.py, folder of the task, which has job.json, the images as bytes and the
first weights. Scores the model every so many steps; says so on stderr, and prints the last score as a
line of JSON.
"""

import json
import pathlib
import struct
import sys
import time

sys.path.insert(0, sys.argv[1])
folder = pathlib.Path(sys.argv[2])

import torch
from pixel_iqn import Config, Gates, PixelModel, quantile_huber

job = json.loads((folder / "job.json").read_text())
torch.set_num_threads(1)
torch.manual_seed(job["seed"])


def images(name):
    levels = torch.frombuffer(bytearray((folder / name).read_bytes()), dtype=torch.uint8)
    return levels.view(-1, *job["shape"]).float() / 255


def weights(path):
    """The tensors of a safetensors file of float32."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    header.pop("__metadata__", None)
    data = bytearray(raw[8 + length :])
    for name, tensor in header.items():
        start, end = tensor["data_offsets"]
        values = torch.frombuffer(data, dtype=torch.float32, count=(end - start) // 4, offset=start)
        yield name, values.reshape(tensor["shape"])


config = job["model"]
output = config.pop("output")
output.pop("kind")
model = PixelModel(Config(**config, output=Gates(**output)))
model.load_state_dict(dict(weights(folder / "weights.safetensors")), strict=False)
train, held_out = images("train.bin"), images("held_out.bin")
optimizer = torch.optim.Adam(model.parameters(), lr=job["learning_rate"])


def score():
    """The CRPS of the held-out images at levels of tau in the middle of equal parts."""
    with torch.no_grad():
        losses = []
        for k in range(job["levels"]):
            tau = torch.full_like(held_out, (k + 0.5) / job["levels"])
            losses.append(quantile_huber(model(held_out, tau), held_out, tau, kappa=0).item())
    return 2 * sum(losses) / len(losses)


seconds, step, batch = 0.0, 0, job["batch"]
while True:
    before = time.perf_counter()
    for _ in range(job["every"]):
        x = train[[(step * batch + i) % len(train) for i in range(batch)]]
        tau = torch.rand_like(x)
        optimizer.zero_grad(set_to_none=True)
        quantile_huber(model(x, tau), x, tau, kappa=job["kappa"]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), job["clip_norm"])
        optimizer.step()
        step += 1
    seconds += time.perf_counter() - before
    crps = score()
    print(f"torch: step {step}, {seconds:.0f} s, CRPS {crps:.5f}", file=sys.stderr, flush=True)
    if crps <= job["target"] or seconds >= job["limit"]:
        break
print(json.dumps({"steps": step, "seconds": seconds, "crps": crps, "torch": torch.__version__}))
