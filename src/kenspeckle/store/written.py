"""Which file is written to, so that what was written is never taken for a part of another one.

A number (inode) alone does not tell: it is given again to a file that is put in the place of a
deleted one, and on another machine it says nothing. So a file that is written to gets a mark, an
attribute that copies of it do not have, or have of an earlier time. Where a file system has no
attributes there is none.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from pathlib import Path
from typing import NamedTuple, Self

_NAME = "user.kenspeckle.written"


class Written(NamedTuple):
    """A file by its number, None if it is not known, and by its mark, empty if it has none."""

    number: int | None = None
    mark: str = ""

    @classmethod
    def marked(cls, path: Path, number: int) -> Self:
        """The file of this number, with a new mark if it lies there and can have one."""
        if sys.platform == "linux":
            mark = secrets.token_hex(8)
            with contextlib.suppress(OSError):
                os.setxattr(path, _NAME, mark.encode())
                return cls(number, mark if path.stat().st_ino == number else "")
        return cls(number)

    @classmethod
    def told(cls, line: str, *, here: bool) -> Self:
        """What a line says, by this machine (`here`) or another one."""
        number, _, mark = line.partition(" ")
        return cls(int(number) if here and number.isdecimal() else None, mark)

    def line(self) -> str:
        """It in one line."""
        return f"{'-' if self.number is None else self.number} {self.mark}".rstrip()

    def is_other(self, path: Path) -> bool:
        """Whether the file that lies there is known to be another one. Raises OSError.

        One without a mark may have lost it on its way from the machine that told this.
        """
        if self.number is not None and self.number != path.stat().st_ino:
            return True
        mark = _mark(path)
        return bool(self.mark) and self.mark != mark and (bool(mark) or self.number is not None)


def _mark(path: Path) -> str:
    if sys.platform == "linux":
        try:
            return os.getxattr(path, _NAME).decode("ascii", "replace")
        except OSError:
            return ""
    return ""
