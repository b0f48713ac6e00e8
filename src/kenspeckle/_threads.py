"""The one thread policy: as many callers as cores, one thread inside each call.

Pools of BLAS, ONNX Runtime, OpenCV and FAISS never multiply each other: whoever opens a session
or a pool asks here.
"""

from __future__ import annotations

import os

INTRA_OP = 1
"""Threads inside one call of a model or of a matrix product."""


def cores() -> int:
    """Cores this process may use (its affinity mask, not the machine's count)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity mask to ask
        return os.cpu_count() or 1


def callers(asked: int = 0) -> int:
    """Callers for a pool: the number asked for, or one a core when it is 0."""
    return asked if asked > 0 else cores()


POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Environment names by which array libraries size the pools they open when they are loaded."""


def hold_pools() -> None:
    """Hold the pools of array libraries to one thread, unless the user has set them.

    Works only before numpy is loaded, so the command line calls it first. A library does not call
    it: the process belongs to somebody else.
    """
    for name in POOLS:
        os.environ.setdefault(name, str(INTRA_OP))
