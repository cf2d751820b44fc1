#!/usr/bin/env bash
# Two nodes, alpha and beta, on one machine: network namespaces with an address each and a switch in between,
# each with a host name and shared memory of its own, so that MPI takes them for different machines.
#
#   nodes.sh COMMAND...            makes them and runs the command on alpha; they end with it
#   nodes.sh [-OPTION]... NODE COMMAND...   from within: what ssh does, for launchers
#
# Everything is in namespaces that nobody else sees: nothing is left behind, however this ends. MEMORY_alpha and
# MEMORY_beta, in MiB, are what a batch system would let a job use of each node.
set -euo pipefail

# on NODE COMMAND...
on() {
    local node=$1 memory=MEMORY_$1
    shift
    # shellcheck disable=SC2016 # the inner shell expands these
    SLURM_MEM_PER_NODE=${!memory:-} exec ip netns exec "$node" unshare --uts --ipc --mount -- sh -ec '
        hostname "$0"
        mount -t tmpfs memory /dev/shm
        exec "$@"' "$node" "$@"
}

if [[ ${NODES:-} == ready ]]; then
    while [[ $1 == -* ]]; do shift; done
    node=$1
    shift
    # As ssh: one command line, for a shell there.
    on "$node" sh -c "$*"
fi

if [[ ${NODES:-} != new ]]; then
    export NODES=new
    exec unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "$@"
fi

hosts=$(mktemp)
trap 'rm -f "$hosts"' EXIT
mkdir -p /run/netns
mount -t tmpfs nodes /run/netns
ip link add switch type bridge
ip link set switch up
number=0
for node in alpha beta; do
    number=$((number + 1))
    ip netns add "$node"
    ip link add "to-$node" type veth peer name eth0 netns "$node"
    ip link set "to-$node" master switch up
    ip -n "$node" address add "10.0.0.$number/24" dev eth0
    ip -n "$node" link set eth0 up
    ip -n "$node" link set lo up
    echo "10.0.0.$number $node" >>"$hosts"
done
mount --bind "$hosts" /etc/hosts
rm -f "$hosts"
export NODES=ready
on alpha "$@"
