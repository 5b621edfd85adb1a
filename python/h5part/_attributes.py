"""Attributes of tables and columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import _check
from .errors import NotFound

if TYPE_CHECKING:
    from ._store import Store


class Attributes(Mapping[str, Any]):
    """Attributes of a table or a column, as a mapping to bool, int, float, str or list of str.

    Attributes of other types are left out.

    **Concurrency.** May be read beside writers. One process at a time sets an attribute; others wait.

    Examples
    --------
    >>> import h5part
    >>> table = h5part.create("run.h5", "t", 3, {"E": "f8"}, attrs={"method": "r2scan"})
    >>> table["E"].attrs["units"] = "eV"
    >>> dict(table.attrs), dict(table["E"].attrs)
    ({'method': 'r2scan'}, {'units': 'eV'})
    """

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path

    def __getitem__(self, name: str) -> Any:
        """Returns the value of an attribute.

        Raises
        ------
        NotFound
            There is no attribute of this ``name`` and of a type that h5part reads.
        """
        value = self._store._raw().attribute(self._path, name)
        if value is None:
            raise NotFound(f"no attribute '{name}' that h5part reads", code=3, path=self._store.path)
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        """Sets an attribute.

        **Concurrency.** Writers wait meanwhile. **Survives** a kill at any instant: the old value, or the new one.

        Parameters
        ----------
        name
            Name of the attribute.
        value
            A bool, int, float, str, or a list of str.

        Raises
        ------
        TypeMismatch
            The value has another type.
        """
        self._store._raw().set_attribute(self._path, name, _check.attribute(name, value))
        self._store._forget_units()

    def __iter__(self) -> Iterator[str]:
        raw = self._store._raw()
        return iter([name for name in raw.attribute_names(self._path) if raw.attribute(self._path, name) is not None])

    def __len__(self) -> int:
        """Number of attributes."""
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return repr(dict(self))
