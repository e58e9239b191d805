"""A pool of two ranks with both workers attached in this process, for tests."""

import ctypes
import itertools
import os
import time

import kvcached_client as kvc
from tests.host import HostTestCase

PAGE = 2 << 20
LAYERS, TOKENS = 2, 16
QUIET = kvc.PoolOptions(grow_ahead=False, warm_decay=None, null_block=False)


def make_group(name="full", page_bytes=PAGE):
    return kvc.multi_head(name, layers=LAYERS, kv_heads=2, head_elements=1024, dtype="float32", tensor_parallel=2, virtual_bytes=64 << 20, page_bytes=page_bytes)


def fill(tensor, block, value):
    """Fills a block of a tensor on main memory with one byte."""
    ctypes.memset(tensor.address + block * tensor.block_stride_bytes, value, tensor.block_bytes)


def is_filled(tensor, block, value):
    """Whether all of a block is that byte."""
    return ctypes.string_at(tensor.address + block * tensor.block_stride_bytes, tensor.block_bytes) == bytes([value]) * tensor.block_bytes


class DomainTestCase(HostTestCase):
    """A pool of two ranks with both workers attached in this process."""

    options = QUIET
    guard = None
    _numbers = itertools.count(1)

    def setUp(self):
        # A name of its own: a host may still be closing the pool of the test before.
        self.name = "pool-{0}-{1}".format(os.getpid(), next(self._numbers))
        self.arenas = []
        self.addCleanup(lambda: [arena.close() for arena in self.arenas])
        self.session = kvc.Session(self.host.sockets[0], "tests")
        self.addCleanup(self.session.close)
        self.spec = kvc.PoolSpec(self.name, [make_group()], self.host.gpus)
        self.pool = self.session.open_pool(self.spec, self.options)
        for rank in range(2):
            self.arenas.append(kvc.Arena(self.host.sockets[rank], self.name, rank, self.host.gpus[rank], guard=self.guard))
        self.wait_until(self.is_everybody_known)

    @property
    def blocks_per_page(self):
        return PAGE // self.spec.groups[0].block_bytes

    def is_everybody_known(self):
        """Whether the coordinator has heard of both workers, so that pages can be granted; leaves none mapped."""
        try:
            self.pool.grow(0, 1, timeout=30)
        except kvc.UnavailableError:
            return False
        return self.pool.trim(0, timeout=30) == 1

    def wait_until(self, is_so, what=""):
        """Counts of an arena are those before the operation that is just being answered, for a moment."""
        deadline = time.monotonic() + 60
        while not is_so():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.005)
