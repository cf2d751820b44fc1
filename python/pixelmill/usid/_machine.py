"""What there is to be used: cores and memory."""

import os
from pathlib import Path

# Limit, use and statistics of a control group, version 2 and version 1.
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def recommended_cores() -> int:
    """All of them but one, or but two where there are many."""
    cores = usable_cores()
    return max(1, cores - 1 - int(cores > 4))


def available_memory() -> int:
    """Bytes that can be had: what the machine has available, or what is left of a container's limit."""
    known = _fields(Path("/proc/meminfo"))
    left = [known["MemAvailable:"] * 1024]
    for limit, used, statistics in (map(Path("/sys/fs/cgroup").joinpath, names) for names in _LIMITS):
        try:
            # What files were read is given up for whoever needs memory.
            read = _fields(statistics).get("inactive_file", 0)
            left.append(max(0, int(limit.read_text()) - int(used.read_text()) + read))
        except (OSError, ValueError):
            continue
    return min(left)


def _fields(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text().splitlines())
    return {line[0]: int(line[1]) for line in lines}
