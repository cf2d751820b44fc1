//! What this machine lets us use: memory and cores, as control groups and batch systems limit them.

use std::fs;
use std::path::Path;
use std::thread;

/// Cores that this process may run on, as affinity and control groups allow.
pub(crate) fn available_cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes of memory that this process may still take: what the system has available, less if
/// a control group (version 1 or 2) or the batch system's limit leaves less.
pub fn available_memory() -> u64 {
    let limits = [system_available(), control_group_2(), control_group_1(), batch_system()];
    limits.into_iter().flatten().min().unwrap_or(1 << 30)
}

fn system_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The tightest of the limits from this process's group up to the root.
fn control_group_2() -> Option<u64> {
    let own = group_path("0::")?;
    let root = Path::new("/sys/fs/cgroup");
    let group = root.join(own.trim_start_matches('/'));
    group
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(|folder| left(&folder.join("memory.max"), &folder.join("memory.current")))
        .min()
}

fn control_group_1() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let line = own.lines().find(|line| line.split(':').nth(1) == Some("memory"))?;
    let root = Path::new("/sys/fs/cgroup/memory");
    let group = root.join(line.splitn(3, ':').nth(2)?.trim_start_matches('/'));
    [group.as_path(), root].iter().find_map(|folder| {
        left(&folder.join("memory.limit_in_bytes"), &folder.join("memory.usage_in_bytes"))
    })
}

fn group_path(prefix: &str) -> Option<String> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    own.lines().find_map(|line| line.strip_prefix(prefix)).map(str::to_owned)
}

fn left(limit: &Path, used: &Path) -> Option<u64> {
    let number = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    Some(number(limit)?.saturating_sub(number(used)?))
}

/// Slurm's limit per node, in MiB, set inside of a job.
fn batch_system() -> Option<u64> {
    let mebibytes: u64 = std::env::var("SLURM_MEM_PER_NODE").ok()?.parse().ok()?;
    (mebibytes > 0).then_some(mebibytes << 20)
}
