"""What there is only so much of, shared by rule: nobody shuts the others out."""

from __future__ import annotations


def room(own: int, taken: int, most: int) -> bool:
    """Whether somebody who has `own` of the `taken` places may have one more of `most`.

    Nobody gets more than are left for others: one alone has half of them, a second one half of the
    rest, and so on.

    >>> room(31, 31, 64), room(32, 32, 64), room(0, 32, 64), room(16, 48, 64), room(0, 64, 64)
    (True, False, True, False, False)
    """
    return own < most - taken
