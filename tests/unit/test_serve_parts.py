"""Forms cut out of memory are what the framework's parser makes of them, or are left to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser

from kenspeckle.serve.parts import Part, cut

KIND = "multipart/form-data; boundary=frontier"
PART = b'--frontier\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
END = b"--frontier--\r\n"


def slowly(body: bytes, kind: str) -> list[Part]:
    """What the framework makes of a form."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    async def parsed() -> list[Part]:
        form = await MultiPartParser(Headers({"content-type": kind}), stream()).parse()
        parts = [
            Part(name, value.filename, await value.read())
            if isinstance(value, UploadFile)
            else Part(name, None, b"")
            for name, value in form.multi_items()
        ]
        await form.close()
        return parts

    return asyncio.run(parsed())


def shown(parts: list[Part]) -> list[Part]:
    """Without the bytes of what is no file: those are text to the framework."""
    return [one if one.filename is not None else replace(one, data=b"") for one in parts]


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8"), max_size=12),
            st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
            st.binary(max_size=60) | st.just(b"\r\n--frontie") | st.just(b"\r\n\r\n--"),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_a_client_writes_is_read_the_same(parts: list[tuple[str, str | None, bytes]]) -> None:
    fields = [
        (name, (file, data) if file is not None else (None, data)) for name, file, data in parts
    ]
    request = httpx2.Request("POST", "http://h/", files=fields)
    body, kind = request.read(), request.headers["content-type"]
    found = cut(body, kind, 9)
    if found is None:
        return
    assert shown(found) == shown(slowly(body, kind))
    assert [one.data for one in found] == [data for _, _, data in parts]


def test_a_usual_form_is_cut() -> None:
    request = httpx2.Request(
        "POST", "http://h/", data={"label": "é"}, files={"image": ("a #1.png", b"\0" * 300_000)}
    )
    found = cut(request.read(), request.headers["content-type"], 9)
    assert found is not None
    assert [(one.name, one.filename, len(one.data)) for one in found] == [
        ("label", None, 2),
        ("image", "a #1.png", 300_000),
    ]


@given(st.binary(max_size=200))
def test_whatever_comes_is_cut_or_left(data: bytes) -> None:
    for body in (data, PART + data, PART + data + END, PART[:-2] + data + b"\r\n" + END):
        found = cut(body, KIND, 9)
        if found is not None:
            assert shown(found) == shown(slowly(body, KIND))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        END,
        PART,
        b"\r\n" + PART + END,
        PART + END + b"more",
        PART[:-1] + END,
        PART.replace(b"name", b"nam") + END,
        PART.replace(b"\r\n\r\n", b"\r\n") + END,
        PART.replace(b'"a"', b'"\xff"') + END,
        PART.replace(b"x\r\n", b"x\r\n--frontierx\r\n") + END,
        PART.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n") + END,
        PART.replace(b"\r\n\r\n", b"\r\nno colon\r\n\r\n") + END,
        PART.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 9000 + b"\r\n\r\n") + END,
        PART * 10 + END,
        *(
            PART.replace(b"\r\n\r\n", b"\r\n" + name + b": y\r\n\r\n") + END
            for name in (b"", b"X y", b" X", b'"X"', b"X@", b"X\x80", b"X\t")
        ),
        PART.replace(b"\r\n\r\n", b"\r\nX: y" * 8 + b"\r\n\r\n") + END,
        PART.replace(b'"a"\r', b'"a"\n\r') + END,
        PART.replace(b'"a"', b'"a\nb"') + END,
        PART.replace(b"\r\n\r\n", b"\r\nX: y\nZ: y\r\n\r\n") + END,
        PART.replace(b"\r\n\r\n", b"\r\nX: y\n\r\n\r\n") + END,
    ],
)
def test_what_is_not_plain_is_left_to_the_framework(body: bytes) -> None:
    assert cut(body, KIND, 9) is None


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=frontier",
        "multipart/form-data; charset=latin-1; boundary=frontier",
        "multipart/form-data; boundary=frontier; charset=latin-1",
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/form-data; boundary=é",
        'multipart/form-data; boundary="frontier',
        'multipart/form-data; boundary=frontier"',
        'multipart/form-data; boundary="frontier "',
    ],
)
def test_other_kinds_are_left_to_the_framework(kind: str) -> None:
    assert cut(PART + END, kind, 9) is None


@pytest.mark.parametrize("end", [b"", b" ", b"\t ", b"\x0b", b"\x0c", b"\x85", b"\x1c"])
def test_the_end_of_a_head_is_read_the_same(end: bytes) -> None:
    for name in (b'"a"', b'"a', b"a"):
        body = PART.replace(b'"a"', name + end) + END
        found = cut(body, KIND, 9)
        if found is not None:
            assert shown(found) == slowly(body, KIND)


def test_a_part_may_have_other_headers() -> None:
    heads = b"\r\nContent-Type: text/plain\r\nX-!#$%&'*+.^_`|~: y" + b"\r\nX: y" * 5 + b"\r\n\r\n"
    body = PART.replace(b"\r\n\r\n", heads) + END
    assert cut(body, KIND, 9) == [Part("a", None, b"x")]
    assert slowly(body, KIND) == [Part("a", None, b"")]


@given(
    st.text("Bb'+_ =\",;", min_size=1, max_size=4), st.sampled_from(['"%s"', "%s", '"%s', '%s"'])
)
def test_a_boundary_is_that_of_the_framework_or_left(mark: str, quoted: str) -> None:
    kind = f"multipart/form-data; boundary={quoted % mark}"
    for shown_mark in (mark, quoted % mark, mark.strip()):
        body = (PART + END).replace(b"frontier", shown_mark.encode())
        found = cut(body, kind, 9)
        if found is not None:
            assert shown(found) == slowly(body, kind)


def test_a_boundary_may_be_quoted() -> None:
    assert cut(PART + END, 'multipart/form-data; boundary="frontier"', 9) == [Part("a", None, b"x")]
