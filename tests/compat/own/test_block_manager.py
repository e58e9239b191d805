"""kvcached's own block manager over pages on main memory: blocks hold what was written, come back, and refuse when there are too few."""

import pytest
import torch
from kvcached import kv_cache_manager, vmm_ops
from kvcached.utils import PAGE_SIZE

LAYERS, TOKENS, CELL_BYTES, PAGES = 2, 16, 1024, 12
BLOCK_BYTES = TOKENS * CELL_BYTES


@pytest.fixture(params=[True, False])
def manager(request, monkeypatch):
    monkeypatch.setattr(kv_cache_manager, "CONTIGUOUS_LAYOUT", request.param)
    vmm_ops.init_kvcached("cpu", PAGE_SIZE, request.param)
    tensors = vmm_ops.create_kv_tensors(2 * PAGES * PAGE_SIZE, 4, "cpu", LAYERS)
    manager = kv_cache_manager.KVCacheManager(PAGES * PAGE_SIZE // BLOCK_BYTES, TOKENS, CELL_BYTES, LAYERS, reserve_null_block=True)
    manager.is_contiguous, manager.tensors = request.param, tensors
    # Until then the null block is not taken, and counts as available.
    manager._wait_post_init()
    yield manager
    manager.page_allocator.stop_prealloc_thread()
    vmm_ops.shutdown_kvcached()


def places(manager, block):
    """The slices in which a block lies: keys and values of each layer."""
    words = BLOCK_BYTES // 4
    for layer in range(LAYERS):
        for half in range(2):
            if manager.is_contiguous:
                start = (block * LAYERS * 2 + layer * 2 + half) * words
                yield manager.tensors[0][start : start + words]
            else:
                start = half * manager.tensors[layer].numel() // 2 + block * words
                yield manager.tensors[layer][start : start + words]


def test_blocks_hold_what_was_written(manager):
    blocks = manager.alloc(500)
    assert 0 not in blocks and len(set(blocks)) == 500
    for block in blocks:
        for index, place in enumerate(places(manager, block)):
            place.fill_(block * 4 + index)
    for block in blocks:
        assert all(bool((place == block * 4 + index).all()) for index, place in enumerate(places(manager, block)))
    manager.free(blocks)


def test_all_blocks_can_be_had_and_none_more(manager):
    blocks = manager.alloc(manager.available_size())
    assert manager.available_size() == 0 and manager.alloc(1) is None
    manager.free(blocks)
    assert manager.available_size() == len(blocks)
    manager.trim()
    assert manager.page_allocator.get_num_reserved_pages() == 0


def test_limit_shrinks_and_grows(manager):
    assert manager.set_memory_limit(PAGE_SIZE * 4 * LAYERS * 2, revision=1)["status"] == "applied"
    assert manager.page_allocator.get_num_total_pages() == 4
    assert manager.alloc(5 * PAGE_SIZE // BLOCK_BYTES) is None
    assert manager.set_memory_limit(PAGE_SIZE * PAGES * LAYERS * 2, revision=2)["status"] == "applied"
    blocks = manager.alloc(5 * PAGE_SIZE // BLOCK_BYTES)
    assert len(blocks) == 5 * PAGE_SIZE // BLOCK_BYTES
    manager.free(blocks)
