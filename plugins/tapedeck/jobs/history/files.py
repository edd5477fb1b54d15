"""A folder of CSV or Parquet files with a mapping of its columns, as history."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tapedeck.errors import BadInput, Unavailable
from tapedeck.jobs.history.binance import days
from tapedeck.jobs.history.source import WHOLE, Answer, Found, Want
from tapedeck.jobs.history.table import NUMBERS, Layout, Table
from tapedeck.settings import FilesHistory

SUFFIXES = (".csv", ".gz", ".zip", ".parquet")


class Files:
    """Files named by day, and by symbol where no column says it."""

    def __init__(self, vendor: str, table: FilesHistory) -> None:
        """Raises BadInput for a mapping that makes no message."""
        known = {"ts_event", "ts_recv", "symbol", "seq", "prev", *NUMBERS[table.kind]}
        known |= {"side", "maker"} if table.kind == "trade" else set()
        needed = set(NUMBERS[table.kind][:2])
        where = f"[vendors.{vendor}] history of {table.at}"
        if strange := sorted(set(table.columns) - known):
            raise BadInput(
                f"{where}: a {table.kind} has no {', '.join(strange)}, only {', '.join(sorted(known))}"
            )
        if missing := sorted(needed - set(table.columns)):
            raise BadInput(f"{where}: columns lack {', '.join(missing)}")
        if not {"ts_event", "ts_recv"} & set(table.columns):
            raise BadInput(f"{where}: columns name neither ts_event nor ts_recv")
        if "{symbol}" not in table.name and "symbol" not in table.columns:
            raise BadInput(f"{where}: neither the file's name nor a column says the symbol")
        if not table.name.endswith(SUFFIXES):
            raise BadInput(f"{where}: {table.name} ends with none of {', '.join(SUFFIXES)}")
        self._table, self._folder = table, Path(table.at).expanduser().absolute()
        self._layout = Layout(kind=table.kind, columns=dict(table.columns), unit=table.unit)
        self.name = f"files {self._folder} {table.name}"

    def find(self, wants: Sequence[Want], symbols: Sequence[str]) -> Answer:
        """See `Source.find`."""
        if not self._folder.is_dir():
            raise Unavailable(f"the folder of history {self._folder} is not there: mount it, or correct `at`")
        by_path: dict[tuple[Path, str], list[Want]] = {}
        for want in wants:
            if want.kind not in (WHOLE, self._table.kind):
                continue
            named = "{symbol}" in self._table.name
            meant = [""] if not named else symbols if want.symbol == WHOLE else [want.symbol]
            for symbol in meant:
                for day in days(want.slice):
                    name = self._table.name.replace("{symbol}", symbol).replace("{day}", day)
                    path = self._folder / name
                    if not Path(os.path.normpath(path)).is_relative_to(self._folder):
                        continue  # a symbol may be `../../x`
                    if path.is_file():
                        of_path = by_path.setdefault((path, symbol), [])
                        if want not in of_path:
                            of_path.append(want)
        return Answer(
            tuple(
                Found(Table(path, self._layout, symbol), tuple(some))
                for (path, symbol), some in sorted(by_path.items())
            )
        )
