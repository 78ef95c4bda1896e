"""docs/metrics.md says of every metric what the code does, and names follow Prometheus."""

import re

from tests.golden.generate_metrics_page import PATH, declared, page


def test_the_page_has_every_metric_as_it_is_declared() -> None:
    text = PATH.read_text()
    assert text == page(text), "run python -m tests.golden.generate_metrics_page"


def test_names_follow_the_conventions() -> None:
    names = [metric.name for metric in declared()]
    assert len(set(names)) == len(names)
    for metric in declared():
        assert re.fullmatch(r"streambus_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert not re.search(r"_(ms|us|ns|kb|mb|minutes)(_|$)", metric.name), "base units only"
        assert (metric.kind == "histogram") == bool(metric.bounds), metric.name


def test_alerts_name_metrics_that_exist() -> None:
    known = {metric.name for metric in declared()}
    suffixes = ("", "_bucket", "_sum", "_count")
    series = {name + suffix for name in known for suffix in suffixes}
    mentioned = set(re.findall(r"streambus_[a-z_]+[a-z](?![a-z_])", PATH.read_text()))
    assert mentioned <= series, f"no such metric: {sorted(mentioned - series)}"
