"""Wherever a move is cut off: at most one node writes in the agency's name, what was acknowledged is there, and the
same command goes on."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pymongo.errors import BulkWriteError

from deploy.cli.checks.keys import keys_are_in_force
from deploy.node.taking_over import TakenOver
from services.mesh.heads import signed_heads
from shared.facts.keys import SigningKey
from shared.ledger.carrying import NotCarried, opened
from shared.ledger.cutting import Forks
from shared.ledger.verification import verify_node
from shared.ledger.witness import Witness, foreign_heads
from shared.problems import Conflict, Forbidden
from shared.settings import Settings
from tests.node.moving_nodes import Crash, MovingMesh, crashing
from tests.unit.facts.chains import Chain

MOST_STEPS = 80


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str) -> Iterator[MovingMesh]:
    made = MovingMesh(tmp_path_factory.mktemp("moving"), mongodb_uri, Settings(), "a", "b", "c")
    try:
        yield made
    finally:
        made.close()


def until_done(mesh: MovingMesh, action: Callable[[], object], after_each: Callable[[], None]) -> int:
    """Cuts `action` off at its first step, then at its second, and so on until it is done; how often it was cut off."""
    for at in range(1, MOST_STEPS):
        try:
            with crashing(mesh, at):
                action()
        except Crash:
            after_each()
        else:
            return at - 1
    raise AssertionError(f"not done within {MOST_STEPS} steps")


def test_a_move_cut_off_at_every_step_never_has_two_writers_and_loses_nothing(mesh: MovingMesh) -> None:
    mesh.joins("wfp", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    written = [a.writes("wfp")]
    files: list[bytes] = []
    turns: list[str] = []

    def at_most_one() -> None:
        writers = mesh.writers("wfp")
        assert len(writers) <= 1, f"two writers: {sorted(writers)}"
        written.extend(writers.values())
        turns.extend(writers)

    assert until_done(mesh, lambda: files.append(a.exports("wfp")), at_most_one) > 5
    assert mesh.writers("wfp") == {}, "from the moment the file exists nobody writes"
    assert until_done(mesh, lambda: b.imports(files[0]), at_most_one) > 5
    at_most_one()
    mesh.tell()
    at_most_one()
    assert sorted(turns, key="ab".index) == turns, "first the one, then the other"
    assert turns[-1] == "b"
    assert set(b.chain("wfp")) >= {fact.hash for fact in written if fact is not None}
    assert [one.fault for one in verify_node(b.ledgers.store, b.ledgers.identity) if one.fault] == []


def test_taking_an_export_back_cut_off_at_every_step_ends_the_same_way(mesh: MovingMesh) -> None:
    mesh.joins("fao", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    file = a.exports("fao")

    def at_most_one() -> None:
        assert set(mesh.writers("fao")) <= {"a"}

    until_done(mesh, lambda: a.takes_back("fao"), at_most_one)
    with pytest.raises(Conflict, match="imported from this very file before"):
        b.imports(file)
    assert set(mesh.writers("fao")) == {"a"}
    second = a.exports("fao")
    b.imports(second)
    with pytest.raises(Forbidden):
        mesh.nodes["c"].imports(file)
    assert set(mesh.writers("fao")) == {"b"}


def test_a_file_is_good_for_the_first_node_that_imports_it(mesh: MovingMesh) -> None:
    mesh.joins("who", "a")
    file = mesh.nodes["a"].exports("who")
    mesh.nodes["b"].imports(file)
    with pytest.raises(Conflict, match="imported from this very file before, by the node b"):
        mesh.nodes["c"].imports(file)
    assert not mesh.nodes["c"].ledgers.keyring.hosts("who")
    with pytest.raises(Conflict, match="imported from this very file before"):
        mesh.nodes["a"].takes_back("who")
    assert set(mesh.writers("who")) == {"b"}


def test_what_the_new_node_keeps_private_is_missed_by_nobody(mesh: MovingMesh) -> None:
    mesh.joins("iom", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    assert a.writes("iom", audience="private") is not None
    b.imports(a.exports("iom"))
    mesh.tell()
    assert b.writes("iom", audience="private") is not None
    later = datetime.now(UTC) + timedelta(minutes=2)
    for node in (a, mesh.nodes["c"]):
        node.hears_heads(b, "iom")
        missed = foreign_heads(node.ledgers.store).missing(node.ledgers.store, later)
        assert not [one for one in missed if "private" in one]


def test_the_doctor_tells_of_an_agency_that_was_exported_and_how_it_is_taken_back(mesh: MovingMesh) -> None:
    mesh.joins("wmo", "a")
    a = mesh.nodes["a"]
    a.exports("wmo")

    def said() -> list[str]:
        found = keys_are_in_force(a.ground.settings, a.ledgers.client)
        return [f"{one.said} {one.remedy}" for one in found if one.subject == "moving" and "wmo" in one.said]

    (told,) = said()
    assert "wmo was exported from this node" in told
    assert "export-agency wmo --undo" in told
    a.takes_back("wmo")
    assert said() == []


def test_whoever_signed_in_the_last_moment_loses_the_place(mesh: MovingMesh) -> None:
    """A process that was paused between signing and storing finds the ledger ended."""
    mesh.joins("ilo", "a")
    node = mesh.nodes["a"].ledgers
    mesh.nodes["a"].writes("ilo")
    chain = Chain(
        ledger="ilo.registry",
        key=node.keyring.key("ilo"),
        mesh=node.identity.mesh,
        head=node.store.head("ilo.registry"),
    )
    late = chain.add()
    mesh.nodes["a"].exports("ilo")
    with pytest.raises(BulkWriteError):
        node.store.insert([late], [None], own=True)


def test_a_node_put_back_to_the_day_before_the_export_writes_nothing(mesh: MovingMesh, tmp_path: Path) -> None:
    mesh.joins("undp", "a")
    a, keys = mesh.nodes["a"], mesh.nodes["a"].ledgers.settings.home / "keys"
    a.writes("undp")
    shutil.copytree(keys, tmp_path / "yesterday")
    mesh.nodes["b"].imports(a.exports("undp"))
    mesh.tell()
    shutil.rmtree(keys)
    shutil.copytree(tmp_path / "yesterday", keys)
    a.homes._asked_at = None  # it has just started
    a.homes.before_the_first_command()
    assert set(mesh.writers("undp")) == {"b"}
    assert a.ledgers.keyring.gone_to("undp") == {"node": "http://b"}


def test_without_the_anchors_key_the_hub_asks_to_come_again(mesh: MovingMesh, tmp_path: Path) -> None:
    mesh.joins("unesco", "a")
    file = mesh.nodes["a"].exports("unesco")
    key = mesh.hub.ledgers.settings.home / "keys" / "hub.key"
    kept = key.rename(tmp_path / "hub.key")
    try:
        with pytest.raises(Conflict, match="put-back"):
            mesh.nodes["b"].imports(file)
        assert mesh.writers("unesco") == {}
    finally:
        kept.rename(key)
    mesh.nodes["b"].imports(file)
    assert set(mesh.writers("unesco")) == {"b"}


def test_a_damaged_file_or_a_wrong_passphrase_imports_nothing(mesh: MovingMesh) -> None:
    mesh.joins("itu", "a")
    file = mesh.nodes["a"].exports("itu")
    for damaged in (
        file[:-1],
        file[:-200] + bytes([file[-200] ^ 1]) + file[-199:],
        file.replace(b'"itu"', b'"iom"', 1),
    ):
        with pytest.raises(NotCarried, match="wrong, or the file was altered"):
            opened(damaged, "correct horse battery staple")
    with pytest.raises(NotCarried, match="no file"):
        opened(b"{}", "any")
    assert mesh.home_of("itu") == "a"


@pytest.mark.parametrize("seed", range(3))
def test_however_an_agency_wanders_and_is_cut_off_its_ledger_is_one(mesh: MovingMesh, seed: int) -> None:
    """Random exports, imports of whatever file lies around, attempts to take back, crashes and late news."""
    agency, dice = f"wander-{seed}", random.Random(seed)
    mesh.joins(agency, "a")
    acknowledged: list[str] = []
    files: list[bytes] = []
    for _ in range(25):
        node = mesh.nodes[dice.choice("abc")]
        crash_at = dice.choice([None, None, dice.randint(1, 12)])
        try:
            with crashing(mesh, crash_at):
                match dice.choice(["export", "import", "import", "back"]):
                    case "export":
                        files.append(node.exports(agency))
                    case "import" if files:
                        node.imports(dice.choice(files[-3:]))
                    case "back":
                        node.takes_back(agency)
        except (Crash, Exception):
            pass
        if dice.random() < 0.5:
            mesh.nodes[dice.choice("abc")].hears_the_roster()
        writers = mesh.writers(agency)
        assert len(writers) <= 1, f"two writers: {sorted(writers)}"
        acknowledged += [fact.hash for fact in writers.values()]
    home = _settled(mesh, agency)
    chain = mesh.nodes[home].chain(agency)
    assert acknowledged
    assert set(acknowledged) <= set(chain), "nothing acknowledged was lost"


def _settled(mesh: MovingMesh, agency: str) -> str:
    """Whatever was left unfinished has a way forward: the agency writes again, at the node that is answered."""
    mesh.tell()
    writers = mesh.writers(agency)
    if writers:
        return next(iter(writers))
    for domain, node in mesh.nodes.items():
        if node.ledgers.keyring.left(agency) is not None:
            node.imports(node.exports(agency))
            return domain
    raise AssertionError("nobody has the agency")


def test_what_a_restored_node_wrote_in_ignorance_is_given_up_and_freezes_nothing(
    mesh: MovingMesh, tmp_path: Path
) -> None:
    """Its hub was out of reach when it was put back to the day before; it hears of the move after it has written."""
    mesh.joins("unep", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    a.writes("unep")
    shutil.copytree(a.ledgers.settings.home / "keys", tmp_path / "yesterday")
    for _ in range(2):
        a.writes("unep")
    b.imports(a.exports("unep"))
    after = b.writes("unep")
    assert after is not None
    a.is_put_back("unep", 1, tmp_path / "yesterday")
    strays = [a.writes("unep") for _ in range(2)]
    assert all(strays), "it knows no better"
    witness = Witness(tmp_path)
    witness.remember(signed_heads(a.ledgers.store, a.ledgers.keyring, a.ledgers.identity.mesh, ["unep.registry"]))

    mesh.tell()
    assert a.writes("unep") is None
    taken = a.takes_in(b.ledgers.store.after("unep.registry", (1, 0)))
    assert taken.accepted
    assert a.chain("unep") == b.chain("unep")
    assert a.chain("unep")[-1] == after.hash
    assert Forks(a.ledgers.store).pairs() == []
    shutil.copy(a.ledgers.settings.home / "mesh.json", tmp_path / "mesh.json")
    assert witness.missing_heads(a.ledgers.store) == []
    assert [one.fault for one in verify_node(a.ledgers.store, a.ledgers.identity) if one.fault] == []


def test_an_agency_whose_node_is_lost_is_taken_over_with_what_others_hold(mesh: MovingMesh) -> None:
    recovery = mesh.joins("unicef", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    shared = [a.writes("unicef") for _ in range(3)]
    mesh.shares("unicef", "a")
    hidden = a.writes("unicef", audience="private")
    assert hidden is not None
    b.hears_heads(a, "unicef")
    never_seen = a.writes("unicef")  # the link was down by then
    assert never_seen is not None

    with pytest.raises(Forbidden, match="another recovery key"):
        b.takes_over("unicef", SigningKey.make())
    done: list[TakenOver] = []
    until_done(mesh, lambda: done.append(b.takes_over("unicef", recovery)), lambda: None)
    assert done[0].gone == ["unicef.registry.private: 1 private facts are gone; it had 1:1"]
    assert mesh.home_of("unicef") == "b"
    mine = b.writes("unicef")
    assert mine is not None
    assert {fact.hash for fact in shared if fact is not None} < set(b.chain("unicef"))
    assert never_seen.hash not in b.chain("unicef")

    # The lost node comes back after all.
    mesh.tell()
    assert a.writes("unicef") is None
    a.takes_in(b.ledgers.store.after("unicef.registry", (1, 0)))
    assert a.chain("unicef") == b.chain("unicef")
    for node in (a, b):
        assert [one.fault for one in verify_node(node.ledgers.store, node.ledgers.identity) if one.fault] == []


def test_private_facts_of_a_lost_node_come_from_its_backup(mesh: MovingMesh) -> None:
    recovery = mesh.joins("unfpa", "a")
    a, c = mesh.nodes["a"], mesh.nodes["c"]
    a.writes("unfpa")
    mesh.shares("unfpa", "a")
    hidden = a.writes("unfpa", audience="private")
    assert hidden is not None
    c.hears_heads(a, "unfpa")
    done = c.takes_over("unfpa", recovery, backup=a)
    assert (done.restored, done.gone) == (1, [])
    assert c.ledgers.store.by_hash(hidden.hash) == hidden
    following = c.writes("unfpa", audience="private")
    assert following is not None
    assert following.header.sequence == 3, "after what was restored, and the change of key"
