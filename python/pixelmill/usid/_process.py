"""A base class like pyUSID's."""

import contextlib
import time
from typing import Any

import h5py
import numpy as np
from pyUSID.io.hdf_utils import check_if_main
from pyUSID.io.usi_data import USIDataset

from .. import _pixelmill
from .._errors import Error, ResultsError, UnsuitableError, UsageError
from .._worker import last_line
from . import _computation, _durable, _groups, _independent
from ._errors import ReadOnly, WrongType
from ._parallel import Failure, NothingComputed, noting_failures, parallel_compute, seeded
from ._record import Record, rows_of

_BATCH_SECONDS = 2.0
_FIRST_POSITIONS = 16
_GROWTH = 4
# What fails so isn't a position's fault.
_NOT_OF_A_POSITION = (NotImplementedError, MemoryError, OSError, Error)


class Process:
    """A computation over all positions of a main dataset, as classes on pyUSID's ``Process`` describe one.

    It is what pyUSID 0.0.12 has under this name, with its constructor, attributes and hooks, so that such classes run
    as they are. What differs is what it promises:

    - A position is marked as done when its results are on the disk, and not before. Batches take some seconds at most,
      whatever there is of memory, so that little is lost on a kill; see :attr:`positions_are_independent`.
    - Results are reused or resumed if they are of this very computation: its class with all it uses, all parameters,
      exactly, with the values of datasets that they refer to, and data with the same bytes. A class of which that can't
      be told, as with a global that is neither a value nor a function, is computed anew each time. Of results that
      pyUSID wrote, the parameters have to be all there are in the group.
    - A position whose computation raises an exception or ends its process, or whose result can't be written, has NaN
      as its results (0 where they are integers), and the others are computed. ``failed_positions`` and ``failure_messages`` in the results group tell
      which and why. Where positions depend on each other, an exception ends the run.
    - Results and status are created with their full size, uncompressed, and only written to in place afterwards.

    Ranks of MPI aren't shared among: under ``mpirun`` with several, it is refused.
    """

    positions_are_independent: bool | None = None
    """Whether results of a position are the same whichever others are computed with it.

    Where they are, batches are as long as fits their time. Where they aren't, or nobody says so, all runs compute the
    same batches, as many positions as memory allows, as pyUSID does; one that was cut off is computed anew. If it is
    `None`, they are if the class leaves ``_unit_computation`` as it is, or is known.
    """

    def __init__(
        self,
        h5_main: h5py.Dataset,
        process_name: str,
        parms_dict: dict[str, Any] | None = None,
        cores: int | None = None,
        max_mem_mb: int | None = 4 * 1024,
        mem_multiplier: float = 1.0,
        lazy: bool = False,
        h5_target_group: h5py.Group | None = None,
        verbose: bool = False,
    ) -> None:
        """Looks at the main dataset, and for results that are there already.

        ``max_mem_mb`` bounds the rows that are read at a time, ``mem_multiplier`` times their size counted for each;
        ``lazy`` has ``self.data`` a dask array; results go to ``h5_target_group``, or to where the dataset lies.
        """
        _check_alone()
        self.mpi_comm, self.mpi_size, self.mpi_rank = None, 1, 0
        _check_open(h5_main)
        if not check_if_main(h5_main, verbose=verbose):
            raise UsageError('Provided dataset is not a "Main" dataset with necessary ancillary datasets', "Argument")
        if h5_target_group is not None and not isinstance(h5_target_group, h5py.Group):
            raise WrongType("'h5_target_group' must be a h5py.Group object")
        self._h5_target_group = h5_main.parent if h5_target_group is None else h5_target_group
        if self._h5_target_group.file.mode == "r":
            raise ReadOnly("the file that results go to is open for reading only; open it with mode='r+'")
        for file in (self._h5_target_group.file, h5_main.file):
            if file.mode != "r":
                _durable.opened(file)
        if not isinstance(process_name, str):
            raise WrongType("process_name should be a text")
        if parms_dict is not None and not isinstance(parms_dict, dict):
            raise WrongType("Expected 'parms_dict' of type: dict")
        if not process_name.strip():
            raise UsageError("process_name should not be empty", "Argument")
        self.h5_main = USIDataset(h5_main)
        self.verbose = verbose
        self.process_name = process_name.strip()
        self.parms_dict = {} if parms_dict is None else parms_dict
        self.data: Any = None
        self._results: Any = None
        self.h5_results_grp: h5py.Group | None = None
        self._h5_status_dset: h5py.Dataset | None = None
        self._status_dset_name = _groups.DEFAULT_STATUS
        self._cores = 1
        self._max_pos_per_read = 1
        self.__lazy = lazy
        self.__source = self.h5_main
        self.__set_up_state()
        self._set_memory_and_cores(cores=cores, man_mem_limit=max_mem_mb, mem_multiplier=mem_multiplier)
        self.__resume_implemented = self.__can_resume()
        self.duplicate_h5_groups: list[h5py.Group] = []
        self.partial_h5_groups: list[h5py.Group] = []
        self.duplicate_h5_groups, self.partial_h5_groups = self._check_for_duplicates()

    def __set_up_state(self) -> None:
        """What a run changes; places in `__compute_jobs` are called as in pyUSID."""
        self.__compute_jobs: np.ndarray[Any, Any] = np.empty(0, np.intp)
        self.__start_pos = 0
        self.__end_pos = 0
        self.__rank_end_pos = 0
        self.__pixels_in_batch: Any = None
        self.__only: np.ndarray[Any, Any] | None = None
        self.__length = _FIRST_POSITIONS
        self.__digests: np.ndarray[Any, Any] | None = None
        self.__is_independent = True
        self.__has_succeeded = False
        self.__is_computing = False
        self.__record: Record | None = None
        self.__bytes_per_pos = 0.0
        self.__arguments: dict[Any, Any] = {}
        self.__changed: tuple[dict[str, Any], dict[str, Any]] | None = None

    def __can_resume(self) -> bool:
        """Whether the class says where its results are; it can't find any yet, which it may show by any exception."""
        try:
            self._get_existing_datasets()
        except NotImplementedError:
            return False
        except Exception:
            return True
        return True

    # What classes override.

    def test(self, **kwargs: Any) -> Any:
        """Computes some of the data, and writes nothing; to be overridden."""
        raise NotImplementedError("test has not yet been implemented by this class")

    @staticmethod
    def _map_function(*args: Any, **kwargs: Any) -> Any:
        """The result of a position, whose values are the first argument; to be overridden."""
        raise NotImplementedError("Please override the _map_function specific to your process")

    def _create_results_datasets(self) -> None:
        """Creates the results group, as `self.h5_results_grp`, and what results go to; to be overridden."""
        raise NotImplementedError("Please override the _create_results_datasets specific to your process")

    def _get_existing_datasets(self) -> None:
        """Finds what results go to in `self.h5_results_grp`; to be overridden, so that runs can be resumed."""
        raise NotImplementedError("Please override the _get_existing_datasets specific to your process")

    def _write_results_chunk(self) -> None:
        """Writes `self._results` to the positions of the batch; to be overridden."""
        raise NotImplementedError("Please override the _write_results_chunk specific to your process")

    def _unit_computation(self, *args: Any, **kwargs: Any) -> None:
        """Computes `self._results` from `self.data`, a batch of rows; may be overridden."""
        self._results = parallel_compute(
            np.asarray(self.data),
            self._map_function,
            cores=self._cores,
            func_args=list(args),
            func_kwargs=kwargs,
            verbose=self.verbose,
        )

    def _read_data_chunk(self) -> None:
        """Reads the next batch as `self.data`, which is `None` when all is done."""
        if self.__only is not None:
            self.__pixels_in_batch = self.__only
        elif self.__start_pos >= self.__rank_end_pos:
            self.data = None
            return
        else:
            self.__end_pos = min(self.__rank_end_pos, self.__start_pos + self.__batch_length())
            self.__pixels_in_batch = self.__compute_jobs[self.__start_pos : self.__end_pos]
        if self.verbose:
            print(f"reads {len(self.__pixels_in_batch)} positions from {self.__pixels_in_batch[0]} on")
        if self.__lazy:
            from sidpy.hdf.hdf_utils import lazy_load_array

            self.data = lazy_load_array(self.h5_main)[self.__pixels_in_batch, :]
        else:
            self.data = rows_of(self.h5_main, self.__pixels_in_batch)
        if self.__only is None and self.h5_main == self.__source and isinstance(self.data, np.ndarray):
            self.__digests = _computation.digests(self.data)

    # What classes call.

    def _get_pixels_in_current_batch(self) -> Any:
        """The positions of the batch."""
        return self.__pixels_in_batch

    def _estimate_compute_time_per_pixel(self, *args: Any, **kwargs: Any) -> float:
        """The seconds that the map function takes for one of some positions."""
        positions = np.unique(np.linspace(0, self.h5_main.shape[0] - 1, 5).astype(np.intp))
        rows = rows_of(self.h5_main, positions)
        begin = time.monotonic()
        for row in rows:
            self._map_function(row, *args, **kwargs)
        return (time.monotonic() - begin) / len(rows)

    def _set_memory_and_cores(
        self, cores: int | None = None, man_mem_limit: int | None = None, mem_multiplier: float = 1.0
    ) -> None:
        """Sets how many cores compute, and how many positions are read at a time at most."""
        if cores is not None and not isinstance(cores, int | np.integer):
            raise WrongType(f"cores should be an integer but got: {cores}")
        usable, polite, memory = _pixelmill.machine()
        self._cores = polite if cores is None else min(usable, max(1, abs(int(cores))))
        if not isinstance(mem_multiplier, float):
            raise WrongType("mem_multiplier must be a floating point number")
        if abs(mem_multiplier) < 1:
            raise UsageError("mem_multiplier must be at least 1", "Argument")
        if man_mem_limit is not None and not isinstance(man_mem_limit, int | np.integer):
            raise WrongType("man_mem_limit must be a whole number")
        if man_mem_limit is not None:
            memory = min(memory, abs(int(man_mem_limit)) << 20)
        self.__bytes_per_pos = self.h5_main.dtype.itemsize * self.h5_main.shape[1] * abs(mem_multiplier)
        self._max_pos_per_read = int(memory / self._cores / self.__bytes_per_pos)
        if self._max_pos_per_read < 1:
            raise UsageError(
                f"a position takes {self.__bytes_per_pos:,.0f} bytes, and each of {self._cores} cores may have "
                f"{memory // self._cores:,}; give more memory, or fewer cores",
                "TooLittleMemory",
            )
        if self.verbose:
            print(f"{self._cores} cores, {self._max_pos_per_read} positions at a time at most")

    def _write_source_dset_provenance(self) -> None:
        """Writes where the main dataset is, if results go to another file."""
        group = self.h5_results_grp
        if group is not None and group.file != self.__source.file:
            group.attrs["source_file_path"] = self.__source.file.filename
            group.attrs["source_dataset_path"] = self.__source.name

    def _check_for_duplicates(self) -> tuple[list[h5py.Group], list[h5py.Group]]:
        """The results groups of this very computation, the complete ones and the others, the newest last."""
        duplicates, partials = [], []
        tool = self.process_name.replace("-", "_")
        document = self.__document()
        for group in _groups.groups_of(self.__source, tool, self._h5_target_group):
            why, is_complete = self.__differs(group, document)
            if why is not None:
                if self.verbose:
                    print(f"{group.name}: {why}")
            elif is_complete:
                duplicates.append(group)
            else:
                partials.append(group)
        self.__tell(duplicates, "complete", "returns them")
        if not duplicates:
            self.__tell(partials, "partial", "goes on with them")
        return duplicates, partials

    def __tell(self, groups: list[h5py.Group], state: str, what: str) -> None:
        """Tells of results that were found."""
        if groups:
            is_ours = _groups.document_in(groups[-1], self._status_dset_name) is not None
            unknown = "" if is_ours else "; nobody knows whether the data are the same since"
            print(f"{self.process_name}: {state} results are in {groups[-1].name}; compute() {what}{unknown}")

    def use_partial_computation(self, h5_partial_group: h5py.Group | None = None) -> None:
        """Chooses a partial group to go on with, the newest if none is given."""
        if h5_partial_group is None:
            if not self.partial_h5_groups:
                raise UsageError("No group was found with partial results and no such group was provided", "Argument")
            h5_partial_group = self.partial_h5_groups[-1]
        elif h5_partial_group not in self.partial_h5_groups:
            raise UsageError("Provided group does not appear to be in the list of discovered groups", "Argument")
        self.h5_results_grp = h5_partial_group

    def compute(self, override: bool = False, *args: Any, **kwargs: Any) -> h5py.Group:
        """Computes all positions that aren't done yet, and returns the results group.

        Results that are there are returned, partial ones are gone on with; ``override=True`` begins anew. Other
        arguments go to the unit computation, which hands them to the map function.
        """
        _check_open(self.__source)
        self.__arguments = dict(enumerate(args)) | kwargs
        if override and self._status_dset_name == _groups.DEFAULT_STATUS:
            # Others go on with the group that what they are based on is in.
            self.h5_results_grp = None
        elif not override and (found := self.__find()) is not None:
            return found
        self.__prepare()
        assert self.__record is not None and self.h5_results_grp is not None
        begin, shown = time.monotonic(), time.monotonic()
        try:
            self._read_data_chunk()
            while self.data is not None:
                self.__compute_batch(args, kwargs)
                if self.verbose or time.monotonic() - shown > _BATCH_SECONDS:
                    shown = time.monotonic()
                    self.__show(shown - begin)
                self._read_data_chunk()
        finally:
            self.__only = None
            self.__record.settle()
        failed = self.__record.failed()
        more = f"; {failed} failed, as `{_groups.failed_name(self._status_dset_name)}` tells" if failed else ""
        print(f"{self.process_name}: all positions are done{more}")
        return self.h5_results_grp

    # How it is done.

    def __document(self) -> str:
        """All that this computation is given; nothing if that can't be told."""
        try:
            parameters = _computation.of_parameters(self.parms_dict, self.__source.file)
            if self.__changed is not None and parameters == self.__changed[1]:
                # The class itself added to them when it created its results.
                parameters = self.__changed[0]
            given = {
                "process": self.process_name,
                "class": _computation.of_class(self),
                "parameters": parameters,
                "arguments": _computation.of_parameters(self.__arguments, self.__source.file),
                "source": _computation.of_source(self.__source),
            }
            return _computation.document(given)
        except _computation.Unknown as unknown:
            print(f"{self.process_name}: its results can't be recognised later: {unknown}")
            return ""

    def __differs(self, group: h5py.Group, document: str) -> tuple[str | None, bool]:
        """Why a group isn't of this computation, and whether it is complete."""
        positions = self.__source.shape[0]
        status = _groups.status_of(group, self._status_dset_name, positions)
        if status is None:
            return f"it has no `{self._status_dset_name}`", False
        if not document:
            return "the parameters of what is asked for can't be compared", False
        # Classes with several computations in a group look so for any of an earlier one.
        is_later = self._status_dset_name != _groups.DEFAULT_STATUS
        any_parameters = not self.parms_dict and is_later and not self.__is_computing
        why = _groups.differs(group, self._status_dset_name, document, any_parameters)
        if why is not None:
            return why, False
        why = _groups.is_incomplete(group, self._status_dset_name)
        if why is not None:
            return why, False
        changed = _groups.changed_rows(group, self._status_dset_name, self.__source, status)
        if changed is not None:
            return f"the data have changed since, of position {changed} and perhaps others", False
        return None, bool(status.all())

    def __find(self) -> h5py.Group | None:
        """Complete results; those that can be resumed become `self.h5_results_grp`."""
        chosen = self.h5_results_grp
        self.__is_computing = True
        try:
            self.duplicate_h5_groups, self.partial_h5_groups = self._check_for_duplicates()
        finally:
            self.__is_computing = False
        if chosen is not None and chosen in self.partial_h5_groups:
            return None
        if self.duplicate_h5_groups:
            self.h5_results_grp = self.duplicate_h5_groups[-1]
            self.__complete_legacy(self.h5_results_grp)
            return self.h5_results_grp
        if chosen is None or self._status_dset_name == _groups.DEFAULT_STATUS:
            self.h5_results_grp = None
            if self.partial_h5_groups and self.__resume_implemented:
                self.use_partial_computation()
        elif _groups.document_in(chosen, self._status_dset_name) is not None:
            raise ResultsError(
                f"{chosen.name} has results of the same kind, computed with other parameters, from other data or by "
                "another class; compute what they are based on anew, in a group of its own, with override=True"
            )
        return None

    def __complete_legacy(self, group: h5py.Group) -> None:
        """Gives a complete group that only has `last_pixel` a status dataset."""
        if self._status_dset_name not in group:
            with _durable.changing(group.file):
                group.create_dataset(self._status_dset_name, data=np.ones(self.__source.shape[0], np.uint8))

    def __prepare(self) -> None:
        """Creates or finds what results go to, all in one go."""
        document = self.__document()
        before = self.__told_parameters()
        file = (self._h5_target_group if self.h5_results_grp is None else self.h5_results_grp).file
        with contextlib.ExitStack() as changes:
            changes.enter_context(_durable.changing(file))
            chosen = self.h5_results_grp
            if chosen is None:
                self._create_results_datasets()
                self._write_source_dset_provenance()
            else:
                there = set(chosen)
                self._get_existing_datasets()
                self.__drop_derived(chosen, there)
            group = self.h5_results_grp
            if not isinstance(group, h5py.Group) or (chosen is not None and group != chosen):
                raise ResultsError(f"this class doesn't go on with {chosen}, but with {group}; use override=True")
            if group.file != file:
                changes.enter_context(_durable.changing(group.file))
            self.__record = Record(group, self._status_dset_name, self.__source.shape[0], document)
            self._h5_status_dset = self.__record.status
            self.__assign_job_indices()
        after = self.__told_parameters()
        if before is not None and after is not None and before != after:
            self.__changed = before, after

    def __drop_derived(self, group: h5py.Group, there: set[str]) -> None:
        """Takes away what the class has just made of results that aren't complete, and doesn't write to.

        It makes it anew when it looks for it again, and would take what is there for that of the complete ones.
        """
        held = [value for value in vars(self).values() if isinstance(value, h5py.Dataset)]
        for name in set(group) - there:
            is_axis = name.endswith(("Indices", "Values"))
            if not is_axis and isinstance(group[name], h5py.Dataset) and group[name] not in held:
                del group[name]

    def __told_parameters(self) -> dict[str, Any] | None:
        try:
            return _computation.of_parameters(self.parms_dict, self.__source.file)
        except _computation.Unknown:
            return None

    def __assign_job_indices(self) -> None:
        """Finds what is to be computed."""
        assert self.__record is not None
        status = self.__record.status[()]
        self.__is_independent = _independent.is_independent(self)
        if not self.__is_independent:
            length = self.__record.batch(max(1, int(self._max_pos_per_read)))
            for start in range(0, len(status), length):
                if not status[start : start + length].all():
                    status[start : start + length] = 0
        self.__compute_jobs = np.flatnonzero(status == 0)
        self.__start_pos, self.__end_pos, self.__rank_end_pos = 0, 0, len(self.__compute_jobs)
        self.__length = _FIRST_POSITIONS
        self.__has_succeeded = len(self.__compute_jobs) < len(status)
        if self.__has_succeeded:
            print(f"{self.process_name}: {len(status) - len(self.__compute_jobs)} of {len(status)} positions are done")

    def __batch_length(self) -> int:
        """How many positions the next batch has."""
        most = max(1, int(self._max_pos_per_read))
        if self.__is_independent:
            return min(most, self.__length)
        assert self.__record is not None
        length = self.__record.batch(most)
        block = self.__compute_jobs[self.__start_pos] // length
        return int(np.searchsorted(self.__compute_jobs, (block + 1) * length)) - self.__start_pos

    def __compute_batch(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Computes a batch, writes its results, and marks it once these are on the disk."""
        assert self.__record is not None
        positions, begin = self.__pixels_in_batch, time.monotonic()
        digests, self.__digests = self.__digests, None
        if digests is None:
            digests = _computation.digests(rows_of(self.__source, positions))
        with seeded(digests):
            failed = self.__computed(positions, args, kwargs)
        self.__only, self.__pixels_in_batch = None, positions
        self.__record.note(positions, digests, {position: line for position, (line, _) in failed.items()})
        _durable.commit(self.__record.group.file)
        self.__record.mark(positions)
        self.__start_pos = self.__end_pos
        fitting = int(_BATCH_SECONDS * len(positions) / max(time.monotonic() - begin, 1e-6))
        self.__length = max(1, min(fitting, len(positions) * _GROWTH))

    def __computed(
        self, positions: np.ndarray[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> dict[int, Failure]:
        """Computes positions whose data are read, and writes their results; tells which failed."""
        if not self.__is_independent:
            self._unit_computation(*args, **kwargs)
            self._write_results_chunk()
            return {}
        try:
            with noting_failures() as failures:
                self._unit_computation(*args, **kwargs)
            failed = {int(positions[at]): why for at, why in failures.positions(len(positions)).items()}
        except NothingComputed as nothing:
            self.__stop_if_all_fail(positions, nothing.failed[0][1])
            return dict.fromkeys(positions.tolist(), nothing.failed[0])
        except _NOT_OF_A_POSITION:
            raise
        except Exception as error:
            return self.__apart(positions, error, args, kwargs)
        try:
            self._write_results_chunk()
        except _NOT_OF_A_POSITION:
            raise
        except Exception as error:
            if not failed:
                is_whole = self.__only is None
                failed = self.__apart(positions, error, args, kwargs)
                if is_whole and len(failed) == len(positions):
                    # It isn't for one result that it can't be written.
                    raise error
                return failed
            # What stands for the missing results may be more than the class can write.
            good = positions[~np.isin(positions, list(failed))]
            return failed | (self.__again(good, args, kwargs) if len(good) else {})
        self.__has_succeeded = True
        return failed

    def __again(
        self, positions: np.ndarray[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> dict[int, Failure]:
        self.__only = positions
        self._read_data_chunk()
        return self.__computed(positions, args, kwargs)

    def __apart(
        self, positions: np.ndarray[Any, Any], error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> dict[int, Failure]:
        """Computes the halves of positions of which some fail, and theirs, down to those."""
        if len(positions) == 1:
            return {int(positions[0]): (last_line(error), error)}
        failed: dict[int, Failure] = {}
        for half in np.array_split(positions, 2):
            failed |= self.__again(half, args, kwargs)
        if len(failed) == len(positions):
            self.__stop_if_all_fail(positions, error)
        return failed

    def __stop_if_all_fail(self, positions: np.ndarray[Any, Any], error: Exception) -> None:
        """Raises what some positions raise, if all have so far, and they are enough to say that others will too."""
        enough = self.__start_pos + len(positions) >= min(_FIRST_POSITIONS, self.__rank_end_pos)
        if not self.__has_succeeded and (enough or isinstance(error, NotImplementedError)):
            raise error

    def __show(self, seconds: float) -> None:
        """Tells how far it is."""
        done, total = self.__start_pos, self.__rank_end_pos
        left = seconds * (total - done) / done
        print(f"{self.process_name}: {100 * done // total} %, {done / seconds:,.1f} positions/s, {left:,.0f} s left")


def _check_open(h5_main: Any) -> None:
    """Refuses a dataset of a file that was closed."""
    if isinstance(h5_main, h5py.Dataset) and not h5_main:
        raise UsageError("the main dataset's file is closed; open it, and give the dataset of the open file", "Argument")


def _check_alone() -> None:
    """Refuses to run as one of several ranks, which would all write to the same file."""
    try:
        from mpi4py import MPI
    except ImportError:
        return
    ranks = MPI.COMM_WORLD.Get_size()
    if ranks > 1:
        raise UnsuitableError(
            f"pixelmill.usid computes in one process with several workers, and here are {ranks} ranks of MPI, which "
            "would write to the same file; start it without mpirun",
            "Unsuitable",
        )
