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
