"""Mutation testing of the chunker's core: which small changes of the rules does no test notice?

    python tests/benchmarks/chunker_mutants.py [--every N] [MODULE ...]

Each mutant is one change of one expression (a comparison, a constant, `and` for `or`, a dropped `not`, an answer) in a copy
of the package; a child process runs the tests against the copy. Prints a line for each survivor and the share killed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis  # noqa: F401  # imported here once, so that no child has to
import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("stops", "clauses", "tails", "spans", "draft", "marks", "core", "view", "text")
TESTS = ("test_certain", "test_stops", "test_clauses", "test_core", "test_speak", "test_cases")
SLOW = "not megabyte and not bad_input and not work_per_token"
DEADLINE_S = 60
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_NAMES = {"NO": "WAIT", "WAIT": "NO", "_GO_ON": "_STAND", "_STAND": "_GO_ON"}


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """The node, changed in each way that mutants are made of."""
    if isinstance(node, ast.Compare):
        changed = copy.deepcopy(node)
        changed.ops[0] = _COMPARISONS[type(node.ops[0])]()
        yield changed
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _NAMES:
        yield ast.Name(_NAMES[node.id], ast.Load())
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield ast.BinOp(node.left, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), node.right)


class _Swap(ast.NodeTransformer):
    def __init__(self, place: int, new: ast.AST) -> None:
        self._place, self._new, self._seen = place, new, -1

    def visit(self, node: ast.AST) -> ast.AST:
        self._seen += 1
        return self._new if self._seen == self._place else self.generic_visit(node)


def mutants(source: str) -> Iterator[tuple[int, str, str, str]]:
    """Line, expression before and after, and the whole mutated source."""
    tree = ast.parse(source)
    for place, node in enumerate(_in_order(tree)):
        for new in changes(node):
            mutated = ast.fix_missing_locations(_Swap(place, new).visit(copy.deepcopy(tree)))
            line = getattr(node, "lineno", 0)
            yield line, ast.unparse(node), ast.unparse(ast.fix_missing_locations(new)), ast.unparse(mutated)


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)


def survives(overlay: Path) -> bool:
    """Whether the tests pass on the copy. A hang counts as killed."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    child = os.fork()
    if child == 0:
        signal.alarm(DEADLINE_S)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        sys.path.insert(0, str(overlay))
        for name in [name for name in sys.modules if name == "flowkit" or name.startswith("flowkit.")]:
            del sys.modules[name]
        files = [str(overlay / "tests" / "chunker" / f"{name}.py") for name in TESTS]
        os._exit(
            int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-k", SLOW, f"--rootdir={overlay}", *files])) != 0
        )
    return os.waitpid(child, 0)[1] == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("modules", nargs="*", default=list(MODULES))
    parser.add_argument("--every", type=int, default=1, help="only each so-manieth mutant")
    given = parser.parse_args()
    made = killed = 0
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder)
        for part in ("flowkit", "tests/chunker", "tests/conftest.py", "pyproject.toml"):
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, overlay / part)
            else:
                shutil.copy(ROOT / part, overlay / part)
        if not survives(overlay):
            sys.exit("the tests fail without any mutation")
        for module in given.modules:
            path = overlay / "flowkit" / "chunker" / f"{module}.py"
            source = path.read_text("utf-8")
            for line, before, after, mutated in list(mutants(source))[:: given.every]:
                path.write_text(mutated, "utf-8")
                made += 1
                if survives(overlay):
                    print(f"{module}.py:{line}: {before}  ->  {after}", flush=True)
                else:
                    killed += 1
            path.write_text(source, "utf-8")
            print(f"{module}: {killed} of {made} killed so far", flush=True)
    print(f"killed {killed} of {made}")


if __name__ == "__main__":
    main()
