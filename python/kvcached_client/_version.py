"""Elastic KV-cache memory for LLM engines: the version of this package."""

__version__ = "0.1.0"
