"""Shared libraries that came with models: their code leaves memory with the last of these.

ONNX Runtime and OpenCV are some 40 MB of code that nobody runs while no model is loaded. It comes
back from its files, piece by piece, when it is run again.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SIZES = Path("/proc/self/smaps")
"""Where Linux says what a process has in its memory, mapping by mapping, and how much of each."""

_PAGE_OUT, _DO_NOT_NEED = 21, 4
"""Advice as Linux counts it: `MADV_PAGEOUT` (from 5.4), `MADV_DONTNEED`."""

_MAPPING = re.compile(
    r"^(?P<first>[0-9a-f]+)-(?P<last>[0-9a-f]+) (?P<rights>\S+) \S+ \S+ \d+ +(?P<path>/.*)\n"
    r"(?P<sizes>(?:[A-Z]\w+:.*\n)*)",
    re.MULTILINE,
)
_UNCHANGED = re.compile(r"^Anonymous: +0 kB$", re.MULTILINE)
_SWAPPED = re.compile(r"^Swap: +[1-9]", re.MULTILINE)


class _Mapping(NamedTuple):
    """Something of a library in memory: its file, where it lies, what may be done with it, and
    whether it is as it is in the file."""

    path: str
    start: int
    size: int
    rights: str
    as_in_file: bool


def in_memory() -> frozenset[str]:
    """Paths of the shared libraries of this process; none where the system does not say."""
    return frozenset(mapping.path for mapping in _mappings())


def page_out(but: frozenset[str]) -> None:
    """Let the code and the constants of every shared library go, but of some.

    What no other process shares goes back to the system at once, if this user could write the
    file; code that another one shares is no longer held by this one. Only what is as it is in the
    file is touched. Where the system is not Linux, nothing happens.
    """
    open_ones = frozenset(path for path in in_memory() - but if _stays_open(path))
    if not open_ones:
        return
    advise = ctypes.CDLL(None).madvise
    for mapping in _mappings():
        if mapping.path in open_ones and mapping.as_in_file and "w" not in mapping.rights:
            span = ctypes.c_void_p(mapping.start), ctypes.c_size_t(mapping.size)
            advise(*span, _PAGE_OUT)
            if "x" in mapping.rights:
                advise(*span, _DO_NOT_NEED)


def _stays_open(path: str) -> bool:
    """See to it that a library is not closed, and its addresses remain its own; whether it is
    open."""
    try:
        ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_NOLOAD)
    except OSError:
        return False
    return True


def _mappings() -> Iterator[_Mapping]:
    """What of shared libraries is in memory."""
    try:
        text = SIZES.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    for found in _MAPPING.finditer(text):
        path, start, sizes = found["path"], int(found["first"], 16), found["sizes"]
        if ".so" in path.rpartition("/")[2]:
            same = bool(_UNCHANGED.search(sizes)) and not _SWAPPED.search(sizes)
            size = int(found["last"], 16) - start
            yield _Mapping(path, start, size, found["rights"], same)
