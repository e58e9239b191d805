"""The engine's block manager as far as the integration touches it, written anew from the behaviour of transformers 5.17: for tests without that engine."""

from collections import deque


class Block:
    def __init__(self, block_id, parent_id, group_id):
        self.id, self.parent_id, self.group_id, self.hash, self.ref_count = block_id, parent_id, group_id, None, 1


class BlockManager:
    """Free blocks, blocks that requests share, and complete ones that are kept to be found again."""

    def __init__(self, num_blocks, block_size, tp_on=False):
        self.num_blocks, self.block_size = num_blocks, block_size
        self._uninit_block_ids, self._init_block_ids = deque(range(num_blocks)), {}
        self._hash_to_id, self._id_to_block = {}, {}

    @property
    def num_free_blocks(self):
        return len(self._uninit_block_ids) + len(self._init_block_ids)

    def has_enough_free_blocks(self, n_blocks):
        return len(self._uninit_block_ids) >= n_blocks

    def get_free_blocks(self, n_blocks, last_block_id, shareable, group_id):
        if not self.has_enough_free_blocks(n_blocks):
            return None
        taken = [self._uninit_block_ids.popleft() for _ in range(n_blocks)]
        for block_id in taken if shareable else ():
            self._id_to_block[block_id] = Block(block_id, last_block_id, group_id)
            last_block_id = block_id
        return taken

    def increase_ref_count(self, block_id):
        block = self._id_to_block[block_id]
        block.ref_count += 1
        if block.ref_count == 1:
            self._init_block_ids.pop(block_id)

    def decrease_ref_count(self, block_id):
        block = self._id_to_block[block_id]
        block.ref_count -= 1
        if block.ref_count:
            return
        if block.hash is not None:
            self._init_block_ids[block_id] = None
        else:
            del self._id_to_block[block_id]
            self._uninit_block_ids.append(block_id)

    def free_blocks(self, blocks, shareable):
        if not shareable:
            self._uninit_block_ids.extend(blocks)
            return
        for block_id in blocks:
            self.decrease_ref_count(block_id)

    def uninitialize_unshared_block(self, block_id):
        del self._id_to_block[block_id]
        self._uninit_block_ids.append(block_id)

    def complete(self, block_id, content_hash):
        """What ``mark_shareable_blocks_as_complete`` comes to for one new block."""
        self._id_to_block[block_id].hash = content_hash
        self._hash_to_id[content_hash] = block_id
