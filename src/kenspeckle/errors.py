"""Every error that Kenspeckle raises on purpose.

    KenspeckleError
    ├── InputError            something handed in cannot be used
    │   ├── PictureError      a picture is unreadable, too large or not what it claims
    │   │   └── PictureTooLarge  it has more bytes, pixels or frames than allowed
    │   ├── FetchError        an address is refused, unreachable or answers too much
    │   ├── CatalogError      a folder or table of references says nothing usable
    │   └── SettingError      a setting or argument has a value it cannot have
    ├── GalleryError          an index cannot be used as asked
    │   ├── IndexMissing      there is no such file
    │   ├── NotEnrolled       it has no item or reference of that name
    │   ├── IndexCorrupt      the file is damaged or is not an index
    │   ├── IndexVersion      the file was written by a newer release
    │   ├── IndexBusy         another process is writing to it
    │   ├── IndexReadOnly     it cannot be written here (permissions, full disk)
    │   └── SpaceMismatch     vectors of another model, recipe or head
    ├── ModelError            a model or head cannot be had or fails its check
    │   ├── ModelMissing      it is not on this machine and may not be fetched
    │   └── UnsafeFile        it holds something that would have to be executed
    ├── PromiseRefused        a false-positive rate that the trials cannot support
    ├── AccessRefused         a key is missing, wrong, or may not do this
    ├── ServiceBusy           the service has more to do than it may, or is stopping
    └── MissingExtra          an optional part is not installed

Catch `KenspeckleError` to handle all of them; catch `InputError` to go on with the next picture.
"""

from __future__ import annotations

import os


class KenspeckleError(Exception):
    """Base of all errors: names the thing, what was found, what was expected and what to do.

    The message reads `thing: found; expected …. Do this.`, with the parts that are known. A thing
    that is a file or folder of this machine is handed in as a path object, unless it always is one
    for a class: `file` says so, and strangers are told its name alone.

    >>> print(KenspeckleError("a.jpg", "0 bytes", expected="a picture", do="Copy it again."))
    a.jpg: 0 bytes; expected a picture. Copy it again.
    """

    file = False

    def __init__(
        self, thing: str | os.PathLike[str], found: str, *, expected: str = "", do: str = ""
    ) -> None:
        self.thing, self.file = os.fspath(thing), self.file or not isinstance(thing, str)
        self.found, self.expected, self.do = found, expected, do
        text = f"{self.thing}: {found}"
        if expected:
            text += f"; expected {expected}"
        if do:
            text += f". {do}"
        super().__init__(text)

    def __reduce__(self) -> tuple[object, ...]:
        said = (self.thing, self.found, self.expected, self.do)
        return (_rebuild, (type(self), *said, self.file))


def _rebuild(
    kind: type[KenspeckleError], thing: str, found: str, expected: str, do: str, file: bool
) -> KenspeckleError:
    made = kind(thing, found, expected=expected, do=do)
    made.file = file
    return made


class InputError(KenspeckleError):
    """Something handed in cannot be used."""


class PictureError(InputError):
    """A picture is unreadable, too large, or not what it claims to be."""


class PictureTooLarge(PictureError):
    """A picture has more bytes, pixels or frames than are allowed."""


class FetchError(InputError):
    """An address is refused, unreachable, or answers more than allowed."""


class CatalogError(InputError):
    """A folder or table of references says nothing usable."""

    file = True


class SettingError(InputError):
    """A setting or argument has a value it cannot have."""


class GalleryError(KenspeckleError):
    """An index cannot be used as asked."""


class IndexMissing(GalleryError):
    """There is no such index."""


class NotEnrolled(GalleryError):
    """The gallery has no item or reference of that name."""


class IndexCorrupt(GalleryError):
    """The file is damaged, or is not an index."""


class IndexVersion(GalleryError):
    """The file was written by a newer release."""


class IndexBusy(GalleryError):
    """Another process is writing to the index."""


class IndexReadOnly(GalleryError):
    """The index cannot be written: permissions, a read-only or a full disk."""


class SpaceMismatch(GalleryError):
    """Vectors of another model, recipe or head than the index holds."""


class ModelError(KenspeckleError):
    """A model or head cannot be had, or fails its check."""


class ModelMissing(ModelError):
    """The model is not on this machine and may not be fetched."""


class UnsafeFile(ModelError):
    """The file holds something that would have to be executed; it was not."""


class PromiseRefused(KenspeckleError):
    """A false-positive rate was asked for that the trials cannot support."""


class AccessRefused(KenspeckleError):
    """A key is missing or wrong, or may not do what was asked."""


class ServiceBusy(KenspeckleError):
    """The service has more to do than it may have waiting, or is stopping.

    `retry_after` says after how many seconds to try again.
    """

    retry_after = 1.0


class MissingExtra(KenspeckleError):
    """An optional part of Kenspeckle is not installed."""
