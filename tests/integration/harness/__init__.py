"""Objects that speak: a real PostgreSQL, a real greenpool, and a client that speaks bytes."""
