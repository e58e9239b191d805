import unittest

import kvcached_client as kvc
from kvcached_client.geometry import heads_per_rank, state_stride

MIB = 1 << 20


class GeometryTests(unittest.TestCase):
    def test_multi_head_divides_heads_over_ranks(self):
        group = kvc.multi_head("full", layers=32, kv_heads=8, head_elements=128, virtual_bytes=1 << 40, tensor_parallel=2)
        self.assertEqual(16 * 4 * 128 * 2, group.block_bytes)
        self.assertEqual(2, group.buffers)
        self.assertEqual(2 * MIB * 32 * 2, group.bytes_per_page)
        self.assertEqual((1 << 40) // group.bytes_per_page, group.virtual_pages)
        self.assertEqual("multi_head", group.kind)

    def test_fp8_with_scales(self):
        group = kvc.multi_head("full", layers=1, kv_heads=8, head_elements=128, virtual_bytes=MIB, dtype="fp8", scale_bytes=4)
        self.assertEqual(16 * 8 * (128 + 4), group.block_bytes)
        self.assertEqual(1, group.virtual_pages)

    def test_sliding_window_differs_in_kind_alone(self):
        arguments = dict(layers=3, kv_heads=4, head_elements=64, virtual_bytes=1 << 30)
        self.assertEqual("sliding_window", kvc.sliding_window("s", **arguments).kind)
        self.assertEqual(kvc.multi_head("s", **arguments).block_bytes, kvc.sliding_window("s", **arguments).block_bytes)

    def test_latent_is_one_buffer(self):
        group = kvc.latent("latent", layers=61, elements_per_token=576, virtual_bytes=1 << 40)
        self.assertEqual((1, 64 * 576 * 2), (group.buffers, group.block_bytes))

    def test_heads_fewer_than_ranks_are_kept_by_several(self):
        self.assertEqual(1, heads_per_rank(2, 8))
        self.assertEqual(4, heads_per_rank(8, 2))
        for heads, ranks in ((3, 2), (0, 1), (8, 0), (6, 4)):
            with self.assertRaises(ValueError):
                heads_per_rank(heads, ranks)

    def test_state_slots_divide_the_page(self):
        for slot_bytes in (1, 255, 256, 257, 100_000, 700_000, MIB, MIB + 1, 2 * MIB):
            stride = state_stride(slot_bytes, 2 * MIB)
            self.assertGreaterEqual(stride, slot_bytes)
            self.assertEqual(0, (2 * MIB) % stride)
            self.assertEqual(0, stride % 256)
        for slot_bytes, page_bytes in ((0, MIB), (MIB + 1, MIB), (100, 1000)):
            with self.assertRaises(ValueError):
                state_stride(slot_bytes, page_bytes)
        self.assertEqual((0, "state"), (kvc.state("s", layers=2, slot_bytes=1000, virtual_bytes=MIB).tokens_per_block, "state"))

    def test_groups_are_found_by_name(self):
        group = kvc.state("s", layers=2, slot_bytes=1000, virtual_bytes=MIB)
        spec = kvc.PoolSpec("pool", [group], ["HOST-0"])
        self.assertEqual((0, 5), (spec.group_index("s"), spec.group_index(5)))
        with self.assertRaises(ValueError):
            spec.group_index("t")

    def test_dtypes_have_one_name_in_all_spellings(self):
        class Spelled:
            def __str__(self):
                return "torch.bfloat16"

        for spelling in ("bfloat16", "bf16", Spelled(), kvc.dtype_of("bfloat16")):
            self.assertEqual(("bfloat16", 2), (kvc.dtype_of(spelling).name, kvc.dtype_of(spelling).item_bytes))
        with self.assertRaises(ValueError):
            kvc.dtype_of("complex64")


if __name__ == "__main__":
    unittest.main()
