"""Tests of kvcached_client: python -m tests.run, in the folder python."""
