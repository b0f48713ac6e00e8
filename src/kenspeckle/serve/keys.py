"""API keys: a file that holds no key, only what tells whether one is right.

A key is 256 random bits, shown once. The file keeps its SHA-256: nothing that could be guessed is
behind it, so a slow hash would protect nobody and let strangers spend the processor of the
service. Files are replaced at once or not at all, and may be read and written by their owner alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import shlex
import stat
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kenspeckle._aside import written
from kenspeckle.config import Settings
from kenspeckle.errors import AccessRefused, InputError, SettingError
from kenspeckle.flows.opened import DEFAULT_PATHS
from kenspeckle.store.lock import WriterLock

SCOPES = ("read", "write", "admin")
"""What a key may do: ask; change items and say what was right; run jobs. None includes another."""

FORMAT = 1
PREFIX = "ksp_"
"""What keys begin with, so that they are recognised where they have no business."""

MOST_KEYS = 1000
LARGEST_FILE = 1024 * 1024
SHORTEST, LONGEST = 32, 512
"""Characters of a key that somebody else made."""

_LONGEST_NAME = 64
_WAIT = 5.0


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its name, what it may do, its hash, and when it was made and revoked (UTC).

    A revoked key keeps its name here, but no hash.
    """

    name: str
    scopes: tuple[str, ...]
    sha256: str
    made: str
    revoked: str = ""


def place(settings: Settings, index: str | os.PathLike[str] = "") -> Path:
    """Where keys are kept: as the settings say, else beside the index.

    Without an index they are where they would be beside the usual one: that may be made later, and
    must not open what was closed.

    >>> place(Settings(), "things.ken").name, place(Settings()).name
    ('things.ken.keys', 'gallery.ken.keys')
    """
    return Path(settings.serve.keys or f"{os.fspath(index) or DEFAULT_PATHS[0]}.keys")


def digest(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def match(key: str, known: Iterable[Key]) -> Key | None:
    """The key that was shown, if it is one of these and in force.

    Every one is compared, and each in the same time, so that nothing is learnt from how long it
    took.
    """
    shown, found = digest(key), None
    for one in known:
        if hmac.compare_digest(shown, one.sha256 or "-" * len(shown)) and not one.revoked:
            found = one
    return found


def create(path: Path, name: str, scopes: Iterable[str] = ("read",)) -> str:
    """Make a key of that name and return it; it is never shown again.

    The name of a revoked key may be given to a new one. Raises InputError, AccessRefused.
    """
    scopes = check_scopes(scopes)
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InputError("name of a key", repr(name), expected=f"1 to {_LONGEST_NAME} characters")
    made = PREFIX + secrets.token_urlsafe(32)
    with _changing(path) as known:
        if any(one.name == name and not one.revoked for one in known):
            raise InputError(name, "a key has this name", do="Name it otherwise, or revoke it")
        kept = [one for one in known if one.name != name]
        if len(kept) >= MOST_KEYS:
            raise InputError(str(path), f"{len(kept)} keys", expected=f"at most {MOST_KEYS}")
        _write(path, [*kept, Key(name, scopes, digest(made), _now())])
    return made


def revoke(path: Path, name: str) -> Key:
    """End a key; what it was is kept, its hash is not. Raises InputError, AccessRefused."""
    with _changing(path) as known:
        found = next((one for one in known if one.name == name and not one.revoked), None)
        if found is None:
            listed = f"kenspeckle keys list --keys {shlex.quote(str(path))}"
            raise InputError(name, "no key in force has this name", do=f"See `{listed}`")
        ended = replace(found, sha256="", revoked=_now())
        _write(path, [ended if one is found else one for one in known])
    return ended


def read(path: Path) -> tuple[Key, ...]:
    """All keys of a file, in the order they were made; none when there is no file.

    Raises AccessRefused for a file that cannot be trusted or understood.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise _unusable(path, "no file")
            if os.name == "posix" and mode & stat.S_IWOTH:
                raise _unusable(path, "anybody may write to it", f"Run: chmod 600 {path}")
            data = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unusable(path, f"it cannot be read ({error.strerror})") from error
    try:
        return _parsed(data)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        anew = f"kenspeckle keys create NAME --keys {shlex.quote(str(path))}"
        do = f"Put it back, or move it away and make keys anew: {anew}"
        raise _unusable(path, "no keys of ours, or a damaged file", do) from error


def read_first(path: Path) -> Key:
    """The key that a mounted secret holds; it may do everything. Raises AccessRefused."""
    thing = f"key file {path}"
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 3)
    except OSError as error:
        raise AccessRefused(
            thing,
            f"it cannot be read ({error.strerror})",
            expected="a file that holds one key",
            do="Mount the secret there, or name another file in KENSPECKLE_KEY_FILE",
        ) from error
    text = data.decode("ascii", "replace").strip()
    wanted = f"{SHORTEST} to {LONGEST} letters, digits and signs without spaces"
    if not SHORTEST <= len(text) <= LONGEST or not text.isascii() or " " in text:
        raise AccessRefused(thing, f"{len(text)} characters", expected=wanted)
    if not text.isprintable():
        raise AccessRefused(thing, "hidden characters", expected=wanted)
    return Key(path.name, SCOPES, digest(text), "")


def check_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Scopes in their usual order, each once. Raises SettingError for others, or none."""
    given = {scope.strip() for scope in scopes if scope.strip()}
    if not given or not given <= set(SCOPES):
        found = ", ".join(sorted(given - set(SCOPES))) or "none"
        raise SettingError("scope", found, expected=", ".join(SCOPES))
    return tuple(scope for scope in SCOPES if scope in given)


class _changing:  # noqa: N801
    """The keys of a file while nobody else changes them."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, WriterLock(path)

    def __enter__(self) -> tuple[Key, ...]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(self._path, f"it cannot be written ({error.strerror})") from error
        self._lock.take(_WAIT)
        try:
            return read(self._path)
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for the writer of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _parsed(data: bytes) -> tuple[Key, ...]:
    if len(data) > LARGEST_FILE:
        raise ValueError("too large")
    held: Any = json.loads(data)
    if held["format"] != FORMAT or len(held["keys"]) > MOST_KEYS:
        raise ValueError("another format")
    return tuple(_key(**entry) for entry in held["keys"])


def _key(name: str, scopes: list[str], sha256: str, made: str, revoked: str = "") -> Key:
    texts = (name, sha256, made, revoked)
    if not all(isinstance(text, str) for text in texts) or not isinstance(scopes, list):
        raise TypeError("no text")
    if not set(scopes) <= set(SCOPES) or len(sha256) != (0 if revoked else 64):
        raise ValueError("no key")
    return Key(name, tuple(scopes), sha256, made, revoked)


def _write(path: Path, known: Iterable[Key]) -> None:
    text = json.dumps({"format": FORMAT, "keys": [asdict(one) for one in known]}, indent=1)
    try:
        with written(path) as file:
            if os.name == "posix":
                os.fchmod(file.fileno(), 0o600)
            file.write(text.encode() + b"\n")
    except OSError as error:
        raise _unusable(path, f"it cannot be written ({error.strerror})") from error


def _unusable(path: Path, found: str, do: str = "") -> AccessRefused:
    return AccessRefused(f"keys {path}", found, expected="a file of `kenspeckle keys`", do=do)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
