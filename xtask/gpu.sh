#!/usr/bin/env bash
# Measures pixel-iqn on an NVIDIA GPU that has no Rust: docs/devices.md says how to bring it there.
#
# Usage: gpu.sh BIN DATA REPO OUT [STEP...]
#   BIN   folder with the programs xtask and pixel-iqn, built with CUDA
#   DATA  folder of CIFAR-10 (binary version)
#   REPO  the repository, for the reference model and its vectors
#   OUT   folder for what comes out: a log for each step, and the run
#   STEP  in this order by default: device parity train-bench sample-bench profile train evaluate
#
# Environment: PYTHON (python3) with PyTorch; DEVICE (cuda); MINUTES (8) of training; WEIGHTS,
# those of Inception v3 if they are there; PEAK_BATCHES, the batches that
# the training bench tries. A step that fails is told and does not keep the next from running.
set -uo pipefail

if [ $# -lt 4 ]; then
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
    exit 2
fi
bin=$1 data=$2 repo=$3 out=$4
shift 4
python=${PYTHON:-python3}
device_name=${DEVICE:-cuda}
minutes=${MINUTES:-8}
reference=$repo/crates/pixel-iqn-core/tests/fixtures/reference
mkdir -p "$out"

device() {
    nvidia-smi &&
            "$python" -c 'import torch; print("PyTorch", torch.__version__, torch.version.cuda)'
}

# The vectors on CUDA, by both lowerings.
parity() {
    for lowering in product convolution; do
        echo "lowering: $lowering"
        "$bin/xtask" parity "$reference/vectors" --device "$device_name" --lowering "$lowering" || failed=1
    done
    return "${failed:-0}"
}

# Finds the best batch of each model first, and compares it with PyTorch.
train-bench() {
    for preset in paper_small paper_large; do
        best=$(for batch in ${PEAK_BATCHES:-32 64 128 256}; do
            "$bin/xtask" bench train --device "$device_name" --case "$preset:$batch" --seconds 5 --json
        done | tee -a "$out/batches.jsonl" | "$python" -c '
import json, sys
runs = [json.loads(line) for line in sys.stdin]
print(max(runs, key=lambda run: run["images_per_second"])["batch"] if runs else 32)')
        "$bin/xtask" bench train --device "$device_name" --case "$preset:$best" --python "$python" \
            --reference "$reference" || failed=1
    done
    return "${failed:-0}"
}

# 10,000 images in a minute are 167 images a second.
sample-bench() {
    "$bin/xtask" bench sample --device "$device_name" --batch 1,64,256,1024
}

# What takes the time of a training step: by Nsight Systems where it is there, else the launches that
# CubeCL writes down one by one.
profile() {
    bench=("$bin/xtask" bench train --device "$device_name" --case paper_small:64 --lowering product
        --seconds 5)
    if command -v nsys; then
        nsys profile --stats true --force-overwrite true --output "$out/profile" "${bench[@]}"
    else
        CUBECL_DEBUG_OPTION=profile-medium CUBECL_DEBUG_LOG="$out/profile.log" "${bench[@]}"
        wc "$out/profile.log"
    fi
}

# `paper_small` on all of CIFAR-10, with and without classes, until the time is over; the runs go on
# where they stopped when the step is run again, with the batch and the steps they began with.
train() {
    for run in plain classes; do
        folder=$out/$run
        if [ -f "$folder/config.toml" ]; then
            flags=(--resume "$folder" --data "$data")
        else
            flags=(--run "$folder" --dataset cifar10 --data "$data" --preset paper_small
                --steps "${STEPS:-20000}" --batch "${BATCH:-64}" --checkpoint-steps 1000)
            [ "$run" = classes ] && flags+=(--class-conditional)
        fi
        # An interrupt writes a checkpoint.
        # 124: the time is over.
        timeout --signal INT "$((minutes * 30))" "$bin/pixel-iqn" train --device "$device_name" --plain "${flags[@]}" || [ $? -eq 124 ] || failed=1
    done
    return "${failed:-0}"
}

# Scores and samples of the runs that `train` finished or broke off.
evaluate() {
    for run in plain classes; do
        time "$bin/pixel-iqn" sample --device "$device_name" --run "$out/$run" --count 10000 --batch 1024 \
            --out "$out/$run.npz"
        "$bin/pixel-iqn" sample --device "$device_name" --run "$out/$run" --count 100 --out "$out/$run.png"
        "$bin/pixel-iqn" evaluate --device "$device_name" --run "$out/$run" --data "$data" --images 1000 \
            --out "$out/$run.json" || failed=1
        "$bin/pixel-iqn" evaluate --device "$device_name" --generated "$out/$run.npz" \
            --real "cifar10:$data:held-out" ${WEIGHTS:+--weights "$WEIGHTS"} \
            --out "$out/$run-samples.json" || failed=1
    done
    return "${failed:-0}"
}

if [ $# -eq 0 ]; then
    set -- device parity train-bench sample-bench profile train evaluate
fi
for step in "$@"; do
    case $step in
    device | parity | train-bench | sample-bench | profile | train | evaluate) ;;
    *)
        echo "there is no step $step: device parity train-bench sample-bench profile train evaluate" >&2
        exit 2
        ;;
    esac
done
for step in "$@"; do
    echo "== $step"
    "$step" 2>&1 | tee "$out/$step.log"
    if [ "${PIPESTATUS[0]}" -ne 0 ]; then
        echo "== $step failed"
        any_failed=1
    fi
done
exit "${any_failed:-0}"
