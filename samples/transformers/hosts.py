"""A host for one GPU, to try an engine on."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.request


class Host:
    """A host of its own domain. ``kvctl`` lies beside the host's program.

    :param program: The program Kvcached.Host.
    :param gpu: UUID of the GPU; the engine's processes see the same one.
    :param memory: What it lends, such as ``24GiB``.
    :param first: The first host of the domain, if this is not it; they share its folder.
    :param hosts: Hosts that the domain has.
    """

    def __init__(self, program, gpu, memory, first=None, hosts=1):
        self.folder = first.folder if first else tempfile.mkdtemp(prefix="kvcached-")
        self._program, self._gpu, self._memory, self._first, self._hosts = program, gpu, memory, first, hosts
        self._ready = None
        self.start()

    def start(self):
        command = [self._program, "--gpu", self._gpu, "--backend", "cuda", "--memory", self._memory, "--hosts", str(self._hosts), "--port", "0"]
        command += ["--management-port", "0", "--run-dir", os.path.join(self.folder, "run")]
        command += ["--seed", "127.0.0.1:{0}".format(self._first.port)] if self._first else []
        with open(os.path.join(self.folder, "host.log"), "ab") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the host did not start:\n" + self.log())
        self._ready = json.loads(line.decode())

    @property
    def socket(self):
        return self._ready["socket"]

    @property
    def port(self):
        return self._ready["port"]

    def ask(self, path):
        """What the management interface answers, such as ``/pools``."""
        with urllib.request.urlopen("http://127.0.0.1:{0}{1}".format(self._ready["managementPort"], path), timeout=30) as answer:
            return json.load(answer)

    def pools(self):
        """Mapped bytes by pool."""
        return {pool["name"]: sum(pool["mappedBytes"]) for pool in self.ask("/pools")["pools"]}

    def limit(self, pool, size):
        """``kvctl limit``: exit code and what it said. 5 says that the limit is in force and the pool above it."""
        url = "http://127.0.0.1:{0}".format(self._ready["managementPort"])
        token = os.path.join(self.folder, "run", "management-{0}.token".format(self._ready["managementPort"]))
        command = [os.path.join(os.path.dirname(self._program), "kvctl"), "limit", pool, size, "--url", url, "--token-file", token]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.returncode, done.stdout.decode().strip()

    def log(self, characters=1500):
        with open(os.path.join(self.folder, "host.log"), errors="replace") as log:
            return log.read()[-characters:]

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)
        self._process.stdout.close()

    def close(self):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
        if not self._first:
            shutil.rmtree(self.folder, ignore_errors=True)


def first_gpu():
    """UUID of the GPU that CUDA calls 0 here."""
    import kvcached_client

    return kvcached_client.cuda_device_uuid(0)
