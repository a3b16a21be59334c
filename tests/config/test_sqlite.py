"""On SQLite the threads of a process wait for each other and not for a database that is locked."""

import threading
import time

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import Person
from tests.factories import inspector

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has row locks"),
]


def in_threads(count: int, work) -> list[Exception]:
    failures: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as problem:
            failures.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def rename(person: Person) -> None:
    with transaction.atomic():
        first = Person.objects.get(pk=person.pk).first_name
        time.sleep(0.01)
        Person.objects.filter(pk=person.pk).update(first_name=f"{first}x")


def test_transactions_of_many_threads_follow_each_other():
    person = inspector()
    Person.objects.filter(pk=person.pk).update(first_name="")

    assert in_threads(8, lambda: [rename(person) for _ in range(5)]) == []

    assert Person.objects.get(pk=person.pk).first_name == "x" * 40


@pytest.mark.parametrize("failure", [ValueError, DatabaseError])
def test_a_transaction_that_fails_lets_the_next_one_begin(failure):
    person = inspector()

    def fail() -> None:
        with transaction.atomic():
            rename(person)
            raise failure

    assert [type(each) for each in in_threads(3, fail)] == [failure] * 3
    assert in_threads(1, lambda: rename(person)) == []


def test_a_connection_that_is_closed_in_a_transaction_lets_the_next_one_begin():
    person = inspector()

    def leave() -> None:
        transaction.set_autocommit(True)
        atomic = transaction.atomic()
        atomic.__enter__()
        connection.connection.close()
        connection._close()

    in_threads(1, leave)

    assert in_threads(1, lambda: rename(person)) == []
