"""Where a process of a node says what it does."""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Sequence
from pathlib import Path

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_to(folder: Path, level: str) -> None:
    """Everything from `level` up goes to `node.log` in `folder`, warnings also to the terminal."""
    file = logging.handlers.RotatingFileHandler(folder / "node.log", maxBytes=16 * 2**20, backupCount=2)
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING)
    configure_logging(level, [file, terminal])


def configure_logging(level: str, handlers: Sequence[logging.Handler]) -> None:
    """One form for every process's log; libraries that report each request speak from warnings up."""
    logging.basicConfig(level=level.upper(), format=LOG_FORMAT, handlers=handlers, force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
