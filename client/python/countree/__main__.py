"""`python -m countree`: sends and watches from a shell."""

import argparse
import asyncio
import json
import os
import sys

from . import Cluster, InDoubt, Producer, Rejected, watch


async def send(options):
    cluster = await Cluster.discover(options.url, options.token)
    async with Producer(cluster) as producer:
        sends = (
            producer.send(options.topic, options.item, options.kind, options.delta)
            for _ in range(options.times)
        )
        await asyncio.gather(*sends)
    print(json.dumps({"acked": options.times, "durability": "disk"}))


async def follow(options):
    cluster = await Cluster.discover(options.url, options.token)

    async def show():
        async for view in watch(cluster, options.topics):
            print(json.dumps(view), flush=True)

    try:
        await asyncio.wait_for(show(), options.seconds)
    except asyncio.TimeoutError:
        pass


def main():
    parser = argparse.ArgumentParser(prog="countree", description=__doc__)
    parser.add_argument("--token", default=os.environ.get("COUNTREE_TOKEN"))
    commands = parser.add_subparsers(required=True)
    sending = commands.add_parser("send", help="count an event")
    for name in ("url", "topic", "item", "kind"):
        sending.add_argument(name)
    sending.add_argument("delta", nargs="?", type=int, default=1)
    sending.add_argument("--times", type=int, default=1, help="send so many of them")
    sending.set_defaults(run=send)
    watching = commands.add_parser("watch", help="show totals as they change")
    watching.add_argument("url")
    watching.add_argument("topics", nargs="+")
    watching.add_argument("--for", dest="seconds", type=float, help="end after so many seconds")
    watching.set_defaults(run=follow)
    options = parser.parse_args()
    try:
        asyncio.run(options.run(options))
    except (OSError, Rejected, InDoubt) as e:
        sys.exit(f"countree: {e}")


main()
