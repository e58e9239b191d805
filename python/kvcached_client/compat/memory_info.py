"""The record in shared memory by which kvcached's command line shows and limits a pool: three 64-bit numbers, guarded by a file lock."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import contextmanager
from typing import Iterator, Optional, Tuple

FOLDER = "/dev/shm"
_RECORD = struct.Struct("<qqq")


def segment_name(ipc_name: str, group_id: int) -> str:
    """The segment of a pool: an explicit name as it is, else kvcached's default, with the group behind it when it isn't the first."""
    if ipc_name:
        return ipc_name
    base = os.environ.get("KVCACHED_IPC_NAME") or "kvcached_engine_{0}".format(os.getpgrp())
    return base if group_id == 0 else "{0}_g{1}".format(base, group_id)


class MemoryInfo:
    """Total, used and preallocated bytes of a pool. Files are 0600: the command line is run by the engine's user."""

    def __init__(self, name: str, total_bytes: int) -> None:
        self.path = name if name.startswith("/") and os.path.dirname(name) != "/" else os.path.join(FOLDER, name.lstrip("/"))
        with self._locked(fcntl.LOCK_EX, create=True) as file:
            self._write(file, total_bytes, 0, 0)

    def update(self, used_bytes: int, preallocated_bytes: int) -> None:
        """Writes what is used; the total is the command line's to change. Does nothing when somebody has deleted the file."""
        try:
            with self._locked(fcntl.LOCK_EX) as file:
                total = self._read(file)[0]
                self._write(file, total, used_bytes, preallocated_bytes)
        except FileNotFoundError:
            pass

    def total_bytes(self) -> Optional[int]:
        """The total as it is now; None when the file is gone or broken."""
        try:
            with self._locked(fcntl.LOCK_SH) as file:
                return self._read(file)[0]
        except (FileNotFoundError, struct.error):
            return None

    def remove(self) -> None:
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass

    @contextmanager
    def _locked(self, kind: int, create: bool = False) -> Iterator[int]:
        file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
        try:
            fcntl.flock(file, kind)
            yield file
        finally:
            os.close(file)

    @staticmethod
    def _read(file: int) -> Tuple[int, int, int]:
        return _RECORD.unpack(os.pread(file, _RECORD.size, 0))

    @staticmethod
    def _write(file: int, *numbers: int) -> None:
        os.pwrite(file, _RECORD.pack(*numbers), 0)
