"""A host on main memory and what the checks over engines' own sources share."""

import json
import os
import shutil
import subprocess
import tempfile
import traceback

import kvcached_client as kvc

LENT_MIB = 32
DEVICE = "HOST-0"


class Host:
    """A host of its own domain on main memory."""

    def __init__(self, program):
        self.folder = tempfile.mkdtemp(prefix="kvcached-")
        command = [program, "--gpu", "none:0", "--memory", "{0}MiB".format(LENT_MIB), "--hosts", "1", "--port", "0", "--management-port", "0"]
        with open(os.path.join(self.folder, "host.log"), "wb") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=dict(os.environ, XDG_RUNTIME_DIR=self.folder))
        line = self._process.stdout.readline()
        if not line:
            with open(os.path.join(self.folder, "host.log"), errors="replace") as log:
                raise RuntimeError("the host did not start:\n" + log.read()[-1500:])
        self.socket = json.loads(line.decode())["socket"]

    def close(self):
        self._process.terminate()
        self._process.wait(60)
        self._process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def take(pool, count):
    """Blocks of a neighbour, which it gets once the coordinator knows its worker and the other engine has given way."""
    for _ in range(200):
        try:
            return pool.alloc_or_grow(0, count, timeout=5)
        except (kvc.UnavailableError, kvc.MemoryRefusedError) as refusal:
            last = refusal
    raise AssertionError("the neighbour got no memory: {0}".format(last))


def run_checks(checks):
    """Runs all methods whose names begin with ``check_``; gives results and details by name."""
    results, details = {}, {}
    for name in sorted(name for name in dir(checks) if name.startswith("check_")):
        details[name] = {}
        try:
            getattr(checks, name)(details[name].update)
            results[name] = "passed"
        except Exception as problem:
            results[name] = "{0}: {1}".format(type(problem).__name__, problem)
            traceback.print_exc()
        print("{0}: {1} {2}".format(name, results[name], json.dumps(details[name])), flush=True)
    return results, details
