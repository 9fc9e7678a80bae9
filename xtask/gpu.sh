#!/usr/bin/env bash
# Measures pixel-iqn on a GPU machine that has no Rust, in fifteen minutes, what matters first:
# docs/devices.md says how to bring it there.
#
# Usage: gpu.sh BIN DATA REPO OUT [STEP...]
#   BIN   folder with the programs xtask and pixel-iqn, built with CUDA
#   DATA  folder of CIFAR-10 (binary version)
#   REPO  the repository, for the reference model and its vectors
#   OUT   folder for what comes out: a log for each step, which grows as the step runs, and the run
#   STEP  in this order by default: device parity first-step train-bench train sample-bench evaluate;
#         profile is run only where it is named
#
# Each step has a limit of its own, after which it is ended (and killed ten seconds later), so that a
# program that hangs does not take the time of the others. A step that fails is told, and the next one
# runs.
#
# Environment: PYTHON (python3) with PyTorch; DEVICE (cuda); PRESET (paper_small); BATCH (64); STEPS
# (20000); LIMIT_SCALE (1), by which all limits are multiplied; WEIGHTS, those of Inception v3 if they
# are there. A rehearsal without a GPU:
#   DEVICE=wgpu:software PRESET=tiny BATCH=4 STEPS=40 LIMIT_SCALE=2 gpu.sh ...
set -uo pipefail

usage() {
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d'
}

if [ $# -lt 4 ]; then
    usage
    exit 2
fi
bin=$1 data=$2 repo=$3 out=$4
shift 4
python=${PYTHON:-python3}
device_name=${DEVICE:-cuda}
preset=${PRESET:-paper_small}
batch=${BATCH:-64}
steps=${STEPS:-20000}
reference=$repo/crates/pixel-iqn-core/tests/fixtures/reference
mkdir -p "$out"

# The seconds that a step may take: 14 minutes in all.
limit() {
    case $1 in
    device) seconds=30 ;;
    parity) seconds=150 ;;
    first-step) seconds=90 ;;
    train-bench) seconds=180 ;;
    train) seconds=210 ;;
    sample-bench) seconds=90 ;;
    evaluate) seconds=90 ;;
    profile) seconds=120 ;;
    *) return 1 ;;
    esac
    echo $((seconds * ${LIMIT_SCALE:-1}))
}

device() {
    case $device_name in
    cuda*) nvidia-smi && "$python" -c 'import torch; print("PyTorch", torch.__version__, torch.version.cuda)' ;;
    *) lscpu | grep 'Model name' ;;
    esac
}

# The vectors, by all lowerings.
parity() {
    for lowering in fastest product convolution; do
        echo "lowering: $lowering"
        "$bin/xtask" parity "$reference/vectors" --device "$device_name" --lowering "$lowering" || failed=1
    done
    return "${failed:-0}"
}

# From the start of a program to its first step, cold and then with the kernels that it kept.
first-step() {
    for start in cold warm; do
        echo "$start start"
        "$bin/xtask" bench train --device "$device_name" --case "$preset:$batch" --lowering fastest \
            --seconds 1 --json || failed=1
    done
    return "${failed:-0}"
}

train-bench() {
    torch=()
    [[ $device_name == cuda* ]] && torch=(--python "$python" --reference "$reference"
        --torch torch-compile-tf32,torch-compile-bf16)
    # Our kernels and PyTorch first: what the other lowerings miss of the limit is missed least.
    "$bin/xtask" bench train --device "$device_name" --case "$preset:$batch" --seconds 5 \
        --lowering fastest "${torch[@]}" || failed=1
    "$bin/xtask" bench train --device "$device_name" --case "$preset:$batch" --seconds 5 \
        --lowering product,convolution || failed=1
    return "${failed:-0}"
}

# A training that is interrupted, which writes a checkpoint, and goes on.
train() {
    folder=$out/run
    part=$((60 * ${LIMIT_SCALE:-1}))
    flags=(--run "$folder" --dataset cifar10 --data "$data" --preset "$preset" --steps "$steps"
        --batch "$batch" --checkpoint-steps 500)
    [ -f "$folder/config.toml" ] && flags=(--resume "$folder" --data "$data")
    for _ in first second; do
        # 124: the time of this part is over.
        timeout --signal INT --kill-after 30 "$part" "$bin/pixel-iqn" train --device "$device_name" \
            --plain "${flags[@]}"
        status=$?
        [ $status -eq 0 ] || [ $status -eq 124 ] || [ $status -eq 130 ] || return 1
        wc -l "$folder/metrics.jsonl"
        flags=(--resume "$folder" --data "$data")
    done
}

# 10,000 images in a minute are 167 images a second.
sample-bench() {
    "$bin/xtask" bench sample --device "$device_name" --preset "$preset" --lowering fastest \
        --batch "$batch,1" || failed=1
    "$bin/xtask" bench sample --device "$device_name" --preset "$preset" --lowering product,convolution \
        --batch "$batch" || failed=1
    return "${failed:-0}"
}

# Scores and samples of the run, finished or broken off.
evaluate() {
    "$bin/pixel-iqn" sample --device "$device_name" --run "$out/run" --count 100 --out "$out/samples.png" || failed=1
    "$bin/pixel-iqn" evaluate --device "$device_name" --run "$out/run" --data "$data" --images 100 \
        --taus 20 --out "$out/scores.json" || failed=1
    return "${failed:-0}"
}

# What takes the time of a training step: by Nsight Systems where it is there, else the launches that
# CubeCL writes down one by one.
profile() {
    bench=("$bin/xtask" bench train --device "$device_name" --case "$preset:$batch" --lowering fastest
        --seconds 5)
    if command -v nsys; then
        nsys profile --stats true --force-overwrite true --output "$out/profile" "${bench[@]}"
    else
        CUBECL_DEBUG_OPTION=profile-medium CUBECL_DEBUG_LOG="$out/profile.log" "${bench[@]}"
        wc "$out/profile.log"
    fi
}

# The script runs itself for each step, under the step's limit.
if [ "${1:-}" = --within-limit ]; then
    "$2"
    exit
fi
if [ $# -eq 0 ]; then
    set -- device parity first-step train-bench train sample-bench evaluate
fi
for step in "$@"; do
    if ! limit "$step" >/dev/null; then
        echo "there is no step $step" >&2
        usage >&2
        exit 2
    fi
done
for step in "$@"; do
    echo "== $step, at most $(limit "$step") s"
    began=$SECONDS
    timeout --kill-after 10 "$(limit "$step")" "$0" "$bin" "$data" "$repo" "$out" --within-limit "$step" 2>&1 |
        tee "$out/$step.log"
    status=${PIPESTATUS[0]}
    echo "== $step: exit status $status after $((SECONDS - began)) s" | tee -a "$out/$step.log"
    [ "$status" -eq 0 ] || any_failed=1
done
exit "${any_failed:-0}"
