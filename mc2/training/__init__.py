"""Training: presets of the paper's runs, and what a run takes, computed without starting it."""
