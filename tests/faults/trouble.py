"""The faults of a mesh, one after the other: what is broken, and what ends it. Officers are at work at every node."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.faulty_node import FaultyNode
from tests.faults.mesh import FaultyMember, FaultyMesh, copy_disk, put_back_disk, side_by_side, wipe
from tests.faults.steps import STEPS, TAKING_IN, Step
from tests.service.running import until

AT_WORK = 2
"""Commands of every officer that are acknowledged while a fault lasts, and after it."""


@dataclass(frozen=True)
class Fault:
    """A fault, and its end: when `happen` returns, everything runs and is linked again."""

    name: str
    happen: Callable[[FaultyMesh, random.Random], None]


def servers(name: str) -> list[Fault]:
    """`database` or `nats-server` is killed, of the hub and of some member."""

    def of_hub(mesh: FaultyMesh, _: random.Random) -> None:
        mesh.hub.kill_server(name)

    def of_member(mesh: FaultyMesh, chance: random.Random) -> None:
        some(mesh, chance).kill_server(name)

    return [Fault(f"{name} of the hub killed", of_hub), Fault(f"{name} of a member killed", of_member)]


def kill_hub(mesh: FaultyMesh, _: random.Random) -> None:
    mesh.hub.kill()
    mesh.wait_for_more(AT_WORK)
    mesh.hub.start()


def kill_member(mesh: FaultyMesh, chance: random.Random) -> None:
    member = some(mesh, chance)
    member.kill()
    for other in mesh.members.values():
        if other is not member:
            other.office.wait_for_more(AT_WORK)
    member.start()


def kill_all(mesh: FaultyMesh, _: random.Random) -> None:
    for node in mesh.nodes:
        node.kill()
    side_by_side(node.start for node in mesh.nodes)


def crash(where: Callable[[FaultyMesh, random.Random], FaultyNode], step: Step) -> Fault:
    """The node is killed, started, dies of itself at this step, and is started again."""

    def happen(mesh: FaultyMesh, chance: random.Random) -> None:
        node = where(mesh, chance)
        node.kill()
        node.begin(step, chance.randint(1, step.most))
        node.wait_for_crash(step)
        node.start()

    return Fault(f"crash of {where.__name__.replace('_', ' ')}: {step.name}", happen)


def the_hub(mesh: FaultyMesh, _: random.Random) -> FaultyNode:
    return mesh.hub


def a_member(mesh: FaultyMesh, chance: random.Random) -> FaultyNode:
    return some(mesh, chance)


def cut(mesh: FaultyMesh, chance: random.Random) -> None:
    wire = some(mesh, chance).wire
    wire.cut()
    mesh.wait_for_more(AT_WORK)
    wire.heal()


def cut_all(mesh: FaultyMesh, _: random.Random) -> None:
    for member in mesh.members.values():
        member.wire.cut()
    mesh.wait_for_more(AT_WORK)
    for member in mesh.members.values():
        member.wire.heal()


def stall(mesh: FaultyMesh, chance: random.Random) -> None:
    wire = some(mesh, chance).wire
    wire.stall()
    mesh.wait_for_more(AT_WORK)
    wire.heal()


def stall_one_way(mesh: FaultyMesh, chance: random.Random) -> None:
    wire = some(mesh, chance).wire
    outward = chance.random() < 0.5
    wire.stall(outward=outward, inward=not outward)
    mesh.wait_for_more(AT_WORK)
    wire.cut()
    wire.heal()


def slow_down(mesh: FaultyMesh, chance: random.Random) -> None:
    wire = some(mesh, chance).wire
    wire.slow_down(0.2)
    mesh.wait_for_more(AT_WORK)
    wire.heal()


def break_near_end(mesh: FaultyMesh, chance: random.Random) -> None:
    some(mesh, chance).wire.break_near_ends()
    mesh.wait_for_more(AT_WORK)


def wipe_stream(stream: str, *, of_hub: bool = False) -> Fault:
    def happen(mesh: FaultyMesh, chance: random.Random) -> None:
        node = mesh.hub if of_hub else some(mesh, chance)
        wipe(node, stream)
        mesh.wiped.add(node)

    return Fault(f"stream {stream} of {'the hub' if of_hub else 'a member'} emptied", happen)


class Disks:
    """Copies of disks, made early, put back late."""

    def __init__(self) -> None:
        self._member: FaultyMember | None = None
        self._counts: list[int] = []
        self._kept: dict[str, Path] = {}

    def copy(self, mesh: FaultyMesh, chance: random.Random) -> None:
        self._member = some(mesh, chance)
        self._kept = {"hub": copy_disk(mesh.hub), "member": copy_disk(self._member)}
        self._counts = [len(officer.acknowledged) for officer in self._member.office.officers]

    def put_back_hub(self, mesh: FaultyMesh, _: random.Random) -> None:
        put_back_disk(mesh.hub, self._kept["hub"])

    def put_back_member(self, mesh: FaultyMesh, _: random.Random) -> None:
        """What was acknowledged a moment before, and is in no stream yet, is with nobody else: so the officers stop,
        and what they did is published. Which commands did it, by their keys, only the disk knew."""
        member = self._member
        assert member is not None
        member.office.finish()
        until(lambda: mesh.hub_has_all_of(member), "everything is published, and with the hub", 300)
        for officer, count in zip(member.office.officers, self._counts, strict=True):
            known = {id(one) for one in officer.acknowledged[:count]}
            officer.repeatable = [one for one in officer.repeatable if id(one) in known]
        put_back_disk(member, self._kept["member"])
        member.office.resume()


def some(mesh: FaultyMesh, chance: random.Random) -> FaultyMember:
    return chance.choice(list(mesh.members.values()))


def step(name: str) -> Step:
    return next(one for one in (*STEPS, *TAKING_IN) if one.name == name)


SHORT = (
    Fault("link stalled", stall),
    Fault("nats-server of the hub killed", lambda mesh, _: mesh.hub.kill_server("nats-server")),
    Fault("member killed", kill_member),
    Fault("link cut", cut),
)


def long() -> list[Fault]:
    """Every kind, in an order in which copies of disks grow old before they are put back."""
    disks = Disks()
    return [
        Fault("disks copied, hub and member restarted", disks.copy),
        *servers("nats-server"),
        *servers("database"),
        Fault("hub killed", kill_hub),
        Fault("member killed", kill_member),
        Fault("link cut", cut),
        Fault("link stalled", stall),
        Fault("link stalled one way, then cut", stall_one_way),
        Fault("link slow", slow_down),
        Fault("link broken at one end alone", break_near_end),
        *(crash(the_hub, one) for one in TAKING_IN),
        *(crash(a_member, one) for one in TAKING_IN[1:3]),
        crash(the_hub, step("published, position not kept")),
        crash(a_member, step("half of a batch inserted")),
        crash(a_member, step("published, position not kept")),
        crash(a_member, step("touched, cursor not moved")),
        wipe_stream("FACTS"),
        wipe_stream("VERIFIED", of_hub=True),
        wipe_stream("VERIFIED"),
        Fault("disk of the hub put back", disks.put_back_hub),
        Fault("disk of a member put back", disks.put_back_member),
        Fault("all links cut", cut_all),
        Fault("all nodes killed", kill_all),
    ]
