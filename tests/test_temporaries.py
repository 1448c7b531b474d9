"""Temporary files and directories are those of one process at a time, and no process takes another's away."""
import fcntl
import os

import pytest

from mc2 import files, temporaries
from mc2.errors import Mc2Error


def test_a_directory_that_is_replaced_while_it_is_locked_is_locked_anew(tmp_path, monkeypatch):
    directory, flock, calls = tmp_path / "work", fcntl.flock, []

    def replaced_at_first(descriptor, operation):
        if not calls:
            directory.rename(tmp_path / "finished")
        calls.append(operation)
        return flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", replaced_at_first)
    with temporaries.locked(directory, "busy") as descriptor:
        assert os.path.samestat(os.fstat(descriptor), os.stat(directory)) and len(calls) == 2


def test_a_directory_that_another_one_holds_is_busy(tmp_path):
    with temporaries.locked(tmp_path, "busy"), pytest.raises(Mc2Error, match="busy"):
        with temporaries.locked(tmp_path, "busy"):
            pass


def test_a_temporary_that_another_run_is_writing_is_left_to_it(tmp_path):
    with files.open_write(tmp_path / "a") as stream:
        stream.write(b"whole")
        with pytest.raises(Mc2Error, match="another run is writing this output"), files.open_write(tmp_path / "a"):
            pass
        temporaries.discard_abandoned(tmp_path / "a")
        assert (tmp_path / ".a.tmp").exists()
    assert (tmp_path / "a").read_bytes() == b"whole" and not (tmp_path / ".a.tmp").exists()


def test_a_temporary_that_a_killed_run_left_is_deleted(tmp_path):
    (tmp_path / ".a.tmp").write_bytes(b"half")
    temporaries.discard_abandoned(tmp_path / "a")
    assert not (tmp_path / ".a.tmp").exists()
