import select
import threading
import unittest

import kvcached_client as kvc
from tests.domain import DomainTestCase


class CacheTests(DomainTestCase):
    def setUp(self):
        super().setUp()
        self.pool.grow(0, 1, timeout=30)
        self.pool.keep_events()

    def test_cached_blocks_are_found_again_by_their_tags(self):
        a, b, c = self.pool.alloc(0, 3)
        self.pool.cache(0, a, b"tag a", 1)
        self.pool.tag(0, b, b"b" * 64)
        self.pool.cache_tagged(0, [b], 1)
        found = {item.block: item for item in self.pool.tagged_blocks(0)}
        self.assertEqual({a: b"tag a", b: b"b" * 64}, {block: item.tag for block, item in found.items()})
        self.assertTrue(found[a].is_cached)
        self.assertEqual(b"tag a", self.pool.tag_of(0, a))
        with self.assertRaises(kvc.TagMismatchError):
            self.pool.take_cached(0, [a, b], [b"tag a", b"other"])
        self.assertEqual(2, self.pool.stats().cached_blocks, "a refused call changed something")
        self.pool.take_cached(0, [a, b], [b"tag a", b"b" * 64])
        self.assertEqual((0, 3), (self.pool.stats().cached_blocks, self.pool.stats().used_blocks))
        with self.assertRaises(kvc.BlockError):
            self.pool.take_cached(0, [a])
        with self.assertRaises(kvc.BlockError):
            self.pool.tag_of(0, c)
        for tag in (b"", b"x" * 65):
            with self.assertRaises(kvc.BlockError) as caught:
                self.pool.cache(0, c, tag, 1)
            self.assertEqual("KVC_ERROR_BAD_TAG", caught.exception.name)
        with self.assertRaises(kvc.BlockError) as caught:
            self.pool.cache_tagged(0, [c], 1)
        self.assertEqual("KVC_ERROR_NOT_TAGGED", caught.exception.name)

    def test_allocating_evicts_the_oldest_and_says_so(self):
        blocks = self.pool.alloc(0, self.blocks_per_page)
        for number, block in enumerate(blocks):
            self.pool.cache(0, block, number.to_bytes(4, "big"), 1)
        self.pool.touch(0, blocks[0])
        self.assertEqual(2, len(self.pool.alloc(0, 2)))
        events = self.pool.poll_events(timeout=30)
        self.assertEqual([kvc.Evicted(0, blocks[i], i.to_bytes(4, "big")) for i in (1, 2)], events)
        self.assertEqual([], self.pool.poll_events())
        with self.assertRaises(kvc.BlockError):
            self.pool.touch(0, blocks[1])

    def test_evicting_by_hand(self):
        block, = self.pool.alloc(0, 1)
        self.pool.cache(0, block, b"t", 1)
        self.pool.evict(0, [block])
        self.assertEqual([kvc.Evicted(0, block, b"t")], self.pool.poll_events(timeout=30))
        with self.assertRaises(kvc.BlockError):
            self.pool.evict(0, [block])

    def test_events_beyond_the_room_are_counted(self):
        self.pool.keep_events(capacity=2)
        blocks = self.pool.alloc(0, 5)
        for block in blocks:
            self.pool.cache(0, block, b"t", 1)
        self.pool.evict(0, blocks)
        self.assertEqual([kvc.Lost(3), kvc.Evicted(0, blocks[3], b"t"), kvc.Evicted(0, blocks[4], b"t")], self.pool.poll_events(timeout=30))

    def test_descriptor_is_readable_while_there_are_events(self):
        descriptor = self.pool.events_fileno()
        self.assertGreaterEqual(descriptor, 1024)
        self.assertFalse(self.poll(descriptor, 0))
        block, = self.pool.alloc(0, 1)
        self.pool.cache(0, block, b"t", 1)
        self.pool.evict(0, [block])
        self.assertTrue(self.poll(descriptor, 30))
        self.pool.poll_events()
        self.assertFalse(self.poll(descriptor, 0))

    @staticmethod
    def poll(descriptor, seconds):
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return poller.poll(int(seconds * 1000))

    def test_waiting_for_events_lets_other_threads_run(self):
        got = []
        waiting = threading.Thread(target=lambda: got.extend(self.pool.poll_events(timeout=60)))
        waiting.start()
        block, = self.pool.alloc(0, 1)
        self.pool.cache(0, block, b"t", 1)
        self.pool.evict(0, [block])
        waiting.join(60)
        self.assertEqual([kvc.Evicted(0, block, b"t")], got)

    def test_memory_asked_for_is_given_up_and_told(self):
        a, b = self.pool.alloc(0, 2)
        self.pool.cache(0, a, b"t", 1)
        self.pool.free(0, [b], 1)
        for arena in self.arenas:
            arena.step_done(1)
        self.assertEqual("asked", self.host.ask("revoke " + self.name))
        events = []
        while not any(isinstance(event, kvc.Shrink) for event in events) or not any(isinstance(event, kvc.Evicted) for event in events):
            came = self.pool.poll_events(timeout=30)
            self.assertTrue(came, events)
            events += came
        self.assertIn(kvc.Evicted(0, a, b"t"), events)
        self.assertIn(kvc.Shrink(1, 1), events)
        self.assertEqual(0, self.pool.stats().mapped_pages)
        with self.assertRaises(kvc.BlockError) as caught:
            self.pool.take_cached(0, [a], [b"t"])
        self.assertEqual("KVC_ERROR_STALE", caught.exception.name)


if __name__ == "__main__":
    unittest.main()
