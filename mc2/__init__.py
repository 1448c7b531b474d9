"""mc2: the Meta CLIP 2 recipe as composable command-line tools.

Read in this order: README.md, examples/demo, mc2/pairs/batch.py, mc2/balance/algorithm.py.
"""
__version__ = "0.1.0"
