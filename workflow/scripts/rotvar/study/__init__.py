"""What the Snakefile plans a study with: its configuration, what its jobs will take, runs of Snakemake."""
