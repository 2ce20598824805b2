"""The layout of the package: few rooms, no two that need each other, imports downward only."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "blindsr_jax"
# From the ground up: a room imports from the rows before its own.
FLOORS = (
    {"config", "io"},
    {"kernels"},
    {"imaging"},
    {"networks"},
    {"inference", "diffusion"},
    {"weights"},
    {"methods"},
    {"solvers"},
    {"runs", "benchmarks"},
    {"evaluation"},
    {"training"},
)
MODULES = {
    ".".join(("blindsr_jax", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imports_of(path):
    """Modules of the package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "blindsr_jax":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "blindsr_jax")


def room(module):
    return module.split(".")[1] if module.count(".") else None


def test_the_top_of_the_package_has_at_most_fourteen_entries():
    entries = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()} - {"__init__", "__pycache__"}
    assert len(entries) <= 14 and entries == set().union(*FLOORS)


def test_imports_lead_to_modules_that_exist():
    unknown = {(name, found) for name, path in MODULES.items() for found in imports_of(path) if found not in MODULES}
    assert not unknown


def test_rooms_import_downward_only():
    floor = {name: i for i, names in enumerate(FLOORS) for name in names}
    wrong = {
        (module, found)
        for module, path in MODULES.items()
        for found in imports_of(path)
        if room(module) and room(found) and room(module) != room(found) and floor[room(found)] >= floor[room(module)]
    }
    assert not wrong


def test_no_function_is_longer_than_eighty_lines():
    long = {
        f"{name}.{node.name}": node.end_lineno - node.lineno + 1
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 80
    }
    assert not long
