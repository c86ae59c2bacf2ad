"""Messages and their bytes, as docs/protocol.md describes them.

A message is what JSON would make of it: an enum's variant is its name, or {name: fields}.
"""

import ipaddress
import struct

HELLO, MESSAGE, BATCH, REFUSAL = 1, 2, 3, 4
FRAME_BYTES = 1 << 20


class Malformed(Exception):
    """Bytes that are not the expected message."""


def option(of):
    return ("option", of)


def list_of(of):
    return ("list", of)


def tuple_of(*parts):
    return ("tuple", parts)


def struct_of(**fields):
    return ("struct", fields)


def enum(**variants):
    return ("enum", list(variants.items()))


SESSION = "u128"
VERSION = struct_of(era="u64", number="u64")
TOTALS = list_of(struct_of(item="string", kind="string", total="i64"))
CHANGES = struct_of(handle="u32", version=VERSION, complete_to="u64", totals=TOTALS)
SNAPSHOT_PART = struct_of(topic="string", version=VERSION, totals=TOTALS, last="bool")
TIER = enum(leaf=None, root=None, broadcast=None)
NODE = struct_of(name="string", tier=TIER, quic="address", http=option("address"), incarnation="u64")
SPLIT = struct_of(topic="string", item="string", ways="u16")
PAST_OWNERS = struct_of(until="u64", owners=list_of("string"))
KEY_HISTORY = struct_of(
    owners=list_of("string"),
    past=list_of(PAST_OWNERS),
    lost=list_of(tuple_of("string", "u64")),
    whole_from="u64",
)
CLUSTER_VIEW = struct_of(epoch="u64", nodes=list_of(NODE), splits=list_of(SPLIT), keys=KEY_HISTORY)

CONVERSATION = enum(Produce=None, Watch=None, Uplink=None, Publish=None, Rpc=None)
HELLO_BODY = struct_of(
    protocol="u16", cluster="string", conversation=CONVERSATION, node=option("string"), token=option("string")
)
REFUSAL_CODE = enum(
    Protocol=None, Malformed=None, WrongCluster=None, Unauthorized=None, WrongTier=None, Unavailable=None
)
REFUSAL_BODY = struct_of(code=REFUSAL_CODE, message="string")

BUSY_REASON = enum(Overload=None, DiskFull=None, DiskFailed=None, TableFull=None, Joining=None, UnderWay=None)
EVENT_ERROR_CODE = enum(
    malformed=None, bad_name=None, bad_delta=None, total_overflow=None, too_large=None, key_reused=None
)
EVENT_ERROR = struct_of(code=EVENT_ERROR_CODE, message="string", index=option("u32"))
TO_LEAF = enum(Open=SESSION, Resume=SESSION, FindSessionEnd=struct_of(leaf="string", session=SESSION))
FROM_LEAF = enum(
    Opened=struct_of(session=SESSION, last="u64"),
    Expired=SESSION,
    Ended=struct_of(session=SESSION, last="u64"),
    SessionEnd=struct_of(session=SESSION, last=option("u64")),
    Ack=struct_of(seq="u64", durability=enum(disk=None)),
    Refused=struct_of(seq="u64", error=EVENT_ERROR),
    Busy=struct_of(seq="u64", reason=BUSY_REASON, retry_after_ms="u32"),
    Draining=None,
    View=CLUSTER_VIEW,
)
TO_BROADCAST = enum(
    Subscribe=list_of("string"),
    Unsubscribe=list_of("string"),
    Resume=list_of(tuple_of("string", VERSION)),
    Away=None,
)
FROM_BROADCAST = enum(
    Subscribed=struct_of(topic="string", handle="u32"),
    Snapshot=SNAPSHOT_PART,
    Changes=CHANGES,
    Move=struct_of(reason="string", alternates=list_of(tuple_of("string", "address")), within_ms="u32"),
    Away=list_of("string"),
)

INTEGERS = {"u16": 16, "u32": 32, "u64": 64, "u128": 128}
WIDTHS = {251: 2, 252: 4, 253: 8, 254: 16}


def encode(form, value):
    """Encodes a message."""
    if isinstance(form, str) and form in INTEGERS:
        if value <= 250:
            return bytes([value])
        mark = next(mark for mark, width in WIDTHS.items() if value < 1 << 8 * width)
        return bytes([mark]) + value.to_bytes(WIDTHS[mark], "little")
    if form == "i64":
        return encode("u64", value * 2 if value >= 0 else -value * 2 - 1)
    if form == "bool":
        return bytes([value])
    if form == "string":
        text = value.encode()
        return encode("u64", len(text)) + text
    if form == "address":
        host, port = value.rsplit(":", 1)
        address = ipaddress.ip_address(host.strip("[]"))
        return bytes([address.version == 6]) + address.packed + encode("u16", int(port))
    kind, of = form
    if kind == "option":
        return b"\0" if value is None else b"\1" + encode(of, value)
    if kind == "list":
        return encode("u64", len(value)) + b"".join(encode(of, element) for element in value)
    if kind == "tuple":
        return b"".join(encode(part, element) for part, element in zip(of, value))
    if kind == "struct":
        return b"".join(encode(part, value[name]) for name, part in of.items())
    name, fields = (value, None) if isinstance(value, str) else next(iter(value.items()))
    number = [variant for variant, _ in of].index(name)
    part = of[number][1]
    return encode("u32", number) + (b"" if part is None else encode(part, fields))


class Reader:
    """Takes values off the front of some bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, length):
        piece = self.data[self.at : self.at + length]
        if len(piece) < length:
            raise Malformed("the message is cut off")
        self.at += length
        return piece

    def take(self, form):
        if isinstance(form, str) and form in INTEGERS:
            first = self.bytes(1)[0]
            if first <= 250:
                return first
            if first not in WIDTHS or WIDTHS[first] * 8 > INTEGERS[form]:
                raise Malformed("a number is wider than it may be")
            return int.from_bytes(self.bytes(WIDTHS[first]), "little")
        if form == "i64":
            number = self.take("u64")
            return number >> 1 if number % 2 == 0 else -(number >> 1) - 1
        if form == "bool":
            return self.bytes(1) != b"\0"
        if form == "string":
            return self.bytes(self.take("u64")).decode()
        if form == "address":
            is_6 = self.take("u32")
            host = ipaddress.ip_address(bytes(self.bytes(16 if is_6 else 4)))
            return f"[{host}]:{self.take('u16')}" if is_6 else f"{host}:{self.take('u16')}"
        kind, of = form
        if kind == "option":
            return self.take(of) if self.bytes(1) != b"\0" else None
        if kind == "list":
            return [self.take(of) for _ in range(self.take("u64"))]
        if kind == "tuple":
            return [self.take(part) for part in of]
        if kind == "struct":
            return {name: self.take(part) for name, part in of.items()}
        number = self.take("u32")
        if number >= len(of):
            raise Malformed(f"variant {number} is not known here")
        name, part = of[number]
        return name if part is None else {name: self.take(part)}


def decode(form, data):
    """Decodes bytes that are exactly one message."""
    reader = Reader(data)
    value = reader.take(form)
    if reader.at != len(data):
        raise Malformed("the message is followed by bytes that do not belong to it")
    return value


def datagram(data):
    """Decodes the changes in a datagram, one after another."""
    reader = Reader(data)
    while reader.at < len(data):
        yield reader.take(CHANGES)


def frame(kind, body):
    return struct.pack("<IB", len(body) + 1, kind) + body


def batch(seq, events):
    """Encodes events ((topic, item, kind), delta) as a frame, with all their names."""
    ids, names, words = {}, [], []
    for counter, delta in events:
        if counter not in ids:
            ids[counter] = len(ids)
            parts = [name.encode() for name in counter]
            names.append(bytes(map(len, parts)) + b"".join(parts))
        word = ids[counter] << 2
        if delta in (1, -1):
            words.append(struct.pack("<I", word | (delta < 0)))
        elif -(1 << 31) <= delta < 1 << 31:
            words.append(struct.pack("<Ii", word | 2, delta))
        else:
            words.append(struct.pack("<Iq", word | 3, delta))
    names = b"".join(names)
    head = struct.pack("<QBIII", seq, 1, len(ids), len(names), len(events))
    return frame(BATCH, head + names + b"".join(words))
