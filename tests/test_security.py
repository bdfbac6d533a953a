"""Nothing runs code that a file brings, and archives stay within their folder."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "cld").rglob("*.py"), *(ROOT / "data_prep").rglob("*.py")])
#: Calls that run what they are given, each with the files that may, and why.
FORBIDDEN = {
    "eval": {"cld/reporting/targets.py"},  # resources of the user's own configuration, as in a profile
    "exec": set(),
    "os.system": set(),
    "os.popen": set(),
    "pickle.load": set(),
    "pickle.loads": set(),
    "torch.hub.load": set(),
    "np.load": set(),
    "yaml.unsafe_load": set(),
    "yaml.full_load": set(),
    "shutil.unpack_archive": set(),
}


def calls(path):
    """Every call in a file: its name with dots, and its keyword arguments as source."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


def test_no_call_runs_what_a_file_brings():
    for path in SOURCES:
        file = str(path.relative_to(ROOT))
        for name, words in calls(path):
            assert file in FORBIDDEN.get(name, {file}), f"{file}: {name}"
            if name == "torch.load":
                assert words.get("weights_only") == "True", file
            if name.endswith((".extractall", ".extract")):
                assert words.get("filter") == "'data'", f"{file}: {name} without the data filter"
            assert words.get("shell", "False") == "False", f"{file}: {name} through a shell"


def test_yaml_is_read_by_a_safe_loader_and_pickles_by_one_that_names_what_it_takes():
    text = {path: path.read_text(encoding="utf-8") for path in SOURCES}
    loaders = [found for source in text.values() for found in re.findall(r"yaml\.load\((.*)\)", source)]
    assert loaders == ["text, _Loader"] and "class _Loader(yaml.SafeLoader)" in text[ROOT / "cld/config.py"]
    unpicklers = {path.name for path, source in text.items() if "pickle.Unpickler" in source}
    assert unpicklers == {"pickles.py"}  # tests/data_prep/test_cifar_pickles.py: only what arrays need
