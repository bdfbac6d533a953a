"""Checkpoints in and out: networks that others trained become runs, and runs become files that others read.

``cld import`` and ``cld export``; ``docs/checkpoints.md``.
"""
