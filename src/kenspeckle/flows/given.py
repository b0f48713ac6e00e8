"""What is handed in to the Python API, refused by a sentence before anything is done with it."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping
from typing import Any, NoReturn

from kenspeckle.errors import SettingError


def texts(**given: object) -> None:
    """Refuse what is no text. SettingError names the argument.

    >>> texts(label="A mug", key=5)
    Traceback (most recent call last):
    kenspeckle.errors.SettingError: key: a value of type int; expected text
    """
    for name, value in given.items():
        if not isinstance(value, str):
            _refuse(name, value, "text")


def places(**given: object) -> None:
    """Refuse what names no file or folder, an empty name too, which would be the working folder.

    None is passed over. Raises SettingError.
    """
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, (str, os.PathLike)):
            _refuse(name, value, "a path")
        if not os.fspath(value):
            raise SettingError(name, "an empty name", expected="a path")
        if "\0" in os.fsdecode(value):
            raise SettingError(name, "a zero byte in it", expected="a path")


def whole(name: str, value: Any, least: int | None = None) -> None:
    """Refuse what is no whole number, or below the least one. SettingError."""
    expected = "a whole number" if least is None else f"a whole number, at least {least}"
    try:
        number = operator.index(value)
    except TypeError:
        _refuse(name, value, expected)
    if least is not None and number < least:
        raise SettingError(name, str(number), expected=expected)


def pairs(name: str, value: object) -> None:
    """Refuse what is no table of texts, keys and values. SettingError."""
    if not isinstance(value, Mapping):
        _refuse(name, value, "a dictionary of texts")
    for key, text in value.items():
        texts(**{f"{name}[{key!r}]": text, f"a name in {name}": key})


def _refuse(name: str, value: object, expected: str) -> NoReturn:
    raise SettingError(name, f"a value of type {type(value).__name__}", expected=expected)
