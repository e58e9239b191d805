import ctypes
import threading
import time
import unittest

import kvcached_client as kvc
from kvcached_client import _abi
from tests.domain import DomainTestCase
from tests.support import LIBRARY


class CallbackTests(DomainTestCase):
    """Callbacks are for C; here they are called with the interpreter's lock given up, as C programs have none."""

    def setUp(self):
        super().setUp()
        self.native = ctypes.CDLL(LIBRARY)
        self.type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_abi.Event))
        self.got = []
        self.callback = self.type(lambda context, event: self.got.append((context, event.contents.kind, event.contents.block, event.contents.tag.to_bytes())))

    def set_callback(self, handle, callback, context=None):
        function = self.native.kvc_events_callback
        function.argtypes = [ctypes.c_uint64, self.type, ctypes.c_void_p]
        return function(handle, callback, context)

    def test_callback_gets_events_until_it_is_taken_away(self):
        self.pool.grow(0, 1, timeout=30)
        a, b = self.pool.alloc(0, 2)
        for block in (a, b):
            self.pool.cache(0, block, b"tag", 1)
        self.assertEqual(0, self.set_callback(self.pool._handle, self.callback, 77))
        self.pool.evict(0, [a])
        self.wait_until(lambda: self.got == [(77, 1, a, b"tag")], self.got)
        self.assertEqual(0, self.set_callback(self.pool._handle, self.type(0)))
        self.pool.keep_events()
        self.pool.evict(0, [b])
        self.assertEqual([kvc.Evicted(0, b, b"tag")], self.pool.poll_events(timeout=30))
        self.assertEqual(1, len(self.got))

    def test_callback_of_a_library_thread_hears_of_the_end(self):
        self.assertEqual(0, self.set_callback(self.arenas[0]._handle, self.callback))
        self.host.ask("withdraw " + self.name)
        self.wait_until(lambda: [kind for _, kind, _, _ in self.got] == [4], self.got)


class ParallelTests(DomainTestCase):
    def test_closing_under_calls_in_progress_gives_codes(self):
        """All threads are in the library at once, which the Python methods would prevent."""
        self.pool.grow(0, 2, timeout=30)
        native = ctypes.CDLL(LIBRARY)
        codes = [set() for _ in range(6)]
        handle, stop = ctypes.c_uint64(self.pool._handle), threading.Event()

        def work(seen):
            blocks = (ctypes.c_int32 * 4)()
            while not stop.is_set():
                code = native.kvc_blocks_alloc(handle, 0, blocks, 4)
                seen.add(code)
                if code == 0:
                    seen.add(native.kvc_blocks_free(handle, 0, blocks, 4, ctypes.c_int64(0)))

        threads = [threading.Thread(target=work, args=(seen,)) for seen in codes]
        for thread in threads:
            thread.start()
        for number in range(40):
            self.pool.available(0)
            self.pool.stats()
        self.assertEqual({0}, set().union(*codes))
        self.session.close()
        deadline = time.monotonic() + 60
        while not all(2 in seen for seen in codes):  # KVC_ERROR_BAD_HANDLE
            self.assertLess(time.monotonic(), deadline, codes)
            time.sleep(0.005)
        stop.set()
        for thread in threads:
            thread.join(60)
        # Closed, or closed between finding the handle and using it: refused then, or the blocks are gone with their pages.
        self.assertEqual(set(), {code for seen in codes for code in seen if code not in (0, 2, 21, 22, 23) and code < 100})


if __name__ == "__main__":
    unittest.main()
