"""SGLang's own slot allocators and prefix tree with requests over them, and a "model" that keeps each token in SGLang's KV buffers."""

import array
import importlib
from types import SimpleNamespace

from engine_source import open_source
from kvcached_client.integrations.sglang.buffers import elastic_owner_class

_CACHE = "sglang.srt.mem_cache."
#: What is tested, and what it needs; everything else of SGLang is a stand-in.
REAL = [
    _CACHE + name
    for name in (
        "allocator", "allocator.base", "allocator.paged", "allocator.token", "base_prefix_cache", "cache_init_params", "common", "events", "evict_policy",
        "radix_cache", "session_radix_cache", "utils",
    )
]  # fmt: skip
LAYERS, HEADS, ELEMENTS = 2, 2, 64  # in float32: 512 bytes a token and buffer, 4096 tokens in 2 MiB
TOKEN_BYTES = HEADS * ELEMENTS * 4


def load(folder):
    return open_source("sglang", folder, REAL, ("triton", "msgspec"))


def module(name):
    return importlib.import_module(_CACHE + name)


class Description:
    """SGLang's ``KvBufferDesc`` for rows of one token."""

    def __init__(self, rows):
        self.shape, self.row_bytes, self.tokens_per_row = (rows, HEADS, ELEMENTS), TOKEN_BYTES, 1

    def reserved_span_bytes(self, item_bytes):
        return self.shape[0] * HEADS * ELEMENTS * item_bytes


class Engine:
    """Buffers, allocator and prefix tree as SGLang puts them together, over a pool.

    :param page_size: 1 for SGLang's token allocator, else its paged one.
    """

    def __init__(self, settings, configurator, size, page_size):
        import torch

        rows = size + page_size
        owner = elastic_owner_class(settings)(
            device="cpu", device_id=0, store_dtype=torch.float32, page_size=page_size, reserved_num_tokens=size, buffer_descs=[Description(rows)] * (2 * LAYERS)
        )
        owner.ensure_prefix(page_size)
        self.owner, self.memory, self.size, self.page_size = owner, owner.memory, size, page_size
        self.keys, self.values = owner.tensors[:LAYERS], owner.tensors[LAYERS:]
        pool = SimpleNamespace(_post_capture_owner=owner)
        if page_size == 1:
            self.allocator = configurator.TokenToKVPoolAllocator(size, torch.float32, "cpu", pool, False)
        else:
            self.allocator = configurator.PagedTokenToKVPoolAllocator(size, page_size, torch.float32, "cpu", pool, False)
        owner.finalize(size)
        self.allocator.resize(SimpleNamespace(max_total_num_tokens=size))
        params = module("cache_init_params").CacheInitParams(
            disable=False, req_to_token_pool=None, token_to_kv_pool_allocator=self.allocator, page_size=page_size
        )
        self.tree = module("radix_cache").RadixCache(params)
        self.running, self.wrong, self.compared, self.hit_tokens, self.misses = [], [], 0, 0, 0

    # -- requests ------------------------------------------------------------------------------------------------------------------------------

    def _key(self, tokens):
        return module("radix_cache").RadixKey(token_ids=array.array("q", tokens), extra_key=None)

    def start(self, tokens):
        """Finds what is cached, allocates the rest as SGLang's ``alloc_for_extend`` does, and writes it. False when there is no room."""
        import torch

        base = module("base_prefix_cache")
        found = self.tree.match_prefix(base.MatchPrefixParams(key=self._key(tokens)))
        self.tree.inc_lock_ref(found.last_device_node)
        cached = len(found.device_indices)
        missing = -(-(len(tokens) - cached) // self.page_size) * self.page_size
        module("common").evict_from_tree_cache(self.tree, missing)
        slots = self.allocator.alloc(missing)
        if slots is None:
            self.misses += 1
            self.tree.dec_lock_ref(found.last_device_node)
            return False
        self.hit_tokens += cached
        row = torch.cat((found.device_indices, slots))
        for position in range(cached, len(tokens)):
            for keys, values in zip(self.keys, self.values):
                keys[row[position]].fill_(tokens[position])
                values[row[position]].fill_(-tokens[position])
        self.running.append((list(tokens), row, found.last_device_node, cached))
        return True

    def check(self):
        """Compares all that running requests read with what it must be."""
        import torch

        for tokens, row, _, _ in self.running:
            expected = torch.tensor(tokens, dtype=torch.float32)[:, None, None].expand(-1, HEADS, ELEMENTS)
            for keys, values in zip(self.keys, self.values):
                self.compared += len(tokens)
                used = row[: len(tokens)]
                if not (torch.equal(keys[used], expected) and torch.equal(values[used], -expected)):
                    self.wrong.append(tokens[:4])

    def finish(self):
        """Ends the request that runs longest, as SGLang's ``cache_finished_req`` does: whole pages go to the tree, duplicates and the rest are freed."""
        base = module("base_prefix_cache")
        tokens, row, node, cached = self.running.pop(0)
        whole = len(tokens) // self.page_size * self.page_size
        added = self.tree.insert(base.InsertParams(key=self._key(tokens[:whole]), value=row[:whole].clone()))
        if added.prefix_len > cached:
            self.allocator.free(row[cached : added.prefix_len])
        if len(row) > whole:
            self.allocator.free(row[whole:])
        self.tree.dec_lock_ref(node)

    def serve(self, requests, together):
        """All requests, at most so many at once."""
        waiting = [list(tokens) for tokens in requests]
        attempts = 0
        while waiting or self.running:
            attempts += 1
            if attempts > 20000:
                raise AssertionError("{0} requests wait for ever".format(len(waiting)))
            self.settle(is_idle=False)
            if waiting and len(self.running) < together and self.start(waiting[0]):
                waiting.pop(0)
                continue
            self.check()
            if self.running:
                self.finish()

    def settle(self, is_idle):
        """What the plugin does before each batch."""
        params = module("base_prefix_cache").EvictParams
        self.allocator.settle(self.tree, lambda tree, tokens: tree.evict_for_others(params(num_tokens=tokens)), is_idle)

    def counts(self):
        """What SGLang compares with its size: free, cached and in use."""
        self.allocator.counts_all = True
        try:
            return self.allocator.available_size(), self.tree.evictable_size(), self.tree.protected_size()
        finally:
            self.allocator.counts_all = False

    def close(self):
        self.keys = self.values = None
        self.owner.close()


def configurator():
    """The module that the plugin changes to have elastic allocators made."""
    allocators = module("allocator")
    return SimpleNamespace(TokenToKVPoolAllocator=allocators.TokenToKVPoolAllocator, PagedTokenToKVPoolAllocator=allocators.PagedTokenToKVPoolAllocator)
