#!/usr/bin/env bash
# Computes a scan on the machines of a hostfile, without a batch system, and starts again until all is done:
#
#   scripts/jobs/hostfile.sh HOSTFILE pixelmill run PROCESS FILE [OPTION]...
#
# The hostfile has one machine per line. Each has to reach the others by ssh without a password, and to have
# pixelmill and the file at the same place. For one rank per machine, which uses all but other ranks' cores:
#   node1 slots=1          (MPICH: node1:1)
# Ctrl-C ends it after the positions in hand; a second one at once. To leave it alone: nohup hostfile.sh ... &
set -euo pipefail

if (($# < 2)); then
    echo "usage: ${0##*/} HOSTFILE pixelmill run PROCESS FILE [OPTION]..." >&2
    exit 2
fi
# Ranks must not be bound to single cores, which Open MPI would do.
read -ra launcher <<<"${LAUNCHER:-mpirun --bind-to none}"
launcher+=(--hostfile "$1")
shift

job_end=''
memory=''
# Only if somebody sends it SIGUSR1: there is no batch system to wait for.
go_on_later() { exit 143; }

# shellcheck source-path=SCRIPTDIR source=until-done.sh
source "$(dirname "${BASH_SOURCE[0]}")/until-done.sh"
until_done "$@"
