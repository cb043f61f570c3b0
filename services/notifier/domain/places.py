"""Places in the journal as clients hold them: `<journal epoch>.<position>`."""

from __future__ import annotations

import re

_PLACE = re.compile(r"([0-9a-f]{1,32})\.([0-9]{1,15})", re.ASCII)


def told_place(epoch: str, position: int) -> str:
    return f"{epoch}.{position}"


def position_in(place: str, epoch: str, head: int) -> int | None:
    """The position that a client named; None if it is none of this journal's, and the client has to begin anew."""
    parts = _PLACE.fullmatch(place.strip())
    if parts is None or parts[1] != epoch or int(parts[2]) > head:
        return None
    return int(parts[2])
