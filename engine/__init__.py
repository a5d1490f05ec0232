"""The realtime engine: readings in, alarms out, nothing lost. Knows nothing of HTTP."""
