"""`kenspeckle caption`: a text file beside each picture of a folder, that says what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from kenspeckle.cli import console
from kenspeckle.cli.options import AsJson, Home, Offline, settings
from kenspeckle.config import Settings
from kenspeckle.errors import InputError, KenspeckleError, ModelError
from kenspeckle.flows.given import places

Describe = Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class Listed:
    """Pictures to describe, each with its text file, and others with the reason why not."""

    todo: list[tuple[Path, Path]]
    skipped: list[tuple[Path, str]]


def caption(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Folder of pictures.")],
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Overwrite texts that are there.")
    ] = False,
    max_length: Annotated[
        int, typer.Option("--max-length", metavar="N", help="Tokens of a caption at most.")
    ] = 50,
    url: Annotated[
        str,
        typer.Option(metavar="URL", help="Ask the server at this address instead of a model here."),
    ] = "",
    key_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="File that holds the server's API key.", show_default=False
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Seconds that the server may take for a picture.")
    ] = 120.0,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Pictures in folders below, too.")
    ] = False,
    callers: Annotated[
        int, typer.Option(metavar="N", min=1, max=64, help="Pictures worked on at once.")
    ] = 1,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Captioner: a name, or a checkpoint's folder.", show_default=False
        ),
    ] = None,
    home: Home = None,
    offline: Offline = None,
    as_json: AsJson = False,
) -> None:
    """Write a caption of each picture into a text file beside it.

    `a.txt` beside `a.jpg` holds the caption and nothing else. Pictures that have a text are left
    alone. Exit code 1 if a picture could not be described; the others are.
    """
    chosen = settings(
        {
            "analyze.caption": model,
            "models.home": home,
            "models.offline": offline,
            "serve.key_file": key_file,
        }
    )
    most = chosen.analyze.max_caption
    if not 1 <= max_length <= most:
        raise typer.BadParameter(f"{max_length}; expected 1 to {most}", param_hint="--max-length")
    places(folder=folder)
    listed = list_pictures(Path(folder), recursive, force)
    for path, why in listed.skipped:
        _tell(path, {"skipped": why}, f"skipped: {why}", as_json)
    describe = _describer(chosen, url, seconds, max_length) if listed.todo else None
    failed = _write_all(listed.todo, describe, callers, as_json) if describe else 0
    done = len(listed.todo) - failed
    console.note(f"{done} captioned, {len(listed.skipped)} skipped, {failed} failed")
    if failed:
        raise typer.Exit(1)


def list_pictures(folder: Path, recursive: bool, force: bool) -> Listed:
    """What is to be described in a folder, in the order of names.

    Two pictures that differ in their suffix alone share a text file: without `force` it is that of
    the first one, with it that of the last. Raises InputError where there is no such folder.
    """
    from kenspeckle.image.decode import SUFFIXES

    try:
        if not folder.is_dir():
            raise InputError(str(folder), "no such folder", expected="a folder of pictures")
        found = folder.rglob("*") if recursive else folder.iterdir()
        pictures = sorted(p for p in found if p.suffix.lower() in SUFFIXES and p.is_file())
    except OSError as error:
        raise InputError(str(folder), f"it cannot be listed ({error.strerror})") from error
    listed = Listed([], [])
    chosen: dict[Path, Path] = {}
    for path in pictures:
        text = path.with_suffix(".txt")
        if not force and text.exists():
            listed.skipped.append((path, f"{text.name} is there"))
        elif text in chosen and not force:
            listed.skipped.append((path, f"{text.name} is of {chosen[text].name}"))
        else:
            if text in chosen:
                listed.skipped.append((chosen[text], f"{text.name} is of {path.name}"))
            chosen[text] = path
    listed.todo.extend((path, text) for text, path in chosen.items())
    return listed


def _describer(chosen: Settings, url: str, seconds: float, max_length: int) -> Describe:
    """What makes a caption of a picture file: the server, or the model of this machine."""
    from kenspeckle.image.decode import decode, read
    from kenspeckle.types import Intake

    if url:
        from kenspeckle.cli.caption_server import CaptionServer

        server = CaptionServer(url, seconds, _key(chosen.serve.key_file))
        return lambda path: server.caption(read(path, chosen.image), max_length)
    from kenspeckle.flows.describe import open_captioner

    captioner = open_captioner(chosen)
    intake = Intake(rotate=chosen.analyze.rotate, alpha="drop", colour="raw")
    return lambda path: captioner.caption(
        decode(path, intake=intake, limits=chosen.image).image, max_length
    )


def _key(file: str) -> str:
    """The key in a file, or none where no file is named."""
    if not file:
        return ""
    try:
        key = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(file, "it cannot be read", expected="a file that holds a key") from error
    if not key.isascii() or not key.isprintable():
        raise InputError(file, "more than a key", expected="one line")
    return key


def _write_all(
    todo: Iterable[tuple[Path, Path]], describe: Describe, callers: int, as_json: bool
) -> int:
    """Describe pictures and write their texts; how many failed."""
    from kenspeckle.vectors.pipeline import pooled

    def work(pair: tuple[Path, Path]) -> str:
        text = describe(pair[0])
        if not text:
            raise ModelError(str(pair[0]), "an empty caption", do="Allow a longer one")
        _write(pair[1], text)
        return text

    failed = 0
    for done in pooled(todo, work, callers):
        path = done.source[0]
        if done.error is not None:
            failed += 1
            why = str(done.error).removeprefix(f"{path}: ")
            _tell(path, {"error": why}, f"failed: {why}", as_json)
        else:
            _tell(path, {"caption": done.value}, str(done.value), as_json)
    return failed


def _write(path: Path, text: str) -> None:
    """The text and nothing else, as UTF-8; never half of it."""
    from kenspeckle._aside import written

    try:
        with written(path) as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise KenspeckleError(str(path), f"it cannot be written ({error.strerror})") from error


def _tell(path: Path, data: dict[str, object], text: str, as_json: bool) -> None:
    if as_json:
        console.json_line({"picture": str(path), **data})
    elif "caption" in data:
        console.line(f"{path}: {text}")
    else:
        console.note(f"{path}: {text}")
