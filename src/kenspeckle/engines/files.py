"""Where the files of a model are on this machine, and whether they are the ones they should be."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kenspeckle.config import ModelSettings, user_folder
from kenspeckle.engines import recipes, table
from kenspeckle.engines.build import check_build
from kenspeckle.engines.lock import Locked, read_lock
from kenspeckle.engines.table import ModelRow
from kenspeckle.errors import ModelError, ModelMissing
from kenspeckle.types import Recipe

WEIGHTS = Path(__file__).parent / "weights"
"""The folder of the models that this package carries."""

_SHARD = re.compile(r"(model|pytorch_model)-\d{5}-of-\d{5}\.(safetensors|bin)")
_DESCRIPTIONS = ("config.json", "preprocessor_config.json", "processor_config.json")
_WORDS = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model"),
    *("generation_config.json", "chat_template.json", "chat_template.jinja"),
)
"""What a checkpoint that reads or writes text needs beside its network."""
_PAPERS = ("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One model on this machine.

    weights
        The ONNX file, or the folder of a checkpoint.
    sha256
        Of the weights file; of a checkpoint the hash over its files' hashes. Known here, checked
        when the model is loaded.
    width
        Columns of its raw features, 0 where only the loaded model can tell.
    """

    weights: Path
    sha256: str
    recipe: Recipe
    width: int = 0
    cohort: Path | None = None


def home(settings: ModelSettings) -> Path:
    """The folder that holds pulled and packed models, and the lock file."""
    return Path(settings.home).expanduser() if settings.home else user_folder("cache") / "models"


def folder_of(row: ModelRow) -> str:
    """Name of a pulled or packed model's folder inside the home."""
    return row.source.replace("/", "--") if row.origin == "hub" else row.name


def file_sha256(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def locate(row: ModelRow, settings: ModelSettings) -> ModelFiles:
    """The files of a model on this machine; those of known hash are not read yet.

    The recipe is that of `settings.mode`; a cohort belongs to the model's own recipe only.

    Raises ModelMissing with the command that brings the model, ModelError for files that are not
    what they should be.
    """
    found = _found(row, settings)
    recipe = recipes.in_mode(found.recipe, settings.mode)
    return found if recipe == found.recipe else replace(found, recipe=recipe, cohort=None)


def weights(row: ModelRow, settings: ModelSettings) -> tuple[Path, str]:
    """Where the weights of a model for any task are, and their sha256 where the table knows it.

    An ONNX file, or the folder of a checkpoint; a pulled one is compared with the lock. Raises
    ModelMissing with the command that brings the model, ModelError for files that are not what
    they should be.
    """
    if row.origin == "hub":
        return _locked(row, settings)[0], ""
    if row.origin == "local":
        path = Path(row.source)
        if not path.exists():
            raise ModelMissing(path, "no such file", expected="an ONNX file")
        return path, ""
    folder = WEIGHTS if row.origin == "embedded" else home(settings) / folder_of(row)
    if not (folder / row.source).is_file():
        raise _missing(row, settings)
    return folder / row.source, row.sha256


def check_present(row: ModelRow, settings: ModelSettings) -> None:
    """Raise ModelMissing, as `weights` does, where a model is not here; reads no weights."""
    if not (Path(row.source).exists() if row.origin == "local" else installed(row, settings)):
        weights(row, settings)
        raise _missing(row, settings)


def _found(row: ModelRow, settings: ModelSettings) -> ModelFiles:
    if row.task not in ("", "features"):
        raise ModelError(row.name, f"a model of {row.task}", expected="one that makes features")
    if row.recipe is not None and row.origin == "made":
        return ModelFiles(Path(), "dummy-1", row.recipe, row.width)
    if row.recipe is not None:
        return _known(row, row.recipe, settings)
    if row.origin == "hub":
        folder = Path(settings.folder).expanduser() if settings.folder else None
        if folder is None or not (folder / "config.json").is_file():
            return _pulled(row, settings)
        check_build(folder, row)
        return _own(folder, row)
    path = Path(row.source)
    return _local(path) if row.kind == "onnx" else _own(path, row)


def _own(path: Path, row: ModelRow) -> ModelFiles:
    names = weights_of(checkpoint_files(entry.name for entry in path.iterdir()))
    return _checkpoint(path, {name: file_sha256(path / name) for name in names}, row)


def _known(row: ModelRow, recipe: Recipe, settings: ModelSettings) -> ModelFiles:
    folder = WEIGHTS if row.origin == "embedded" else home(settings) / folder_of(row)
    weights = folder / row.source
    if not weights.is_file():
        raise _missing(row, settings)
    cohort = WEIGHTS / row.cohort if row.cohort else None
    return ModelFiles(weights, row.sha256, recipe, row.width, cohort)


def _missing(row: ModelRow, settings: ModelSettings) -> ModelMissing:
    if row.origin == "embedded":
        return ModelMissing(
            row.name, f"{row.source} is not in the installed package", do="Install it anew"
        )
    command = f"kenspeckle models pull {row.name}"
    if row.origin == "pack" or settings.offline:
        command += " --from-pack FILE"
    return ModelMissing(row.name, f"not in {home(settings)}", do=f"Run: {command}")


def _local(path: Path) -> ModelFiles:
    if not path.is_file():
        raise ModelMissing(path, "no such file", expected="an ONNX file")
    found = file_sha256(path)
    for row in table.MODELS:  # a file of the table under any name needs no recipe beside it
        if row.sha256 == found and row.recipe is not None:
            cohort = WEIGHTS / row.cohort if row.cohort else None
            return ModelFiles(path, found, row.recipe, row.width, cohort)
    return ModelFiles(path, found, recipes.beside(path))


def _pulled(row: ModelRow, settings: ModelSettings) -> ModelFiles:
    folder, locked = _locked(row, settings)
    hashes = {name: locked.files[name].sha256 for name in weights_of(locked.files)}
    return _checkpoint(folder, hashes, row)


def _locked(row: ModelRow, settings: ModelSettings) -> tuple[Path, Locked]:
    """The folder of a pulled model and its entry in the lock, compared with each other."""
    folder = home(settings) / folder_of(row)
    locked = read_lock(home(settings)).get(row.source)
    if locked is None or not (folder / "config.json").is_file():
        raise _missing(row, settings)
    damaged = check_files(folder, locked)
    if damaged:
        raise ModelError(
            row.name,
            damaged[0],
            expected="the files that were pulled first",
            do=f"Run: kenspeckle models pull {row.name}",
        )
    return folder, locked


def _checkpoint(folder: Path, hashes: Mapping[str, str], row: ModelRow) -> ModelFiles:
    digest = hashlib.sha256()
    for name in sorted(hashes):
        digest.update(f"{name} {hashes[name]}\n".encode())
    width = recipes.checkpoint_width(folder) or row.width
    return ModelFiles(folder, digest.hexdigest(), recipes.from_processor(folder), width)


def checkpoint_files(names: Iterable[str]) -> list[str]:
    """The files of a checkpoint that are needed, out of all that lie there.

    Descriptions and licences, and the weights in one form: safetensors where there are any, else
    torch's own. Raises ModelError when there are no weights.

    >>> checkpoint_files(["config.json", "model.safetensors", "tf_model.h5", "pytorch_model.bin"])
    ['config.json', 'model.safetensors']
    """
    there = set(names)
    chosen = [name for name in (*_DESCRIPTIONS, *_WORDS, *_PAPERS) if name in there]
    for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
        if f"{stem}.{suffix}" in there:
            return [*chosen, f"{stem}.{suffix}"]
        if f"{stem}.{suffix}.index.json" in there:
            shards = sorted(n for n in there if _SHARD.fullmatch(n) and n.endswith(suffix))
            return [*chosen, f"{stem}.{suffix}.index.json", *shards]
    raise ModelError(
        "checkpoint",
        f"no weights among {len(there)} files",
        expected="model.safetensors or pytorch_model.bin",
    )


def weights_of(names: Iterable[str]) -> list[str]:
    """Those of a checkpoint's files that make its vectors: the network and its description."""
    papers = {*_PAPERS, *_WORDS, "preprocessor_config.json", "processor_config.json"}
    return [name for name in names if name not in papers]


def check_files(folder: Path, locked: Locked) -> list[str]:
    """What is wrong with the files of a locked model, a sentence each; empty when all is well."""
    wrong = []
    for name, expected in locked.files.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif path.stat().st_size != expected.bytes or file_sha256(path) != expected.sha256:
            wrong.append(f"{name} is damaged or another file (sha256 should be {expected.sha256})")
    return wrong


@dataclass(frozen=True, slots=True)
class Checked:
    """What `verify` found of one model: nothing wrong when `wrong` is empty."""

    name: str
    folder: Path
    files: int
    wrong: tuple[str, ...]


def rows(settings: ModelSettings) -> list[ModelRow]:
    """Every model that has a name: those of the table, then others that were pulled."""
    known = {row.source for row in table.MODELS}
    others = [source for source in read_lock(home(settings)) if source not in known]
    return [*table.MODELS, *(table.find(source) for source in others)]


def installed(row: ModelRow, settings: ModelSettings) -> bool:
    """Whether the files of a model are on this machine, without reading them."""
    if row.origin == "made":
        return True
    if row.origin == "embedded":
        return (WEIGHTS / row.source).is_file()
    first = row.source if row.origin == "pack" else "config.json"
    return (home(settings) / folder_of(row) / first).is_file()


def verifiable(row: ModelRow, settings: ModelSettings) -> bool:
    """Whether a model is on this machine and has files whose hashes are known."""
    return row.origin != "made" and installed(row, settings)


def card(row: ModelRow, settings: ModelSettings) -> Path | None:
    """The card of an installed model: who made it, of what, under which licence."""
    folders = {"embedded": WEIGHTS, "pack": WEIGHTS, "local": Path(row.source)}
    folder = folders.get(row.origin, home(settings) / folder_of(row))
    path = folder / (row.card or "README.md")
    return path if path.is_file() else None


def verify(row: ModelRow, settings: ModelSettings) -> Checked:
    """Read every file of an installed model and compare it with the hash it should have.

    Raises ModelMissing when the model is not installed, ModelError for a local file, of which
    nobody knows what it should be.
    """
    if row.origin == "local":
        raise ModelError(
            row.source, "a file of yours", expected="a model whose hash stands in the table or lock"
        )
    if not installed(row, settings):
        raise _missing(row, settings)
    if row.origin == "hub":
        folder = home(settings) / folder_of(row)
        locked = read_lock(home(settings)).get(row.source)
        if locked is None:
            return Checked(row.name, folder, 0, ("it is not in the lock file; pull it anew",))
        return Checked(row.name, folder, len(locked.files), tuple(check_files(folder, locked)))
    files = known_files(row, settings)
    wrong = tuple(
        f"{path.name} is damaged or another file (sha256 should be {sha256})"
        for path, sha256 in files
        if not path.is_file() or file_sha256(path) != sha256
    )
    return Checked(row.name, files[0][0].parent if files else Path(), len(files), wrong)


def known_files(row: ModelRow, settings: ModelSettings) -> list[tuple[Path, str]]:
    """Files of a model whose hashes stand in the table, with these hashes."""
    if not row.sha256:
        return []
    folder = WEIGHTS if row.origin == "embedded" else home(settings) / folder_of(row)
    files = [(folder / row.source, row.sha256)]
    if row.cohort:
        files.append((WEIGHTS / row.cohort, row.cohort_sha256))
    return files
