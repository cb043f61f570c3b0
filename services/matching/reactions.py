"""Which keys facts touch, and the worker that acts on them: only where this node's follower of matching leads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from services.matching import documents
from services.matching.documents import SHARED, PilotRow
from services.matching.domain.responding import WORDS, mesh_copy
from services.matching.following import Following
from services.matching.memory import Memory
from services.matching.model import World
from shared.facts.fact import Fact
from shared.facts.names import AGENCY
from shared.ledger.documents import rows_of
from shared.ledger.keyring import Keyring
from shared.ledger.ledger import Ledger
from shared.ledger.narrowing import wider_ledger, withdraw_from_mesh
from shared.ledger.owners import Ref, ref_of
from shared.ledger.rows import Key, Row
from shared.ledger.work import Task, Work

log = logging.getLogger(__name__)

TURN_SECONDS = 0.25
"""How long reactions go on while commands rush in, before they give way again."""
GIVE_UP_AFTER = 12
"""Attempts after which a pilot that this node never saw is left alone."""
PRIVATE_WORDS: Mapping[str, Sequence[str]] = {"response": WORDS, "suspension": ("reason",)}


class Reactions:
    """Keys: `pilot|<lead>|<id>`, `offer|<code>|<agency>|<capability>`, `promise|<agency>|<capability>`,
    `rules|<agency>`, `slots|<agency>`, `share|<agency>|<kind>/<id>`, `narrowed|<agency>|<kind>/<id>`, and
    `deadline|<lead>|<pilot>|<time>`, due at that time."""

    def __init__(self, work: Work, keyring: Keyring, memory: Memory) -> None:
        self._work = work
        self._keyring = keyring
        self._memory = memory
        self.ledger: Ledger | None = None
        self.following: Following | None = None
        """Both set by the composition root before anything is done; touching needs neither."""
        self.gives_way: Callable[[], bool] = lambda: False
        """Whether callers' commands are waiting; set by the composition root as well."""

    def touched(self, rows: Mapping[Key, Row], facts: Sequence[Fact]) -> None:
        """Persists what these facts ask for, before the cursor moves."""
        keys: set[str] = set()
        for row in rows.values():
            keys.update(self._keys(row))
        self._memory.touched(rows.values())
        self._work.touch(keys, facts[0].trace if facts else None)

    def _keys(self, row: Row) -> Iterable[str]:
        """What the row asks for. Shared copies, and pilots by their own facts, are the owner's node's business."""
        state, hosted = row.state, self._keyring.hosts(row.key[0])
        if hosted and _is_in_circle(row):
            yield f"share|{row.key[0]}|{row.key[2]}"
        if hosted and row.kind in ("proposal", "testbed") and wider_ledger(row) is not None:
            yield f"narrowed|{row.key[0]}|{row.key[2]}"
        match row.kind:
            case "pilot" if hosted:
                yield f"pilot|{row.key[0]}|{row.id}"
            case "proposal":
                if hosted:
                    yield f"pilot|{row.key[0]}|{state.get('pilot')}"
                else:  # promises to it may have been heard of before it was
                    yield from (
                        f"promise|{member.get('agency')}|{one.get('capability')}"
                        for member in _dicts(state.get("team"))
                        for one in _dicts(member.get("covers"))
                    )
                yield from (f"slots|{one.get('agency')}" for one in _dicts(state.get("invitations")))
            case "response":
                if self._is_ours(state.get("lead")):
                    yield f"pilot|{state['lead']}|{state.get('pilot')}"
                yield f"slots|{row.key[0]}"
                yield from (f"promise|{row.key[0]}|{one.get('capability')}" for one in _dicts(state.get("reserves")))
            case "testbed" | "suspension":
                if self._is_ours(state.get("lead")):
                    yield from (f"pilot|{state['lead']}|{pilot}" for pilot in state.get("pilots") or ())
            case "capability":
                before = self._memory.capability_code((row.id, row.key[0]))
                yield from (f"offer|{code}|{row.key[0]}|{row.id}" for code in {before, state.get("code")} - {None})
            case "rules":
                yield f"rules|{row.key[0]}"

    def _is_ours(self, lead: object) -> bool:
        """Whether this node matches the pilots of this lead."""
        return isinstance(lead, str) and AGENCY.fullmatch(lead) is not None and self._keyring.hosts(lead)

    def step(self) -> bool:
        """Does what is due; True if there may be more."""
        due = self._work.due()
        until = time.monotonic() + TURN_SECONDS
        for task in due:
            if self.gives_way() and time.monotonic() > until:
                break
            try:
                done = self._act(task)
            except Exception as error:  # kept with its reason and tried again later
                log.exception("reaction to %s failed", task.key)
                self._work.put_off(task, f"{type(error).__name__}: {error}")
                continue
            if done or task.attempts >= GIVE_UP_AFTER:
                self._work.done(task)
            else:
                self._work.put_off(task, "the record has not been seen here yet")
        return bool(due)

    def _act(self, task: Task) -> bool:
        assert self.following is not None
        what, _, rest = task.key.partition("|")
        if what == "pilot":
            lead, pilot = rest.split("|", 1)
            return self.following.follow(lead, pilot, task.trace)
        if what == "deadline":
            lead, pilot, _ = rest.split("|", 2)
            return self.following.follow(lead, pilot, task.trace)
        if what == "slots":
            self.following.invite_further(rest, task.trace)
        elif what == "share":
            self._share(rest, task.trace)
        elif what == "narrowed":
            self._narrow(rest, task.trace)
        elif what == "offer":
            code, agency, capability = rest.split("|", 2)
            memory = self._memory.fresh()
            asking = self._open_pilots(code) - memory.pilots_with_open_proposal()  # a new offer leaves those alone
            self._touch_pilots(asking | memory.proposals_using(agency, capability, self._keyring.hosts), task)
        elif what == "promise":
            agency, capability = rest.split("|", 1)
            self._touch_pilots(self._memory.fresh().proposals_using(agency, capability, self._keyring.hosts), task)
        elif what == "rules":
            self._touch_pilots(self._pilots_under(rest), task)
        return True

    def _touch_pilots(self, pilots: Iterable[Ref], task: Task) -> None:
        self._work.touch({f"pilot|{lead}|{pilot}" for lead, pilot in pilots}, task.trace)

    def _open_pilots(self, code: str) -> set[Ref]:
        """Open pilots of hosted agencies that ask for this code, or for one akin to it."""
        assert self.ledger is not None
        world: World = self._memory.world(self.ledger.now().date())
        codes = [code, *world.code(code).siblings]
        rows = rows_of(PilotRow.objects(needs__in=codes, life="open"))
        return {ref_of(row) for row in rows if self._keyring.hosts(row.key[0])}

    def _pilots_under(self, agency: str) -> set[Ref]:
        """Hosted agencies' pilots that an agency's rules decide about: those it leads, and those it recused itself
        from. A recusal names an id alone: it holds for every pilot with that id."""
        recused = sorted(self._memory.fresh().rules_of(agency).recusals)
        rows = rows_of(PilotRow.objects(id___in=recused)) if recused else []
        if self._keyring.hosts(agency):
            rows += rows_of(PilotRow.objects(lead=agency, life="open"))
        return {ref_of(row) for row in rows if self._keyring.hosts(row.key[0])}

    def _narrow(self, rest: str, trace: str | None) -> None:
        assert self.ledger is not None
        agency, _, aggregate = rest.partition("|")
        row = documents.matching_rows().get((agency, "matching", aggregate))
        if row is not None:
            withdraw_from_mesh(self.ledger, row, trace)

    def _share(self, rest: str, trace: str | None) -> None:
        """The mesh learns of what an agency said within a circle, without its words."""
        assert self.ledger is not None
        agency, _, aggregate = rest.partition("|")
        row = documents.matching_rows().get((agency, "matching", aggregate))
        if row is None or not row.is_live or not _is_in_circle(row):
            return
        self.ledger.react(
            row.shown.hash,
            agency,
            row.kind,
            SHARED,
            row.id,
            mesh_copy(row.state, PRIVATE_WORDS[row.kind]),
            version=row.version + 1,
            trace=trace,
        )


def _is_in_circle(row: Row) -> bool:
    return row.is_live and row.kind in PRIVATE_WORDS and row.shown.ledger.count(".") == 2


def _dicts(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
