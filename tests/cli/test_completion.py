"""Completion as bash asks for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASH = shutil.which("bash")
ASK = """
oddswire --install-completion >&2
source ~/.bashrc
COMP_WORDS=($1) COMP_CWORD=$2
_oddswire_completion oddswire
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(BASH is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "at", "offered"),
    [
        ("oddswire us", 1, ["user"]),
        ("oddswire user ", 2, ["list", "kick", "cancel", "export", "erase"]),
        ("oddswire session list --data", 3, ["--database"]),
        ("oddswire order place m yes b", 5, ["buy"]),
    ],
)
def test_bash_completes(tmp_path: Path, words: str, at: int, offered: list[str]) -> None:
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"
    asked = subprocess.run(
        [str(BASH), "-c", ASK, "bash", words, str(at)],
        env={**os.environ, "HOME": str(tmp_path), "PATH": path},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert asked.stdout.split() == offered, asked
    assert "bash completion installed" in asked.stderr
    # what is left in a home folder is what the documentation says
    assert (tmp_path / ".bash_completions/oddswire.sh").exists()
