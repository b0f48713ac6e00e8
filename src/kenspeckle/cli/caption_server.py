"""Captions by a running server: one picture posted to its analysis surface, the text read back."""

from __future__ import annotations

import http.client
import json
import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from kenspeckle.errors import FetchError, ModelError, SettingError

ROUTE = "/analyze_image_upload/"
TASK = "caption"
MOST = 4 * 1024 * 1024
"""Largest answer that is read, bytes."""
PIECE = 64 * 1024
LONGEST_WAIT = 30.0
"""Seconds to wait at most when a busy server says when to come again."""


class _Busy(Exception):
    """The server asks to come again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class CaptionServer:
    """The server at an address, with or without the route after it.

    `seconds` is what one picture may take altogether, `key` is sent as a bearer token. Nothing but
    that address is asked: a redirect is an error. Raises SettingError for an address that is none.
    """

    url: str
    seconds: float = 120.0
    key: str = ""

    def __post_init__(self) -> None:
        parts = _parts(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingError("--url", repr(self.url), expected="http://… or https://…")

    def __str__(self) -> str:
        parts = _parts(self.url)  # a password in the address is nobody's business
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}"

    def caption(self, data: bytes, max_length: int) -> str:
        """The caption of a picture in `max_length` tokens at most.

        Waits where the server is busy. Raises FetchError when no usable answer comes in time,
        ModelError when the server says that it cannot describe the picture.
        """
        end = time.monotonic() + self.seconds
        body, kind = _form(data, max_length)
        while True:
            try:
                return _read(self._posted(body, kind, end))
            except _Busy as busy:
                if time.monotonic() + busy.seconds >= end:
                    raise FetchError(
                        str(self), f"busy for more than {self.seconds:g} s", do="Try again later"
                    ) from None
                time.sleep(busy.seconds)
            except (OSError, http.client.HTTPException) as error:
                why = str(error) or type(error).__name__
                raise FetchError(
                    str(self), f"no answer ({why})", do="Check that it is running"
                ) from error

    def _posted(self, body: bytes, kind: str, end: float) -> bytes:
        parts, left = _parts(self.url), end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"not done after {self.seconds:g} s")
        make = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = make(parts.hostname or "", parts.port, timeout=left)
        base = parts.path.rstrip("/")
        path = base + ("/" if base.endswith(ROUTE.rstrip("/")) else ROUTE)
        headers = {"Content-Type": kind, "Accept": "application/json", "Connection": "close"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        try:
            connection.request("POST", path, body, headers)
            with connection.getresponse() as answer:
                text = self._drained(answer, end)
                if answer.status in (429, 503):
                    raise _Busy(_wait(answer.getheader("Retry-After")))
                if answer.status != http.client.OK:
                    raise FetchError(
                        f"{self}{path}", f"status {answer.status} {_detail(text)}".rstrip()
                    )
                return text
        finally:
            connection.close()

    def _drained(self, answer: http.client.HTTPResponse, end: float) -> bytes:
        data = bytearray()
        while piece := answer.read1(PIECE):
            data += piece
            if len(data) > MOST:
                raise FetchError(str(self), f"an answer of more than {MOST:,} bytes")
            if time.monotonic() > end:
                raise TimeoutError(f"not done after {self.seconds:g} s")
        if answer.length:
            raise http.client.IncompleteRead(bytes(data), answer.length)
        return bytes(data)


def _read(text: bytes) -> str:
    """The caption in an answer."""
    data = _json(text)
    results = data.get("results") if isinstance(data, Mapping) else None
    result = results.get(TASK) if isinstance(results, Mapping) else None
    if not isinstance(result, Mapping):
        raise FetchError("answer", "no result of the task", expected="that of an analysis")
    said = result.get("data")
    if result.get("status") == "success" and isinstance(said, str):
        return said
    raise ModelError("server", str(result.get("error_message") or "no caption"))


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FetchError("answer", "no JSON", expected="that of an analysis") from error


def _detail(text: bytes) -> str:
    """What an answer says of itself when it is none, in one short line."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    detail = data.get("detail") if isinstance(data, Mapping) else None
    return " ".join(detail.split())[:200] if isinstance(detail, str) else ""


def _wait(said: str | None) -> float:
    try:
        seconds = float(said or 1)
    except ValueError:
        seconds = 1.0
    return min(max(seconds, 0.1), LONGEST_WAIT) if math.isfinite(seconds) else 1.0


def _form(data: bytes, max_length: int) -> tuple[bytes, str]:
    """The body of one request, and its type."""
    task = {
        "operation_id": TASK,
        "type": "describe_image",
        "params": {"target": "whole_image", "max_length": max_length},
    }
    mark = uuid.uuid4().hex
    head = (
        f'--{mark}\r\nContent-Disposition: form-data; name="tasks_json"\r\n\r\n'
        f"{json.dumps([task])}\r\n"
        f'--{mark}\r\nContent-Disposition: form-data; name="image_file"; filename="picture"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + data + f"\r\n--{mark}--\r\n".encode()
    return body, f"multipart/form-data; boundary={mark}"


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  refuses a port that is none
    except ValueError as error:
        raise SettingError("--url", repr(url), expected="http://… or https://…") from error
    return parts
