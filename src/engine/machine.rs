//! What this machine lets us use: memory and cores, as control groups and batch systems limit them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

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

/// How many processors there are for this process's control group, or else on this machine: what it might be
/// bound to.
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
    let limits = [system_available(), control_group_2(), control_group_1(), batch_system()];
    limits.into_iter().flatten().min().unwrap_or(1 << 30)
}

fn system_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
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
