"""Database migrations (alembic): the steps from one schema to the next."""
