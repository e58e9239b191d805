"""Opening and closing what an engine has of Kvcached, as all integrations do it."""

from __future__ import annotations

import time
from typing import Any, List

from ..arena import Arena
from ..errors import KvcachedError, UnavailableError
from ..geometry import PoolSpec
from ..pool import Pool
from ..pool_facts import PoolOptions
from ..session import Session

_RETRY_SECONDS = 0.05


def open_pool(session: Session, spec: PoolSpec, options: PoolOptions, timeout: float) -> Pool:
    """Opens a pool. Waits while the domain has no coordinator yet, or one that is still recovering.

    :raises UnavailableError: It still has none after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return session.open_pool(spec, options, timeout=timeout)
        except UnavailableError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_SECONDS)


def close_in_order(opened: List[Any]) -> None:
    """Closes the pool, while its worker can still unmap it; then the worker, then the session, and empties the list. What can't be closed because its host is
    gone is left to the end of the process."""
    for kind in (Pool, Arena, Session):
        for one in opened:
            if isinstance(one, kind):
                try:
                    one.close()
                except KvcachedError:
                    continue
    opened.clear()
