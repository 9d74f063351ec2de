"""The JSON Schema says what the loader says, as far as a schema can."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from flowkit.config.codes import pages
from flowkit.config.jsonschema import json_schema
from tests.config.fakes import FAKE
from tests.config.helpers import BASE

SCHEMA = json_schema(FAKE)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

ONLY_THE_LOADER_SEES = {
    **dict.fromkeys(
        ["FK004", "FK005", "FK006", "FK007", "FK008", "FK009", "FK010", "FK012"], "about YAML itself, not about values"
    ),
    **dict.fromkeys(["FK020", "FK021", "FK022", "FK030"], "about what is outside of the file"),
    **dict.fromkeys(
        ["FK107", "FK108", "FK120", "FK121", "FK122", "FK123", "FK124", "FK125", "FK126", "FK128"],
        "about several stages",
    ),
    "FK127": "codes are free text to the schema",
    **dict.fromkeys(
        [
            "FK201",
            "FK202",
            "FK203",
            "FK204",
            "FK207",
            "FK208",
            "FK209",
            "FK210",
            "FK211",
            "FK212",
            "FK213",
            "FK214",
            "FK215",
        ],
        "a lint",
    ),
}


def complaints(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("code", [code for code, page in pages().items() if page.wrong])
def test_right_examples_pass_and_wrong_ones_fail_unless_they_are_listed(code: str) -> None:
    page = pages()[code]
    assert not complaints(page.right)
    if code not in ONLY_THE_LOADER_SEES:
        assert complaints(page.wrong)


@pytest.mark.parametrize(
    "stage",
    [
        '{kind: tts, provider: robot, api_key: "${KEY}", speed: "${SPEED}", loud: "${LOUD:-true}", warm: "${file:warm}"}',
        '{kind: tts, provider: "${TTS}", anything: 1}',
        '{kind: llm, queue: {max: "${N}", when_full: "${POLICY}"}, first_token_timeout: "${T}"}',
        '{kind: chunker, first: {min_tokens: "${N}"}, never_split: ["${TERM}"]}',
        "{kind: tts, provider: robot, api_key: x, failover: [{provider: print}]}",
    ],
)
def test_a_reference_is_no_false_alarm(stage: str) -> None:
    assert not complaints(f"flowkit: 1\nstages: [{stage}]\n")


@pytest.mark.parametrize(
    "stage",
    [
        "{kind: tts, provider: robot}",
        "{kind: tts, provider: robot, api_key: x, speed: 9}",
        "{kind: tts, provider: prnt}",
        "{kind: tts, provider: print, speed: 1}",
        "{kind: chunker, provider: x}",
        "{kind: mic, sped: 1}",
        "{kind: tts, provider: print, failover: [{provider: prnt}]}",
        "{kind: gate, queue: {max: 0}}",
    ],
)
def test_what_is_wrong_in_a_stage_is_seen(stage: str) -> None:
    assert complaints(f"flowkit: 1\nstages: [{stage}]\n")


def properties(schema: Any) -> list[str]:
    """Names of properties without a description, wherever they are."""
    if isinstance(schema, list):
        return [name for item in schema for name in properties(item)]
    if not isinstance(schema, dict):
        return []
    named = schema.get("properties", {}).items() if "if" not in schema and "const" not in schema else ()
    bare = [
        n for n, s in named if isinstance(s, dict) and not {"description", "$ref", "const", "anyOf", "enum"} & set(s)
    ]
    return bare + [name for value in schema.values() for name in properties(value)]


def test_every_key_is_explained() -> None:
    bare = {name for name, s in SCHEMA["definitions"].items() if "description" not in s}
    assert not {name for name in bare if name.split(".")[0].split(":")[0] not in ("echo", "patient")}


def test_the_base_passes() -> None:
    assert not complaints(BASE)
