"""Imports modules of an engine from a source folder, without installing the engine or what it depends on.

Only the modules that are named come from the source. Every other module of the engine, and every package that isn't installed, is a stand-in whose names are
empty classes: enough for imports, annotations and loggers. A stand-in that is *called* to do the engine's work would show at once, as it does nothing.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import types


class _Meta(type):
    """Empty classes give further empty classes for whatever is asked of them."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        made = _Meta(name, (Nothing,), {})
        setattr(cls, name, made)
        return made

    def __or__(cls, other):
        return cls

    __ror__ = __or__

    def __getitem__(cls, item):
        return cls


class Nothing(metaclass=_Meta):
    """A name of a stand-in."""

    def __init__(self, *arguments, **named):
        pass

    def __call__(self, *arguments, **named):
        # As a decorator it leaves alone what it decorates; a function of it gives nothing.
        return arguments[0] if arguments and callable(arguments[0]) else None

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing()

    def __bool__(self):
        return False


class _StandIn(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        made = _Meta(name, (Nothing,), {"__module__": self.__name__})
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, package, folder, real, packages):
        self.package, self.folder, self.real, self.packages = package, folder, real, packages

    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top == self.package and name in self.real:
            file = os.path.join(self.folder, *name.split(".")[1:])
            file = os.path.join(file, "__init__.py") if os.path.isdir(file) else file + ".py"
            return importlib.util.spec_from_file_location(name, file, submodule_search_locations=[] if file.endswith("__init__.py") else None)
        if top == self.package or top in self.packages:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _StandIn(spec.name)

    def exec_module(self, module):
        return None


def open_source(package, folder, real, packages=()):
    """From now on ``package`` is imported from ``folder``.

    :param folder: The folder of the package itself, such as ``SOURCE/vllm``.
    :param real: Names of the modules that are what is tested, or what that needs.
    :param packages: Further top-level packages to put stand-ins in place of, where they aren't installed.
    """
    missing = []
    for name in packages:
        try:
            found = importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            found = False
        missing += [] if found else [name]
    sys.meta_path.insert(0, _Finder(package, folder, set(real), set(missing)))
    return missing
