"""Holds the published JSON Schema to an independent validator, which is not among what the tests need.

    pip install jsonschema
    anabranch schema > schema.json && python3 check.py schema.json ../../../../recipes/*.toml

Every recipe beside this file is to be marked where its first line says; those that are named are to be valid.
"""

import json
import pathlib
import sys
import tomllib

import jsonschema


def marks(error):
    """The paths that an editor marks for an error: the key that is too much or missing, or the value."""
    at = ".".join(map(str, error.absolute_path))
    names = []
    if error.validator == "required":
        names = [name for name in error.validator_value if name not in error.instance]
    if error.validator == "additionalProperties":
        names = [name for name in error.instance if name not in error.schema.get("properties", {})]
    return [f"{at}.{name}".strip(".") for name in names] or [at]


def main(schema, *recipes):
    schema = json.loads(pathlib.Path(schema).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    wrong = sorted(pathlib.Path(__file__).parent.glob("*.toml"))
    failed = 0
    for path in wrong:
        text = path.read_text()
        at = text.splitlines()[0].removeprefix("# at: ")
        found = [mark for error in validator.iter_errors(tomllib.loads(text)) for mark in marks(error)]
        if found != [at]:
            failed += 1
            print(f"{path.name}: marked at {found}, not at {at}")
    for path in map(pathlib.Path, recipes):
        for error in validator.iter_errors(tomllib.loads(path.read_text())):
            failed += 1
            print(f"{path.name}: {marks(error)}: {error.message}")
    print(f"{len(wrong)} wrong recipes, {len(recipes)} right ones, {failed} surprises")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
