"""A new signing key for an agency: while others write, across a crash at every step, with the old key lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.checks.keys import keys_are_in_force
from shared.facts.ids import new_id
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR
from shared.ledger.anchoring import bind_anchor_recovery
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import Member, members_of, roster_state
from shared.ledger.keyring import Keyring
from shared.ledger.rekeying import Rekeying, Rotation, recovery_key
from shared.ledger.store import LedgerStore
from shared.ledger.verification import verify_node
from shared.problems import Conflict, Forbidden, Misdirected
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, ledger_node, pilot
from tests.unit.facts.chains import Chain, key_of

OPERATOR = Author("operator", "admin")
RECOVERY = key_of("wfp recovery")
CIRCLE = "0198c0de-0000-7000-8000-00000000c1c1"
LEDGERS = ["wfp.registry", f"wfp.registry.{CIRCLE}", "wfp.registry.private"]


@pytest.fixture
def node(database_settings: Settings) -> Iterator[LedgerNode]:
    with ledger_node(database_settings) as made:
        made.keyring.make("wfp")
        enter(made, Member("wfp", made.keyring.key("wfp").public, RECOVERY.public))
        appender = made.appender()
        for draft in (pilot(), pilot(audience="private"), pilot(audience=CIRCLE)):
            appender.record(draft)
        yield made


def enter(node: LedgerNode, *members: Member, **more: str) -> None:
    """A roster with these members."""
    newest = node.store.newest(ANCHOR, "mesh", "roster/mesh")
    version = 1 if newest is None else newest.header.version + 1
    node.appender().record(
        Draft(ANCHOR, "mesh", "roster", "issued", "mesh", version, {**roster_state(members), **more}, OPERATOR)
    )


def rekeying(node: LedgerNode, keyring: Keyring | None = None) -> Rekeying:
    return Rekeying(node.store, node.identity, keyring or node.keyring, OPERATOR, lambda: datetime.now(UTC))


def rotate(node: LedgerNode, recovery: SigningKey | None = None) -> Rotation:
    return rekeying(node).rotate("wfp", recovery)


def faults(node: LedgerNode) -> dict[str, str]:
    return {report.ledger: report.fault for report in verify_node(node.store, node.identity) if report.fault}


def keys_in(node: LedgerNode, ledger: str) -> list[str]:
    return [fact.header.keyid for fact in node.store.after(ledger, (1, 0))]


def test_every_ledger_of_the_agency_goes_on_under_the_new_key(node: LedgerNode) -> None:
    old = node.keyring.key("wfp").keyid
    appender = node.appender()
    appender.record(pilot())
    done = rotate(node)
    new = node.keyring.key("wfp").keyid
    assert (done.keyid, done.before, sorted(done.places)) == (new, old, LEDGERS)
    for audience in ("mesh", "private", CIRCLE):
        assert appender.record(pilot(audience=audience)).fact.header.keyid == new
    assert keys_in(node, "wfp.registry") == [old, old, old, new]
    assert faults(node) == {}


def test_a_ledger_begun_later_stands_under_the_new_key_before_the_anchor_knows(node: LedgerNode) -> None:
    rotate(node)
    later = node.appender().record(pilot(audience=new_id())).fact
    assert later.header.keyid == node.keyring.key("wfp").keyid
    assert node.roster.members()[0].public != node.keyring.key("wfp").public
    assert faults(node) == {}


def test_the_old_key_begins_no_ledger_any_more(node: LedgerNode) -> None:
    old = node.keyring.key("wfp")
    rotate(node)
    chain = Chain(ledger=f"wfp.registry.{new_id()}", key=old, mesh=node.identity.mesh)
    node.store.insert([chain.add()], [None], own=False)
    assert "does not hold" in faults(node)[chain.ledger]


def test_keys_follow_one_another_any_number_of_times(node: LedgerNode) -> None:
    appender, used = node.appender(), {node.keyring.key("wfp").keyid}
    for _ in range(3):
        rotate(node)
        for audience in ("mesh", "private", CIRCLE, new_id()):
            used.add(appender.record(pilot(audience=audience)).fact.header.keyid)
    assert len(used) == 4
    assert faults(node) == {}


def test_an_agency_that_has_written_nothing_can_rotate(node: LedgerNode) -> None:
    node.keyring.make("fao")
    enter(node, *node.roster.members(), Member("fao", node.keyring.key("fao").public, RECOVERY.public))
    done = rekeying(node).rotate("fao")
    assert done.places == {"fao.registry": "fao.registry:1:1"}
    assert node.appender().record(pilot(agency="fao")).fact.header.keyid == done.keyid
    assert faults(node) == {}


def test_commands_go_on_in_several_replicas_while_keys_are_replaced(node: LedgerNode) -> None:
    stopping, written, failures = threading.Event(), [], []

    def write(keyring: Keyring) -> None:
        appender = node.appender()
        appender._keyring = keyring  # a process of its own reads the folder by itself
        while not stopping.is_set():
            for audience in ("mesh", "private", CIRCLE, new_id()):
                try:
                    written.append(appender.record(pilot(audience=audience)).fact)
                except Exception as error:
                    failures.append(error)

    threads = [threading.Thread(target=write, args=(Keyring(node.keyring.folder),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    keyids = {rotate(node).keyid for _ in range(3)}
    stopping.set()
    for thread in threads:
        thread.join(30)
    swept = rekeying(node).sweep("wfp")
    assert failures == []
    assert len(keyids) == 3
    present = node.store.hashes_present([fact.hash for fact in written])
    assert len(present) == len(written)
    assert faults(node) == {}, swept


class Crash(Exception):  # noqa: N818 - what happens
    """The process ends here."""


STEPS: dict[str, tuple[type[Any], str]] = {
    "before the new key is made": (Keyring, "make_next"),
    "before it is taken into use": (Keyring, "take_over"),
    **{f"at fact {number}": (LedgerStore, "insert") for number in (1, 2, 3)},
    **{f"after fact {number}": (LedgerStore, "insert") for number in (1, 2, 3)},
}


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_is_made_good_by_repeating(
    node: LedgerNode, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    owner, name = STEPS[step]
    real: Callable[..., Any] = getattr(owner, name)
    left = [int(step.rsplit(maxsplit=1)[-1]) if step[-1].isdigit() else 1]

    def crashing(*args: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0]:
            return real(*args, **named)
        if step.startswith("after"):
            real(*args, **named)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crashing)
        with pytest.raises(Crash):
            rotate(node)
    made = node.keyring.next("wfp")
    between = [node.appender().record(pilot(audience=a)).fact for a in ("mesh", "private", CIRCLE, new_id())]
    assert faults(node) == {}
    done = rotate(node)
    assert made is None or done.keyid == made.keyid
    assert node.keyring.key("wfp").keyid == done.keyid
    assert node.keyring.next("wfp") is None
    assert {fact.header.keyid for fact in between} <= {done.before, done.keyid}
    after = [node.appender().record(pilot(audience=a)).fact for a in ("mesh", "private", CIRCLE, new_id())]
    assert {fact.header.keyid for fact in after} == {done.keyid}
    assert faults(node) == {}


def test_a_lost_signing_key_is_replaced_by_the_recovery_key(node: LedgerNode) -> None:
    appender = node.appender()
    appender.record(pilot())
    (node.keyring.folder / "wfp.key").unlink()
    with pytest.raises(Misdirected):
        appender.record(pilot())
    with pytest.raises(Misdirected):
        rotate(node)
    with pytest.raises(Forbidden):
        rotate(node, key_of("somebody's"))
    done = rotate(node, recovery_key(RECOVERY.secret().hex() + "\n"))
    assert sorted(done.places) == LEDGERS
    for audience in ("mesh", "private", CIRCLE, new_id()):
        assert appender.record(pilot(audience=audience)).fact.header.keyid == done.keyid
    assert faults(node) == {}


def test_what_is_no_recovery_key_is_refused() -> None:
    for text in ("", "zz", "ab" * 31):
        with pytest.raises(Conflict):
            recovery_key(text)


def test_a_ledger_whose_key_is_not_here_is_not_written_to(node: LedgerNode) -> None:
    rotate(node)
    (node.keyring.folder / "wfp.key").unlink()
    node.keyring.make("wfp")
    with pytest.raises(Conflict, match="not on this node"):
        node.appender().record(pilot())


def test_a_ledger_begun_under_the_old_key_in_the_last_moment_is_swept(node: LedgerNode) -> None:
    old = node.keyring.key("wfp")
    done = rotate(node)
    late = Chain(ledger=f"wfp.matching.{new_id()}", key=old, mesh=node.identity.mesh)
    node.store.insert([late.add({"agency": "wfp"}, kind="response")], [None], own=True)
    assert faults(node) != {}
    assert rekeying(node).sweep("wfp") == [late.ledger]
    assert rekeying(node).sweep("wfp") == []
    assert keys_in(node, late.ledger) == [old.keyid, old.keyid]
    assert faults(node) == {}
    assert done.keyid == node.keyring.key("wfp").keyid


def test_the_anchor_rotates_like_an_agency(node: LedgerNode) -> None:
    done = rekeying(node).rotate(ANCHOR)
    assert done.places == {"hub.mesh": "hub.mesh:1:2"}
    enter(node, *node.roster.members())
    newest = node.store.newest(ANCHOR, "mesh", "roster/mesh")
    assert newest is not None
    assert newest.header.keyid == done.keyid
    assert members_of(newest.state or {})[0].agency == "wfp"
    assert faults(node) == {}


def test_the_anchors_recovery_key_is_bound_once_and_replaces_a_lost_key(node: LedgerNode, tmp_path: Path) -> None:
    made = bind_anchor_recovery(node.store, node.identity, node.keyring, tmp_path / "recovery", OPERATOR)
    with pytest.raises(Conflict, match="once"):
        bind_anchor_recovery(node.store, node.identity, node.keyring, tmp_path / "another", OPERATOR)
    assert not (tmp_path / "another").exists()
    enter(node, *node.roster.members(), anchor_recovery=key_of("thief").public.hex())  # by whoever has the key
    assert node.roster.anchor_recovery() == made.public
    (node.keyring.folder / "hub.key").unlink()
    with pytest.raises(Forbidden):
        rekeying(node).rotate(ANCHOR, key_of("thief"))
    done = rekeying(node).rotate(ANCHOR, recovery_key((tmp_path / "recovery").read_text()))
    enter(node, *node.roster.members())
    newest = node.store.newest(ANCHOR, "mesh", "roster/mesh")
    assert newest is not None
    assert newest.header.keyid == done.keyid
    assert faults(node) == {}


def test_a_recovery_key_that_was_written_before_a_crash_is_taken_up(node: LedgerNode, tmp_path: Path) -> None:
    file = tmp_path / "recovery"
    file.write_text(key_of("made before").secret().hex())
    assert bind_anchor_recovery(node.store, node.identity, node.keyring, file, OPERATOR).public == (
        key_of("made before").public
    )
    assert node.roster.members()[0].agency == "wfp"


def test_replaced_keys_stay_as_secret_as_the_one_in_use(node: LedgerNode) -> None:
    rotate(node)
    files = sorted(node.keyring.folder.iterdir())
    assert sorted(path.suffix for path in files) == [".key", ".key", ".old"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)


def findings(node: LedgerNode) -> list[tuple[str, str]]:
    return [(one.state, one.said) for one in keys_are_in_force(node.settings, node.client)]


def test_the_doctor_tells_what_keys_wait_for(node: LedgerNode) -> None:
    assert findings(node) == []
    rotate(node)
    assert findings(node) == [("odd", "wfp has announced a new key, and the roster names the one before")]
    node.keyring.make_next("wfp")
    assert findings(node)[1:] == [("odd", "a rotation of wfp is not finished")]
    node.keyring.take_over("wfp")  # a key that nobody announced
    assert findings(node) == [("wrong", "wfp's key is not the one in the roster")]
    node.keyring.put_away("wfp")
    assert [(state, said[:32]) for state, said in findings(node)] == [("wrong", "wfp's signing key was revoked: n")]
