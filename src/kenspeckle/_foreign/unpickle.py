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
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})

MAX_PARTS = 1000
"""Most parts that a tuple may have, those of the tuples inside it counted each time they appear.

A few bytes can make a tuple of tuples that all lie in it twice over: hashing or printing one of
thirty levels would take minutes, one of sixty would never end.
"""


class Sealed:
    """Base of what stands for a global: a pickle cannot set its attributes."""

    __slots__ = ()

    def __setstate__(self, _: object) -> None:
        raise ValueError("it would change what it may only use")


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
    """Refuse what the lookup of globals cannot see: extensions, a huge memo, endless tuples."""
    stack: list[int] = []  # how many parts each object on it has
    marks: list[int] = []  # how much lay below each mark
    memo: dict[int, int] = {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in _EXTENSIONS:
            raise UnsafeFile(thing, "it uses pickle extensions", expected="plain data")
        if name in _PUT:
            if not 0 <= int(argument or 0) <= len(data):
                raise UnsafeFile(thing, f"memo number {argument}", expected="one it can fill")
            memo[int(argument or 0)] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in _GET:
            stack.append(memo[int(argument or 0)])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "POP" and marks and marks[-1] == len(stack):
            marks.pop()
        else:
            taken = _take(stack, marks, opcode)
            if name.startswith("TUPLE"):
                parts = 1 + sum(taken)
                if parts > MAX_PARTS:
                    raise UnsafeFile(thing, f"a tuple of {parts} parts", expected=f"{MAX_PARTS}")
            else:  # what fills an object leaves it where it was
                parts = taken[0] if taken else 1
            stack.extend(parts for _ in opcode.stack_after)


def _take(stack: list[int], marks: list[int], opcode: pickletools.OpcodeInfo) -> list[int]:
    """Take from the stack what an opcode takes from it."""
    before = opcode.stack_before
    if pickletools.markobject in before:
        at = marks.pop() - before.index(pickletools.markobject)
    else:
        at = len(stack) - len(before)
    if at < 0:
        raise ValueError("it takes more than there is")
    taken = stack[at:]
    del stack[at:]
    return taken


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
        # What an error carries may be the file's own object, which must not be printed.
        why = next((text for text in error.args if type(text) is str), type(error).__name__)
        raise UnsafeFile(
            thing, f"not a readable pickle ({why[:200]})", expected="a whole one"
        ) from error
