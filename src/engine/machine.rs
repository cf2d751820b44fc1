//! What this machine lets us use: memory and cores, as control groups and batch systems limit them.
//!
//! What the system has available comes from `sysinfo`, and how many cores may be used from the
//! standard library, which knows affinity and quotas. The rest is ours, since `sysinfo` (0.40)
//! would give more than there is, or nothing:
//! - `System::cgroup_limits` looks at the root of the control groups alone, so that the limit of a
//!   group below it, as batch systems and containers without a namespace set it, is passed over.
//! - `Process::cgroup_limits` finds that group, but takes cached file data for used memory: after a
//!   large file has been read nothing would seem left, though the system gives such memory back at
//!   once.
//! - It counts processors by /proc/cpuinfo, which takes long where there are many, and knows
//!   neither cpusets nor what a launcher has bound this process to.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Cores that this process may run on, as affinity and control groups allow.
pub(crate) fn available_cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The processors that this process is bound to; as many as its cores if the system doesn't tell.
pub(crate) fn processors() -> Vec<u32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let listed = list.and_then(numbers).filter(|numbers| !numbers.is_empty());
    listed.unwrap_or_else(|| (0..available_cores() as u32).collect())
}

/// How many processors there are for this process's control group, or else on this machine: what it
/// might be bound to.
pub(crate) fn present_processors() -> usize {
    let of_group = own_group_2()
        .and_then(|group| fs::read_to_string(group.join("cpuset.cpus.effective")).ok());
    let list = of_group.or_else(|| fs::read_to_string("/sys/devices/system/cpu/online").ok());
    list.and_then(|list| numbers(&list)).map_or_else(available_cores, |numbers| numbers.len())
}

/// The numbers in `0-3,8`.
fn numbers(list: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(all)
}

/// Bytes of memory that this process may still take: what the system has available, less if
/// a control group (version 1 or 2) or the batch system's limit leaves less.
pub fn available_memory() -> u64 {
    least_memory().bytes
}

/// How much memory there is, and what doesn't let there be more.
pub(crate) struct MemoryLimit {
    pub bytes: u64,
    /// Who says so, as in "… bytes, which the system has available".
    pub said: &'static str,
}

/// The tightest limit of memory.
pub(crate) fn least_memory() -> MemoryLimit {
    let limits = [
        (system_available(), "which the system has available"),
        (control_group_2(), "which the limit of a control group leaves"),
        (control_group_1(), "which the limit of a control group (version 1) leaves"),
        (batch_system(), "which SLURM_MEM_PER_NODE allows"),
    ];
    let known = limits.into_iter().filter_map(|(bytes, said)| bytes.map(|bytes| (bytes, said)));
    let least = known.min_by_key(|(bytes, _)| *bytes);
    let (bytes, said) = least.unwrap_or((1 << 30, "assumed since the system doesn't tell"));
    MemoryLimit { bytes, said }
}

/// Looks at memory alone: a list of all processes would take memory itself.
fn system_available() -> Option<u64> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(memory).ok()?;
    Some(system.available_memory()).filter(|bytes| *bytes > 0)
}

const ROOT_GROUP: &str = "/sys/fs/cgroup";

/// The folder of this process's control group (version 2).
fn own_group_2() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(Path::new(ROOT_GROUP).join(path.trim_start_matches('/')))
}

/// The tightest of the limits from this process's group up to the root.
fn control_group_2() -> Option<u64> {
    let group = own_group_2()?;
    let root = Path::new(ROOT_GROUP);
    let folders = group.ancestors().take_while(|folder| folder.starts_with(root));
    folders.filter_map(|folder| left(folder, "memory.max", "memory.current", "inactive_file")).min()
}

fn control_group_1() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let line = own.lines().find(|line| line.split(':').nth(1) == Some("memory"))?;
    let root = Path::new("/sys/fs/cgroup/memory");
    let group = root.join(line.splitn(3, ':').nth(2)?.trim_start_matches('/'));
    let (limit, used) = ("memory.limit_in_bytes", "memory.usage_in_bytes");
    [&group, root].iter().find_map(|folder| left(folder, limit, used, "total_inactive_file"))
}

/// What a control group's limit leaves. Cached file data count as used there, but are given back
/// when somebody wants the memory.
fn left(group: &Path, limit: &str, used: &str, cached: &str) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let statistics = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cached = statistics
        .lines()
        .find_map(|line| line.strip_prefix(cached)?.trim().parse::<u64>().ok())
        .unwrap_or(0);
    Some(number(limit)?.saturating_sub(number(used)?.saturating_sub(cached)))
}

/// Slurm's limit per node, in MiB, set inside of a job.
fn batch_system() -> Option<u64> {
    let mebibytes: u64 = std::env::var("SLURM_MEM_PER_NODE").ok()?.parse().ok()?;
    (mebibytes > 0).then_some(mebibytes << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_leaves_what_its_limit_does_and_its_file_cache() {
        let group = tempfile::tempdir().unwrap();
        let left = || left(group.path(), "memory.max", "memory.current", "inactive_file");
        let write = |name, text| fs::write(group.path().join(name), text).unwrap();
        assert_eq!(left(), None);
        write("memory.max", "max\n");
        write("memory.current", "700\n");
        assert_eq!(left(), None);
        write("memory.max", "1000\n");
        assert_eq!(left(), Some(300));
        write("memory.stat", "anon 1\ninactive_file 500\nactive_file 9\n");
        assert_eq!(left(), Some(800));
    }

    #[test]
    fn processors_are_listed_in_ranges() {
        assert_eq!(numbers("\t0-3,8,10-11\n"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(numbers("0"), Some(vec![0]));
        assert_eq!(numbers(""), None);
        assert!(processors().len() >= available_cores());
        assert!(present_processors() >= processors().len());
    }

    #[test]
    fn this_machine_has_cores_and_memory() {
        assert!(available_cores() >= 1);
        assert!(available_memory() > 1 << 20);
    }
}
