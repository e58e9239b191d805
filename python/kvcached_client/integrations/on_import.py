"""Changes a module of an engine when it is imported, and not before: an engine loads plugins while it is only half imported itself."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any, Callable, Dict, Optional, Sequence

Change = Callable[[ModuleType], None]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing itself: asks the other finders, and has the module changed once it was executed."""

    def __init__(self) -> None:
        self.changes: Dict[str, Change] = {}

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        change = self.changes.pop(fullname, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            _wrap(spec.loader, change)
        return spec


def _wrap(loader: Any, change: Change) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        change(module)

    loader.exec_module = exec_module


_finder = _Finder()


def when_imported(name: str, change: Change) -> None:
    """Calls ``change`` with the module of this name: at once if it is imported already, else right after it was executed."""
    there = sys.modules.get(name)
    if there is not None:
        change(there)
        return
    _finder.changes[name] = change
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
