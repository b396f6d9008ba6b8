"""A twin whose shards watch their shipments by one rule of ours, and whose clock a test moves."""

from contextlib import contextmanager

from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.serving import several
from tests.system.running import until

NOW = several.NOW
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
EAST = {"shipment/east/0": 0}
QUIET = "\n".join(  # the packaged rules are off where a test counts what is journaled
    f'[[rule]]\nname = "{name}"\nkind = "{kind}"\nwhen = "id = \'-\'"\n'
    'severity = "info"\nenabled = false\n'
    for name, kind in (
        ("cold-chain", "shipment"),
        ("room-temperature", "shipment"),
        ("overdue", "shipment"),
        ("eta-past-promise", "shipment"),
        ("silent-feed", "shipment"),
        ("implausible", "shipment"),
        ("negative-stock", "stock"),
        ("low-stock", "stock"),
    )
)
WARM = """
[[rule]]
name = "warm"
kind = "shipment"
when = "temp_c > 8"
clear = "temp_c < 7"
severity = "critical"
sla = "hour"
owner = "desk"
value = "value_cents"
message = "{id} for {site} is at {temp_c} degC"
next_step = "Cool it."
"""


def lay(folder, text=WARM):
    """Put rules into a data directory, the packaged ones turned off."""
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    (folder / "rules" / "a-quiet.toml").write_text(QUIET)
    (folder / "rules" / "b-mine.toml").write_text(text)


class Clock:
    def __init__(self):
        self.now_us = NOW

    def __call__(self):
        return self.now_us


@contextmanager
def watched(folder, rules=WARM, shards=1):
    """Yield a twin of several shards; `twin.clock` is what its clock shows."""
    lay(folder, rules)
    twin = several.Several(folder, shards, clock=Clock())
    try:
        yield twin
    finally:
        twin.close()


def condition(subject, temp_c, at_us=NOW, id="", source="sensor", region="east"):
    name = id or f"{subject}:{at_us}:{temp_c}"
    return Event("shipment.condition", source, subject, at_us, {"temp_c": temp_c}, name, region)


def ordered(subject, site="UGKLA", value=5000, source="erp", **more):
    facts = {
        "supplier": "acme",
        "origin": "lyon",
        "site": site,
        "country": "UG",
        "product_group": "ARV",
        "product": "Efavirenz",
        "quantity": 4,
        "value_cents": value,
    }
    at = NOW - 9 * DAY_US
    return Event("shipment.ordered", source, subject, at, facts | more, f"{subject}:o", "east")


def state(client, alert):
    """Return the state of an alert, "" if it is not known."""
    found = client.search("alert", f"id = '{alert}'", ("state",)).twins
    return found[0].values["state"].value if found else ""


def states(client):
    """Return alert -> state of all there are."""
    found = client.search("alert", "", ("state",), limit=10_000).twins
    return {twin.id: twin.values["state"].value for twin in found}


def wait_for(client, alert, wanted):
    until(lambda: state(client, alert) == wanted, f"{alert} to be {wanted}")


def ranked(client, **asks):
    return client.ask("Alerts", pb.AlertsRequest(**asks))


def act(client, alert, action, **more):
    return client.ask("Act", pb.ActRequest(alert=alert, action=action, **more))


def told(client, since, **asks):
    """Return the journaled events of alerts from some offsets on."""
    request = pb.AlertsRequest(events=True, limit=1000, **asks)
    getattr(request, "from").update(since)
    return client.ask("Alerts", request)


def kinds(client, since=EAST):
    """Return (type, alert) of each journaled event of alerts."""
    return [(event.type, event.alert) for event in told(client, since).events]
