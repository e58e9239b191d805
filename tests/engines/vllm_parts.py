"""vLLM's own scheduler with requests of its own, and a "model" whose KV cache is the memory that it was given: it writes each token where vLLM says, and
reads back all that came before."""

import contextlib
import ctypes
import hashlib
import importlib
import pickle
import sys
from types import SimpleNamespace

from engine_source import open_source

#: What is tested, and what it needs; everything else of vLLM is a stand-in.
REAL = [
    "vllm.utils.math_utils", "vllm.v1.core.block_pool", "vllm.v1.core.kv_cache_coordinator", "vllm.v1.core.kv_cache_manager", "vllm.v1.core.kv_cache_metrics",
    "vllm.v1.core.kv_cache_utils", "vllm.v1.core.sched.interface", "vllm.v1.core.sched.output", "vllm.v1.core.sched.request_queue", "vllm.v1.core.sched.scheduler",
    "vllm.v1.core.sched.utils", "vllm.v1.core.single_type_kv_cache_manager", "vllm.v1.kv_cache_interface", "vllm.v1.kv_cache_spec_registry", "vllm.v1.request", "vllm.v1.worker.gpu.attn_utils",
]  # fmt: skip
TOKENS = 16
LAYERS = 2


def load(folder):
    """Has vLLM imported from a folder, with stand-ins for what is no scheduling. Gives the packages that weren't installed."""
    missing = open_source("vllm", folder, REAL, ("torch", "numpy", "regex", "typing_extensions"))
    module("vllm").envs = sys.modules["vllm.envs"] = Options()  # no variable is set
    # Small helpers that the scheduling itself calls.
    module("vllm.utils").length_from_prompt_token_ids_or_embeds = lambda ids, embeds: len(ids)
    module("vllm.v1.utils").ConstantList = list_view
    module("vllm.v1.structured_output.request").StructuredOutputRequest = SimpleNamespace(from_sampling_params=lambda params: None)
    module("vllm.v1.core.encoder_cache_manager").EncoderCacheManager = NoEncoder
    module("vllm.distributed.kv_events").EventPublisherFactory = SimpleNamespace(create=lambda *a: SimpleNamespace(publish=lambda events: None, shutdown=lambda: None))
    module("vllm.utils.torch_utils").get_dtype_size = lambda dtype: {"torch.float32": 4, "torch.int8": 1}[str(dtype)]
    module("vllm.v1.utils").record_function_or_nullcontext = lambda name: contextlib.nullcontext()
    module("vllm.v1.core.kv_cache_utils").init_none_hash(content_hash)
    return missing


def module(name):
    return importlib.import_module(name)


def list_view(items):
    """vLLM's read-only view of a list, as the list."""
    return items


class NoEncoder:
    """A text model's cache of encoder outputs: there is none."""

    def __init__(self, cache_size):
        self.cache_size = cache_size

    def __getattr__(self, name):
        return lambda *arguments, **named: [] if name.startswith("get") else None


def make_kv_config(blocks, block_bytes):
    """A ``KVCacheConfig`` as vLLM's planner makes it for a model of two full-attention layers, not packed."""
    interface = module("vllm.v1.kv_cache_interface")
    spec = interface.FullAttentionSpec(block_size=TOKENS, num_kv_heads=1, head_size=8, dtype="float32")
    names = ["layer.{0}".format(i) for i in range(LAYERS)]
    tensors = [interface.KVCacheTensor(size=blocks * block_bytes, shared_by=[name]) for name in names]
    return interface.KVCacheConfig(num_blocks=blocks, kv_cache_tensors=tensors, kv_cache_groups=[interface.KVCacheGroupSpec(names, spec)])


def make_scheduler(config, batch_tokens, caching=True):
    """vLLM's scheduler over this KV cache."""
    scheduler_config = Options(
        max_num_seqs=64, max_num_scheduled_tokens=batch_tokens, max_num_batched_tokens=batch_tokens, policy="fcfs", watermark=0.0, scheduler_reserve_full_isl=True,
        enable_chunked_prefill=True, long_prefill_token_threshold=0, async_scheduling=False,
    )
    vllm_config = Options(
        scheduler_config=scheduler_config, cache_config=Options(num_gpu_blocks=config.num_blocks, enable_prefix_caching=caching, mamba_cache_mode="none"),
        observability_config=Options(), parallel_config=Options(decode_context_parallel_size=1, prefill_context_parallel_size=1, pipeline_parallel_size=1, data_parallel_index=0),
        model_config=Options(max_model_len=4096), max_in_flight_tokens=batch_tokens, max_concurrent_batches=1, num_speculative_tokens=0,
    )
    never = SimpleNamespace(supports_multimodal_inputs=lambda model: False)
    return module("vllm.v1.core.sched.scheduler").Scheduler(vllm_config, config, Options(should_advance=lambda request: False), TOKENS, mm_registry=never, log_stats=False)


class Options(SimpleNamespace):
    """A configuration in which everything that isn't said is off."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def make_request(name, prompt, new_tokens):
    hasher = module("vllm.v1.core.kv_cache_utils").get_request_block_hasher(TOKENS, content_hash)
    sampling = Options(max_tokens=new_tokens, min_tokens=0, stop_token_ids=(), ignore_eos=True, extra_args=None, skip_reading_prefix_cache=False)
    return module("vllm.v1.request").Request(name, list(prompt), sampling, None, block_hasher=hasher)


def content_hash(value):
    return hashlib.sha256(pickle.dumps(value, protocol=4)).digest()


class Memory:
    """The KV cache of the "model": one number per token, at the beginning of the token's place in each layer's part of its block.

    :param address: Gives the address of a layer in a block.
    """

    def __init__(self, address, token_bytes):
        self._address, self._token_bytes = address, token_bytes

    def _places(self, block, slot):
        return [self._address(layer, block) + slot * self._token_bytes for layer in range(LAYERS)]

    def write(self, block, slot, token):
        for place in self._places(block, slot):
            ctypes.c_int64.from_address(place).value = token

    def read(self, block, slot):
        found = {ctypes.c_int64.from_address(place).value for place in self._places(block, slot)}
        return found.pop() if len(found) == 1 else None


class Model:
    """Runs steps: writes the scheduled tokens, checks all earlier ones of each request against what is in memory, and says the next token."""

    def __init__(self, scheduler, memory):
        self.scheduler, self.memory = scheduler, memory
        self.steps, self.wrong, self.checked, self.hit_tokens = [], [], 0, 0
        self._begun = set()

    def step(self, report=None):
        """One step of the engine; gives whether anything was scheduled."""
        output = self.scheduler.schedule()
        self.steps.append(dict(output.num_scheduled_tokens))
        sampled = []
        for name, count in output.num_scheduled_tokens.items():
            request = self.scheduler.requests[name]
            sampled.append(self._run(request, request.num_computed_tokens - count, count))
        if report is not None:
            report(output)
        names = list(output.num_scheduled_tokens)
        answer = Options(
            req_ids=names, req_id_to_index={name: i for i, name in enumerate(names)}, sampled_token_ids=sampled, prompt_logprobs_dict={}, pooler_output=None,
        )
        if names:
            self.scheduler.update_from_output(output, answer)
        return bool(names)

    def _run(self, request, begin, count):
        (blocks,) = self.scheduler.kv_cache_manager.get_block_ids(request.request_id)
        if request.request_id not in self._begun:
            self._begun.add(request.request_id)
            self.hit_tokens += begin
        tokens = request.all_token_ids
        for position in range(begin, begin + count):
            self.memory.write(blocks[position // TOKENS], position % TOKENS, tokens[position])
        for position in range(begin + count):
            self.checked += 1
            if self.memory.read(blocks[position // TOKENS], position % TOKENS) != tokens[position]:
                self.wrong.append((request.request_id, position))
        if begin + count < len(tokens):
            return []
        return [next_token(tokens)]


def next_token(tokens):
    """What this "model" says next: depends on everything before."""
    return int.from_bytes(hashlib.sha256(repr(tuple(tokens)).encode()).digest()[:4], "little") % 50000 + 3
