"""The three standard streams: what is done where one is closed, and when a reader has left."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TextIO

STREAMS = (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))
"""Name, how the null device stands in for a closed one, and how it is used."""


def hold() -> None:
    """Put the null device where a standard stream is closed, before a file takes its number.

    It stands there the wrong way round for stdin and stdout: reading and writing fail with an
    OSError, as on the closed stream itself, so that an answer that nobody gets is no success. What
    goes to stderr is dropped.
    """
    for number, (name, access, mode) in enumerate(STREAMS):
        if getattr(sys, name) is not None:
            continue
        found = os.open(os.devnull, access)
        if found != number:
            os.dup2(found, number)
            os.close(found)
        os.set_inheritable(number, True)
        setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def forgive(stream: TextIO) -> None:
    """Escape what the terminal's encoding cannot show instead of failing on it."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def silence() -> None:
    """Let the interpreter flush into nothing at exit: the reader of our output has left."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def failure(error: OSError) -> str:
    """What to say of a file, or of our output, that could not be used.

    >>> failure(OSError(errno.EBADF, "Bad file descriptor"))
    'stdout: it is closed'
    >>> failure(PermissionError(errno.EACCES, "Permission denied", "a.ken"))
    'a.ken: Permission denied'
    """
    if error.errno == errno.EBADF and not error.filename:
        return "stdout: it is closed"
    return f"{error.filename or 'stdout'}: {error.strerror or error}"
