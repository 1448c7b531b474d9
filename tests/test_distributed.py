"""The group of processes that torchrun starts: what is left of it when it is closed."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training_tools import require_train

require_train()

ROOT = Path(__file__).parents[1]

RANK = """
import pathlib
from mc2.clip.distributed import Ranks
ranks = Ranks("cpu")
import open_clip                        # after the group was made, as `mc2 eval` imports it
assert ranks.gather(ranks.rank) == ([0, 1] if ranks.is_first else None)
before = len(list(pathlib.Path("/proc/self/task").iterdir()))
ranks.close()
after = [path.read_text().strip() for path in pathlib.Path("/proc/self/task").glob("*/comm")]
assert before > 1 and not any("gloo" in name for name in after), (before, after)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs the list of threads that Linux has")
def test_a_closed_group_leaves_no_thread(tmp_path):
    """A thread of the group that still runs when Python ends may abort the process, after all its work is done."""
    (tmp_path / "rank.py").write_text(RANK)
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
                           str(tmp_path / "rank.py")], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
