"""Gives the names ``kvcached.vmm_ops`` and ``kvcached.tp_ipc_util`` to the modules of this package, before kvcached's own are looked for."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import os
import sys
from types import ModuleType
from typing import Any, Optional, Sequence

from . import environment

NAMES = {"kvcached.vmm_ops": "kvcached_client.compat.vmm_ops", "kvcached.tp_ipc_util": "kvcached_client.compat.tp_ipc"}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the stand-ins; the module object is the same under both names, so that its state is one."""

    def find_spec(self, fullname: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None) -> Any:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in NAMES else None

    def create_module(self, spec: Any) -> ModuleType:
        module = importlib.import_module(NAMES[spec.name])
        self._true_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put the alias's spec on the module; it is loaded already and keeps its own.
        module.__spec__ = self._true_spec


def is_wanted() -> bool:
    """Whether the variable that switches this on is set."""
    return bool(os.environ.get(environment.SOCKET))


def install() -> bool:
    """Installs the stand-ins if they are wanted and kvcached's own are not loaded yet. True when they are in place.

    :raises RuntimeError: kvcached's native module is loaded already; two allocators in one process would each believe that the memory is theirs.
    """
    if not is_wanted():
        return False
    for name, ours in NAMES.items():
        loaded = sys.modules.get(name)
        if loaded is not None and loaded is not sys.modules.get(ours):
            raise RuntimeError("{0} is loaded already; {1} must be set before anything imports kvcached".format(name, environment.SOCKET))
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        environment.read()
        environment.name_unknown()
        sys.meta_path.insert(0, _Finder())
    return True
