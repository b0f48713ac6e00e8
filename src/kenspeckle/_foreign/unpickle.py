"""One restricted unpickler: only the names a caller lists may appear; all else is refused."""

from __future__ import annotations

import io
import pickle  # only subclassed: every global is looked up in the caller's own table
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from kenspeckle.errors import UnsafeFile

MAX_BYTES = 256 * 1024 * 1024
"""Largest pickle stream that is looked at."""

_EXTENSIONS = frozenset({"EXT1", "EXT2", "EXT4"})
_MEMO = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"})


class _Restricted(pickle.Unpickler):
    def __init__(
        self,
        data: bytes,
        allowed: Mapping[tuple[str, str], Any],
        thing: str,
        persistent: Callable[[Any], Any] | None,
    ) -> None:
        super().__init__(io.BytesIO(data))
        self._allowed, self._thing, self._persistent = allowed, thing, persistent

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise UnsafeFile(
                self._thing,
                f"it asks for {module}.{name}",
                expected="arrays, text and numbers only",
                do="Nothing in it was executed. Do not open it with other programs",
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise UnsafeFile(self._thing, "it points outside itself", expected="a whole file")
        return self._persistent(pid)


def _check_opcodes(data: bytes, thing: str) -> None:
    """Refuse what the lookup of globals cannot see: registered extensions, a huge memo."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in _EXTENSIONS:
            raise UnsafeFile(thing, "it uses pickle extensions", expected="plain data")
        if opcode.name in _MEMO and not 0 <= int(argument or 0) <= len(data):
            raise UnsafeFile(thing, f"memo number {argument}", expected="one the file can fill")


def restricted_load(
    data: bytes,
    allowed: Mapping[tuple[str, str], Any],
    thing: str,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Read one pickle in which only the globals of `allowed` may appear.

    `allowed` maps (module, name) to the object that stands for it here, which need not be the real
    one. `thing` names the file in errors. `persistent` resolves persistent ids; without it they
    are refused. What an allowed object does with hostile arguments is the caller's to make safe.

    Raises UnsafeFile for a foreign global (named, not executed) and for a stream that is damaged
    or too large.

    >>> restricted_load(pickle.dumps({"a": [1, 2.5]}), {}, "example")
    {'a': [1, 2.5]}
    """
    if len(data) > MAX_BYTES:
        raise UnsafeFile(thing, f"a pickle of {len(data)} bytes", expected=f"at most {MAX_BYTES}")
    try:
        _check_opcodes(data, thing)
        return _Restricted(data, allowed, thing, persistent).load()
    except UnsafeFile:
        raise
    except Exception as error:  # a hostile stream can raise anything from inside the unpickler
        raise UnsafeFile(
            thing, f"not a readable pickle ({error})", expected="a whole one"
        ) from error
