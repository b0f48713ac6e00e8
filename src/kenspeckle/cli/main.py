"""The command `kenspeckle`: errors become one line and an exit code here, nowhere else.

Exit codes: 0 done; 1 it could not be done, or an input failed (`index` names pictures that it
cannot use and goes on); 2 a wrong option; 3 `identify` answered, and everything was unknown; 130
stopped by Ctrl-C.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

from kenspeckle._threads import hold_pools

hold_pools()

import typer  # noqa: E402

from kenspeckle.cli import streams  # noqa: E402
from kenspeckle.cli.console import note  # noqa: E402
from kenspeckle.cli.group import LazyGroup, UsageError, show_version  # noqa: E402
from kenspeckle.errors import IndexMissing, KenspeckleError  # noqa: E402

FAILED, MISUSED = 1, 2
INDEXES = frozenset({".ken", ".npz"})
"""How index files end."""

app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def kenspeckle(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Show it a picture and it says which of your things it is, or none of them, and why."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. `arguments` default to the process's own."""
    command: Any = typer.main.get_command(app)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = command.main(args=words, prog_name="kenspeckle", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        error.show()
        return MISUSED
    except KenspeckleError as error:
        note(f"{error}{_misplaced(error, words)}")
        return FAILED
    except BrokenPipeError:
        streams.silence()
        return FAILED
    except OSError as error:  # a full disk, a folder that may not be read
        note(streams.failure(error))
        streams.silence()
        return FAILED
    return code if isinstance(code, int) else 0


def _misplaced(error: KenspeckleError, words: Sequence[str]) -> str:
    """What is said where an index was given by its place, to a command that takes keys there."""
    asked = words if isinstance(error, IndexMissing) else [error.thing]
    if not isinstance(error, IndexMissing) and "a key" not in error.expected:
        return ""
    for word in asked:
        if Path(word).suffix.lower() in INDEXES and Path(word).is_file():
            return f"; {word} is an index: name it by --index {shlex.quote(word)}"
    return ""


def main() -> NoReturn:
    """Entry point of the console script."""
    streams.hold()
    for stream in (sys.stdout, sys.stderr):
        streams.forgive(stream)
    sys.exit(run())
