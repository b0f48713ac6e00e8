"""A logistic regression out of a scikit-learn pickle, joblib's own layout included.

Nothing in the file is executed and no name in it is looked up: a small machine of our own walks
the stream and knows the opcodes that such a file needs. What a name stands for is a tuple of data;
all other names are refused.
"""

from __future__ import annotations

import io
import math
import pickletools
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle.errors import ModelError, UnsafeFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES = 16 * 1024 * 1024
"""Largest file, packed or not."""
MAX_WIDTH = 65_536
"""Most weights of one classifier."""

_MAX_STEPS = 20_000
_SKLEARN = ("sklearn.linear_model._logistic", "sklearn.linear_model.logistic")
_ESTIMATORS = frozenset((module, "LogisticRegression") for module in _SKLEARN)
_ARRAYS = frozenset({("numpy", "ndarray")})
_TYPES = frozenset({("numpy", "dtype")})
_WRAPPERS = frozenset({("joblib.numpy_pickle", "NumpyArrayWrapper")})
_CORES = ("numpy.core", "numpy._core")
_EMPTY = frozenset((f"{core}.multiarray", "_reconstruct") for core in _CORES)
_SCALARS = frozenset((f"{core}.multiarray", "scalar") for core in _CORES)
_BUFFERS = frozenset((f"{core}.numeric", "_frombuffer") for core in _CORES)
_ENCODERS = frozenset({("_codecs", "encode")})
_KNOWN = _ESTIMATORS | _ARRAYS | _TYPES | _WRAPPERS | _EMPTY | _SCALARS | _BUFFERS | _ENCODERS
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
class Logistic:
    """A fitted binary classifier: probability = sigmoid(weights · vector + bias).

    `weights` are `(D,)` float64; the probability is that of the positive class.
    """

    weights: NDArray[np.float64]
    bias: float


@dataclass(frozen=True, slots=True)
class _Global:
    """A name of the file: data, never the thing it names."""

    module: str
    name: str

    @property
    def key(self) -> tuple[str, str]:
        return self.module, self.name


@dataclass(slots=True, eq=False)
class _Object:
    """An instance that the file describes: of what, made with what, and its state."""

    of: tuple[str, str]
    arguments: tuple[Any, ...] = ()
    state: Any = None


class _Machine:
    """The stack and memo of one stream."""

    def __init__(self, data: bytes, thing: str) -> None:
        self._stream, self._thing = io.BytesIO(data), thing
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._left = MAX_BYTES  # that may be made of text: a text can be used again and again

    def run(self) -> Any:
        """What the stream leaves on the stack."""
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
                expected="a fitted LogisticRegression and nothing else",
                do="Nothing in it was executed",
            )

    def _known(self, module: Any, name: Any) -> _Global:
        if type(module) is not str or type(name) is not str:
            raise ValueError("a name that is not text")
        if (module, name) not in _KNOWN:
            shown = "".join(c if c.isprintable() else "?" for c in f"{module}.{name}"[:120])
            raise UnsafeFile(
                self._thing,
                f"it asks for {shown}",
                expected="a fitted LogisticRegression and nothing else",
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
        return _Object(made.key, arguments)

    def _built(self, made: Any, state: Any) -> Any:
        if not isinstance(made, _Object) or made.state is not None:
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
    if not isinstance(described, _Object) or described.of not in _TYPES:
        raise ValueError("an array without a type")
    code = described.arguments[0]
    if type(code) is not str or code not in ("b1", "i1", "u1", "i4", "i8", "u8", "f4", "f8"):
        raise ValueError("an array that does not hold numbers")
    order = described.state[1] if described.state else "="
    return np.dtype((">" if order == ">" else "<") + code)


def _shape(shape: Any) -> tuple[int, ...]:
    if type(shape) is not tuple or len(shape) > 2:
        raise ValueError("an array of more than two dimensions")
    if not all(type(size) is int and 0 <= size <= MAX_WIDTH for size in shape):
        raise ValueError("an array whose shape is no tuple of sizes")
    if math.prod(shape) > MAX_WIDTH:
        raise ValueError(f"an array of more than {MAX_WIDTH} numbers")
    return shape


def _array(
    data: Any, kind: np.dtype[Any], shape: tuple[int, ...], *, fortran: bool = False
) -> NDArray[Any]:
    if type(data) is not bytes or len(data) != math.prod(shape) * kind.itemsize:
        raise ValueError("an array whose bytes are not as many as its shape says")
    return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


def _numbers(value: Any) -> NDArray[Any]:
    """The array that stands in a member of the estimator."""
    if isinstance(value, _Object) and value.of in _EMPTY and type(value.state) is tuple:
        _, shape, kind, fortran, data = value.state
        return _array(data, _dtype(kind), _shape(shape), fortran=bool(fortran))
    if isinstance(value, np.ndarray):
        return value
    raise ValueError("a member that is no array")


def read_logistic(data: bytes, thing: str) -> Logistic:
    """The classifier in a `.pkl` of scikit-learn, written by pickle or by joblib.

    `thing` names the file in errors. Raises UnsafeFile for a file that names or does anything
    else (nothing of it was executed), ModelError for a classifier that is not binary and linear.
    """
    try:
        found = _Machine(_unpacked(data), thing).run()
        if not isinstance(found, _Object) or found.of not in _ESTIMATORS:
            raise ValueError("no LogisticRegression")
        state = found.state
        weights, bias = _numbers(state["coef_"]), _numbers(state["intercept_"])
        classes = [bool(one) for one in _numbers(state["classes_"])]
        rule = state.get("multi_class")
    except UnsafeFile:
        raise
    except Exception as error:  # a hostile stream can ask for anything that does not fit
        why = next((text for text in error.args if type(text) is str), type(error).__name__)
        raise UnsafeFile(
            thing,
            f"not a readable classifier ({why[:120]})",
            expected="a fitted LogisticRegression",
            do="Nothing in it was executed",
        ) from error
    return _binary(weights, bias, classes, rule, thing)


def _binary(
    weights: NDArray[Any], bias: NDArray[Any], classes: list[bool], rule: Any, thing: str
) -> Logistic:
    fits = weights.ndim == 2 and len(weights) == 1 and bias.shape == (1,)
    if not fits or sorted(classes) != [False, True] or rule == "multinomial":
        raise ModelError(
            thing,
            f"weights {weights.shape}, {len(classes)} classes",
            expected="one row of weights for the classes false and true",
            do="Train it for two classes, one against the rest",
        )
    row, constant = weights[0].astype(np.float64), float(bias[0])
    if not (np.isfinite(row).all() and math.isfinite(constant)):
        raise ModelError(thing, "weights that are not finite", expected="numbers")
    return Logistic(row, constant) if classes[1] else Logistic(-row, -constant)


def _unpacked(data: bytes) -> bytes:
    """The stream itself, where the file is packed by zlib or gzip."""
    if data[:1] == b"\x78" or data[:2] == b"\x1f\x8b":
        packed = zlib.decompressobj(wbits=47)
        data = packed.decompress(data, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return data
