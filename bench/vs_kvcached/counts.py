"""How many of the driver's memory calls a process made, and how long they took, counted in the process itself by a preloaded library."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from typing import Dict, List, Optional, Sequence

#: In the order of counting.c. ``ioctl`` is what the driver's calls ask of its kernel module.
CALLS = [
    "cuMemCreate", "cuMemRelease", "cuMemMap", "cuMemSetAccess", "cuMemUnmap", "cuMemExportToShareableHandle", "cuMemImportFromShareableHandle", "ioctl",
]
_LAYOUT = struct.Struct("<{0}Q".format(2 * len(CALLS)))


def build(folder: str) -> Optional[str]:
    """Compiles the library into ``folder``; None, with nothing done, where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "counting.c")
    target = os.path.join(folder, "libcounting.so")
    subprocess.run([compiler, "-O2", "-Wall", "-fPIC", "-shared", "-o", target, source, "-ldl", "-pthread"], check=True, timeout=120)
    return target


class Counts:
    """The counts of one process. It is to be started with :attr:`environment`."""

    def __init__(self, library: str, path: str, stacks: bool = False) -> None:
        """:param path: A file for the counts; it is made. :param stacks: Whether a process that fails leaves its native stack."""
        with open(path, "wb") as file:
            file.write(bytes(_LAYOUT.size))
        self._shared = _share(path)
        self.environment = {"LD_PRELOAD": library, "VS_COUNTS": path}
        if stacks:
            self.environment["VS_STACKS"] = "1"

    def read(self) -> Dict[str, List[float]]:
        """Number of calls and their microseconds until now, by name."""
        return _parse(self._shared)


class OwnCounts:
    """The counts of this very process, where it was started with them."""

    def __init__(self) -> None:
        path = os.environ.get("VS_COUNTS")
        self._shared = _share(path) if path else None

    def read(self) -> Dict[str, List[float]]:
        return _parse(self._shared) if self._shared is not None else {name: [0, 0.0] for name in CALLS}


def _share(path: str) -> mmap.mmap:
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), _LAYOUT.size)


def _parse(shared: mmap.mmap) -> Dict[str, List[float]]:
    words = _LAYOUT.unpack(shared[:])
    return {name: [words[2 * i], words[2 * i + 1] / 1000] for i, name in enumerate(CALLS)}


class Sum:
    """The counts of several processes together."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._shared = [_share(path) for path in paths]

    def read(self) -> Dict[str, List[float]]:
        parts = [_parse(shared) for shared in self._shared]
        return {name: [sum(part[name][0] for part in parts), sum(part[name][1] for part in parts)] for name in CALLS}


def add(totals: Dict[str, List[float]], before: Dict[str, List[float]], after: Dict[str, List[float]]) -> None:
    """Adds what was called in between: number and microseconds, by name."""
    for name in CALLS:
        if after[name][0] > before[name][0]:
            total = totals.setdefault(name, [0, 0.0])
            total[0] += after[name][0] - before[name][0]
            total[1] += after[name][1] - before[name][1]


def between(before: Dict[str, List[float]], after: Dict[str, List[float]]) -> Dict[str, Dict[str, float]]:
    """Calls made in between, by name, and their mean microseconds; those that weren't made are left out."""
    found: Dict[str, Dict[str, float]] = {}
    for name in CALLS:
        calls = after[name][0] - before[name][0]
        if calls:
            found[name] = {"calls": calls, "meanMicroseconds": round((after[name][1] - before[name][1]) / calls, 1)}
    return found
