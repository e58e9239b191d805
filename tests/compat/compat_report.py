"""A pytest plugin: puts the compat layer in place before anything is collected, and writes down what passed and whose ``vmm_ops`` the tests had."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, List

from kvcached_client.compat import install

NAME = "kvcached.vmm_ops"
_LAYER = os.sep + os.path.join("kvcached_client", "compat") + os.sep
_calls = 0
_reports: List[Any] = []
_owners: List[str] = []


def pytest_configure(config: Any) -> None:
    if not install():
        raise RuntimeError("KVCACHED_ENGINE_SOCKET is not set")
    # Loaded first, so that files which put a fake in place "if it can't be imported" get the real one.
    import kvcached.vmm_ops  # noqa: F401


def pytest_runtest_setup(item: Any) -> None:
    _owners.append(_owner())
    sys.setprofile(_count)


def pytest_runtest_teardown(item: Any) -> None:
    sys.setprofile(None)
    _owners.append(_owner())


def _count(frame: Any, event: str, argument: Any) -> None:
    """Counts calls of this package's modules by the thread that runs the tests."""
    global _calls
    if event == "call" and _LAYER in frame.f_code.co_filename and not frame.f_code.co_filename.endswith("activate.py"):
        _calls += 1


def pytest_runtest_logreport(report: Any) -> None:
    _reports.append(report)


def pytest_collectreport(report: Any) -> None:
    if report.outcome != "passed":
        _reports.append(report)


def pytest_sessionfinish(session: Any) -> None:
    failed = [report for report in _reports if report.outcome == "failed"]
    skipped = [report for report in _reports if report.outcome == "skipped"]
    result = {
        "passed": sum(report.outcome == "passed" and getattr(report, "when", None) == "call" for report in _reports),
        "failed": len(failed),
        "skipped": len(skipped),
        "vmm_ops": _summary(),
        "calls": _calls,
        "tests": {report.nodeid: report.outcome for report in _reports if getattr(report, "when", "call") == "call" or report.outcome != "passed"},
        "reasons": [str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).strip() for report in skipped]
        + [getattr(report, "nodeid", "") + " failed" for report in failed],
    }
    with open(os.environ["KVCACHED_COMPAT_REPORT"], "w") as file:
        json.dump(result, file)


def _owner() -> str:
    module = sys.modules.get(NAME)
    return "this package's" if module is not None and module is sys.modules.get("kvcached_client.compat.vmm_ops") else "a fake of the file's own"


def _summary() -> str:
    owners = set(_owners)
    return owners.pop() if len(owners) == 1 else "no test ran" if not owners else "a fake of the file's own in some tests"
