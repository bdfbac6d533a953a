"""How the workflow runs on a Slurm cluster; docs/cluster.md explains it, config.yaml is the profile."""
