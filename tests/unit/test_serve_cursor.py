"""Marks of pages: what was given is taken back, by the list that gave it, and nothing else is."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.errors import InputError
from kenspeckle.serve.routes.v1.cursor import LONGEST, _check, read, written


@given(st.text(), st.text(), st.text())
def test_a_key_comes_back_whole(key: str, kind: str, gallery: str) -> None:
    assert read(written(key, kind, gallery), kind, gallery, str) == key


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_number_comes_back(number: int) -> None:
    assert read(written(number, "references", "a"), "references", "a", int) == number


@given(st.text(max_size=60))
def test_what_was_not_given_here_is_refused(mark: str) -> None:
    with pytest.raises(InputError, match="none of this list"):
        read(mark, "items", "things", str)


@given(st.binary(max_size=40))
def test_bytes_that_look_like_a_mark_are_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        read(base64.urlsafe_b64encode(data).decode(), "items", "things", str)


@given(st.text(min_size=1, max_size=20), st.data())
def test_a_mark_with_one_character_changed_is_refused(key: str, data: st.DataObject) -> None:
    mark = written(key, "items", "things")
    place = data.draw(st.integers(0, len(mark) - 1))
    other = data.draw(st.sampled_from("ABCabc019-_="))
    forged = mark[:place] + other + mark[place + 1 :]
    try:
        assert read(forged, "items", "things", str) == key
    except InputError:
        assert forged != mark


@pytest.mark.parametrize(
    ("kind", "gallery", "what"),
    [("references", "things", str), ("items", "stamps", str), ("items", "things", int)],
)
def test_the_mark_of_another_list_is_refused(kind: str, gallery: str, what: type) -> None:
    with pytest.raises(InputError):
        read(written("red mug", "items", "things"), kind, gallery, what)


@pytest.mark.parametrize("number", [-1, 2**63, True])
def test_numbers_that_no_reference_has_are_refused(number: int) -> None:
    with pytest.raises(InputError):
        read(written(number, "references", "a"), "references", "a", int)


def test_kind_and_gallery_do_not_run_into_each_other() -> None:
    with pytest.raises(InputError):
        read(written("k", "items", "a"), "itemsa", "", str)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("text", [b"[" * 1200, b'{"a":' * 250, b"1" * 1400])
def test_a_mark_of_deep_or_endless_json_is_refused(text: bytes, signed: bool) -> None:
    """Also one whose check is right: it is no secret."""
    check = _check(text, "items", "things") if signed else b"x" * 9
    mark = base64.urlsafe_b64encode(check + text).decode()
    assert len(mark) <= LONGEST
    with pytest.raises(InputError, match="none of this list"):
        read(mark, "items", "things", str)


def test_a_mark_that_is_too_long_is_not_read() -> None:
    with pytest.raises(InputError, match="none of this list"):
        read(written("x" * LONGEST, "items", "things"), "items", "things", str)


@pytest.mark.parametrize("letter", ["\U0001f3fa", '"', "\udcff", "\u3042"])
def test_the_longest_key_comes_back(letter: str) -> None:
    mark = written(letter * 1000, "items", "things")
    assert len(mark) <= LONGEST
    assert read(mark, "items", "things", str) == letter * 1000
