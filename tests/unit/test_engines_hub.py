"""Pulling from a hub, against a small real one on the loopback address."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from kenspeckle.cli.main import run
from kenspeckle.config import ModelSettings
from kenspeckle.engines import files, hub, table
from kenspeckle.engines.lock import read_lock
from kenspeckle.errors import ModelError, ModelMissing

NAME = "someone/tiny-model"
PROCESSOR = {
    "size": {"height": 32, "width": 32},
    "resample": 3,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
FILES = {
    "config.json": json.dumps({"model_type": "dinov2", "hidden_size": 24}).encode(),
    "preprocessor_config.json": json.dumps(PROCESSOR).encode(),
    "README.md": b"---\nlicense: mit\n---\nA card.",
    "model.safetensors": bytes(range(256)) * 40,
    "pytorch_model.bin": b"never fetched",
    "tf_model.h5": b"never fetched",
}


@dataclass
class FakeHub:
    """What the server gives: the files of each commit, and which file it serves damaged."""

    commits: dict[str, dict[str, bytes]]
    head: str
    damage: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def served(self, commit: str, name: str) -> bytes | None:
        data = self.commits.get(commit, {}).get(name)
        if data is not None and self.damage.get(name, 0) > 0:
            return data[:-1] + bytes([data[-1] ^ 1])
        return data


def commit_of(contents: dict[str, bytes]) -> str:
    return hashlib.sha1(repr(sorted(contents.items())).encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    @property
    def fake(self) -> FakeHub:
        return self.server.fake  # type: ignore[attr-defined, no-any-return]

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.fake.asked.append(f"{self.command} {path}")
        if path.startswith(f"/api/models/{NAME}"):
            self.info(path)
        elif path.startswith(f"/{NAME}/resolve/"):
            commit, _, name = path.removeprefix(f"/{NAME}/resolve/").partition("/")
            self.file(commit, name)
        else:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def info(self, path: str) -> None:
        revision = path.partition("/revision/")[2] or path.partition("/tree/")[2] or "main"
        commit = self.fake.head if revision == "main" else revision
        if commit not in self.fake.commits:
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        siblings = []
        for name, data in self.fake.commits[commit].items():
            entry: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": "0" * 40}
            if name == "model.safetensors":
                sha256 = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 130}
            siblings.append(entry)
        if "/tree/" in path:
            body: Any = [
                {"type": "file", "path": e["rfilename"], "size": e["size"], "oid": e["blobId"]}
                for e in siblings
            ]
        else:
            card = {"license": "mit"}
            body = {"id": NAME, "sha": commit, "siblings": siblings, "cardData": card}
        return self.answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def file(self, commit: str, name: str) -> None:
        data = self.fake.served(commit, name)
        if data is None:
            return self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        true = self.fake.commits[commit][name]
        etag = hashlib.sha1(true).hexdigest()
        self.answer(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": commit})
        if self.command == "GET" and self.fake.damage.get(name, 0) > 0:
            self.fake.damage[name] -= 1
        return None


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    commit = commit_of(FILES)
    fake = FakeHub({commit: FILES}, commit)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.fake = fake  # type: ignore[attr-defined]
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def settings(tmp_path: Path) -> ModelSettings:
    return ModelSettings(home=str(tmp_path / "home"))


def pull(fake: FakeHub, settings: ModelSettings, **options: Any) -> Path:
    return hub.pull(table.find(NAME), settings, endpoint=fake.url, **options)


def test_first_pull_fetches_what_is_needed_and_locks_it(
    fake: FakeHub, settings: ModelSettings
) -> None:
    folder = pull(fake, settings)
    needed = ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]
    assert sorted(p.name for p in folder.iterdir() if p.is_file()) == needed
    locked = read_lock(files.home(settings))[NAME]
    assert (locked.commit, locked.licence) == (fake.head, "mit")
    for name in needed:
        assert (folder / name).read_bytes() == FILES[name]
        assert locked.files[name].sha256 == hashlib.sha256(FILES[name]).hexdigest()
    assert not any("pytorch_model" in asked or "h5" in asked for asked in fake.asked)
    located = files.locate(table.find(NAME), settings)
    assert (located.width, located.recipe.side) == (24, 32)


def test_second_pull_asks_nothing_of_the_network(fake: FakeHub, settings: ModelSettings) -> None:
    pull(fake, settings)
    fake.asked.clear()
    pull(fake, settings)
    assert fake.asked == []


def test_a_moved_branch_changes_nothing_until_renewed(
    fake: FakeHub, settings: ModelSettings
) -> None:
    folder = pull(fake, settings)
    first = fake.head
    newer = {**FILES, "model.safetensors": b"other weights"}
    fake.head = commit_of(newer)
    fake.commits[fake.head] = newer
    (folder / "config.json").unlink()  # so that something has to be fetched
    pull(fake, settings)
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert read_lock(files.home(settings))[NAME].commit == first
    pull(fake, settings, renew=True)
    assert (folder / "model.safetensors").read_bytes() == b"other weights"
    assert read_lock(files.home(settings))[NAME].commit == fake.head


def test_a_damaged_file_is_fetched_once_more(fake: FakeHub, settings: ModelSettings) -> None:
    folder = pull(fake, settings)
    (folder / "model.safetensors").write_bytes(b"damaged on disk")
    with pytest.raises(ModelError, match=r"model.safetensors is damaged"):
        files.locate(table.find(NAME), settings)
    pull(fake, settings)
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_damage_on_the_way_is_repaired_once(fake: FakeHub, settings: ModelSettings) -> None:
    fake.damage["model.safetensors"] = 1
    said: list[str] = []
    folder = pull(fake, settings, say=said.append)
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert any("fetching again" in line for line in said)


def test_a_hub_that_gives_other_bytes_twice_is_refused(
    fake: FakeHub, settings: ModelSettings
) -> None:
    fake.damage["model.safetensors"] = 100
    with pytest.raises(ModelError, match="other bytes twice"):
        pull(fake, settings)
    assert read_lock(files.home(settings)) == {}


def test_a_locked_commit_with_other_bytes_is_refused(
    fake: FakeHub, settings: ModelSettings
) -> None:
    folder = pull(fake, settings)
    (folder / "config.json").unlink()
    fake.commits[fake.head] = {**FILES, "config.json": FILES["config.json"] + b" "}
    with pytest.raises(ModelError, match=r"lock file.*--renew"):
        pull(fake, settings)


def newer(fake: FakeHub, **changes: bytes) -> str:
    """A commit after the first one, which the hub now calls its newest."""
    contents = {**FILES, **changes}
    fake.head = commit_of(contents)
    fake.commits[fake.head] = contents
    return fake.head


def test_a_renewal_that_fails_leaves_the_model_as_it_was(
    fake: FakeHub, settings: ModelSettings
) -> None:
    """Files of two commits in one folder would be no model at all."""
    pull(fake, settings)
    before = read_lock(files.home(settings))
    newer(fake, **{"config.json": b'{"model_type": "other"}', "model.safetensors": b"others"})
    fake.damage["model.safetensors"] = 100
    with pytest.raises(ModelError, match="other bytes twice"):
        pull(fake, settings, renew=True)
    assert files.verify(table.find(NAME), settings).wrong == ()
    assert read_lock(files.home(settings)) == before
    assert not list(files.home(settings).glob("staged-*"))


def test_a_renewal_leaves_no_weights_that_the_loader_might_prefer(
    fake: FakeHub, settings: ModelSettings
) -> None:
    folder = pull(fake, settings)
    commit = newer(fake)
    del fake.commits[commit]["model.safetensors"]
    pull(fake, settings, renew=True)
    assert (folder / "pytorch_model.bin").is_file()
    assert not (folder / "model.safetensors").exists()
    assert files.verify(table.find(NAME), settings).wrong == ()


def test_only_what_is_missing_is_fetched(fake: FakeHub, settings: ModelSettings) -> None:
    folder = pull(fake, settings)
    (folder / "config.json").unlink()
    fake.asked.clear()
    pull(fake, settings)
    assert {a.rpartition("/")[2] for a in fake.asked if "/resolve/" in a} == {"config.json"}


def test_two_first_pulls_cannot_record_two_commits(fake: FakeHub, settings: ModelSettings) -> None:
    """While one fetches, the branch moves and another pulls what is newer."""
    moved = []

    def meanwhile(sentence: str) -> None:
        if not moved:
            moved.append(newer(fake, **{"config.json": b'{"model_type": "other"}'}))
            pull(fake, settings)

    with pytest.raises(ModelError, match="another process has just pulled"):
        pull(fake, settings, say=meanwhile)
    assert read_lock(files.home(settings))[NAME].commit == moved[0]
    assert files.verify(table.find(NAME), settings).wrong == ()


def test_offline_fetches_nothing(fake: FakeHub, settings: ModelSettings) -> None:
    offline = ModelSettings(home=settings.home, offline=True)
    with pytest.raises(ModelMissing, match="switched off"):
        pull(fake, offline)
    assert fake.asked == []


@pytest.mark.parametrize("name", ["someone/nothing-here", "someone/tiny-model"])
def test_what_cannot_be_fetched_is_one_sentence(
    fake: FakeHub, settings: ModelSettings, name: str
) -> None:
    if name == NAME:
        fake.commits[fake.head] = {"config.json": b"{}"}
        with pytest.raises(ModelError, match="no weights"):
            pull(fake, settings)
        return
    with pytest.raises(ModelMissing, match="could not be fetched"):
        hub.pull(table.find(name), settings, endpoint=fake.url)


def test_nobody_answers(settings: ModelSettings) -> None:
    with pytest.raises(ModelMissing, match="could not be fetched"):
        hub.pull(table.find(NAME), settings, endpoint="http://127.0.0.1:9")


def test_from_the_command_line(
    fake: FakeHub, settings: ModelSettings, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = ["--home", settings.home]
    assert run(["models", "pull", NAME, "--endpoint", fake.url, *home]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{NAME}: installed\n"
    assert "4 files" in captured.err
    assert run(["models", "list", *home]) == 0
    assert NAME in capsys.readouterr().out
    assert run(["models", "info", NAME, *home, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["commit"], data["licence"], data["width"]) == (fake.head, "mit", 24)
    bundle = str(tmp_path / "bundle.zip")
    assert run(["models", "pack", bundle, NAME, *home]) == 0
    there = ["--home", str(tmp_path / "there"), "--offline"]
    assert run(["models", "pull", NAME, "--from-pack", bundle, *there]) == 0
    assert run(["models", "verify", NAME, *there[:2]]) == 0
    (tmp_path / "there" / "someone--tiny-model" / "config.json").write_text("{}")
    assert run(["models", "verify", NAME, *there[:2]]) == 1


def test_a_model_that_was_not_pulled_names_the_command(settings: ModelSettings) -> None:
    with pytest.raises(ModelMissing, match=r"kenspeckle models pull clip-vit-b-32"):
        files.locate(table.find("ViT-B/32"), settings)


@pytest.mark.torch
def test_a_captioner_comes_with_its_words(
    fake: FakeHub, settings: ModelSettings, tmp_path: Path
) -> None:
    """Pulled, it describes; with a weight that changed since, it does not."""
    pytest.importorskip("transformers")
    import checkpoints

    from kenspeckle.config import AnalyzeSettings, Settings
    from kenspeckle.flows.describe import open_captioner
    from kenspeckle.vectors.admit import drawn_pictures

    checkpoints.blip(tmp_path / "made")
    contents = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    fake.head = commit_of(contents)
    fake.commits[fake.head] = contents
    chosen = Settings(models=settings, analyze=AnalyzeSettings(caption=NAME))
    with pytest.raises(ModelMissing, match=f"models pull {NAME}"):
        open_captioner(chosen)
    folder = pull(fake, settings)
    photo = drawn_pictures(1, side=60)[0]
    told = open_captioner(chosen, str(tmp_path / "made")).caption(photo, 30)
    assert told
    assert open_captioner(chosen).caption(photo, 30) == told
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        open_captioner(chosen).caption(photo, 30)
