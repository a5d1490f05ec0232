"""Routes as declarations, the shapes that go in and out, and the OpenAPI document written from both."""
