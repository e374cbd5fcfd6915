import json
from typing import Any

from oddswire.wire.asyncapi import FROM_CLIENT, FROM_SERVER, asyncapi


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [value for key, value in node.items() if key == "$ref"] + [
            found for value in node.values() for found in references(value)
        ]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


def test_every_reference_leads_somewhere_and_every_frame_is_there() -> None:
    document = json.loads(json.dumps(asyncapi("1.2.3")))
    found = references(document)
    assert len(found) > 30
    for reference in found:
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    assert document["info"]["version"] == "1.2.3"
    told = [message["$ref"].rsplit("/", 1)[1] for message in document["operations"]["tell"]["messages"]]
    assert {"connected", "order_submitted", "balance_update", "error"} < set(told)
    assert len(document["components"]["messages"]) == len(FROM_SERVER) + len(FROM_CLIENT)


def test_a_schema_says_what_its_frame_holds() -> None:
    schemas = asyncapi("1")["components"]["schemas"]
    assert schemas["Connected"]["required"] == ["type", "appId"]
    assert schemas["OrderSubmitted"]["properties"]["price"]["type"] == "number"
    assert schemas["Authenticate"]["properties"]["action"] == {"enum": ["authenticate"]}
