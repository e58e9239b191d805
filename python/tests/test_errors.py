import os
import re
import unittest

import kvcached_client as kvc
from kvcached_client.errors import error_of
from tests.support import ROOT, LibraryTestCase

GROUP = kvc.multi_head("full", layers=4, kv_heads=8, head_elements=128, virtual_bytes=1 << 28, tensor_parallel=2)
NOWHERE = "/nonexistent/kvcached.sock"


class ErrorTests(LibraryTestCase):
    def test_host_that_is_not_there(self):
        with self.assertRaises(kvc.UnavailableError) as caught:
            kvc.Session(NOWHERE, "engine", connect_timeout=0.15)
        self.assertIn(NOWHERE, str(caught.exception))
        self.assertEqual(131, caught.exception.status)
        self.assertEqual("KVC_REFUSED_HOST_UNREACHABLE", caught.exception.name)
        with self.assertRaises(kvc.UnavailableError):
            kvc.Arena(NOWHERE, "pool", 0, "HOST-0", attach_timeout=0.15)

    def test_arguments_that_make_no_sense(self):
        for make in (
            lambda: kvc.Session("", "engine"),
            lambda: kvc.Session(NOWHERE, ""),
            lambda: kvc.Session(NOWHERE, "e" * 65),
            lambda: kvc.Session(NOWHERE, "engine", connect_timeout=-1),
            lambda: kvc.Arena(NOWHERE, "pool", -1, "HOST-0"),
            lambda: kvc.Arena(NOWHERE, "pool", 0, "GPU 0"),
            lambda: kvc.PoolSpec("with space", [GROUP], ["HOST-0"]).check(),
            lambda: kvc.PoolSpec("pool", [], ["HOST-0"]).check(),
            lambda: kvc.PoolSpec("pool", [GROUP], []).check(),
            lambda: kvc.PoolSpec("pool", [GROUP], ["HOST-0"], layout="diagonal").check(),
            lambda: kvc.PoolSpec("pool", [GROUP], ["HOST-0"], rank_layers=[[1, 2]]).check(),
        ):
            with self.assertRaises(ValueError):
                make()

    def test_specs_are_checked_without_a_host(self):
        kvc.PoolSpec("pool", [GROUP], ["HOST-0", "HOST-1"]).check()
        kvc.PoolSpec("pool", [GROUP], ["HOST-0", "HOST-1"], layout="grouped", layers_per_mapping=2).check()
        kvc.PoolSpec("pool", [GROUP], ["HOST-0", "HOST-1"], rank_layers=[[3], [5]]).check()
        for broken, words in (
            (kvc.PoolSpec("pool", [GROUP], ["HOST-0", "HOST-0"]), "HOST-0"),
            (kvc.PoolSpec("pool", [GROUP, GROUP], ["HOST-0"]), "unique"),
            (kvc.PoolSpec("pool", [GROUP], ["HOST-0"], limit_bytes=1, floor_bytes=2), "floor"),
            (kvc.PoolSpec("pool", [GROUP], ["HOST-0"], weight=-1), "weight"),
            (kvc.PoolSpec("pool", [GROUP], ["HOST-0"], layout="grouped"), "grouped"),
        ):
            with self.assertRaises(kvc.BadSpecError) as caught:
                broken.check()
            self.assertIn(words, str(caught.exception))

    def test_every_code_of_the_header_has_a_family(self):
        with open(os.path.join(ROOT, "src", "Kvcached.Client.Native", "kvcached.h")) as header:
            codes = re.findall(r"^\s+(KVC_(?:ERROR|REFUSED)_\w+) = (\d+)", header.read(), re.M)
        self.assertGreater(len(codes), 45)
        for name, value in codes:
            error = error_of(int(value), name, "what failed")
            self.assertIsNot(type(error), kvc.KvcachedError, name)
            self.assertEqual("what failed ({0})".format(name), str(error))
            self.assertEqual(name.startswith("KVC_REFUSED"), isinstance(error, kvc.RefusedError))
        self.assertIsInstance(error_of(101, "", ""), kvc.PoolGoneError)
        self.assertIsInstance(error_of(109, "", ""), kvc.MemoryRefusedError)
        self.assertIsInstance(error_of(116, "", ""), kvc.UnavailableError)
        self.assertIsInstance(error_of(22, "", ""), kvc.BlockError)
        self.assertIs(type(error_of(20, "", "")), kvc.NoBlocksError)


if __name__ == "__main__":
    unittest.main()
