"""Models from a hub: the files that are needed, at a commit that is written down."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kenspeckle._extras import need
from kenspeckle.config import ModelSettings
from kenspeckle.engines.files import check_files, checkpoint_files, file_sha256, folder_of, home
from kenspeckle.engines.lock import Locked, LockedFile, install, read_lock, staged
from kenspeckle.engines.table import ModelRow
from kenspeckle.errors import ModelError, ModelMissing


def pull(
    row: ModelRow,
    settings: ModelSettings,
    *,
    endpoint: str = "",
    renew: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Fetch a hub model into the model home and return its folder.

    The first pull records commit and hashes in the lock file; a later one fetches that commit and
    must get the same bytes, unless `renew` asks for the newest. A damaged file is fetched once
    more. `endpoint` is the hub's address (else HF_ENDPOINT, else the library's own). `say` is told
    what happens in sentences.

    Raises ModelMissing when it may not or cannot be fetched, ModelError when the hub gives other
    bytes than it should, MissingExtra.
    """
    if settings.offline:
        raise ModelMissing(
            row.name,
            "fetching is switched off (models.offline or HF_HUB_OFFLINE)",
            do=f"Switch it on, or run: kenspeckle models pull {row.name} --from-pack FILE",
        )
    library = need("huggingface_hub", f"fetching {row.name}")
    folder = home(settings) / folder_of(row)
    former = read_lock(home(settings)).get(row.source)
    locked = None if renew else former
    if locked is not None and not check_files(folder, locked):
        say(f"{row.name}: already here, as locked at {locked.commit[:12]}")
        return folder
    info = _asked(row, lambda: _info(library, row, endpoint, locked))
    names = checkpoint_files(entry.rfilename for entry in info.siblings)
    expected = _expected(info, names, locked)
    missing = [name for name in names if not expected[name][0]]  # nobody knows their hash
    missing += _wrong(folder, {name: expected[name] for name in names if name not in missing})
    say(f"{row.name}: {len(missing)} files at {info.sha[:12]} into {folder}")

    def fetch(place: Path, wanted: list[str], again: bool) -> list[str]:
        options = {"revision": info.sha, "local_dir": place, "endpoint": endpoint or None}
        options |= {"allow_patterns": wanted, "force_download": again}
        _asked(row, lambda: library.snapshot_download(row.source, **options))
        return _wrong(place, {name: expected[name] for name in wanted})

    if not sys.stderr.isatty():
        library.utils.disable_progress_bars()
    with staged(home(settings)) as staging:
        wrong = fetch(staging, missing, False) if missing else []
        if wrong:
            say(f"{row.name}: {', '.join(wrong)} arrived damaged; fetching again")
            for name in wrong:
                (staging / name).unlink(missing_ok=True)
            _refuse(row, fetch(staging, wrong, True), locked)
        paths = {name: (staging if name in missing else folder) / name for name in names}
        files = {n: LockedFile(file_sha256(p), p.stat().st_size) for n, p in paths.items()}
        licence = str((info.card_data or {}).get("license") or "")
        install(staging, folder, row.source, Locked(info.sha, files, licence), former)
    return folder


def _info(library: Any, row: ModelRow, endpoint: str, locked: Locked | None) -> Any:
    api = library.HfApi(endpoint=endpoint or None)
    commit = locked.commit if locked else None
    return api.model_info(row.source, revision=commit, files_metadata=True)


def _asked(row: ModelRow, call: Callable[[], Any]) -> Any:
    """Do one call of the library; whatever it raises becomes one error of ours."""
    try:
        return call()
    except Exception as error:  # the library and its transport raise many unrelated kinds
        first = (str(error).strip() or "no reason given").splitlines()[0]
        raise ModelMissing(
            row.name,
            f"{row.source} could not be fetched ({type(error).__name__}: {first})",
            do="Check the name, the network and HF_ENDPOINT, or use --from-pack FILE",
        ) from error


def _expected(info: Any, names: list[str], locked: Locked | None) -> dict[str, tuple[str, int]]:
    """sha256 (empty where nobody knows it) and bytes (-1 likewise) that each file should have."""
    entries = {entry.rfilename: entry for entry in info.siblings}
    expected = {}
    for name in names:
        if locked is not None and name in locked.files:
            expected[name] = (locked.files[name].sha256, locked.files[name].bytes)
        else:
            large = getattr(entries[name], "lfs", None)
            size = entries[name].size
            expected[name] = (large.sha256 if large else "", -1 if size is None else size)
    return expected


def _wrong(folder: Path, expected: dict[str, tuple[str, int]]) -> list[str]:
    """Files that are missing or not what they should be."""
    wrong = []
    for name, (sha256, size) in expected.items():
        path = folder / name
        if (
            not path.is_file()
            or (size >= 0 and path.stat().st_size != size)
            or (sha256 and file_sha256(path) != sha256)
        ):
            wrong.append(name)
    return wrong


def _refuse(row: ModelRow, wrong: list[str], locked: Locked | None) -> None:
    if not wrong:
        return
    do = "Try again later"
    if locked is not None:
        do = "To take the hub's newest instead (a new space), add --renew"
    raise ModelError(
        row.name,
        f"{', '.join(wrong)} came with other bytes twice",
        expected="those of the lock file" if locked else "those that the hub announces",
        do=do,
    )
