"""Another system behind an address: a photo is posted, its answer read from JSON.

The photo's bytes are the body of a POST (or one file field of a form). The answer is one JSON
object; fields that are not there are left out of the figures:

    label        the name said; "", null or "unknown" for none
    known        false: nothing is said, whatever `label` holds
    score        a number, higher for surer; the threshold is fitted on it
    confidence   0 … 1, the stated chance that the name is right
    candidates   a list of {"label": …, "score": …}, best first ("similarity" serves as score)

which is what `kenspeckle identify --json` writes. Nothing but the named address is asked: a
redirect is an error. Connecting, sending and reading have a time limit, the answer a size limit.
"""

from __future__ import annotations

import http.client
import json
import math
import mimetypes
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from kenspeckle.config import ImageSettings
from kenspeckle.errors import FetchError, SettingError
from kenspeckle.evaluate.foreign import Reply
from kenspeckle.image.decode import read

NOBODY = frozenset({"", "unknown", "none"})
PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A system at an address; call it with the path of a photo.

    `field` names the file field of a form; empty posts the bare bytes. `seconds` is what one photo
    may take, `most` how many bytes an answer may have. Raises SettingError for an address that is
    none of http or https.
    """

    url: str
    field: str = ""
    seconds: float = 30.0
    most: int = 1024 * 1024
    limits: ImageSettings = ImageSettings()  # noqa: RUF009  frozen

    def __post_init__(self) -> None:
        parts = _parts(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingError("endpoint", repr(self.url), expected="http://… or https://…")
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise SettingError("endpoint-seconds", f"{self.seconds}", expected="above 0")

    def __str__(self) -> str:
        parts = _parts(self.url)  # a password or a token in the address is nobody's business
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"

    def __call__(self, photo: Path) -> Reply:
        """The answer for one photo. Raises FetchError, PictureError."""
        body, kind = _body(photo, read(photo, self.limits), self.field)
        try:
            return replied(self._posted(body, kind))
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise FetchError(
                str(self), f"no answer for {photo.name} ({why})", do="Check that it is running"
            ) from error
        except _Unusable as error:
            raise FetchError(
                str(self), f"for {photo.name}: {error}", expected="one JSON object, status 200"
            ) from error

    def _posted(self, body: bytes, kind: str) -> Any:
        parts, end = _parts(self.url), time.monotonic() + self.seconds
        make = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = make(parts.hostname or "", parts.port, timeout=self.seconds)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"Content-Type": kind, "Accept": "application/json", "Connection": "close"}
            connection.request("POST", target, body, headers)
            with connection.getresponse() as answer:
                if answer.status != http.client.OK:
                    raise _Unusable(f"status {answer.status}")
                data = self._read(answer, end)
        finally:
            connection.close()
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise _Unusable("an answer that is no JSON") from error

    def _read(self, answer: http.client.HTTPResponse, end: float) -> bytes:
        data = bytearray()
        while piece := answer.read1(PIECE):
            data += piece
            if len(data) > self.most:
                raise _Unusable(f"more than {self.most:,} bytes")
            if time.monotonic() > end:
                raise TimeoutError(f"not done after {self.seconds:g} s")
        return bytes(data)


class _Unusable(Exception):
    """An answer that came and cannot be read."""


def replied(data: Any) -> Reply:
    """An answer from its JSON. Numbers that are none stay nan, so that they are counted.

    >>> replied({"label": "cup", "score": 0.9}).label
    'cup'
    >>> replied({"label": "cup", "known": False}).label
    ''
    """
    if not isinstance(data, Mapping):
        raise _Unusable(f"JSON that is a {type(data).__name__}")
    label = data.get("label")
    said = "" if label is None or data.get("known") is False else str(label).strip()
    given = data.get("candidates")
    candidates = tuple(_candidate(one) for one in given) if isinstance(given, list) else ()
    stated = None if data.get("confidence") is None else _number(data["confidence"])
    return Reply(
        label="" if said.casefold() in NOBODY else said,
        score=None if data.get("score") is None else _number(data["score"]),
        confidence=stated if stated is not None and 0 <= stated <= 1 else None,
        candidates=candidates,
    )


def _candidate(one: Any) -> tuple[str, float]:
    if not isinstance(one, Mapping) or not isinstance(one.get("label"), str):
        raise _Unusable("a candidate without a label")
    return one["label"], _number(one.get("score", one.get("similarity")))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  refuses a port that is none
    except ValueError as error:
        raise SettingError("endpoint", repr(url), expected="http://… or https://…") from error
    return parts


def _body(photo: Path, data: bytes, field: str) -> tuple[bytes, str]:
    """The bytes to post, and their type."""
    kind = mimetypes.guess_type(photo.name)[0] or "application/octet-stream"
    if not field:
        return data, kind
    mark = uuid.uuid4().hex
    head = (
        f'--{mark}\r\nContent-Disposition: form-data; name="{field}"; '
        f'filename="photo{photo.suffix}"\r\nContent-Type: {kind}\r\n\r\n'
    )
    tail = f"\r\n--{mark}--\r\n"
    return head.encode() + data + tail.encode(), f"multipart/form-data; boundary={mark}"
