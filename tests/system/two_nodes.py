"""Two regions on two labelled nodes of one Ray, in a process of its own; prints what happened.

    python -m tests.system.two_nodes FOLDER

Ray reads RAY_TMPDIR, RAY_AUTH_TOKEN_PATH and the like when it is imported: who starts it sets them.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from actors.recovery import Storage
from cluster import deploy
from serving.access import ensure_key
from serving.client import Client, Event, minter
from tests.small_twin import _gateway
from tests.system.running import until
from twin.errors import TwinError

REGIONS = ("east", "west")
WEST = "shipment/west/0"
SOON_S, DEADLINE_S, WHAT = 60.0, 3.0, "the next step of two nodes"
BEGAN = time.time_ns() // 1000


def main(folder: Path) -> dict[str, object]:
    """Kill the west's node twice, the second time with its disk; return what was seen."""
    folder.mkdir()
    ensure_key(folder / "key")
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    nodes = {name: join(cluster, name) for name in REGIONS}
    ray.init(address=cluster.address, namespace="twin", log_to_driver=False)
    storage = Storage(f"file://{folder}/store/{{region}}", 0.5)
    plan = deploy.Plan(folder, REGIONS, {"shipment": 1}, 1e6, storage=storage)
    running = deploy.start(plan, lambda _: None)
    running.start_spares()
    stop = _gateway(folder, lambda: time.time_ns() // 1000)
    address = json.loads((folder / "gateways.json").read_text())["east"]
    try:
        with Client(
            address, minter(folder, "test", ("read", "write")), timeout_s=DEADLINE_S
        ) as client:
            seen: dict[str, object] = {"placed": placed(folder, nodes)}
            seen["first"] = lose(cluster, nodes, client, folder, wipe=False)
            seen["second"] = lose(cluster, nodes, client, folder, wipe=True)
            seen["placed_after"] = placed(folder, nodes)
            seen["stores"] = stored(folder)
    finally:
        stop()
        running.stop()
        cluster.shutdown()
    return seen


def lose(cluster, nodes, client, folder, *, wipe):
    """Kill the west's node, look, give it another one; return what was seen."""
    round_ = f"wipe-{wipe}"
    acknowledged = {
        region: [r.outcome for r in client.ingest(events(region, round_))] for region in REGIONS
    }
    west = shard(client, WEST)
    until(lambda: shard(client, WEST).archive.offset == west.offset, WHAT, SOON_S)
    began = time.monotonic()
    cluster.remove_node(nodes["west"], allow_graceful=False)
    until(lambda: routes(folder)[WEST]["note"].startswith("REGION_UNAVAILABLE"), WHAT, SOON_S)
    noticed_s = time.monotonic() - began
    if wipe:
        shutil.rmtree(folder / "journal" / "west")
    answers = [refusal(client, "west"), refusal(client, "west", write=True)]
    east = client.get("shipment", f"east-{round_}-0", "east").id
    added = time.monotonic()
    nodes["west"] = join(cluster, "west")
    until(lambda: routes(folder)[WEST]["state"] == "serving", WHAT, SOON_S)
    back_s = time.monotonic() - added
    again = [r.outcome for r in client.ingest(events("west", round_))]
    status = shard(client, WEST, verify=True)
    return {
        "acknowledged": acknowledged,
        "noticed_s": noticed_s,
        "answers": answers,
        "east": east,
        "back_s": back_s,
        "again": again,
        "epochs": [west.epoch, status.epoch],
        "offsets": [west.offset, status.offset],
        "digests": [status.truth_digest, status.journal_truth_digest],
        "restored": status.archive.restored,
    }


def refusal(client, region, *, write=False):
    """Return the code word of a call that nobody can answer, and how long it took."""
    began = time.monotonic()
    try:
        if write:
            client.ingest(events(region, "nobody"))
        else:
            client.get("shipment", f"{region}-wipe-False-0", region)
    except TwinError as e:
        return [e.code, time.monotonic() - began]
    return ["", time.monotonic() - began]


def events(region, round_):
    place = {"lat": 1.0, "lon": 2.0}
    return [
        Event(
            "shipment.position",
            "test",
            f"{region}-{round_}-{i}",
            BEGAN,
            place,
            f"{round_}-{i}",
            region,
        )
        for i in range(20)
    ]


def join(cluster, region):
    return cluster.add_node(num_cpus=1, labels={"region": region}, object_store_memory=80 << 20)


def placed(folder, nodes):
    """Return for each shard the region of the node that its process belongs to."""
    owners = {pid: region for region, node in nodes.items() for pid in children(node)}
    return {name: owners.get(route["pid"], "none") for name, route in routes(folder).items()}


def children(node):
    """Return the pids of a node's workers: the children of its raylet."""
    raylet = node.all_processes["raylet"][0].process.pid
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == raylet:
            found.append(int(stat.parent.name))
    return found


def stored(folder):
    """Return the regions that the objects of each region's storage are of."""
    return {
        home.name: sorted({path.name for path in (home / "journal").iterdir()})
        for home in (folder / "store").iterdir()
    }


def routes(folder):
    return json.loads((folder / "routes.json").read_text())["shards"]


def shard(client, name, *, verify=False):
    return next(one for one in client.status(verify=verify).shards if one.name == name)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))) + "\n")
    sys.stdout.flush()
