"""Where the output goes when it cannot go anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
async def database(cli: Cli, tmp_path: Path) -> Path:
    path = tmp_path / "oddswire.db"
    for number in range(20):
        await cli("app", "create", f"app{number}", "-d", str(path))
    return path


def ended(database: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell's words, `$LIST` in which is a command that prints at least 20 lines."""
    words = f"{sys.executable} -m oddswire app list --database {database}"
    return subprocess.run(
        ["/bin/bash", "-c", script], env={**os.environ, "LIST": words}, capture_output=True, text=True, timeout=50
    )


@pytest.mark.parametrize("form", ["", "--json"])
@pytest.mark.parametrize("then", ["| head -1", "| true", ">&-", ">&- 2>&-"])
def test_an_output_that_nobody_reads_is_a_normal_end(database: Path, then: str, form: str) -> None:
    done = ended(database, f"$LIST {form} {then}; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
@pytest.mark.parametrize("form", ["", "--json"])
def test_an_output_that_cannot_be_written_is_a_line(database: Path, form: str) -> None:
    done = ended(database, f"$LIST {form} > /dev/full")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: The output cannot be written: No space left on device.")
