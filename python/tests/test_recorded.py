"""What is recorded of engines, compared with packages that have it, lack it or changed it."""

import io
import os
import sys
import tempfile
import unittest
from contextlib import redirect_stdout

from kvcached_client.integrations import recorded
from kvcached_client.integrations.errors import IntegrationError
from tests.engine_package import write_package

NEW = "v1/core/block_pool.py:BlockPool.touch"


class RecordedTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        sys.path.insert(0, self.folder)
        self.addCleanup(sys.path.remove, self.folder)
        self.addCleanup(sys.modules.pop, "vllm", None)

    def write(self, version="0.26.3", **named):
        write_package(self.folder, "vllm", "0.26", version, **named)

    def refusal(self):
        with self.assertRaises(IntegrationError) as caught:
            recorded.require_installed("vllm")
        return str(caught.exception)

    def test_what_is_as_recorded_is_taken(self):
        self.write()
        self.assertEqual("0.26.3", recorded.require_installed("vllm"))
        self.assertNotIn("vllm", sys.modules)

    def test_an_unknown_release_is_refused_by_name(self):
        self.write("0.99.0")
        said = self.refusal()
        self.assertIn("vllm 0.99.0", said)
        self.assertIn("0.25, 0.26", said)
        self.assertIn("leave kvcached off", said)

    def test_every_difference_is_named(self):
        changes = {NEW: ["self", "blocks", "why"], "v1/engine/core.py:EngineCore.shutdown": None}
        self.write(change=lambda place, parameters: changes.get(place, parameters))
        said = self.refusal()
        self.assertIn(NEW + " has the parameters (self, blocks, why) instead of (self, blocks)", said)
        self.assertIn("EngineCore.shutdown isn't there", said)
        self.assertIn("nothing of it was changed", said)

    def test_a_missing_file_or_attribute_is_named(self):
        self.write()
        os.remove(os.path.join(self.folder, "vllm", "v1", "worker", "utils.py"))
        with open(os.path.join(self.folder, "vllm", "v1", "core", "sched", "output.py"), "w") as file:
            file.write("class SchedulerOutput:\n    pass\n")
        said = self.refusal()
        self.assertIn("v1/worker/utils.py can't be read", said)
        self.assertIn("SchedulerOutput has no total_num_scheduled_tokens", said)

    def test_an_engine_that_is_not_there_is_refused(self):
        self.assertIn("isn't installed here", self.refusal())

    def test_a_source_folder_is_compared_by_hand(self):
        self.write()
        with redirect_stdout(io.StringIO()) as said:
            self.assertEqual(0, recorded.main(["vllm", os.path.join(self.folder, "vllm"), "0.26"]))
            self.assertEqual(1, recorded.main(["vllm", os.path.join(self.folder, "vllm"), "0.25"]))
            for wrong in ([], ["nothing", self.folder], ["vllm", os.path.join(self.folder, "absent")], ["vllm", os.path.join(self.folder, "vllm"), "0.1"]):
                self.assertEqual(2, recorded.main(wrong))
        self.assertIn("as recorded of 0.26 (568afb3a", said.getvalue())
        self.assertIn("1 differences", said.getvalue())


if __name__ == "__main__":
    unittest.main()
