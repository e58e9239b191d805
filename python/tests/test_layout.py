import ctypes
import os
import re
import subprocess
import tempfile
import unittest

from kvcached_client import _abi
from tests.support import LIBRARY, ROOT, LibraryTestCase, find_compiler

HEADER = os.path.join(ROOT, "src", "Kvcached.Client.Native", "kvcached.h")


class LayoutTests(LibraryTestCase):
    @unittest.skipUnless(find_compiler(), "needs a C compiler")
    def test_structs_lie_as_the_c_compiler_lays_them_out(self):
        native = os.path.join(ROOT, "tests", "native")
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "layout")
            with open(os.path.join(folder, "main.c"), "w") as main:
                main.write('#include <kvcached.h>\n#include "check.h"\nint main(void) { print_layout(); return 0; }\n')
            subprocess.run(
                [find_compiler(), "-I", os.path.dirname(HEADER), "-I", native, "-o", program, main.name, os.path.join(native, "layout.c")],
                check=True,
            )
            expected = subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout.decode()
        ours = []
        for name, struct in _abi.STRUCTS.items():
            ours.append("{0} {1}".format(name, ctypes.sizeof(struct)))
            for field in struct._fields_:
                ours.append("{0}.{1} {2} {3}".format(name, field[0], getattr(struct, field[0]).offset, getattr(struct, field[0]).size))
        self.assertEqual(expected.splitlines(), ours)

    def test_every_function_of_the_header_is_declared(self):
        with open(HEADER) as header:
            text = header.read()
        declared = {}
        for match in re.finditer(r"KVC_API [^;(]*\b(kvc_[a-z_]+)\(([^;]*)\);", text):
            arguments = [] if match.group(2).strip() == "void" else match.group(2).split(",")
            declared[match.group(1)] = len(arguments)
        ours = {name: len(types) for table in (_abi.WAITING, _abi.PROMPT) for name, types in table.items()}
        ours.update({name: len(types) for name, (types, _result) in _abi.PLAIN.items()})
        self.assertEqual(declared.pop("kvc_events_callback"), 3)
        self.assertEqual(declared, ours)

    def test_what_may_wait_lets_other_threads_run(self):
        with open(HEADER) as header:
            text = header.read()
        waiting = set()
        for match in re.finditer(r"KVC_API int32_t (kvc_[a-z_]+)\(([^;]*)\);", text):
            if "timeout_ms" in match.group(2):
                waiting.add(match.group(1))
        waiting |= {"kvc_open_session", "kvc_close_session", "kvc_attach_rank"}
        self.assertEqual(waiting, set(_abi.WAITING))

    def test_library_has_the_version_of_the_header(self):
        with open(HEADER) as header:
            version = int(re.search(r"#define KVC_ABI_VERSION (\d+)", header.read()).group(1))
        self.assertEqual(version, _abi.ABI_VERSION)
        self.assertEqual(version, ctypes.CDLL(LIBRARY).kvc_abi_version())


if __name__ == "__main__":
    unittest.main()
