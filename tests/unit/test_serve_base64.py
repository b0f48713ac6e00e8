"""Base64 is read in slices, and is what it would be read at once."""

from __future__ import annotations

import base64

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.serve.routes.v1 import received

AROUND = range(received.SLICE - 5, received.SLICE + 6)


@pytest.mark.parametrize("length", [0, 1, 2, 3, *AROUND, 2 * received.SLICE + 1])
def test_what_was_encoded_comes_back(length: int) -> None:
    data = bytes(number % 251 for number in range(length))
    assert received.decoded(base64.b64encode(data).decode(), ("data",)) == data


@given(text=st.text("AQgw+/=\n é", max_size=14), first=st.booleans())
def test_what_is_refused_is_what_would_be_refused_at_once(text: str, *, first: bool) -> None:
    whole = text + "A" * received.SLICE if first else "A" * received.SLICE + text
    if whole.endswith("=") and len(whole.rstrip("=")) % 4 == 0:
        whole = "!"  # padding that pads nothing: taken at once, by mistake
    try:
        expected = base64.b64decode(whole, validate=True)
    except ValueError:
        with pytest.raises(RequestValidationError):
            received.decoded(whole, ("data",))
    else:
        assert received.decoded(whole, ("data",)) == expected
