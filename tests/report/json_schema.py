"""A validator for the part of JSON Schema that the report's schema uses, written from the specification and nothing else."""

from __future__ import annotations

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "number": (int, float)}
KNOWN = {
    "$schema",
    "$ref",
    "$defs",
    "title",
    "description",
    "default",
    "type",
    "properties",
    "required",
    "items",
    "anyOf",
}
KNOWN |= {"additionalProperties"}


def faults(value, schema, root, path="$"):
    """Return what in `value` contradicts `schema`; fail on keywords that are not understood here."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return faults(value, root["$defs"][name], root, path)
    if "anyOf" in schema:
        tries = [faults(value, option, root, path) for option in schema["anyOf"]]
        return [] if [] in tries else tries[0]
    kind = schema.get("type")
    if kind == "integer":
        return [] if isinstance(value, int) and not isinstance(value, bool) else [f"{path}: {value!r} is no integer"]
    if kind and not isinstance(value, TYPES[kind]):
        return [f"{path}: {value!r} is no {kind}"]
    found = []
    if kind == "array":
        for i, item in enumerate(value):
            found += faults(item, schema.get("items", {}), root, f"{path}[{i}]")
    if kind == "object":
        found += [f"{path}: {name} is missing" for name in schema.get("required", []) if name not in value]
        others = schema.get("additionalProperties", {})
        for name, item in value.items():
            rule = schema.get("properties", {}).get(name, others)
            found += faults(item, rule if isinstance(rule, dict) else {}, root, f"{path}.{name}")
    return found
