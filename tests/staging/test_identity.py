"""Sign-in by OpenID Connect, as Authlib's client sees it, and what the RFCs have refused."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from staging.identity import CLIENT
from staging.service import Portal
from tests.staging.calls import Caller, Reply, check_documented

REDIRECT = "http://127.0.0.1:8765/back"
Discovered = dict[str, str]


@pytest.fixture(scope="module")
def discovered(portal: Portal) -> Discovered:
    return dict(get(f"{portal.url}/identity/.well-known/openid-configuration").json())


def noted(reply: requests.Response) -> requests.Response:
    """The answer, held against what /openapi.json tells of it."""
    is_json = reply.headers["content-type"].startswith("application/json") if reply.content else False
    told = {name.lower(): value for name, value in reply.headers.items()}
    path = urlsplit(reply.url).path
    check_documented(str(reply.request.method), path, Reply(reply.status_code, reply.json() if is_json else None, told))
    return reply


def get(url: str, wish: dict[str, str] | None = None) -> requests.Response:
    return noted(requests.get(url, wish, timeout=10, allow_redirects=False))


def post(url: str, form: dict[str, str]) -> requests.Response:
    return noted(requests.post(url, form, timeout=10, allow_redirects=False))


def session() -> OAuth2Session:
    return OAuth2Session(
        CLIENT, scope="openid profile", redirect_uri=REDIRECT, code_challenge_method="S256",
        token_endpoint_auth_method="none",
    )  # fmt: skip


def fill_in(url: str, account: str, secret: str) -> requests.Response:
    """What a person does with the page: the hidden fields go along."""
    page = get(url)
    assert page.status_code == 200
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    action = re.search(r'action="([^"]*)"', page.text)
    assert action is not None
    address = urlsplit(url)
    given = {name: value.replace("&amp;", "&") for name, value in fields.items()}
    return post(
        f"{address.scheme}://{address.netloc}{action[1]}",
        {**given, "account": account, "secret": secret},
    )


def test_the_code_flow_as_authlib_goes_it(portal: Portal, discovered: Discovered, secret: str) -> None:
    client, verifier, nonce = session(), generate_token(48), generate_token(20)
    endpoint = discovered["authorization_endpoint"]
    url, state = client.create_authorization_url(endpoint, code_verifier=verifier, nonce=nonce)
    back = fill_in(url, "citizen-000003", secret)
    assert back.status_code == 303
    location = back.headers["location"]
    assert location.startswith(REDIRECT)
    # Authlib compares the state that comes back with the one it sent.
    token = client.fetch_token(
        discovered["token_endpoint"], authorization_response=location, code_verifier=verifier, state=state
    )
    known = KeySet.import_key_set(get(discovered["jwks_uri"]).json())
    decoded = jwt.decode(token["id_token"], known, algorithms=["ES256"])
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        options={"iss": {"value": discovered["issuer"]}, "aud": {"value": CLIENT}},
        params={"nonce": nonce, "client_id": CLIENT, "access_token": token["access_token"]},
    )
    claims.validate()
    assert claims["sub"] == "citizen-000003"
    told = noted(client.get(discovered["userinfo_endpoint"])).json()
    assert told["sub"] == "citizen-000003"
    assert told["name"]
    # The access token opens the portal's own API.
    assert Caller(portal.url, token["access_token"]).get("/store/documents").status == 200


def code_and_verifier(discovered: Discovered, secret: str) -> tuple[str, str]:
    verifier = generate_token(48)
    url, _ = session().create_authorization_url(discovered["authorization_endpoint"], code_verifier=verifier)
    location = fill_in(url, "citizen-000003", secret).headers["location"]
    return parse_qs(urlsplit(location).query)["code"][0], verifier


def exchange(discovered: Discovered, **changed: str) -> tuple[int, str]:
    form = {"grant_type": "authorization_code", "client_id": CLIENT, "redirect_uri": REDIRECT, **changed}
    reply = post(discovered["token_endpoint"], form)
    assert reply.headers["cache-control"] == "no-store"
    return reply.status_code, reply.json().get("error", "")


def test_a_code_serves_once(discovered: Discovered, secret: str) -> None:
    code, verifier = code_and_verifier(discovered, secret)
    assert exchange(discovered, code=code, code_verifier=verifier) == (200, "")
    assert exchange(discovered, code=code, code_verifier=verifier) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        ({"code_verifier": "x" * 43}, (400, "invalid_grant")),
        ({"redirect_uri": f"{REDIRECT}2"}, (400, "invalid_grant")),
        ({"code": "made up"}, (400, "invalid_grant")),
        ({"client_id": "other"}, (401, "invalid_client")),
        ({"grant_type": "password"}, (400, "unsupported_grant_type")),
    ],
)
def test_a_code_is_for_one_client_one_address_one_proof_key(
    discovered: Discovered, secret: str, changed: dict[str, str], answer: tuple[int, str]
) -> None:
    code, verifier = code_and_verifier(discovered, secret)
    assert exchange(discovered, **{"code": code, "code_verifier": verifier, **changed}) == answer


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openid everything"}, "invalid_scope"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_a_wrong_wish_goes_back_with_its_error(discovered: Discovered, changed: dict[str, str], error: str) -> None:
    wish = {
        "response_type": "code", "client_id": CLIENT, "redirect_uri": REDIRECT, "scope": "openid", "state": "a&b",
        "code_challenge": "A" * 43, "code_challenge_method": "S256", **changed,
    }  # fmt: skip
    reply = get(discovered["authorization_endpoint"], wish)
    assert reply.status_code == 303
    assert parse_qs(urlsplit(reply.headers["location"]).query) == {"error": [error], "state": ["a&b"]}


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "other"},
        {"redirect_uri": "https://example.vn/back"},
        {"redirect_uri": "http://127.0.0.1@example.vn/"},
        {"redirect_uri": "http://127.0.0.1/\r\nset-cookie: a=b"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": ""},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_the_clients(discovered: Discovered, changed: dict[str, str]) -> None:
    wish = {"response_type": "code", "client_id": CLIENT, "redirect_uri": REDIRECT, "scope": "openid", **changed}
    reply = get(discovered["authorization_endpoint"], wish)
    assert reply.status_code == 400
    assert "location" not in reply.headers


def test_a_wrong_secret_gets_the_form_again_without_markup_of_the_callers(discovered: Discovered) -> None:
    wish = {
        "response_type": "code", "client_id": CLIENT, "redirect_uri": REDIRECT, "scope": "openid",
        "state": '"><script>alert(1)</script>', "code_challenge": "A" * 43, "code_challenge_method": "S256",
        "account": "citizen-000003", "secret": "guess",
    }  # fmt: skip
    reply = post(discovered["authorization_endpoint"], wish)
    assert reply.status_code == 401
    assert "<script>" not in reply.text
