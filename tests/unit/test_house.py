"""The house holds its shape: directions of import, sizes of files, what loads when."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kenspeckle
from kenspeckle._extras import EXTRA_OF

SOURCE = Path(kenspeckle.__file__).parent
ROOT = Path(__file__).parent.parent.parent
FILES = sorted(SOURCE.rglob("*.py"))

LEVELS = (
    ("errors",),
    ("types", "config", "_aside", "_extras", "_runtime", "_threads", "_foreign", "stats"),
    ("image",),
    ("engines",),
    ("regions",),
    ("vectors",),
    ("store",),
    ("catalog", "match"),
    ("flows",),
    ("gallery",),
    ("evaluate", "adapters"),
    ("serve",),
    ("cli",),
    ("__main__",),
)
"""Rooms from left to right; a room imports only rooms of earlier levels and itself."""

LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}

LONGEST = 400
HEAVY = {
    "PIL", "cv2", "fastapi", "faiss", "huggingface_hub", "matplotlib", "mcp", "onnxruntime",
    "pillow_heif", "prometheus_client", "pydantic", "rapidocr", "rich", "safetensors", "sqlite3",
    "tokenizers", "torch", "transformers", "uvicorn",
}  # fmt: skip
OPTIONAL = {
    "cv2", "faiss", "huggingface_hub", "matplotlib", "mcp", "onnx", "onnxruntime", "pillow_heif",
    "rapidocr", "safetensors", "tokenizers", "torch", "transformers", "uvicorn",
}  # fmt: skip
UNSAFE = {"pickle", "marshal", "shelve", "subprocess"}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Absolute names of the modules that are imported anywhere below `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute in this house"
            assert node.module is not None
            yield node.module
            if node.module == "kenspeckle":
                yield from (f"kenspeckle.{alias.name}" for alias in node.names)


def at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported: no bodies of functions, no type-only blocks."""
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        todo.extend(ast.iter_child_nodes(node))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    wrong = []
    for module in imports(parse(path)):
        parts = module.split(".")
        if parts[0] != "kenspeckle" or len(parts) == 1 or parts[1] == room:
            continue
        if parts[1].startswith("__version__"):
            continue
        assert parts[1] in LEVEL, f"{module} is no room"
        if LEVEL[parts[1]] >= LEVEL[room]:
            wrong.append(module)
    assert not wrong, f"{name_of(path)} is left of {', '.join(wrong)}"


def test_the_map_shows_every_room_in_its_place() -> None:
    page = (SOURCE.parents[1] / "docs" / "data-flow.md").read_text(encoding="utf-8")
    shown = page.partition("errors ← ")[2].partition("```")[0].split("←")
    assert [set(rooms.split()) for rooms in shown] == [set(rooms) for rooms in LEVELS[1:-1]]


def test_files_of_a_room_import_each_other_without_cycles() -> None:
    trees = {dotted(path): parse(path) for path in FILES}
    edges = {
        module: {
            name for node in at_import(tree) for name in targets(node, set(trees)) if name in trees
        }
        for module, tree in trees.items()
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module in done:
            return
        for target in edges.get(module, ()):
            visit(target, (*trail, module))
        done.add(module)

    for module in edges:
        visit(module, ())


def dotted(path: Path) -> str:
    parts = ["kenspeckle", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def targets(node: ast.AST, modules: set[str]) -> Iterator[str]:
    """Modules that a statement imports; `from package import file` means the file."""
    if isinstance(node, ast.ImportFrom):
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in modules else node.module or ""
    else:
        yield from imports_of(node)


def imports_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from imports(ast.Module(body=[node], type_ignores=[]))


def test_every_room_is_known_and_has_content() -> None:
    rooms = {room_of(path) for path in FILES} - {"__init__"}
    assert rooms <= set(LEVEL)
    for folder in (entry for entry in SOURCE.iterdir() if entry.is_dir()):
        if folder.name != "__pycache__":
            code = [p for p in folder.rglob("*.py") if p.name != "__init__.py"]
            assert code, f"{folder.name} has no content"


def test_no_file_is_too_long() -> None:
    beside = [p for folder in ("tools", "benchmarks") for p in (ROOT / folder).rglob("*.py")]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (*FILES, *beside)}
    long = {str(path): count for path, count in lines.items() if count > LONGEST}
    assert not long


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_named_like_a_library_it_imports(path: Path) -> None:
    libraries = {module.split(".")[0] for module in imports(parse(path))}
    assert path.stem not in libraries - sys.stdlib_module_names
    assert path.stem != "utils"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_optional_libraries_are_imported_inside_functions(path: Path) -> None:
    direct = {name.split(".")[0] for node in at_import(parse(path)) for name in imports_of(node)}
    assert not direct & OPTIONAL


def test_one_file_loads_the_runtime() -> None:
    """It has to be silenced first; what loads it in turn is told so by name."""
    found = {name_of(path) for path in FILES if "onnxruntime" in set(imports(parse(path)))}
    assert found == {"_runtime.py"}
    readers = [path for path in FILES if '"rapidocr"' in path.read_text(encoding="utf-8")]
    for path in readers:
        if path.name != "_extras.py":
            assert "_runtime.silence()" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_executes_what_it_reads(path: Path) -> None:
    tree = parse(path)
    names = {module.split(".")[0] for module in imports(tree)}
    if room_of(path) != "_foreign":
        assert not names & UNSAFE
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"eval", "exec", "compile", "__import__"}


def test_every_extra_is_used() -> None:
    """What nothing asks for is not to be installed."""
    texts = [p.read_text(encoding="utf-8") for p in FILES if p.name != "_extras.py"]
    unused = {module for module in EXTRA_OF if not any(f'"{module}' in text for text in texts)}
    assert not unused


def test_the_public_names_are_these() -> None:
    assert sorted(kenspeckle.__all__) == ["Gallery", "KenspeckleError", "__version__"]
    for name in kenspeckle.__all__:
        assert getattr(kenspeckle, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'gallry'"):
        kenspeckle.gallry  # noqa: B018


def loaded(code: str) -> set[str]:
    """Top-level modules that a fresh process holds after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {module.split(".")[0] for module in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    ("code", "also"),
    [
        ("import kenspeckle", {"typer", "numpy"}),
        ("import kenspeckle.errors, kenspeckle.config, kenspeckle._extras", {"typer", "numpy"}),
        ("import kenspeckle.types", {"typer"}),
        ("import kenspeckle.cli.main", {"numpy"}),
        ("import sys, kenspeckle.cli.main as m\nassert m.run(['--help']) == 0", {"numpy"}),
        ("import kenspeckle.cli.main as m\nassert m.run(['config']) == 0", {"numpy"}),
    ],
)
def test_nothing_heavy_is_loaded(code: str, also: set[str]) -> None:
    assert not loaded(code) & (HEAVY | also)


WATCH = """
import os, sys, importlib, pkgutil
class Refuses(dict):
    def _no(self, *a, **k):
        raise RuntimeError("the environment was read at import")
    def get(self, name, default=None):
        if name == "PYDANTIC_DISABLE_PLUGINS":  # read for every class of a shape
            return default
        self._no()
    __getitem__ = __contains__ = __iter__ = keys = items = _no
import concurrent.futures, http.client, logging, multiprocessing, sqlite3, ssl, tempfile
import urllib.request, numpy, PIL.Image, typer, fastapi, pydantic.plugin._loader
import kenspeckle
names = [m.name for m in pkgutil.walk_packages(kenspeckle.__path__, "kenspeckle.")]
names = [n for n in names if not n.endswith("__main__") and n != "kenspeckle.cli.main"]
os.environ = Refuses()
import socket
def closed(*a, **k):
    raise RuntimeError("the network was used at import")
socket.socket.connect = closed
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_no_module_reads_the_environment_or_the_network_at_import() -> None:
    done = subprocess.run([sys.executable, "-c", WATCH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= len(FILES) - 3  # kenspeckle itself, its __main__ and the command


def test_the_command_holds_the_pools_of_array_libraries() -> None:
    environ = {k: v for k, v in os.environ.items() if not k.endswith("NUM_THREADS")}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import kenspeckle.cli.main, os\n"
            "print(os.environ['OPENBLAS_NUM_THREADS'], os.environ['OMP_NUM_THREADS'])",
        ],
        env={**environ, "OMP_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "3"]
