"""SGLang's own slot allocators and prefix tree over real pools on main memory, through this package's plugin.

    tests/engines/sglang_allocation.py --host Kvcached.Host SOURCE/python/sglang [--json FILE]     with KVCACHED_LIBRARY set, and PyTorch installed
SOURCE is an SGLang source of a recorded release; nothing of it needs to be installed. A "model" keeps each token in the KV buffers and compares all of them at
every step. SGLang's scheduler and its kernels aren't part of it. Ends in "N passed, N failed".
"""

import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]

import sglang_parts as engine  # noqa: E402
from main_memory import DEVICE, LENT_MIB, Host, run_checks, take  # noqa: E402

import kvcached_client as kvc  # noqa: E402
from kvcached_client.integrations import recorded  # noqa: E402
from kvcached_client.integrations.sglang import hooks  # noqa: E402
from kvcached_client.integrations.sglang.settings import Settings  # noqa: E402

MIB = 1 << 20
SIZE = 60000  # tokens: 15 pieces of 4096, 8 MiB each over two layers, where 4 are lent


def requests_of(count, length):
    """Prompts in four families that share their first half."""
    return [[1000 * (i % 4) + k for k in range(length // 2)] + [10000 + 100 * i + k for k in range(length // 2 + 5 * i)] for i in range(count)]


class Checks:
    def __init__(self, socket):
        self.socket = socket
        self.configurator = engine.configurator()
        hooks.change_configurator(self.configurator)
        hooks.change_tree(engine.module("radix_cache"))

    def engine(self, name, page_size, **settings):
        return engine.Engine(Settings(self.socket, pool=name, start_timeout=60.0, spare_tokens=0, **settings), self.configurator, SIZE, page_size)

    def require(self, is_so, what):
        if not is_so:
            raise AssertionError(what)

    def require_sound(self, ours):
        self.require(not ours.wrong, "tokens in memory differ: {0}".format(ours.wrong[:3]))
        free, cached, used = ours.counts()
        whole = SIZE // ours.page_size * ours.page_size
        self.require(used == 0 and free + cached == whole, "slots are lost: {0} free, {1} cached, {2} in use of {3}".format(free, cached, used, whole))

    def serve_and_idle(self, page_size, note):
        """Requests with shared beginnings, pieces mapped as they are needed; an idle engine gives back what nothing is in."""
        ours = self.engine("ample-{0}".format(page_size), page_size)
        try:
            at_start = ours.owner.backed_bytes
            ours.serve(requests_of(12, 800), 6)
            at_peak = ours.owner.backed_bytes
            self.require_sound(ours)
            self.require(ours.hit_tokens > 0 and ours.compared > 0, "nothing was found again")
            ours.tree.evict_for_others(engine.module("base_prefix_cache").EvictParams(num_tokens=SIZE))
            ours.settle(is_idle=True)
            held = ours.memory.pool.stats().used_blocks
            for _ in range(500):  # the library may be growing ahead still
                ours.memory.pool.trim(0, timeout=30)
                if ours.owner.backed_bytes <= at_start:
                    break
            note(hit_tokens=ours.hit_tokens, compared=ours.compared, bytes=[at_start, at_peak, ours.owner.backed_bytes])
            self.require(held == 1, "an idle engine holds {0} pieces".format(held))
            self.require(at_start < at_peak and ours.owner.backed_bytes == at_start, "memory didn't come and go: {0}, {1}, {2}".format(at_start, at_peak, ours.owner.backed_bytes))
            self.require_sound(ours)
        finally:
            ours.close()

    def check_token_allocator(self, note):
        self.serve_and_idle(1, note)

    def check_paged_allocator(self, note):
        self.serve_and_idle(16, note)

    def check_exhausted_pool_is_a_miss(self, note):
        """Two pieces for requests that want five: they wait for each other and the tree drops what it can."""
        ours = self.engine("short", 16, limit_bytes=16 * MIB, grow_timeout=0.05)
        try:
            ours.serve(requests_of(16, 1600), 16)
            note(misses=ours.misses, refusals=ours.memory.elastic.misses, compared=ours.compared)
            self.require_sound(ours)
            self.require(ours.misses > 0 and ours.memory.elastic.misses > 0, "memory was never short, so that nothing was tried")
        finally:
            ours.close()

    def check_a_neighbour_gets_what_is_only_cached(self, note):
        """The pool is asked to shrink: the prefix tree drops what nobody uses, pieces go, and what is found afterwards is still right."""
        ours = self.engine("cached", 1, grow_timeout=1.0)
        try:
            ours.serve(requests_of(12, 1800), 6)
            before, cached = ours.owner.backed_bytes, ours.tree.evictable_size()
            with kvc.Session(self.socket, "neighbour") as session:
                group = kvc.Group("kv", "multi_head", 16, 1, 1, 2 * MIB, 2 * MIB, LENT_MIB // 2)
                with session.open_pool(kvc.PoolSpec("neighbour", [group], [DEVICE]), kvc.PoolOptions(null_block=False)) as pool:
                    with kvc.Arena(self.socket, "neighbour", 0, DEVICE):
                        taken = take_while(pool, LENT_MIB // 4 - 1, lambda: ours.settle(is_idle=False))
                        after, left = ours.owner.backed_bytes, ours.tree.evictable_size()
                        pool.free(0, taken, kvc.STEP_NONE)
            ours.serve(requests_of(12, 1800), 6)
            note(bytes=[before, after], cached=[cached, left], compared=ours.compared)
            self.require_sound(ours)
            self.require(after < before and left < cached, "nothing was given up: {0} and {1} bytes, {2} and {3} cached".format(before, after, cached, left))
        finally:
            ours.close()


def take_while(pool, count, between):
    """As :func:`take`, with the other engine at work between two attempts."""
    for _ in range(2000):
        between()
        try:
            return pool.alloc_or_grow(0, count, timeout=0.2)
        except (kvc.UnavailableError, kvc.MemoryRefusedError):
            continue
    return take(pool, count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="the program Kvcached.Host")
    parser.add_argument("--json", help="file to write the results to")
    parser.add_argument("--release", help="which of the recorded releases it is; default: the newest that it is the same as")
    parser.add_argument("source", help="the folder of SGLang's package, such as SOURCE/python/sglang")
    arguments = parser.parse_args()
    release = recorded.release_of_source("sglang", arguments.source, arguments.release)
    host = Host(arguments.host)
    try:
        missing = engine.load(arguments.source)
        results, details = run_checks(Checks(host.socket))
    finally:
        host.close()
    if arguments.json:
        said = {"release": release, "commit": recorded.recorded("sglang")[release]["commit"], "stand_ins": missing, "results": results, "details": details}
        with open(arguments.json, "w") as file:
            json.dump(said, file, indent=2)
    failed = sum(text != "passed" for text in results.values())
    print("SGLang as recorded of {0}: {1} passed, {2} failed".format(release, len(results) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
