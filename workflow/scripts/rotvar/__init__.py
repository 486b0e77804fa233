"""Measure where in a convolutional network invariance to rotation lives.

The modules here are read in the order the data flows: datasets, rotation, transformations, models, training,
evaluation, activations, variance, results, summary, tables, figures, report. Beside them stand

    data        what datasets reads and packs
    statistics  what variance computes of activations
    questions   what a study may ask beyond the variance
    study       what the Snakefile plans with: the configuration, what jobs will take, runs of Snakemake
    jobs        what the rules' scripts run in: a log, a GPU, the network that they train or measure
    system      files, memory, signals
"""
