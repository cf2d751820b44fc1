//! How this process was started, by what MPI launchers leave in the environment.
//!
//! Being inside of an allocation is not being launched: only variables count that a launcher sets
//! for each process that it starts.

/// How this process was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Launch {
    /// By itself, or as the only process of a job.
    Alone,
    /// As one of several.
    Together { launcher: &'static str, rank: usize },
}

/// The variables that tell how many processes were started, and which one this is.
const LAUNCHERS: [(&str, &str, &str); 3] = [
    ("mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("mpiexec", "PMI_SIZE", "PMI_RANK"),
    ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
];
/// Where only PMIx tells, it doesn't tell how many there are.
const PMIX_RANK: &str = "PMIX_RANK";

/// What the environment says.
pub(super) fn detect(variable: impl Fn(&str) -> Option<String>) -> Launch {
    let number = |name: &str| variable(name)?.trim().parse::<usize>().ok();
    let mut is_known = false;
    for (launcher, size, rank) in LAUNCHERS {
        let Some(size) = number(size) else { continue };
        is_known = true;
        if size > 1 {
            return Launch::Together { launcher, rank: number(rank).unwrap_or(0) };
        }
    }
    match number(PMIX_RANK) {
        Some(rank) if !is_known => Launch::Together { launcher: "a PMIx launcher", rank },
        _ => Launch::Alone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Launch {
        detect(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn launchers_are_known_by_what_they_set_for_each_process() {
        let together = |launcher, rank| Launch::Together { launcher, rank };
        for (variables, expected) in [
            (&[][..], Launch::Alone),
            (
                &[("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "3")],
                together("mpirun", 3),
            ),
            (&[("PMI_SIZE", "2"), ("PMI_RANK", "1")], together("mpiexec", 1)),
            (&[("SLURM_STEP_NUM_TASKS", "64"), ("SLURM_PROCID", "5")], together("srun", 5)),
            (&[("PMIX_RANK", "0")], together("a PMIx launcher", 0)),
            (&[("OMPI_COMM_WORLD_SIZE", "1"), ("PMIX_RANK", "0")], Launch::Alone),
            (&[("PMI_SIZE", "1")], Launch::Alone),
            (&[("SLURM_STEP_NUM_TASKS", "1"), ("SLURM_PROCID", "0")], Launch::Alone),
        ] {
            assert_eq!(launch(variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn an_allocation_is_no_launcher() {
        let inside = [("SLURM_JOB_ID", "7"), ("SLURM_NTASKS", "64"), ("PBS_NP", "64")];
        assert_eq!(launch(&inside), Launch::Alone);
    }
}
