"""Mail: how it is written, how it leaves, and the worker that sends what the outbox holds."""
