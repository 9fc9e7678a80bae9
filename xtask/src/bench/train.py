"""One measurement of training steps of the reference model, for `cargo xtask bench train`.

Arguments: folder of pixel_iqn.py, config as JSON, mode (torch, torch-channels-last,
torch-compile), batch, size, threads, seconds to measure. Prints a line of JSON.
"""

import json
import resource
import sys
import time

folder, config, mode, batch, size, threads, budget = sys.argv[1:8]
sys.path.insert(0, folder)

import torch
from pixel_iqn import Config, PixelModel, quantile_huber

batch, size, budget = int(batch), int(size), float(budget)
torch.set_num_threads(int(threads))
torch.manual_seed(0)
c = Config(**json.loads(config))
model = PixelModel(c)
x = torch.rand(batch, c.channels, size, size)
if mode == "torch-channels-last":
    model = model.to(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
forward = torch.compile(model) if mode == "torch-compile" else model


def step():
    tau = torch.rand(batch, c.channels, size, size)
    optimizer.zero_grad(set_to_none=True)
    loss = quantile_huber(forward(x, tau), x, tau)
    loss.backward()
    optimizer.step()
    return loss.item()


for _ in range(3):
    step()
seconds = []
start = time.perf_counter()
while len(seconds) < 5 or time.perf_counter() - start < budget:
    before = time.perf_counter()
    step()
    seconds.append(time.perf_counter() - before)
seconds.sort()
print(
    json.dumps(
        {
            "seconds_per_step": seconds[len(seconds) // 2],
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "torch": torch.__version__,
        }
    )
)
