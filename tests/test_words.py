"""Variables of the source are named for what they are."""

import ast
import re

from source_imports import SOURCE

SAY_NOTHING = ("one", "found", "made", "told", "about", "theirs", "mine")
MAYBE = re.compile(rf"\b({'|'.join(SAY_NOTHING)})( =|:| in |,)")


def test_no_variable_has_a_name_that_says_nothing():
    bad = []
    for file in sorted(SOURCE.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if MAYBE.search(text) else ():
            name = node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else None
            if name in SAY_NOTHING:
                bad.append(f"{file.relative_to(SOURCE)}:{node.lineno}: {name}")
    assert bad == []
