"""Snakemake that asks Slurm every second how jobs are: the plugin asks ever less often while none ends."""

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

RemoteExecutor.next_seconds_between_status_checks = property(lambda _: 1, lambda *_: None)
main()
