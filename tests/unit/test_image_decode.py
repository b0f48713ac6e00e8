"""Decoding real files of every format: sound ones come out right, hostile ones as PictureError."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import struct
import sys
import threading
import time
import warnings
import weakref
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hostile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageCms, ImageOps

from kenspeckle.config import ImageSettings
from kenspeckle.errors import InputError, PictureError
from kenspeckle.image.decode import SUFFIXES, decode, read
from kenspeckle.types import Intake, Picture

RAW = Intake(rotate=False, alpha="drop", colour="raw")
PHOTO = hostile.picture(3, (160, 120))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes, intake: Intake | None = None) -> np.ndarray:
    image = decode(data, intake=intake).image if intake else decode(data).image
    return np.asarray(image, np.int16)


def attempt(source: object) -> tuple[Picture | None, PictureError | None]:
    try:
        return decode(source), None
    except PictureError as error:
        return None, error


def off(found: np.ndarray, expected: Image.Image) -> float:
    return float(np.abs(found - np.asarray(expected.convert("RGB"), np.int16)).mean())


@pytest.mark.parametrize(
    ("kind", "options", "most"),
    [
        ("JPEG", {"quality": 95}, 3.0),
        ("JPEG", {"quality": 95, "progressive": True}, 3.0),
        ("PNG", {}, 0.0),
        ("WEBP", {"lossless": True}, 0.0),
        ("WEBP", {"quality": 95}, 4.0),
        ("GIF", {}, 12.0),
        ("BMP", {}, 0.0),
        ("AVIF", {"quality": 95}, 4.0),
        ("TIFF", {}, 0.0),
        ("TIFF", {"big_tiff": True}, 0.0),
        ("TIFF", {"compression": "tiff_lzw"}, 0.0),
        ("TIFF", {"compression": "tiff_deflate"}, 0.0),
        ("TIFF", {"compression": "packbits"}, 0.0),
        ("TIFF", {"compression": "jpeg", "quality": 95}, 3.0),
    ],
)
def test_formats(kind: str, options: dict[str, object], most: float) -> None:
    data = encoded(PHOTO, kind, **options)
    picture = decode(data, name="photo")
    assert picture.format == kind
    assert picture.name == "photo"
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    assert decode(data, hashed=False).sha256 == ""
    assert picture.size == PHOTO.size
    assert off(np.asarray(picture.image, np.int16), PHOTO) <= most


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_rotated_picture_equals_the_upright_one(kind: str, turn: int) -> None:
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}
    options = lossless.get(kind, {})
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(PHOTO, kind, exif=exif, **options)
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert decode(data).size == shown.size
    assert (pixels(data) == np.asarray(shown, np.int16)).all()
    if kind != "AVIF":
        assert decode(data, intake=RAW).size == PHOTO.size


def test_every_source_gives_the_same(tmp_path: Path) -> None:
    data = encoded(PHOTO, "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        pictures = [
            decode(path),
            decode(str(path)),
            decode(data),
            decode(bytearray(data)),
            decode(memoryview(data)),
            decode(io.BytesIO(data)),
            decode(file),
        ]
    assert {p.sha256 for p in pictures} == {hashlib.sha256(data).hexdigest()}
    assert {p.image.tobytes() for p in pictures} == {PHOTO.tobytes()}
    assert pictures[0].name == str(path)
    assert pictures[-1].name == str(path)


def test_pipe_is_read() -> None:
    reader, writer = os.pipe()
    data = encoded(PHOTO, "PNG")
    feeder = threading.Thread(target=lambda: (os.write(writer, data), os.close(writer)))
    feeder.start()
    with os.fdopen(reader, "rb") as file:
        assert decode(file).size == PHOTO.size
    feeder.join()


ALPHA = Image.merge("RGBA", (*PHOTO.split(), Image.linear_gradient("L").resize(PHOTO.size)))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_alpha_lies_on_white(kind: str) -> None:
    options = {"WEBP": {"lossless": True, "exact": True}, "AVIF": {"quality": 100}}.get(kind, {})
    data = encoded(ALPHA, kind, **options)
    white = Image.new("RGBA", ALPHA.size, "white")
    assert off(pixels(data), Image.alpha_composite(white, ALPHA)) < 3.0
    black = Image.new("RGBA", ALPHA.size, "black")
    assert off(pixels(data, Intake(alpha="black")), Image.alpha_composite(black, ALPHA)) < 3.0
    if kind != "AVIF":
        assert off(pixels(data, Intake(alpha="drop")), PHOTO) == 0


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (PHOTO.quantize(16), {"transparency": bytes(range(0, 256, 16))}),
        (PHOTO.quantize(16), {"transparency": 3}),
        (PHOTO.convert("L"), {"transparency": 128}),
        (PHOTO, {"transparency": PHOTO.getpixel((9, 9))}),
        (ALPHA.convert("LA"), {}),
        (PHOTO.convert("1"), {"transparency": 1}),
    ],
    ids=["palette", "palette index", "grey", "colour", "grey alpha", "one bit"],
)
@pytest.mark.parametrize("alpha", ["white", "drop"])
def test_transparency_of_every_kind(
    image: Image.Image, options: dict[str, object], alpha: str
) -> None:
    data = encoded(image, "PNG", **options)
    shown = Image.open(io.BytesIO(data)).convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    expected = Image.alpha_composite(ground, shown) if alpha == "white" else shown
    assert off(pixels(data, Intake(alpha=alpha)), expected) < 0.6


def test_grey_and_one_bit() -> None:
    assert off(pixels(encoded(PHOTO.convert("L"), "JPEG", quality=95)), PHOTO.convert("L")) < 3
    assert off(pixels(encoded(PHOTO.convert("1"), "PNG")), PHOTO.convert("1")) == 0


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_wide_numbers_are_scaled_not_clipped(kind: str, mode: str) -> None:
    if kind == "PNG" and mode != "I;16":
        pytest.skip("PNG holds 16 bits at most")
    grey = np.asarray(PHOTO.convert("L"))
    wide = grey.astype(np.uint16) * 257
    image = Image.fromarray(wide.astype({"I;16": "u2", "I": "i4", "F": "f4"}[mode]))
    assert off(pixels(encoded(image, kind)), Image.fromarray(grey)) <= 1


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 255), (0, 65535), (-40, 80), (1e5, 3e5), (-9e29, 9e29)]
)
def test_fractions_of_any_range_are_scaled(low: float, high: float) -> None:
    ramp = np.linspace(low, high, 256, dtype=np.float32).reshape(16, 16)
    expected = np.arange(256).reshape(16, 16)
    found = pixels(encoded(Image.fromarray(ramp), "TIFF"))[..., 0]
    assert np.abs(found - expected).max() <= 1


def test_fractions_that_are_no_numbers() -> None:
    odd = np.array([[np.nan, np.inf, -np.inf, 0.5]], np.float32)
    assert decode(encoded(Image.fromarray(odd), "TIFF")).size == (4, 1)


def test_ink_is_read_with_and_without_the_mark_of_adobe() -> None:
    ink = PHOTO.convert("CMYK")
    marked = encoded(ink, "JPEG", quality=95)
    assert off(pixels(marked), PHOTO) < 4
    plain = bytearray(encoded(ImageChops.invert(ink), "JPEG", quality=95))
    start = plain.index(b"\xff\xee")
    del plain[start : start + 2 + int.from_bytes(plain[start + 2 : start + 4])]
    assert off(pixels(bytes(plain)), PHOTO) < 4
    assert off(pixels(encoded(ink, "TIFF")), PHOTO) == 0


def swapped_profile() -> bytes:
    """sRGB with red and green colorants exchanged: what it does cannot be overlooked."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(plain): at for at, plain in _tag_rows(profile)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def _tag_rows(profile: bytearray) -> list[tuple[int, bytes]]:
    count = int.from_bytes(profile[128:132])
    return [(132 + 12 * i, profile[132 + 12 * i : 136 + 12 * i]) for i in range(count)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_colour_profile_is_applied(kind: str) -> None:
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    data = encoded(PHOTO, kind, icc_profile=swapped_profile(), **options)
    red, green, blue = PHOTO.split()
    assert off(pixels(data), Image.merge("RGB", (green, red, blue))) < 6
    assert off(pixels(data, Intake(colour="raw")), PHOTO) < 4


def test_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert off(pixels(encoded(PHOTO, "PNG", icc_profile=profile)), PHOTO) == 0


@pytest.mark.parametrize(
    "profile", [b"", b"junk" * 50, swapped_profile()[:300], bytes(5 * 1024 * 1024)]
)
def test_broken_profile_is_ignored(profile: bytes) -> None:
    assert off(pixels(encoded(PHOTO, "PNG", icc_profile=profile)), PHOTO) == 0


def test_first_frame_of_an_animation() -> None:
    others = [hostile.picture(number, PHOTO.size) for number in (4, 5, 6)]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        data = encoded(PHOTO, kind, save_all=True, append_images=others, **options)
        assert off(pixels(data), PHOTO) < 12
        few = ImageSettings(max_frames=3)
        with pytest.raises(PictureError, match="4 frames; expected at most 3"):
            decode(data, limits=few)


def test_first_picture_of_an_mpo() -> None:
    data = encoded(PHOTO, "MPO", save_all=True, append_images=[ImageOps.invert(PHOTO)], quality=95)
    assert off(pixels(data), PHOTO) < 4


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
def test_extreme_shapes(size: tuple[int, int]) -> None:
    assert decode(hostile.png_of(*size)).size == size


def test_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    library.from_pillow(PHOTO).save(file, quality=95)
    picture = decode(file.getvalue(), name="p.heic")
    assert picture.format == "HEIF"
    assert off(np.asarray(picture.image, np.int16), PHOTO) < 6
    assert "HEIF" not in Image.OPEN
    with pytest.raises(PictureError):
        decode(file.getvalue()[: len(file.getvalue()) // 2])
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PictureError, match=r"p\.heic: a HEIC picture.*kenspeckle\[heic\]"):
        decode(file.getvalue(), name="p.heic")


@pytest.mark.parametrize("kind", sorted(hostile.kinds()))
def test_hostile_kinds(kind: str, tmp_path: Path) -> None:
    number = sorted(hostile.kinds()).index(kind)
    suffix, build, decodes = hostile.kinds()[kind]
    path = tmp_path / f"{number}.{suffix}"
    for data in {build(hostile.random.Random(seed)) for seed in range(5)}:
        path.write_bytes(data)
        start = time.thread_time()
        picture, error = attempt(path)
        assert time.thread_time() - start < 2.0
        assert decodes is None or decodes is (picture is not None), error
        if error is not None:
            assert str(error).startswith(str(path))


def test_hostile_folder(tmp_path: Path) -> None:
    files = hostile.write(tmp_path, 400)
    assert len(set(files)) == len({f.path for f in files}) == 400
    assert {f.kind for f in files} == set(hostile.kinds())
    for file in files:
        picture, error = attempt(file.path)
        assert file.decodes is None or file.decodes is (picture is not None), error
        str(error).encode()
        if picture is not None:
            assert picture.name == str(file.path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes"),
        (b"\0" * 99, "99 bytes of nothing"),
        (b"%PDF-1.7", "a PDF document"),
        (b"%!PS-Adobe", "PostScript"),
        (b" <html>", "a web page"),
        (b"\0", "1 byte of nothing"),
        (b"x", "1 byte unlike the beginning of any picture"),
        (b"hello", "5 bytes unlike the beginning of any picture"),
        (b"\0\0\0\x18ftypmp42" + bytes(12), "a video"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, said: str) -> None:
    with pytest.raises(PictureError, match=said) as caught:
        decode(data, name="thing")
    assert "thing: " in str(caught.value)
    assert "expected a JPEG, PNG, WebP" in str(caught.value)
    assert isinstance(caught.value, InputError)


def test_bytes_are_limited_for_every_source(tmp_path: Path) -> None:
    limits = ImageSettings(max_bytes=1000)
    data = encoded(PHOTO, "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for source in (data, path, io.BytesIO(data)):
        with pytest.raises(PictureError, match="1000"):
            decode(source, limits=limits)
    exact = ImageSettings(max_bytes=len(data))
    assert decode(path, limits=exact).size == decode(data, limits=exact).size
    assert read(path, exact) == data


def test_endless_file_object_is_given_up() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += size
            return b"\xff" * size

    file = Endless()
    with pytest.raises(PictureError, match="more than 5000 bytes"):
        decode(file, limits=ImageSettings(max_bytes=5000))
    assert file.taken <= 5001


def test_odd_sources(tmp_path: Path) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError("the line is dead")

    for source, said in (
        (tmp_path / "none.jpg", "no such file"),
        (tmp_path, "folder"),
        ("a\0b.jpg", "cannot be read"),
        (io.StringIO("text"), "opened as text"),
        (Broken(), "the line is dead"),
    ):
        with pytest.raises(PictureError, match=said):
            decode(source)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe_and_device_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PictureError, match="a pipe or a device"):
        decode(tmp_path / "pipe.jpg")
    with pytest.raises(PictureError, match="a pipe or a device"):
        decode("/dev/zero")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(path)).write_bytes(b"junk")
    with pytest.raises(PictureError) as caught:
        decode(Path(os.fsdecode(path)))
    assert r"caf\xe9.jpg: 4 bytes" in str(caught.value)
    with pytest.raises(PictureError):
        decode("\ud800.jpg")


def test_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = hostile.png_of(7800, 7800)
    assert len(bomb) < 100_000
    start = time.thread_time()
    with pytest.raises(PictureError, match="7800 × 7800 pixels; expected at most 50000000"):
        decode(bomb)
    assert time.thread_time() - start < 0.05


def test_pillows_own_limit_holds_without_its_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for kind in ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP"):
        with pytest.raises(PictureError, match="at most 1000"):
            decode(encoded(PHOTO, kind))


def test_progressive_bomb_of_scans() -> None:
    plain = encoded(Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    start = plain.rindex(b"\xff\xda")
    scan = plain[start:-2]
    with pytest.raises(PictureError, match="scans"):
        decode(plain[:start] + scan * 2000 + b"\xff\xd9")


def test_slow_containers_are_refused_quickly() -> None:
    tiny = b"\xff\xfe\0\2" * 500_000
    for data in (
        b"\xff\xd8" + tiny,
        b"\xff\xd8" + b"\xff" * 4_000_000 + b"\0",
        b"\x89PNG\r\n\x1a\n" + hostile.saved("PNG")[8:33] + hostile.chunk(b"teXt", b"") * 300_000,
        b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\0" * 1_500_000,
        b"GIF89a\1\0\1\0\0\0\0!\xfe" + b"\1x" * 1_500_000,
        hostile.saved("WEBP")[:4]
        + struct.pack("<L", 4_000_004)
        + b"WEBP"
        + b"ABCD\0\0\0\0" * 500_000,
    ):
        start = time.thread_time()
        with pytest.raises(PictureError):
            decode(data)
        assert time.thread_time() - start < 1.0


def test_error_that_is_kept_keeps_no_picture() -> None:
    class Bytes(bytearray):
        pass

    data = Bytes(hostile.png_of(100, 100)[:-40])
    gone = weakref.ref(data)
    caught = None
    try:
        decode(data)
    except PictureError as error:
        caught = error.with_traceback(None)
    assert caught is not None
    assert caught.__context__ is None
    assert caught.__cause__ is None
    del data
    gc.collect()
    assert gone() is None


def test_threads_share_nothing() -> None:
    sources = [encoded(hostile.picture(n, (90, 60)), "JPEG") for n in range(4)]
    sources += [
        encoded(hostile.picture(n, (90, 60)), "PNG", icc_profile=swapped_profile())
        for n in range(4)
    ]
    alone = [decode(data).image.tobytes() for data in sources]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: decode(data).image.tobytes(), sources * 20))
    assert together == alone * 20


def test_suffixes() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".tif"} <= SUFFIXES
    assert all(suffix == suffix.lower() for suffix in SUFFIXES)


def outcome(data: bytes) -> None:
    """A picture or PictureError, and no warning: nothing else may come out of any bytes."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        picture, _ = attempt(data)
    if picture is not None:
        assert picture.image.mode == "RGB"
        assert min(picture.size) >= 1
    assert not said, [str(warning.message) for warning in said]


STARTS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"BM",
    b"II*\0\x08\0\0\0",
    b"MM\0+\0\x08\0\0",
    b"RIFF\x40\0\0\0WEBP",
    b"\0\0\0\x18ftypavif",
    b"\0\0\0\x18ftypheic",
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(STARTS), st.binary(max_size=400))
def test_any_bytes(start: bytes, rest: bytes) -> None:
    outcome(start + rest)


KINDS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "LZW", "ANIMATED"]


def sound(kind: str) -> bytes:
    if kind == "LZW":
        return hostile.saved("TIFF", compression="tiff_lzw")
    if kind == "ANIMATED":
        return encoded(PHOTO, "WEBP", save_all=True, append_images=[hostile.picture(4, PHOTO.size)])
    return hostile.saved(kind)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=6),
    st.floats(0, 1),
)
def test_damaged_files(kind: str, changes: list[tuple[float, bytes]], cut: float) -> None:
    data = bytearray(sound(kind))
    for where, new in changes:
        at = int(where**2 * (len(data) - 1))  # most of what can go wrong is at the beginning
        data[at : at + len(new)] = new
    outcome(bytes(data[: len(data) - int(cut**8 * len(data))]))


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*hostile.GREY_TIFF, 274, 317, 320, 322, 323, 324, 338, 339, 34675, 37510]),
        st.tuples(
            st.sampled_from([1, 2, 3, 4, 5, 9, 12, 16, 77]),
            st.sampled_from([0, 1, 1, 1, 2, 3, 1000, 2**31]),
            st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1)),
        ),
        max_size=4,
    )
)
def test_crafted_tiffs(tags: dict[int, tuple[int, int, int]]) -> None:
    outcome(hostile.tiff_tags({**hostile.GREY_TIFF, **tags}))


def test_text_chunks_cost_nothing() -> None:
    packed = zlib.compress(b"\0" * (32 << 20), 9)
    data = hostile.png_with(*[hostile.chunk(b"zTXt", b"a\0\0" + packed)] * 20)
    start = time.thread_time()
    assert decode(data).size == (64, 48)
    assert time.thread_time() - start < 0.1
