"""The engine's KV blocks: allocation, a prefix cache by tags, and what becomes of them while the engine sleeps."""

import hashlib
import zlib
from collections import OrderedDict

import kvcached_client as kvc
from tiny_model import HEAD_ELEMENTS, HEADS, LAYERS

GROUP = "full"
TOKENS_PER_BLOCK = 16
GROW_SECONDS = 2.0
TRIM_SECONDS = 30.0


def make_spec(pool_name, gpu, limit_bytes, virtual_bytes):
    group = kvc.multi_head(
        GROUP, layers=LAYERS, kv_heads=HEADS, head_elements=HEAD_ELEMENTS, tokens_per_block=TOKENS_PER_BLOCK, dtype="float32", virtual_bytes=virtual_bytes
    )
    return kvc.PoolSpec(pool_name, [group], [gpu], limit_bytes=limit_bytes)


def tags_of(tokens):
    """One tag for each complete block: a hash of all tokens up to its end."""
    tags, digest = [], hashlib.sha256()
    for end in range(TOKENS_PER_BLOCK, len(tokens) + 1, TOKENS_PER_BLOCK):
        digest.update(b"".join(token.to_bytes(2, "little") for token in tokens[end - TOKENS_PER_BLOCK : end]))
        tags.append(digest.copy().digest())
    return tags


class KvBlocks:
    """Blocks of one pool, mapped in this process. Used by the engine's thread only."""

    def __init__(self, pool, arena):
        self.pool = pool
        shape = (TOKENS_PER_BLOCK, HEADS, HEAD_ELEMENTS)
        self.caches = [tuple(arena.tensor(GROUP, layer, buffer).numpy("float32", shape) for buffer in range(2)) for layer in range(LAYERS)]
        self._cached = OrderedDict()  # tag -> block, the least recently used first
        self._parked = []  # (tag, checksum, bytes per layer and buffer), in the same order
        pool.keep_events()

    @property
    def cached_count(self):
        return len(self._cached)

    @property
    def parked_count(self):
        return len(self._parked)

    def allocate(self, count):
        """:raises kvc.MemoryRefusedError: There is too little memory; none was taken."""
        return self.pool.alloc_or_grow(GROUP, count, timeout=GROW_SECONDS)

    def take_prefix(self, tokens):
        """Blocks whose content is that of the first tokens, put to use; at least one token is left to compute."""
        self.forget_what_was_evicted()
        taken = []
        for tag in tags_of(tokens[:-1]):
            block = self._cached.get(tag)
            if block is None:
                break
            try:
                self.pool.take_cached(GROUP, [block], [tag])
            except kvc.BlockError:  # evicted since, perhaps used anew: the tag tells
                del self._cached[tag]
                break
            del self._cached[tag]
            taken.append(block)
        return taken

    def release(self, blocks, tokens, last_step):
        """Caches complete blocks, once each, and frees the others.

        :param tokens: Tokens whose keys and values are in the blocks.
        """
        self.forget_what_was_evicted()
        tags = tags_of(tokens)
        freed = []
        for index, block in enumerate(blocks):
            if index < len(tags) and tags[index] not in self._cached:
                self.pool.cache(GROUP, block, tags[index], last_step)
                self._cached[tags[index]] = block
            else:
                freed.append(block)
        if freed:
            self.pool.free(GROUP, freed, last_step)

    def forget_what_was_evicted(self):
        for event in self.pool.poll_events():
            if isinstance(event, kvc.Evicted):
                if self._cached.get(event.tag) == event.block:
                    del self._cached[event.tag]
            elif isinstance(event, kvc.Lost):
                found = {item.tag: item.block for item in self.pool.tagged_blocks(GROUP) if item.is_cached}
                self._cached = OrderedDict((tag, block) for tag, block in self._cached.items() if found.get(tag) == block)
            elif isinstance(event, kvc.Withdrawn):
                self.pool.check()  # raises why

    def sleep(self, keep_data):
        """Gives all memory back; what was cached is copied first, or dropped. Nothing may be in use. Returns the pages given back."""
        self.forget_what_was_evicted()
        if keep_data:
            self._parked = []
            for tag, block in self._cached.items():
                data = [cache[block].copy() for layer in self.caches for cache in layer]
                self._parked.append((tag, _checksum(data), data))
        for tag, block in list(self._cached.items()):
            try:
                self.pool.evict(GROUP, [block])
            except kvc.BlockError:
                pass  # evicted meanwhile, by the library
        self._cached.clear()
        return self.pool.trim(GROUP, timeout=TRIM_SECONDS)

    def wake(self):
        """Puts back what was copied, as far as there is memory for it. Returns (blocks restored, blocks dropped).

        :raises RuntimeError: What was read back isn't what was copied.
        """
        parked, self._parked = self._parked, []
        restored = 0
        for tag, checksum, data in reversed(parked):  # the most recently used first: what there is no memory for is the oldest
            try:
                (block,) = self.allocate(1)
            except (kvc.MemoryRefusedError, kvc.UnavailableError):
                break
            places = [cache for layer in self.caches for cache in layer]
            for cache, values in zip(places, data):
                cache[block] = values
            if _checksum([cache[block] for cache in places]) != checksum:
                raise RuntimeError("block {0} reads back other bytes than were copied".format(block))
            self.pool.cache(GROUP, block, tag, kvc.STEP_NONE)
            self._cached[tag] = block
            self._cached.move_to_end(tag, last=False)
            restored += 1
        for block in self._cached.values():  # in the order in which they were last used
            self.pool.touch(GROUP, block)
        return restored, len(parked) - restored


def _checksum(arrays):
    total = 0
    for values in arrays:
        total = zlib.crc32(values.tobytes(), total)
    return total
