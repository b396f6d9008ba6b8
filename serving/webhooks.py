"""Webhooks: what happens to alerts is posted to people's own systems, signed, until it is taken.

Each webhook has a thread and a cursor of its own: a slow or dead endpoint delays nobody else. The
journals are its queue, and the cursor moves only when a message was taken, or put aside as a dead
letter; killed at any moment it posts the last one again, under the same id.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from serving.bell import Bell
from serving.webhook_wire import Post, Told, attempt, post_of, secret_of, signed
from serving.wire import twin_pb2 as pb
from twin.errors import Refused, Retryable, TwinError, Unavailable

log = logging.getLogger(__name__)
FOLDER = "webhooks"
POLL_S = 0.25  # between two looks where nothing new was found, and no bell hears
UNASKED_S = 5.0  # ... and where one does
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0  # between attempts: doubled each time, with jitter
ATTEMPTS = 10  # about five minutes; then it is put aside, so that what follows is told
TIMEOUT_S = 5.0  # for an endpoint to answer
PATIENCE = 20  # failed looks, as while a shard moves, before Status says so
AT_ONCE = 100  # events fetched together


class Webhook(NamedTuple):
    """Who is told of what. `events`: of which types, without `alert.`; all if empty."""

    name: str
    url: str
    where: str
    events: tuple[str, ...]
    tenant: str
    secret: Path
    attempts: int = ATTEMPTS
    timeout_s: float = TIMEOUT_S


class Feed(Protocol):
    """Where events are from. Raises TwinError."""

    def __call__(self, where: str, since: dict[str, int]) -> pb.AlertsReply: ...


class Standing(msgspec.Struct):
    """What a webhook's file holds: where to go on in each journal, and how it has gone so far."""

    offsets: dict[str, int]
    taken: int = 0
    dead: int = 0
    failing: str = ""  # why the latest attempt failed; "" once one succeeds
    attempts: int = 0  # of the message under way


class Dead(msgspec.Struct):
    """A message that was not taken, as it lies in a file, one a line."""

    id: str
    body: str
    why: str
    attempts: int
    at_s: int


class Courier:
    """Brings one webhook its messages. One thread; `step` is all it does."""

    def __init__(
        self,
        hook: Webhook,
        folder: Path,
        feed: Feed,
        *,
        wait: Callable[[float], bool],
        jitter: Callable[[], float],
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """`wait`: for some seconds; True if it is to end. `jitter`: a number from 0 to 1."""
        self._hook, self._feed = hook, feed
        self._wait, self._jitter, self._wall_s = wait, jitter, wall_s
        self._secret = secret_of(hook.secret)
        self._files = Files(folder, hook.name)
        self.standing = self._files.standing()

    def step(self) -> bool:
        """Bring what is new, or was asked for again; say whether there was anything."""
        if again := self._files.again():
            for number, one in enumerate(again):
                if not self._bring(Post(one.id, one.body.encode())):
                    return True
                self._files.keep_again(again[number + 1 :])
                self._note()
            return True
        reply = self._feed(self._hook.where, self.standing.offsets)
        if not self.standing.offsets and reply.missing:
            missing = ", ".join(reply.missing)
            raise Unavailable(f"{missing} does not say from where on to tell", FIRST_WAIT_S)
        for event in reply.events:
            kind = event.type.partition(".")[2]
            wanted = not self._hook.events or kind in self._hook.events
            if wanted and not self._bring(post_of(event, self._hook.tenant)):
                return True
            shard, _, offset = event.receipt.rpartition("/")
            self.standing.offsets[shard] = int(offset) + 1
            self._note()
        if any(self.standing.offsets.get(name) != at for name, at in reply.next.items()):
            self.standing.offsets.update(reply.next)
            self._note()
        return bool(reply.events)

    def stuck(self, why: str) -> None:
        """Note why nothing can be fetched, for Status."""
        if self.standing.failing != why:
            self.standing.failing = why
            self._note()

    def _bring(self, post: Post) -> bool:
        """Post until it is taken, or put aside; False if it is to end before."""
        hook, told = self._hook, Told(0, "")
        pause = FIRST_WAIT_S
        for number in range(1, hook.attempts + 1):
            headers = signed(post, self._secret, int(self._wall_s()))
            told = attempt(hook.url, post, headers, hook.timeout_s)
            if told.taken:
                self.standing.taken += 1
                self.standing.failing, self.standing.attempts = "", 0
                return True
            log.info("webhook %s: attempt %d: %s", hook.name, number, told.why)
            self.standing.failing, self.standing.attempts = told.why, number
            self._note()
            if number < hook.attempts and self._wait(pause * (0.5 + self._jitter() / 2)):
                return False
            pause = min(2 * pause, LONGEST_WAIT_S)
        at_s = int(self._wall_s())
        self._files.bury(Dead(post.id, post.body.decode(), told.why, hook.attempts, at_s))
        self.standing.dead += 1
        self.standing.attempts = 0
        log.warning("webhook %s: %s is put aside: %s", hook.name, post.id, told.why)
        return True

    def _note(self) -> None:
        self._files.note(self.standing)


class Files:
    """What is kept of one webhook in the data directory."""

    def __init__(self, folder: Path, name: str) -> None:
        self._home = folder / FOLDER
        self._home.mkdir(parents=True, exist_ok=True)
        self._standing = self._home / f"{name}.json"
        self._dead = self._home / f"{name}.dead.jsonl"
        self._again = self._home / f"{name}.again.jsonl"

    def standing(self) -> Standing:
        """Return where a webhook is; of a new one, nowhere: it begins with what comes."""
        try:
            return msgspec.json.decode(self._standing.read_bytes(), type=Standing)
        except (FileNotFoundError, msgspec.DecodeError):
            return Standing({})

    def note(self, standing: Standing) -> None:
        _write(self._standing, msgspec.json.encode(standing))

    def bury(self, dead: Dead) -> None:
        """Put a message aside, durably: the cursor goes on without it."""
        with self._dead.open("ab") as file:
            file.write(msgspec.json.encode(dead) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def dead(self) -> list[Dead]:
        return _lines(self._dead)

    def again(self) -> list[Dead]:
        return _lines(self._again)

    def keep_again(self, left: Sequence[Dead]) -> None:
        if left:
            _write(self._again, b"".join(msgspec.json.encode(one) + b"\n" for one in left))
        else:
            self._again.unlink(missing_ok=True)

    def ask_again(self) -> int:
        """Have everything that was put aside brought again; return how much that is."""
        found = [*self.again(), *self.dead()]
        if found:
            _write(self._again, b"".join(msgspec.json.encode(one) + b"\n" for one in found))
            self._dead.unlink(missing_ok=True)
        return len(found)


class Webhooks:
    """All webhooks of a twin, each in a thread of its own."""

    def __init__(
        self,
        hooks: Iterable[Webhook],
        folder: Path,
        feed: Callable[[Webhook], Feed],
        jitter: Callable[[], float],
        bell: Callable[[Webhook], Bell],
    ) -> None:
        """`feed`, `bell`: of the tenant of a webhook; a bell is begun here."""
        self._stop = threading.Event()
        self._folder, self._feed, self._jitter = folder, feed, jitter
        known = [(hook, bell(hook)) for hook in hooks]
        self._bells = list(dict.fromkeys(bell for _, bell in known))
        self._places = [bell.place() for _, bell in known]
        self._threads = [
            threading.Thread(target=self._run, args=(*one, place), name=one[0].name, daemon=True)
            for one, place in zip(known, self._places, strict=True)
        ]
        for one in self._bells:
            one.start()
        for thread in self._threads:
            thread.start()

    def stop(self, within_s: float = TIMEOUT_S + 1) -> None:
        """Stop, and wait for the attempts under way."""
        self._stop.set()
        for bell in self._bells:
            bell.stop()
        for place in self._places:
            place.set()
        until = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self, hook: Webhook, bell: Bell, rung: threading.Event) -> None:
        courier: Courier | None = None
        failed = 0
        while not self._stop.is_set():
            pause, idle = POLL_S, False
            rung.clear()  # before the look: what comes meanwhile rings again
            try:
                courier = courier or Courier(
                    hook,
                    self._folder,
                    self._feed(hook),
                    wait=self._stop.wait,
                    jitter=self._jitter,
                )
                idle = not courier.step()
                pause = (UNASKED_S if bell.hears else POLL_S) if idle else 0.0
                if failed >= PATIENCE:
                    courier.stuck("")
                failed = 0
            except Retryable as e:
                pause = max(POLL_S, e.retry_after)
                failed += 1
                if courier is not None and failed >= PATIENCE:
                    courier.stuck(f"{e.code}: {e}")
            except (Refused, OSError) as e:  # its filter, its secret, or a full disk
                log.error("webhook %s: %s", hook.name, e)  # noqa: TRY400 - no trace is needed
                pause = LONGEST_WAIT_S
            except Exception:  # a thread's boundary: logged, and tried again
                log.critical("webhook %s failed", hook.name, exc_info=True)
                pause = LONGEST_WAIT_S
            if not self._stop.is_set():  # looked at after `rung` was cleared, which stop sets last
                (rung if idle else self._stop).wait(pause)


def feed_of(ask: Callable[[str, Any], Any]) -> Feed:
    """Return a feed that asks a gateway. `ask`: an rpc by its name, as serving.client does."""
    return partial(_feed, ask)


def _feed(ask: Callable[[str, Any], Any], where: str, since: dict[str, int]) -> pb.AlertsReply:
    request = pb.AlertsRequest(where=where, events=True, limit=AT_ONCE)
    getattr(request, "from").update(since)
    reply: pb.AlertsReply = ask("Alerts", request)
    return reply


def notes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return what Status says of webhooks that are not as they should be."""
    found = {}
    for name in names:
        with contextlib.suppress(TwinError, OSError):
            files = Files(folder, name)
            standing, dead = files.standing(), len(files.dead())
            said = [f"{dead} dead letters"] if dead else []
            if standing.failing:
                said.append(f"attempt {standing.attempts}: {standing.failing}")
            if said:
                found[f"webhook {name}"] = "; ".join(said)
    return found


def _lines(path: Path) -> list[Dead]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for line in raw.splitlines():
        with contextlib.suppress(msgspec.DecodeError):  # the end of a write that was cut
            found.append(msgspec.json.decode(line, type=Dead))
    return found


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole, durably."""
    draft = path.with_name(f".{path.name}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
