"""A small continuous-batching scheduler: what an engine's own does with a pool, and nothing else.

Sequences share prompts, so that finished prompt blocks are worth caching. Each step the scheduler says which blocks to write and which sequences to
attend over; the workers do that and say that the step is done. What a step still reads is freed with that step's number, so that its memory
isn't unmapped under a kernel.
"""

import random
import time
from dataclasses import dataclass, field

import kvcached_client as kvc

PROMPT_BLOCKS = 6
PROMPTS = 12
GROUP = "full"


@dataclass
class Sequence:
    """One request: blocks in the order of its tokens, and the number from which each block's content follows."""

    prompt: int
    wanted_blocks: int
    blocks: list = field(default_factory=list)
    seeds: list = field(default_factory=list)


class Scheduler:
    """Decides what every step does."""

    def __init__(self, pool, seed=1):
        self.pool = pool
        self.step = 0
        self.running = []
        self.finished = 0
        self.written = 0
        self.reused = 0
        self.preempted = 0
        self._random = random.Random(seed)
        self._cached = {}  # tag -> block
        self._next_seed = 1_000_000
        pool.keep_events()

    def plan(self, batch):
        """The next step: (step, blocks to write with their seeds, block lists to attend over with theirs)."""
        self.step += 1
        self._forget_what_was_evicted()
        while len(self.running) < batch:
            self.running.append(Sequence(self._random.randrange(PROMPTS), PROMPT_BLOCKS + self._random.randrange(1, 12)))
        writes = []
        for sequence in list(self.running):
            if sequence in self.running:  # not preempted for another one in this step
                self._extend(sequence, writes)
        held = {block for sequence in self.running for block in sequence.blocks}
        writes = [(block, seed) for block, seed in writes if block in held]
        self.written += len(writes)
        return self.step, writes, [(list(s.blocks), list(s.seeds)) for s in self.running]

    def finish(self):
        """Ends the sequences that are complete; called when the step was handed to the workers."""
        for sequence in [s for s in self.running if len(s.blocks) >= s.wanted_blocks]:
            self.running.remove(sequence)
            self._release(sequence)
            self.finished += 1

    def drain(self):
        """Ends everything."""
        while self.running:
            self._release(self.running.pop())

    def _extend(self, sequence, writes):
        """One more block, or at first all of the prompt: from the cache what is there, written what isn't."""
        if sequence.blocks:
            missing = [self._new_seed()]
        else:
            missing = [sequence.prompt * 1000 + i for i in range(PROMPT_BLOCKS)]
            while missing and self._take_cached(sequence, missing[0]):
                missing.pop(0)
        if not missing:
            return
        blocks = self._allocate(len(missing), sequence)
        if blocks is None:
            return
        sequence.blocks += blocks
        sequence.seeds += missing
        writes += zip(blocks, missing)

    def _take_cached(self, sequence, seed):
        tag = tag_of(seed)
        block = self._cached.get(tag)
        if block is None:
            return False
        try:
            self.pool.take_cached(GROUP, [block], [tag])
        except kvc.BlockError:  # evicted since, perhaps used anew: the tag tells
            self._cached.pop(tag, None)
            return False
        del self._cached[tag]  # a block in use isn't cached; it comes back when its sequence ends
        sequence.blocks.append(block)
        sequence.seeds.append(seed)
        self.reused += 1
        return True

    def _allocate(self, count, sequence):
        while True:
            try:
                return self.pool.alloc_or_grow(GROUP, count, timeout=10)
            except kvc.UnavailableError:
                # A rank isn't known to be attached yet, or a host is away. The pool's own state says whether that can pass.
                self.pool.check()
                time.sleep(0.05)
            except kvc.MemoryRefusedError:
                victims = [s for s in self.running if s.blocks and s is not sequence]
                if not victims:
                    return None
                self.running.remove(victims[-1])
                self._release(victims[-1])
                self.preempted += 1

    def _release(self, sequence):
        """Prompt blocks are cached under a tag, once each; the others are freed. The last step that read them is this one."""
        freed = []
        for block, seed in zip(sequence.blocks, sequence.seeds):
            tag = tag_of(seed)
            if seed < 1_000_000 and tag not in self._cached:
                self.pool.cache(GROUP, block, tag, self.step)
                self._cached[tag] = block
            else:
                freed.append(block)
        if freed:
            self.pool.free(GROUP, freed, self.step)

    def _forget_what_was_evicted(self):
        for event in self.pool.poll_events():
            if isinstance(event, kvc.Evicted):
                if self._cached.get(event.tag) == event.block:
                    del self._cached[event.tag]
            elif isinstance(event, kvc.Lost):
                self._cached = {found.tag: found.block for found in self.pool.tagged_blocks(GROUP) if found.is_cached}
            elif isinstance(event, kvc.Withdrawn):
                self.pool.check()  # raises why

    def _new_seed(self):
        self._next_seed += 1
        return self._next_seed


def tag_of(seed):
    """What a real engine would hash the tokens into."""
    return seed.to_bytes(8, "little")
