"""One module per peer. `tasks.py` says which peers take part in which task."""
