"""Runs the tests that need a host against two real ones, which it starts on main memory: ``python3 -m tests.real [MODULE...]``."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

from tests import run
from tests.support import ROOT

PROGRAM = os.environ.get("KVCACHED_HOST") or os.path.join(ROOT, "src", "Host", "bin", "Release", "net10.0", "Kvcached.Host")
MODULES = [
    "test_blocks", "test_cache", "test_compat", "test_ends", "test_forks", "test_parallel", "test_samples", "test_serving", "test_sglang", "test_transformers_engine", "test_transformers_memory",
    "test_transformers_team", "test_vllm",
]


def start(folder, number, seed):
    """Starts a host and waits until it says where it can be reached."""
    command = [PROGRAM, "--port", "0", "--management-port", "0", "--memory", "512MiB", "--hosts", "2", "--gpu", "none:{0}".format(number)] + seed
    errors = open(os.path.join(folder, "host-{0}.log".format(number)), "wb")
    host = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=dict(os.environ, XDG_RUNTIME_DIR=folder))
    line = host.stdout.readline()
    if not line:
        raise RuntimeError("host {0} did not start: see {1}".format(number, errors.name))
    return host, json.loads(line.decode())


def main() -> int:
    folder = tempfile.mkdtemp(prefix="kvcached-")
    hosts = []
    try:
        seed = []
        said = []
        for number in range(2):
            host, ready = start(folder, number, seed)
            hosts.append(host)
            said.append(ready)
            seed = ["--seed", "127.0.0.1:{0}".format(said[0]["port"])]
        os.environ["KVCACHED_SOCKETS"] = " ".join(ready["socket"] for ready in said)
        os.environ["KVCACHED_MANAGEMENT"] = "http://127.0.0.1:{0}".format(said[0]["managementPort"])
        sys.argv[1:] = sys.argv[1:] or MODULES
        return run.main()
    finally:
        for host in hosts:
            host.terminate()
            host.wait(60)
            host.stdout.close()
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
