"""What every store can do, and the values that go in and come out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from kenspeckle.errors import InputError
from kenspeckle.types import (
    NO_METADATA,
    Calibration,
    Feedback,
    Fingerprint,
    Float32,
    Int64,
    Item,
    Reference,
)

if TYPE_CHECKING:
    from kenspeckle.store.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index says of itself.

    `naming` is the scheme its names were read by, `refs` the references folder as it was given,
    `created` an ISO date, `options` anything a flow wants to find again.
    """

    fingerprint: Fingerprint
    naming: str = "plain"
    refs: str = ""
    created: str = ""
    options: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, the fingerprint included."""
        return {
            "fingerprint": self.fingerprint.to_dict(),
            "naming": self.naming,
            "refs": self.refs,
            "created": self.created,
            "options": dict(self.options),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Manifest:
        """Read back what `to_dict` wrote. Raises KeyError, TypeError or ValueError."""
        options = {str(name): str(value) for name, value in dict(data["options"]).items()}
        naming, refs, created = (str(data[name]) for name in ("naming", "refs", "created"))
        fingerprint = Fingerprint.from_dict(data["fingerprint"])
        return cls(fingerprint, naming, refs, created, options)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One reference to be stored: who it is, its unit vector `(D,)`, and a small JPEG.

    `space` is the `space_id` that the vector is of; it is stored in an index of that space alone.
    Empty, whoever stores it answers for that.
    """

    reference: Reference
    vector: Float32
    thumbnail: bytes = b""
    space: str = ""


@dataclass(frozen=True, slots=True)
class Hits:
    """The best references of each query row, best first; missing places hold -1.

    ids
        `(Q, k)` int64, reference ids.
    items
        `(Q, k)` int64, the item number of each.
    scores
        `(Q, k)` float32 cosines, descending; -inf where there is no reference.
    """

    ids: Int64
    items: Int64
    scores: Float32

    def of(self, row: int) -> Hits:
        """Those of one query."""
        rows = slice(row, row + 1)
        return Hits(self.ids[rows], self.items[rows], self.scores[rows])

    def __post_init__(self) -> None:
        if not self.ids.shape == self.items.shape == self.scores.shape or self.ids.ndim != 2:
            raise InputError("hits", f"shapes {self.ids.shape}, {self.scores.shape}")


@dataclass(frozen=True, slots=True)
class Summary:
    """What `peek` reads of an index without loading a vector. `size` is in bytes."""

    path: str
    kind: str
    format: int
    manifest: Manifest
    items: int
    references: int
    vectors: int
    size: int
    calibration: Calibration | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What an answer stands on, as of one commit: the rule of the space in use, if there is one,
    and how many commits have added or removed references, and how many have changed feedback,
    over all processes."""

    calibration: Calibration | None
    change: int
    feedback: int


class Store(Protocol):
    """A gallery's references and vectors: kept, found again, searched.

    A reference is identified by `(path, view)` and numbered by an id that is never used twice.
    Every call may be made from any thread.

    Other processes may commit at any time between two calls. `references`, `select` and `snapshot`
    first take in what they have committed, so the ids these return have rows and owners, until
    the next `refresh` in whatever thread. An id that is gone by then is a KeyError: refresh and
    ask again, or take a `snapshot`, in which nothing goes. A file that was replaced by one of
    another model is a SpaceMismatch at every call that takes commits in; what was loaded before
    stays in use.

    A handle that may write holds a lock until it is closed, so there is one at a time, over all
    processes and within one. Changing raises IndexReadOnly with any other handle, and
    IndexMissing once the file has been deleted.
    """

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself."""

    @property
    def path(self) -> str:
        """Where it lies, or an empty string for one in memory."""

    @property
    def edition(self) -> int:
        """Counts how often another file was taken in that had been put in the place of the one
        opened: its ids have nothing to do with the former ones."""

    def set_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest. SpaceMismatch if vectors of another space are stored."""

    def writing(self, wait: float = 10.0) -> AbstractContextManager[None]:
        """Let a handle that was opened for reading change the index while a block runs.

        It holds the lock that long, for all threads in such a block; what one changed is in the
        file when its block ends. `wait` is how many seconds another process is waited for. Raises
        IndexBusy, which names it, IndexReadOnly.
        """

    def one_commit(self) -> AbstractContextManager[None]:
        """Make all that a block changes one commit: done as a whole, or where it raises not at all.

        No other thread reads or changes the index meanwhile but for searches, and who reads finds
        all of it or nothing. Inside, vectors and owners are those from before. Within another such
        block it is a part of that one. A store in memory keeps what came before an error. Raises
        as every change.
        """

    def still(self) -> AbstractContextManager[None]:
        """Let no other thread of this process change the index while a block reads it.

        What other processes commit may still show between two calls. Searches go on beside it.
        """

    def add(self, enrolled: Sequence[Enrolled], *, instead_of: Sequence[int] = ()) -> list[int]:
        """Store references in one atomic commit instead of all that is stored of their paths.

        So a call names all rows of a path together, its views included: those it does not name are
        erased. So are the references `instead_of`, if they are stored, in the same commit. Of two
        with one `(path, view)` the last stays. Returns their ids in order.
        Raises InputError, SpaceMismatch, IndexBusy, IndexMissing, IndexReadOnly.
        """

    def relabel(self, new: Mapping[int, Reference]) -> None:
        """Exchange label, variant, metadata, origin, size and time of references, by id.

        It is one commit, and a change unless none of them is stored. Ids stay, and with them
        vectors, thumbnails and features. What is not stored under that id with that key, path and
        view is passed over.
        """

    def remove(self, ids: Sequence[int]) -> int:
        """Erase references with their vectors and thumbnails; how many there were.

        Ids that are not stored, and an id named again, count for nothing.
        """

    def search(self, rows: Float32, k: int, *, ids: Int64 | None = None, threads: int = 1) -> Hits:
        """The `k` best references of each row of `(Q, D)`, exactly.

        `ids` confines the search to those references. Scores are rounded from a float64 product
        with the stored vectors; equal scores are ordered by id.
        """

    def get(self, ids: Sequence[int]) -> list[Reference]:
        """References by id, in order. KeyError names one that is not stored."""

    def rows(self, ids: Sequence[int] | Int64 | None = None) -> Float32:
        """Vectors `(n, D)` as stored, in the order of `ids`, or all by ascending id.

        KeyError names an id that is not in memory.
        """

    def ids(self) -> Int64:
        """All reference ids, ascending."""

    def owners(self, ids: Sequence[int] | Int64 | None = None) -> Int64:
        """Item numbers in the order of `ids`, or all by ascending id. KeyError as for `rows`."""

    def prints(self, item: int) -> int:
        """How many prints of the item of that number are enrolled, the plain one included.

        KeyError if there is no such item.
        """

    def counts(self) -> tuple[int, int]:
        """How many items and pictures there are, enrolled views left out.

        They are counted once after each change, however often it is asked.
        """

    def items(self, *, after: str | None = None, most: int | None = None) -> list[Item]:
        """All items, by key; or those that come `after` a key, at most so many."""

    def references(self) -> Iterator[tuple[int, Reference]]:
        """All references with their ids, by path, then view."""

    def page(
        self, *, after: int = 0, most: int = 100, key: str = ""
    ) -> list[tuple[int, Reference]]:
        """References by ascending id, of one item or all: those `after` an id, at most so many.

        Enrolled views are left out.
        """

    def paths(self, *, after: int = 0, most: int | None = None) -> list[tuple[int, str]]:
        """Path of each reference by ascending id: of those `after` an id, at most so many.

        Enrolled views are left out. It reads nothing else, so all of a large gallery cost little.
        """

    def snapshot(self) -> Snapshot:
        """References, vectors, rule and feedback of one commit, which later ones do not touch."""

    def select(self, where: Mapping[str, str]) -> Int64:
        """Ids, ascending, of references that equal every named value.

        The names `key`, `label`, `variant`, `path`, `view`, `filename` and `sha256` mean the
        reference's own fields, all others its metadata. What has a given key, path or hash is
        looked up, whatever the size of the gallery.
        """

    def thumbnail(self, identifier: int) -> bytes:
        """The small JPEG of a reference, empty if none is stored."""

    def touch(self, stats: Sequence[tuple[int, int, int]]) -> None:
        """Note new `(id, size, mtime_ns)` of files whose content is unchanged."""

    def features(self, ids: Sequence[int], kind: str) -> dict[int, bytes]:
        """Cached local features of that kind, by reference id; those without are absent."""

    def set_features(self, kind: str, features: Mapping[int, bytes]) -> None:
        """Keep local features of references, in place of what was kept of that kind.

        They are erased with their reference, and leave the counter of changes alone. Ids that are
        not stored are passed over. InputError for one of `MAX_FEATURES` bytes or more.
        """

    def feature_kinds(self) -> list[str]:
        """The kinds of local features of which some are kept."""

    def feedback(
        self,
        where: Mapping[str, str] | None = None,
        *,
        after: int = 0,
        most: int | None = None,
    ) -> list[Feedback]:
        """What people said about answers, by id: what comes `after` an id, at most so many.

        `where` confines it to what equals every named value; the names `kind`, `key`, `name` and
        `sha256` mean its own fields. What is left out is not read.

        Rows that another model made are set aside: such feedback comes with none, `(0, D)`, and
        cannot be used until it is stored with rows again.
        """

    def add_feedback(self, feedback: Feedback) -> int:
        """Store feedback; one with the id of a stored one takes its place. Returns the id.

        Raises InputError, SpaceMismatch.
        """

    def remove_feedback(self, identifier: int) -> bool:
        """Erase feedback; whether it was there."""

    def calibration(self) -> Calibration | None:
        """The rule fitted for the space in use, if there is one."""

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store or erase that rule. It does not count as a change."""

    def assume(self, calibration: Calibration | None) -> None:
        """Decide by that rule, through this handle alone, as long as none is stored."""

    def standing(self) -> Standing:
        """The rule and the counters that say whether it still fits, of one commit."""

    def refresh(self) -> bool:
        """Take in what other processes have committed; whether there was anything.

        A file that has been put in the place of the one opened is opened instead; SpaceMismatch
        if it holds vectors of another model.
        """

    def memory(self) -> int:
        """Bytes held in memory by the vectors and by what search has made of them.

        References of a store in memory and SQLite's own cache (some 2 MB) are not counted.
        """

    def close(self, *, drop_empty: bool = False) -> None:
        """Write what is pending, let go of the file and of the right to change it.

        With `drop_empty` a handle that may write erases a file that holds no reference, whoever
        added it; one that does, or that another has put in its place, stays.
        """

    def __len__(self) -> int: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
