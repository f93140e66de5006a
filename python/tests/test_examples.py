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
