"""Django's SQLite backend, in which the threads of one process begin their transactions one after the other.

SQLite lets one writer in at a time; the others look again every so often, up to a tenth of a second apart, and the
one with bad luck waits for seconds although the database was free a hundred times meanwhile. Threads of one process
can simply queue up. Between processes SQLite's own waiting remains.
"""

import threading
from typing import Any

from django.db.backends.sqlite3 import base

_turn = threading.Lock()


class DatabaseWrapper(base.DatabaseWrapper):
    _has_turn = False

    def _start_transaction_under_autocommit(self) -> None:
        # Who waits in vain goes on to SQLite, which says that the database is locked.
        self._has_turn = _turn.acquire(timeout=self.settings_dict["OPTIONS"]["timeout"])
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._end_turn()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _close(self) -> Any:
        try:
            return super()._close()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            _turn.release()
