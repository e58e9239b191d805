"""Compares an engine's sources with what an integration relies on, without importing them.

What is relied on lies in ``recorded.json`` of the integration: for each release the upstream commit, the parameters of every function that is replaced, wrapped
or called, and the attributes of classes that are read. It is compared at start-up with the installed package, and by hand with any source folder:

    python3 -m kvcached_client.integrations.recorded vllm SOURCE/vllm [RELEASE]
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import sys
from importlib import metadata
from typing import Any, Dict, List, Optional, Union

from .errors import IntegrationError

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]


def recorded(engine: str) -> Dict[str, Any]:
    """What is recorded of an engine, by ``major.minor`` (``vllm``) or the whole version (``sglang``) of its releases."""
    with open(os.path.join(_FOLDER, engine, "recorded.json"), encoding="utf-8") as file:
        return json.load(file)


def release_of(releases: Dict[str, Any], version: str) -> Optional[str]:
    """The recorded release that a version belongs to: the version itself or its ``major.minor``; None when there is none."""
    plain = version.split("+")[0]
    return next((release for release in (plain, ".".join(plain.split(".")[:2])) if release in releases), None)


def parameters_of(function: _Function) -> List[str]:
    """Names of a function's parameters in order, with their stars."""
    said = function.args
    names = [item.arg for item in (*said.posonlyargs, *said.args)]
    names += ["*" + said.vararg.arg] if said.vararg else []
    names += [item.arg for item in said.kwonlyargs]
    return names + (["**" + said.kwarg.arg] if said.kwarg else [])


def attributes_of(node: ast.AST) -> List[str]:
    """Names that a class, its methods or a module assign: fields, ``self.name`` and imported names."""
    names = []
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Assign, ast.AnnAssign)):
            for target in inner.targets if isinstance(inner, ast.Assign) else [inner.target]:
                if isinstance(target, ast.Name):
                    names.append(target.id)
                elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                    names.append(target.attr)
        elif isinstance(inner, (ast.ImportFrom, ast.Import)):
            names.extend(alias.asname or alias.name for alias in inner.names)
    return names


def differences(release: Dict[str, Any], folder: str) -> List[str]:
    """What is not as recorded of a release in the package at ``folder``; empty when all is."""
    found: List[str] = []
    trees: Dict[str, Optional[ast.AST]] = {}
    for place, expected in release["functions"].items():
        node = _find(trees, folder, place, found)
        if node is None:
            continue
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append("{0} is no function any more".format(place))
        elif parameters_of(node) != expected:
            found.append("{0} has the parameters ({1}) instead of ({2})".format(place, ", ".join(parameters_of(node)), ", ".join(expected)))
    for place, expected in release["attributes"].items():
        node = _find(trees, folder, place, found)
        missing = sorted(set(expected) - set(attributes_of(node))) if node is not None else []
        if missing:
            found.append("{0} has no {1}".format(place, ", ".join(missing)))
    return found


def _find(trees: Dict[str, Optional[ast.AST]], folder: str, place: str, found: List[str]) -> Optional[ast.AST]:
    """The module, class or function at ``FILE:NAME.NAME``; None, and a word in ``found``, when it isn't there."""
    path, _, names = place.partition(":")
    if path not in trees:
        try:
            with open(os.path.join(folder, path), encoding="utf-8") as file:
                trees[path] = ast.parse(file.read())
        except (OSError, SyntaxError) as problem:
            trees[path] = None
            found.append("{0} can't be read: {1}".format(path, problem))
    node = trees[path]
    for name in names.split(".") if names and node is not None else ():
        inside = [child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == name]
        if not inside:
            found.append("{0} isn't there".format(place))
            return None
        node = inside[-1]
    return node


def release_of_source(engine: str, folder: str, wanted: Optional[str] = None) -> str:
    """The newest recorded release that the package at ``folder`` is the same as; or the one that is wanted, if it is.

    :raises IntegrationError: It is like none of them.
    """
    releases = recorded(engine)
    for name in sorted(releases, key=lambda release: [int(part) for part in release.split(".")], reverse=True):
        if wanted in (None, name) and not differences(releases[name], folder):
            return name
    raise IntegrationError("the source in {0} is as none of the recorded releases of {1} ({2}).".format(folder, engine, ", ".join(sorted(releases))))


def require_installed(engine: str) -> str:
    """Does nothing when the installed engine is as recorded; gives its version.

    :raises IntegrationError: It isn't installed, is an unknown release, or differs: names every difference, and what to do. Nothing of it was changed.
    """
    try:
        version = metadata.version(engine)
        spec = importlib.util.find_spec(engine)
    except (metadata.PackageNotFoundError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise IntegrationError("{0} isn't installed here, but kvcached is switched on for it; install it, or leave kvcached off.".format(engine))
    releases = recorded(engine)
    release = release_of(releases, version)
    if release is None:
        found = ["this release isn't among those that were recorded ({0})".format(", ".join(sorted(releases)))]
    else:
        found = differences(releases[release], list(spec.submodule_search_locations)[0])
    if found:
        raise IntegrationError(
            "{0} {1} is not what this version of kvcached_client was written for, so nothing of it was changed: {2}. Install {0} {3}, or a kvcached_client that "
            "knows {1}; or leave kvcached off.".format(engine, version, "; ".join(found), " or ".join(sorted(releases)))
        )
    return version


def main(words: List[str]) -> int:
    if len(words) not in (2, 3):
        print(__doc__)
        return 2
    engine, folder = words[:2]
    known = sorted(name for name in os.listdir(_FOLDER) if os.path.isfile(os.path.join(_FOLDER, name, "recorded.json")))
    if engine not in known:
        print("nothing is recorded of {0}; there are {1}".format(engine, ", ".join(known)))
        return 2
    releases = recorded(engine)
    if not os.path.isdir(folder) or not set(words[2:]) <= set(releases):
        print("{0} must be the folder of the package {1}, and a release one of {2}".format(folder, engine, ", ".join(sorted(releases))))
        return 2
    count = 0
    for name in words[2:] or sorted(releases):
        found = differences(releases[name], folder)
        print("{0} as recorded of {1} ({2}): {3}".format(folder, name, releases[name]["commit"], "the same" if not found else "{0} differences".format(len(found))))
        for line in found:
            print("  " + line)
        count += not found
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
