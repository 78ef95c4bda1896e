"""What docs/ says of commands and settings is what the code has."""

import re
import shlex

import pytest

from tests.tidy import generated
from tests.tidy.source import ROOT

COMMANDS = {" ".join(path): command for path, command in generated.commands()}
CLI = (ROOT / "docs/cli.md").read_text()
WRITTEN = CLI.partition("## Options")[0]


@pytest.mark.parametrize("document", sorted({document for document, _ in generated.parts()}))
def test_what_is_made_of_the_code_is_current(document: str) -> None:
    assert (ROOT / document).read_text() == generated.current(document), "run `make docs`"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command: str) -> None:
    assert re.search(rf"^    (.*\| )?streambus {command}\b", WRITTEN, re.M), command


@pytest.mark.parametrize("line", re.findall(r"^    (?:.*\| )?streambus (.*)$", WRITTEN, re.M))
def test_every_example_can_be_called(line: str) -> None:
    words = shlex.split(line.partition(" > ")[0])
    named = next((size for size in (2, 1) if " ".join(words[:size]) in COMMANDS), 0)
    assert named, line
    known = {
        option
        for param in COMMANDS[" ".join(words[:named])].params
        if param.param_type_name == "option"
        for option in param.opts
    }
    given = {word for word in words[named:] if re.match(r"-[-a-z]", word)}
    assert given <= known, given - known


def test_every_command_says_what_it_does() -> None:
    for name, command in COMMANDS.items():
        assert command.help, name
        for param in command.params:
            assert param.help or param.name == "ctx", f"{name} {param.name}"


def test_every_exit_code_is_documented() -> None:
    from app.main import BUG_STATUS
    from streambus.cli import console

    codes = [value for name, value in vars(console).items() if name.startswith("EXIT_")]
    for code in [0, BUG_STATUS, *codes]:
        assert re.search(rf"^\| {code} \| ", WRITTEN, re.M), code
