"""A cluster's nodes, and conversations with them."""

import asyncio
import contextlib
import json
import struct
import urllib.request

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import DatagramFrameReceived

from . import wire

PING_S = 4
IDLE_S = 15
ASK_S = 10


class Refused(Exception):
    """The node has ended the conversation, for this reason."""


class Cluster:
    """A cluster: its name, its CA and its nodes."""

    def __init__(self, url, token):
        self.url, self.token = url if "://" in url else f"http://{url}", token
        self.name, self.ca, self.view = None, None, {"epoch": -1, "nodes": []}

    @classmethod
    async def discover(cls, url, token=None):
        """Asks any node of a cluster with HTTP, `http://host:port` or `host:port`."""
        cluster = cls(url, token)
        await cluster.refresh()
        return cluster

    async def refresh(self):
        """Asks for the nodes again."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(f"{self.url}/v1/cluster", headers=headers)

        def ask():
            with urllib.request.urlopen(request, timeout=ASK_S) as answer:
                return json.load(answer)

        info = await asyncio.to_thread(ask)
        self.name, self.ca = info["cluster"], info["ca"]
        self.learn(info)

    def learn(self, view):
        """Takes over a view of the cluster, if it is newer."""
        if view["epoch"] >= self.view["epoch"]:
            self.view = {"epoch": view["epoch"], "nodes": view["nodes"]}

    def nodes(self, tier):
        return [node for node in self.view["nodes"] if node["tier"] == tier]

    @contextlib.asynccontextmanager
    async def converse(self, node, conversation):
        """A conversation with a node."""
        host, port = node["quic"].rsplit(":", 1)
        settings = QuicConfiguration(
            is_client=True,
            alpn_protocols=["countree/1"],
            server_name=node["name"],
            max_datagram_frame_size=65_535,
            idle_timeout=IDLE_S,
        )
        settings.load_verify_locations(cadata=self.ca.encode())
        async with connect(
            host.strip("[]"), int(port), configuration=settings, create_protocol=_Connection
        ) as connection:
            reader, writer = await connection.create_stream()
            pings = asyncio.create_task(connection.pinging())
            hello = {
                "protocol": 1,
                "cluster": self.name,
                "conversation": conversation,
                "node": None,
                "token": self.token,
            }
            writer.write(wire.frame(wire.HELLO, wire.encode(wire.HELLO_BODY, hello)))
            try:
                yield Conversation(reader, writer, connection.datagrams)
            finally:
                pings.cancel()


class _Connection(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.datagrams = asyncio.Queue(maxsize=64)

    def quic_event_received(self, event):
        if isinstance(event, DatagramFrameReceived) and not self.datagrams.full():
            self.datagrams.put_nowait(event.data)
        super().quic_event_received(event)

    async def pinging(self):
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(PING_S)
                await self.ping()


class Conversation:
    """Frames on a stream, and the datagrams beside it."""

    def __init__(self, reader, writer, datagrams):
        self._reader, self._writer, self.datagrams = reader, writer, datagrams

    def send(self, form, message):
        self._writer.write(wire.frame(wire.MESSAGE, wire.encode(form, message)))

    def send_frame(self, frame):
        self._writer.write(frame)

    async def next(self, form):
        """The next message; raises ConnectionError when the stream is over."""
        try:
            length, kind = struct.unpack("<IB", await self._reader.readexactly(5))
            if not 0 < length <= wire.FRAME_BYTES + 1:
                raise wire.Malformed(f"a frame claims {length} bytes")
            body = await self._reader.readexactly(length - 1)
        except asyncio.IncompleteReadError as e:
            raise ConnectionError("the conversation has ended") from e
        if kind == wire.REFUSAL:
            refusal = wire.decode(wire.REFUSAL_BODY, body)
            raise Refused(f"{refusal['code']}: {refusal['message']}")
        if kind != wire.MESSAGE:
            raise wire.Malformed(f"a frame of kind {kind} where a message belongs")
        return wire.decode(form, body)
