"""Flame graphs (benchmarks/race/flames.py)."""

from collections import Counter
from xml.etree import ElementTree

import pytest

from benchmarks.race import flames
from benchmarks.race.folds import Frame, Kind, Stack

SVG = "{http://www.w3.org/2000/svg}"


def stack(*names: str) -> Stack:
    return tuple(Frame(name, Kind.PROGRAM) for name in names)


STACKS = Counter(
    {
        stack("main", "read", "copy"): 500,
        stack("main", "read", "check"): 250,
        stack("main", "read"): 50,
        stack("main", "write"): 198,
        stack("main", "rare <&> \"name\""): 2,
    }
)  # fmt: skip


def drawn_boxes(svg: str) -> list[ElementTree.Element]:
    groups = ElementTree.fromstring(svg).iter(f"{SVG}g")
    return [each for each in groups if each[0].tag == f"{SVG}title"]


def test_callees_are_as_wide_as_their_samples_and_stay_within_their_caller() -> None:
    placed = {box.frame.name: box for box in flames.boxes(flames.tree(STACKS), 0)}
    widths = {name: box.end - box.start for name, box in placed.items()}
    assert widths.pop('rare <&> "name"') == 2
    assert widths == {
        "all": 1000,
        "main": 1000,
        "read": 800,
        "copy": 500,
        "check": 250,
        "write": 198,
    }
    for caller, callees in {"main": ("read", "write"), "read": ("copy", "check")}.items():
        assert sum(widths[name] for name in callees) <= widths[caller]
        for name in callees:
            assert placed[caller].start <= placed[name].start
            assert placed[name].end <= placed[caller].end
            assert placed[name].depth == placed[caller].depth + 1
    assert placed["copy"].end == placed["check"].start


def test_the_same_callee_of_two_callers_is_two_boxes() -> None:
    stacks = Counter({stack("a", "lock"): 1, stack("b", "lock"): 1})
    placed = [box for box in flames.boxes(flames.tree(stacks)) if box.frame.name == "lock"]
    assert [(box.start, box.end) for box in placed] == [(0, 1), (1, 2)]


def test_narrow_boxes_are_left_away() -> None:
    named = {box.frame.name for box in flames.boxes(flames.tree(STACKS))}
    assert named == {"all", "main", "read", "copy", "check", "write"}


def test_it_is_well_formed_and_each_box_has_a_title() -> None:
    stacks = STACKS + Counter({stack("main", 'odd <&> "name"'): 100})
    svg = flames.drawn(stacks, "a row <neither> & more")
    found = {each[0].text: each[1] for each in drawn_boxes(svg)}
    assert 'odd <&> "name" (9.1%)' in found
    assert "main (100.0%)" in found
    widths = {name: float(rect.get("width") or 0) for name, rect in found.items() if name}
    assert widths["main (100.0%)"] == flames.WIDTH - 2 * flames.MARGIN
    above = widths["read (72.7%)"] + widths["write (18.0%)"] + widths['odd <&> "name" (9.1%)']
    assert above == pytest.approx(widths["main (100.0%)"], rel=0.003)


def test_a_name_is_cut_to_the_width_of_its_box() -> None:
    stacks = Counter({stack("main", "a_function_with_a_long_name" * 4): 30, stack("main"): 70})
    shown = [
        each[2].text or "" for each in drawn_boxes(flames.drawn(stacks, "row")) if len(each) == 3
    ]
    assert "main" in shown
    (cut,) = [text for text in shown if text.startswith("a_function")]
    assert cut.endswith("..")
    assert len(cut) * flames.CHARACTER_PX <= 0.3 * flames.WIDTH


def test_it_keeps_its_bound_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = Counter({stack("main", f"function_{n}"): n for n in range(1, 120)})
    whole = flames.drawn(stacks, "row")
    monkeypatch.setattr(flames, "BYTES_MAX", len(whole) // 2)
    less = flames.drawn(stacks, "row")
    assert len(less) <= len(whole) // 2
    assert 2 < len(drawn_boxes(less)) < len(drawn_boxes(whole))


def test_the_legend_says_whose_code_ran() -> None:
    leaf = Frame("tcp_recvmsg", Kind.KERNEL)
    stacks = Counter({(*stack("main"), leaf): 3, stack("main"): 1})
    texts = [
        each.text for each in ElementTree.fromstring(flames.drawn(stacks, "row")).iter(f"{SVG}text")
    ]
    assert "kernel 75%" in texts
    assert f"{Kind.PROGRAM} 25%" in texts
