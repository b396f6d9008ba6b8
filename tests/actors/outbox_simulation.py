"""A simulation of shards that tell each other: a network that loses, doubles and reorders between
them, disks that fail and forget below them, and a courier that is killed at any moment.

Everything follows from a seed. In the end all faults stop, everything is offered again, and what
stock and suppliers know must be what the shipments say.
"""

import random
from pathlib import Path

import msgspec
import numpy as np

from actors import marker
from actors.checkpoints import Checkpoints
from actors.disk import OsDisk
from actors.journal_file import FileJournal
from actors.outbox import LONGEST_WAIT_S, Courier
from actors.shard import Shard
from tests.actors.simulation import LOSS, Broken, require
from tests.ports.sim_disk import Crash, SimOs
from tests.twin.histories import DAY, NOW, SHIPMENTS, SITES, SUPPLIERS, T0, decoded, event, message
from tests.twin.post import expected, ordered
from twin.columns import Message
from twin.derived import DELIVERER, stock_id
from twin.errors import Fenced, JournalCorrupt, JournalFailed, Unavailable
from twin.events import decode_rows
from twin.outcomes import Outcome

HOME = Path("/shard")
RULES = {"shipment": SHIPMENTS, "site": SITES, "supplier": SUPPLIERS}
ITEMS = [("W0", "P0"), ("W0", "P1"), ("W1", "P0"), ("W1", "P1")]
ROUNDS = 400  # of a healed courier: far more than it ever needs


def counted(number, site, product, days, quantity):
    return event(
        id=f"c{number}",
        type="stock.counted",
        subject=stock_id(site, product),
        time=T0 - days * DAY,
        data={"site": site, "product": product, "quantity": quantity},
    )


class Place:
    """One shard on a disk of its own, restarted as often as it takes."""

    def __init__(self, rng, kind):
        self.system, self.kind = SimOs(rng), kind
        self.disk = OsDisk(self.system)
        self.starts = 0
        self.start()

    def start(self):
        for _ in range(50):
            try:
                epoch = marker.newest(self.disk, HOME) + 1
                self.one = Shard(
                    name=f"{self.kind}/east/0",
                    rule=RULES[self.kind],
                    journal=FileJournal(self.disk, HOME, epoch, "simulated"),
                    checkpoints=Checkpoints(self.disk, HOME),
                    clock=lambda: NOW,
                )
                self.one.recover()
            except Crash:
                self.system.power_cut()
                continue
            except (JournalCorrupt, JournalFailed, OSError) as e:
                raise Broken("nothing was damaged, and it did not start", e) from e
            self.starts += 1
            return
        raise Broken("it never started")

    def cut(self):
        self.system.power_cut()
        self.start()

    def kill(self):
        self.system.revive()
        self.start()

    def offer(self, said):
        """Offer one message; None if the shard died of it."""
        try:
            return self.one.offer([said])[0]
        except LOSS:
            self.cut()
            return None


class World:
    """A shard of shipments, those that its facts are for, and the network between them."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.places = {kind: Place(self.rng, kind) for kind in RULES}
        self.events, self.shelf, self.late = [], [], []  # late: parcels that come again
        self.healed, self.now_s, self.stale = False, 0.0, []
        self.counts = dict.fromkeys(
            ("steps", "sent", "lost", "unheard", "again", "deaths", "fenced", "resumed"), 0
        )
        for number in range(3):
            says = {"name": f"S{number}", "aggregator": False}
            kind = {"type": "supplier.registered", "subject": f"SUP{number}", "id": f"n{number}"}
            require(self.places["supplier"].offer(message(event(**kind, data=says))), "unnamed")
        for number, item in enumerate(ITEMS):
            self.shelf.append(counted(number, *item, 9, 100))
            require(self.places["site"].offer(message(self.shelf[-1])), "uncounted")
        self.courier = Courier(self.sender.one, self)

    @property
    def sender(self):
        return self.places["shipment"]

    # The network, as the courier sees it.

    def owners(self, kind, region, tenant, ids):
        if not self.healed and self.rng.random() < 0.05:
            raise Unavailable("nobody is known", 0.1)
        return ["site" if kind == "stock" else kind] * len(ids)

    def homes(self, tenant, suppliers):
        if not self.healed and self.rng.random() < 0.2:
            raise Unavailable("nobody answers", 0.1)
        return dict.fromkeys(suppliers, "east")

    def send(self, shard, tenant, rows):
        self.counts["sent"] += 1
        turn = 1.0 if self.healed else self.rng.random()
        parcel = shard, tenant, msgspec.msgpack.encode(rows)
        if turn < 0.2:
            self.counts["lost"] += 1
            raise Unavailable("it was lost", 0.1)
        if turn < 0.3:
            self.late.append(parcel)
            raise Unavailable("it is late", 0.1)
        if turn < 0.4:
            raise Crash  # the sender dies with its parcel on the way
        answer = self.arrive(parcel)
        if not self.healed and self.rng.random() < 0.5:
            self.ingest()  # while it is under way
        if turn < 0.6:
            self.late.append(parcel)
        if turn < 0.5 or answer is None:
            self.counts["unheard"] += 1
            raise Unavailable("the answer was lost", 0.1)
        if turn < 0.7:
            raise Crash  # it arrived, and the sender dies before it notes that
        return answer

    def arrive(self, parcel):
        shard, tenant, packed = parcel
        place = self.places[shard]
        if not self.healed and self.rng.random() < 0.1:
            place.system.left = self.rng.randrange(8)
        answer = place.offer(Message(decode_rows(packed), tenant, DELIVERER))
        place.system.left = None
        if answer is None:
            return None
        bad = {Outcome.PARKED, Outcome.REJECTED} & set(answer.outcome.tolist())
        require(not bad, "a derived event was refused", answer)
        return answer.outcome.astype(np.int8)

    # What happens.

    def live(self, steps):
        acts = [self.ingest] * 4 + [self.step] * 6 + [self.count] * 2 + [self.carry] * 2
        acts += [self.note, self.checkpoint, self.die, self.replace, self.wake]
        for _ in range(steps):
            self.now_s += self.rng.random() * LONGEST_WAIT_S
            self.rng.choice(acts)()
        self.heal()

    def ingest(self):
        some = [self.fresh() for _ in range(self.rng.randint(1, 3))]
        self.events += some
        if self.sender.offer(message(*some)) is None:
            self.resume()

    def fresh(self):
        rng, name = self.rng, f"e{len(self.events)}-{self.rng.randrange(1 << 30)}"
        says = {"id": name, "time": T0 - rng.randrange(4) * DAY, "subject": f"S{rng.randrange(2)}"}
        turn = rng.random()
        if turn < 0.1 and self.events:
            target = rng.choice(self.events)
            return {**target, **says, "subject": target["subject"], "data": {}} | {
                "retracts": target["id"]
            }
        if turn < 0.55:
            wanted = f"W{rng.randrange(2)}", f"P{rng.randrange(2)}", rng.randrange(9)
            return ordered(*wanted, f"SUP{rng.randrange(3)}", **says)
        if turn < 0.65:
            promised = {"promised_at": T0 - rng.randrange(4) * DAY}
            return event(type="shipment.promised", data=promised, **says)
        return event(type="shipment.delivered", data={}, **says)

    def count(self):
        days = self.rng.randrange(5)
        one = counted(len(self.shelf), *self.rng.choice(ITEMS), days, self.rng.randrange(50))
        if self.shelf and self.rng.random() < 0.4:
            target = self.rng.choice(self.shelf)
            one = {**target, "id": one["id"], "data": {}, "retracts": target["id"]}
        self.shelf.append(one)
        self.places["site"].offer(message(one))

    def step(self):
        self.counts["steps"] += 1
        try:
            self.courier.step(self.now_s)
        except LOSS:
            self.counts["deaths"] += 1
            self.sender.system.revive()
            self.rng.choice([self.sender.cut, self.sender.kill])()
            self.resume()
            return
        if self.rng.random() < 0.7:
            self.note()

    def carry(self):
        """Let a parcel arrive that was late, or arrive once more."""
        if self.late:
            self.counts["again"] += 1
            at = self.rng.randrange(len(self.late))
            self.arrive(self.late[at])
            if self.rng.random() < 0.5:
                del self.late[at]

    def note(self):
        """Journal the cursor, as an idle shard does."""
        try:
            self.sender.one.bear_witness()
        except LOSS:
            self.sender.cut()
            self.resume()

    def checkpoint(self):
        place = self.rng.choice(list(self.places.values()))
        try:
            place.one.checkpoint()
        except LOSS:
            place.cut()
        self.resume()

    def die(self):
        place = self.rng.choice(list(self.places.values()))
        self.rng.choice([place.cut, place.kill])()
        self.resume()

    def replace(self):
        """Start a successor of the sender while it lives on."""
        self.stale.append(self.courier)
        self.sender.start()
        self.resume()

    def wake(self):
        """Let the courier of a replaced shard go on: it must tell nobody anything."""
        if self.stale:
            sent = self.counts["sent"]
            try:
                self.rng.choice(self.stale).step(self.now_s)
                raise Broken("the courier of a replaced shard went on")
            except Fenced:
                self.counts["fenced"] += 1
            require(self.counts["sent"] == sent, "a replaced shard told somebody something")

    def resume(self):
        """Give the sender's present process a courier of its own."""
        if self.courier._shard is not self.sender.one:
            self.courier = Courier(self.sender.one, self)
            self.counts["resumed"] += self.sender.one.outbox_waiting > 0

    def heal(self):
        """Stop all faults, offer everything again, and compare."""
        self.healed = True
        for one in self.events:
            require(self.sender.offer(message(one)), "nothing fails, and it was not taken")
        for one in self.shelf:
            require(self.places["site"].offer(message(one)), "nothing fails, and it was not taken")
        for _ in range(ROUNDS):
            self.now_s += LONGEST_WAIT_S
            self.courier.step(self.now_s)
            if not self.sender.one.outbox_waiting:
                break
        require(not self.sender.one.outbox_waiting, "something never arrives")
        self.check()
        for parcel in self.late:
            self.arrive(parcel)
        self.check()
        for one in [one for one in self.shelf if "retracts" not in one][len(ITEMS) :]:
            back = {**one, "id": f"{one['id']}-back", "data": {}, "retracts": one["id"]}
            self.shelf.append(back)
            require(self.places["site"].offer(message(back)), "nothing fails, and it failed")
        self.check()
        for place in self.places.values():
            live, rebuilt = place.one.verify()
            require(live == rebuilt, "memory and journal differ", place.kind)
            place.kill()
        self.check()

    def check(self):
        stock = decoded(self.places["site"].one._state)["stock"]
        suppliers = decoded(self.places["supplier"].one._state)["supplier"]
        on_hand = {name: twin["on_hand"] for name, twin in stock.items() if "on_hand" in twin}
        counts = {
            name: (twin["delivered_shipments"], twin["late_shipments"])
            for name, twin in suppliers.items()
            if "deliveries.as_of" in twin
        }
        said = expected(self.events, self.shelf)
        require((on_hand, counts) == said, "they know something else", (on_hand, counts), said)


def run(seeds, steps=40):
    """Live through each seed; return the counts of all. Raises Broken, naming the seed."""
    total = {}
    for seed in seeds:
        try:
            world = World(seed)
            world.live(steps)
        except Broken as e:
            raise Broken(f"seed {seed}", *e.args) from e
        for name, count in world.counts.items():
            total[name] = total.get(name, 0) + count
    return total
