"""Hooks: the webhooks of twin.toml, checked, and begun in the gateway of the first region.

Each asks with a token of its own tenant, so the gateway and every shard refuse it all others'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from random import SystemRandom

from cluster import config
from serving.bell import Bell
from serving.client import Client
from serving.client_follow import TELLING
from serving.minting import minter
from serving.webhook_wire import fault_of
from serving.webhooks import FOLDER, Feed, Webhook, Webhooks, feed_of, notes
from serving.wire import twin_pb2 as pb
from twin.alert_contracts import HAPPENINGS
from twin.alerts import ALERT
from twin.errors import Refused
from twin.filters import compile_filter

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
ASK_S = 10.0


def wrong(hooks: Sequence[config.Webhook]) -> str:
    """Return what is wrong with one of the webhooks, "" if nothing is."""
    names = [hook.name for hook in hooks]
    for hook in hooks:
        if not _NAME.fullmatch(hook.name):
            return f"webhooks: {hook.name!r} is no name; use small letters, digits and -"
        if names.count(hook.name) > 1:
            return f"webhooks names {hook.name} twice; name each once"
        if fault := fault_of(hook.url):
            return f"webhooks: the url of {hook.name} is refused: {fault}"
        if hook.tenant and not config.TENANT.fullmatch(hook.tenant):
            return f"webhooks: {hook.tenant!r} of {hook.name} is no name for a tenant"
        if unknown := [event for event in hook.events if event not in HAPPENINGS]:
            return f"webhooks: {unknown[0]!r} is no event; there are {', '.join(HAPPENINGS)}"
        try:
            needs = compile_filter(ALERT, hook.where).needs
        except Refused as e:
            return f"webhooks: the where of {hook.name}: {e}"
        if needs:
            return f"webhooks: the where of {hook.name} names other twins; leave them out"
    return ""


def begin(folder: Path, settings: config.Config, region: str, grpc_port: int) -> Webhooks | None:
    """Begin to bring what is to be told, in threads of this process; None if nobody is told.

    One gateway does it for all regions: the first one's.
    """
    if not settings.webhooks or region != settings.regions[0]:
        return None
    hooks = [webhook(folder, hook, settings.tenant) for hook in settings.webhooks]
    feeds: dict[str, Feed] = {}
    bells: dict[str, Bell] = {}
    for tenant in dict.fromkeys(hook.tenant for hook in hooks):
        token = minter(folder, "webhooks", ["read"], tenant)
        client = Client(f"127.0.0.1:{grpc_port}", token, timeout_s=ASK_S)
        feeds[tenant] = feed_of(client.ask)
        bells[tenant] = Bell(partial(_changes, client))
    return Webhooks(
        hooks,
        folder,
        lambda hook: feeds[hook.tenant],
        SystemRandom().random,
        lambda hook: bells[hook.tenant],
    )


def _changes(client: Client) -> Iterator[pb.SubscribeReply]:
    """Yield what changes of a tenant's alerts from now on; a stream that breaks ends at once."""
    return client.subscribe(ALERT, "", TELLING, only_changes=True, patience_s=0.0)


def webhook(folder: Path, hook: config.Webhook, tenant: str) -> Webhook:
    """Return a webhook as it is begun. `tenant`: whose alerts it tells, if it does not say."""
    secret = Path(hook.secret_file) if hook.secret_file else folder / FOLDER / f"{hook.name}.secret"
    return Webhook(
        hook.name,
        hook.url,
        hook.where,
        hook.events,
        hook.tenant or tenant,
        secret,
        hook.attempts,
        hook.timeout_s,
    )


def notes_of(folder: Path, settings: config.Config) -> dict[str, str]:
    """Return what Status says of webhooks that are not as they should be."""
    return notes(folder, [hook.name for hook in settings.webhooks])
