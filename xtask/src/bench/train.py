"""One measurement of training steps of the reference model, for `cargo xtask bench train`.

Arguments: folder of pixel_iqn.py, config as JSON, mode (torch, torch-channels-last or
torch-compile, each also with -tf32 or -bf16), batch, size, threads, seconds to measure, device.
Prints a line of JSON.
"""

import json
import resource
import sys
import time

folder, config, mode, batch, size, threads, budget, device = sys.argv[1:9]
sys.path.insert(0, folder)

import torch
import pixel_iqn
from pixel_iqn import Config, PixelModel, quantile_huber

batch, size, budget = int(batch), int(size), float(budget)
torch.set_num_threads(int(threads))
torch.manual_seed(0)
options = mode.split("-")
torch.set_float32_matmul_precision("high" if "tf32" in options else "highest")
torch.backends.cudnn.allow_tf32 = "tf32" in options
torch.backends.cudnn.benchmark = True
config = json.loads(config)
output = config.pop("output")
kind = getattr(pixel_iqn, output.pop("kind").capitalize())
c = Config(**config, output=kind(**output))
model = PixelModel(c).to(device)
x = torch.rand(batch, c.channels, size, size, device=device)
if "channels" in options:
    model = model.to(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
forward = torch.compile(model) if "compile" in options else model


def step():
    tau = torch.rand(batch, c.channels, size, size, device=device)
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device.split(":")[0], torch.bfloat16, enabled="bf16" in options):
        loss = quantile_huber(forward(x, tau).float(), x, tau)
    loss.backward()
    optimizer.step()
    # Waits for the device.
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
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
if device.startswith("cuda"):
    memory = torch.cuda.max_memory_allocated()
print(
    json.dumps(
        {
            "seconds_per_step": seconds[len(seconds) // 2],
            "peak_bytes": memory,
            "torch": torch.__version__,
        }
    )
)
