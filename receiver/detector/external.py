"""Does an ONNX file refer to other files? A walk over its protobuf bytes, without the `onnx` package.

onnxruntime follows such references, from memory even relative to the working directory. A model is one file:
what is trained, hashed, copied and rolled back must be all of it.

In: the bytes of a model. Raises `ValueError` where they are not protobuf. Costs one look at each field; tensors
are stepped over, not read. Field numbers are those of onnx.proto (ONNX IR).
"""

from __future__ import annotations

# message → its fields that are messages which can hold, or are, a tensor
_FIELDS: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
_EXTERNAL_DATA = 13  # repeated StringStringEntryProto
_DATA_LOCATION = 14  # enum: 1 is EXTERNAL
_FIXED_WIDTH = {1: 8, 5: 4}  # bytes of these wire types


def refers_to_files(body: bytes) -> bool:
    """True where a tensor of the model keeps its data elsewhere."""
    return _walk(memoryview(body), "Model")


def _walk(body: memoryview, message: str) -> bool:
    at, nested = 0, _FIELDS[message]
    while at < len(body):
        key, at = _varint(body, at)
        field, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, at = _varint(body, at)
            if message == "Tensor" and field == _DATA_LOCATION and value == 1:
                return True
        elif wire_type == 2:
            length, at = _varint(body, at)
            if at + length > len(body):
                raise ValueError("a field reaches beyond its message")
            if message == "Tensor" and field == _EXTERNAL_DATA:
                return True
            if field in nested and _walk(body[at : at + length], nested[field]):
                return True
            at += length
        elif wire_type in _FIXED_WIDTH:
            at += _FIXED_WIDTH[wire_type]
        else:
            raise ValueError(f"wire type {wire_type}")
    return False


def _varint(body: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(body) or shift > 63:
            raise ValueError("a number has no end")
        byte = body[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
