#!/usr/bin/env bash
# A study on the nodes of a Slurm allocation: sbatch cluster/slurm.sh FILE [OPTIONS]
#
# Change: the #SBATCH lines (as many GPUs a task as a node has); STORAGE, a folder all nodes see; MLFLOW, the server.
# When the time is up, or others need the nodes, Slurm kills the study. The same command,
# or Slurm's own requeue, continues it from its trials' last checkpoints.
#SBATCH --job-name=orthotune
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --time=08:00:00
#SBATCH --exclusive
#SBATCH --requeue
set -euo pipefail

FILE=${1:?"usage: sbatch cluster/slurm.sh FILE [OPTIONS]"}
shift
STORAGE=${STORAGE:-$HOME/studies}
MLFLOW=${MLFLOW_TRACKING_URI:?"must be the address of an MLflow server, as http://host:5000"}

# Others share these machines: whoever has no token is refused.
export RAY_AUTH_MODE=token
ray get-auth-token --generate >/dev/null # into ~/.ray, which all nodes see

HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Ray finds, and in the end stops, every Ray of a node: hence --exclusive. The port is one
# that no cluster of an earlier job can still have.
PORT=$((20000 + SLURM_JOB_ID % 20000))

# Not inherited by srun of every release; nodes that import from a shared disk take time.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=600
GPUS=${SLURM_GPUS_PER_TASK:-1} # or, with a type, as a100:4

srun --kill-on-bad-exit=1 ray symmetric-run \
  --address "$HEAD:$PORT" --min-nodes "$SLURM_NNODES" \
  --num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "${GPUS##*:}" -- \
  python -m orthotune.search "$FILE" --address auto \
  --storage "$STORAGE" --tracking-uri "$MLFLOW" "$@"
