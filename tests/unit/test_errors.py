"""The tree of errors: as drawn, and each message says thing, found, expected and what to do."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from kenspeckle import errors
from kenspeckle.errors import GalleryError, InputError, KenspeckleError, PictureError

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, KenspeckleError)
]


def drawn():
    """name → name of its parent, read from the tree in the module's docstring."""
    parents, path = {}, []
    for line in errors.__doc__.splitlines():
        found = re.match(r"^    ([│├└─ ]*)([A-Z]\w+)", line)
        if found:
            depth = len(found[1]) // 4
            path = [*path[:depth], found[2]]
            parents[found[2]] = path[-2] if depth else "Exception"
    return parents


def test_the_tree_is_as_drawn():
    assert drawn() == {kind.__name__: kind.__base__.__name__ for kind in ALL}


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "a.jpg: 0 bytes"),
        ({"expected": "a picture"}, "a.jpg: 0 bytes; expected a picture"),
        ({"do": "Copy it again"}, "a.jpg: 0 bytes. Copy it again"),
        (
            {"expected": "a picture", "do": "Copy it again"},
            "a.jpg: 0 bytes; expected a picture. Copy it again",
        ),
    ],
)
def test_the_message_has_the_parts_that_are_known(parts, text):
    error = KenspeckleError("a.jpg", "0 bytes", **parts)
    assert str(error) == text
    assert (error.thing, error.found) == ("a.jpg", "0 bytes")
    assert (error.expected, error.do) == (parts.get("expected", ""), parts.get("do", ""))


@pytest.mark.parametrize("kind", ALL)
def test_errors_survive_a_process_boundary(kind):
    error = kind("thing", "found", expected="expected", do="Do this")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_explained_in_a_sentence(kind):
    assert kind.__doc__.strip().split("\n")[0].endswith(".")


def test_one_clause_catches_what_is_wrong_with_one_picture():
    with pytest.raises(InputError):
        raise PictureError("a.jpg", "0 bytes")
    assert not issubclass(GalleryError, InputError)
