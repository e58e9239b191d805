"""What taking and freeing 16 blocks costs from Python, beside ctypes calls that do nothing: python3 alloc_free.py --socket PATH [--gpu HOST-0]

Needs a host; opens a pool there, maps it in this process (rank 0), and times single calls with the clock of the process. Prints nanoseconds per
call, median and 99th percentile, less nothing: the clock's own cost stands in a line of its own. Where there is a C compiler, the same pair is
also called from a loop in C, which is what the library itself takes.
"""

import argparse
import ctypes
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import kvcached_client as kvc  # noqa: E402
from kvcached_client._library import library, library_path  # noqa: E402

BLOCKS = 16

# Runs of 1000 pairs, since reading the clock would take a good part of one.
LOOP = """
#include <stdint.h>
#include <time.h>
typedef int32_t (*alloc_call)(uint64_t, int32_t, int32_t *, int32_t);
typedef int32_t (*free_call)(uint64_t, int32_t, const int32_t *, int32_t, int64_t);
int32_t pairs(alloc_call take, free_call give, uint64_t pool, int32_t *blocks, int32_t count, int64_t *nanoseconds)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 1000; i++)
        if (take(pool, 0, blocks, count) || give(pool, 0, blocks, count, 0)) return 1;
    clock_gettime(CLOCK_MONOTONIC, &after);
    *nanoseconds = (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
    return 0;
}
"""


def measure_in_c(lib, handle, blocks):
    """Median and worst of 200 runs, nanoseconds a pair; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "loop.so")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", made], input=LOOP.encode(), check=True)
        loop = ctypes.CDLL(made)
        taken = ctypes.c_int64()
        samples = []
        for _ in range(200):
            if loop.pairs(lib.kvc_blocks_alloc, lib.kvc_blocks_free, ctypes.c_uint64(handle), blocks, BLOCKS, ctypes.byref(taken)):
                raise RuntimeError(lib.kvc_last_error().decode())
            samples.append(taken.value // 1000)
    samples.sort()
    return samples[len(samples) // 2], samples[-1]


def measure(call, repeats):
    clock = time.perf_counter_ns
    samples = [0] * repeats
    for _ in range(2000):
        call()
    gc.disable()
    for i in range(repeats):
        started = clock()
        call()
        samples[i] = clock() - started
    gc.enable()
    samples.sort()
    return samples[repeats // 2], samples[repeats * 99 // 100]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--socket", required=True, help="engine socket of the GPU's host")
    parser.add_argument("--gpu", default="HOST-0", help="the host's GPU: its UUID, or HOST-n")
    parser.add_argument("--repeats", type=int, default=200_000)
    parser.add_argument("--pages", type=int, default=64, help="pages mapped before the measurement")
    arguments = parser.parse_args()
    if arguments.repeats < 100:
        parser.error("at least 100 repeats are needed for a 99th percentile")

    group = kvc.multi_head("full", layers=2, kv_heads=8, head_elements=128, virtual_bytes=4 << 30)
    spec = kvc.PoolSpec("bench-{0}".format(os.getpid()), [group], [arguments.gpu])
    lib = library()
    releasing = ctypes.CDLL(library_path())
    with kvc.Session(arguments.socket, "alloc-free-bench") as session, session.open_pool(spec, kvc.PoolOptions(grow_ahead=False, warm_decay=None)) as pool:
        with kvc.Arena(arguments.socket, spec.name, 0, arguments.gpu):
            pool.grow(0, arguments.pages, timeout=30)
            blocks = (ctypes.c_int32 * BLOCKS)()
            handle = pool._handle
            alloc, free = lib.kvc_blocks_alloc, lib.kvc_blocks_free

            def native_pair():
                if alloc(handle, 0, blocks, BLOCKS) or free(handle, 0, blocks, BLOCKS, 0):
                    raise RuntimeError(lib.kvc_last_error().decode())

            def python_pair():
                pool.free(0, pool.alloc(0, BLOCKS), 0)

            rows = [
                ("the clock alone", lambda: None),
                ("ctypes call that does nothing, lock kept", lib.kvc_abi_version),
                ("the same, lock released", releasing.kvc_abi_version),
                ("kvc_blocks_alloc + kvc_blocks_free of {0}".format(BLOCKS), native_pair),
                ("Pool.alloc + Pool.free of {0}".format(BLOCKS), python_pair),
            ]
            print("{0:<45} {1:>10} {2:>10}".format("ns per call", "median", "p99"))
            for name, call in rows:
                median, p99 = measure(call, arguments.repeats)
                print("{0:<45} {1:>10} {2:>10}".format(name, median, p99), flush=True)
            in_c = measure_in_c(lib, handle, blocks)
            if in_c is not None:
                print("{0:<45} {1:>10} {2:>10}  (worst of 200 runs of 1000)".format("kvc_blocks_alloc + free of {0}, from C".format(BLOCKS), *in_c))


if __name__ == "__main__":
    main()
