"""The S3 store: a client that publishes and fetches, its connection, its buckets, and an embedded server."""
