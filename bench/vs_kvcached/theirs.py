"""kvcached's side: building it from a source folder, and its allocator as an :class:`Engine`."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from typing import Any, Dict, List, Optional, Sequence

from .children import StepFailed
from .sequence import Engine

BUILT_FILES = ["csrc", "kvcached", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "kvcached_autopatch.pth"]


def build(source: str, folder: str, timeout: float) -> str:
    """Copies what is built into ``folder`` (used again when it is complete) and builds it with the PyTorch of this interpreter.

    Returns the folder that goes into PYTHONPATH. Needs no network: nothing is installed.
    """
    if not os.path.isdir(os.path.join(source, "csrc")):
        raise StepFailed("{0} is no source folder of kvcached: it has no csrc".format(source))
    if not glob.glob(os.path.join(folder, "kvcached", "vmm_ops*.so")):
        os.makedirs(folder, exist_ok=True)
        for name in BUILT_FILES:
            path = os.path.join(source, name)
            if os.path.isdir(path):
                shutil.copytree(path, os.path.join(folder, name), dirs_exist_ok=True)
            elif os.path.isfile(path):
                shutil.copy(path, folder)
        log_path = os.path.join(folder, "build.log")
        with open(log_path, "wb") as log:
            command = [sys.executable, "setup.py", "build_ext", "--inplace"]
            try:
                code = subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, timeout=timeout, env=build_environment(folder)).returncode
            except subprocess.TimeoutExpired:
                raise StepFailed("kvcached did not build within {0:.0f} s; see {1}".format(timeout, log_path)) from None
        if code or not glob.glob(os.path.join(folder, "kvcached", "vmm_ops*.so")):
            with open(log_path, "rb") as log:
                raise StepFailed("kvcached did not build:\n" + log.read()[-3000:].decode("utf-8", "replace"))
    return folder


def build_environment(folder: str) -> Dict[str, str]:
    """Links against shared libraries whose development names may be missing.

    Where a compiler finds only the static libstdc++, the extension gets a second one beside PyTorch's, half bound to each: its first number printed ends the
    process.
    """
    variables = dict(os.environ, MAX_JOBS=str(min(16, os.cpu_count() or 4)), TORCH_CUDA_ARCH_LIST="9.0")
    links = os.path.join(folder, "links")
    os.makedirs(links, exist_ok=True)
    for name in ("libcuda.so.1", "libstdc++.so.6"):
        path, link = shared_library(name), os.path.join(links, name.rsplit(".", 1)[0])
        if path is not None and not os.path.lexists(link):
            os.symlink(path, link)
    variables["LIBRARY_PATH"] = os.pathsep.join([links] + [p for p in variables.get("LIBRARY_PATH", "").split(os.pathsep) if p])
    variables["LDFLAGS"] = "-L{0} {1}".format(links, variables.get("LDFLAGS", "").replace("-static-libstdc++", "")).strip()
    return variables


def shared_library(name: str) -> Optional[str]:
    """Where the loader finds a library of this processor; None where it doesn't."""
    found = subprocess.run(["ldconfig", "-p"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    for line in found.splitlines():
        if line.strip().startswith(name + " ") and "=>" in line and "x86-64" in line:
            return line.split("=>")[1].strip()
    return None


def environment(folder: str, name: str, contiguous: bool) -> Dict[str, str]:
    """What its processes of one instance share. All else stays at its defaults.

    The C++ library comes first in each, so that all that is loaded is bound to that one.
    """
    runtime = shared_library("libstdc++.so.6")
    return {
        **({"LD_PRELOAD": runtime} if runtime is not None else {}),
        "PYTHONPATH": folder,
        "KVCACHED_IPC_NAME": name,
        "KVCACHED_CONTIGUOUS_LAYOUT": "true" if contiguous else "false",
        "KVCACHED_IPC_TIMEOUT": "20",
        "KVCACHED_LOG_LEVEL": "WARNING",
    }


def clean_up(name: str) -> None:
    """Removes the sockets and the shared segment of an instance that has ended."""
    for path in glob.glob("/dev/shm/" + name + "*"):
        os.unlink(path)
    for path in glob.glob("/tmp/kvcached-tp-" + name + "-*"):
        shutil.rmtree(path, ignore_errors=True)


class TheirPages(Engine):
    """Page ids by its broadcast to all ranks, one message for all of them: what its own benchmark times.

    :param first: The first of the page ids that are used; its allocator must not own them.
    """

    def __init__(self, ranks: int, layers: int, page_bytes: int, contiguous: bool, first: int) -> None:
        from kvcached import tp_ipc_util

        self._ipc: Any = tp_ipc_util
        self._ranks = ranks
        self._step = page_bytes * layers * 2 if contiguous else page_bytes
        self._first = first
        self._mapped = 0

    def grow(self, pages: int) -> None:
        self._ipc.broadcast_map_to_kv_tensors(self._ranks, self._offsets(self._mapped, pages))
        self._mapped += pages

    def shrink(self, pages: int) -> None:
        self._mapped -= pages
        self._ipc.broadcast_unmap_from_kv_tensors(self._ranks, self._offsets(self._mapped, pages))

    def _offsets(self, start: int, count: int) -> List[int]:
        return [(self._first + start + i) * self._step for i in range(count)]


class TheirBlocks(Engine):
    """Blocks from its KVCacheManager with its own preallocation and page-aware allocation."""

    def __init__(self, manager: Any, layers: int, page_bytes: int) -> None:
        self.manager = manager
        self.blocks_per_page = page_bytes // manager.block_mem_size
        self.bytes_per_page = page_bytes * layers * 2

    def alloc(self, count: int) -> List[int]:
        found = self.manager.alloc(count)
        if found is None:
            raise RuntimeError("kvcached had no {0} blocks".format(count))
        return found

    def free(self, blocks: Sequence[int]) -> None:
        self.manager.free(list(blocks))

    def held_pages(self) -> int:
        state = self.manager.page_allocator.get_page_state()
        return int(state["inuse_pages"]) + int(state["reserved_pages"])
