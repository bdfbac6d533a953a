"""Processes, files, locks, signals, progress and errors: nothing here knows about learning."""
