"""Reading torch checkpoints without torch, and refusing what would have to be executed."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenspeckle._foreign import arrays, checkpoint
from kenspeckle._foreign.checkpoint import read_checkpoint
from kenspeckle._foreign.unpickle import restricted_load
from kenspeckle.errors import ModelError, UnsafeFile

GOLDEN = Path(__file__).parent.parent / "golden" / "head-torch.pt"


class Touch:
    """Unpickled freely, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def global_of(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def pt(path: Path, description: bytes, storages: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("head/data.pkl", description)
        for key, data in (storages or {}).items():
            archive.writestr(f"head/data/{key}", data)
    return path


def tensor_pickle(
    *,
    count: int = 4,
    kind: str = "FloatStorage",
    offset: int = 0,
    shape: tuple[int, ...] = (2, 2),
    stride: tuple[int, ...] = (2, 1),
) -> bytes:
    """A dictionary with one tensor, written opcode by opcode as torch writes it."""

    def ints(numbers: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"J" + struct.pack("<i", n) for n in numbers) + b"t"

    persistent = (
        b"(X\x07\x00\x00\x00storage" + global_of("torch", kind) + b"X\x01\x00\x00\x000"
        b"X\x03\x00\x00\x00cpuJ" + struct.pack("<i", count) + b"tQ"
    )
    arguments = (
        b"("
        + persistent
        + b"J"
        + struct.pack("<i", offset)
        + ints(shape)
        + ints(stride)
        + b"\x89"
        + global_of("collections", "OrderedDict")
        + b")R"
        + b"t"
    )
    return (
        b"\x80\x02}X\x01\x00\x00\x00w"
        + global_of("torch._utils", "_rebuild_tensor_v2")
        + arguments
        + b"Rs."
    )


NUMBERS = np.arange(4, dtype="<f4").tobytes()


def test_a_checkpoint_written_by_torch() -> None:
    loaded = read_checkpoint(GOLDEN)
    assert loaded["model"] == "ViT-B/32"
    assert {name: array.shape for name, array in loaded["state_dict"].items()} == {
        "net.0.weight": (6, 8),
        "net.0.bias": (6,),
        "net.2.weight": (4, 6),
        "net.2.bias": (4,),
    }
    assert all(array.dtype == np.float32 for array in loaded["state_dict"].values())


def test_a_tensor_is_a_view_of_its_storage(tmp_path: Path) -> None:
    path = pt(tmp_path / "a.pt", tensor_pickle(shape=(2, 2), stride=(1, 2)), {"0": NUMBERS})
    assert read_checkpoint(path)["w"].tolist() == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    ("change", "storages", "said"),
    [
        ({"offset": 1}, {"0": NUMBERS}, "beyond its storage"),
        ({"shape": (2, 3)}, {"0": NUMBERS}, "beyond its storage"),
        ({"shape": (1000, 1000), "stride": (0, 0)}, {"0": NUMBERS}, "beyond its storage"),
        ({"stride": (-2, 1)}, {"0": NUMBERS}, "stride"),
        ({"count": 400}, {"0": NUMBERS}, "storage of 4"),
        ({}, {}, "missing"),
        ({"kind": "UntypedStorage"}, {"0": NUMBERS}, "torch.UntypedStorage"),
    ],
)
def test_tensors_that_lie_are_refused(
    tmp_path: Path, change: dict[str, Any], storages: dict[str, bytes], said: str
) -> None:
    path = pt(tmp_path / "a.pt", tensor_pickle(**change), storages)
    with pytest.raises(ModelError, match=said):
        read_checkpoint(path)


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    halves = (np.array([1, -2, 0.5, 3], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    path = pt(tmp_path / "a.pt", tensor_pickle(kind="BFloat16Storage"), {"0": halves})
    assert read_checkpoint(path)["w"].tolist() == [[1, -2], [0.5, 3]]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_foreign_globals_are_named_and_not_executed(tmp_path: Path, protocol: int) -> None:
    canary = tmp_path / "canary"
    path = pt(tmp_path / "a.pt", pickle.dumps({"state_dict": Touch(canary)}, protocol))
    with pytest.raises(UnsafeFile, match=r"(posix|nt)\.system"):
        read_checkpoint(path)
    assert not canary.exists()
    pickle.loads(pickle.dumps(Touch(canary), protocol))  # the canary does sing
    assert canary.exists()


@pytest.mark.parametrize(
    "stream",
    [
        global_of("builtins", "eval") + b"(X\x03\x00\x00\x001+1tR.",
        b"(ios\nsystem\n.",
        b"\x82\x01.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"r\xff\xff\xff\x7f.",
        b"",
        b"garbage",
    ],
)
def test_hostile_streams_are_refused(stream: bytes) -> None:
    with pytest.raises(UnsafeFile):
        restricted_load(stream, {}, "stream")


@settings(max_examples=200)
@given(st.binary(max_size=60), st.integers(0, 300), st.integers(0, 255))
def test_no_stream_does_anything_but_load_or_be_refused(tail: bytes, at: int, value: int) -> None:
    good = bytearray(pickle.dumps({"a": [1, 2.5, "text", ("t", None)]}, 4))
    good[at % len(good)] = value
    for stream in (bytes(good), bytes(good[: at % len(good)]) + tail, tail):
        with contextlib.suppress(UnsafeFile):
            restricted_load(stream, {}, "stream")


STATE = b"(N}X\x08\x00\x00\x00__call__K\x01stb."
"""Sets the attribute `__call__` of what lies on the stack."""


@pytest.mark.parametrize(("module", "name"), list(checkpoint._allowed()))
def test_what_a_checkpoint_may_name_cannot_be_changed(module: str, name: str) -> None:
    with pytest.raises(UnsafeFile, match="change"):
        restricted_load(
            b"\x80\x02" + global_of(module, name) + STATE, checkpoint._allowed(), "stream"
        )


@pytest.mark.parametrize(("module", "name"), list(arrays._ALLOWED))
def test_what_an_array_may_name_cannot_be_changed(module: str, name: str) -> None:
    with pytest.raises(UnsafeFile, match="change"):
        restricted_load(b"\x80\x02" + global_of(module, name) + STATE, arrays._ALLOWED, "stream")


def test_a_dictionary_of_torch_takes_no_attributes() -> None:
    """`get` of an ordered dictionary set to 5 would break whoever reads the checkpoint."""
    stream = (
        b"\x80\x02" + global_of("collections", "OrderedDict") + b")R"
        b"X\x01\x00\x00\x00aK\x01s}X\x03\x00\x00\x00getK\x05sb."
    )
    loaded = restricted_load(stream, checkpoint._allowed(), "stream")
    assert loaded == {"a": 1}
    assert loaded.get("a") == 1


def doubled(levels: int, first: bytes = b")", join: bytes = b"\x86") -> bytes:
    """Pickle code of a tuple (or list) that holds the one before it twice, so many times over."""
    return first + b"".join(b"q%c2" % number + join for number in range(levels))


def nested_list(levels: int) -> bytes:
    code = b"]"
    for number in range(levels):
        code += b"q%c0(h%ch%cl" % (number, number, number)
    return code


ARRAY = (
    b"\x80\x02"
    + global_of("numpy.core.multiarray", "_reconstruct")
    + b")R(K\x01%b"
    + global_of("numpy", "dtype")
    + b"X\x02\x00\x00\x00O8\x85R\x89]tb."
)


@pytest.mark.parametrize(
    "stream",
    [
        ARRAY.replace(b"%b", nested_list(60)),
        ARRAY.replace(b"%b", b"(" + nested_list(60) + b"t"),
        ARRAY.replace(b"%b", doubled(60)),
        b"\x80\x02}" + doubled(60) + b"K\x01s.",
        b"\x80\x02}" + doubled(60, join=b"\x86Nb") + b"K\x01s.",
        b"\x80\x02}" + doubled(60, join=b"\x86(e") + b"K\x01s.",
        b"\x80\x02" + global_of("numpy", "dtype") + doubled(60) + b"R.",
    ],
    ids=["shape", "in the shape", "tuples", "key", "key, built", "key, extended", "argument"],
)
def test_objects_without_end_are_refused_at_once(stream: bytes) -> None:
    """A few hundred bytes make an object that takes for ever to print or to hash."""
    with pytest.raises(UnsafeFile):
        arrays.read_texts(stream, 3, "stream")


def test_an_error_prints_nothing_of_the_file() -> None:
    def refuse(pid: Any) -> Any:
        raise KeyError(pid)

    with pytest.raises(UnsafeFile, match="KeyError"):
        restricted_load(b"\x80\x02" + nested_list(60) + b"Q.", {}, "stream", refuse)


def test_a_small_storage_makes_no_large_tensors(tmp_path: Path) -> None:
    """With strides of 0 each of many tensors is a copy of one number, as long as the storage."""
    count = 2**20
    one = tensor_pickle(count=count, shape=(count,), stride=(0,))
    entry = one.removeprefix(b"\x80\x02}").removesuffix(b".")  # sets the key w again and again
    assert len(one) < 300
    storage = {"0": bytes(4 * count)}
    path = pt(tmp_path / "few.pt", b"\x80\x02}" + entry * 16 + b".", storage)
    assert read_checkpoint(path)["w"].shape == (count,)
    path = pt(tmp_path / "many.pt", b"\x80\x02}" + entry * 17 + b".", storage)
    with pytest.raises(UnsafeFile, match="more than 67108864 bytes together"):
        read_checkpoint(path)


def test_old_and_foreign_formats_are_refused_in_a_sentence(tmp_path: Path) -> None:
    old = tmp_path / "old.pt"
    old.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps({}, 2))
    with pytest.raises(ModelError, match=r"torch 1\.6"):
        read_checkpoint(old)
    empty = tmp_path / "empty.pt"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("something", b"else")
    with pytest.raises(ModelError, match=r"0 members data\.pkl"):
        read_checkpoint(empty)
    with pytest.raises(ModelError, match="holds a list"):
        read_checkpoint(pt(tmp_path / "list.pt", pickle.dumps([1], 2)))


def test_a_member_that_claims_less_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = pt(tmp_path / "a.pt", tensor_pickle(), {"0": NUMBERS})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")  # central directory entry of the storage: size field
    data[at + 24 : at + 28] = struct.pack("<I", 8)
    path.write_bytes(data)
    with pytest.raises(ModelError):
        read_checkpoint(path)


def test_a_huge_claim_allocates_nothing(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("head/data.pkl", tensor_pickle(count=2**25))
        with archive.open("head/data/0", "w") as member:
            for _ in range(2**7):
                member.write(bytes(2**20))
    path = tmp_path / "bomb.pt"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ModelError, match="at most"):
        read_checkpoint(path)
