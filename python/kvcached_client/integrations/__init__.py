"""Engines that run on Kvcached's memory without a change to their own code. Importing this package imports no engine."""
