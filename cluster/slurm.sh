#!/bin/bash
# A sweep in one Slurm allocation: `sbatch cluster/slurm.sh search_spaces/ckd_glue.yaml`. Slurm tests it without
# running it: `sbatch --test-only cluster/slurm.sh FILE`. Never run by us on Slurm.
#SBATCH --job-name=raykd
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1          # one Ray for each machine, which hands out its GPUs
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --exclusive                  # `ray stop` ends every Ray of yours on a machine
#SBATCH --time=08:00:00              # allocations are often charged by the hour, used or not
#SBATCH --signal=B:INT@300           # five minutes before the end, the sweep stops and writes its report
#SBATCH --output=raykd-%j.log
set -euo pipefail
set -m                               # or bash would let the sweep ignore that signal

: "${1:?usage: sbatch cluster/slurm.sh FILE, or --resume RUN}"
if [ -f .venv/bin/activate ]; then   # an environment on a file system that all machines see
    source .venv/bin/activate
fi

# Whoever knows the token may run code on the cluster. Home is shared, so every machine finds it.
export RAY_AUTH_MODE=token
ray get-auth-token --generate > /dev/null
export RAY_TMPDIR=/tmp/r$SLURM_JOB_ID   # short: the names of sockets hold 107 bytes

# This script runs on the first machine: Ray's head and the driver are here, the other machines join.
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
address=$(getent ahostsv4 "${hosts[0]}" | awk 'NR == 1 {print $1}')
port=$((20000 + SLURM_JOB_ID % 10000))
holds=(--num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "${SLURM_GPUS_ON_NODE:-0}")

trap 'ray stop --force' EXIT
ray start --head --node-ip-address "$address" --port "$port" --dashboard-host 127.0.0.1 "${holds[@]}"
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then
    srun --nodes "$others" --ntasks "$others" --exclude "${hosts[0]}" \
        ray start --block --address "$address:$port" "${holds[@]}" &
fi
python - "$SLURM_JOB_NUM_NODES" <<'P'
import sys, time, ray
ray.init(address="auto", log_to_driver=False)
for _ in range(150):
    if sum(node["Alive"] for node in ray.nodes()) >= int(sys.argv[1]):
        sys.exit()
    time.sleep(2)
sys.exit("raykd: machines of the allocation did not join within five minutes")
P

# `sbatch cluster/slurm.sh --resume runs/RUN` continues where this job ends.
raykd sweep "$@" --address auto --out runs --format plain &
sweep=$!
trap 'kill -INT "$sweep"' INT
code=0
wait "$sweep" || code=$?
if kill -0 "$sweep" 2> /dev/null; then   # the signal ended the wait, not the sweep
    code=0
    wait "$sweep" || code=$?
fi
exit "$code"
