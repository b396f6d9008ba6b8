"""The oracle: what becomes of events, and what is true, in the plainest Python there is.

One event at a time over dicts; it shares the tables of kinds and contracts, and nothing else.
"""

from collections import defaultdict

import numpy as np

from tests.twin.plain import event_hash
from twin.contracts import CONTRACTS, COUNTED, EVENT_TIME, MOVED
from twin.kinds import KINDS, Merge

RANK = {"demo/": 0, "rule/": 1, "model/": 2}


def rank(source):
    return next((r for prefix, r in RANK.items() if source.startswith(prefix)), 10)


def contract_of(event):
    return next(
        (c for c in CONTRACTS if (c.type, c.version) == (event["type"], event["version"])), None
    )


def broken(event):
    """Say whether an event breaks its contract. Histories break one thing at a time."""
    contract = contract_of(event)
    promised = {promise.name: promise for promise in contract.payload}
    if "retracts" in event and not event["data"]:
        return False
    if set(event["data"]) - set(promised):
        return True
    for name, promise in promised.items():
        value = event["data"].get(name)
        if value is None:
            if promise.required:
                return True
        elif isinstance(value, str):
            if promise.among and value not in promise.among:
                return True
        elif not promise.least <= value <= promise.most:
            return True
    return False


def key(event, tenant="demo"):
    return event["time"], rank(event["source"]), event_hash(tenant, event["source"], event["id"])[0]


def says(event):
    """Return group -> {field: value} of what an event says."""
    said = {}
    for group, sets in contract_of(event).sets.items():
        values = {}
        for field, source in sets.items():
            if source == EVENT_TIME:
                values[field] = event["time"]
            elif isinstance(source, str):
                values[field] = event["data"].get(source)
            else:
                values[field] = int(source)
        said[group] = values
    return said


class Oracle:
    def __init__(self, tenant="demo"):
        self.tenant = tenant
        self.seen = {}  # (source, id) -> (event, whether it is parked, offset)
        self.journal = []  # events in order of offset
        self.standing = []

    def offer(self, event):
        """Return (outcome, offset) of one event."""
        before = self.truth()
        outcome, offset = self.take(event)
        if outcome == "STANDS":
            outcome = "APPLIED" if self._changed(before, event) else "SUPERSEDED"
        return outcome, offset

    def take(self, event):
        """Return what becomes of an event, STANDS where it counts, and its offset."""
        name = event["source"], event["id"]
        if name in self.seen:
            first, parked, offset = self.seen[name]
            if first == event:
                return "DUPLICATE", offset
            if not parked:
                return "REJECTED", -1
        offset = len(self.journal)
        self.journal.append(event)
        self.seen[name] = event, broken(event), offset
        if broken(event):
            return "PARKED", offset
        self.standing.append(event)
        return "STANDS", offset

    def speaks(self, event):
        """Say whether what an event states counts: no standing retraction names it."""
        return "retracts" not in event and not self._silenced(event, None)

    def _silenced(self, event, before):
        """`before`: the key a retraction must exceed; of `event`, if it is one itself."""
        return any(
            (one.get("corrects") or one.get("retracts")) == event["id"]
            and (one["source"], one["subject"]) == (event["source"], event["subject"])
            and contract_of(one).kind == contract_of(event).kind
            and (before is None or key(one, self.tenant) > before)
            and not self._silenced(one, key(one, self.tenant))
            for one in self.standing
        )

    def truth(self):
        """Return kind -> name -> {column: value} of what is known."""
        told = defaultdict(lambda: defaultdict(dict))
        facts = defaultdict(list)
        for event in self.standing:
            kind = contract_of(event).kind
            name = f"{self.tenant}/{event['subject']}"
            told[kind][name]
            if not self.speaks(event):
                continue
            for group, values in says(event).items():
                facts[kind, name, group].append((key(event, self.tenant), values, event))
        for (kind, name, group_name), given in facts.items():
            group = next(g for g in KINDS[kind].groups if g.name == group_name)
            if group.merge is Merge.LEVEL:
                values, decided, event = fold_level(group, given)
            elif group.merge is Merge.SUM:
                decided, _, event = max(given, key=lambda fact: fact[0])
                values = {f.name: sum(fact[1][f.name] for fact in given) for f in group.fields}
            else:
                first = group.fields[0].name
                sign = {Merge.MAX: 1, Merge.MIN: -1}.get(group.merge, 0)
                decided, values, event = max(
                    given, key=lambda fact: (sign and sign * fact[1][first], fact[0])
                )
            twin = told[kind][name]
            twin |= {field: value for field, value in values.items() if value is not None}
            twin[f"{group_name}.as_of"], twin[f"{group_name}.tie"] = decided[0], decided[2]
            twin[f"{group_name}.source"] = event["source"]
            twin[f"{group_name}.confidence"] = float(np.float32(event.get("confidence", 1.0)))
        return {kind: dict(twins) for kind, twins in told.items()}

    def _changed(self, before, event):
        kind, name = contract_of(event).kind, f"{self.tenant}/{event['subject']}"
        old, new = before.get(kind, {}).get(name, {}), self.truth()[kind][name]
        if "reservation" in says(event):
            return True  # whatever it adds, it counts
        if "level" in says(event):
            return self._counts(event) or old.get("item.tie") != new.get("item.tie")
        return old != new

    def _counts(self, event):
        """Say whether a count or a movement is part of its level now."""
        same = [e for e in self.standing if e["subject"] == event["subject"]]
        counts = [key(e, self.tenant) for e in same if COUNTED in says(e).get("level", {})]
        if COUNTED in says(event)["level"]:
            return key(event, self.tenant) == max(counts)
        return not counts or event["time"] > max(counts)[0]


def fold_level(group, given):
    counts = [fact for fact in given if COUNTED in fact[1]]
    count = max(counts, key=lambda fact: fact[0], default=None)
    moves = [fact for fact in given if MOVED in fact[1] and (not count or fact[0][0] > count[0][0])]
    decided, _, event = max([*moves, *([count] if count else [])], key=lambda fact: fact[0])
    total = count[1][COUNTED] + sum(fact[1][MOVED] for fact in moves) if count else None
    return {group.fields[0].name: total}, decided, event
