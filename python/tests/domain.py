"""A pool of two ranks with both workers attached in this process, for tests."""

import ctypes

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

    name = "pool"
    options = QUIET

    def setUp(self):
        self.arenas = []
        self.addCleanup(lambda: [arena.close() for arena in self.arenas])
        self.session = kvc.Session(self.host.sockets[0], "tests")
        self.addCleanup(self.session.close)
        self.spec = kvc.PoolSpec(self.name, [make_group()], self.host.gpus)
        self.pool = self.session.open_pool(self.spec, self.options)
        for rank in range(2):
            self.arenas.append(kvc.Arena(self.host.sockets[rank], self.name, rank, self.host.gpus[rank]))

    @property
    def blocks_per_page(self):
        return PAGE // self.spec.groups[0].block_bytes
