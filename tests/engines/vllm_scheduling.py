"""vLLM's own scheduler, KV cache manager and block pool over real pools on main memory, through this package's plugin.

    tests/engines/vllm_scheduling.py --host Kvcached.Host SOURCE/vllm [--json FILE]     with KVCACHED_LIBRARY set, and PyTorch installed
SOURCE is a vLLM source of a recorded release; nothing of it needs to be installed. The plugin's hooks change its modules as they do in an engine; in place of
executor and GPU there is a "model" that keeps each token in the memory that it was given and compares all of them at every step. Ends in "N passed, N failed".
"""

import argparse
import ctypes
import json
import os
import struct
import sys
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]

import vllm_parts as engine  # noqa: E402
from main_memory import DEVICE, LENT_MIB, Host, run_checks, take  # noqa: E402

import kvcached_client as kvc  # noqa: E402
from kvcached_client.integrations import recorded  # noqa: E402
from kvcached_client.integrations.errors import IntegrationError  # noqa: E402
from kvcached_client.integrations.vllm.hooks import install  # noqa: E402
from kvcached_client.integrations.vllm.settings import Settings  # noqa: E402

MIB = 1 << 20
LAYER_BLOCK_BYTES = 64 << 10  # two layers: 128 KiB a block, 16 blocks a page of 2 MiB
VIRTUAL_BLOCKS = 2000  # 250 MiB, where 32 are lent
MOST_STEPS = 20000


class Engine:
    """vLLM's scheduler over a pool, with its worker in the same process."""

    def __init__(self, owner, name, attach=True, **limits):
        self.owner = owner
        owner.settings = Settings(owner.settings.socket, pool=name, start_timeout=60.0, **limits)
        config = engine.make_kv_config(VIRTUAL_BLOCKS, LAYER_BLOCK_BYTES)
        owner.executor = SimpleNamespace(collective_rpc=lambda method: [DEVICE])
        owner.require_served(engine.Options(model_config=engine.Options()))
        owner.open(engine.Options(parallel_config=engine.Options()), [config])
        self.config, self.arena, self.elastic = config, None, owner.memory.elastic
        if attach:
            self._attach(config, owner)

    def _attach(self, config, owner):
        place = config.kvcached
        self.arena = kvc.Arena(owner.settings.socket, place.pool, place.rank, DEVICE)
        owner.memory.require_started()
        tensor = self.arena.tensor(0, 0, 0)
        offsets = [item.offset for item in config.kv_cache_tensors]
        stride = config.kv_cache_tensors[0].block_stride
        memory = engine.Memory(lambda layer, block: tensor.address + block * stride + offsets[layer], LAYER_BLOCK_BYTES // engine.TOKENS)
        self.scheduler = engine.make_scheduler(config, 512)
        self.model = engine.Model(self.scheduler, memory)
        if self.scheduler.kv_cache_manager.block_pool.elastic is not self.elastic:
            raise AssertionError("the scheduler's block pool isn't over the pool")

    def report(self, output):
        """What the plugin does around a worker's ``execute_model``."""
        step = getattr(output, "kvcached_step", 0)
        if step:
            self.arena.step_done(step)

    def run(self, requests):
        for request in requests:
            self.scheduler.add_request(request)
        for _ in range(MOST_STEPS):
            if not self.scheduler.requests:
                return
            self.model.step(self.report)
        raise AssertionError("{0} requests were not finished after {1} steps".format(len(self.scheduler.requests), MOST_STEPS))

    def close(self):
        self.owner.close()
        if self.arena is not None:
            self.arena.close()


def requests_of(wave, count, shortest, new_tokens):
    """Requests of growing lengths in four families that share the beginning of their prompts."""
    made = []
    for i in range(count):
        family = i % 4
        prompt = [family * 1000 + k + 3 for k in range(shortest // 2)] + [7 * i + k + 3 for k in range(shortest // 2 + 9 * i)]
        made.append(engine.make_request("{0}-{1}".format(wave, i), prompt, new_tokens))
    return made


def tokens_of(requests):
    return [list(request.output_token_ids) for request in requests]


class Checks:
    def __init__(self, owner):
        self.owner = owner

    def require(self, is_so, what):
        if not is_so:
            raise AssertionError(what)

    def check_same_schedule_as_its_own_pool(self, note):
        """With ample memory the scheduler does step by step what it does over its own block pool, and says the same tokens."""
        config = engine.make_kv_config(VIRTUAL_BLOCKS, LAYER_BLOCK_BYTES)
        buffers = [ctypes.create_string_buffer(VIRTUAL_BLOCKS * 1024) for _ in range(engine.LAYERS)]
        own = engine.Model(engine.make_scheduler(config, 512), engine.Memory(lambda layer, block: ctypes.addressof(buffers[layer]) + block * 1024, 64))
        expected = requests_of("wave", 16, 120, 24)
        for request in expected:
            own.scheduler.add_request(request)
        while own.scheduler.requests:
            own.step()
        ours = Engine(self.owner, "same")
        try:
            requests = requests_of("wave", 16, 120, 24)
            ours.run(requests)
            note(steps=len(ours.model.steps), tokens_compared=ours.model.checked, hit_tokens=ours.model.hit_tokens)
            self.require(not own.wrong and not ours.model.wrong, "tokens in memory differ: {0}".format(ours.model.wrong[:3]))
            self.require(ours.model.steps == own.steps, "the steps differ")
            self.require(tokens_of(requests) == tokens_of(expected), "the tokens differ")
            self.require(ours.model.hit_tokens == own.hit_tokens > 0, "prefix hits differ: {0} and {1}".format(ours.model.hit_tokens, own.hit_tokens))
            pool = ours.scheduler.kv_cache_manager.block_pool
            self.require(pool.get_num_free_blocks() == VIRTUAL_BLOCKS - 1, "blocks are missing: {0}".format(pool.get_num_free_blocks()))
        finally:
            ours.close()

    def check_exhausted_pool_is_a_miss(self, note):
        """A limit far below what the requests need at once: requests wait and are preempted, all end, none fails."""
        ours = Engine(self.owner, "short", limit_bytes=6 * MIB, grow_timeout=0.05)
        try:
            requests = requests_of("wave", 16, 240, 40)
            ours.run(requests)
            preempted = sum(request.num_preemptions for request in requests)
            note(misses=ours.elastic.misses, preemptions=preempted, steps=len(ours.model.steps), tokens_compared=ours.model.checked, lost=ours.elastic.losses)
            self.require(not ours.model.wrong, "tokens in memory differ: {0}".format(ours.model.wrong[:3]))
            self.require(all(len(tokens) == 40 for tokens in tokens_of(requests)), "not all requests were answered in full")
            self.require(ours.elastic.misses > 0 and preempted > 0, "memory was never short, so that nothing was tried")
        finally:
            ours.close()

    def check_what_is_found_again_needs_no_memory(self, note):
        """A prompt that fills most of a pool is found again: nothing is mapped or evicted for the part that is there."""
        ours = Engine(self.owner, "again", limit_bytes=6 * MIB, grow_timeout=5.0)  # 47 blocks besides the null block
        try:
            prompt = [k + 3 for k in range(480)]  # 30 blocks
            requests = [engine.make_request("again-{0}".format(i), prompt, 8) for i in range(4)]
            for request in requests:
                ours.run([request])
            note(misses=ours.elastic.misses, lost=ours.elastic.losses, hit_tokens=ours.model.hit_tokens)
            self.require(not ours.model.wrong and len({tuple(tokens) for tokens in tokens_of(requests)}) == 1, "the answers differ")
            self.require(ours.model.hit_tokens >= 3 * 464 and not ours.elastic.misses, "what was there was asked for once more")
        finally:
            ours.close()

    def check_prefix_cache_survives_what_a_neighbour_takes(self, note):
        """Prompts are found again; then a neighbour takes its half of the memory, some are gone, and what is found is still right."""
        ours = Engine(self.owner, "cached", grow_timeout=1.0)
        try:
            first = requests_of("first", 12, 240, 8)
            ours.run(first)
            hits = ours.model.hit_tokens
            again = requests_of("again", 12, 240, 8)
            ours.run(again)
            hits_again = ours.model.hit_tokens - hits
            with kvc.Session(self.owner.settings.socket, "neighbour") as session:
                group = kvc.Group("kv", "multi_head", 16, 1, 1, 2 * MIB, 2 * MIB, LENT_MIB // 2)
                with session.open_pool(kvc.PoolSpec("neighbour", [group], [DEVICE]), kvc.PoolOptions(null_block=False)) as pool:
                    with kvc.Arena(self.owner.settings.socket, "neighbour", 0, DEVICE):
                        taken = take(pool, LENT_MIB // 4 - 1)  # pages of 2 MiB: a little less than its half
                        pool.free(0, taken, kvc.STEP_NONE)
            third = requests_of("third", 12, 240, 8)
            ours.run(third)
            hits_third = ours.model.hit_tokens - hits - hits_again
            note(hits=[hits, hits_again, hits_third], lost=ours.elastic.losses, tokens_compared=ours.model.checked)
            self.require(not ours.model.wrong, "tokens in memory differ: {0}".format(ours.model.wrong[:3]))
            self.require(tokens_of(first) == tokens_of(again) == tokens_of(third), "the answers differ")
            self.require(hits_again > hits, "the second wave found no more than the first: {0}, {1}".format(hits, hits_again))
            self.require(ours.elastic.losses > 0 and hits_third < hits_again, "the neighbour took nothing that was cached")
        finally:
            ours.close()

    def check_a_workers_tensors_are_the_packed_layout_over_the_pool(self, note):
        """vLLM's own allocation, hooked, and its own reshaping: what a kernel writes to a block of a layer lies in that block of the pool, at that layer's place."""
        import torch

        runner = engine.module("vllm.v1.worker.gpu.attn_utils")
        ours = Engine(self.owner, "tensors", attach=False)
        try:
            config = ours.config
            raw = runner._allocate_kv_cache(config, {}, torch.device("cpu"))
            self.owner.memory.require_started()
            heads, elements = 2, LAYER_BLOCK_BYTES // (4 * engine.TOKENS * 2 * 2)
            shape, spec = (config.num_blocks, heads, engine.TOKENS, 2 * elements), SimpleNamespace(dtype=torch.float32, page_size_padded=None)
            ours.elastic.capacity = config.num_blocks - 1
            self.require(ours.elastic.reserve(40), "no memory came: {0}".format(ours.elastic.refusal))
            blocks = [0] + [ours.elastic.popleft() for _ in range(40)]
            views, place = [], config.kv_cache_tensors[0]
            try:  # dimensions that lie in another order than they are named
                other = runner._reshape_attention_kv_cache(raw["layer.0"], spec, shape, (0, 2, 1, 3), config.num_blocks, (place.offset, place.block_stride))
                self.require(tuple(other.shape) == shape and other.stride(1) < other.stride(2), "the view is {0}, {1}".format(other.shape, other.stride()))
                note(other_order_of_dimensions="served")
            except IntegrationError:
                note(other_order_of_dimensions="refused")
            for place in config.kv_cache_tensors:
                (name,) = place.shared_by
                view = runner._reshape_attention_kv_cache(raw[name], spec, shape, (0, 1, 2, 3), config.num_blocks, (place.offset, place.block_stride))
                self.require(tuple(view.shape) == shape, "a layer has the shape {0}".format(tuple(view.shape)))
                views.append(view)
            for layer, view in enumerate(views):
                for block in blocks:
                    view[block].fill_(1000 * layer + block)
            base = raw["layer.0"].data_ptr()
            for layer, place in enumerate(config.kv_cache_tensors):
                for block in blocks:
                    there = ctypes.string_at(base + block * place.block_stride + place.offset, LAYER_BLOCK_BYTES)
                    self.require(there == struct.pack("<f", 1000 * layer + block) * (LAYER_BLOCK_BYTES // 4), "block {0} of layer {1} isn't where the pool has it".format(block, layer))
            note(layers=len(views), blocks=len(blocks))
            del raw, views, view
        finally:
            ours.close()

    def check_reset_gives_everything_back(self, note):
        """``reset_prefix_cache`` leaves nothing cached, and nothing used but the null block."""
        ours = Engine(self.owner, "reset")
        try:
            ours.run(requests_of("wave", 8, 120, 8))
            cached = self.owner.memory.pool.stats().cached_blocks
            self.require(cached > 0 and ours.scheduler.kv_cache_manager.reset_prefix_cache(), "nothing was cached, or the reset was refused")
            stats = self.owner.memory.pool.stats()
            note(cached_before=cached, used_after=stats.used_blocks)
            self.require((stats.cached_blocks, stats.used_blocks) == (0, 1), "after the reset: {0}".format(stats))
            requests = requests_of("after", 8, 120, 8)
            before = ours.model.hit_tokens
            ours.run(requests)
            self.require(not ours.model.wrong and ours.model.hit_tokens - before < before + 1, "something was found that was reset")
        finally:
            ours.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="the program Kvcached.Host")
    parser.add_argument("--json", help="file to write the results to")
    parser.add_argument("--release", help="which of the recorded releases it is; default: the newest that it is the same as")
    parser.add_argument("source", help="the folder of vLLM's package, such as SOURCE/vllm")
    arguments = parser.parse_args()
    releases = recorded.recorded("vllm")
    release = recorded.release_of_source("vllm", arguments.source, arguments.release)
    host = Host(arguments.host)
    try:
        missing = engine.load(arguments.source)
        results, details = run_checks(Checks(install(Settings(host.socket))))
    finally:
        host.close()
    if arguments.json:
        said = {"release": release, "commit": releases[release]["commit"], "stand_ins": missing, "results": results, "details": details}
        with open(arguments.json, "w") as file:
            json.dump(said, file, indent=2)
    failed = sum(text != "passed" for text in results.values())
    print("vLLM as recorded of {0}: {1} passed, {2} failed".format(release, len(results) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
