"""Commands and their replies as frozen values, one module per noun.

`COMMANDS` is all of them: what may cross the sibling's socket.
"""

from app.admin.commands import cluster, configs, health, metrics, producers, records, topics
from app.admin.port import Command

MODULES = (cluster, configs, health, metrics, producers, records, topics)

COMMANDS: tuple[type[Command], ...] = tuple(kind for module in MODULES for kind in module.COMMANDS)
