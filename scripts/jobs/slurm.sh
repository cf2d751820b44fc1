#!/usr/bin/env bash
# Computes a scan on several nodes under Slurm, in as many jobs as it takes:
#
#   sbatch scripts/jobs/slurm.sh pixelmill run PROCESS FILE [OPTION]...
#
# Change the lines below to what your cluster has, or give the same options to sbatch. One rank per node uses
# all its cores; several ranks per node divide cores and memory among them.
#SBATCH --job-name=pixelmill
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=04:00:00
#
# Three minutes before the time is over Slurm sends SIGUSR1 to this script, which passes it on. `B:` because
# Slurm would send it to the steps otherwise, which are MPI's own daemons under mpirun.
#SBATCH --signal=B:USR1@180
# The job is queued again under the same number, by itself until all is done, and by Slurm if a node is lost.
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

# Ranks must not be bound to single cores, which Open MPI would do. With Slurm's own launcher:
#   LAUNCHER="srun --mpi=pmix --cpu-bind=none --kill-on-bad-exit=1" sbatch ...
read -ra launcher <<<"${LAUNCHER:-mpirun --bind-to none}"

# Slurm runs a copy of this script, but knows where it was, and when the job's time is over.
job=$(scontrol show job "$SLURM_JOB_ID")
script=$(sed -n 's/^ *Command=\(.*slurm\.sh\).*/\1/p' <<<"$job")
end=$(sed -n 's/.* EndTime=\([0-9][^ ]*\).*/\1/p' <<<"$job")
job_end=${end:+$(date -d "$end" +%s)}
memory=$PWD/.pixelmill-$SLURM_JOB_ID
go_on_later() { exec scontrol requeue "$SLURM_JOB_ID"; }

# shellcheck source-path=SCRIPTDIR source=until-done.sh
source "$(dirname "$script")/until-done.sh"
until_done "$@"
