"""Compares the installed transformers with what this integration was written for; exit code 0 when all is as recorded."""

from __future__ import annotations

import importlib
import inspect
import sys

from .signatures import KNOWN, PACKAGE, differences, release_of


def main() -> int:
    try:
        version = importlib.import_module("transformers").__version__
    except ImportError as problem:
        print("transformers can't be imported with this Python ({0}): {1}. Install it, or run this with the Python that the engine runs with.".format(sys.executable, problem))
        return 2
    found = differences(version, lambda name: importlib.import_module("{0}.{1}".format(PACKAGE, name)))
    print("transformers {0}; recorded: {1}".format(version, ", ".join(sorted(KNOWN))))
    for item in KNOWN.get(release_of(version), next(iter(KNOWN.values()))):
        module, _, path = item.place.partition(":")
        try:
            there = importlib.import_module("{0}.{1}".format(PACKAGE, module))
            for name in path.split("."):
                there = getattr(there, name)
            print("  {0}{1}".format(item.place, inspect.signature(there)))
        except (ImportError, AttributeError, ValueError, TypeError) as problem:
            print("  {0}: {1}".format(item.place, problem))
    for line in found:
        print("DIFFERS: " + line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
