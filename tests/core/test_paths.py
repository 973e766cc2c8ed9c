import subprocess
import sys
from pathlib import Path

import pytest

from knowledge_core.errors import DataDirectoryHeld, StorageError
from knowledge_core.paths import OwnerLock, data_directory

HOLD = """
import sys, time
from pathlib import Path
from knowledge_core.paths import OwnerLock
lock = OwnerLock(Path(sys.argv[1]), "kcore serve")
print("held", flush=True)
time.sleep(60)
"""


def test_the_data_directory_is_the_option_then_the_variable_then_the_home(monkeypatch):
    monkeypatch.setenv("KNOWLEDGE_CORE_HOME", "/tmp/from-variable")
    assert data_directory("/tmp/option") == Path("/tmp/option")
    assert data_directory() == Path("/tmp/from-variable")
    monkeypatch.delenv("KNOWLEDGE_CORE_HOME")
    assert data_directory() == Path.home() / ".knowledge-core"


def test_a_second_process_is_told_who_holds_the_data_directory(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataDirectoryHeld) as raised:
            OwnerLock(tmp_path, "kcore index")
        assert str(holder.pid) in str(raised.value)
        assert "kcore serve" in str(raised.value)
        assert "--home" in str(raised.value)
    finally:
        holder.kill()
        holder.communicate()


def test_a_killed_holder_leaves_the_data_directory_free(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.kill()
    holder.communicate()
    OwnerLock(tmp_path, "kcore index").release()


def test_a_data_directory_that_is_a_file_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="--home"):
        OwnerLock(tmp_path / "file", "kcore index")


def test_asking_where_the_data_directory_is_imports_the_standard_library_only():
    code = (
        "import sys, knowledge_core.paths; print([m for m in ('numpy', 'pydantic', 'yaml', 'mcp') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
