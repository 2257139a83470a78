"""Tokens: whose they are, until when, and that nobody else can make them."""

import base64

from staging.tokens import TOKEN_VALID_S, Identity, Tokens

OFFICER = Identity("officer-H01", "officer", "H01")
NOW_S = 1_000_000.0


def test_a_token_holds_until_it_expires() -> None:
    tokens = Tokens(b"k" * 32)
    token = tokens.issue(OFFICER, NOW_S)
    assert tokens.read(token, NOW_S) == OFFICER
    assert tokens.read(token, NOW_S + TOKEN_VALID_S - 1) == OFFICER
    assert tokens.read(token, NOW_S + TOKEN_VALID_S) is None


def test_another_key_or_another_content_is_not_ours() -> None:
    ours, theirs = Tokens(b"k" * 32), Tokens(b"x" * 32)
    assert ours.read(theirs.issue(OFFICER, NOW_S), NOW_S) is None
    _, _, seal = ours.issue(OFFICER, NOW_S).partition(".")
    other = base64.urlsafe_b64encode(b"officer-H02|officer|H02|9999999999").decode()
    assert ours.read(f"{other}.{seal}", NOW_S) is None
