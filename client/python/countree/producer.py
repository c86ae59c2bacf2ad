"""Counts events: each once, whatever happens to connections and leaves."""

import asyncio
import random
import secrets
from collections import deque

from . import wire
from .cluster import Refused

BATCH_EVENTS = 1_000
BATCHES_UNDER_WAY = 8
RETRY_S = 0.2
RETRY_MAX_S = 5


class Rejected(Exception):
    """The event is not counted, and never will be."""


class InDoubt(Exception):
    """The event may be counted or not."""


class Producer:
    """Sends events to one leaf at a time. Use it with `async with`."""

    def __init__(self, cluster, patience=30):
        self._cluster, self._patience = cluster, patience
        # Events that are in no session, and the session's unanswered batches, from number `_first`.
        self._pending, self._batches, self._first = deque(), deque(), 1
        self._session, self._leaf, self._is_opened, self._is_cut = None, None, False, False
        self._news, self._task = asyncio.Queue(), None

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        waiting = [event[2] for event in self._pending]
        waiting += [event[2] for batch in self._batches for event in batch]
        if waiting:
            await asyncio.wait(waiting, timeout=self._patience)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for batch in [*self._batches, self._pending]:
            self._resolve(batch, InDoubt("the producer was closed before there was an answer"))

    async def send(self, topic, item, kind, delta=1):
        """Counts an event; returns its durability."""
        answer = asyncio.get_running_loop().create_future()
        for name, most in ((topic, 128), (item, 128), (kind, 32)):
            if not 1 <= len(name.encode()) <= most:
                raise Rejected(f"a name has {len(name.encode())} bytes; it takes 1 to {most}")
        if not 0 < abs(delta) < 1 << 53:
            raise Rejected("a delta is a whole number from -(2^53 - 1) to 2^53 - 1 other than 0")
        self._pending.append(((topic, item, kind), delta, answer))
        self._news.put_nowait(None)
        return await answer

    async def _run(self):
        failures = 0
        while True:
            try:
                node = self._choose()
                if node is None and self._batches:
                    await self._ask_others()
                elif node is not None:
                    async with self._cluster.converse(node, "Produce") as leaf:
                        failures = 0
                        await self._produce(leaf)
                    continue
            except (OSError, Refused, wire.Malformed):
                pass
            failures += 1
            await asyncio.sleep(min(RETRY_S * 2**failures, RETRY_MAX_S) * random.uniform(0.5, 1))
            try:
                await self._cluster.refresh()
            except (OSError, ValueError):
                pass

    def _choose(self):
        """Returns the session's leaf: batches in doubt go to no other. Without a session, any leaf."""
        leaves = self._cluster.nodes("leaf")
        if self._batches:
            return next((node for node in leaves if node["name"] == self._leaf), None)
        others = [node for node in leaves if node["name"] != self._leaf]
        node = random.choice(others or leaves) if leaves else None
        self._begin(node and node["name"])
        return node

    def _begin(self, leaf):
        self._session, self._leaf, self._first = secrets.randbits(128), leaf, 1
        self._is_opened, self._is_cut = False, False

    async def _produce(self, leaf):
        """Holds a conversation until the leaf leaves, or needs another session."""
        self._greet(leaf)
        self._sent, self._is_ready, self._is_draining, self._resume_at = 0, False, False, 0
        self._news.put_nowait(None)
        reading = asyncio.create_task(self._read(leaf))
        loop = asyncio.get_running_loop()
        try:
            while True:
                wait = self._resume_at - loop.time() if self._resume_at else None
                try:
                    message = await asyncio.wait_for(self._news.get(), wait and max(wait, 0.001))
                except asyncio.TimeoutError:
                    message, self._resume_at = None, 0
                    if not self._is_ready:
                        self._greet(leaf)
                if isinstance(message, Exception):
                    raise message
                if message is not None and self._is_over(message, leaf):
                    return
                if self._is_ready and not self._resume_at:
                    self._send_batches(leaf)
        finally:
            reading.cancel()
            self._news = asyncio.Queue()

    async def _read(self, leaf):
        news = self._news
        try:
            while True:
                news.put_nowait(await leaf.next(wire.FROM_LEAF))
        except (OSError, Refused, wire.Malformed) as e:
            news.put_nowait(e)

    def _greet(self, leaf):
        leaf.send(wire.TO_LEAF, {"Resume" if self._is_opened else "Open": self._session})

    def _send_batches(self, leaf):
        while self._sent < len(self._batches):
            self._write(leaf)
        while self._pending and len(self._batches) < BATCHES_UNDER_WAY:
            if self._is_cut or self._is_draining:
                return
            count = min(len(self._pending), BATCH_EVENTS)
            self._batches.append([self._pending.popleft() for _ in range(count)])
            self._write(leaf)

    def _write(self, leaf):
        events = [(counter, delta) for counter, delta, _ in self._batches[self._sent]]
        leaf.send_frame(wire.batch(self._first + self._sent, events))
        self._sent += 1

    def _is_over(self, message, leaf):
        """Handles a leaf's message; returns whether the conversation is over."""
        if message == "Draining":
            self._is_draining = True
            return False
        (name, said), = message.items()
        if name == "View":
            self._cluster.learn(said)
        elif name == "Opened" and said["session"] == self._session:
            self._ack(said["last"])
            self._is_opened, self._is_ready, self._sent = True, True, 0
        elif name == "Expired" and said == self._session:
            while self._batches:
                self._resolve(self._batches.popleft(), InDoubt("the leaf has forgotten the session"))
            return True
        elif name == "Ended" and said["session"] == self._session:
            self._ended(said["last"])
            return True
        elif name == "Ack" and self._is_ready:
            self._ack(said["seq"])
        elif name == "Refused" and self._is_ready:
            self._cut(said["seq"], said["error"]["message"])
        elif name == "Busy":
            self._resume_at = asyncio.get_running_loop().time() + max(said["retry_after_ms"], 1) / 1_000
            if self._is_ready:
                self._sent = min(self._sent, max(said["seq"] - self._first, 0))
        return self._is_cut and not self._batches

    def _ack(self, seq):
        while self._batches and self._first <= seq:
            self._resolve(self._batches.popleft(), "disk")
            self._first += 1
            self._sent = max(self._sent - 1, 0)

    def _cut(self, seq, why):
        """Handles a bad batch `seq`. Those after it were not counted, and need another session."""
        at = seq - self._first
        if not 0 <= at < len(self._batches):
            return
        batches = list(self._batches)
        self._resolve(batches[at], Rejected(why))
        self._take_back(batches[at + 1 :])
        self._batches = deque(batches[:at])
        self._sent, self._is_cut = min(self._sent, at), True

    def _ended(self, last):
        """Ends the session: batches that were not counted are treated as never sent."""
        self._ack(last)
        self._take_back(self._batches)
        self._batches.clear()

    def _take_back(self, batches):
        events = [event for batch in batches for event in batch]
        self._pending.extendleft(reversed(events))

    async def _ask_others(self):
        """Asks other leaves for the session's end, by the table that the session's leaf published."""
        for node in self._cluster.nodes("leaf"):
            async with self._cluster.converse(node, "Produce") as leaf:
                leaf.send(wire.TO_LEAF, {"FindSessionEnd": {"leaf": self._leaf, "session": self._session}})
                while True:
                    message = await leaf.next(wire.FROM_LEAF)
                    if "SessionEnd" in message:
                        break
            if message["SessionEnd"]["last"] is not None:
                return self._ended(message["SessionEnd"]["last"])

    @staticmethod
    def _resolve(batch, answer):
        for _, _, waiting in batch:
            if waiting.done():
                continue
            if isinstance(answer, Exception):
                waiting.set_exception(answer)
            else:
                waiting.set_result(answer)
