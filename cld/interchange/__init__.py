"""Checkpoints in and out: networks that others trained become runs, and runs become files that others read.

``python -m cld.interchange import`` and ``python -m cld.interchange export``; ``docs/checkpoints.md``.
"""
