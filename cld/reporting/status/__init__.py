"""How far everything is, from files alone: neither Snakemake nor Slurm is asked, nor has to work."""
