"""Evaluation: the benchmarks of the paper, each in its own room, on models that turn images and texts into features."""
