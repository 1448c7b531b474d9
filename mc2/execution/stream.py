"""Pairs from a stream to a stream, a block at a time, in one process or many; the order is that of the input."""
from mc2.execution.processes import map_in_order
from mc2.execution.shard import dropped, rejected
from mc2.execution.stage import first_error_of


class BlockWork:
    """From a block to (what `make` makes of its batch after the stages, tally, bad lines, dropped pairs)."""

    def __init__(self, stages, make, requires, skip_bad=False, keep_dropped=False):
        self.stages, self.make, self.requires = stages, make, requires
        self.skip_bad, self.keep_dropped = skip_bad, keep_dropped

    def __call__(self, block):
        return first_error_of(block, self._product)

    def _product(self, block):
        batch = block.batch(self.requires, self.skip_bad, self.keep_dropped, self.stages.adds, self.stages.reads)
        made = self.stages.product(batch, self.make)
        return made, batch.tally, rejected(batch), dropped(batch)


def products(work, inputs, jobs, **reading):
    """Yield what the BlockWork gives for the blocks of all inputs, in order. reading: options of mc2.pairs.shards.read_blocks"""
    yield from map_in_order(work, work.stages.blocks(inputs, **reading), jobs)
