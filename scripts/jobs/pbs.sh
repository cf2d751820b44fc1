#!/usr/bin/env bash
# Computes a scan on several nodes under PBS (OpenPBS, PBS Professional), in as many jobs as it takes:
#
#   scripts/jobs/pbs.sh pixelmill run PROCESS FILE [OPTION]...
#
# On a login node it submits itself with qsub; in the job it computes, and submits itself once more if time
# is over before all is done. Change what follows to what your cluster has. One rank per node uses all its
# cores (ncpus); several ranks per node (mpiprocs) divide cores and memory among them.
set -euo pipefail

walltime=${WALLTIME:-04:00:00}
resources=(-N pixelmill -j oe -l "select=2:ncpus=32:mpiprocs=1" -l "walltime=$walltime")
# Ranks must not be bound to single cores, which Open MPI would do.
read -ra launcher <<<"${LAUNCHER:-mpirun --bind-to none}"

script=$(realpath "${BASH_SOURCE[0]}")
# `--` has PBS run this very file with arguments, not a copy without; `-V` passes the environment on, so that
# mpirun and pixelmill are found.
submit() { exec qsub -V "${resources[@]}" -- "$script" "$@"; }

if [[ ! ${PBS_JOBID:-} ]]; then
    submit "$@"
fi
cd "$PBS_O_WORKDIR"

# PBS doesn't say when it will end the job: it is the walltime from now on. It sends SIGTERM then, only
# seconds before SIGKILL, so that the time is what ends a run.
IFS=: read -r hours minutes seconds <<<"$walltime"
job_end=$(($(date +%s) + 3600 * 10#$hours + 60 * 10#$minutes + 10#$seconds))
# The jobs that follow find it by their environment.
export PIXELMILL_MEMORY=${PIXELMILL_MEMORY:-$PWD/.pixelmill-$PBS_JOBID}
memory=$PIXELMILL_MEMORY
go_on_later() { submit "$@"; }

# shellcheck source-path=SCRIPTDIR source=until-done.sh
source "$(dirname "$script")/until-done.sh"
until_done "$@"
