"""Write docs/reference from the code: commands, settings, errors, extras.

python tools/reference_docs.py            write the pages
python tools/reference_docs.py --check    say which pages are out of date, exit code 1
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from kenspeckle import config, errors
from kenspeckle.cli.group import COMMANDS, describe, load

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
MADE = "<!-- Written by `make docs` from the code. Edit the code, not this page. -->"

PURPOSE = {
    "hub": "Models from the Hugging Face hub, with `kenspeckle models pull`.",
    "heic": "HEIC pictures. The wheels carry x265, which is GPL-2.0.",
    "geometry": "The region rule `quad`: finds a flat object's four corners and flattens it. "
    "The second look, and printed codes.",
    "ocr": "Printed text as evidence. Its three networks are in the wheel of `rapidocr`.",
    "report": "The plots of the HTML report of `kenspeckle evaluate`.",
    "serve": "The HTTP service, `kenspeckle serve`.",
    "mcp": "The service for assistants, `kenspeckle mcp`.",
    "torch": "Any Hugging Face checkpoint's image tower; detectors of the DETR kin; captions.",
    "dev": "Everything above and what the checks need.",
}


def commands() -> str:
    """The page of the command line."""
    parts = [
        "# Commands",
        inspect.cleandoc(
            """
            `kenspeckle COMMAND` and `python -m kenspeckle COMMAND` are the same. Options may be
            shortened to any prefix that fits one only. Results go to stdout, progress and remarks
            to stderr.

            | exit code | meaning |
            |---|---|
            | 0 | done |
            | 1 | it could not be done, or one of the inputs failed; the reason is on stderr |
            | 2 | a wrong option |
            | 3 | `identify` answered, and all it was shown is unknown |
            | 130 | stopped by Ctrl-C |

            Pictures that `index` cannot use are named and do not make it fail, unless
            the index stays empty, or the folder vanishes meanwhile.
            """
        ),
    ]
    for row in COMMANDS:
        parts += _command(f"kenspeckle {row.name}", load(row), 2)
    return _page(parts)


def _command(name: str, command: Any, level: int) -> Iterator[str]:
    context = typer.Context(command, info_name=name)
    yield f"{'#' * level} {name}"
    yield inspect.cleandoc(command.help or "")
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{name} {usage}\n```"
    for title, records in zip(
        ("argument", "option"), describe(command.get_params(context), context), strict=True
    ):
        records = [(written, about) for written, about in records if "--help" not in written]
        if records:
            yield _table((title, "meaning"), [(f"`{left}`", right) for left, right in records])
    for below in getattr(command, "commands", {}).values():
        yield from _command(f"{name} {below.name}", below, level + 1)


def settings() -> str:
    """The page of the settings."""
    parts = [
        "# Settings",
        inspect.cleandoc(
            f"""
            Later wins: default, `{config.FILE}` (working folder, else the user's configuration
            folder), `.env` in the working folder, environment, option of a command. Within one
            level the `KENSPECKLE_*` name wins over the older ones. `kenspeckle config` shows the
            values in force and where each came from.

            In `{config.FILE}` each section is a table:

            ```toml
            [identify]
            fpir = 0.01
            ```
            """
        ),
    ]
    for section in dataclasses.fields(config.Settings):
        kind: Any = section.default_factory
        parts += [f"## {section.name}", inspect.cleandoc(kind.__doc__)]
        rows = []
        for entry in dataclasses.fields(kind):
            name = f"{section.name}.{entry.name}"
            names = config.environment_names(section.name, entry)
            _, allowed = config.CHECKS.get(name, (None, ""))
            meaning = entry.metadata["doc"] + (f" ({allowed})" if allowed else "")
            rows.append(
                (f"`{name}`", f"`{entry.default!r}`", meaning, ", ".join(f"`{n}`" for n in names))
            )
        parts.append(_table(("setting", "default", "meaning", "environment"), rows))
    return _page(parts)


def errors_() -> str:
    """The page of the errors."""
    drawing = inspect.cleandoc(errors.__doc__ or "")
    intro, tree, advice = (part.strip("\n") for part in drawing.split("\n\n"))
    parts = ["# Errors", intro, f"```text\n{inspect.cleandoc(tree)}\n```", advice]
    parts.append(
        "A message reads `thing: found; expected …. What to do`; the four parts are attributes of "
        "the error (`thing`, `found`, `expected`, `do`). The command line prints it as one line "
        "and exits with code 1."
    )
    rows = [
        (f"`{kind.__name__}`", f"`{kind.__base__.__name__}`", inspect.cleandoc(kind.__doc__ or ""))
        for kind in error_classes()
    ]
    parts.append(
        _table(("error", "is a", "meaning"), [(a, b, c.split("\n")[0]) for a, b, c in rows])
    )
    return _page(parts)


def error_classes() -> list[type[errors.KenspeckleError]]:
    """Every class of the tree, in the order of the file."""
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.KenspeckleError)
    ]


def extras() -> str:
    """The page of the optional parts."""
    rows = [
        (f"`{name}`", PURPOSE[name], ", ".join(f"`{part}`" for part in parts))
        for name, parts in extra_parts().items()
    ]
    text = "Install one with `pip install '.[NAME]'` in a copy of the source, several with a comma "
    text += "between them. What needs a part that is missing says so in one sentence that names "
    text += "the extra, and a command that adds it to what is installed."
    return _page(["# Extras", text, _table(("extra", "what for", "brings"), rows)])


def extra_parts() -> dict[str, list[str]]:
    """Extras of pyproject.toml and what each of them installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    parts: dict[str, list[str]] = project["optional-dependencies"]
    return parts


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _page(parts: list[str]) -> str:
    return "\n\n".join([MADE, *parts]) + "\n"


def pages() -> dict[Path, str]:
    """Every page with the text it ought to have."""
    made = {"commands": commands, "settings": settings, "errors": errors_, "extras": extras}
    return {PAGES / f"{name}.md": write() for name, write in made.items()}


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    stale = []
    for path, text in pages().items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.relative_to(ROOT))
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        done = "out of date, run `make docs`" if check else "written"
        print(*(f"{path}: {done}" for path in stale), sep="\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
