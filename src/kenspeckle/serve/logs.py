"""One line for each request, written by a thread of its own: a slow reader of the log never holds
up an answer.

Never in it: what a picture shows, vectors, keys, and query strings, which may hold one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

STAGES = (
    *("download", "processing", "decode", "detection", "embedding", "search", "decision"),
    *("classification", "description"),
)
"""Names of the stages of a request, in the order in which they are told."""

WAITING = 10_000
"""Lines that wait to be written; what comes on top is counted, and the number told."""

PAUSE = 0.05
"""Seconds for which lines are gathered after some were written."""

LIBRARIES = ("kenspeckle", "uvicorn", "asyncio", "python_multipart", "PIL", "py.warnings")
"""Loggers whose words are written in our form."""

LONGEST = 512
"""Characters of one value."""

_PLAIN = (bool, int, float, type(None))
_BARE = re.compile(r"[!#-&(-<>-~]+")
"""Printable ASCII without spaces, quotes and the equals sign."""


class Log:
    """Writes lines in the form `text` (`name=value` pairs) or `json` to a stream, stderr if none.

    Calls come from any thread and return at once.
    """

    def __init__(self, form: str = "text", stream: TextIO | None = None) -> None:
        self._form, self._stream = form, stream or sys.stderr
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lost, self._ends = 0, threading.Event()
        self._thread = threading.Thread(target=self._write, name="kenspeckle-log", daemon=True)
        self._thread.start()

    def tell(self, event: str, values: Mapping[str, Any], *, level: str = "info") -> None:
        """One line about `event`; values are cut to a length and control characters escaped."""
        if self._lines.qsize() < WAITING:
            self._lines.put(record(self._form, event, values, level=level))
        else:
            self._lost += 1

    def close(self, wait: float = 2.0) -> None:
        """Write what waits, for at most `wait` seconds."""
        self._lines.put(None)
        self._ends.set()
        self._thread.join(wait)

    @property
    def stuck(self) -> bool:
        """Whether something still waits to be written: nobody reads it."""
        return self._thread.is_alive()

    def _write(self) -> None:
        """Write what is there, then rest: to be woken for each line would cost its teller more
        than the line."""
        lines: list[str | None] = []
        while None not in lines:
            lines = [self._lines.get(), *self._rest()]
            told = [line for line in lines if line is not None]
            if lost := self._lost:
                self._lost = 0
                told.append(record(self._form, "lines_lost", {"count": lost}))
            try:
                self._stream.write("".join(f"{line}\n" for line in told))
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads it any more
                self._lost += lost + len(lines)
            self._ends.wait(PAUSE)

    def _rest(self) -> Iterator[str | None]:
        """The lines that wait."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._lines.get_nowait()


class _Ear(logging.Handler):
    """Hands on what libraries and other rooms log: a warning or worse, in one line."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, an error with where it was raised."""
        values = {"logger": record.name, "message": record.getMessage()}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            values |= {"error": type(error).__name__, "at": frames(error)}
        self._log.tell("logged", values, level=record.levelname.lower())


@contextlib.contextmanager
def heard(log: Log, names: Sequence[str] = LIBRARIES) -> Iterator[None]:
    """Write what these loggers are told to our log, as long as the block runs."""
    ear, loggers = _Ear(log), [logging.getLogger(name) for name in names]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(ear)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(ear)
            logger.propagate = propagate


def record(form: str, event: str, values: Mapping[str, Any], *, level: str = "info") -> str:
    """The line about `event`, in the form `text` or `json`."""
    line = {"time": _now(), "level": level, "event": event, "pid": os.getpid(), **values}
    return _as_json(line) if form == "json" else _as_text(line)


def _now() -> str:
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"


def _as_json(line: Mapping[str, Any]) -> str:
    plain = {
        name: value if isinstance(value, _PLAIN) else str(value)[:LONGEST]
        for name, value in line.items()
    }
    return json.dumps(plain, allow_nan=False)


def _as_text(line: Mapping[str, Any]) -> str:
    return " ".join([f"{name}={_word(value)}" for name, value in line.items()])


def _word(value: Any) -> str:
    """A value in a line of text: quoted where it would run into the next one.

    >>> _word(1.5), _word("a b"), _word("plain")
    ('1.5000', '"a b"', 'plain')
    """
    if isinstance(value, float):
        return f"{value:.4f}"
    text = str(value)[:LONGEST]
    return text if _BARE.fullmatch(text) else json.dumps(text)


def frames(error: BaseException, most: int = 8) -> str:
    """Where an exception came from, innermost first: `file:line function`, and no values."""
    found = traceback.extract_tb(error.__traceback__)[-most:]
    places = (f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in reversed(found))
    return " < ".join(places)


def stage_seconds(seconds: Mapping[str, float]) -> dict[str, float]:
    """The stages of a request, in order, what has no name of its own as it is."""
    known = {name: seconds[name] for name in STAGES if name in seconds}
    return known | {name: value for name, value in seconds.items() if name not in known}
