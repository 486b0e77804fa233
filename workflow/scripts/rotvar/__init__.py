"""Measure where in a convolutional network invariance to rotation lives.

The library reads in the order the data flows: datasets, rotation, models, training, evaluation, activations,
variance, results, tables, figures.
"""
