"""The examples of docs/python.md: a test runs them, and type checkers get them as one file.

python3 test_examples.py FILE    writes them to a file
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "python.md"


def examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)


if __name__ == "__main__" and len(sys.argv) == 2 and sys.argv[1].endswith(".py"):
    Path(sys.argv[1]).write_text("\n".join(examples()))
    sys.exit()

from support import PYTHON, Scratch, wheel  # noqa: E402


class Examples(Scratch):
    def test_the_first_steps_end_where_they_began(self) -> None:
        text = re.search(r"^```sh\n(python -m rvenv .*?)^```$", DOCUMENT.read_text(), re.M | re.S)
        assert text is not None
        steps = text.group(1).splitlines()
        self.assertIn("rollback", steps[-1])
        seen = []
        for step in steps:
            self.says("sh", "-ec", f"python() {{ {PYTHON} \"$@\"; }}\n{step}")
            seen.append((self.root / ".venv").stat().st_ino)
        self.assertNotEqual(seen[1], seen[0])
        self.assertEqual(seen[2], seen[0])

    def test_each_runs(self) -> None:
        wheel(self.root)
        (self.root / "team-scripts/common").mkdir(parents=True)
        (self.root / "team-scripts/common/where").write_text("#!/bin/sh\necho __VENV_DIR__\n")
        self.assertGreater(len(examples()), 3)
        for number, text in enumerate(examples()):
            with self.subTest(number):
                script = self.root / f"example{number}.py"
                script.write_text(text)
                self.says(PYTHON, script)
        self.assertEqual(self.says(self.root / ".venv/bin/speck"), "1.0")
        self.assertEqual((self.root / "site/index.html").read_text(), "<p>Hello</p>\n")
