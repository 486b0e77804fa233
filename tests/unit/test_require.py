"""What a test needs and does not find is a skip for a user and a failure in CI."""

import pytest
from conftest import require


def test_a_user_sees_a_skip(monkeypatch):
    monkeypatch.delenv("ROTVAR_TEST_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="there is no browser"):
        require(False, "there is no browser")


def test_ci_sees_a_failure(monkeypatch):
    monkeypatch.setenv("ROTVAR_TEST_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="there is no browser"):
        require(False, "there is no browser")


def test_what_is_there_is_neither(monkeypatch):
    monkeypatch.setenv("ROTVAR_TEST_ALL", "1")
    require(True, "there is no browser")
