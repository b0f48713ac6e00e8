"""Who may read the figures of the service, and what everybody else is told."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from drawing import draw
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import IndexSettings, ModelSettings, ServeSettings, Settings
from kenspeckle.serve.keys import create

KEYLESS = Settings(models=ModelSettings(name="dummy"), index=IndexSettings(calibrate=False))


@pytest.mark.parametrize(
    ("query", "headers", "found"),
    [
        ("", {}, "key: none was shown; expected Authorization: Bearer KEY or X-API-Key: KEY"),
        ("?token=ksp_never", {}, "key: none in a header, and an address is not read for one; "),
        ("", {"Authorization": "Basic a2V5"}, "key: the header Authorization is not Bearer and"),
        ("", {"X-API-Key": "ksp_never"}, "key: the one shown is not known here, or was revoked"),
    ],
)
def test_whoever_shows_no_key_in_force_hears_what_every_route_says(
    tmp_path: Path, query: str, headers: dict[str, str], found: str
) -> None:
    (tmp_path / "refs").mkdir()
    draw(1).save(tmp_path / "refs" / "thing.png")
    with Gallery.create(tmp_path / "things.ken", settings=KEYLESS) as gallery:
        gallery.index(tmp_path / "refs")
    keys = tmp_path / "keys"
    made = create(keys, "mine", ["read"])
    asked = Settings(models=KEYLESS.models, serve=ServeSettings(keys=str(keys)))
    with served(asked, [tmp_path / "things.ken"]) as (base, _):
        figures = httpx2.get(f"{base}/metrics{query}", headers=headers)
        routes = httpx2.get(f"{base}/v1/galleries{query}", headers=headers)
        shown = httpx2.get(f"{base}/metrics", headers={"X-API-Key": made})
    assert (figures.status_code, shown.status_code) == (401, 200)
    assert figures.headers["www-authenticate"] == routes.headers["www-authenticate"]
    assert figures.json()["detail"] == routes.json()["detail"]
    assert figures.json()["detail"].startswith(found)
