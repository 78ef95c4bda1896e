"""Names that a shell offers while one types: asked of the broker, and nothing where it is slow."""

import typer

from streambus.cli import rest

WAIT_S = 0.5
NAMES_MAX = 100


def topics(context: typer.Context, incomplete: str) -> list[str]:
    """Names of topics that begin like that."""
    address = context.params.get("api") or rest.DEFAULT_API
    try:
        found = rest.Api(address, WAIT_S).get("/topics", {"prefix": incomplete, "limit": NAMES_MAX})
        return [str(topic["name"]) for topic in found["topics"]]
    except (rest.Problem, typer.Exit, KeyError, TypeError):
        return []  # a shell has no place for a complaint
