"""Facts in great number, in the load generator's process: an appender of its own writes them beside the node's, as
another replica of its registry would, and much quicker than over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from shared.facts.ids import new_id
from shared.ledger.appender import Appender
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import Identity
from shared.ledger.keyring import Keyring
from shared.ledger.store import LedgerStore
from shared.settings import Settings

AUTHOR = Author("0198c0de-0000-7000-8000-0000000000ac", "officer")
AT_ONCE = 2_048


def register_pilots(home: Path, uri: str, agency: str, like: str, count: int) -> int:
    """Appends so many pilots with the state of the pilot `like`; the ledger's last sequence afterwards."""
    settings = Settings(home=home)
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        store = LedgerStore(client, settings.database("ledger"))
        pattern = store.newest(agency, "registry", f"pilot/{like}")
        assert pattern is not None
        drafts = _drafts(agency, json.dumps(pattern.state), like, count)
        appender = Appender(store, Keyring(home / "keys"), Identity.read(home).mesh)
        appender.start()
        try:
            while some := list(islice(drafts, AT_ONCE)):
                for done in [appender.submit(draft) for draft in some]:
                    done.result(60)
        finally:
            appender.stop()
        return store.head(f"{agency}.registry").sequence


def _drafts(agency: str, state: str, like: str, count: int) -> Iterator[Draft]:
    for _ in range(count):
        made = new_id()
        yield Draft(
            agency, "registry", "pilot", "registered", made, 1, json.loads(state.replace(like, made)), author=AUTHOR
        )
