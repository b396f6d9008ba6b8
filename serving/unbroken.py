"""Unbroken: a streaming call is begun whole, also where Ctrl-C is pressed meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def unbroken(begin: Callable[[], T]) -> T:
    """Return the streaming call that `begin` begins.

    KeyboardInterrupt is raised in the main thread. Between two steps of a beginning it would leave
    a call in its channel that no thread of grpc serves, and closing the channel waits for that for
    ever: so the main thread has another begin it.
    """
    if threading.current_thread() is not threading.main_thread():
        return begin()
    with ThreadPoolExecutor(1, thread_name_prefix="begin") as pool:
        return pool.submit(begin).result()
