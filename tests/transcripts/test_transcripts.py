"""Every transcript plays as it is written, and the runner itself reads what it says it reads."""

from pathlib import Path

import pytest

from tests.transcripts import runner


class Echo:
    def do(self, command: str) -> str:
        return "\n".join(command.split()[1:])


@pytest.mark.parametrize(
    "path", runner.transcripts(), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_a_transcript_plays_as_written(path: Path) -> None:
    text = path.read_text()
    assert runner.play(text, runner.machine_for(path)) == text


def test_there_are_transcripts() -> None:
    assert runner.transcripts()


def test_a_trace_ends_at_the_next_command_or_remark() -> None:
    text = "# why\nsay a b\n----\na\nb\nsay c\n----\nc\n\n# then\nsay\n----\n\n# end\n"
    steps, after = runner.parse(text)
    assert [(step.command, step.trace) for step in steps] == [
        ("say a b", ["a", "b"]),
        ("say c", ["c"]),
        ("say", []),
    ]
    assert after == ["", "# end"]
    assert runner.play(text, Echo()) == text


def test_playing_replaces_only_traces() -> None:
    assert runner.play("# why\nsay a\n----\nwrong\nwrong\n\n# end\n", Echo()) == (
        "# why\nsay a\n----\na\n\n# end\n"
    )


@pytest.mark.parametrize(
    "text",
    ["----\na\n", "lost\nsay a\n----\na\n", "say a\n----\na\n\nlost\n", "\n----\na\n", "lost\n"],
)
def test_lines_that_belong_to_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        runner.parse(text)


def test_rewriting_makes_a_transcript_true(tmp_path: Path) -> None:
    wrong = "produce count=2\n----\noffset 99\n"
    folder = tmp_path / "partition_log"
    folder.mkdir()
    path = folder / "wrong.txt"
    path.write_text(wrong)
    assert runner.rewrite(path)
    assert path.read_text() == "produce count=2\n----\noffset 0\nend 2\n"
    assert not runner.rewrite(path)
