# shellcheck shell=bash
# Runs pixelmill under an MPI launcher, again and again until the computation is done, as far as the job's
# time allows. slurm.sh, pbs.sh and hostfile.sh read this file, so copy it along with them.
#
#   until_done pixelmill run PROCESS FILE [OPTION]...
#
# The same command resumes a run that was stopped or killed, so all there is to decide is whether to give it
# again. The exit code of the launcher tells:
#
#   0, 3             done (3: some positions failed)            the job ends with this code
#   1, 2, 126, 127   an error, which would only come again      the job ends with this code
#   129, 130, 143    stopped                                    goes on
#   anything else    a rank was killed, a node was lost ...     goes on
#
# It goes on only while that leads somewhere: once three runs in a row have completed no position, the job ends
# with 1. SIGUSR1 is the batch system that says that time is nearly over; then, or when `job_end` is near,
# `go_on_later` is called. SIGTERM, SIGINT and SIGHUP are somebody who wants it to end: it ends with 143, 130
# or 129, after the positions in hand; a second one doesn't wait for these.
#
# What the job script sets before:
#   launcher      how to start pixelmill on all ranks, an array
#   job_end       when the job's time is over, in seconds since 1970; empty if there is no limit
#   memory        a file that keeps, from one job to the next, how many runs in a row have completed nothing;
#                 empty if nothing comes after this job
#   go_on_later   a function that submits the job once more

# Set by the job script.
: "${launcher:?}"
# Seconds from telling pixelmill to stop until it has ended: for the positions that are in hand.
spare=${JOB_SPARE:-120}
most_in_vain=3

say() { echo "${0##*/}: $*" >&2; }

# The signal on which all ranks finish what they have in hand. mpirun of Open MPI and srun pass SIGUSR1 on.
# Open MPI takes SIGTERM for an order to kill all ranks a second later. MPICH's mpiexec passes SIGTERM on, and
# keeps SIGUSR1 to itself.
find_stop_signal() {
    stop_signal=USR1
    if [[ $("${launcher[0]}" --version 2>&1) == *HYDRA* ]]; then
        stop_signal=TERM
    fi
}

pass_on() {
    passed_on=yes
    interrupted=yes
    if [[ $child ]]; then kill -s "$1" "$child" 2>/dev/null || true; fi
}

time_is_nearly_over() {
    time_is_over=yes
    pass_on "$stop_signal"
}

end_with() {
    if [[ $ended_by ]]; then pass_on TERM; else pass_on "$stop_signal"; fi
    ended_by=$1
}

# How many positions are completed in all the files that a command names.
completed_by() {
    local program=$1 argument
    shift
    for argument; do
        argument=${argument#--output=}
        [[ ! -f $argument ]] || "$program" status "$argument" --json 2>/dev/null || true
    done | tr ',{}' '\n' | awk -F: '$1 == "\"completed\"" { sum += $2 } END { print sum + 0 }'
}

# Seconds of the job that are left to compute in.
seconds_left() { echo $((job_end - $(date +%s) - spare)); }

has_time() {
    [[ ! $time_is_over ]] && { [[ ! $job_end ]] || (($(seconds_left) > 0)); }
}

# Kills a launcher that is still there a minute after the ranks that it has started on this machine: mpirun of Open
# MPI may hang when it has killed them. Of launchers that leave it to others to start ranks nothing is seen here.
watch_launcher() {
    local launcher=$1 program ranks had_ranks='' alone=0
    program=$(basename "$2")
    while sleep 1 && kill -0 "$launcher" 2>/dev/null; do
        ranks=$(ps -o stat=,comm= --ppid "$launcher" 2>/dev/null | grep " ${program:0:15}") || true
        [[ ! $ranks ]] || had_ranks=yes
        # What has ended is a zombie until the launcher looks after it.
        if [[ ! $had_ranks ]] || grep -q '^[^Z]' <<<"$ranks"; then
            alone=0
        elif ((++alone >= ${JOB_PATIENCE:-60})); then
            say "the launcher hangs, though its ranks have ended; it is killed"
            kill -KILL "$launcher" || true
        fi
    done
}

# Starts a command on all ranks, once, and sets `code` to how it ended.
run_once() {
    local command=("$@") left watcher
    if [[ $job_end && " $* " != *" --stop-after"[\ =]* ]]; then
        left=$(seconds_left)
        command+=(--stop-after "$((left > 0 ? left : 1))s")
    fi
    # In a process group of its own: Ctrl-C at a terminal comes here, and not to the launcher.
    set -m
    "${launcher[@]}" "${command[@]}" </dev/null &
    child=$!
    watch_launcher "$child" "$1" &
    watcher=$!
    set +m
    # A signal ends `wait`, but not what it waits for.
    while
        interrupted=''
        code=0
        wait "$child" || code=$?
        [[ $interrupted ]]
    do :; done
    child=''
    # With what it waits for.
    kill -- "-$watcher" 2>/dev/null || true
    wait "$watcher" || true
    # MPICH's mpiexec ends with 0 if stopping took it more than two seconds.
    if [[ $passed_on && $code == 0 ]]; then code=143; fi
}

# Counts a run that has completed nothing, and gives up after too many.
count_in_vain() {
    in_vain=$((in_vain + 1))
    if ((in_vain >= most_in_vain)); then
        say "$in_vain times in a row no position was completed ($1); giving up"
        finish 1
    fi
    keep_in_mind
}

keep_in_mind() { [[ ! $memory ]] || echo "$in_vain" >"$memory"; }

finish() {
    [[ ! $memory ]] || rm -f "$memory"
    exit "$1"
}

until_done() {
    local before
    if [[ " $* " == *" --override "* ]]; then
        say "--override begins anew at each start, and would never be done; leave it out"
        finish 2
    fi
    code='' child='' interrupted='' passed_on='' time_is_over='' ended_by='' in_vain=0
    find_stop_signal
    trap time_is_nearly_over USR1
    trap 'end_with 129' HUP
    trap 'end_with 130' INT
    trap 'end_with 143' TERM
    if [[ $memory && -f $memory ]]; then in_vain=$(<"$memory"); fi
    while has_time && [[ ! $ended_by ]]; do
        before=$(completed_by "$@")
        run_once "$@"
        [[ $code != [03] ]] || finish "$code"
        # Launchers that are told to end have codes of their own.
        [[ ! $ended_by ]] || break
        if [[ $code =~ ^(1|2|126|127)$ ]]; then
            say "it ended with code $code, an error that would only come again"
            finish "$code"
        fi
        if (($(completed_by "$@") > before)); then
            in_vain=0
            keep_in_mind
        else
            count_in_vain "the last run ended with code $code"
        fi
        say "it ended with code $code; the same command goes on with it"
    done
    [[ ! $ended_by ]] || finish "$ended_by"
    [[ $code ]] || count_in_vain "the job had no time left to begin"
    go_on_later "$@"
}
