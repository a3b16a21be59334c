"""Keyset pages whose cursor comes from outside."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination


class SafeCursorPagination(CursorPagination):
    """A cursor that decodes but holds no value of the column is answered 404, as one that does not decode."""

    def paginate_queryset(self, *args: Any, **kwargs: Any) -> list[Any] | None:
        try:
            return super().paginate_queryset(*args, **kwargs)
        except (DataError, OverflowError, ValidationError, ValueError) as problem:
            raise NotFound(self.invalid_cursor_message) from problem
