"""A small machine that reads pickles of estimators as data, joblib's own layout included.

It knows the opcodes that such a file needs, and no others. Nothing is executed and no name is
looked up: what a name stands for is a pair of texts, what it is said to make is a description. Only
arrays of numbers become what they are.
"""

from __future__ import annotations

import io
import math
import pickletools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle.errors import UnsafeFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES = 16 * 1024 * 1024
"""Largest file, packed or not."""
MAX_NUMBERS = 65_536
"""Most numbers of one array."""

_MAX_STEPS = 20_000
_ARRAYS = frozenset({("numpy", "ndarray")})
_TYPES = frozenset({("numpy", "dtype")})
_WRAPPERS = frozenset({("joblib.numpy_pickle", "NumpyArrayWrapper")})
_CORES = ("numpy.core", "numpy._core")
_EMPTY = frozenset((f"{core}.multiarray", "_reconstruct") for core in _CORES)
_SCALARS = frozenset((f"{core}.multiarray", "scalar") for core in _CORES)
_BUFFERS = frozenset((f"{core}.numeric", "_frombuffer") for core in _CORES)
_ENCODERS = frozenset({("_codecs", "encode")})
_KNOWN = _ARRAYS | _TYPES | _WRAPPERS | _EMPTY | _SCALARS | _BUFFERS | _ENCODERS
_LITERALS = frozenset(
    (
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True, slots=True)
class _Global:
    """A name of the file: data, never the thing it names."""

    module: str
    name: str

    @property
    def key(self) -> tuple[str, str]:
        return self.module, self.name


@dataclass(slots=True, eq=False)
class Described:
    """An instance that the file describes: of what, made with what, and its state."""

    of: tuple[str, str]
    arguments: tuple[Any, ...] = ()
    state: Any = None


class Machine:
    """The stack and memo of one stream, in which the names `classes` may appear besides arrays.

    `thing` names the file in errors, `expected` what it should hold.
    """

    def __init__(
        self, data: bytes, classes: Iterable[tuple[str, str]], thing: str, expected: str
    ) -> None:
        self._stream, self._thing, self._expected = io.BytesIO(data), thing, expected
        self._known_names = _KNOWN | frozenset(classes)
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._left = MAX_BYTES  # that may be made of text: a text can be used again and again

    def run(self) -> Any:
        """What the stream leaves on the stack.

        Raises UnsafeFile for a name or an opcode that is not known, and anything at all for a
        stream that is damaged.
        """
        for count, (opcode, argument, _) in enumerate(pickletools.genops(self._stream)):
            if count > _MAX_STEPS:
                raise ValueError(f"more than {_MAX_STEPS} steps")
            if opcode.name == "STOP":
                return self._stack.pop()
            self._step(opcode.name, argument)
        raise ValueError("it ends too early")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _LITERALS:
            stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            self._marks.append(len(stack))
        elif name in _TUPLES:
            stack.append(tuple(self._take(_TUPLES[name])))
        elif name == "TUPLE":
            stack.append(tuple(self._marked()))
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if name == "EMPTY_DICT" else [])
        elif name in ("PROTO", "FRAME"):
            pass
        elif not self._memory(name, argument):
            self._objects(name, argument)

    def _memory(self, name: str, argument: Any) -> bool:
        """Keep the top of the stack, or bring back what was kept."""
        if name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[argument])
        else:
            return False
        return True

    def _objects(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name == "GLOBAL":
            stack.append(self._known(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(self._known(*self._take(2)))
        elif name in ("SETITEM", "SETITEMS"):
            pairs = self._marked() if name == "SETITEMS" else self._take(2)
            for key, value in zip(pairs[::2], pairs[1::2], strict=True):
                if type(key) is not str:
                    raise ValueError("a key that is not text")
                stack[-1][key] = value
        elif name in ("APPEND", "APPENDS"):
            more = self._marked() if name == "APPENDS" else self._take(1)
            stack[-1].extend(more)
        elif name in ("NEWOBJ", "REDUCE"):
            made, arguments = self._take(2)
            stack.append(self._made(made, arguments))
        elif name == "BUILD":
            (state,) = self._take(1)
            stack[-1] = self._built(stack[-1], state)
        else:
            raise UnsafeFile(
                self._thing,
                f"it uses the opcode {name}",
                expected=self._expected,
                do="Nothing in it was executed",
            )

    def _known(self, module: Any, name: Any) -> _Global:
        if type(module) is not str or type(name) is not str:
            raise ValueError("a name that is not text")
        if (module, name) not in self._known_names:
            shown = "".join(c if c.isprintable() else "?" for c in f"{module}.{name}"[:120])
            raise UnsafeFile(
                self._thing,
                f"it asks for {shown}",
                expected=self._expected,
                do="Nothing in it was executed. Do not open it with other programs",
            )
        return _Global(module, name)

    def _made(self, made: Any, arguments: Any) -> Any:
        """What a name makes of its arguments."""
        if not isinstance(made, _Global) or type(arguments) is not tuple:
            raise ValueError("it calls something that is not a name")
        if made.key in _ENCODERS:  # bytes in the second protocol are text in Latin-1
            text, encoding = arguments
            if type(text) is not str or encoding != "latin1":
                raise ValueError("another encoding than Latin-1")
            self._left -= len(text)
            if self._left < 0:
                raise ValueError(f"more than {MAX_BYTES} bytes made of text")
            return text.encode("latin-1")
        if made.key in _BUFFERS:
            data, kind, shape, order = arguments
            return _array(data, _dtype(kind), _shape(shape), fortran=order == "F")
        if made.key in _SCALARS:
            kind, data = arguments
            return _array(data, _dtype(kind), (1,)).item()
        if made.key in _ARRAYS:
            raise ValueError("an array that is called")
        return Described(made.key, arguments)

    def _built(self, made: Any, state: Any) -> Any:
        if not isinstance(made, Described) or made.state is not None:
            raise ValueError("a state for something that has none")
        made.state = state
        return self._behind(state) if made.of in _WRAPPERS else made

    def _behind(self, state: Any) -> NDArray[Any]:
        """The array whose bytes stand in the stream itself, right behind its description."""
        if state.get("order") not in ("C", "F"):
            raise ValueError("an array without an order")
        if state.get("numpy_array_alignment_bytes") is not None:
            self._stream.read(self._stream.read(1)[0])
        kind, shape = _dtype(state["dtype"]), _shape(state["shape"])
        data = self._stream.read(math.prod(shape) * kind.itemsize)
        return _array(data, kind, shape, fortran=state["order"] == "F")

    def _take(self, count: int) -> list[Any]:
        at = len(self._stack) - count
        if at < (self._marks[-1] if self._marks else 0):
            raise ValueError("it takes more than there is")
        return self._cut(at)

    def _marked(self) -> list[Any]:
        return self._cut(self._marks.pop())

    def _cut(self, at: int) -> list[Any]:
        taken = self._stack[at:]
        del self._stack[at:]
        return taken


def _dtype(described: Any) -> np.dtype[Any]:
    """A type of numbers. Raises ValueError for any other."""
    if not isinstance(described, Described) or described.of not in _TYPES:
        raise ValueError("an array without a type")
    code = described.arguments[0]
    if type(code) is not str or code not in ("b1", "i1", "u1", "i4", "i8", "u8", "f4", "f8"):
        raise ValueError("an array that does not hold numbers")
    order = described.state[1] if described.state else "="
    return np.dtype((">" if order == ">" else "<") + code)


def _shape(shape: Any) -> tuple[int, ...]:
    if type(shape) is not tuple or len(shape) > 2:
        raise ValueError("an array of more than two dimensions")
    if not all(type(size) is int and 0 <= size <= MAX_NUMBERS for size in shape):
        raise ValueError("an array whose shape is no tuple of sizes")
    if math.prod(shape) > MAX_NUMBERS:
        raise ValueError(f"an array of more than {MAX_NUMBERS} numbers")
    return shape


def _array(
    data: Any, kind: np.dtype[Any], shape: tuple[int, ...], *, fortran: bool = False
) -> NDArray[Any]:
    if type(data) is not bytes or len(data) != math.prod(shape) * kind.itemsize:
        raise ValueError("an array whose bytes are not as many as its shape says")
    return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


def numbers(value: Any) -> NDArray[Any]:
    """The array that stands in a member of what was described. Raises ValueError."""
    if isinstance(value, Described) and value.of in _EMPTY and type(value.state) is tuple:
        _, shape, kind, fortran, data = value.state
        return _array(data, _dtype(kind), _shape(shape), fortran=bool(fortran))
    if isinstance(value, np.ndarray):
        return value
    raise ValueError("a member that is no array")
