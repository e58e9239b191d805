"""Stands in for the native module of open-source kvcached and for its messages between processes.

The Python side of kvcached (its patches of vLLM and SGLang, block manager, prefix cache, command line) stays as it is and talks to two modules,
``kvcached.vmm_ops`` and ``kvcached.tp_ipc_util``. With ``KVCACHED_ENGINE_SOCKET`` set, both names give the modules of this package: page ids are then blocks of a
Kvcached pool, which the hosts map on all ranks of a pipeline stage before anyone gets them. Without the variable nothing is touched.
"""

from .activate import install, is_wanted

__all__ = ["install", "is_wanted"]
