"""Matrices that every scheme leaves in fp32, and why."""

KEPT = {
    "embeddings.token_type.weight": "a table of a few rows",
    "head.classifier.weight": "small, and it decides the label",
}
