"""Keys, scopes, first contact, origins and names of hosts, against a real server."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from guarded import Behind, guarded

from kenspeckle.config import ServeSettings, Settings
from kenspeckle.errors import AccessRefused, InputError, SettingError
from kenspeckle.serve import keys
from kenspeckle.serve.access import NATIVE, UNUSABLE, Access, is_loopback, open_access

if TYPE_CHECKING:
    from commands import Command


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "things.ken.keys"


@pytest.fixture
def behind(file: Path) -> Iterator[Behind]:
    with guarded(file) as served:
        yield served


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# The file of keys


def test_a_key_is_kept_as_its_hash_alone(file: Path) -> None:
    made = keys.create(file, "camera", ["write", "read"])
    text = file.read_text(encoding="utf-8")
    assert made.startswith(keys.PREFIX)
    assert len(made) > 40
    assert made not in text
    assert made.removeprefix(keys.PREFIX) not in text
    (known,) = keys.read(file)
    assert (known.name, known.scopes, known.revoked) == ("camera", ("read", "write"), "")
    assert keys.match(made, [known]) == known
    assert keys.match(made + "x", [known]) is None
    assert keys.match("", [known]) is None


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_only_its_owner_reads_the_file(file: Path) -> None:
    keys.create(file, "one")
    keys.create(file, "two")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o666)
    with pytest.raises(AccessRefused, match="anybody may write"):
        keys.read(file)


def test_no_two_keys_are_alike(file: Path) -> None:
    assert len({keys.create(file, str(number)) for number in range(20)}) == 20
    assert len({one.sha256 for one in keys.read(file)}) == 20


def test_a_revoked_key_is_remembered_without_its_hash(file: Path) -> None:
    made = keys.create(file, "old")
    keys.revoke(file, "old")
    (known,) = keys.read(file)
    assert known.revoked
    assert not known.sha256
    assert keys.match(made, [known]) is None
    assert keys.match("-" * 64, [known]) is None
    with pytest.raises(InputError, match="no key in force"):
        keys.revoke(file, "old")
    again = keys.create(file, "old")
    assert keys.match(again, keys.read(file)) is not None
    assert len(keys.read(file)) == 1


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[31m", "x" * 65])
def test_bad_names(file: Path, name: str) -> None:
    with pytest.raises(InputError, match="name of a key"):
        keys.create(file, name)
    assert not file.exists()


def test_a_name_is_given_once(file: Path) -> None:
    keys.create(file, "one")
    with pytest.raises(InputError, match="has this name"):
        keys.create(file, "one")


@pytest.mark.parametrize("scopes", [[], [""], ["read", "delete"], ["READ"]])
def test_bad_scopes(file: Path, scopes: list[str]) -> None:
    with pytest.raises(SettingError, match="read, write, admin"):
        keys.create(file, "one", scopes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"format": 2, "keys": []}',
        '{"format": 1, "keys": [{"name": 3}]}',
        '{"format": 1, "keys": [{"name": "a", "scopes": ["root"], "sha256": "", "made": ""}]}',
        '{"format": 1, "keys": [{"name": "a", "scopes": ["read"], "sha256": "x", "made": ""}]}',
        '{"format": 1, "keys": ' + "[" * 5000,
        "\udcff",
        "x" * (keys.LARGEST_FILE + 1),
    ],
)
def test_a_damaged_file_is_refused(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(AccessRefused, match=f"damaged.* kenspeckle keys create NAME --keys {file}"):
        keys.read(file)
    with pytest.raises(AccessRefused, match="damaged"):
        keys.create(file, "one")


def test_a_folder_is_no_file_of_keys(tmp_path: Path) -> None:
    with pytest.raises(AccessRefused):
        keys.read(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_pipe_is_no_file_of_keys(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(AccessRefused, match="no file"):
        keys.read(file)


def test_many_may_make_keys_at_once(file: Path) -> None:
    names = [f"key {number}" for number in range(8)]
    threads = [threading.Thread(target=keys.create, args=(file, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.name for one in keys.read(file)) == sorted(names)
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("short", "5 characters"),
        ("x" * 600, "51. characters"),
        ("a " * 20, "39 characters"),
        ("x" * 31 + "\x07" + "y" * 10, "hidden"),
    ],
)
def test_a_mounted_key_has_to_be_one(tmp_path: Path, text: str, said: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(text)
    with pytest.raises(AccessRefused, match=said) as caught:
        keys.read_first(secret)
    assert text.strip() not in str(caught.value)


def test_a_mounted_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AccessRefused, match="KENSPECKLE_KEY_FILE"):
        keys.read_first(tmp_path / "none")


# The command


def test_the_command_makes_lists_and_revokes(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "k"
    made = command("keys", "create", "shop", "--scope", "read,write", "--keys", file)
    assert keys.match(made.out.strip(), keys.read(file))
    assert made.out.strip() not in made.err
    assert "only time" in made.err
    listed = json.loads(command("keys", "list", "--keys", file, "--json").out)
    assert listed["name"] == "shop"
    assert listed["scopes"] == ["read", "write"]
    assert "shop" in command("keys", "list", "--keys", file).out
    command("keys", "revoke", "shop", "--keys", file)
    assert keys.read(file)[0].revoked
    told = command("keys", "revoke", "shop", "--keys", file, code=1).err
    assert f"no key in force has this name. See `kenspeckle keys list --keys {file}`" in told
    assert "scope" in command("keys", "create", "x", "--scope", "all", "--keys", file, code=1).err


def test_the_file_is_beside_the_index_or_where_the_environment_says(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gallery.ken").touch()
    command("keys", "create", "a")
    assert (tmp_path / "gallery.ken.keys").exists()
    monkeypatch.setenv("KENSPECKLE_KEYS", str(tmp_path / "elsewhere" / "keys"))
    command("keys", "create", "b")
    assert [one.name for one in keys.read(tmp_path / "elsewhere" / "keys")] == ["b"]


# First contact


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_loopback(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside


def test_on_loopback_without_a_key_everybody_may(behind: Behind) -> None:
    assert behind.access.state().startswith("no key is asked")
    told = httpx2.get(f"{behind.base}/v1/echo").json()
    assert told["scopes"] == ["admin", "read", "write"]
    assert httpx2.post(f"{behind.base}/v1/write").status_code == 200


def test_the_first_key_closes_a_running_service(behind: Behind, file: Path) -> None:
    with httpx2.Client(base_url=behind.base) as client:
        page = {"Origin": "http://localhost:3000"}
        assert client.post("/api/falcon", headers=page).status_code == 200
        made = keys.create(file, "first", ["read"])
        refused = client.get("/v1/read")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert client.post("/api/falcon").status_code == 401
        assert client.get("/health").status_code == 200
        assert client.get("/v1/read", headers=bearer(made)).status_code == 200
        assert client.get("/v1/read", headers={"X-API-Key": made}).status_code == 200
        assert client.post("/v1/write", headers=bearer(made)).status_code == 403
        closed = client.post("/api/falcon", headers=page | bearer(made))
        assert "access-control-allow-origin" not in closed.headers
        assert behind.access.state() == "a key is asked"
        keys.revoke(file, "first")
        assert client.get("/v1/read", headers=bearer(made)).status_code == 401
        assert client.get("/v1/read").status_code == 401
    assert behind.seen == []


def test_a_service_once_closed_does_not_open_again(behind: Behind, file: Path) -> None:
    made = keys.create(file, "first")
    assert httpx2.get(f"{behind.base}/v1/read").status_code == 401
    file.unlink()
    assert httpx2.get(f"{behind.base}/v1/read").status_code == 401
    file.write_text("damaged")
    assert httpx2.get(f"{behind.base}/v1/read", headers=bearer(made)).status_code == 401
    assert "damaged" in behind.access.trouble
    file.unlink()
    assert httpx2.get(f"{behind.base}/v1/read").status_code == 401
    assert "deleted" in behind.access.trouble
    keys.create(file, "second")
    assert httpx2.get(f"{behind.base}/v1/read").status_code == 401
    assert behind.access.trouble == ""


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (Path.unlink, "deleted or moved"),
        (lambda file: file.write_bytes(b""), "a damaged file"),
        (lambda file: file.write_text('{"format": 1, "keys": []}'), "emptied"),
    ],
)
def test_the_log_says_when_no_key_of_the_file_is_in_force_and_when_again(
    behind: Behind,
    file: Path,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], object],
    why: str,
) -> None:
    made = keys.create(file, "camera")
    with httpx2.Client(base_url=behind.base, headers=bearer(made)) as client:
        assert client.get("/v1/read").status_code == 200
        assert not caplog.messages
        whole = file.read_bytes()
        harm(file)
        for _ in range(3):
            assert client.get("/v1/read").status_code == 401
        (told,) = caplog.records
        assert (told.levelname, str(file) in told.getMessage()) == ("ERROR", True)
        assert why in told.getMessage()
        assert behind.access.state() == f"a key is asked; {UNUSABLE}"
        beside = file.with_name("beside")
        beside.write_bytes(whole)
        beside.replace(file)
        assert client.get("/v1/read").status_code == 200
        assert len(caplog.records) == 2
        assert "can be used again" in caplog.messages[1]
        assert behind.access.state() == "a key is asked"


def test_a_damaged_file_that_nobody_could_read_before_is_no_cause_to_open(
    behind: Behind, file: Path
) -> None:
    file.write_bytes(b"damaged")
    assert httpx2.get(f"{behind.base}/v1/read").status_code == 401
    file.unlink()
    assert httpx2.get(f"{behind.base}/v1/read").status_code == 401
    assert "deleted" in behind.access.trouble


def test_revoking_every_key_is_no_trouble(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys.create(file, "camera")
    access = Access(file)
    keys.revoke(file, "camera")
    assert access.state() == "a key is asked"
    assert not caplog.messages


def test_a_mounted_key_stays_in_force_while_the_file_is_gone(tmp_path: Path, file: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s" * 40)
    keys.create(file, "camera")
    access = Access(file, first=secret)
    file.unlink()
    access.refresh()
    assert access.principal("s" * 40, NATIVE) is not None
    assert "deleted" in access.trouble


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer ksp_wrong"},
        {"Authorization": "Basic a3NwOng="},
        {"Authorization": b"Bearer \xff\xfe"},
        {"X-API-Key": ""},
        {"X-API-Key": b"\x80" * 40},
        {"Cookie": "key=ksp_x"},
    ],
)
def test_wrong_keys(behind: Behind, file: Path, header: Any) -> None:
    keys.create(file, "first", keys.SCOPES)
    refused = httpx2.post(f"{behind.base}/v1/write", headers=header)
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    assert behind.seen == []


def test_a_key_in_the_address_is_none(behind: Behind, file: Path) -> None:
    made = keys.create(file, "first")
    assert httpx2.get(f"{behind.base}/v1/read?key={made}&api_key={made}").status_code == 401


def test_a_surface_needs_the_scope_read(behind: Behind, file: Path) -> None:
    made = keys.create(file, "writer", ["write"])
    refused = httpx2.post(f"{behind.base}/api/falcon", headers=bearer(made))
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/json"
    assert isinstance(refused.json()["detail"], str)


def test_an_open_surface_asks_for_none(file: Path) -> None:
    keys.create(file, "first")
    with guarded(file, access={"open_surfaces": ["falcon"]}) as behind:
        assert httpx2.post(f"{behind.base}/api/falcon").status_code == 200
        assert httpx2.get(f"{behind.base}/v1/read").status_code == 401
        assert behind.access.state() == "a key is asked, except by falcon"


def test_the_mounted_key_is_in_force_and_may_change(tmp_path: Path, file: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a" * 40 + "\n")
    with guarded(file, access={"first": secret}) as behind:
        assert httpx2.get(f"{behind.base}/v1/read").status_code == 401
        assert httpx2.get(f"{behind.base}/v1/read", headers=bearer("a" * 40)).status_code == 200
        secret.write_text("b" * 41)
        assert httpx2.get(f"{behind.base}/v1/read", headers=bearer("a" * 40)).status_code == 401
        assert httpx2.get(f"{behind.base}/v1/read", headers=bearer("b" * 41)).status_code == 200
    assert not file.exists()


def test_beyond_this_machine_a_key_has_to_exist(tmp_path: Path, file: Path) -> None:
    with pytest.raises(AccessRefused, match="KENSPECKLE_KEY_FILE") as caught:
        Access(file, host="0.0.0.0").check(["falcon", "analyze"])
    assert "keys create" in str(caught.value)
    assert "falcon" not in caught.value.thing
    with pytest.raises(AccessRefused, match="analyze"):
        Access(file, host="::", open_surfaces=["falcon"]).check(["falcon", "analyze"])
    Access(file, host="::", open_surfaces=["falcon"]).check(["falcon"])
    Access(file, host="127.0.0.1").check(["falcon"])
    keys.create(file, "first")
    Access(file, host="0.0.0.0").check(["falcon", "analyze"])
    keys.revoke(file, "first")
    with pytest.raises(AccessRefused):
        Access(file, host="0.0.0.0").check(["falcon"])
    secret = tmp_path / "secret"
    secret.write_text("k" * 32)
    Access(file, host="0.0.0.0", first=secret).check(["falcon"])


def test_only_an_open_surface_is_open_beyond_this_machine(file: Path) -> None:
    access = Access(file, host="0.0.0.0", open_surfaces=["falcon"])
    assert access.principal(None, "falcon") is not None
    assert access.principal(None, NATIVE) is None
    assert access.principal(None, "") is None
    assert not access.keyless


def test_the_settings_say_where_keys_are(tmp_path: Path) -> None:
    made = keys.create(tmp_path / "a.keys", "first")
    serve = ServeSettings(keys=str(tmp_path / "a.keys"), host="0.0.0.0")
    access = open_access(Settings(serve=serve), tmp_path / "things.ken")
    access.check(["falcon"])
    assert access.principal(made, NATIVE) is not None


# Pages


@pytest.mark.parametrize(
    ("origin", "path", "allowed"),
    [
        ("http://localhost:3000", "/api/falcon", True),
        ("http://127.0.0.1:3030", "/api/falcon", True),
        ("http://localhost", "/api/falcon", True),
        ("https://localhost:3000", "/api/falcon", False),
        ("http://localhost.evil.example", "/api/falcon", False),
        ("http://localhost:3000.evil.example", "/api/falcon", False),
        ("http://127.0.0.1.evil.example", "/api/falcon", False),
        ("null", "/api/falcon", False),
        ("http://evil.example", "/api/falcon", False),
        ("http://localhost:3000", "/v1/write", False),
        ("http://evil.example", "/v1/write", False),
        ("null", "/v1/write", False),
    ],
)
def test_pages_at_first_contact(behind: Behind, origin: str, path: str, allowed: bool) -> None:
    told = httpx2.post(f"{behind.base}{path}", headers={"Origin": origin})
    assert told.status_code == (200 if allowed else 403)
    assert told.headers.get("access-control-allow-origin") == (origin if allowed else None)
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    before = httpx2.options(f"{behind.base}{path}", headers=asked)
    assert before.status_code == (204 if allowed else 403)
    assert behind.seen == []


def test_our_own_pages_may_ask(behind: Behind) -> None:
    told = httpx2.post(f"{behind.base}/v1/write", headers={"Origin": behind.base})
    assert told.status_code == 200


def test_listed_origins_may_ask(file: Path) -> None:
    made = keys.create(file, "page", ["write"])
    shop = "https://shop.example"
    with guarded(file, access={"origins": [shop]}) as behind:
        asked = {
            "Origin": shop,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        }
        before = httpx2.options(f"{behind.base}/v1/write", headers=asked)
        assert before.status_code == 204
        assert before.headers["access-control-allow-origin"] == shop
        assert before.headers["access-control-allow-headers"] == "authorization, content-type"
        assert "Origin" in before.headers["vary"]
        told = httpx2.post(f"{behind.base}/v1/write", headers={"Origin": shop} | bearer(made))
        assert told.status_code == 200
        assert told.headers["access-control-allow-origin"] == shop
        other = {"Origin": "https://other.example"} | bearer(made)
        told = httpx2.post(f"{behind.base}/v1/write", headers=other)
        assert "access-control-allow-origin" not in told.headers


def test_a_listed_origin_is_known_however_it_was_written(file: Path) -> None:
    with guarded(file, access={"origins": ["HTTPS://Shop.Example:443/"]}) as behind:
        told = httpx2.post(f"{behind.base}/v1/write", headers={"Origin": "https://shop.example"})
    assert (told.status_code, told.headers["access-control-allow-origin"]) == (
        401,
        "https://shop.example",
    )


def test_what_is_no_origin_is_refused_where_rules_are_opened() -> None:
    asked = Settings(serve=ServeSettings(origins=("shop.example",)))
    with pytest.raises(SettingError, match=r"serve\.origins: 'shop\.example'; expected origins"):
        open_access(asked, "")


@pytest.mark.parametrize("named", ["https://shop.example", "*", "http://localhost:3000"])
def test_a_listed_origin_needs_a_key_on_this_machine_too(file: Path, named: str) -> None:
    origin = "https://evil.example" if named == "*" else named
    page = {"Origin": origin}
    with guarded(file, access={"origins": [named]}) as behind:
        for path in ("/v1/write", "/v1/echo"):
            told = httpx2.post(f"{behind.base}{path}", headers=page)
            assert told.status_code == 401
            assert told.headers["access-control-allow-origin"] == origin
            assert "keys create" in told.json()["detail"]
        assert behind.seen == []
        near = origin == "http://localhost:3000"  # as it was for the pages of former systems
        falcon = httpx2.post(f"{behind.base}/api/falcon", headers=page)
        assert falcon.status_code == (200 if near else 401)
        assert httpx2.get(f"{behind.base}/health", headers=page).status_code == 200
        plain = httpx2.post(f"{behind.base}/v1/write")
        assert plain.status_code == 200, "no page"
        assert plain.headers["cross-origin-resource-policy"] == "same-origin", "nor shown by one"
        assert "pages of other origins need one" in behind.access.state()
        made = keys.create(file, "page", ["write"])
        told = httpx2.post(f"{behind.base}/v1/write", headers=page | bearer(made))
        assert told.status_code == 200


def test_a_page_of_another_origin_is_nobody_where_all_may_look(file: Path) -> None:
    """What everybody may see tells more to whoever is trusted."""
    access = Access(file, origins=["*"])
    assert access.principal(None, "", foreign=True) is None
    assert access.principal(None, "") is not None


def test_an_open_surface_asks_listed_pages_for_none(file: Path) -> None:
    page = {"Origin": "https://shop.example"}
    given = {"origins": [page["Origin"]], "open_surfaces": ["falcon"]}
    with guarded(file, access=given) as behind:
        assert httpx2.post(f"{behind.base}/api/falcon", headers=page).status_code == 200
        assert httpx2.post(f"{behind.base}/v1/write", headers=page).status_code == 401
        other = {"Origin": "https://other.example"}
        assert httpx2.post(f"{behind.base}/api/falcon", headers=other).status_code == 403


def test_the_advice_names_the_file_that_is_served(tmp_path: Path) -> None:
    abroad = Settings(serve=ServeSettings(host="0.0.0.0"))
    with pytest.raises(AccessRefused) as caught:
        open_access(abroad, tmp_path / "my cards.ken").check(["falcon"])
    assert f"keys create NAME --index '{tmp_path / 'my cards.ken'}'" in str(caught.value)
    file = str(tmp_path / "keys")
    with pytest.raises(AccessRefused) as caught:
        open_access(Settings(serve=ServeSettings(host="::", keys=file)), "x.ken").check(["falcon"])
    assert f"keys create NAME --keys {file}`" in str(caught.value)
    with pytest.raises(AccessRefused) as caught:
        open_access(abroad, "").check(["analyze"])
    assert "`kenspeckle keys create NAME`" in str(caught.value)


def test_the_command_says_whose_service_it_closes(command: Command, tmp_path: Path) -> None:
    for name in ("gallery.ken", "cards.ken"):
        (tmp_path / name).touch()
    usual = command("keys", "create", "camera").err
    assert "gallery.ken.keys" in usual
    assert "kenspeckle serve gallery.ken" in usual
    assert "--index" in usual
    named = command("keys", "create", "camera", "--index", "cards.ken").err
    assert "kenspeckle serve cards.ken" in named
    assert "another index" not in named
    assert (tmp_path / "cards.ken.keys").exists()
    given = command("keys", "create", "camera", "--keys", "my keys").err
    assert "kenspeckle serve … --keys 'my keys'" in given


def test_a_service_without_an_index_has_keys_too(command: Command, tmp_path: Path) -> None:
    """They stay in force when the usual index is made, and no file is made for an index that is
    named and lost."""
    none = command("keys", "list")
    assert (none.out, none.err) == ("", "No keys.\n")
    assert command("keys", "list", "--json").out == ""
    assert "camera: no key in force" in command("keys", "revoke", "camera", code=1).err
    for words in (["list"], ["revoke", "camera"], ["create", "camera"]):
        lost = command("keys", *words, "--index", "lost.ken", code=1).err
        assert "lost.ken: no such file" in lost
    assert list(tmp_path.glob("*.keys*")) == []
    told = command("keys", "create", "camera").err
    assert "gallery.ken.keys, hashed, for `kenspeckle serve --surface analyze`." in told
    assert "no index here" in told
    assert "camera" in command("keys", "list").out
    (tmp_path / "gallery.ken").touch()
    assert "camera" in command("keys", "list").out
    assert keys.place(Settings(), "gallery.ken") == keys.place(Settings())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:1", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8500", 421),
        ("", 421),
    ],
)
def test_names_that_were_made_to_lead_here(behind: Behind, host: str, status: int) -> None:
    """A page whose own name resolves to this machine has no key to show, and needs none."""
    assert httpx2.get(f"{behind.base}/v1/read", headers={"Host": host}).status_code == status


def test_with_a_key_any_name_will_do(behind: Behind, file: Path) -> None:
    made = keys.create(file, "first")
    headers = {"Host": "things.example"} | bearer(made)
    assert httpx2.get(f"{behind.base}/v1/read", headers=headers).status_code == 200
