"""What is told to whoever is not let in: the thing, what was found, what was expected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from guarded import Behind, guarded

from kenspeckle.serve import keys

PATHS = (("/v1/write", "application/problem+json"), ("/api/falcon", "application/json"))
ORIGINS = (
    *("http://evil.example", "https://localhost.evil.example:3000", "null"),
    *("http://[::1]:3000", "chrome-extension://abc"),
)


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    with guarded(tmp_path / "keys") as served:
        yield served


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(("path", "kind"), PATHS)
def test_a_key_that_was_revoked_is_told_as_one_that_never_was(
    behind: Behind, tmp_path: Path, path: str, kind: str
) -> None:
    keys.create(tmp_path / "keys", "first")
    ended = keys.create(tmp_path / "keys", "second")
    keys.revoke(tmp_path / "keys", "second")
    said = []
    for header in ({}, bearer(ended), bearer("ksp_never")):
        refused = httpx2.post(f"{behind.base}{path}", headers=header)
        assert (refused.status_code, refused.headers["content-type"]) == (401, kind)
        assert refused.headers["www-authenticate"].startswith("Bearer")
        said.append(refused.json()["detail"])
    assert said[0].startswith(
        "key: none was shown; expected Authorization: Bearer KEY or X-API-Key"
    )
    assert said[1] == said[2]
    assert "not known here, or was revoked" in said[1]
    assert "ksp_" not in said[1]


@pytest.mark.parametrize(("path", "kind"), PATHS)
@pytest.mark.parametrize(
    ("query", "headers", "found"),
    [
        ("", {}, "key: none was shown; "),
        ("?key=ksp_secret", {}, "key: none in a header, and an address is not read for one; "),
        ("?a=1&API-Key=ksp_secret", {}, "key: none in a header, and an address is not read "),
        ("?access_token=ksp_secret", {}, "key: none in a header, and an address is not read "),
        ("", {"Authorization": "Basic ksp_secret"}, "key: the header Authorization is not Bearer"),
        ("", {"Authorization": "ksp_secret"}, "key: the header Authorization is not Bearer and a"),
        ("", {"Authorization": "Bearer"}, "key: the header Authorization is not Bearer and a"),
        ("?key=x", {"X-API-Key": "ksp_secret"}, "key: the one shown is not known here, or was "),
    ],
)
def test_who_shows_a_key_in_another_way_hears_how(
    behind: Behind, tmp_path: Path, path: str, kind: str, query: str, headers: Any, found: str
) -> None:
    keys.create(tmp_path / "keys", "first")
    refused = httpx2.post(f"{behind.base}{path}{query}", headers=headers)
    assert (refused.status_code, refused.headers["content-type"]) == (401, kind)
    detail = refused.json()["detail"]
    assert detail.startswith(found)
    assert "Authorization: Bearer KEY" in detail
    assert detail.endswith("`kenspeckle keys create NAME`")
    assert "secret" not in detail
    if "not known here" not in detail:
        assert "X-API-Key: KEY, never in an address. Make one with" in detail


def test_a_key_that_may_not_read_is_told_on_a_surface_as_on_ours(
    behind: Behind, tmp_path: Path
) -> None:
    made = keys.create(tmp_path / "keys", "writer", ["write"])
    surface = httpx2.post(f"{behind.base}/api/falcon", headers=bearer(made))
    ours = httpx2.get(f"{behind.base}/v1/read", headers=bearer(made))
    assert (surface.status_code, ours.status_code) == (403, 403)
    assert surface.json()["detail"] == ours.json()["detail"]
    assert "key writer: " in surface.json()["detail"]
    assert "scope read" in surface.json()["detail"]


@pytest.mark.parametrize(("path", "kind"), PATHS)
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_page_hears_its_origin_and_what_would_let_it_ask(
    behind: Behind, path: str, kind: str, origin: str
) -> None:
    page = {"Origin": origin}
    before = {**page, "Access-Control-Request-Method": "POST"}
    for refused in (
        httpx2.post(f"{behind.base}{path}", headers=page),
        httpx2.options(f"{behind.base}{path}", headers=before),
    ):
        assert (refused.status_code, refused.headers["content-type"]) == (403, kind)
        assert refused.json()["type"] == "urn:kenspeckle:access-refused"
        detail = refused.json()["detail"]
        assert detail.startswith(f"origin {origin}: its pages may not ask here; expected one ")
        assert detail.endswith("start it with --origin ORIGIN")


@pytest.mark.parametrize(
    "origin", [b"<script>", b"http://a b", b"http://" + b"x" * 900, b"http://\xe9", b"HTTP://`x`"]
)
def test_what_is_no_origin_is_not_repeated(behind: Behind, origin: bytes) -> None:
    page: Any = {"Origin": origin}
    told = httpx2.post(f"{behind.base}/v1/write", headers=page)
    assert told.status_code == 403
    assert told.json()["detail"].startswith("origin: its pages may not ask here; ")
