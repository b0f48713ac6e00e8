"""`kenspeckle caption`: a text file beside each picture of a folder, that says what it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
class Text:
    """A text file to write, and the pictures that it may be of: the first that can be described."""

    file: Path
    pictures: tuple[Path, ...]

    def __str__(self) -> str:
        return str(self.pictures[0])


@dataclass(frozen=True, slots=True)
class Listed:
    """Texts to write, and pictures with the reason why they are left alone."""

    todo: list[Text]
    skipped: list[tuple[Path, str]]


@dataclass(slots=True)
class _Counts:
    captioned: int = 0
    skipped: int = 0
    failed: int = 0


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
    counts = _write_all(listed.todo, describe, callers, as_json) if describe else _Counts()
    skipped = len(listed.skipped) + counts.skipped
    console.note(f"{counts.captioned} captioned, {skipped} skipped, {counts.failed} failed")
    if counts.failed:
        raise typer.Exit(1)


def list_pictures(folder: Path, recursive: bool, force: bool) -> Listed:
    """What is to be described in a folder, in the order of names.

    Pictures that differ in their suffix alone share a text file: without `force` it is of the first
    one that can be described, with it of the last. Raises InputError where there is no such folder.
    """
    from kenspeckle.image.decode import SUFFIXES

    try:
        if not folder.is_dir():
            raise InputError(str(folder), "no such folder", expected="a folder of pictures")
        found = folder.rglob("*") if recursive else folder.iterdir()
        pictures = sorted(p for p in found if p.suffix.lower() in SUFFIXES and p.is_file())
    except OSError as error:
        raise InputError(str(folder), f"it cannot be listed ({error.strerror})") from error
    skipped: list[tuple[Path, str]] = []
    sharing: dict[Path, list[Path]] = {}
    for path in pictures:
        text = path.with_suffix(".txt")
        if not force and text.exists():
            skipped.append((path, f"{text.name} is there"))
        else:
            sharing.setdefault(text, []).append(path)
    turn = -1 if force else 1
    return Listed([Text(text, tuple(some[::turn])) for text, some in sharing.items()], skipped)


def _describer(chosen: Settings, url: str, seconds: float, max_length: int) -> Describe:
    """What makes a caption of a picture file: the server, or the model of this machine."""
    from kenspeckle.flows.describe import USUAL, open_captioner
    from kenspeckle.image.decode import decode, read
    from kenspeckle.types import Intake

    advice = f"Allow a longer one: --max-length {USUAL}"
    if max_length >= USUAL:
        advice = "Another captioner may find words" + (" (that of the server)" if url else "")
    if url:
        from kenspeckle.cli.caption_server import CaptionServer

        server = CaptionServer(url, seconds, _key(chosen.serve.key_file))

        def said(path: Path) -> str:
            return server.caption(read(path, chosen.image), max_length)
    else:
        captioner = open_captioner(chosen)
        intake = Intake(rotate=chosen.analyze.rotate, alpha="drop", colour="raw")

        def said(path: Path) -> str:
            image = decode(path, intake=intake, limits=chosen.image).image
            return captioner.caption(image, max_length)

    def describe(path: Path) -> str:
        text = said(path)
        if not text:
            raise ModelError(str(path), "an empty caption", do=advice)
        return text

    return describe


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


def _write_all(todo: Sequence[Text], describe: Describe, callers: int, as_json: bool) -> _Counts:
    """Describe pictures and write their texts, several at once; how many came to what.

    Of pictures that share a text one is tried after the other, until one can be described.
    """
    from kenspeckle.vectors.pipeline import pooled

    def work(text: Text) -> str:
        caption = describe(text.pictures[0])
        _write(text.file, caption)
        return caption

    counts = _Counts()
    while todo:
        left = []
        for done in pooled(todo, work, callers):
            path, *others = done.source.pictures
            if done.error is not None:
                why = str(done.error).removeprefix(f"{path}: ")
                _tell(path, {"error": why}, f"failed: {why}", as_json)
                counts.failed += 1
                if others:
                    left.append(Text(done.source.file, tuple(others)))
                continue
            _tell(path, {"caption": done.value}, str(done.value), as_json)
            counts.captioned += 1
            for other in others:
                why = f"{done.source.file.name} is of {path.name}"
                _tell(other, {"skipped": why}, f"skipped: {why}", as_json)
                counts.skipped += 1
        todo = left
    return counts


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
