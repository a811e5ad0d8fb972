"""Texts of loggers hold no secret."""

from __future__ import annotations

import pytest

from raykd.results.logger_record import without_secrets


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("http://me:pw@host:5000/a", "http://***@host:5000/a"),
        ("postgresql+psycopg2://me:p:w@host/db failed", "postgresql+psycopg2://***@host/db failed"),
        ("see 'https://tok@host' and https://h/?a=1&api_key=x&b=2",
         "see 'https://***@host' and https://h/?a=1&api_key=***&b=2"),
        ("https://host/@user?a=1", "https://host/@user?a=1"),
        ("sqlite:////tmp/mlflow.db", "sqlite:////tmp/mlflow.db"),
        ("mail me@host", "mail me@host"),
    ],
)  # fmt: skip
def test_user_password_and_keys_of_addresses_are_left_out(text, kept):
    assert without_secrets(text) == kept
