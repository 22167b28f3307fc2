"""Django's ORM over psycopg 3: server-side binding, atomic blocks, iterators, bulk writes."""

from __future__ import annotations

import random
from urllib.parse import urlsplit

import django  # type: ignore[import-not-found]  # lives in build/drivers
from django.conf import settings  # type: ignore[import-not-found]  # too

from tests.drivers.python import plan
from tests.drivers.python.plan import expect, play, question

_PARTS = urlsplit(plan.DSN)
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": _PARTS.hostname,
            "PORT": _PARTS.port,
            "USER": _PARTS.username,
            "PASSWORD": _PARTS.password,
            "NAME": _PARTS.path[1:],
            "CONN_MAX_AGE": None,
            "OPTIONS": {"server_side_binding": True, "prepare_threshold": 0},
        }
    },
    USE_TZ=True,
    TIME_ZONE="UTC",
)
django.setup()

from django.db import DataError, connection, models, transaction  # type: ignore[import-not-found]  # noqa: E402 - after the settings


class Account(models.Model):  # type: ignore[misc]  # untyped base
    """Somebody who owns entries."""

    name = models.TextField(unique=True)

    class Meta:
        app_label = "drivers"


class Entry(models.Model):  # type: ignore[misc]  # untyped base
    """One entry of an account."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="entries")
    amount = models.IntegerField()

    class Meta:
        app_label = "drivers"


def tables_are_made() -> None:
    with connection.schema_editor() as editor:
        editor.create_model(Account)
        editor.create_model(Entry)
    connection.close()


def clients_ask_at_random() -> None:
    def work(rng: random.Random) -> None:
        for _ in range(60):
            asked = question(rng)
            with connection.cursor() as cursor:
                cursor.execute(asked.text(), asked.parameters)
                expect(cursor.fetchone(), asked.answer)
            if rng.random() < 0.2:
                _fail()
        connection.close()

    plan.in_threads(work)


def _fail() -> None:
    """Fail in a nested atomic block; the outer one goes on."""
    with transaction.atomic():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("select 1 / cast(%s as int)", [0])
        except DataError:
            expect(Account.objects.filter(name="nobody").exists(), False)
            return
    raise AssertionError("the division did not fail")


def objects_are_written_and_read() -> None:
    def work(rng: random.Random) -> None:
        account = Account.objects.create(name=f"account {rng.randrange(1 << 30)}")
        amounts = [rng.randrange(100) for _ in range(plan.BATCH)]
        Entry.objects.bulk_create(Entry(account=account, amount=amount) for amount in amounts)
        read = account.entries.order_by("id").values_list("amount", flat=True)
        expect(list(read), amounts)
        expect(account.entries.aggregate(models.Sum("amount"))["amount__sum"], sum(amounts))
        with transaction.atomic():
            locked = account.entries.select_for_update().order_by("id").first()
            locked.amount = 1000
            locked.save()
        expect(account.entries.filter(amount=1000).count(), 1)
        got, created = Account.objects.get_or_create(name=account.name)
        expect((got.pk, created), (account.pk, False))
        connection.close()

    plan.in_threads(work)


def iterators_hold_a_cursor() -> None:
    """Outside a transaction Django asks for WITH HOLD, which takes session state; inside not."""
    with transaction.atomic():
        seen = [each.amount for each in Entry.objects.order_by("id").iterator(chunk_size=100)]
    expect(len(seen), Entry.objects.count())
    connection.close()


def a_large_parameter() -> None:
    value = "g" * plan.BIG
    account = Account.objects.create(name=value[: plan.BIG // 1000])
    with connection.cursor() as cursor:
        cursor.execute("select %s, length(%s)", [value, value])
        expect(cursor.fetchone(), (value, plan.BIG))
    account.delete()
    connection.close()


if __name__ == "__main__":
    play(
        tables_are_made,
        clients_ask_at_random,
        objects_are_written_and_read,
        iterators_hold_a_cursor,
        a_large_parameter,
    )
