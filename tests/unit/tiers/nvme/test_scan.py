"""Which blocks are really there, and which files were really begun."""

from app.tiers.nvme import scan
from app.tiers.nvme.scan import UNKNOWN, Life, Window
from app.tiers.nvme.segment import FREE_PAGE, PAGE_BYTES
from tests.unit.tiers.nvme.arrange import A, MemoryFiles, Scribe, records


def begun(files: MemoryFiles, path: str, sequence: int = 1) -> Life | None:
    return scan.begun(Window(files.open(path)), sequence, path)


def sequences(scribe: Scribe) -> list[int]:
    window = Window(scribe.files.open(scribe.path))
    life = scan.begun(window, 1, scribe.path)
    assert life is not None
    return [found.block for found in scan.blocks(window, 1, life, scribe.path)]


def five() -> Scribe:
    scribe = Scribe(segment_bytes=1 << 14).begin()
    for n in range(5):
        scribe.write((A, records(n * 10)))
    return scribe


def test_the_walk_goes_from_block_to_block_and_over_what_is_none() -> None:
    scribe = five()
    assert sequences(scribe) == [1, 2, 3, 4, 5]
    for n in (1, 3):
        scribe.files.names[scribe.path][scribe.blocks[n].position] ^= 1
    assert sequences(scribe) == [1, 3, 5]


def test_blocks_across_the_window_are_found(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(scan, "WINDOW_BYTES", 512)
    scribe = five()
    assert sequences(scribe) == [1, 2, 3, 4, 5]
    scribe.files.names[scribe.path][scribe.blocks[0].position] ^= 1
    assert sequences(scribe) == [2, 3, 4, 5]


def test_a_file_is_begun_if_its_page_or_its_first_block_says_so() -> None:
    scribe = five()
    content = scribe.files.names[scribe.path]
    assert begun(scribe.files, scribe.path) == Life(scribe.salt, 1, is_page_damaged=False)
    content[10] ^= 1
    assert begun(scribe.files, scribe.path) == Life(scribe.salt, 1, is_page_damaged=True)
    content[PAGE_BYTES] ^= 1
    assert begun(scribe.files, scribe.path) == Life(0, UNKNOWN, is_page_damaged=True)
    assert sequences(scribe) == []
    content[:PAGE_BYTES] = FREE_PAGE
    assert begun(scribe.files, scribe.path) is None


def test_a_file_that_is_prepared_or_empty_or_of_another_life_is_not_begun() -> None:
    scribe = five()
    for content in (b"", bytes(100), bytes(1 << 14), FREE_PAGE + bytes(1 << 13)):
        scribe.files.names["other"] = bytearray(content)
        assert begun(scribe.files, "other") is None
    assert begun(scribe.files, scribe.path, sequence=2) is None


def test_zeros_with_blocks_of_this_life_behind_them_are_not_taken_for_a_free_file() -> None:
    scribe = five()
    content = scribe.files.names[scribe.path]
    content[: PAGE_BYTES + 512] = bytes(PAGE_BYTES + 512)
    life = begun(scribe.files, scribe.path)
    assert life is not None
    assert life.first_block == UNKNOWN
