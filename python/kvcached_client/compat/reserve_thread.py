"""Threads that call a method now and then, and end when its object is gone or they are stopped."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Any

log = logging.getLogger("kvcached_client.compat")


class PeriodicThread:
    """Calls a method every so many seconds."""

    def __init__(self, name: str, seconds: "float | None", method: "weakref.WeakMethod[Any]") -> None:
        self._seconds = seconds
        self._method = method
        self._is_stopped = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Has it call at once."""
        self._wake.set()

    def stop(self) -> None:
        """Waits for a call that is under way; must not be called from it."""
        self._is_stopped = True
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._seconds)
            self._wake.clear()
            method = self._method()
            if method is None or self._is_stopped:
                return
            try:
                method()
            except Exception:  # a thread that ended would leave an engine without reserve and limit
                log.exception("%s failed; it goes on", self._thread.name)
            del method


class ReserveThread(PeriodicThread):
    """Calls a method when it is woken, and now and then so as to end with its object."""

    _IDLE_SECONDS = 1.0

    def __init__(self, method: "weakref.WeakMethod[Any]") -> None:
        super().__init__("kvcached-reserve", self._IDLE_SECONDS, method)
