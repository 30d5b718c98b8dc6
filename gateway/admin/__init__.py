"""The JSON API under `/api/v1`: each resource's rules and shapes, and the OpenAPI document that describes them."""
