"""Counts waves of likes until its standard input ends, and watches them arrive: `waves.py URL TOPIC`.

Prints {"acked": n} after each wave, and {"seen": n} once the totals that it watches have come to what was acked.
"""

import asyncio
import json
import sys

from countree import Cluster, Producer, watch

WAVE = 50
ITEMS = 7


async def follow(cluster, topic, seen):
    """Sums up the topic; no total may go down, since only likes are sent."""
    totals = {}
    async for view in watch(cluster, [topic]):
        for item, kinds in view["counts"].items():
            if kinds["like"] < totals.get(item, 0):
                raise SystemExit(f"{item} went from {totals[item]} to {kinds['like']}")
            totals[item] = kinds["like"]
        await seen.put(sum(totals.values()))


async def main(url, topic):
    cluster = await Cluster.discover(url)
    seen, acked = asyncio.Queue(), 0
    following = asyncio.create_task(follow(cluster, topic, seen))
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    async with Producer(cluster) as producer:
        while not ended.done():
            sends = (producer.send(topic, f"post-{n % ITEMS}", "like") for n in range(WAVE))
            await asyncio.gather(*sends)
            acked += WAVE
            print(json.dumps({"acked": acked}), flush=True)
    while not following.done():
        total = await seen.get()
        if total == acked:
            print(json.dumps({"seen": total}), flush=True)
            return
        if total > acked:
            raise SystemExit(f"{total} are shown, and {acked} were sent")
    following.result()


asyncio.run(main(*sys.argv[1:]))
