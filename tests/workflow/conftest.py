"""Checkouts to run the workflow in."""

import pytest
from checkouts import Checkout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A fresh checkout in which nothing was made yet; for dry runs."""
    return Checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A checkout with all stores, tables and figures of the tiny preset; tests leave it as it was."""
    checkout = Checkout(tmp_path_factory.mktemp("built"))
    checkout.make("all_tables", "all_figures", "all_stores")
    return checkout
