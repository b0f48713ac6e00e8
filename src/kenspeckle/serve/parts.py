"""The parts of a form that lies whole in memory, cut out at its boundary.

The framework's parser is fed piece by piece and calls back for each; for a photo of 300 kB that is
half a millisecond on the event loop, ten times what cutting takes. What is not of the form that
clients send is left to it, with all it knows of broken forms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header

LONGEST_HEAD = 4 * 1024
"""Bytes of the headers of one part."""
MOST_HEADERS = 8
"""Most headers of one part."""
MOST_PARTS = 256
"""Most parts of a form that is cut: each takes as long as a header has to be read."""

_MARK = r"[A-Za-z0-9'()+_,./:=?-](?:[A-Za-z0-9'()+_,./:=? -]{0,68}[A-Za-z0-9'()+_,./:=?-])?"
_KIND = re.compile(rf'multipart/form-data; *boundary=(?:"({_MARK})"|({_MARK}))', re.I)
_HEADER = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+:")
_DISPOSITION = b"content-disposition:"
_USUAL = re.compile(rb'form-data; name="([^"\\;]*)"(?:; filename="([^"\\;]*)")?')
_ODD = (b"\r", b"\n", b"\0")
_ENCODED = b"content-transfer-encoding:"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form; `filename` is None where it is no file."""

    name: str
    filename: str | None
    data: bytes


def cut(body: bytes, content_type: str, most: int) -> list[Part] | None:
    r"""The parts of a form, at most so many; None for a form that is not plain and whole.

    >>> form = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    >>> cut(form, "multipart/form-data; boundary=x", 9)
    [Part(name='a', filename=None, data=b'1')]
    """
    found = _KIND.fullmatch(content_type)
    if found is None:
        return None
    mark = b"\r\n--" + (found[1] or found[2]).encode()
    if not body.startswith(mark[2:] + b"\r\n"):
        return None
    parts: list[Part] = []
    start = len(mark)
    while len(parts) < most:
        head = body.find(b"\r\n\r\n", start, start + LONGEST_HEAD)
        end = body.find(mark, head + 4)
        if head < 0 or end < 0:
            return None
        part = _part(body[start:head], body[head + 4 : end])
        if part is None:
            return None
        parts.append(part)
        start = end + len(mark) + 2
        after = body[start - 2 : start]
        if after == b"--":
            return parts if body[start:] in (b"", b"\r\n") else None
        if after != b"\r\n":
            return None
    return None


def _part(head: bytes, data: bytes) -> Part | None:
    """A part with one plain disposition; None for any other."""
    lines = head.split(b"\r\n")
    small = [line.lower() for line in lines]
    own = [n for n, line in enumerate(small) if line.startswith(_DISPOSITION)]
    odd = any(not _HEADER.match(line) or line.startswith(_ENCODED) for line in small)
    bare = head.replace(b"\r\n", b"")
    odd = odd or len(lines) > MOST_HEADERS or any(byte in bare for byte in _ODD)
    if len(own) != 1 or odd:
        return None
    name, filename = _names(lines[own[0]].partition(b":")[2].strip(b" \t"))
    if name is None:
        return None
    try:
        return Part(name.decode(), None if filename is None else filename.decode(), data)
    except UnicodeDecodeError:
        return None


def _names(disposition: bytes) -> tuple[bytes | None, bytes | None]:
    """The name of a part and of its file."""
    usual = _USUAL.fullmatch(disposition)
    if usual:
        return usual[1], usual[2]
    _, options = parse_options_header(disposition)
    return options.get(b"name"), options.get(b"filename")
