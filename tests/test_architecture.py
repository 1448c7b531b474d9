"""Imports go downwards in these layers, never up, and never in a circle."""
import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[1]

# From the top down; a name stands for the module and all that is in it. Modules of one layer may import one another.
LAYERS = [
    ["mc2.__main__", "mc2.cli", "mc2.completion", "mc2.options", "mc2.commands", "mc2.api"],
    ["mc2.curate", "mc2.inspection", "mc2.explanation", "mc2.report", "mc2.training", "mc2.evaluation", "mc2.exporting",
     "mc2.dedup", "mc2.download", "mc2.safety"],
    ["mc2.stages", "mc2.balancing", "mc2.metadata", "mc2.clip", "mc2.extract"],
    ["mc2.execution"],
    ["mc2.pairs"],
    ["mc2.files", "mc2.own", "mc2.temporaries", "mc2.remote", "mc2.manifests", "mc2.tars", "mc2.tar_names", "mc2.keys"],
    ["mc2.signals", "mc2.hashing", "mc2.engines", "mc2.extras", "mc2.tables", "mc2.meter", "mc2.settings", "mc2.parsing",
     "mc2.terminal", "mc2.invisible", "mc2.decompression", "mc2.mapped_files", "mc2.documents", "mc2.package_data"],
    ["mc2.errors", "mc2.__init__"],
]


def modules():
    """{name: path} of all modules of mc2; a package is called by its __init__"""
    paths = sorted((ROOT / "mc2").rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}


def name_of(package):
    return f"{package}.__init__" if f"{package}.__init__" in modules() else package


modules = functools.cache(modules)


def imports_of(name):
    """The modules of mc2 that a module imports, also within its functions. `from mc2 import files` imports mc2.files."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are written in full"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if name_of(each) in modules() else node.module for each in inner}
    return {name_of(each) for each in found if each == "mc2" or each.startswith("mc2.")} - {name, "mc2.__init__", "mc2._native"}


def layer_of(name):
    for number, layer in enumerate(LAYERS):
        if any(name == each or name.startswith(f"{each}.") for each in layer):
            return number
    raise AssertionError(f"{name}: in no layer. Put it into one of those in this file.")


def test_every_module_is_in_a_layer():
    assert all(layer_of(name) >= 0 for name in modules())


def test_imports_go_downwards():
    upwards = [f"{name} imports {other}" for name in modules() for other in imports_of(name)
               if layer_of(other) < layer_of(name)]
    assert not upwards, "\n".join(upwards)


def test_no_import_is_in_a_circle():
    imports, done = {name: imports_of(name) for name in modules()}, set()

    def visit(name, on_the_way):
        if name in on_the_way:
            circle = [*on_the_way[on_the_way.index(name):], name]
            raise AssertionError(" -> ".join(circle))
        if name not in done:
            for other in sorted(imports[name]):
                visit(other, [*on_the_way, name])
            done.add(name)

    for name in imports:
        visit(name, [])


def test_stages_and_pairs_know_neither_the_command_line_nor_files_formats():
    for name in modules():
        if name.startswith(("mc2.stages.", "mc2.balancing.", "mc2.pairs.", "mc2.execution.")):
            assert "import click" not in modules()[name].read_text("utf-8"), name
