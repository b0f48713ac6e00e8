"""Settings: which level wins, where a value came from, and what is refused."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from kenspeckle import config
from kenspeckle.config import Settings, check, load, user_folder
from kenspeckle.config.origins import read_origin
from kenspeckle.errors import SettingError


@pytest.fixture(autouse=True)
def own_user_folder(tmp_path_factory, monkeypatch):
    """No test sees the configuration of who runs it."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("LOCALAPPDATA", str(home))
    monkeypatch.setenv("HOME", str(home))
    return home


def loaded(folder, arguments=None, **environ):
    settings, rows = load(arguments, environ=environ, folder=folder)
    return settings, {row.name: row for row in rows}


def test_without_anything_the_defaults_hold(tmp_path):
    settings, rows = loaded(tmp_path)
    assert settings == Settings()
    assert {row.origin for row in rows.values()} == {"default"}
    names = {
        f"{section.name}.{entry.name}"
        for section in dataclasses.fields(Settings)
        for entry in dataclasses.fields(section.default_factory)
    }
    assert set(rows) == names


def test_each_level_wins_over_the_one_before(tmp_path, own_user_folder):
    user = user_folder("config")
    user.mkdir(parents=True)
    steps = [
        (user / "kenspeckle.toml", "[identify]\ntop = 11\n", str(user / "kenspeckle.toml")),
        (tmp_path / "kenspeckle.toml", "[identify]\ntop = 12\n", str(tmp_path / "kenspeckle.toml")),
        (
            tmp_path / ".env",
            "KENSPECKLE_IDENTIFY_TOP=13\n",
            f"{tmp_path / '.env'} (KENSPECKLE_IDENTIFY_TOP)",
        ),
    ]
    for number, (path, text, origin) in enumerate(steps, 11):
        path.write_text(text)
        settings, rows = loaded(tmp_path)
        assert (settings.identify.top, rows["identify.top"].origin) == (number, origin)
    settings, rows = loaded(tmp_path, KENSPECKLE_IDENTIFY_TOP="14")
    assert settings.identify.top == 14
    assert rows["identify.top"].origin == "environment (KENSPECKLE_IDENTIFY_TOP)"
    settings, rows = loaded(tmp_path, {"identify.top": 15}, KENSPECKLE_IDENTIFY_TOP="14")
    assert (settings.identify.top, rows["identify.top"].origin) == (15, "argument")


OLD = {
    "CARD_INDEX": "index.path",
    "REFS_DIR": "index.refs",
    "CLIP_PROJ": "models.head",
    "IMAGE_EMBED_DEVICE": "models.device",
}


@pytest.mark.parametrize(("old", "name"), OLD.items())
def test_old_names_are_read_and_ours_win_within_a_level(tmp_path, old, name):
    section, key = name.split(".")
    ours = f"KENSPECKLE_{section}_{key}".upper()
    settings, rows = loaded(tmp_path, **{old: "x"})
    assert getattr(getattr(settings, section), key) == "x"
    assert rows[name].origin == f"environment ({old})"
    assert rows[name].environment == (ours, old)
    assert loaded(tmp_path, **{old: "x", ours: "y"})[1][name].value == "y"
    (tmp_path / ".env").write_text(f"{ours}=from the file\n")
    assert loaded(tmp_path, **{old: "x"})[1][name].value == "x"


def test_an_argument_that_is_not_given_changes_nothing(tmp_path):
    assert loaded(tmp_path, {"identify.top": None})[1]["identify.top"].origin == "default"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("CARD_INDEX=a.npz", "a.npz"),
        ("export CARD_INDEX = a.npz ", "a.npz"),
        ('CARD_INDEX="a b # c.npz"', "a b # c.npz"),
        ("CARD_INDEX='a.npz'", "a.npz"),
        ("CARD_INDEX=a.npz  # mine", "a.npz"),
        ("CARD_INDEX=a#b.npz", "a#b.npz"),
        ("CARD_INDEX=a=b.npz", "a=b.npz"),
        ("# CARD_INDEX=a.npz", ""),
        ("\ufeffCARD_INDEX=a.npz", "a.npz"),
        ("CARD_INDEX='", "'"),
        ("CARD_INDEX=a\nCARD_INDEX=b", "b"),
    ],
)
def test_env_files(tmp_path, line, value):
    (tmp_path / ".env").write_text(f"\n{line}\n".lstrip("\n"), encoding="utf-8")
    assert loaded(tmp_path)[0].index.path == value


@pytest.mark.parametrize("line", ["secret words", "CARD_INDEX", "=a.npz", "two words=a", "[table]"])
def test_a_line_that_is_no_setting_is_named_but_not_shown(tmp_path, line):
    (tmp_path / ".env").write_text(f"# mine\n\n{line}\n")
    with pytest.raises(SettingError, match=r"\.env, line 3: no setting; expected NAME=value") as e:
        loaded(tmp_path)
    assert line not in str(e.value)


def test_a_name_of_ours_that_no_setting_has_is_refused(tmp_path):
    with pytest.raises(SettingError, match="KENSPECKLE_IDENTIFY_FPR, from environment") as caught:
        loaded(tmp_path, KENSPECKLE_IDENTIFY_FPR="0.1")
    assert "KENSPECKLE_IDENTIFY_FPIR" in str(caught.value)
    (tmp_path / ".env").write_text("KENSPECKLE_NOSUCH=1\nOTHER_PROGRAM=2\n")
    with pytest.raises(SettingError, match=r"KENSPECKLE_NOSUCH, from .*\.env: no setting has"):
        loaded(tmp_path)
    (tmp_path / ".env").write_text("KENSPECKLE_TEST_ASSETS=/somewhere\n")
    assert loaded(tmp_path, KENSPECKLE_TEST_ASSETS="x", NOSUCH="1")[0] == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("KENSPECKLE_MODELS_OFFLINE", "Yes", True),
        ("HF_HUB_OFFLINE", "1", True),
        ("KENSPECKLE_INDEX_CALIBRATE", "off", False),
        ("KENSPECKLE_INDEX_CALIBRATE", "", False),
        ("KENSPECKLE_IDENTIFY_FPIR", "0.05", 0.05),
        ("KENSPECKLE_IMAGE_MAX_BYTES", "1000", 1000),
        ("KENSPECKLE_IMAGE_FETCH_ALLOW", " a.example, b.example ,", ("a.example", "b.example")),
        ("KENSPECKLE_IMAGE_FETCH_ALLOW", "", ()),
    ],
)
def test_text_becomes_the_type_of_the_setting(tmp_path, name, text, value):
    rows = loaded(tmp_path, **{name: text})[1].values()
    (row,) = [row for row in rows if row.origin != "default"]
    assert row.value == value
    assert type(row.value) is type(value)


def test_toml_types_are_kept(tmp_path):
    (tmp_path / "kenspeckle.toml").write_text(
        '[image]\nfetch_allow = ["a.example"]\nfetch_timeout = 5\n[index]\ncalibrate = false\n'
    )
    settings = loaded(tmp_path)[0]
    assert settings.image.fetch_allow == ("a.example",)
    assert settings.image.fetch_timeout == 5.0
    assert type(settings.image.fetch_timeout) is float
    assert settings.index.calibrate is False


@pytest.mark.parametrize(
    "rule",
    [
        *("127.0.0.1", "::1", "fd00::/8", "10.1.0.0/16", "public"),
        *("cdn.example.org", ".example.org", "image_store", "bücher.example"),
    ],
)
def test_whom_to_fetch_from(tmp_path, rule):
    assert loaded(tmp_path, KENSPECKLE_IMAGE_FETCH_ALLOW=rule)[0].image.fetch_allow == (rule,)


@pytest.mark.parametrize(
    "rule",
    [
        *("127.0.0.1:8777", "cdn.example.org:443", "[::1]", "[::1]:80", "ann@cdn.example.org"),
        *("http://cdn.example.org", "http://127.0.0.1/", "cdn.example.org/a", "10.1.0.0/99"),
        *("*", "*.example.org", "127.1", "2130706433", "256.0.0.1", "a..b", ".", "two words"),
        *("straße.example", ".straße.example"),
    ],
)
def test_what_could_never_be_fetched_from_is_refused_with_the_forms(tmp_path, rule):
    with pytest.raises(SettingError, match="without a scheme, port or path") as caught:
        loaded(tmp_path, KENSPECKLE_IMAGE_FETCH_ALLOW=f"10.0.0.0/8,{rule}")
    assert f": '{rule}'; expected " in str(caught.value)


@pytest.mark.parametrize(
    ("named", "sent"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example/", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://shop.example:80/", "http://shop.example"),
        ("http://shop.example:443", "http://shop.example:443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:08080", "http://127.0.0.1:8080"),
        ("http://[0:0::1]:80", "http://[::1]"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://xn--strae-oqa.example", "https://xn--strae-oqa.example"),
        ("https://Shop.example.:443", "https://shop.example."),
        ("app://obsidian.md", "app://obsidian.md"),
        *((whole, whole) for whole in ("*", "null", "file://")),
    ],
)
def test_origins_are_read_as_browsers_send_them(tmp_path, named, sent):
    assert loaded(tmp_path, KENSPECKLE_SERVE_ORIGINS=named)[0].serve.origins == (named,)
    assert read_origin(named) == sent


@pytest.mark.parametrize(
    "named",
    [
        *("shop.example", "localhost:3000", "//shop.example", "https://", "https:/shop.example"),
        *("https://shop.example/cart", "https://shop.example//", "https://shop.example?a=b"),
        *("https://*.shop.example", "https://.shop.example", "https://ann@shop.example"),
        *("https://shop.example:70000", "https://shop.example:x", "http://[::1", "http://[a]"),
        *("http://127.1", "http://a..b", "https://two words", "*.example", "https://a.."),
        *("https://straße.example", "https://οδός.example", "https://ｓhop.example"),
    ],
)
def test_what_no_browser_sends_is_refused_with_the_forms(tmp_path, named):
    asked = f"http://localhost,{named}"
    said = r"serve\.origins, from environment \(KENSPECKLE_SERVE_ORIGINS\): .*https://shop\.example"
    with pytest.raises(SettingError, match=said) as caught:
        loaded(tmp_path, KENSPECKLE_SERVE_ORIGINS=asked)
    assert f": '{named}'; expected " in str(caught.value)


@pytest.mark.parametrize(
    ("toml", "parts"),
    [
        ("[identify]\ntop = 2.7\n", ("identify.top", "2.7", "a whole number")),
        ("[identify]\ntop = true\n", ("identify.top", "True", "a whole number")),
        ("[identify]\nfpir = [1]\n", ("identify.fpir", "[1]", "a number")),
        ("[index]\npath = ['a']\n", ("index.path", "['a']", "text")),
        ("[index]\ncalibrate = 'maybe'\n", ("index.calibrate", "'maybe'", "yes or no")),
        ('[identify]\nevidence = ["text", "bars"]\n', ("identify.evidence", ": 'bars'; expected")),
        ("[image]\nfetch_allow = 3\n", ("image.fetch_allow", "3", "a list")),
        ("[image]\nfetch_timeout = inf\n", ("image.fetch_timeout", "inf", "at most 3600")),
        ("[index]\npaht = 'a'\n", ("unknown setting index.paht", "path")),
        ("[indx]\npath = 'a'\n", ("unknown setting indx.path", "identify, image, index")),
        ("top = 3\n", ("'top' outside a section",)),
        ("[index\n", ("not TOML",)),
    ],
)
def test_a_wrong_file_names_itself_and_what_is_wrong(tmp_path, toml, parts):
    (tmp_path / "kenspeckle.toml").write_text(toml)
    with pytest.raises(SettingError) as caught:
        loaded(tmp_path)
    for part in (*parts, "kenspeckle.toml"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("identify.top", 0, "1 to 100"),
        ("identify.top", 101, "1 to 100"),
        ("identify.fpir", -0.1, "a rate above 0 and below 1"),
        ("identify.fpir", 1e-320, "a rate above 0 and below 1"),
        ("identify.fpir", 1.0, "a rate above 0 and below 1"),
        ("identify.fpir", float("nan"), "a rate above 0 and below 1"),
        ("identify.regions", "all", "whole, center"),
        ("index.naming", "books", "cards, plain or auto"),
        ("index.views", 33, "-1 to 32"),
        ("index.callers", -1, "0 to 256"),
        ("image.max_bytes", 0, "above 0"),
        ("image.max_pixels", -5, "above 0"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path, name, value, expected):
    with pytest.raises(SettingError, match=expected) as caught:
        load({name: value}, environ={}, folder=tmp_path)
    assert str(caught.value).startswith(f"{name}: ")
    with pytest.raises(SettingError, match=expected):
        check(name, value)


def test_a_wrong_environment_value_names_the_variable(tmp_path):
    with pytest.raises(SettingError, match=r"identify\.top, from environment \(KENSPECKLE_IDENT"):
        loaded(tmp_path, KENSPECKLE_IDENTIFY_TOP="many")


@pytest.mark.parametrize("file", [".env", "kenspeckle.toml"])
def test_files_that_are_not_utf8_are_refused(tmp_path, file):
    (tmp_path / file).write_bytes(b"A=\xff\n")
    with pytest.raises(SettingError, match="UTF-8"):
        loaded(tmp_path)


def test_an_unknown_argument_is_refused(tmp_path):
    with pytest.raises(SettingError, match=r"unknown identify\.bottom"):
        load({"identify.bottom": 3}, environ={}, folder=tmp_path)


def test_every_default_passes_its_own_check_and_every_setting_is_explained(tmp_path):
    rows = loaded(tmp_path)[1]
    for row in rows.values():
        check(row.name, row.value)
        assert row.doc
        assert not row.doc.endswith(".")
    assert set(config.CHECKS) <= set(rows)


def test_environment_and_folder_default_to_the_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KENSPECKLE_IDENTIFY_TOP", "7")
    (tmp_path / ".env").write_text("REFS_DIR=mine\n")
    settings, _ = load()
    assert (settings.identify.top, settings.index.refs) == (7, "mine")


@pytest.mark.parametrize(
    ("platform", "kind", "tail"),
    [
        ("linux", "config", ".config/kenspeckle"),
        ("linux", "cache", ".cache/kenspeckle"),
        ("darwin", "config", "Library/Application Support/kenspeckle"),
        ("darwin", "cache", "Library/Caches/kenspeckle"),
        ("win32", "cache", "AppData/Local/kenspeckle/cache"),
    ],
)
def test_the_users_folder_by_the_customs_of_the_platform(monkeypatch, platform, kind, tail):
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    assert user_folder(kind).as_posix().endswith(tail)


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().identify.top = 3  # type: ignore[misc]


def test_importing_reads_no_environment_and_loads_nothing_heavy():
    code = (
        "import sys; before = set(sys.modules); import kenspeckle.config; "
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    said = subprocess.run(
        [sys.executable, "-I", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"KENSPECKLE_IDENTIFY_TOP": "nonsense"},
    ).stdout
    for heavy in ("PIL", "onnxruntime", "pydantic", "rich", "typer", "cv2"):
        assert f"'{heavy}'" not in said
