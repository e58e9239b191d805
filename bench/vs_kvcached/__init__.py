"""Kvcached beside the open-source kvcached on the same GPUs; see ``__main__``."""
