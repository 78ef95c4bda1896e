"""Rules of style that a machine can check. A rule that nobody runs is a wish."""

import ast
import re

import pytest

from tests.tidy.source import ALL, PRODUCT, ROOT, Source, dotted, functions, sources, words

FILE_LINES_MAX, FUNCTION_LINES_MAX, LINE_MAX = 600, 70, 100

VAGUE = set(
    [
        "manager",
        "helper",
        "helpers",
        "util",
        "utils",
        "common",
        "base",
        "info",
        "data",
        "service",
        "processor",
        "handler",
    ]
)

# A call, and the only places where it may stand: everything else goes through the world.
HOMES = {
    "time.time": ("app/world/",),
    "time.time_ns": ("app/world/",),
    "time.monotonic": ("app/world/",),
    "time.monotonic_ns": ("app/world/",),
    "time.sleep": (),
    "datetime.now": ("streambus/cli/",),
    "datetime.datetime.now": ("streambus/cli/",),
    "open": ("app/world/",),
    "os.open": ("app/world/",),
    "os.fsync": ("app/world/",),
    "os.fdatasync": ("app/world/",),
    "os.urandom": ("app/world/",),
    "asyncio.create_task": (),
    "asyncio.ensure_future": (),
    "loop.create_task": (),
    "loop.run_in_executor": (),
    "print": ("streambus/cli/console.py",),
}
RANDOM_HOMES = ("app/world/",)

# Modules that nothing imports because something outside Python starts them.
ENTRY_POINTS = {"app.cli", "streambus.cli.main", "streambus.__main__"}


def each(*folders: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("source", sources(*folders), ids=lambda source: source.name)


@each(*ALL)
def test_a_file_keeps_the_ceilings(source: Source) -> None:
    lines = source.text.splitlines()
    assert len(lines) <= FILE_LINES_MAX, f"{len(lines)} lines: two nouns live here, split by noun"
    long = [n for n, line in enumerate(lines, 1) if len(line) > LINE_MAX]
    assert not long, f"lines over {LINE_MAX}: {long}"
    for function in functions(source.tree):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= FUNCTION_LINES_MAX, f"{function.name}: {length} lines"


@each(*ALL)
def test_a_module_says_what_it_is(source: Source) -> None:
    docstring = ast.get_docstring(source.tree)
    assert docstring or not source.text.strip(), "no module docstring"
    if source.name.startswith("app/core/") and not source.name.endswith("__init__.py"):
        for word in ("Owns", "Never", "Trusts"):
            assert re.search(rf"^{word}\s", docstring or "", re.M), f"docstring lacks '{word}'"


@each(*PRODUCT)
def test_names_are_nouns_of_the_design(source: Source) -> None:
    named = [n.name for n in ast.walk(source.tree) if isinstance(n, ast.ClassDef)]
    stem = source.name.rsplit("/", 1)[-1].removesuffix(".py")
    vague = [name for name in [*named, stem] if VAGUE & set(words(name))]
    assert not vague, f"too vague to use: {vague}"


@each(*PRODUCT)
def test_the_world_is_the_one_door(source: Source) -> None:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        call = dotted(node.func)
        homes = RANDOM_HOMES if call.startswith("random.") else HOMES.get(call)
        if homes is not None:
            assert source.name.startswith(homes or ("-",)), f"line {node.lineno}: {call}("


@each(*ALL)
def test_nothing_is_left_for_later_or_swallowed(source: Source) -> None:
    markers = re.findall(r"\b(?:FIX" + r"ME|XX" + r"X|TO" + r"DO)\b", source.text)
    assert not markers, f"left for later: {markers}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: bare except"
            broad = dotted(node.type) in ("Exception", "BaseException")
            silent = all(isinstance(step, ast.Pass) for step in node.body)
            assert not (broad and silent), f"line {node.lineno}: an error disappears here"


def test_every_core_module_has_its_twin_test() -> None:
    missing = []
    for source in sources("app/core"):
        folder, _, name = source.name.removeprefix("app/").rpartition("/")
        if name != "__init__.py" and not (ROOT / f"tests/unit/{folder}/test_{name}").exists():
            missing.append(source.name)
    assert not missing, f"no tests/unit/... twin: {missing}"


def test_every_module_is_used() -> None:
    imported: set[str] = set()
    for source in sources(*ALL):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
                imported.update(f"{node.module}.{alias.name}" for alias in node.names)
    text = "\n".join(source.text for source in sources(*PRODUCT))
    dead = [
        source.module
        for source in sources(*PRODUCT)
        if not source.name.endswith("__init__.py")
        and source.module not in imported | ENTRY_POINTS
        and f'"{source.module}' not in text
    ]
    assert not dead, f"nothing imports: {dead}"


def test_every_setting_is_documented() -> None:
    from app.config import catalogue

    documented = (ROOT / "docs/configuration.md").read_text()
    missing = [each.path for each in catalogue.entries() if f"`{each.path}`" not in documented]
    assert not missing, f"not in docs/configuration.md: {missing}"


def test_every_served_api_is_documented() -> None:
    from streambus.protocol import api

    documented = (ROOT / "docs/protocol.md").read_text()
    missing = [name for name in api_names(api) if name not in documented]
    assert not missing, f"not in docs/protocol.md: {missing}"


def api_names(api: object) -> list[str]:
    return [served.name for served in api.TABLE]  # type: ignore[attr-defined]


def test_every_event_is_documented() -> None:
    documented = (ROOT / "docs/events.md").read_text()
    missing = set()
    for source in sources(*PRODUCT):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and dotted(node.func) in ("events.emit", "emit"):
                name = node.args[0] if node.args else None
                assert isinstance(name, ast.Constant), f"{source.name}: an event's name is constant"
                if f"`{name.value}`" not in documented:
                    missing.add(name.value)
    assert not missing, f"not in docs/events.md: {sorted(missing)}"
