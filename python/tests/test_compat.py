"""The stand-in for kvcached's native module: pages of real pools on main memory, in one process and over two ranks with a scheduler of its own."""

import ctypes
import itertools
import os
import socket
import struct
import subprocess
import sys
import unittest
import unittest.mock

from kvcached_client import Availability, MemoryRefusedError
from kvcached_client.compat import environment, tp_ipc, vmm_ops
from kvcached_client.compat.memory_info import MemoryInfo
from kvcached_client.compat.pages import PoolPages
from tests.host import HostTestCase
from tests.support import run_python

PAGE = 2 << 20
LAYERS = 3
_numbers = itertools.count(1)

WORKER = """
import sys, types
sys.modules["kvcached.integration.vllm.interfaces"] = types.SimpleNamespace(_kvcached_initialized=True, _world_size=2)
from kvcached_client.compat import tp_ipc, vmm_ops
tp_ipc.start_worker_listener_thread(int(sys.argv[1]), 1)
vmm_ops.init_kvcached("cpu", 0, True)
group = vmm_ops._memory.open(size=2 * 7 * (2 << 20), layers=3, buffers=2, group_id=4, is_unified=False)
print("ready", flush=True)
for line in sys.stdin:
    print(group.arena.stats().pages, flush=True)
vmm_ops.shutdown_kvcached()
"""


class CompatTestCase(HostTestCase):
    def setUp(self):
        self.set_variables(KVCACHED_ENGINE_SOCKET=self.host.sockets[0].replace("HOST-0", "{device}"))
        self.set_variables(KVCACHED_IPC_NAME="compat-{0}-{1}".format(os.getpid(), next(_numbers)))

    def set_variables(self, **variables):
        patch = unittest.mock.patch.dict(os.environ, variables)
        patch.start()
        self.addCleanup(patch.stop)


class PagesTests(CompatTestCase):
    def open(self, is_contiguous=True, buffers=2, is_unified=False, pages=7):
        vmm_ops.init_kvcached("cpu", PAGE, is_contiguous)
        self.addCleanup(vmm_ops.shutdown_kvcached)
        bytes_per_page = PAGE * (1 if is_unified and not is_contiguous else buffers)
        group = vmm_ops._memory.open(size=pages * bytes_per_page, layers=LAYERS, buffers=buffers, group_id=0, is_unified=is_unified)
        return group, vmm_ops.PageAllocator(LAYERS, pages * PAGE, PAGE, contiguous_layout=is_contiguous, num_kv_buffers=buffers)

    def test_page_is_mapped_at_the_offset_that_kvcached_counts_in_every_layout(self):
        for is_contiguous, buffers, is_unified in ((True, 2, False), (True, 1, False), (False, 2, False), (False, 1, False), (False, 2, True)):
            with self.subTest(is_contiguous=is_contiguous, buffers=buffers, is_unified=is_unified):
                group, allocator = self.open(is_contiguous, buffers, is_unified)
                self.assertEqual(0, allocator.alloc_page().page_id)
                page = allocator.alloc_page().page_id
                offset = group.layout.offset_of(page)
                raw = group.layout.raw_tensors(group.arena)
                self.assertEqual(1 if is_contiguous else LAYERS, len(raw))
                for layer, tensor in enumerate(raw):
                    bases = [tensor.address] + ([tensor.address + tensor.byte_count // 2] if group.layout.is_split else [])
                    size = group.layout.bytes_per_page_id // len(bases) // len(raw)
                    for half, base in enumerate(bases):
                        ctypes.memset(base + offset, 1 + layer + 10 * half, size)
                for layer, tensor in enumerate(raw):
                    self.assertEqual(bytes([1 + layer]), ctypes.string_at(tensor.address + offset, 1))
                self.assertTrue(vmm_ops.map_to_kv_tensors([offset]))
                self.assertEqual(group.layout.bytes_per_page_id * group.layout.page_count, sum(tensor.byte_count for tensor in raw))

    def test_more_pages_than_there_are_raise_and_leave_nothing_taken(self):
        _group, allocator = self.open(pages=3)
        pages = [allocator.alloc_page().page_id for _ in range(3)]
        self.assertEqual([0, 1, 2], sorted(pages))
        with self.assertRaisesRegex(RuntimeError, "No free pages left"):
            allocator.alloc_page()
        allocator.free_pages(pages)
        self.assertEqual({"total_pages": 3, "free_pages": 3, "inuse_pages": 0, "reserved_pages": 3}, allocator.get_page_state())

    def test_page_that_is_freed_twice_is_refused_and_nothing_freed(self):
        _group, allocator = self.open()
        page = allocator.alloc_page().page_id
        allocator.free_page(page)
        with self.assertRaisesRegex(RuntimeError, "not in use"):
            allocator.free_page(page)
        self.assertEqual(1, allocator.get_num_reserved_pages())

    def test_limit_of_the_command_line_is_seen_and_can_be_put_back(self):
        _group, allocator = self.open(pages=6)
        info = MemoryInfo.__new__(MemoryInfo)
        info.path = os.path.join("/dev/shm", os.environ["KVCACHED_IPC_NAME"])
        whole = info.total_bytes()
        self.assertEqual(6 * PAGE * LAYERS * 2, whole)
        with open(info.path, "r+b") as file:
            file.write(struct.pack("<q", whole // 2))
        self.assertEqual(3 * PAGE, allocator.check_and_get_resize_target(6 * PAGE))
        self.assertTrue(allocator.resize(3 * PAGE))
        self.assertEqual(3, allocator.get_num_total_pages())
        with open(info.path, "r+b") as file:
            file.write(struct.pack("<q", whole))
        self.assertEqual(6 * PAGE, allocator.check_and_get_resize_target(3 * PAGE))
        self.assertTrue(allocator.resize(6 * PAGE))
        self.assertEqual(-1, allocator.check_and_get_resize_target(6 * PAGE))

    def test_another_shape_of_a_group_and_a_wrong_page_size_are_refused(self):
        self.open()
        with self.assertRaisesRegex(RuntimeError, "another shape"):
            vmm_ops._memory.open(size=2 * PAGE, layers=1, buffers=2, group_id=0, is_unified=False)
        with self.assertRaisesRegex(ValueError, "KVCACHED_PAGE_SIZE_MB"):
            vmm_ops.init_kvcached("cpu", 3 << 20)
        with self.assertRaisesRegex(ValueError, "no page at offset"):
            vmm_ops.map_to_kv_tensors([1])


class RefusingPool:
    """A pool that has three pages and refuses more."""

    def __init__(self):
        self.spec = unittest.mock.Mock()
        self.free_pages = [0, 1, 2]

    def alloc_or_grow(self, _group, count, timeout):
        if count > len(self.free_pages):
            raise MemoryRefusedError("GPU-1 has no more: pool other holds 4 GiB")
        taken, self.free_pages = self.free_pages[:count], self.free_pages[count:]
        return taken

    def free(self, _group, pages, _step):
        self.free_pages += pages

    def available(self, _group):
        return Availability(len(self.free_pages), 0, 50)


class RefusalTests(unittest.TestCase):
    def test_refusal_says_who_holds_the_memory_takes_nothing_and_is_known_for_a_moment(self):
        pages = PoolPages(RefusingPool(), 1.0)
        self.assertEqual(53, pages.available())
        with self.assertRaisesRegex(RuntimeError, "4 pages can't be had: GPU-1 has no more: pool other holds"):
            pages.take(4)
        self.assertEqual(3, pages.available())
        self.assertEqual([0, 1, 2], pages.take(3))
        pages.give([2])
        self.assertEqual(51, pages.available())

    def test_pool_that_another_scheduler_began_is_refused(self):
        pool = RefusingPool()
        pool.free_pages = [2]
        with self.assertRaisesRegex(RuntimeError, "began with page 2 instead of 0"):
            PoolPages(pool, 1.0)
        self.assertEqual([2], pool.free_pages)


class RanksTests(CompatTestCase):
    def start_workers(self):
        workers = []
        for rank in range(2):
            workers.append(subprocess.Popen([sys.executable, "-c", WORKER, str(rank)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            self.addCleanup(self.end, workers[-1])
        for worker in workers:
            self.assertEqual("ready\n", worker.stdout.readline())
        return workers

    def end(self, worker):
        worker.stdin.close()
        worker.wait(60)
        worker.stdout.close()

    def test_scheduler_in_a_process_of_its_own_takes_pages_that_both_ranks_have(self):
        workers = self.start_workers()
        self.assertTrue(tp_ipc.broadcast_kv_tensors_created(2, 1, group_id=4))
        self.assertFalse(tp_ipc.broadcast_kv_tensors_created(2, 1, group_id=5))
        allocator = vmm_ops.PageAllocator(LAYERS, 7 * PAGE, PAGE, world_size=2, pp_rank=1, group_id=4)
        allocator.set_use_worker_ipc(True)
        pages = [allocator.alloc_page().page_id for _ in range(4)]
        self.assertEqual(0, pages[0])
        self.assertEqual(4, len(set(pages)))
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
            self.assertGreaterEqual(int(worker.stdout.readline()), 4)
        tp_ipc.broadcast_map_to_kv_tensors(2, [0], 1, 4)
        with self.assertRaisesRegex(RuntimeError, "no page at offset"):
            tp_ipc.broadcast_map_to_kv_tensors(2, [1], 1, 4)
        allocator.free_pages(pages)
        allocator.trim()
        self.assertEqual(7, allocator.get_num_free_pages())

    def test_peer_that_sends_nonsense_or_leaves_harms_nobody(self):
        self.start_workers()
        path = tp_ipc.get_worker_socket_path(0, 1)
        for message in (b"", b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\4spam", struct.pack(">I", 4) + b"[42]"):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(path)
                peer.sendall(message)
        with self.assertRaisesRegex(RuntimeError, "Unknown command"):
            tp_ipc.request({"cmd": "eval"}, 0, 1)
        self.assertTrue(tp_ipc.broadcast_kv_tensors_created(2, 1, group_id=4))

    def test_a_socket_that_a_worker_left_behind_is_no_worker(self):
        path = tp_ipc.get_worker_socket_path(0, 7)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        self.addCleanup(os.remove, path)
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        self.assertFalse(tp_ipc.is_worker_there(0, 7))
        mapped = []
        allocator = vmm_ops.PageAllocator(LAYERS, 3 * PAGE, PAGE, pp_rank=7, group_id=9)
        allocator.set_use_worker_ipc(True)
        allocator.set_broadcast_map_callback(lambda world_size, offsets: mapped.append(offsets))
        self.assertEqual((0, [[0]]), (allocator.alloc_page().page_id, mapped))

    def test_ranks_with_schedulers_of_their_own_are_refused(self):
        vmm_ops.init_kvcached("cpu", PAGE)
        self.addCleanup(vmm_ops.shutdown_kvcached)
        vmm_ops._memory.open(size=2 * PAGE, layers=LAYERS, buffers=2, group_id=0, is_unified=False)
        with self.assertRaisesRegex(RuntimeError, "scheduler of their own"):
            vmm_ops.PageAllocator(LAYERS, PAGE, PAGE, world_size=2).alloc_page()


class SwitchTests(unittest.TestCase):
    def test_without_the_variable_nothing_is_touched(self):
        code, said = run_python("import sys; from kvcached_client.compat import install; print(install(), len(sys.meta_path))", KVCACHED_ENGINE_SOCKET="")
        self.assertEqual((0, "False"), (code, said.split()[0]))

    def test_kvcached_that_is_loaded_already_is_an_error(self):
        code, said = run_python(
            "import sys, types; sys.modules['kvcached.vmm_ops'] = types.ModuleType('x'); from kvcached_client.compat import install; install()",
            KVCACHED_ENGINE_SOCKET="/x.sock",
        )
        self.assertNotEqual(0, code)
        self.assertIn("is loaded already", said)

    def test_unknown_variables_are_named_and_known_ones_are_not(self):
        variables = {"KVCACHED_PAGE_SIZE_MB": "4", "KVCACHED_PAGESIZE": "4", "OTHER": "1", "KVCACHED_ENGINE_SOCKET": "x"}
        with self.assertLogs("kvcached_client.compat", "WARNING") as logs:
            self.assertEqual(["KVCACHED_PAGESIZE"], environment.name_unknown(variables))
        self.assertEqual(1, len(logs.output))

    def test_value_that_is_no_number_names_its_variable(self):
        with self.assertRaisesRegex(ValueError, "KVCACHED_MIN_RESERVED_PAGES"):
            environment.read({"KVCACHED_MIN_RESERVED_PAGES": "many"})


if __name__ == "__main__":
    unittest.main()
