"""Academy games of Google Research Football, one copy at a time."""
