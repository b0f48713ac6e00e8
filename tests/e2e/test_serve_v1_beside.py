"""The commands of the gallery work beside a running service, and each sees what the other did."""

from __future__ import annotations

import io
import json
from pathlib import Path

import httpx2
import pytest
from drawing import draw
from serving import command


def png(seed: int) -> bytes:
    out = io.BytesIO()
    draw(seed).save(out, "PNG")
    return out.getvalue()


@pytest.mark.slow
def test_commands_and_requests_change_one_gallery(tmp_path, things, run) -> None:
    assert run("index", things, "--out", "things.ken").returncode == 0
    with (
        command(["things.ken"], tmp_path) as (base, _),
        httpx2.Client(base_url=f"{base}/v1/galleries/things", timeout=60) as client,
    ):
        (tmp_path / "cup.png").write_bytes(png(31))
        added = run("add", "cup.png", "--label", "Cup", "--index", "things.ken")
        assert added.returncode == 0, added.stderr

        def nearest(seed: int) -> str:
            answer = client.post("/identify", files={"image": ("a.png", png(seed))}).json()
            return str(answer["decision"]["candidates"][0]["key"])

        assert nearest(31) == "cup"
        made = client.post("/items", files={"image": ("tea_pot.png", png(32))})
        assert made.status_code == 201, made.text
        listed = run("list", "--index", "things.ken", "--json").stdout.splitlines()
        assert {"cup", "tea pot"} <= {json.loads(line)["key"] for line in listed}

        draw(33).save(Path(things) / "spoon.png")
        again = run("index", things, "--out", "things.ken")
        assert again.returncode == 0, again.stderr
        assert nearest(33) == "spoon"
        assert nearest(32) == "tea pot"
        assert client.delete("/items/tea%20pot").json()["removed"] == 1
        assert run("remove", "cup", "--index", "things.ken").returncode == 0
        assert client.get("/items/cup").status_code == 404
