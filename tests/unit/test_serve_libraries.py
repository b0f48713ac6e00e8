"""Code of libraries leaves memory and comes back; nothing that was changed is lost.

Each test that lets code go does so in a process of its own: a fault there is a dead process.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kenspeckle.serve import libraries

on_linux = pytest.mark.skipif(not libraries.SIZES.exists(), reason="the system does not say")

BEGIN = """
import ctypes, os, re, threading
from pathlib import Path
from kenspeckle.serve import libraries

def resident():
    text = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\\s+(\\d+)", text)[1]) * 1024 / 1e6

needed = libraries.in_memory()
import onnxruntime
came = libraries.in_memory() - needed
"""


def told_by(script: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@on_linux
def test_what_came_with_a_model_leaves_and_comes_back() -> None:
    before, after, shape = told_by("""
        from kenspeckle.engines import table
        from kenspeckle.vectors.embed import open_embedder
        from kenspeckle.config import ModelSettings
        from kenspeckle.vectors.admit import drawn_pictures
        picture = drawn_pictures(1)[0]
        embedder = open_embedder(ModelSettings())
        first = embedder.vector(picture)
        embedder.close()
        before = resident()
        libraries.page_out(but=needed)
        after = resident()
        assert (embedder.vector(picture) == first).all()
        print(before, after, first.shape[0])
    """).split()
    assert float(before) - float(after) >= 15
    assert int(shape) > 0


@on_linux
def test_what_is_needed_without_models_stays() -> None:
    left = told_by("""
        def there(which):
            text = libraries.SIZES.read_text()
            parts = re.findall(r"^[0-9a-f]+-.* (/.*)\\n(?:.*\\n)*?Rss: +(\\d+)", text, re.M)
            return sum(int(size) for path, size in parts if (path in needed) is which)

        others, ours = there(True), there(False)
        libraries.page_out(but=needed)
        print(there(True) >= 0.9 * others and there(False) < 0.5 * ours)
    """)
    assert left == "True"


@on_linux
def test_what_was_changed_in_memory_stays_as_it_is() -> None:
    """A page of code and one of constants, written to as a debugger or a loader would."""
    kept = told_by("""
        libc, page = ctypes.CDLL(None), 4096
        marked = []
        for mapping in list(libraries._mappings()):
            if mapping.path in came and mapping.as_in_file and "w" not in mapping.rights:
                first = ctypes.c_void_p(mapping.start)
                assert libc.mprotect(first, ctypes.c_size_t(page), 7) == 0
                byte = ctypes.c_ubyte.from_address(mapping.start + page - 1)
                byte.value ^= 0xFF
                rights = 5 if "x" in mapping.rights else 1
                assert libc.mprotect(first, ctypes.c_size_t(page), rights) == 0
                marked.append((byte, byte.value, rights))
        for _ in range(2):
            libraries.page_out(but=needed)
        same = all(byte.value == value for byte, value, _ in marked)
        print(same, len({rights for *_, rights in marked}))
    """)
    assert kept == "True 2"


@on_linux
def test_code_that_runs_meanwhile_comes_to_no_harm() -> None:
    assert (
        told_by("""
        from kenspeckle.config import ModelSettings
        from kenspeckle.vectors.admit import drawn_pictures
        from kenspeckle.vectors.embed import open_embedder
        picture = drawn_pictures(1)[0]
        embedder = open_embedder(ModelSettings())
        first, done, same = embedder.vector(picture), threading.Event(), []

        def asked():
            while not done.is_set():
                same.append(bool((embedder.vector(picture) == first).all()))

        threads = [threading.Thread(target=asked) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(40):
            libraries.page_out(but=needed)
        done.set()
        for thread in threads:
            thread.join()
        print(all(same), len(same) >= 3)
    """)
        == "True True"
    )


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(libraries, "SIZES", tmp_path / "smaps")
    return tmp_path / "smaps"


def mapping(path: str, *, rights: str = "r-xp", anonymous: int = 0, swap: int = 0) -> str:
    return (
        f"7f00-7f10 {rights} 00001000 fd:00 123   {path}\n"
        f"Size: 4 kB\nRss: 4 kB\nAnonymous:  {anonymous} kB\nAnonHugePages: 0 kB\n"
        f"Swap:  {swap} kB\nSwapPss: 0 kB\nVmFlags: rd ex mr mw me\n"
    )


@pytest.mark.parametrize(
    ("text", "as_in_file"),
    [
        (mapping("/a/lib a.so.1"), True),
        (mapping("/a/lib a.so.1", anonymous=4), False),
        (mapping("/a/lib a.so.1", swap=4), False),
        (mapping("/a/lib a.so.1", anonymous=4) + mapping(""), False),
        (mapping("") + mapping("/a/lib a.so.1") + mapping("[heap]", anonymous=8), True),
        ("7f00-7f10 r-xp 00001000 fd:00 123   /a/lib a.so.1\nSize: 4 kB\n", False),
    ],
)
def test_of_each_library_it_is_told_whether_it_is_as_in_its_file(
    said: Path, text: str, *, as_in_file: bool
) -> None:
    said.write_text(text, encoding="utf-8")
    (only,) = libraries._mappings()
    assert only == ("/a/lib a.so.1", 0x7F00, 0x10, "r-xp", as_in_file)


def test_what_is_no_library_is_none(said: Path) -> None:
    said.write_text(mapping("/a.so/b") + mapping("[vdso]") + "nonsense\n", encoding="utf-8")
    assert libraries.in_memory() == frozenset()


def test_where_the_system_does_not_say_nothing_happens(said: Path) -> None:
    assert libraries.in_memory() == frozenset()
    libraries.page_out(but=frozenset())


def test_a_library_that_is_not_open_is_left_alone(said: Path) -> None:
    """Its file may have been exchanged, or it was closed while it was asked for."""
    said.write_text(mapping("/nowhere/gone.so (deleted)"), encoding="utf-8")
    libraries.page_out(but=frozenset())
