"""The portal's routes as an OpenAPI 3.1 document, made from the descriptions that run.

Knows routes and msgspec's schemas; nothing of what any route is for.
"""

from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec

from staging.routes import Content, Route

_REFERENCES = "#/components/schemas/{name}"
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """What `routes` take and answer."""
    routes = list(routes)
    types = list(dict.fromkeys(_types(routes)))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCES)
    known = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Caodiem reference portal", "version": version("caodiem")},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _types(routes: list[Route]) -> Iterable[Any]:
    for route in routes:
        yield from (each for each in route.all_answers.values() if _is_json(each))
        if route.body is not None:
            yield route.body


def _is_json(content: Content) -> bool:
    return content is not None and not isinstance(content, str)


def _operation(route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    module = route.handler.__module__.rpartition(".")[2]
    told: dict[str, Any] = {
        "operationId": f"{module}.{route.handler.__name__}",
        "tags": [module],
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {
            str(status): _response(status, content, schemas) for status, content in route.all_answers.items()
        },
    }
    if route.who:
        told["security"] = [{"token": [role]} for role in route.who]
    if route.body is not None:
        media = "application/x-www-form-urlencoded" if route.form else "application/json"
        told["requestBody"] = {"required": True, "content": {media: {"schema": schemas[route.body]}}}
    return told


def _path_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name in route.parameters:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameters(route: Route) -> Iterable[dict[str, Any]]:
    if route.query is None:
        return
    (_,), components = msgspec.json.schema_components([route.query])
    shape = components[route.query.__name__]
    for name, schema in shape["properties"].items():
        yield {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": schema}


def _response(status: int, content: Content, schemas: dict[Any, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if isinstance(content, str):
        told["content"] = {content: {}}
    elif content is not None:
        told["content"] = {"application/json": {"schema": schemas[content]}}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        told["headers"] = _RETRY
    return told
