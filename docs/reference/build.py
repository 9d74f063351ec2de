"""Write what is made from the code: the reference, the page of errors and the JSON Schema.

python docs/reference/build.py            write them
python docs/reference/build.py --check    say which are not up to date (exit code 1)
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(DOCS.parent))

from flowkit.config import read  # noqa: E402
from flowkit.config.codes import pages  # noqa: E402
from flowkit.config.jsonschema import schema_text  # noqa: E402
from flowkit.config.markdown import yaml_blocks  # noqa: E402
from flowkit.config.reference import BuiltIn, reference  # noqa: E402
from flowkit.config.text import NamedText  # noqa: E402
from flowkit.plan import vet  # noqa: E402
from tools import reference_pages  # noqa: E402


def built() -> dict[Path, str]:
    """The text of every document that is made, by path."""
    head = (DOCS / "reference" / "head.md").read_text(encoding="utf-8")
    return {
        DOCS / "flowkit.schema.json": schema_text(BuiltIn()),
        DOCS / "reference" / "configuration.md": head + "\n" + reference(BuiltIn()),
        DOCS / "errors.md": errors_page(),
        **{DOCS / "reference" / name: text for name, text in reference_pages.pages().items()},
    }


def errors_page() -> str:
    """The hand-written examples with what flowkit says of each, and the page of every code."""
    examples = (DOCS / "reference" / "errors-head.md").read_text(encoding="utf-8")
    text = with_answers(examples) + "\n# Every code\n\n`flowkit explain CODE` shows the same.\n\n"
    return text + "\n".join(page.markdown("##") for page in pages().values())


def with_answers(examples: str) -> str:
    """Behind each wrong block what ``flowkit check`` says of it."""
    answers = []
    for block in yaml_blocks(NamedText("example.yaml", examples)):
        source = block.source.text if block.source.text.strip() else ""
        found = vet(read("assistant.yaml", text=source, catalog=BuiltIn())).problems
        answers.append("\n\n```\n" + "\n".join(problem.full() for problem in found) + "\n```\n")
    parts = examples.split("<!-- answer -->\n")
    assert len(parts) == len(answers) + 1, "each example is followed by <!-- answer -->"
    return "".join(
        part + answer.lstrip("\n") + "\n" * bool(answer) for part, answer in zip(parts, [*answers, ""], strict=True)
    )


def main() -> int:
    """Write or check; 1 if something was out of date and was not to be written."""
    stale = [path for path, text in built().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path} is not up to date: run python docs/reference/build.py")
        return 1 if stale else 0
    for path, text in built().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
