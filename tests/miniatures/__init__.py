"""Miniatures of benchmarks, in the form in which each is published: real layout, tiny images."""
