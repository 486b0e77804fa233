"""Measure where in a convolutional network invariance to rotation lives.

The modules here are read in the order the data flows: datasets, rotation, transformations, models, trainer, training,
evaluation, activations, variance, results, summary, tables, figures, report. Beside them stand

    data        what datasets reads and packs
    statistics  what variance computes of activations
    questions   what a study may ask beyond the variance
    study       what the workflow's rules and scripts need: the configuration, jobs
    system      files, memory, signals
"""
