"""Computations over every position of a scan in HDF5.

They are parallel, keep to a memory budget, survive being killed, are resumed, and are never done twice::

    import pixelmill as pm

    scan = pm.open("scan.h5")
    peaks = scan.run("peak-finding", width_max=50)
    peaks["Peak_Response"][0:10]
"""

from . import _ranks
from ._axis import Axis
from ._errors import (
    BusyError,
    DatasetError,
    Error,
    FileError,
    FunctionError,
    MissingPackageError,
    MissingResultsError,
    PositionError,
    ResultsError,
    UnsuitableError,
    UsageError,
)
from ._pixelmill import __version__
from ._process import Process, ResultsDatasets, SourceInfo, process
from ._processes import Parameter, ProcessInfo, list_processes
from ._reduction import Buffers, Parts, Reduction
from ._results import Results, ResultsArray
from ._scan import Scan, Trial, open

__all__ = [
    "Axis",
    "Buffers",
    "BusyError",
    "DatasetError",
    "Error",
    "FileError",
    "FunctionError",
    "MissingPackageError",
    "MissingResultsError",
    "Parameter",
    "Parts",
    "PositionError",
    "Process",
    "ProcessInfo",
    "Reduction",
    "Results",
    "ResultsArray",
    "ResultsDatasets",
    "ResultsError",
    "Scan",
    "SourceInfo",
    "Trial",
    "UnsuitableError",
    "UsageError",
    "__version__",
    "list_processes",
    "open",
    "process",
]

_ranks.watch()
