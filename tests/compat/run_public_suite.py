#!/usr/bin/env python3
"""Runs the public test suite of open-source kvcached against kvcached_client.compat, file by file.

    run_public_suite.py --socket /run/kvcached/engine-{device}.sock [--json RESULTS.json] [--markdown TABLE.md] KVCACHED_SOURCE [FILE ...]
    run_public_suite.py --host PROGRAM [--memory 24GiB] ... KVCACHED_SOURCE   starts a host of the first GPU
    run_public_suite.py --test-host PROGRAM ... KVCACHED_SOURCE               main memory: tests that need CUDA skip themselves or fail

KVCACHED_SOURCE is a checkout of kvcached; nothing of it is changed or copied. Every file runs in an interpreter of its own. ``--posix-ipc`` names a folder with posix_ipc
where that isn't installed: one with a built module, or its source, which is built there with a C compiler. ``--packages`` names a folder with other packages that
aren't installed: pytest, for one, runs from wherever its files are.

A file counts as proof only when ``kvcached.vmm_ops`` was this package's module from its first to its last test and its tests called into this package. Files that
put a fake of their own in its place, or test parts that never come near it, are counted apart.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from typing import Any, Dict, List, Optional

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(FOLDER))

# Why a file isn't run at all, or fails for a reason that is no fault of the layer.
EXPLAINED = {
    "test_ElasticMLAMemoryPool.py": "needs SGLang installed",
    "test_elastic_serving.py": "needs vLLM or SGLang and a model",
    "test_offline_serving.py": "needs vLLM and a model",
    "test_paged_allocator_aliasing.py": "a program whose first half writes to pages that nobody holds and expects them to overwrite each other; here such writes fault",
    "test_traffic_monitor.py": "a part of kvcached's controller, which needs its example configuration and aiohttp",
    "test_utils.py": "has no tests",
}


# Of the list 'integration': what needs a GPU and nothing else.
NEEDS_NO_ENGINE = {"test_prealloc_gil_deadlock.py"}


def manifest(source: str, name: str) -> List[str]:
    with open(os.path.join(source, "tests", "manifests", name + ".txt")) as file:
        return [os.path.basename(line.strip()) for line in file if line.strip() and not line.startswith("#")]


def build_posix_ipc(folder: str) -> str:
    """The folder to import posix_ipc from."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    if not glob.glob(os.path.join(folder, "posix_ipc*" + suffix)):
        subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, check=True)
    return folder


def start_host(program: str, memory: str) -> "tuple[subprocess.Popen[bytes], str]":
    """A host of the first GPU, and its engine socket."""
    gpu = subprocess.run(["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], stdout=subprocess.PIPE, check=True).stdout.decode().split()[0]
    folder = tempfile.mkdtemp(prefix="kvcached-")
    command = [program, "--gpu", gpu, "--backend", "cuda", "--memory", memory, "--hosts", "1", "--run-dir", folder, "--port", "0", "--management-port", "0"]
    host = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(os.path.join(folder, "host.log"), "wb"))
    line = host.stdout.readline() if host.stdout else b""
    if not line:
        raise SystemExit("the host did not start; see {0}/host.log".format(folder))
    return host, str(json.loads(line.decode())["socket"])


def run_file(source: str, name: str, environment: Dict[str, str], limit_seconds: float) -> Dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "report.json")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "compat_report", "-p", "no:cacheprovider", name if os.path.isabs(name) else os.path.join("tests", name)]
        variables = dict(environment, KVCACHED_COMPAT_REPORT=report)
        try:
            done = subprocess.run(command, cwd=source, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit_seconds)
            output, code = done.stdout.decode(errors="replace"), done.returncode
        except subprocess.TimeoutExpired as late:
            output, code = (late.stdout or b"").decode(errors="replace") + "\nstopped after {0} s".format(limit_seconds), -1
        result: Dict[str, Any] = {"file": name, "exit": code, "passed": 0, "failed": 0, "skipped": 0, "vmm_ops": "never imported", "calls": 0, "reasons": []}
        if os.path.isfile(report):
            with open(report) as file:
                result.update(json.load(file))
        # 5: nothing collected, as where a whole file skips itself.
        result["is_good"] = code in (0, 5) and result["failed"] == 0
        if not result["is_good"]:
            result["output"] = output[-6000:]
        return result


def explain(result: Dict[str, Any]) -> str:
    reasons = list(dict.fromkeys(result["reasons"]))
    if len(reasons) > 6:
        reasons = reasons[:6] + ["and {0} more".format(len(reasons) - 6)]
    known = EXPLAINED.get(result["file"])
    if known and (result["failed"] or not result["passed"]):
        reasons.insert(0, known)
    return "; ".join(reason.replace("|", "/").replace("\n", " ")[:200] for reason in reasons)


def table(results: List[Dict[str, Any]]) -> str:
    lines = ["| file | list | `vmm_ops` in place | calls into it | passed | failed | skipped | why |", "|---|---|---|---|---|---|---|---|"]
    for result in results:
        counts = "{calls} | {passed} | {failed} | {skipped}".format(**result)
        lines.append("| `{0}` | {1} | {2} | {3} | {4} |".format(result["file"], result["list"], result["vmm_ops"], counts, explain(result)))
    proof = [result for result in results if result["vmm_ops"] == "this package's" and result["calls"]]
    lines.append("")
    lines.append("{0} passed, {1} failed, {2} skipped; of those in files that called this package's modules and had them in place throughout, {3} passed, {4} failed.".format(
        *(sum(result[key] for result in results) for key in ("passed", "failed", "skipped")),
        *(sum(result[key] for result in proof) for key in ("passed", "failed")),
    ))
    return "\n".join(lines) + "\n"


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("files", nargs="*", help="default: the lists 'cpu' and 'gpu', and what needs no engine of 'integration'; the files in own/ come on top, for main memory")
    host = parser.add_mutually_exclusive_group(required=True)
    host.add_argument("--socket", help="engine socket; {device} stands for the GPU's UUID")
    host.add_argument("--host", help="the program Kvcached.Host: runs one for the first GPU")
    host.add_argument("--test-host", help="the program kvcached-test-host: two hosts on main memory")
    parser.add_argument("--memory", default="24GiB", help="what that host lends")
    parser.add_argument("--posix-ipc", help="folder with posix_ipc, built or as source")
    parser.add_argument("--packages", help="folder with packages that aren't installed, such as pytest")
    parser.add_argument("--commit", help="commit of the source, where it is no git checkout")
    parser.add_argument("--json", help="where to write the results")
    parser.add_argument("--markdown", help="where to write the table")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds that a file may take")
    options = parser.parse_args(arguments)

    source = os.path.abspath(options.source)
    if not options.commit and not os.path.isdir(os.path.join(source, ".git")):
        parser.error("{0} is no git checkout: name its commit with --commit".format(source))
    lists = {name: listed for listed in ("cpu", "gpu", "integration") for name in manifest(source, listed)}
    names = [os.path.basename(name) for name in options.files] or [name for name, listed in lists.items() if listed != "integration" or name in NEEDS_NO_ENGINE]
    paths = [FOLDER, os.path.join(FOLDER, "site"), os.path.join(ROOT, "python"), source]
    if options.packages:
        paths.append(os.path.abspath(options.packages))
    if options.posix_ipc:
        paths.append(build_posix_ipc(os.path.abspath(options.posix_ipc)))
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths), PYTHONDONTWRITEBYTECODE="1")
    environment.setdefault("KVCACHED_LIBRARY", os.path.join(ROOT, "artifacts", "native", "libkvcached.so"))

    test_host = real_host = None
    if options.host:
        real_host, options.socket = start_host(os.path.abspath(options.host), options.memory)
    if options.test_host:
        sys.path.insert(0, os.path.join(ROOT, "python"))
        os.environ["KVCACHED_TEST_HOST"] = os.path.abspath(options.test_host)
        from tests.host import TestHost

        test_host = TestHost()
        options.socket = os.path.join(test_host.folder, "{device}.sock")
    environment["KVCACHED_ENGINE_SOCKET"] = options.socket
    results = []
    # They use main memory, which only the test host lends.
    own = sorted(glob.glob(os.path.join(FOLDER, "own", "test_*.py"))) if test_host else []
    try:
        for name in names + own:
            result = run_file(source, name, environment, options.limit)
            result["file"], result["list"] = os.path.basename(name), lists.get(name, "ours")
            results.append(result)
            print("{file}: {passed} passed, {failed} failed, {skipped} skipped; vmm_ops: {vmm_ops}".format(**result), flush=True)
            if not result["is_good"]:
                print(result["output"], flush=True)
    finally:
        if test_host is not None:
            test_host.close()
        if real_host is not None:
            real_host.terminate()
            real_host.wait(60)
    commit = options.commit or subprocess.run(["git", "rev-parse", "HEAD"], cwd=source, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"python": sys.version.split()[0], "commit": commit, "files": results}, file, indent=1)
            file.write("\n")
    if options.markdown:
        with open(options.markdown, "w") as file:
            file.write(table(results))
    print(table(results))
    return 0 if all(result["is_good"] or result["file"] in EXPLAINED for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
