"""Evaluation: the benchmarks of the paper, each in a module, on models that turn images and texts into features."""
