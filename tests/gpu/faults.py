"""See faults.sh."""

import argparse
import ctypes
import subprocess
import sys
import traceback

from domain import Domain, until

GROW = "grow pool=p pages=3 deadline=30"

# Three pages are two extents, of one piece each: call 1 finds nothing done yet, call 2 something to undo.
HOST_MAPS = {"reserve": "open", "create": "grow", "map": "grow", "setaccess": "grow", "unmap": "trim", "release": "close", "free": "close"}
WORKER_MAPS = {"create": "grow", "export": "grow", "release": "close"}
IN_WORKER = {"import": "grow", "map": "grow", "setaccess": "grow", "unmap": "trim", "release": "trim"}


def engine(domain, probe, target):
    """A scheduler, and the workers of both ranks where those map."""
    scheduler = domain.start(probe)
    scheduler.do("open-session socket={0} engine=faults".format(domain.sockets[0]))
    return scheduler, [domain.start(probe) for _ in domain.gpus] if target == "Worker" else []


def open_pool(domain, scheduler, workers, target):
    answer = scheduler.ask("open-pool name=p gpus={0} pages=64 target={1}".format(",".join(domain.gpus), target))
    if answer["ok"]:
        for rank, worker in enumerate(workers):
            worker.do("attach socket={0} pool=p rank={1} gpu={2}".format(domain.sockets[rank], rank, domain.gpus[rank]))
    return answer


def grow(scheduler):
    """Asks once all workers are known to be attached."""
    answers = []

    def is_answered():
        answers.append(scheduler.ask(GROW))
        return answers[-1]["ok"] or answers[-1]["reason"] != "NotAttached"

    until(is_answered, "the workers are attached")
    return answers[-1]


def agree(domain, workers, pages):
    """All ranks have so many pages, the same ones, and nothing is left over."""

    def is_level():
        # A refusal doesn't wait for ranks that still undo their part.
        used = [gpu["usedBytes"] for gpu in domain.ask("/gpus")]
        return domain.is_settled() and used[0] == used[1]

    until(is_level, "nothing is under way or held back, and all ranks hold the same")
    pool = domain.ask("/pools/p")
    assert pool["state"] == "ready" and pool["mappedPageCount"] == pages, pool
    arenas = [worker.do("arena") for worker in workers]
    assert all(arena["digest"] == pool["digest"] and arena["pages"] == pages for arena in arenas), (pool, arenas)
    assert domain.ask("/pools")["counters"]["digestMismatches"] == 0


def refused(answer, reasons):
    assert not answer["ok"] and answer["reason"] in reasons, answer


def host_fails(arguments, target, step, call, when, code):
    """The second host's driver refuses one call; what was asked then is refused or put right, and all that follows works."""
    domain = Domain(arguments.host, arguments.gpus, ["{0}:{1}:{2}".format(step, call, code)])
    try:
        scheduler, workers = engine(domain, arguments.probe, target)
        reasons = ["OutOfMemory"] if code == "OutOfMemory" else ["DriverFailed", "Busy"]
        opened = open_pool(domain, scheduler, workers, target)
        if when == "open":
            refused(opened, reasons)
            opened = open_pool(domain, scheduler, workers, target)
        assert opened["ok"], opened
        grown = grow(scheduler)
        if when == "grow":
            refused(grown, reasons)
            agree(domain, workers, 0)
            grown = scheduler.do(GROW)
        assert grown["ok"], grown
        agree(domain, workers, 3)
        scheduler.do("trim pool=p")
        agree(domain, workers, 0)
        scheduler.do(GROW)
        agree(domain, workers, 3)
        scheduler.do("close-pool pool=p")
        until(lambda: domain.is_settled() and all(gpu["usedBytes"] == 0 for gpu in domain.ask("/gpus")), "everything is given back")
    finally:
        domain.close()


def worker_fails(arguments, rank, step, call, when):
    """The same with the driver of one worker."""
    domain = Domain(arguments.host, arguments.gpus)
    try:
        scheduler, workers = engine(domain, arguments.probe, "Worker")
        assert open_pool(domain, scheduler, workers, "Worker")["ok"]
        assert grow(scheduler)["ok"]
        if when == "grow":
            scheduler.do("trim pool=p")
        workers[rank].do("fail fault={0}:{1}:Unknown".format(step, call))
        if when == "grow":
            refused(scheduler.ask(GROW), ["DriverFailed"])
            agree(domain, workers, 0)
            scheduler.do(GROW)
            agree(domain, workers, 3)
        scheduler.do("trim pool=p")
        agree(domain, workers, 0)
        scheduler.do(GROW)
        agree(domain, workers, 3)
        scheduler.do("close-pool pool=p")
    finally:
        domain.close()


def device_is_full(arguments):
    """Something else takes nearly all of the second GPU, of which its host knows nothing."""
    domain = Domain(arguments.host, arguments.gpus, memory="32GiB")
    try:
        scheduler, _ = engine(domain, arguments.probe, "Host")
        # 8 MiB a page on each rank.
        scheduler.do("open-pool name=p gpus={0} pages=2048 target=Host".format(",".join(domain.gpus)))
        hog = subprocess.Popen(
            [sys.executable, __file__, "--take-all-of", domain.gpus[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True)
        try:
            assert hog.stdout.readline().startswith("taken"), "the GPU could not be filled"
            refused(scheduler.ask("grow pool=p pages=256 deadline=30"), ["OutOfMemory", "DeviceShort"])
            agree(domain, [], 0)
        finally:
            hog.stdin.close()
            hog.wait(60)

        def is_granted():
            # The host looks at the device from time to time, and until then takes it for full.
            answer = scheduler.ask("grow pool=p pages=256 deadline=60")
            if not answer["ok"]:
                refused(answer, ["OutOfMemory", "DeviceShort"])
            return answer["ok"]

        until(is_granted, "memory that others gave back is lent")
        agree(domain, [], 256)
    finally:
        domain.close()


def take_all_of(uuid):
    """Takes a GPU's memory but for some 300 MiB, until the input ends."""
    cuda = ctypes.CDLL("libcuda.so.1")
    count, wanted = ctypes.c_int(), bytes.fromhex(uuid.replace("GPU-", "").replace("-", ""))
    assert cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
    for ordinal in range(count.value):
        own = (ctypes.c_ubyte * 16)()
        assert cuda.cuDeviceGetUuid_v2(own, ordinal) == 0
        if bytes(own) == wanted:
            context, free, total, address = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_uint64()
            assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), ordinal) == 0 and cuda.cuCtxSetCurrent(context) == 0
            assert cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)) == 0
            assert cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(free.value - (300 << 20))) == 0
            print("taken", flush=True)
            sys.stdin.read()
            return 0
    raise RuntimeError("there is no " + uuid)


def cases(arguments):
    for target, steps in (("Host", HOST_MAPS), ("Worker", WORKER_MAPS)):
        for step, when in steps.items():
            for call in (1,) if step in ("reserve", "free") else (1, 2):
                yield "a host's {0} {1}, target {2}".format(step, call, target), lambda t=target, s=step, c=call, w=when: host_fails(arguments, t, s, c, w, "Unknown")
        for call in (1, 2):
            yield "out of memory at piece {0}, target {1}".format(call, target), lambda t=target, c=call: host_fails(arguments, t, "create", c, "grow", "OutOfMemory")
    for step, when in IN_WORKER.items():
        for call in (1, 2):
            yield "a worker's {0} {1}".format(step, call), lambda s=step, c=call, w=when: worker_fails(arguments, 1, s, c, w)
    if arguments.backend == "cuda":
        yield "a GPU that something else fills", lambda: device_is_full(arguments)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--take-all-of", metavar="UUID", help=argparse.SUPPRESS)
    parser.add_argument("--backend", choices=["cuda", "host"], default="cuda")
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("host", nargs="?")
    parser.add_argument("probe", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if arguments.take_all_of:
        return take_all_of(arguments.take_all_of)
    if arguments.backend == "host":
        arguments.gpus = ["none:0", "none:1"]
    else:
        listed = subprocess.run(["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], stdout=subprocess.PIPE, universal_newlines=True, check=True)
        arguments.gpus = listed.stdout.split()[:2]
        if len(arguments.gpus) < 2:
            parser.error("two GPUs are needed; with --backend host none")
    passed = failed = 0
    for name, run in cases(arguments):
        if arguments.only not in name:
            continue
        try:
            run()
            passed += 1
            print("ok      " + name, flush=True)
        except Exception:
            failed += 1
            print("FAILED  " + name, flush=True)
            traceback.print_exc()
    print("{0} passed, {1} failed".format(passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
