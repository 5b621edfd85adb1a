"""Configuration of a pool, from which another process can rebuild it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class PoolConfig:
    """What `Pool` was given. See there."""

    workers: int
    context: Any = "spawn"
    seed: int | None = None
    retries: int = 2
    retry_on: tuple[type[BaseException], ...] = ()
    memory_limit: int | None = None
    inner: PoolConfig | None = None
    memo: Any = None
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = field(default=())


def usable_cpus() -> int:
    """Processors that this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def parse_bytes(value: int | str | None) -> int | None:
    """Reads a size: bytes, or text such as ``"500M"`` or ``"4G"`` (powers of 1024).

    Raises
    ------
    ValueError
        It is not a positive size.
    """
    if value is None:
        return None
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", value, re.IGNORECASE)
        if match is None:
            raise ValueError(f"memory_limit: expected a size such as '4G', found {value!r}")
        value = int(float(match[1]) * _UNITS[match[2].upper()])
    if value <= 0:
        raise ValueError(f"memory_limit: expected more than 0 bytes, found {value}")
    return int(value)


def inner_config(inner: Any) -> PoolConfig | None:
    """Reads `inner=`: a number of workers, a mapping of arguments of `Pool`, a pool, or a configuration.

    Raises
    ------
    TypeError
        It is something else, or names an unknown argument.
    """
    if inner is None or isinstance(inner, PoolConfig):
        return inner
    if isinstance(inner, int):
        return PoolConfig(workers=inner)
    if isinstance(inner, Mapping):
        known = {f.name for f in fields(PoolConfig)}
        unknown = sorted(set(inner) - known)
        if unknown:
            raise TypeError(f"inner: unknown argument {unknown[0]!r}; expected some of {', '.join(sorted(known))}")
        values = dict(inner)
        values["memory_limit"] = parse_bytes(values.get("memory_limit"))
        values["inner"] = inner_config(values.get("inner"))
        values.setdefault("workers", 1)
        return PoolConfig(**values)
    config = getattr(inner, "config", None)
    if isinstance(config, PoolConfig):
        return config
    raise TypeError(f"inner: expected a number of workers, a dict or a Pool, found {type(inner).__name__}")
