import ctypes
import unittest

import kvcached_client as kvc

try:
    import numpy
except ImportError:
    numpy = None
try:
    import torch
except ImportError:
    torch = None

BLOCKS, STRIDE, BLOCK = 8, 96, 48


def make_tensor(memory, **changes):
    facts = dict(
        group=0, group_name="full", layer=1, buffer=1, tokens_per_block=2, address=ctypes.addressof(memory) + 16, block_bytes=BLOCK,
        block_stride_bytes=STRIDE, block_count=BLOCKS, is_host_accessible=True,
    )
    facts.update(changes)
    return kvc.Tensor(**facts)


class TensorTests(unittest.TestCase):
    def setUp(self):
        self.memory = (ctypes.c_uint8 * (STRIDE * BLOCKS + 16))()
        self.tensor = make_tensor(self.memory)

    def test_shape_and_strides_are_those_of_blocks(self):
        self.assertEqual(((8, 48), (96, 1)), self.tensor.shape_and_strides())
        self.assertEqual(((8, 2, 3, 4), (96, 24, 8, 2)), self.tensor.shape_and_strides("bfloat16", (2, 3, 4)))
        self.assertEqual(((8, 2, 12), (96, 24, 2)), self.tensor.shape_and_strides("float16", (2, -1)))
        self.assertEqual(((8, 2, 5), (96, 20, 4)), self.tensor.shape_and_strides("float32", (2, 5)))  # with padding at its end

    def test_shapes_that_do_not_fit_are_refused(self):
        for dtype, shape in (("uint8", (49,)), ("float32", (2, 7)), ("uint8", (-1, -1)), ("uint8", (0,)), ("uint8", (100, -1))):
            with self.assertRaises(ValueError):
                self.tensor.shape_and_strides(dtype, shape)
        with self.assertRaises(ValueError):
            make_tensor(self.memory, block_stride_bytes=97).shape_and_strides("float16")

    @unittest.skipUnless(numpy, "needs NumPy")
    def test_numpy_shows_the_memory_itself(self):
        array = self.tensor.numpy("int16", (2, 12))
        self.assertEqual(((8, 2, 12), (96, 24, 2)), (array.shape, array.strides))
        array[3, 1, 2] = 0x0102
        at = 16 + 3 * STRIDE + 24 + 4
        self.assertEqual([2, 1], self.memory[at : at + 2])
        array[:] = -1
        self.assertEqual([0] * BLOCK, self.memory[16 + BLOCK : 16 + STRIDE], "the next layer's bytes were written")
        self.assertEqual(numpy.int16, self.tensor.numpy("bfloat16").dtype)
        with self.assertRaises(ValueError):
            make_tensor(self.memory, is_host_accessible=False).numpy()

    @unittest.skipUnless(numpy and hasattr(numpy, "from_dlpack"), "needs NumPy 1.23")
    def test_dlpack_shows_the_memory_itself(self):
        array = numpy.from_dlpack(self.tensor.dlpack("float32", (3, 4)))
        self.assertEqual(((8, 3, 4), (96, 16, 4), numpy.float32), (array.shape, array.strides, array.dtype))
        self.memory[16 + 2 * STRIDE : 16 + 2 * STRIDE + 4] = list(numpy.float32(2.5).tobytes())
        self.assertEqual(2.5, array[2, 0, 0])

    @unittest.skipUnless(torch, "needs PyTorch")
    def test_torch_shows_the_memory_itself(self):
        tensor = self.tensor.torch(torch.bfloat16, (2, 3, 4))
        self.assertEqual(((8, 2, 3, 4), torch.bfloat16), (tuple(tensor.shape), tensor.dtype))
        tensor[5] = 1.0
        at = 16 + 5 * STRIDE
        self.assertEqual([0x80, 0x3F] * 24, self.memory[at : at + BLOCK])
        if hasattr(torch, "float8_e4m3fn"):
            self.assertEqual(torch.float8_e4m3fn, self.tensor.torch("fp8").dtype)
        else:
            self.assertRaisesRegex(ValueError, "float8_e4m3fn.*uint8", self.tensor.torch, "fp8")

    def test_dlpack_says_where_the_memory_is(self):
        self.assertEqual((1, 0), self.tensor.dlpack().__dlpack_device__())
        gpu = make_tensor(self.memory, is_host_accessible=False)
        self.assertEqual((2, 3), gpu.dlpack("bfloat16", device_index=3).__dlpack_device__())
        self.assertIn("dltensor", repr(gpu.dlpack("bfloat16").__dlpack__(stream=1, max_version=(1, 0))))

    def test_cuda_array_interface_describes_gpu_memory_alone(self):
        with self.assertRaises(ValueError):
            self.tensor.cuda_array()
        gpu = make_tensor(self.memory, is_host_accessible=False)
        interface = gpu.cuda_array("bfloat16", (2, 12)).__cuda_array_interface__
        self.assertEqual(
            {"version": 3, "shape": (8, 2, 12), "strides": (96, 24, 2), "typestr": "<i2", "data": (gpu.address, False)}, interface
        )


if __name__ == "__main__":
    unittest.main()
