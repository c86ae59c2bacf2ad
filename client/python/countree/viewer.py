"""Watches topics: the newest totals, never going back."""

import asyncio
import random

from . import wire
from .cluster import Refused

RETRY_S = 0.2
RETRY_MAX_S = 5


class _Topic:
    """The held totals of a topic, and those of them that were not handed out."""

    def __init__(self):
        self.version, self.complete_to, self.cells = None, 0, {}
        self.unseen, self.is_fresh = set(), False

    def apply(self, version, totals):
        self.version = max(self.version, version)
        for total in totals:
            key = total["item"], total["kind"]
            if key not in self.cells or self.cells[key][0] < version:
                if key not in self.cells or self.cells[key][1] != total["total"]:
                    self.unseen.add(key)
                self.cells[key] = version, total["total"]

    def snapshot(self, version, totals):
        if self.version is None or self.version[0] != version[0]:
            # Another era replaces everything.
            self.version, self.cells, self.unseen, self.is_fresh = version, {}, set(), True
        self.apply(version, totals)

    def hand_out(self, name):
        counts = {}
        for item, kind in sorted(self.cells if self.is_fresh else self.unseen):
            counts.setdefault(item, {})[kind] = self.cells[item, kind][1]
        view = {
            "topic": name,
            "era": self.version[0],
            "version": self.version[1],
            "complete_to": self.complete_to,
            "snapshot": self.is_fresh,
            "counts": counts,
        }
        self.unseen, self.is_fresh = set(), False
        return view


async def watch(cluster, topics):
    """Yields each topic's totals, and then those that change, until it is closed."""
    held = {topic: _Topic() for topic in topics}
    changed = asyncio.Event()
    following = asyncio.create_task(_follow(cluster, held, changed))
    try:
        while True:
            await changed.wait()
            changed.clear()
            for name, topic in held.items():
                if topic.unseen or topic.is_fresh:
                    yield topic.hand_out(name)
    finally:
        following.cancel()


async def _follow(cluster, held, changed):
    failures, last = 0, None
    while True:
        nodes = cluster.nodes("broadcast")
        node = random.choice([n for n in nodes if n["name"] != last] or nodes or [None])
        wait = 0
        if node is not None:
            last = node["name"]
            try:
                async with cluster.converse(node, "Watch") as conversation:
                    failures = 0
                    wait = await _hear(conversation, held, changed)
            except (OSError, Refused, wire.Malformed):
                pass
        failures += 1
        await asyncio.sleep(wait + min(RETRY_S * 2**failures, RETRY_MAX_S) * random.uniform(0.5, 1))
        try:
            await cluster.refresh()
        except (OSError, ValueError):
            pass


async def _hear(conversation, held, changed):
    """Handles a node's messages until it asks the viewer to move; returns the wait before that."""
    known = [
        (name, {"era": topic.version[0], "number": topic.version[1]} if topic.version else {"era": 0, "number": 0})
        for name, topic in held.items()
    ]
    if any(topic.version for topic in held.values()):
        conversation.send(wire.TO_BROADCAST, {"Resume": known})
    else:
        conversation.send(wire.TO_BROADCAST, {"Subscribe": list(held)})
    handles, pieces = {}, {}

    def take(changes, is_on_stream):
        topic = held.get(handles.get(changes["handle"]))
        version = changes["version"]["era"], changes["version"]["number"]
        if topic is None or topic.version is None or topic.version[0] != version[0]:
            return
        if is_on_stream:
            topic.complete_to = changes["complete_to"]
        topic.apply(version, changes["totals"])
        changed.set()

    async def datagrams():
        while True:
            try:
                for changes in wire.datagram(await conversation.datagrams.get()):
                    take(changes, False)
            except (wire.Malformed, UnicodeDecodeError):
                continue

    hearing = asyncio.create_task(datagrams())
    try:
        while True:
            (name, said), = (await conversation.next(wire.FROM_BROADCAST)).items()
            if name == "Subscribed":
                handles[said["handle"]] = said["topic"]
            elif name == "Changes":
                take(said, True)
            elif name == "Snapshot" and said["topic"] in held:
                totals = pieces.setdefault(said["topic"], [])
                totals.extend(said["totals"])
                if said["last"]:
                    version = said["version"]["era"], said["version"]["number"]
                    held[said["topic"]].snapshot(version, pieces.pop(said["topic"]))
                    changed.set()
            elif name == "Move":
                return random.uniform(0, min(said["within_ms"], 30_000)) / 1_000
    finally:
        hearing.cancel()
