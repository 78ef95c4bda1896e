"""Writes the table of docs/metrics.md from what the code declares:

python -m tests.golden.generate_metrics_page
"""

from pathlib import Path

from app.kafka import metrics as kafka
from app.partitions import metrics as partitions
from app.raft import metrics as raft
from app.telemetry import process
from app.telemetry.metrics import Metric
from app.tiers.nvme import metrics as wal

PATH = Path(__file__).parents[2] / "docs/metrics.md"
BEGIN, END = "<!-- the table is generated -->\n", "<!-- end of the table -->\n"
GROUPS = (
    ("The Kafka port", kafka.DECLARED),
    ("Topics and partitions", partitions.DECLARED),
    ("The write-ahead log", wal.DECLARED),
    ("The manifest", raft.DECLARED),
    ("The process", process.DECLARED),
)


def declared() -> list[Metric]:
    return [metric for _, metrics in GROUPS for metric in metrics]


def table() -> str:
    lines = []
    for title, metrics in GROUPS:
        lines += ["", f"### {title}", "", "| metric | kind | labels | series | what |"]
        lines.append("|---|---|---|---|---|")
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            lines.append(
                f"| `{metric.name}` | {metric.kind} | {labels} | {metric.series} | {metric.help} |"
            )
    return "\n".join([*lines, "", ""])


def page(text: str) -> str:
    """`text` with its table as the code has it."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    PATH.write_text(page(PATH.read_text()))
