"""Ranks of a tensor-parallel engine over one pool: threads in place of processes, real workers on main memory."""

import ctypes
import itertools
import os
import threading
import unittest

import kvcached_client as kvc
from kvcached_client.integrations.errors import IntegrationError
from kvcached_client.integrations.transformers.layout import CacheShape
from kvcached_client.integrations.transformers.memory import EngineMemory
from kvcached_client.integrations.transformers.settings import Settings
from kvcached_client.integrations.transformers.team import ALONE, Team, TeamPool, team_of
from tests.host import HostTestCase

SHAPE = CacheShape(tensors=2, block_size=16, kv_heads=2, head_elements=256, item_bytes=4)  # 32 KiB a block and buffer, 64 to 2 MiB


class Meeting:
    """Threads that meet for each message, as processes do in a collective call."""

    def __init__(self, size):
        self._barrier, self._held = threading.Barrier(size, timeout=60), [None] * size

    def team(self, rank):
        def gather(value):
            self._held[rank] = value
            self._barrier.wait()
            held = list(self._held)
            self._barrier.wait()
            return held

        return Team(rank, len(self._held), lambda value: gather(value)[0], gather)

    def run(self, body):
        """``body(team)`` on every rank; gives what each returned or raised."""
        answers = [None] * len(self._held)

        def on_rank(rank):
            try:
                answers[rank] = body(self.team(rank))
            except Exception as problem:
                answers[rank] = problem

        threads = [threading.Thread(target=on_rank, args=(rank,)) for rank in range(len(self._held))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers


class TeamTests(HostTestCase):
    _numbers = itertools.count(1)

    def memories(self, blocks, **settings):
        """The memory of each of two ranks."""
        name = "team-{0}-{1}".format(os.getpid(), next(self._numbers))
        self.meeting = Meeting(2)

        def make(team):
            return EngineMemory(Settings(self.host.sockets[team.rank], pool=name, **settings), SHAPE, blocks, self.host.gpus[team.rank], team)

        made = self.meeting.run(make)
        for one in made:
            if isinstance(one, Exception):
                raise one
            self.addCleanup(one.close)
        return made

    def on_both(self, memories, do):
        answers = self.meeting.run(lambda team: do(memories[team.rank], team.rank))
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def test_both_ranks_get_the_same_blocks_and_both_can_use_them(self):
        memories = self.memories(300)

        def work(memory, rank):
            elastic = memory.elastic
            elastic.begin_pass()
            if not elastic.reserve(70):
                return None
            blocks = [elastic.popleft() for _ in range(70)]
            for block in blocks:
                for layer in range(2):
                    tensor = memory.arena.tensor(0, layer, rank)
                    ctypes.memset(tensor.address + block // memory.per_stride * tensor.block_stride_bytes, layer + 1, tensor.block_bytes)
            elastic.keep(blocks[0], b"first")
            elastic.extend(blocks[1:])
            elastic.begin_pass()
            return blocks, elastic.take(blocks[0]), elastic.in_use, elastic.out

        first, second = self.on_both(memories, work)
        self.assertIsNotNone(first)
        self.assertEqual(first, second)
        self.assertEqual((True, 1, 1), first[1:])
        self.assertIsNone(memories[1].pool)
        self.assertEqual(2 + 1, memories[0].pool.stats().used_blocks)

    def test_a_refusal_is_the_same_miss_on_both(self):
        memories = self.memories(60)

        def work(memory, rank):
            memory.elastic.capacity = 5000  # beyond the virtual room, the library refuses
            refused = memory.elastic.reserve(4000)
            again = memory.elastic.reserve(4000)  # not asked for: too soon, by rank 0's clock
            return refused, again, memory.elastic.has_missed, memory.elastic.misses, memory.elastic.refusal

        first, second = self.on_both(memories, work)
        self.assertEqual(first, second)
        self.assertEqual((False, False, True, 1), first[:4])

    def test_a_failure_of_rank_0_ends_all_ranks(self):
        class Broken:
            def free(self, group, blocks, last_step):
                raise kvc.PoolGoneError("the pool is gone")

            def try_alloc(self, group, count):
                raise AssertionError("asked after a failure")

        meeting = Meeting(2)

        def work(team):
            pool = TeamPool(Broken() if team.leads else None, team)
            pool.free("kv", [1], 0)
            try:
                pool.try_alloc("kv", 1)
            except kvc.PoolGoneError as problem:
                return str(problem)

        self.assertEqual(["the pool is gone"] * 2, meeting.run(work))

    def test_ranks_of_different_shape_are_refused(self):
        meeting = Meeting(2)

        def make(team):
            shape = CacheShape(2, 16, 2 + team.rank, 256, 4)
            return EngineMemory(Settings(self.host.sockets[0], pool="unequal"), shape, 100, self.host.gpus[0], team)

        self.assertTrue(all(isinstance(answer, IntegrationError) for answer in meeting.run(make)))

    def test_an_engine_on_one_gpu_has_no_messages(self):
        self.assertIs(ALONE, team_of(object()))


if __name__ == "__main__":
    unittest.main()
